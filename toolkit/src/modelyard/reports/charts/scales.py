"""Scales of charts: ranges, ticks and their labels, and coordinates in the drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from modelyard.reports.wording import fixed, number

_SMALLEST_SPAN = 1e-290  # dividing by less overflows


class Scale(NamedTuple):
    """A linear scale from the values `low` to `high` to the coordinates `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value; one outside the range is drawn at the nearer end."""
        return self.start + (self.end - self.start) * position(value, self.low, self.high)


def position(value: float, low: float, high: float) -> float:
    """Return where a value lies between low (0) and high (1); 0.5 if the range is empty."""
    span = high - low
    if not (_SMALLEST_SPAN < span < math.inf):
        return 0.5
    return min(max((value - low) / span, 0.0), 1.0)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Choose about `count` round numbers (1, 2 or 5 times a power of ten) from low to high."""
    span = high - low
    if not (_SMALLEST_SPAN < span < math.inf):
        return [low]
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next((nice for nice in (1, 2, 5) if nice * power >= rough * 0.999), 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    found = [index * step for index in range(first, min(last, first + 3 * count) + 1)]
    return found if len(set(found)) > 1 else [low, high]


def padded(values: Sequence[float], by: float) -> tuple[float, float]:
    """Return the range of `values`, wider at both ends by a share of itself; never empty."""
    low, high = min(values), max(values)
    span = high - low
    if not (_SMALLEST_SPAN < span < math.inf):
        span = max(abs(low) * 0.2, _SMALLEST_SPAN * 10) if low else 1.0
        return low - span / 2, high + span / 2
    return low - span * by, high + span * by


def tick_labels(values: Sequence[float]) -> list[str]:
    """Write the numbers of an axis with the same decimals, and `k` and `M` for large ones."""
    largest = max((abs(value) for value in values), default=0)
    if largest >= 1e9 or 0 < largest < 1e-4:
        return [number(value, 2) for value in values]
    unit, suffix = next(
        ((unit, suffix) for unit, suffix in ((1e6, "M"), (1e3, "k")) if largest >= 10 * unit),
        (1.0, ""),
    )
    scaled = [value / unit for value in values]
    gap = min((b - a for a, b in pairwise(scaled) if b > a), default=1.0)
    decimals = min(max(-math.floor(math.log10(gap) + 1e-9), 0), 6)
    while decimals < 6 and any(abs(round(v, decimals) - v) > gap / 100 for v in scaled):
        decimals += 1
    return [f"{fixed(v, decimals)}{suffix if round(v, decimals) else ''}" for v in scaled]


def percent_labels(values: Sequence[float]) -> list[str]:
    """Write the shares of an axis as percent."""
    return [f"{label}%" for label in tick_labels([value * 100 for value in values])]


def coordinate(value: float) -> str:
    """Write a coordinate with at most one decimal."""
    written = f"{value:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written
