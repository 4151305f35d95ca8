"""Axes of a chart: two scales with grid lines, labels and marked values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from modelyard.reports.charts.drawing import WIDTH, element, horizontal_grid
from modelyard.reports.charts.scales import Scale, percent_labels, tick_labels, ticks

HEIGHT = 320
_TOP, _RIGHT, _BOTTOM = 32, 16, 46


class Mark(NamedTuple):
    """A vertical line at a value, with the text beside it."""

    value: float
    text: str


class Axes(NamedTuple):
    """The scales of a chart, and the grid lines and labels that belong to them."""

    x: Scale
    y: Scale
    grid: list[Markup]


def axes(
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    x_label: str,
    y_label: str,
    *,
    x_shares: bool = False,
    y_shares: bool = False,
) -> Axes:
    """Lay out the axes of a chart; an axis of shares is written as percent."""
    y_ticks, x_ticks = ticks(*y_range), ticks(*x_range)
    y_labels = (percent_labels if y_shares else tick_labels)(y_ticks)
    x_labels = (percent_labels if x_shares else tick_labels)(x_ticks)
    left = 16 + 6.6 * max(map(len, y_labels))
    x = Scale(*x_range, left, WIDTH - _RIGHT)
    y = Scale(*y_range, HEIGHT - _BOTTOM, _TOP)
    grid = horizontal_grid(left, WIDTH - _RIGHT, y, y_ticks, y_labels)
    grid += [
        element("text", "tick", label, x=x(value), y=HEIGHT - _BOTTOM + 18, text_anchor="middle")
        for value, label in zip(x_ticks, x_labels, strict=True)
    ]
    grid.append(element("text", "axis", y_label, x=0, y=14))
    grid.append(element("text", "axis", x_label, x=WIDTH - _RIGHT, y=HEIGHT - 8, text_anchor="end"))
    return Axes(x, y, grid)


def mark_lines(x: Scale, marks: Sequence[Mark]) -> list[Markup]:
    """Draw the marks that lie within the axis, each with its text on the side with more room."""
    drawn = []
    for mark in marks:
        if not x.low <= mark.value <= x.high:
            continue
        across = x(mark.value)
        away, anchor = (-6, "end") if across > (x.start + WIDTH) / 2 else (6, "start")
        drawn += [
            element("line", "mark-line", x1=across, x2=across, y1=_TOP, y2=HEIGHT - _BOTTOM),
            element("text", "note", mark.text, x=across + away, y=_TOP + 11, text_anchor=anchor),
        ]
    return drawn
