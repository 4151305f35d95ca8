"""The early termination policies against direct readings of Azure's documentation."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.sweeps.early_termination import Bandit, MedianStopping, Policy, TruncationSelection
from pydantic import TypeAdapter, ValidationError

NUMBERS = st.floats(-100, 100)
HISTORIES = st.lists(st.lists(NUMBERS, min_size=1, max_size=12), min_size=1, max_size=8)


def stops(
    policy: Any,
    histories: list[list[float]],
    trial: int,
    interval: int,
    finished: frozenset[int] = frozenset(),
) -> bool:
    return bool(policy.stops(dict(enumerate(histories)), trial, interval, finished))


def peers(histories: list[list[float]], interval: int) -> list[list[float]]:
    return [history[:interval] for history in histories if len(history) >= interval]


@st.composite
def moments(draw: st.DrawFn) -> tuple[list[list[float]], int, int]:
    """Histories, a trial, and one of the intervals it has reached."""
    histories = draw(HISTORIES)
    trial = draw(st.integers(0, len(histories) - 1))
    return histories, trial, draw(st.integers(1, len(histories[trial])))


def test_the_bandit_of_the_documentation_stops_below_two_thirds() -> None:
    """0.8 at interval 10, slack factor 0.2, maximise: below 0.8 / 1.2 = 0.66… a job ends."""
    policy = Bandit(type="bandit", slack_factor=0.2)
    for value, expected in ((0.66, True), (0.67, False)):
        histories = [[-0.8] * 10, [-0.1] * 9 + [-value]]  # maximised, so losses are negative
        assert stops(policy, histories, 1, 10) is expected


def test_a_slack_amount_is_a_distance() -> None:
    policy = Bandit(type="bandit", slack_amount=0.2)
    for value, expected in ((0.59, True), (0.61, False)):
        assert stops(policy, [[-0.8] * 10, [-0.1] * 9 + [-value]], 1, 10) is expected


@given(moments(), st.floats(0.01, 3))
def test_the_bandit_factor_bounds_the_best_value_so_far(
    moment: tuple[list[list[float]], int, int], slack: float
) -> None:
    histories, trial, interval = moment
    best = min(value for history in peers(histories, interval) for value in history)
    own = min(histories[trial][:interval])
    bound = best * (1 + slack) if best > 0 else best / (1 + slack)
    assert stops(Bandit(type="bandit", slack_factor=slack), *moment) is (own > bound)


@given(moments(), st.floats(0.01, 100))
def test_the_bandit_amount_bounds_the_best_value_so_far(
    moment: tuple[list[list[float]], int, int], slack: float
) -> None:
    histories, trial, interval = moment
    best = min(value for history in peers(histories, interval) for value in history)
    own = min(histories[trial][:interval])
    assert stops(Bandit(type="bandit", slack_amount=slack), *moment) is (own > best + slack)


@given(moments())
def test_median_stopping_compares_the_best_value_with_the_median_of_running_averages(
    moment: tuple[list[list[float]], int, int],
) -> None:
    histories, trial, interval = moment
    averages = [math.fsum(history) / interval for history in peers(histories, interval)]
    expected = min(histories[trial][:interval]) > statistics.median(averages)
    assert stops(MedianStopping(type="median_stopping"), *moment) is expected


@given(moments(), st.integers(1, 99))
def test_truncation_ends_the_lowest_share_at_that_interval(
    moment: tuple[list[list[float]], int, int], percentage: int
) -> None:
    histories, trial, interval = moment
    ranked = sorted(min(history) for history in peers(histories, interval))
    count = math.floor(len(ranked) * percentage / 100)
    worst = ranked[len(ranked) - count :]
    kept = ranked[: len(ranked) - count]
    own = min(histories[trial][:interval])
    expected = own in worst and own not in kept  # equals are spared together
    policy = TruncationSelection(type="truncation_selection", truncation_percentage=percentage)
    assert stops(policy, *moment) is expected


RULES: list[Any] = [
    {"type": "bandit", "slack_factor": 0.1},
    {"type": "bandit", "slack_amount": 0.1},
    {"type": "median_stopping"},
    {"type": "truncation_selection", "truncation_percentage": 50},
]


@pytest.mark.parametrize("rule", RULES)
@given(moments())
def test_the_best_trial_is_never_ended(
    rule: Any, moment: tuple[list[list[float]], int, int]
) -> None:
    policy: Any = TypeAdapter(Policy).validate_python(rule)
    histories, trial, interval = moment
    reached = peers(histories, interval)
    if min(histories[trial][:interval]) == min(min(history) for history in reached):
        assert not stops(policy, *moment)


@pytest.mark.parametrize("rule", RULES)
def test_a_trial_that_has_completed_counts_beyond_its_last_report(rule: Any) -> None:
    policy: Any = TypeAdapter(Policy).validate_python(rule)
    histories = [[1.0, 1.0], [9.0, 9.0, 9.0]]
    assert stops(policy, histories, 1, 3, frozenset({0}))
    assert not stops(policy, histories, 1, 3)


@pytest.mark.parametrize("rule", RULES)
def test_a_trial_alone_is_never_ended(rule: Any) -> None:
    policy: Any = TypeAdapter(Policy).validate_python(rule)
    assert not any(stops(policy, [[1.0, 5.0, 9.0]], 0, interval) for interval in (1, 2, 3))


@pytest.mark.parametrize("rule", RULES)
def test_what_is_not_a_number_is_the_worst_and_harms_no_other(rule: Any) -> None:
    policy: Any = TypeAdapter(Policy).validate_python(rule)
    lost = [[math.inf], [1.0], [1.0]]
    assert stops(policy, lost, 0, 1) and not stops(policy, lost, 1, 1)
    assert not any(stops(policy, [[math.inf], [math.inf]], trial, 1) for trial in (0, 1))


@given(st.integers(1, 7), st.integers(0, 30), st.integers(1, 60))
def test_a_rule_is_applied_at_multiples_of_its_interval_from_its_delay_on(
    every: int, delay: int, interval: int
) -> None:
    policy = Bandit(
        type="bandit", slack_factor=0.1, evaluation_interval=every, delay_evaluation=delay
    )
    expected = interval in [at for at in range(every, 61, every) if at >= delay]
    assert stops(policy, [[1.0] * 60, [9.0] * 60], 1, interval) is expected


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "bandit"},
        {"type": "bandit", "slack_factor": 0.1, "slack_amount": 0.1},
        {"type": "bandit", "slack_factor": -0.1},
        {"type": "bandit", "slack_factor": 0.1, "evaluation_interval": 0},
        {"type": "median_stopping", "delay_evaluation": -1},
        {"type": "median_stopping", "slack_factor": 0.1},
        {"type": "truncation_selection"},
        {"type": "truncation_selection", "truncation_percentage": 100},
        {"type": "truncation_selection", "truncation_percentage": 12.5},
        {"type": "successive_halving"},
    ],
)
def test_a_rule_that_azure_would_refuse_is_refused(rule: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Policy).validate_python(rule)
