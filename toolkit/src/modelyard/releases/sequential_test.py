"""Sequential A/B test: a decision that is valid although it is checked repeatedly as rows arrive.

The interval is a confidence sequence, which holds at all checks together. So checking often does not
raise the probability of a wrong decision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

POWER = 0.8
FEWEST = 100  # rows of each side; the interval is asymptotic
TIGHTEST = 10_000  # rows at which the interval is tightest; fixed in advance, for all tests

Choice = Literal["A", "B", "wait", "stop"]


@dataclass(frozen=True)
class Verdict:
    """The result of a test.

    Attributes:
        low: lower end of the interval that is valid at all checks together; `high`: the upper end.
            Infinite while the rows are too few for one.
        needed: rows that find a difference of `minimal` with a probability of POWER; None without any
            estimate of the error.
        latest: rows at which the test ends whatever the difference is: the interval is narrower than
            `minimal`, so that it excludes 0 or lies within ±`minimal`.
        more: rows to wait for: up to `needed`, from there on up to `latest`; 0 after a decision.
    """

    choice: Choice
    low: float
    high: float
    needed: int | None
    latest: int | None
    more: int
    reason: str


def decide(
    difference: float, error: float, rows: int, minimal: float, alpha: float, *, lacking: int = 0
) -> Verdict:
    """Decide for A, for B, to wait for more rows, or to stop because the difference is too small.

    The test decides for a side when the interval excludes 0, and stops when it is within ±`minimal`.
    The rows to wait for do not depend on the difference so far, which says little as long as the
    interval contains 0.

    Args:
        difference: of B from A; positive if B is better.
        error: standard error of the difference.
        rows: of both sides together, or pairs.
        minimal: smallest difference that matters.
        alpha: probability of deciding for a side at any check although there is no difference.
        lacking: rows still to come before the interval, which is asymptotic, is valid.
    """
    needed = latest = None
    if math.isfinite(error) and rows:
        planned = planning_error(error, rows)
        needed = sample_size(planned, rows, minimal, alpha)
        latest = _rows_until(planned, rows, alpha, lambda width, _: width <= minimal / 2)
    if needed is None or latest is None or lacking or not math.isfinite(difference):
        more = max(lacking, (needed or 0) - rows, 1)
        return Verdict("wait", -math.inf, math.inf, needed, latest, more, "too few rows to judge")
    half = half_width(error, rows, alpha)
    low, high = difference - half, difference + half
    if low > 0:
        return Verdict("B", low, high, needed, latest, 0, "B is better: the interval is above 0")
    if high < 0:
        return Verdict("A", low, high, needed, latest, 0, "A is better: the interval is below 0")
    if -minimal < low and high < minimal:
        reason = "the difference is too small to matter"
        return Verdict("stop", low, high, needed, latest, 0, reason)
    more = max((needed if rows < needed else latest) - rows, 1)
    return Verdict("wait", low, high, needed, latest, more, "the interval contains 0")


def half_width(error: float, rows: float, alpha: float) -> float:
    """Return half the width of an asymptotic confidence sequence, valid at all checks together.

    Robbins' normal mixture with an estimated variance, equation 3 of Waudby-Smith, Arbour, Sinha,
    Kennedy & Ramdas 2024, Time-uniform central limit theory and asymptotic confidence sequences,
    Ann. Statist. 52:2613. The interval is about 1.5 times as wide as that
    of a single check.

    Args:
        error: standard error of the estimate.
        rows: of the estimate.
        alpha: probability that the interval misses the true value at any check.
    """
    start = -2 * math.log(alpha)
    rho = (start + math.log(start + 1)) / TIGHTEST
    grown = rows * rho + 1
    spread = error * math.sqrt(rows)
    return spread * math.sqrt(2 * grown * math.log(math.sqrt(grown) / alpha) / rho) / rows


def planning_error(error: float, rows: int) -> float:
    """Return a standard error to plan with: the estimate and twice its own error.

    That of a standard deviation of normal rows is 1 / √(2 rows) of it. Planned with the estimate
    itself, every second test would lack rows.
    """
    return error * (1 + math.sqrt(2 / rows))


def sample_size(error: float, rows: int, minimal: float, alpha: float) -> int:
    """Return the rows that find a difference of `minimal` with a probability of POWER.

    The standard error falls with the square root of the rows; the sides keep their shares.
    """
    shift = NormalDist().inv_cdf(POWER)
    return _rows_until(error, rows, alpha, lambda width, error: width + shift * error <= minimal)


def fixed_sample(error: float, rows: int, minimal: float, alpha: float) -> int | None:
    """Return the rows for a single check, planned in advance (Fleiss 1981, ch. 3)."""
    if not math.isfinite(error):
        return None
    normal = NormalDist()
    reach = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(POWER)
    return math.ceil(rows * (reach * error / minimal) ** 2)


def _rows_until(
    error: float, rows: int, alpha: float, is_enough: Callable[[float, float], bool]
) -> int:
    """Return the fewest rows for which a condition on half width and standard error holds."""

    def holds(count: int) -> bool:
        smaller = error * math.sqrt(rows / count)
        return is_enough(half_width(smaller, count, alpha), smaller)

    high = 1
    while not holds(high):
        high *= 2
        if high > 10**15:
            return high
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
