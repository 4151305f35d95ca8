"""A small run of the simulation that `python -m benchmarks ab_report` makes of 1,000 tests a case."""

from __future__ import annotations

import math

import pytest

from tests.releases.simulated_tests import ALPHA, CASES, Case, simulate

EXPERIMENTS = 12
UNDECIDED = 0.2  # promised: the rest is found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_interval_covers_and_the_stated_rows_suffice(case: Case) -> None:
    found = simulate(case, EXPERIMENTS)
    assert found.missed <= ALPHA
    assert found.undecided <= UNDECIDED + 2.5 * math.sqrt(UNDECIDED * (1 - UNDECIDED) / EXPERIMENTS)
    assert found.unfinished <= 0.05
