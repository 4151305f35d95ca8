"""The interval of the largest difference between groups holds the true one as often as it says."""

from __future__ import annotations

import numpy as np
import pytest
from modelyard.evaluation.largest_gap import (
    Estimates,
    largest_gap,
    logarithms,
    logarithms_of_shares,
    of_shares,
    smallest_ratio,
)


def drawn(truth: list[float], rows: int, times: int = 300):
    """Draw shares of groups; yields them with the numbers of rows."""
    random = np.random.default_rng(1)
    size = np.full(len(truth), float(rows))
    for _ in range(times):
        yield random.binomial(rows, truth) / rows, size


@pytest.mark.parametrize(
    ("truth", "rows"),
    [([0.3] * 2, 100), ([0.3] * 10, 100), ([0.2, 0.3, 0.3, 0.4], 100), ([0.01, 0.03], 150)],
    ids=["two equal", "ten equal", "four apart", "rare"],
)
def test_the_true_difference_and_ratio_lie_inside(truth, rows):
    gaps = ratios = 0
    for share, size in drawn(truth, rows):
        gap = largest_gap([of_shares(share, size)], 0.95)
        gaps += gap.low <= max(truth) - min(truth) <= gap.high
        ratio = smallest_ratio([share], [logarithms_of_shares(share, size)], 0.95)
        ratios += ratio.low <= min(truth) / max(truth) <= ratio.high
    assert gaps >= 0.94 * 300 and ratios >= 0.94 * 300


def test_a_large_difference_is_found_in_every_draw():
    for share, size in drawn([0.08, 0.81], 100):
        assert largest_gap([of_shares(share, size)], 0.95).low > 0.4
        assert smallest_ratio([share], [logarithms_of_shares(share, size)], 0.95).high < 0.5


def test_the_worst_of_several_metrics_counts():
    near, far = (Estimates(np.array(v), np.full(2, 0.01)) for v in ([0.5, 0.51], [0.2, 0.6]))
    both = largest_gap([near, far], 0.95)
    assert both.value == pytest.approx(0.4)
    assert largest_gap([near], 0.95).high < both.low


def test_errors_are_compared_by_their_logarithms():
    few = Estimates(np.array([17.0, 38.0]), np.array([1.0, 2.0]))
    ratio = smallest_ratio([few.values], [logarithms(few)], 0.95)
    assert ratio.value == pytest.approx(17 / 38)
    assert 0.35 < ratio.low < ratio.value < ratio.high < 0.6


def test_groups_that_all_have_nothing_are_equal():
    share, size = np.zeros(2), np.full(2, 100.0)
    assert largest_gap([of_shares(share, size)], 0.95).value == 0
    assert smallest_ratio([share], [logarithms_of_shares(share, size)], 0.95).value == 1
