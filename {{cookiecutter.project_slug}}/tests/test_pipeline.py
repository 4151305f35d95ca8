"""The training pipeline runs from a table to a registered model with a report."""

from pathlib import Path

from modelyard.evidence import read_evidence


def test_a_run_leaves_a_decision_a_report_and_a_card(run: Path) -> None:
    decision = read_evidence(run / "register" / "decision", "decision")
    assert decision["details"]["reasons"]
    for name in ("report.html", "card.md", "card.html"):
        assert (run / "register" / "page" / name).stat().st_size > 1000


def test_the_evidence_has_every_concern(run: Path) -> None:
    found = {path.stem for path in run.glob("*/evidence/*.json")}
    assert found >= {"quality", "data", "training"}
    assert found >= {"evaluation", "importance", "fairness", "footprint"}
