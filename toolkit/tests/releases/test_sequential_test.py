"""How often the sequential test decides wrongly, and how many rows it needs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from modelyard.releases import sequential_test

ALPHA = 0.05


def checks(rows: int) -> np.ndarray:
    """Numbers of rows at which the test is checked: often, from the first hundred on."""
    return np.unique(np.geomspace(200, rows, 40).astype(int))


def decisions(difference: float, experiments: int, rows: int, minimal: float) -> list[str]:
    """Run tests of a difference of two shares, each until its first decision; return the choices."""
    chance = np.random.default_rng(3)
    ended = []
    for _ in range(experiments):
        a = (chance.random(rows) < 0.7 + difference).cumsum()
        b = (chance.random(rows) < 0.7 + 2 * difference).cumsum()
        verdict = "wait"
        for count in checks(rows):
            one, other = a[count - 1] / count, b[count - 1] / count
            error = math.sqrt((one * (1 - one) + other * (1 - other)) / count)
            verdict = sequential_test.decide(
                other - one, error, 2 * int(count), minimal, ALPHA
            ).choice
            if verdict != "wait":
                break
        ended.append(verdict)
    return ended


def test_repeated_checks_do_not_raise_the_rate_of_wrong_decisions() -> None:
    rows, experiments = 4000, 250
    ended = decisions(0.0, experiments=experiments, rows=rows, minimal=0.001)
    wrong = sum(one in ("A", "B") for one in ended) / experiments
    assert wrong <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / experiments)
    # An interval for a single check, checked as often, is wrong several times as often.
    shares = (np.random.default_rng(3).random((2, experiments, rows)) < 0.7).cumsum(axis=2)
    a, b = shares[:, :, checks(rows) - 1] / checks(rows)
    error = np.sqrt((a * (1 - a) + b * (1 - b)) / checks(rows))
    assert (np.abs(b - a) > 1.96 * error).any(axis=1).mean() > 4 * ALPHA


def test_a_difference_of_interest_is_found_with_the_promised_rows() -> None:
    minimal = 0.05
    error = math.sqrt(2 * 0.8 * 0.2)  # of one row of each side
    needed = sequential_test.sample_size(error / math.sqrt(1000), 2000, minimal, ALPHA)
    ended = decisions(minimal, experiments=200, rows=needed // 2, minimal=minimal)
    found = sum(one == "B" for one in ended) / len(ended)
    assert found >= sequential_test.POWER - 2 * math.sqrt(
        sequential_test.POWER * (1 - sequential_test.POWER) / len(ended)
    )
    assert "A" not in ended


def test_without_a_difference_the_comparison_ends_by_stopping() -> None:
    ended = decisions(0.0, experiments=60, rows=40_000, minimal=0.04)
    assert ended.count("stop") >= 0.9 * len(ended)


def test_rows_needed_grow_with_the_inverse_square_of_the_difference() -> None:
    once = [sequential_test.fixed_sample(0.01, 1000, minimal, ALPHA) for minimal in (0.02, 0.01)]
    assert once == [1963, 7849]  # (1.95996 + 0.84162)² · 1000 · (0.01 / minimal)²
    always = [sequential_test.sample_size(0.01, 1000, minimal, ALPHA) for minimal in (0.02, 0.01)]
    assert all(1.5 * one < other < 4 * one for one, other in zip(once, always, strict=True) if one)


def test_the_interval_is_the_published_one() -> None:
    """Evaluated by hand for t = 100, rho² = (5.9915 + ln 6.9915) / 10,000, alpha = 0.05."""
    rho2 = (-2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))) / 10_000
    expected = math.sqrt(
        2 * (100 * rho2 + 1) * math.log(math.sqrt(100 * rho2 + 1) / 0.05) / (100**2 * rho2)
    )
    assert sequential_test.half_width(1 / math.sqrt(100), 100, 0.05) == pytest.approx(expected)
    assert sequential_test.half_width(1.0, 10_000, 0.05) < 1.6 * 1.96
