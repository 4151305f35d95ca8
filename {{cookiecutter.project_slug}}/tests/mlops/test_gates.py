"""Each gate says yes at its threshold and no beyond it, and says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.errors import UsageError
from mlops.gates import Decision, judge
from mlops.project import Gates

GATES = Gates.model_validate(
    {
        "promotion": {
            "binary": {
                "metric": "roc_auc",
                "floor": 0.6,
                "over_baseline": 0.01,
                "below_champion": 0.02,
            },
            "regression": {"metric": "mae", "floor": 20.0, "below_champion": 1.0},
        }
    }
)
QUALITY: dict[str, Any] = {"details": {"violations": []}}


def evaluation(
    value: float | None = 0.7,
    *,
    over_baseline: float = 0.05,
    champion: tuple[float, float, float] | None = None,
    kind: str = "binary",
    error: str | None = None,
) -> dict[str, Any]:
    metric = "roc_auc" if kind == "binary" else "mae"

    def difference(center: float, low: float, high: float) -> dict[str, Any]:
        return {metric: {"difference": center, "low": low, "high": high}}

    known = champion is not None or error is not None
    return {
        "details": {
            "problem": {"kind": kind},
            "higher_is_better": {"roc_auc": True, "mae": False},
            "models": {"challenger": {metric: {"value": value, "low": None, "high": None}}},
            "champion": {"version": "3", "error": error} if known else {"version": None},
            "comparisons": {
                "baseline": difference(over_baseline, over_baseline, over_baseline),
                "champion": difference(*champion) if champion else None,
            },
        }
    }


def decide(quality: dict[str, Any] = QUALITY, **parts: Any) -> Decision:
    return judge(GATES, model="m", version="4", quality=quality, evaluation=evaluation(**parts))


def refusals(decision: Decision) -> list[str]:
    assert all(r.advice for r in decision.reasons if not r.passed)
    return [r.gate for r in decision.reasons if not r.passed]


def test_a_first_model_needs_floor_and_baseline_only() -> None:
    decision = decide()
    assert decision.passed
    assert len(decision.reasons) == 3
    assert decision.champion is None


@pytest.mark.parametrize(
    ("parts", "refused"),
    [
        ({"value": 0.6}, []),
        ({"value": 0.599}, ["good enough on its own"]),
        ({"value": None}, ["good enough on its own"]),
        ({"kind": "regression", "value": 20.0}, []),
        ({"kind": "regression", "value": 20.1}, ["good enough on its own"]),
        ({"over_baseline": 0.011}, []),
        ({"over_baseline": 0.01}, ["better than the baseline"]),
        ({"over_baseline": -0.1}, ["better than the baseline"]),
        ({"champion": (0.0, -0.02, 0.02)}, []),
        ({"champion": (0.0, -0.021, 0.02)}, ["not worse than champion v3"]),
        ({"champion": (-0.1, -0.2, -0.05)}, ["not worse than champion v3"]),
        ({"error": "the column x is missing"}, ["not worse than champion v3"]),
        (
            {"value": 0.1, "over_baseline": -1.0},
            ["good enough on its own", "better than the baseline"],
        ),
    ],
)
def test_the_verdict_turns_at_the_threshold(parts: dict[str, Any], refused: list[str]) -> None:
    assert refusals(decide(**parts)) == refused


def test_data_that_broke_its_contract_is_never_promoted() -> None:
    broken = {"details": {"violations": [{"column": "a"}]}}
    assert refusals(decide(quality=broken)) == ["data follows the contract"]


def test_a_clearly_worse_challenger_and_an_uncertain_one_get_different_advice() -> None:
    worse = decide(champion=(-0.1, -0.2, -0.05)).reasons[-1].advice
    uncertain = decide(champion=(0.01, -0.1, 0.12)).reasons[-1].advice
    assert "keep the champion" in worse
    assert "more held-out rows" in uncertain


def test_a_champion_that_cannot_score_the_rows_says_why() -> None:
    assert decide(error="the column x is missing").reasons[-1].found == "the column x is missing"


def test_a_metric_that_the_evidence_lacks_is_wrong_usage() -> None:
    gates = Gates.model_validate({"promotion": {"binary": {"metric": "gini", "floor": 0}}})
    with pytest.raises(UsageError, match=r"`gini`; the evidence has: roc_auc"):
        judge(gates, model="m", version="1", quality=QUALITY, evaluation=evaluation())


def test_a_kind_without_gate_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="no promotion gate for `binary`"):
        judge(Gates(promotion={}), model="m", version="1", quality=QUALITY, evaluation=evaluation())
