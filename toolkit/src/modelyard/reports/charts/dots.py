"""Dot plots: values with their intervals, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from modelyard.errors import shortened
from modelyard.reports.charts.bars import offset
from modelyard.reports.charts.drawing import (
    WIDTH,
    cell_figure,
    element,
    figure,
    symbol,
    vertical_grid,
)
from modelyard.reports.charts.scales import (
    Scale,
    coordinate,
    padded,
    percent_labels,
    tick_labels,
    ticks,
)

_ARROW_LEFT, _ARROW_RIGHT = "M3-4.5L-2 0L3 4.5", "M-3-4.5L2 0L-3 4.5"


class Dot(NamedTuple):
    """A value with its interval, drawn as a dot with whiskers."""

    label: str
    css: str
    value: float
    low: float | None = None
    high: float | None = None
    text: str = ""

    @property
    def ends(self) -> list[float]:
        """The value and the known ends of its interval."""
        return [end for end in (self.value, self.low, self.high) if end is not None]


def dot_rows(name: str, title: str, description: str, dots: Sequence[Dot]) -> Markup:
    """Draw one labelled row for each dot over a shared axis; empty without dots."""
    if not dots:
        return Markup("")
    row, top, left, right = 46, 8, 8.0, WIDTH - 8.0
    bottom = top + row * len(dots)
    x = Scale(*padded([end for dot in dots for end in dot.ends], 0.1), left, right)
    values = ticks(x.low, x.high)
    body = vertical_grid(x, top, bottom, 18, values, tick_labels(values))
    for index, dot in enumerate(dots):
        line = top + row * index + 32
        body.append(element("text", "label", dot.label, x=left, y=line - 17))
        body.append(element("text", "value", dot.text, x=right, y=line - 17, text_anchor="end"))
        body += _dot_with_whiskers(dot, x, line)
    return figure(name, title, description, bottom + 26, body)


def interval_rows(
    name: str,
    title: str,
    description: str,
    dots: Sequence[Dot],
    *,
    reference: float | None = None,
    shares: bool = False,
) -> Markup:
    """Draw one line for each dot, its label to the left and its text to the right.

    For many groups side by side; `dot_rows` has larger rows for a few models. A dashed line is drawn at
    `reference`, such as the value of all rows.
    """
    if not dots:
        return Markup("")
    labels = [shortened(dot.label, 22) for dot in dots]
    left = min(14 + 7.4 * max(map(len, labels)), 170.0)
    right = WIDTH - 12 - 7.6 * max(len(dot.text) for dot in dots)
    row, top = 25, 6
    bottom = top + row * len(dots)
    ends = [end for dot in dots for end in dot.ends]
    x = Scale(*padded([*ends, *([] if reference is None else [reference])], 0.06), left, right)
    values = ticks(x.low, x.high, 4)
    write = percent_labels if shares else tick_labels
    body = vertical_grid(x, top, bottom, 17, values, write(values))
    if reference is not None:
        at = x(reference)
        body.append(element("line", "reference", x1=at, x2=at, y1=top, y2=bottom))
    for index, (dot, label) in enumerate(zip(dots, labels, strict=True)):
        line = top + row * (index + 0.5)
        for end, words in ((left - 12, label), (WIDTH, dot.text)):
            body.append(element("text", "label", words, x=end, y=line + 4.5, text_anchor="end"))
        body += _dot_with_whiskers(dot, x, line)
    return figure(name, title, description, bottom + 24, body)


def strip(
    dots: Sequence[Dot], domain: tuple[float, float], *, reference: float | None = None
) -> Markup:
    """Draw dots with whiskers for a table cell, each on a line of its own, and a dashed line at `reference`.

    One outside the domain, the values at the two ends of the cell, becomes an arrow at its end.
    """
    row = 13
    height = row * max(len(dots), 1) + 9
    body = [element("rect", "plate", width="100%", height=height, rx=4)]
    if reference is not None:
        at = offset(reference, domain)
        body.append(element("line", "reference", x1=at, x2=at, y1=0, y2=height))
    for index, dot in enumerate(dots):
        line = coordinate(row * (index + 0.5) + 4.5)
        if dot.low is not None and dot.high is not None:
            low, high = offset(dot.low, domain), offset(dot.high, domain)
            body.append(element("line", f"whisker {dot.css}", x1=low, x2=high, y1=line, y2=line))
        sign = symbol(dot.css)
        if not domain[0] <= dot.value <= domain[1]:
            arrow = _ARROW_LEFT if dot.value < domain[0] else _ARROW_RIGHT
            sign = element("path", f"beyond {dot.css}", d=arrow)
        body.append(
            Markup('<svg x="{}" y="{}" overflow="visible">{}</svg>').format(
                offset(dot.value, domain), line, sign
            )
        )
    return cell_figure("strip", height, body)


def _dot_with_whiskers(dot: Dot, x: Scale, line: float) -> list[Markup]:
    drawn = []
    if dot.low is not None and dot.high is not None:
        path = f"M{coordinate(x(dot.low))} {coordinate(line)}H{coordinate(x(dot.high))}"
        drawn.append(element("path", f"whisker {dot.css}", d=path))
    return [*drawn, symbol(dot.css, x(dot.value), line)]
