"""From a table to decision, report and card: every kind of problem, with and without sensitive columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from modelyard import project
from modelyard.contract.validate import validate
from modelyard.data.table import read_file
from modelyard.gates import load_gates
from modelyard.models import judge as gates
from modelyard.reports import card, report
from modelyard.reports.kinds import KINDS
from modelyard.serving import footprint

TYPES = {"number": "number", "whole": "integer", "flag": "boolean", "group": "category"}
TARGETS: dict[str, dict[str, Any]] = {
    "binary": {"column": "y", "kind": "binary", "positive": "yes"},
    "multiclass": {"column": "y", "kind": "multiclass", "classes": ["low", "mid", "high"]},
    "regression": {"column": "y", "kind": "regression"},
}
OF_PROJECT = project.Project(title="T", name="t", package="p", owner="me", model="m")


def labelled(mixed: pd.DataFrame, kind: str) -> pd.DataFrame:
    table = mixed[["number", "whole", "flag", "group"]]
    if kind == "regression":
        return table.assign(y=mixed["value"])
    if kind == "binary":
        return table.assign(y=mixed["label"])
    bands = pd.qcut(mixed["value"], 3, labels=["low", "mid", "high"]).astype(str)
    return table.assign(y=bands)


@pytest.fixture
def judged(bench, mixed, monkeypatch):
    """Make all evidence of a table, and judge it: `judged(kind, sensitive, **gates)`."""
    for name, fewer in (("ROUNDS", 1), ("ASKED", 2), ("WARM_UP", 1)):
        monkeypatch.setattr(footprint, name, fewer)

    def make(kind: str, sensitive: list[str], *, champion: Path | None = None, limit: Any = None):
        y = "number" if kind == "regression" else "category"
        table = labelled(mixed, kind)
        place = bench(table, TARGETS[kind], {**TYPES, "y": y}, sensitive=sensitive)
        content = load_gates(place.gates).model_dump(exclude_none=True)
        content["fairness"] = {"group_rows": 20}
        content["promotion"][kind]["over_baseline"] = -0.5  # a tree does nearly as well here
        place.gates.write_text(json.dumps(content), encoding="utf-8")
        table.to_parquet(place.folder / "table.parquet")
        evidence = place.folder / "evidence"
        validate(read_file(place.folder / "table.parquet"), place.folder / "contract.yml", evidence)
        if champion is not None:
            place.make_champion(model=str(champion))
        assert place.train() == place.assess() == 0
        found = {
            kind: place.evidence(kind)
            for kind in KINDS
            if kind not in ("data", "decision", "sweep")
        }
        parts = ("quality", "evaluation", "fairness", "footprint")

        def judge() -> gates.Decision:
            judged = {part: found[part] for part in parts}
            return gates.judge(load_gates(place.gates), model="m", version="1", **judged)

        decision = judge()
        content["fairness"][kind] = limit
        place.gates.write_text(json.dumps(content), encoding="utf-8")
        limited = judge() if limit else None
        return found | {"decision": decision.evidence()}, decision, limited

    return make


# Of each kind, one that no model can keep.
LIMITS: dict[str, dict[str, Any]] = {
    "binary": {"selection_rate": {"ratio": 1.0}},
    "multiclass": {"accuracy": {"difference": 0.0}},
    "regression": {"mean_error": {"difference": 0.0}},
}


@pytest.mark.parametrize(
    ("kind", "sensitive"), [("binary", []), *((kind, ["group", "whole"]) for kind in TARGETS)]
)
def test_a_table_of_any_kind_ends_in_a_decision_a_report_and_a_card(
    judged, tmp_path: Path, kind: str, sensitive: list[str]
) -> None:
    evidence, decision, limited = judged(kind, sensitive, limit=LIMITS[kind])
    assert decision.passed, decision.reasons
    refused = [reason for reason in limited.reasons if not reason.passed]
    gates = [f'fair by "{name}": {metric}' for name in sensitive for metric in LIMITS[kind]]
    assert [reason.gate for reason in refused] == gates
    assert all(reason.advice for reason in refused)
    page = report.render(evidence, {})
    compared = 'id="fair-0"' in page
    assert compared == bool(sensitive)
    text, html = card.write_card(tmp_path / "card", evidence, OF_PROJECT, {})
    said = text.read_text(encoding="utf-8")
    for name in sensitive:
        assert f"### Groups of {name}" in said
    assert ("names no sensitive column" in said) == (not sensitive)
    assert html.stat().st_size > 5_000


def test_another_target_begins_a_new_line_that_passes_without_the_champion(
    judged, bench, mixed, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old = bench(
        mixed[["number", "value"]],
        {"column": "value", "kind": "regression"},
        {"number": "number", "value": "number"},
    )
    assert old.train() == 0
    before = tmp_path_factory.mktemp("before")
    for one in old.folder.iterdir():
        one.rename(before / one.name)
    evidence, decision, _ = judged("binary", [], champion=before / "model")
    assert decision.passed and decision.champion is None
    said = {reason.gate: reason for reason in decision.reasons}
    line = said["a new line of versions"]
    assert 'champion v3 is of another line: it predicts "value"' in line.found
    assert "retires v3" in line.advice
    assert not any("champion v3" in reason.expected for reason in decision.reasons)
    sentence = "A new line of versions: champion 3 is no rival"
    assert sentence in report.render(evidence, {})
    text, _ = card.write_card(tmp_path / "card", evidence, OF_PROJECT, {})
    assert "champion 3 is no rival" in text.read_text(encoding="utf-8")
