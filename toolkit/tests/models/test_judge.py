"""Each gate passes at its threshold, fails beyond it, and then gives advice."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from modelyard.errors import UsageError
from modelyard.gates import Gates
from modelyard.models.judge import Decision, judge
from pydantic import ValidationError

from tests.evidence_samples import costs, fair, judged_on

PROMOTION: dict[str, Any] = {
    "binary": {"metric": "roc_auc", "floor": 0.6, "over_baseline": 0.01, "below_champion": 0.02},
    "multiclass": {"metric": "mae", "floor": 20.0, "below_champion": 1.0},
    "regression": {"metric": "mae", "floor": 20.0, "below_champion": 1.0},
}
GATES = Gates.model_validate({"promotion": PROMOTION})
QUALITY: dict[str, Any] = {"details": {"violations": []}}
GROUPS = {
    "binary": {
        "selection_rate": {"ratio": 0.6, "difference": 0.2},
        "equalized_odds": {"difference": 0.17},
    },
    "multiclass": {"accuracy": {"difference": 0.16}},
    "regression": {"mae": {"ratio": 0.5}, "mean_error": {"difference": 0.01}},
    "over_champion": 0.05,
}
BUDGETS = {
    "model_megabytes": {"most": 10, "growth": 2, "negligible": 1},
    "load_seconds": {"most": 1},
    "memory_megabytes": {"most": 500, "growth": 1.5},
    "latency_milliseconds": {"most": 50, "growth": 3, "negligible": 10},
}


def evaluation(
    value: float | None = 0.7,
    *,
    over_baseline: float = 0.05,
    champion: tuple[float, float, float] | None = None,
    kind: str = "binary",
    error: str | None = None,
    ends: tuple[float, float] | None = None,
    baseline_ends: tuple[float, float] | None = None,
    on: dict[str, Any] | None = None,
) -> dict[str, Any]:
    metric = "roc_auc" if kind == "binary" else "mae"

    def difference(center: float, low: float, high: float) -> dict[str, Any]:
        return {metric: {"difference": center, "low": low, "high": high}}

    known = champion is not None or error is not None
    low, high = ends or (None, None)
    return {
        "details": {
            "problem": {"kind": kind},
            "judged_on": on or judged_on(1000, no=700, yes=300),
            "higher_is_better": {"roc_auc": True, "mae": False},
            "models": {"challenger": {metric: {"value": value, "low": low, "high": high}}},
            "champion": {"version": "3", "error": error} if known else {"version": None},
            "comparisons": {
                "baseline": difference(
                    over_baseline, *(baseline_ends or (over_baseline, over_baseline))
                ),
                "champion": difference(*champion) if champion else None,
            },
        }
    }


def decide(quality: dict[str, Any] = QUALITY, **parts: Any) -> Decision:
    return judge(GATES, model="m", version="4", quality=quality, evaluation=evaluation(**parts))


def with_gates(**sections: Any) -> Gates:
    return Gates.model_validate({**GATES.model_dump(exclude_none=True), **sections})


def fairness_verdict(limits: dict[str, Any], found: dict[str, Any]) -> Decision:
    kind = found["details"]["kind"]
    gates = with_gates(fairness=limits, promotion=PROMOTION)
    seen = evaluation(15.0 if kind == "regression" else 0.7, kind=kind)
    return judge(gates, model="m", version="4", quality=QUALITY, evaluation=seen, fairness=found)


def footprint_verdict(budgets: dict[str, Any], found: dict[str, Any]) -> Decision:
    gates = with_gates(footprint=budgets)
    return judge(
        gates, model="m", version="4", quality=QUALITY, evaluation=evaluation(), footprint=found
    )


def changed(limits: dict[str, Any], *path: str, to: float) -> dict[str, Any]:
    result = copy.deepcopy(limits)
    inner = result
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return result


def refusals(decision: Decision) -> list[str]:
    assert all(r.advice for r in decision.reasons if not r.passed)
    return [r.gate for r in decision.reasons if r.passed is False]


def open_gates(decision: Decision) -> list[str]:
    assert refusals(decision) == []
    found = [r.gate for r in decision.reasons if r.passed is None]
    assert decision.evidence()["details"]["open"] == found
    assert decision.verdict == ("open" if found else "promote")
    return found


def test_a_first_model_needs_floor_and_baseline_only() -> None:
    decision = decide()
    assert decision.passed
    assert len(decision.reasons) == 4
    assert decision.champion is None


@pytest.mark.parametrize(
    ("parts", "refused"),
    [
        ({"value": 0.6}, []),
        ({"value": 0.599}, ["good enough on its own"]),
        ({"kind": "regression", "value": 20.0}, []),
        ({"kind": "regression", "value": 20.1}, ["good enough on its own"]),
        ({"over_baseline": 0.011}, []),
        ({"over_baseline": 0.01}, ["better than the baseline"]),
        ({"over_baseline": -0.1}, ["better than the baseline"]),
        ({"champion": (0.0, -0.02, 0.02)}, []),
        ({"champion": (-0.1, -0.2, -0.05)}, ["not worse than champion v3 by more than 0.02"]),
        (
            {"error": "the column x is missing"},
            ["not worse than champion v3 by more than 0.02"],
        ),
        (
            {"value": 0.1, "over_baseline": -1.0},
            ["good enough on its own", "better than the baseline"],
        ),
    ],
)
def test_the_verdict_turns_at_the_threshold(parts: dict[str, Any], refused: list[str]) -> None:
    assert refusals(decide(**parts)) == refused


@pytest.mark.parametrize(
    ("parts", "unjudged"),
    [
        ({"value": None}, "good enough on its own"),
        ({"value": 0.65, "ends": (0.599, 0.7)}, "good enough on its own"),
        ({"value": 19.0, "ends": (18.0, 20.1), "kind": "regression"}, "good enough on its own"),
        ({"baseline_ends": (0.01, 0.2)}, "better than the baseline"),
        ({"over_baseline": 0.0, "baseline_ends": (-0.2, 0.02)}, "better than the baseline"),
        ({"champion": (0.0, -0.021, 0.02)}, "not worse than champion v3 by more than 0.02"),
        ({"on": judged_on(99, no=70, yes=29)}, "enough rows to judge"),
        ({"on": judged_on(1000, no=981, yes=19)}, "enough rows to judge"),
    ],
)
def test_what_the_rows_cannot_tell_is_open(parts: dict[str, Any], unjudged: str) -> None:
    decision = decide(**parts)
    assert open_gates(decision) == [unjudged]
    assert not decision.passed and not decision.promotable


def test_twelve_rows_with_one_positive_are_never_enough() -> None:
    decision = decide(value=1.0, over_baseline=0.5, on=judged_on(12, no=11, yes=1))
    assert open_gates(decision) == ["enough rows to judge"]
    said = next(r for r in decision.reasons if r.gate == "enough rows to judge")
    assert said.found == "12 held-out rows, 1 of yes"
    assert said.expected == "≥ 100 rows, ≥ 20 of each class"


@pytest.mark.parametrize(
    ("stated", "columns", "accepted", "promotable"),
    [
        (None, (), None, False),
        (None, (), "Ada", True),
        (None, ("carrier",), "Ada", False),
        ("ask", ("carrier",), "Ada", True),
        ("ask", ("carrier",), None, False),
        ("refuse", (), "Ada", False),
    ],
)
def test_open_gates_refuse_where_people_are_concerned_or_somebody_accepts_them(
    stated: str | None, columns: tuple[str, ...], accepted: str | None, promotable: bool
) -> None:
    gates = with_gates(fairness={}, open_gates=stated)
    few = evaluation(on=judged_on(50, no=30, yes=20))
    found = fair("binary", columns=columns)
    decision = judge(gates, model="m", version="4", quality=QUALITY, evaluation=few, fairness=found)
    assert open_gates(decision) == ["enough rows to judge"]
    assert replace(decision, accepted_by=accepted).promotable == promotable


def test_what_has_failed_cannot_be_accepted() -> None:
    decision = decide(value=0.1, on=judged_on(50, no=30, yes=20))
    assert decision.verdict == "refuse"
    assert not replace(decision, open_gates="ask", accepted_by="Ada").promotable


def test_data_that_broke_its_contract_is_never_promoted() -> None:
    broken = {"details": {"violations": [{"column": "a"}]}}
    assert refusals(decide(quality=broken)) == ["data follows the contract"]


def test_a_clearly_worse_challenger_and_an_uncertain_one_get_different_advice() -> None:
    worse = decide(champion=(-0.1, -0.2, -0.05)).reasons[-1].advice
    uncertain = decide(champion=(0.01, -0.1, 0.12)).reasons[-1].advice
    assert "keep the champion" in worse
    assert "too few rows to tell" in uncertain


def test_a_champion_that_cannot_score_the_rows_says_why() -> None:
    assert decide(error="the column x is missing").reasons[-1].found == "the column x is missing"


def test_a_metric_that_the_evidence_lacks_is_wrong_usage() -> None:
    gates = Gates.model_validate({"promotion": {"binary": {"metric": "gini", "floor": 0}}})
    with pytest.raises(UsageError, match=r"`gini`; the evidence has: roc_auc"):
        judge(gates, model="m", version="1", quality=QUALITY, evaluation=evaluation())


def test_a_kind_without_gate_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="no promotion gate for `binary`"):
        judge(Gates(promotion={}), model="m", version="1", quality=QUALITY, evaluation=evaluation())


# The sample's groups: differences of 0.14 [0.12, 0.16] and more, ratio 0.68 [0.65, 0.71], 0.01 (from
# -0.01) more than the champion; of the target's spread 0.15 / 44.6 = 0.0034 [0.0029, 0.0038].
@pytest.mark.parametrize(
    ("kind", "path", "fits", "unclear", "too_strict"),
    [
        ("binary", ("binary", "selection_rate", "difference"), 0.16, 0.14, 0.119),
        ("binary", ("binary", "selection_rate", "ratio"), 0.65, 0.68, 0.711),
        ("binary", ("binary", "equalized_odds", "difference"), 0.17, 0.15, 0.129),
        ("multiclass", ("multiclass", "accuracy", "difference"), 0.16, 0.14, 0.119),
        ("regression", ("regression", "mae", "ratio"), 0.65, 0.68, 0.711),
        ("regression", ("regression", "mean_error", "difference"), 0.0039, 0.0034, 0.0028),
    ],
)
def test_each_limit_between_groups_turns_the_verdict(
    kind: str, path: tuple[str, ...], fits: float, unclear: float, too_strict: float
) -> None:
    found, gate = fair(kind), f'fair by "carrier": {path[1]}'
    assert fairness_verdict(changed(GROUPS, *path, to=fits), found).passed
    assert open_gates(fairness_verdict(changed(GROUPS, *path, to=unclear), found)) == [gate]
    assert refusals(fairness_verdict(changed(GROUPS, *path, to=too_strict), found)) == [gate]
    assert fairness_verdict({}, found).passed


def test_a_ratio_of_tiny_errors_does_not_matter() -> None:
    """Errors of 17 and 38 where the target's spread is 1,000, as of a model with an R² of 0.996."""
    found = fair("regression")
    found["details"]["scale"] = 1000.0
    apart = found["details"]["columns"][0]["disparities"]["mae"]
    apart |= {"difference": difference(21, 6), "ratio": difference(0.45, 0.1)}
    strict = {"regression": {"mae": {"ratio": 0.8}}}
    assert refusals(fairness_verdict(strict, found)) == ['fair by "carrier": mae']
    for negligible, outcome in ((0.1, "promote"), (0.02, "open"), (0.01, "refuse")):
        limits = {"regression": {"mae": {"ratio": 0.8, "negligible": negligible}}}
        assert fairness_verdict(limits, found).verdict == outcome


