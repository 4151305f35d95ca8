"""Search spaces: every distribution as Azure defines it, and the same trials for the same sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.sweeps.model import Sweep
from modelyard.sweeps.sampling import draws
from modelyard.sweeps.search_space import Distribution, drawn
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from tests.small_sweep import settings

RANDOM = {"sampling_algorithm": {"type": "random", "seed": 3}}


@dataclass
class Ended:
    best: float
    state: str = "completed"


def expression(**fields: Any) -> Any:
    return TypeAdapter(Distribution).validate_python(fields)


def values(
    sweep: Sweep, count: int, *, whole: frozenset[str] = frozenset(), at_once: int = 1
) -> Any:
    """The first draws; results are made of the first parameter."""
    source, ended, found = draws(sweep, set(whole), at_once), [], []
    for _ in range(min(count, source.total)):
        params = source.next(ended)
        assert params is not None
        found.append(params)
        first = next(iter(params.values()))
        ended.append(Ended(float(first)))
    return found


# Reference: the definition's words, with numpy drawing.
REFERENCES = {
    "uniform": (
        {"min_value": -2.0, "max_value": 3},
        lambda r, n: r.uniform(-2, 3, n),
    ),
    "loguniform": (
        {"min_value": -4, "max_value": 0.5},
        lambda r, n: np.exp(r.uniform(-4, 0.5, n)),
    ),
    "quniform": (
        {"min_value": 0, "max_value": 10, "q": 2.5},
        lambda r, n: np.round(r.uniform(0, 10, n) / 2.5) * 2.5,
    ),
    "qloguniform": (
        {"min_value": 0, "max_value": 4, "q": 3},
        lambda r, n: np.round(np.exp(r.uniform(0, 4, n)) / 3) * 3,
    ),
    "normal": ({"mu": 1, "sigma": 2}, lambda r, n: r.normal(1, 2, n)),
    "lognormal": ({"mu": 0, "sigma": 0.5}, lambda r, n: np.exp(r.normal(0, 0.5, n))),
    "qnormal": (
        {"mu": 1, "sigma": 2, "q": 0.5},
        lambda r, n: np.round(r.normal(1, 2, n) / 0.5) * 0.5,
    ),
    "qlognormal": (
        {"mu": 1, "sigma": 0.5, "q": 0.25},
        lambda r, n: np.round(np.exp(r.normal(1, 0.5, n)) / 0.25) * 0.25,
    ),
    "randint": ({"upper": 7}, lambda r, n: r.integers(0, 7, n)),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_draws_are_distributed_as_azure_defines_it(name: str) -> None:
    fields, reference = REFERENCES[name]
    distribution = expression(type=name, **fields)
    shares = np.random.default_rng(1).random(4000)
    ours = [float(drawn(distribution, share, whole=False)) for share in shares]
    theirs = reference(np.random.default_rng(2), 4000)
    assert stats.ks_2samp(ours, theirs).statistic < 0.045  # 0.1 % of equal pairs exceed it


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_never_draws_a_smaller_value(one: float, other: float) -> None:
    low, high = sorted((one, other))
    for name, (fields, _) in REFERENCES.items():
        distribution = expression(type=name, **fields)
        assert distribution.at(low) <= distribution.at(high)
        assert math.isfinite(distribution.at(low))


@given(st.floats(0, 1))
def test_bounded_draws_stay_within_their_ends(share: float) -> None:
    for name in ("uniform", "loguniform", "quniform", "qloguniform", "randint"):
        distribution = expression(type=name, **REFERENCES[name][0])
        low, high = distribution.ends()
        assert low <= distribution.at(share) <= high
    assert expression(type="randint", upper=7).ends() == (0, 6)


def test_steps_leave_no_dust_behind_the_point() -> None:
    distribution = expression(type="quniform", min_value=0, max_value=1, q=0.1)
    assert {len(str(distribution.at(share / 100))) for share in range(101)} == {3}


def test_what_an_integer_input_gets_is_an_integer() -> None:
    space = {"reports": {"type": "quniform", "min_value": 1, "max_value": 9, "q": 2}}
    found = values(settings(space, **RANDOM), 5, whole=frozenset({"reports"}))
    assert all(type(one["reports"]) is int for one in found)


SPACE: dict[str, Any] = {
    "level": {"type": "uniform", "min_value": 0.0, "max_value": 9.0},
    "mood": ["well", "fail", "endless"],
}


@pytest.mark.parametrize(
    "sampling",
    [
        {"type": "random", "seed": 3},
        {"type": "random", "rule": "sobol", "seed": 3},
        {"type": "bayesian", "seed": 3},
    ],
)
def test_the_same_sweep_draws_the_same_trials(sampling: dict[str, Any]) -> None:
    sweep = settings(SPACE, sampling_algorithm=sampling)
    first, second = (values(sweep, 20, at_once=3) for _ in range(2))
    assert first == second
    assert len({one["level"] for one in first}) == 20
    assert {one["mood"] for one in first} == {"well", "fail", "endless"}
    other = settings(SPACE, sampling_algorithm=sampling | {"seed": 4})
    assert values(other, 20, at_once=3) != first


def test_more_trials_begin_with_the_same_trials() -> None:
    few, many = (
        values(settings(SPACE, **RANDOM, limits={"max_total_trials": count}), count)
        for count in (5, 50)
    )
    assert many[:5] == few


def test_a_grid_is_walked_through_once() -> None:
    sweep = settings({"level": [1.0, 2.0, 3.0], "mood": ["well", "fail"]})
    found = values(sweep, 100)
    assert len(found) == 6
    assert {(one["level"], one["mood"]) for one in found} == {
        (level, mood) for level in (1.0, 2.0, 3.0) for mood in ("well", "fail")
    }


def test_sobol_points_fill_the_space_evenly() -> None:
    sobol = {"sampling_algorithm": {"type": "random", "rule": "sobol", "seed": 0}}
    found = values(settings(SPACE, **sobol), 16)
    assert sorted(int(one["level"] / 9 * 16) for one in found) == list(range(16))


def test_bayesian_sampling_goes_where_the_values_are_good() -> None:
    space = {"level": {"type": "uniform", "min_value": 0.0, "max_value": 9.0}}
    found = values(settings(space, sampling_algorithm="bayesian"), 40)
    first, last = ([one["level"] for one in part] for part in (found[:10], found[-20:]))
    assert np.mean(last) < np.mean(first) / 2


def test_a_bayesian_trial_waits_for_those_it_learns_from_and_no_others() -> None:
    source = draws(settings(SPACE, sampling_algorithm="bayesian"), set(), 2)
    trials = [Ended(1.0, "running"), Ended(1.0, "running")]
    assert source.next([]) and source.next(trials[:1])
    assert source.next(trials) is None
    trials[1].state = "completed"
    assert source.next(trials) is None
    trials[0].state = "stopped"
    assert source.next(trials) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "uniform", "min_value": 1, "max_value": 1},
        {"type": "uniform", "min_value": 1},
        {"type": "uniform", "min_value": "1e-3", "max_value": 1},
        {"type": "loguniform", "min_value": 1, "max_value": 1000},
        {"type": "quniform", "min_value": 0, "max_value": 1, "q": 0},
        {"type": "normal", "mu": 0, "sigma": -1},
        {"type": "normal", "mu": math.nan, "sigma": 1},
        {"type": "randint", "upper": 0},
        {"type": "randint", "upper": 2.5},
        {"type": "choice", "values": []},
        {"type": "choice", "values": [None]},
        {"type": "gamma"},
    ],
)
def test_an_expression_that_draws_nothing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Distribution).validate_python(fields)
