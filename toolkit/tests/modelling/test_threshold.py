"""Thresholds serve their purpose, on the rows they are chosen on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.gates import Threshold
from modelyard.modelling.threshold import best_threshold
from pydantic import ValidationError

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=30)
PURPOSES = {
    "f1": Threshold(),
    "accuracy": Threshold(purpose="accuracy"),
    "cost": Threshold(purpose="cost", missed=10, alarm=1),
    "recall": Threshold(purpose="recall", recall=0.7),
}


def gain(purpose: Threshold, truth: np.ndarray, flagged: np.ndarray) -> float:
    """What a purpose wants more of."""
    hits, missed, alarms = (
        (truth & flagged).sum(),
        (truth & ~flagged).sum(),
        (flagged & ~truth).sum(),
    )
    if purpose.purpose == "f1":
        return float(2 * hits / (2 * hits + missed + alarms))
    if purpose.purpose == "accuracy":
        return float((truth == flagged).mean())
    if purpose.purpose == "recall":
        enough = hits / truth.sum() >= purpose.recall - 1e-9
        return -float(flagged.sum()) if enough else -np.inf
    return -float(purpose.missed * missed + purpose.alarm * alarms)


@pytest.mark.parametrize("name", PURPOSES)
@given(rows=ROWS)
def test_no_other_threshold_serves_the_purpose_better(name, rows):
    truth, score = np.array([one for one, _ in rows]), np.array([n / 10 for _, n in rows])
    if not truth.any():
        return
    purpose = PURPOSES[name]
    found = gain(purpose, truth, score >= best_threshold(truth, score, purpose))
    others = [gain(purpose, truth, score >= limit) for limit in {*(score + 1e-9), *score, 0.0}]
    assert found >= max(others) - 1e-12


def test_the_purpose_is_that_of_the_gates(trained_bench, capsys):
    f1 = trained_bench.evidence("training")["details"]["threshold"]
    content = trained_bench.gates.read_text(encoding="utf-8")
    asked = content.replace(
        "threshold: {purpose: f1}", "threshold: {purpose: recall, recall: 0.99}"
    )
    assert asked != content
    trained_bench.gates.write_text(asked, encoding="utf-8")
    assert trained_bench.train(to="recall") == 0
    details = trained_bench.evidence("training")["details"]
    assert details["threshold"] < f1
    assert "fewest alarms at a recall of 0.99" in capsys.readouterr().out
    assert details["purpose"].startswith("fewest alarms")


def test_a_purpose_that_does_not_exist_is_refused():
    with pytest.raises(ValidationError):
        Threshold(purpose="profit")