def difference(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def test_groups_too_small_to_judge_leave_the_gate_open_where_they_are_many() -> None:
    found = fair("binary")
    limits = {"binary": {"selection_rate": {"difference": 0.5}}}
    said = fairness_verdict(limits, found).reasons[-1].found
    assert said.endswith("not judged in full: HA, 0.2% of the rows")
    assert open_gates(fairness_verdict({**limits, "small_groups": 0.001}, found)) == [
        'fair by "carrier": selection_rate'
    ]


def test_groups_may_not_lie_clearly_further_apart_than_under_the_champion() -> None:
    found = fair("binary")
    apart = found["details"]["columns"][0]["disparities"]["equalized_odds"]
    apart["over_champion"] = {"value": 0.08, "low": 0.05, "high": 0.11}
    assert fairness_verdict(GROUPS, found).passed
    refused = fairness_verdict(changed(GROUPS, "over_champion", to=0.049), found)
    assert refusals(refused) == ['fair by "carrier", against champion v3: equalized_odds']


def test_a_column_with_limits_of_its_own_is_held_against_them_and_says_why() -> None:
    found = fair("binary", columns=("carrier", "region"))
    strict = changed(GROUPS, "binary", "equalized_odds", "difference", to=0.01)
    own = {"why": "airlines are companies", "binary": {"equalized_odds": {"difference": 0.5}}}
    decision = fairness_verdict({**strict, "columns": {"carrier": own}}, found)
    assert refusals(decision) == ['fair by "region": equalized_odds']
    assert decision.notes == ('"carrier" has limits of its own: airlines are companies',)
    assert decision.evidence()["details"]["notes"] == list(decision.notes)


def test_groups_of_too_few_rows_leave_the_gate_open() -> None:
    found = fair("binary")
    found["details"]["columns"][0]["disparities"]["equalized_odds"] = None
    decision = fairness_verdict(
        changed(GROUPS, "binary", "equalized_odds", "difference", to=0), found
    )
    assert open_gates(decision) == ['fair by "carrier": equalized_odds']
    said = next(r for r in decision.reasons if r.gate == 'fair by "carrier": equalized_odds')
    assert said.found == "not judged: fewer than two of 4 groups have enough rows"


def test_without_sensitive_columns_fairness_is_not_asked() -> None:
    decision = fairness_verdict(GROUPS, fair("binary", columns=()))
    assert decision.passed
    assert not any("fair" in reason.gate for reason in decision.reasons)


# The sample: 0.24 MB, 0.012 s, 235 MB, 4.2 ms, and a champion that costs the same.
@pytest.mark.parametrize(
    ("field", "figure", "unit", "gate"),
    [
        ("model_megabytes", "model_bytes", 1e6, "model on disk"),
        ("load_seconds", "load_seconds", 1, "time to load"),
        ("memory_megabytes", "memory_bytes", 1e6, "memory"),
        ("latency_milliseconds", "latency_p95", 1, "latency of one row"),
    ],
)
def test_each_budget_turns_the_verdict(field: str, figure: str, unit: float, gate: str) -> None:
    most = BUDGETS[field]["most"]
    plenty = {**BUDGETS, field: {"most": most}}
    assert footprint_verdict(plenty, costs(**{figure: most * unit})).passed
    assert refusals(footprint_verdict(plenty, costs(**{figure: most * unit * 1.001}))) == [gate]
    lax = {**BUDGETS, field: {"most": most * 1.01}}
    assert footprint_verdict(lax, costs(**{figure: most * unit * 1.001})).passed


@pytest.mark.parametrize(
    ("figure", "grown", "gate"),
    [
        ("model_bytes", 5e6, "model on disk"),
        ("memory_bytes", 353e6, "memory"),
        ("latency_p95", 12.7, "latency of one row"),
    ],
)
def test_a_model_that_grew_beyond_the_champion_is_refused_within_its_budget(
    figure: str, grown: float, gate: str
) -> None:
    decision = footprint_verdict(BUDGETS, costs(**{figure: grown}))
    assert refusals(decision) == [gate]
    assert "× champion v3" in next(r.expected for r in decision.reasons if r.gate == gate)
    assert footprint_verdict(BUDGETS, costs(champion=False, **{figure: grown})).passed


def test_growth_of_what_costs_next_to_nothing_does_not_matter() -> None:
    decision = footprint_verdict(BUDGETS, costs(model_bytes=1e6, latency_p95=9.9))
    assert decision.passed
    said = next(r.found for r in decision.reasons if r.gate == "model on disk")
    assert said == "1 MB, 4.17 ×, which does not matter below 1 MB"


def test_what_a_system_does_not_tell_is_not_judged() -> None:
    decision = footprint_verdict(BUDGETS, costs(memory_bytes=None))
    assert open_gates(decision) == ["memory"]
    assert any("not measured" in reason.found for reason in decision.reasons)


def test_evidence_that_a_gate_needs_must_be_there() -> None:
    gates = with_gates(fairness=GROUPS, footprint=BUDGETS)
    decision = judge(gates, model="m", version="4", quality=QUALITY, evaluation=evaluation())
    assert refusals(decision) == ["fair between groups", "small and fast enough"]


@pytest.mark.parametrize(
    ("section", "content", "named"),
    [
        ("fairness", {"binary": {"selection": {"ratio": 0.8}}}, "selection"),
        ("fairness", {"binary": {"selection_rate": {"ratio": 1.1}}}, "ratio"),
        ("fairness", {"columns": {"a": {"binary": {}}}}, "why"),
        ("footprint", {"load_seconds": {"most": 0}}, "most"),
        ("footprint", {"load_seconds": {"most": 1, "growth": 0.5}}, "growth"),
        ("footprint", {"disk": {"most": 1}}, "disk"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(section: str, content: Any, named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        with_gates(**{section: content})
