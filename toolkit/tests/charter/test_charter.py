"""The documents of a lifecycle: goals have three outcomes, and what people wrote or decided stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from modelyard.charter.goals import goals
from modelyard.charter.history import known
from modelyard.contract.model import Contract
from modelyard.files import write_json
from modelyard.gates import Gates
from modelyard.models.registry import Registry
from modelyard.releases.promote import promote
from modelyard.yaml_files import parse

from tests.command import Mlops
from tests.evidence_samples import costs, fair
from tests.models.test_judge import BUDGETS, GROUPS, PROMOTION, QUALITY, evaluation
from tests.releases.test_promotion import register
from tests.small_project import make_small_project

CONTRACT = """\
target: {column: late, kind: binary, positive: true}
sensitive: [carrier]
columns:
  carrier: {type: category}
  late: {type: boolean}
"""
GATES = {"promotion": PROMOTION, "fairness": GROUPS, "footprint": BUDGETS}


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    monkeypatch.chdir(tmp_path)
    make_small_project(tmp_path)
    (tmp_path / "conf" / "contract.yml").write_text(CONTRACT, encoding="utf-8")
    (tmp_path / ".mlflow").mkdir()
    shutil.copy(empty_store, tmp_path / ".mlflow" / "mlflow.db")
    return tmp_path


def outcomes(target: str = "late", **changed: Any) -> dict[str, bool | None]:
    """What becomes of each goal with evidence about a target; None as evidence: there is none of the kind."""
    seen = evaluation(0.7, ends=(0.65, 0.75), champion=(-0.5, -0.6, -0.4))
    seen["details"]["problem"]["target"] = target
    whole = {
        "quality": QUALITY,
        "evaluation": seen,
        "fairness": fair("binary"),
        "footprint": costs(memory_bytes=4e8),
    }
    evidence = {kind: one for kind, one in (whole | changed).items() if one is not None}
    gates = Gates.model_validate(GATES)
    found = goals(gates, Contract.model_validate(parse(CONTRACT)), evidence, ())
    return {one.gate: one.passed for one in found}


def test_goals_are_those_of_the_files_and_without_evidence_none_is_judged() -> None:
    nothing = outcomes(**dict.fromkeys(("quality", "evaluation", "fairness", "footprint")))
    assert set(nothing.values()) == {None}
    assert {'fair by "carrier": selection_rate', "memory", "endpoint: memory"} <= nothing.keys()
    assert (
        outcomes()["memory"] is True
    )  # within the budget; that it grew beyond a champion is no goal
    assert outcomes("delay") == nothing
    assert outcomes()["good enough on its own"] is True


@pytest.mark.parametrize(
    ("ends", "reached"), [((0.61, 0.8), True), ((0.5, 0.59), False), ((0.59, 0.8), None)]
)
def test_the_interval_of_a_figure_decides_whether_a_goal_is_reached(
    ends: tuple[float, float], reached: bool | None
) -> None:
    seen = evaluation(sum(ends) / 2, ends=ends)
    seen["details"]["problem"]["target"] = "late"
    assert outcomes(evaluation=seen)["good enough on its own"] is reached


def test_the_endpoint_is_judged_by_its_last_release() -> None:
    def reached(p95: float | None) -> bool | None:
        new = None if p95 is None else {"p95_ms": p95, "errors": 0, "requests": 9}
        releases = [{"stages": [{"new": {"p95_ms": 1.0, "errors": 9, "requests": 9}}]}] * (
            p95 is not None
        )
        gates, contract = Gates.model_validate(GATES), Contract.model_validate(parse(CONTRACT))
        found = goals(gates, contract, {}, [*releases, {"stages": [{"new": new}, {"new": None}]}])
        return next(one.passed for one in found if one.gate == "endpoint: p95 of a request")

    assert (reached(99), reached(101), reached(None)) == (True, False, None)


def test_a_version_brings_its_last_decision_and_its_releases(project: Path) -> None:
    register(project)
    register(project, value=0.4)
    promote(project, "1")
    registry = Registry("test", f"sqlite:///{project / '.mlflow' / 'mlflow.db'}")
    for release, token, stage in (
        ("a", "1", "half"),
        ("a", "2", "released"),
        ("b", "1", "rolled back"),
    ):
        file = project / "release.json"
        write_json(file, {"details": {"stage": stage}})
        registry.keep(registry.version("1").run_id, file, f"release/{release}/{token}")
    new, old = known(project).tried
    assert (new.name, old.name) == ("v2", "champion v1")
    assert "decision" not in new.evidence and new.evidence["evaluation"]
    assert old.details("decision")["decided"]["by"] == "ada"
    assert [one["stage"] for one in old.releases] == ["released", "rolled back"]
    assert known(project).shown == old


def test_what_people_wrote_stays_and_an_edited_figure_is_not_lost_unsaid(
    project: Path, mlops: Mlops
) -> None:
    register(project)
    mlops("charter", "--exit")
    for name in ("charter", "exit-report"):
        page = project / "docs" / f"{name}.md"
        ours = f"Ours.\n{page.read_text(encoding='utf-8')}And this.\n"
        page.write_text(ours, encoding="utf-8")
        mlops("charter", "--exit")
        assert page.read_text(encoding="utf-8") == ours
        edited = ours.replace("not judged", "reached", 1)
        page.write_text(edited, encoding="utf-8")
        words = ("charter", "--exit", "--decision", "stop", "--because", "so")
        assert f"{page}: the part between the marks was edited" in mlops(*words, code=2).err
        assert page.read_text(encoding="utf-8") == edited
        assert not (project / "docs" / "decisions").exists()
        mlops("charter", "--exit", "--force")
        assert page.read_text(encoding="utf-8") == ours


def test_every_decision_has_a_record_and_the_charter_lists_them(
    project: Path, mlops: Mlops
) -> None:
    for because in ("too few rows", "a rule does as well"):
        words = ("charter", "--decision", "stop", "--because", because)
        found = json.loads(mlops(*words, "--json").out)
    assert found["version"] is None and {one["passed"] for one in found["goals"]} == {None}
    records = sorted((project / "docs" / "decisions").iterdir(), key=lambda file: len(file.name))
    assert ["too few rows" in one.read_text(encoding="utf-8") for one in records] == [True, False]
    listed = (project / "docs" / "charter.md").read_text(encoding="utf-8")
    assert all(f"docs/decisions/{one.name}" in listed for one in records)
    mlops("charter", "--decision", "stop", code=2)
    mlops("charter", "--exit", code=2)  # of no model
    assert not (project / "docs" / "exit-report.md").exists()
