"""Bars: shares before and now, and small bars for table cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from modelyard.errors import shortened
from modelyard.reports.charts.drawing import WIDTH, cell_figure, element, figure
from modelyard.reports.charts.scales import coordinate, position
from modelyard.reports.wording import percent


def compared_bars(
    name: str, title: str, description: str, rows: Sequence[tuple[str, float, float]]
) -> Markup:
    """Draw two bars for each label, the share before above the share now; empty without rows."""
    if not rows:
        return Markup("")
    row, top, left, right = 40, 4, 8.0, WIDTH - 64.0
    longest = max(max(before, now) for _, before, now in rows) or 1.0
    body = []
    for index, (label, before, now) in enumerate(rows):
        line = top + row * index
        body.append(element("text", "label", shortened(label, 46), x=left, y=line + 13))
        for share, css, at in ((before, "before", line + 18), (now, "challenger", line + 26)):
            width = max((right - left) * share / longest, 0.6)
            body.append(element("rect", f"bar {css}", x=left, y=at, width=width, height=7, rx=1.5))
        for share, css, at in ((now, "value", line + 32), (before, "tick", line + 15)):
            body.append(element("text", css, percent(share), x=WIDTH - 2, y=at, text_anchor="end"))
    return figure(name, title, description, top + row * len(rows) + 2, body)


def bar(
    value: float,
    domain: tuple[float, float],
    *,
    low: float | None = None,
    high: float | None = None,
    css: str = "challenger",
    reference: float | None = None,
) -> Markup:
    """Draw a bar from zero to `value` for a table cell.

    Args:
        value: the bar's end.
        domain: values at the left and the right end of the cell.
        low: lower end of the interval, drawn as whiskers if both ends are known.
        high: upper end of the interval.
        css: class that names the colour.
        reference: where to draw a dashed line.
    """
    zero, end = position(0, *domain) * 100, position(value, *domain) * 100
    start, width = coordinate(min(zero, end)), coordinate(max(abs(end - zero), 0.3))
    body = [element("rect", f"bar {css}", x=f"{start}%", width=f"{width}%", y=4, height=12, rx=2)]
    if low is not None and high is not None:
        first, last = offset(low, domain), offset(high, domain)
        body.append(element("line", "error", x1=first, x2=last, y1=10, y2=10))
        body += [element("line", "error", x1=x, x2=x, y1=6.5, y2=13.5) for x in (first, last)]
    if reference is not None:
        x = offset(reference, domain)
        body.append(element("line", "mark-line", x1=x, x2=x, y1=0, y2=20))
    return cell_figure("strip", 20, body)


def share_bar(share: float, css: str = "quiet") -> Markup:
    """Draw a share between 0 and 1 as a bar on a track."""
    track = element("rect", "track", width="100%", height=6, rx=3)
    bar = element("rect", f"bar {css}", width=offset(share, (0, 1)), height=6, rx=3)
    return cell_figure("share", 6, [track, bar])


def range_bar(low: float, mean: float, high: float) -> Markup:
    """Draw where the mean lies between the lowest and the highest value."""
    track = element("rect", "track", y=3, width="100%", height=4, rx=2)
    place = Markup('<svg x="{}" overflow="visible">{}</svg>').format(
        offset(mean, (low, high)),
        element("rect", "bar quiet", x=-1.5, width=3, height=10, rx=1.5),
    )
    return cell_figure("share", 10, [track, place])


def stack(parts: Iterable[tuple[str, float]]) -> Markup:
    """Draw parts of a whole side by side; each is a class of the style sheet and its share."""
    body, start = [], 0.0
    for css, share in parts:
        x, width = (f"{coordinate(one * 100)}%" for one in (start, share))
        body.append(element("rect", css, x=x, width=width, height=16))
        start += share
    return cell_figure("stack", 16, body)


def offset(value: float, domain: tuple[float, float]) -> str:
    """Write where a value lies in a table cell, in percent of the cell's width."""
    return f"{coordinate(position(value, *domain) * 100)}%"
