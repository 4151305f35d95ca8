"""Principles of responsible AI: shown by evidence or a reason, else not; and on the model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from modelyard.errors import UsageError
from modelyard.principles import Principles, load_principles, shown
from modelyard.reports.card import card, markdown

from tests.evidence_samples import RUN, binary
from tests.project import ROOT
from tests.reports.test_card import PROJECT

OWN = ROOT / "conf" / "principles.yml"


def state(evidence: dict[str, Any], **principles: Any) -> bool | None:
    [(name, _)] = principles.items()
    found = shown(Principles.model_validate(principles), evidence)
    return {one.name: one.is_shown for one in found}[name]


def test_what_nobody_has_said_is_not_shown() -> None:
    assert [one.is_shown for one in shown(load_principles(None), binary())] == [None] * 6


def test_a_written_reason_shows_a_principle_but_does_not_replace_evidence_that_is_named() -> None:
    assert state({}, inclusiveness={"reason": "asked the works council"}) is True
    assert state({}, inclusiveness={"reason": "  "}) is None
    named = {"reason": "as agreed", "evidence": ["importance"]}
    assert state({}, transparency=named) is None
    assert state({"importance": {"details": {}}}, transparency=named) is True


@pytest.mark.parametrize(
    ("columns", "gates", "is_shown"),
    [
        ([{}], [True, True], True),
        ([{}], [True, None], None),
        ([{}], [True, False], False),
        ([{}], [], None),
        ([], [True], None),
    ],
)
def test_fairness_is_shown_by_gates_that_passed(columns, gates, is_shown) -> None:
    reasons = [{"gate": 'fair by "sex": mae', "passed": one} for one in gates]
    reasons.append({"gate": "good enough on its own", "passed": False})
    evidence = {
        "fairness": {"details": {"columns": columns}},
        "decision": {"details": {"reasons": reasons}},
    }
    assert state(evidence, fairness={"evidence": ["fairness"]}) is is_shown


def test_the_card_says_of_each_principle_what_shows_it() -> None:
    said = markdown(card(binary(), PROJECT, RUN, load_principles(OWN)))
    rows = [line for line in said.splitlines() if line.startswith("| ")]
    [inclusiveness] = [row for row in rows if "Inclusiveness" in row]
    assert "not shown" in inclusiveness and "nobody has said" in inclusiveness
    [transparency] = [row for row in rows if "Transparency" in row]
    assert "| shown |" in transparency


def test_a_kind_of_evidence_that_does_not_exist_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "principles.yml"
    file.write_text("fairness:\n  evidence: [fairnes]\n")
    with pytest.raises(UsageError, match=r"principles\.yml:2: .*fairnes"):
        load_principles(file)
