"""Line charts: series over two axes, and a value over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from modelyard.reports.charts.axes import HEIGHT, Axes, Mark, axes, mark_lines
from modelyard.reports.charts.drawing import (
    WIDTH,
    element,
    figure,
    horizontal_grid,
    line_path,
    symbol_with_note,
)
from modelyard.reports.charts.scales import Scale, coordinate, padded, tick_labels, ticks


class Point(NamedTuple):
    """A point, with the interval of `y` if it has one, and the text shown on hovering."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""


class Series(NamedTuple):
    """Points of one colour; `css` is the class that names it, `dotted` whether points get symbols."""

    label: str
    css: str
    points: Sequence[Point]
    dotted: bool = True


class Moment(NamedTuple):
    """A value at a time; `beyond` if it is on the wrong side of its limit."""

    x: float
    y: float
    label: str
    beyond: bool = False
    note: str = ""


def plot(
    name: str,
    title: str,
    description: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    diagonal: bool = False,
    marks: Sequence[Mark] = (),
    dots: bool = True,
    shares: bool = False,
) -> Markup:
    """Draw series over two axes, joined by lines, the last on top; empty without a point.

    The axes end where the points and their intervals do unless ranges are given. `diagonal` draws the line where
    x equals y, `dots` a symbol at every point, `shares` writes both axes as percent.
    """
    points = [point for line in series for point in line.points]
    if not points:
        return Markup("")
    ends = [end for point in points for end in (point.y, point.low, point.high) if end is not None]
    found = axes(
        x_range or padded([point.x for point in points], 0),
        y_range or padded(ends, 0.06),
        x_label,
        y_label,
        x_shares=shares,
        y_shares=shares,
    )
    body = list(found.grid)
    if diagonal:
        low = max(found.x.low, found.y.low)
        high = min(found.x.high, found.y.high)
        if low < high:
            start, end = (
                f"{coordinate(found.x(at))} {coordinate(found.y(at))}" for at in (low, high)
            )
            body.append(element("path", "reference", d=f"M{start}L{end}"))
    body += mark_lines(found.x, marks)
    for line in series:
        body += _line(found, line, dots and line.dotted)
    return figure(name, title, description, HEIGHT, body)


def _line(found: Axes, series: Series, dots: bool) -> list[Markup]:
    drawn = [line_path(series.css, ((found.x(p.x), found.y(p.y)) for p in series.points))]
    whiskers = "".join(
        f"M{coordinate(found.x(point.x))} {coordinate(found.y(point.low))}V{coordinate(found.y(point.high))}"
        for point in series.points
        if point.low is not None and point.high is not None
    )
    if whiskers:
        drawn.append(element("path", f"whisker {series.css}", d=whiskers))
    if dots:
        drawn += [
            symbol_with_note(series.css, found.x(point.x), found.y(point.y), point.note)
            for point in series.points
        ]
    return drawn


def trend(
    name: str, title: str, description: str, points: Sequence[Moment], limit: float
) -> Markup:
    """Draw a value over time with its limit as a dashed line; empty without points.

    As many of the points' labels are written as fit, always the last one.
    """
    if not points:
        return Markup("")
    height, top, bottom = 240, 18, 32
    left, right = 44.0, WIDTH - 14.0
    low, high = padded([*(p.y for p in points), limit, 0.0], 0.08)
    low = 0.0 if min(*(p.y for p in points), limit) >= 0 else low
    times = [point.x for point in points]
    x = Scale(min(times), max(times), left if len(points) > 1 else right, right)
    y = Scale(low, high, height - bottom, top)
    y_ticks = ticks(low, high, 4)
    body = horizontal_grid(left, right, y, y_ticks, tick_labels(y_ticks))
    body.append(element("line", "limit", x1=left, x2=right, y1=y(limit), y2=y(limit)))
    body.append(line_path("challenger", ((x(p.x), y(p.y)) for p in points)))
    free = math.inf
    for point in reversed(points):
        across, width = x(point.x), 7.4 * len(point.label)
        if across <= free:
            last = free == math.inf
            away, anchor = (4, "end") if last else (0, "middle")
            body.append(
                element(
                    "text", "tick", point.label, x=across + away, y=height - 8, text_anchor=anchor
                )
            )
            free = across - width * (1.5 if last else 1) - 6
        css = "bad" if point.beyond else "challenger"
        body.append(symbol_with_note(css, across, y(point.y), point.note))
    return figure(name, title, description, height, body)


def sparkline(values: Sequence[float], limit: float) -> Markup:
    """Draw a value over time for a table cell, its limit dashed; empty with fewer than two values."""
    if len(values) < 2:
        return Markup("")
    y = Scale(*padded([*values, limit], 0.12), 24, 0)
    points = [(100 * at / (len(values) - 1), y(value)) for at, value in enumerate(values)]
    return Markup(
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true" '
        'focusable="false">{}{}</svg>'
    ).format(
        element("path", "limit", d=f"M0 {coordinate(y(limit))}H100"),
        line_path("challenger", points),
    )
