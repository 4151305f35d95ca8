"""Axes of a chart: two scales with grid lines, labels and marked values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from modelyard.reports.charts.drawing import WIDTH, horizontal_grid
from modelyard.reports.charts.scales import (
    Scale,
    coordinate,
    percent_labels,
    tick_labels,
    ticks,
)

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
        Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            coordinate(x(value)), HEIGHT - _BOTTOM + 18, label
        )
        for value, label in zip(x_ticks, x_labels, strict=True)
    ]
    grid.append(
        Markup(
            '<text class="axis" x="0" y="14">{}</text>'
            '<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>'
        ).format(y_label, WIDTH - _RIGHT, HEIGHT - 8, x_label)
    )
    return Axes(x, y, grid)


def mark_lines(x: Scale, marks: Sequence[Mark]) -> list[Markup]:
    """Draw the marks that lie within the axis, each with its text on the side with more room."""
    drawn = []
    for mark in marks:
        if not x.low <= mark.value <= x.high:
            continue
        across = x(mark.value)
        right_half = across > (x.start + WIDTH) / 2
        drawn.append(
            Markup(
                '<line class="mark-line" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
                '<text class="note" x="{3}" y="{4}" text-anchor="{5}">{6}</text>'
            ).format(
                coordinate(across),
                _TOP,
                HEIGHT - _BOTTOM,
                coordinate(across + (-6 if right_half else 6)),
                _TOP + 11,
                "end" if right_half else "start",
                mark.text,
            )
        )
    return drawn
