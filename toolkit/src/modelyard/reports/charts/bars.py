"""Bars: shares before and now, and small bars for table cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from modelyard.reports.charts.drawing import WIDTH, cell_figure, figure, shortened
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
        body.append(
            Markup('<text class="label" x="{}" y="{}">{}</text>').format(
                left, line + 13, shortened(label, 46)
            )
        )
        for share, css, height in ((before, "before", line + 18), (now, "challenger", line + 26)):
            body.append(
                Markup(
                    '<rect class="bar {}" x="{}" y="{}" width="{}" height="7" rx="1.5"/>'
                ).format(css, left, height, coordinate(max((right - left) * share / longest, 0.6)))
            )
        for share, css, height in ((now, "value", line + 32), (before, "tick", line + 15)):
            body.append(
                Markup('<text class="{}" x="{}" y="{}" text-anchor="end">{}</text>').format(
                    css, WIDTH - 2, height, percent(share)
                )
            )
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
    body = [
        Markup('<rect class="bar {}" x="{}%" width="{}%" y="4" height="12" rx="2"/>').format(
            css, coordinate(min(zero, end)), coordinate(max(abs(end - zero), 0.3))
        )
    ]
    if low is not None and high is not None:
        body.append(
            Markup(
                '<line class="error" x1="{0}" x2="{1}" y1="10" y2="10"/>'
                '<line class="error" x1="{0}" x2="{0}" y1="6.5" y2="13.5"/>'
                '<line class="error" x1="{1}" x2="{1}" y1="6.5" y2="13.5"/>'
            ).format(offset(low, domain), offset(high, domain))
        )
    if reference is not None:
        body.append(
            Markup('<line class="mark-line" x1="{0}" x2="{0}" y1="0" y2="20"/>').format(
                offset(reference, domain)
            )
        )
    return cell_figure("strip", 20, body)


def share_bar(share: float, css: str = "quiet") -> Markup:
    """Draw a share between 0 and 1 as a bar on a track."""
    return cell_figure(
        "share",
        6,
        [
            Markup('<rect class="track" width="100%" height="6" rx="3"/>'),
            Markup('<rect class="bar {}" width="{}" height="6" rx="3"/>').format(
                css, offset(share, (0, 1))
            ),
        ],
    )


def range_bar(low: float, mean: float, high: float) -> Markup:
    """Draw where the mean lies between the lowest and the highest value."""
    return cell_figure(
        "share",
        10,
        [
            Markup('<rect class="track" y="3" width="100%" height="4" rx="2"/>'),
            Markup('<svg x="{}" overflow="visible">{}</svg>').format(
                offset(mean, (low, high)),
                Markup('<rect class="bar quiet" x="-1.5" width="3" height="10" rx="1.5"/>'),
            ),
        ],
    )


def stack(parts: Iterable[tuple[str, float]]) -> Markup:
    """Draw parts of a whole side by side; each is a class of the style sheet and its share."""
    body, start = [], 0.0
    for css, share in parts:
        body.append(
            Markup('<rect class="{}" x="{}%" width="{}%" height="16"/>').format(
                css, coordinate(start * 100), coordinate(share * 100)
            )
        )
        start += share
    return cell_figure("stack", 16, body)


def offset(value: float, domain: tuple[float, float]) -> str:
    """Write where a value lies in a table cell, in percent of the cell's width."""
    return f"{coordinate(position(value, *domain) * 100)}%"
