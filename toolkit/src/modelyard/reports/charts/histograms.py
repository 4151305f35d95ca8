"""Histograms: counts of bins, and shares of bins now against those before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from modelyard.reports.charts.axes import HEIGHT, Axes, Mark, axes, mark_lines
from modelyard.reports.charts.drawing import element, figure
from modelyard.reports.charts.scales import coordinate
from modelyard.reports.wording import number, percent


def histogram(
    name: str,
    title: str,
    description: str,
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    x_label: str,
    y_label: str,
    marks: Sequence[Mark] = (),
) -> Markup:
    """Draw counts between edges (one edge more than counts); empty if they do not fit together."""
    if not counts or len(edges) != len(counts) + 1 or edges[-1] <= edges[0]:
        return Markup("")
    found = axes((edges[0], edges[-1]), (0, max(*counts, 1) * 1.06), x_label, y_label)
    body = list(found.grid)
    for (left, right), count in zip(pairwise(edges), counts, strict=True):
        note = f"{number(left)} to {number(right)}: {number(count)}"
        body.append(_column(found, left, right, count, note))
    body += mark_lines(found.x, marks)
    return figure(name, title, description, HEIGHT, body)


def compared_histogram(
    name: str,
    title: str,
    description: str,
    edges: Sequence[float],
    before: Sequence[float],
    now: Sequence[float],
    *,
    x_label: str,
) -> Markup:
    """Draw shares of bins now as columns, and those before as a stepped line over them; see `histogram`."""
    if not now or not len(edges) - 1 == len(now) == len(before) or edges[-1] <= edges[0]:
        return Markup("")
    highest = max(*now, *before) * 1.08
    found = axes((edges[0], edges[-1]), (0, highest), x_label, "share of rows", y_shares=True)
    body = list(found.grid)
    base = coordinate(found.y(0))
    steps = f"M{coordinate(found.x(edges[0]))} {base}"
    for (left, right), was, share in zip(pairwise(edges), before, now, strict=True):
        note = f"{number(left)} to {number(right)}: {percent(was)} before, {percent(share)} now"
        body.append(_column(found, left, right, share, note))
        steps += f"V{coordinate(found.y(was))}H{coordinate(found.x(right))}"
    body.append(element("path", "line before", d=f"{steps}V{base}"))
    return figure(name, title, description, HEIGHT, body)


def _column(found: Axes, left: float, right: float, value: float, note: str) -> Markup:
    start, end, top = found.x(left), found.x(right), found.y(value)
    title = Markup("<title>{}</title>").format(note)
    width, height = max(end - start - 1, 0.5), max(found.y(0) - top, 0)
    return element("rect", "column", title, x=start + 0.5, y=top, width=width, height=height)
