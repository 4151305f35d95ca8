"""Small charts as inline SVG: no library and no script; colours come from the page's style sheet.

Two kinds: figures with axes (a fixed view box that scales) and strips for table cells (as wide as
their cell, positions in percent). Figures carry a title and a description for screen readers;
strips are hidden from them, because the cell beside them holds the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from modelyard.reports.wording import fixed, number, percent

WIDTH = 440
HEIGHT = 320
_NARROWEST = 1e-290
_TOP, _RIGHT, _BOTTOM = 32, 16, 46
_CIRCLE = "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z"
_DIAMOND = "M0-6L6 0L0 6L-6 0z"
_SHAPES = {"champion": _DIAMOND}
_LEFT, _RIGHTWARDS = "M3-4.5L-2 0L3 4.5", "M-3-4.5L2 0L-3 4.5"


class Point(NamedTuple):
    """A point, with the interval of `y` where there is one, and what hovering it says."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""


class Series(NamedTuple):
    """Points of one colour; `css` is the class that names it, `dotted` whether points may have marks."""

    label: str
    css: str
    points: Sequence[Point]
    dotted: bool = True


class Dot(NamedTuple):
    """A value with its interval, drawn as a dot with whiskers."""

    label: str
    css: str
    value: float
    low: float | None = None
    high: float | None = None
    text: str = ""


class Moment(NamedTuple):
    """A value at a time; `beyond` where it is on the wrong side of its limit."""

    x: float
    y: float
    label: str
    beyond: bool = False
    note: str = ""


class Mark(NamedTuple):
    """A line across the whole chart, with the text beside it."""

    value: float
    text: str


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Choose about `count` round numbers (1, 2 or 5 times a power of ten) from low to high."""
    span = high - low
    if not (_NARROWEST < span < math.inf):
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
    if not (_NARROWEST < span < math.inf):
        span = max(abs(low) * 0.2, _NARROWEST * 10) if low else 1.0
        return low - span / 2, high + span / 2
    return low - span * by, high + span * by


def tick_labels(values: Sequence[float]) -> list[str]:
    """Write the numbers of an axis alike: the same decimals, `k` and `M` for thousands."""
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
    """Draw series over two axes, joined by lines.

    Args:
        name: unique in the page; ids are made from it.
        title: what the chart shows.
        description: what a person who cannot see it should know.
        series: drawn in order, the last on top.
        x_label: under the axis.
        y_label: above the axis.
        x_range: ends of the axis; from the points if None.
        y_range: as `x_range`; intervals count as points.
        diagonal: draws where x equals y.
        marks: vertical lines.
        dots: draws a mark at every point.
        shares: writes both axes as percent.

    Returns:
        The SVG; empty when there is no point to draw.
    """
    points = [point for line in series for point in line.points]
    if not points:
        return Markup("")
    ends = [end for point in points for end in (point.y, point.low, point.high) if end is not None]
    axes = _axes(
        x_range or padded([point.x for point in points], 0),
        y_range or padded(ends, 0.06),
        x_label,
        y_label,
        shares,
    )
    body = list(axes.grid)
    if diagonal:
        low = max(axes.x_range[0], axes.y_range[0])
        high = min(axes.x_range[1], axes.y_range[1])
        if low < high:
            path = f"M{coordinate(axes.x(low))} {coordinate(axes.y(low))}L{coordinate(axes.x(high))} {coordinate(axes.y(high))}"
            body.append(Markup('<path class="reference" d="{}"/>').format(path))
    body += _verticals(axes, marks)
    for line in series:
        body += _line(axes, line, dots and line.dotted)
    return _figure(name, title, description, HEIGHT, body)


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
    """Draw counts between edges (one edge more than counts); empty when they do not fit."""
    if not counts or len(edges) != len(counts) + 1 or edges[-1] <= edges[0]:
        return Markup("")
    axes = _axes((edges[0], edges[-1]), (0, max(*counts, 1) * 1.06), x_label, y_label)
    body = list(axes.grid)
    base = axes.y(0)
    for (left, right), count in zip(pairwise(edges), counts, strict=True):
        start, top = axes.x(left), axes.y(count)
        note = f"{number(left)} to {number(right)}: {number(count)}"
        body.append(
            Markup(
                '<rect class="column" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
            ).format(
                coordinate(start + 0.5),
                coordinate(top),
                coordinate(max(axes.x(right) - start - 1, 0.5)),
                coordinate(max(base - top, 0)),
                note,
            )
        )
    body += _verticals(axes, marks)
    return _figure(name, title, description, HEIGHT, body)


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
    """Draw shares of bins now as columns, and those before as a line of steps over them.

    Args:
        name: unique in the page.
        title: what the chart shows.
        description: what a person who cannot see it should know.
        edges: of the bins, one more than shares.
        before: share of each bin, between 0 and 1.
        now: likewise.
        x_label: under the axis.

    Returns:
        The SVG; empty where the numbers do not fit each other.
    """
    if not now or not len(edges) - 1 == len(now) == len(before) or edges[-1] <= edges[0]:
        return Markup("")
    highest = max(*now, *before) * 1.08
    axes = _axes((edges[0], edges[-1]), (0, highest), x_label, "share of rows", up_shares=True)
    body = list(axes.grid)
    base = axes.y(0)
    steps = f"M{coordinate(axes.x(edges[0]))} {coordinate(base)}"
    for (left, right), was, share in zip(pairwise(edges), before, now, strict=True):
        start, end, top = axes.x(left), axes.x(right), axes.y(share)
        note = f"{number(left)} to {number(right)}: {percent(was)} before, {percent(share)} now"
        body.append(
            Markup(
                '<rect class="column" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
            ).format(
                coordinate(start + 0.5),
                coordinate(top),
                coordinate(max(end - start - 1, 0.5)),
                coordinate(max(base - top, 0)),
                note,
            )
        )
        steps += f"V{coordinate(axes.y(was))}H{coordinate(end)}"
    body.append(Markup('<path class="line before" d="{}"/>').format(f"{steps}V{coordinate(base)}"))
    return _figure(name, title, description, HEIGHT, body)


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
        shown = label if len(label) <= 46 else label[:45] + "…"
        body.append(
            Markup('<text class="label" x="{}" y="{}">{}</text>').format(left, line + 13, shown)
        )
        for share, css, height in ((before, "before", line + 18), (now, "challenger", line + 26)):
            body.append(
                Markup(
                    '<rect class="bar {}" x="{}" y="{}" width="{}" height="7" rx="1.5"/>'
                ).format(css, left, height, coordinate(max((right - left) * share / longest, 0.6)))
            )
        body.append(
            Markup('<text class="value" x="{}" y="{}" text-anchor="end">{}</text>').format(
                WIDTH - 2, line + 32, percent(now)
            )
        )
        body.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>').format(
                WIDTH - 2, line + 15, percent(before)
            )
        )
    return _figure(name, title, description, top + row * len(rows) + 2, body)


def trend(
    name: str,
    title: str,
    description: str,
    points: Sequence[Moment],
    limit: float,
) -> Markup:
    """Draw a value over time with its limit as a dashed line; empty without points.

    Args:
        name: unique in the page.
        title: what the chart shows.
        description: what a person who cannot see it should know.
        points: from the first to the last, x in any unit; of their labels as many as fit are
            written, the last one always.
        limit: where to draw the dashed line.
    """
    if not points:
        return Markup("")
    height, top, bottom = 240, 18, 32
    span = (min(p.x for p in points), max(p.x for p in points))
    low, high = padded([*(p.y for p in points), limit, 0.0], 0.08)
    low = 0.0 if min(*(p.y for p in points), limit) >= 0 else low
    left, right = 44.0, WIDTH - 14.0

    def x(value: float) -> float:
        return left + (right - left) * (_share(value, *span) if len(points) > 1 else 1.0)

    def y(value: float) -> float:
        return top + (height - top - bottom) * (1 - _share(value, low, high))

    body = []
    ups = ticks(low, high, 4)
    for value, label in zip(ups, tick_labels(ups), strict=True):
        body.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
                '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
            ).format(
                left,
                right,
                coordinate(y(value)),
                coordinate(y(value)),
                left - 8,
                coordinate(y(value) + 4),
                label,
            )
        )
    body.append(
        Markup('<line class="limit" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            left, right, coordinate(y(limit)), coordinate(y(limit))
        )
    )
    path = "".join(
        f"{'L' if index else 'M'}{coordinate(x(p.x))} {coordinate(y(p.y))}"
        for index, p in enumerate(points)
    )
    body.append(Markup('<path class="line challenger" d="{}"/>').format(path))
    free = math.inf
    for point in reversed(points):
        across, width = x(point.x), 7.4 * len(point.label)
        if across <= free:
            anchor = "end" if free == math.inf else "middle"
            body.append(
                Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                    coordinate(across + (4 if anchor == "end" else 0)),
                    height - 8,
                    anchor,
                    point.label,
                )
            )
            free = across - width * (1.5 if anchor == "end" else 1) - 6
        css = "bad" if point.beyond else "challenger"
        note = Markup("<title>{}</title>").format(point.note) if point.note else Markup("")
        body.append(Markup("<g>{}{}</g>").format(note, _mark(css, across, y(point.y))))
    return _figure(name, title, description, height, body)


def sparkline(values: Sequence[float], limit: float) -> Markup:
    """Draw a value over time for a table cell, its limit dashed; empty with fewer than two values."""
    if len(values) < 2:
        return Markup("")
    low, high = padded([*values, limit], 0.12)
    points = [
        f"{coordinate(100 * index / (len(values) - 1))} {coordinate(24 * (1 - _share(value, low, high)))}"
        for index, value in enumerate(values)
    ]
    across = coordinate(24 * (1 - _share(limit, low, high)))
    return Markup(
        '<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true" '
        'focusable="false"><path class="limit" d="M0 {0}H100"/><path class="line challenger" '
        'd="M{1}"/></svg>'
    ).format(across, "L".join(points))


def dot_rows(name: str, title: str, description: str, dots: Sequence[Dot]) -> Markup:
    """Draw one labelled row for each dot over a shared axis; empty without dots."""
    if not dots:
        return Markup("")
    row, top = 46, 8
    height = top + row * len(dots) + 26
    low, high = padded([end for dot in dots for end in _ends(dot)], 0.1)
    left, right = 8.0, WIDTH - 8.0
    bottom = top + row * len(dots)

    def x(value: float) -> float:
        return left + (right - left) * _share(value, low, high)

    body = []
    values = ticks(low, high)
    for value, label in zip(values, tick_labels(values), strict=True):
        body.append(
            Markup(
                '<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
                '<text class="tick" x="{0}" y="{3}" text-anchor="middle">{4}</text>'
            ).format(coordinate(x(value)), top, bottom, bottom + 18, label)
        )
    for index, dot in enumerate(dots):
        line = top + row * index + 32
        body.append(
            Markup(
                '<text class="label" x="{}" y="{}">{}</text>'
                '<text class="value" x="{}" y="{}" text-anchor="end">{}</text>'
            ).format(left, line - 17, dot.label, right, line - 17, dot.text)
        )
        if dot.low is not None and dot.high is not None:
            body.append(
                Markup('<path class="whisker {}" d="M{} {}H{}"/>').format(
                    dot.css, coordinate(x(dot.low)), line, coordinate(x(dot.high))
                )
            )
        body.append(_mark(dot.css, x(dot.value), line))
    return _figure(name, title, description, height, body)


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

    For many groups side by side; `dot_rows` has larger rows for a few models.

    Args:
        name: unique in the page.
        title: what the chart shows.
        description: what a person who cannot see it should know.
        dots: from the top down.
        reference: where to draw a dashed line, such as the value of all rows.
        shares: writes the axis as percent.
    """
    if not dots:
        return Markup("")
    labels = [dot.label if len(dot.label) <= 22 else dot.label[:21] + "…" for dot in dots]
    left = min(14 + 7.4 * max(map(len, labels)), 170.0)
    right = WIDTH - 12 - 7.6 * max(len(dot.text) for dot in dots)
    row, top = 25, 6
    bottom = top + row * len(dots)
    ends = [end for dot in dots for end in _ends(dot)]
    low, high = padded([*ends, *([] if reference is None else [reference])], 0.06)

    def x(value: float) -> float:
        return left + (right - left) * _share(value, low, high)

    body = []
    values = ticks(low, high, 4)
    write = _percents if shares else tick_labels
    for value, label in zip(values, write(values), strict=True):
        body.append(
            Markup(
                '<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
                '<text class="tick" x="{0}" y="{3}" text-anchor="middle">{4}</text>'
            ).format(coordinate(x(value)), top, bottom, bottom + 17, label)
        )
    if reference is not None:
        body.append(
            Markup('<line class="reference" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
                coordinate(x(reference)), top, bottom
            )
        )
    for index, (dot, label) in enumerate(zip(dots, labels, strict=True)):
        line = top + row * (index + 0.5)
        body.append(
            Markup(
                '<text class="label" x="{}" y="{}" text-anchor="end">{}</text>'
                '<text class="label" x="{}" y="{}" text-anchor="end">{}</text>'
            ).format(
                coordinate(left - 12),
                coordinate(line + 4.5),
                label,
                WIDTH,
                coordinate(line + 4.5),
                dot.text,
            )
        )
        if dot.low is not None and dot.high is not None:
            body.append(
                Markup('<path class="whisker {}" d="M{} {}H{}"/>').format(
                    dot.css, coordinate(x(dot.low)), coordinate(line), coordinate(x(dot.high))
                )
            )
        body.append(_mark(dot.css, x(dot.value), line))
    return _figure(name, title, description, bottom + 24, body)


def heatmap(
    name: str,
    title: str,
    description: str,
    labels: Sequence[str],
    matrix: Sequence[Sequence[float]],
) -> Markup:
    """Draw a square matrix, each row shaded by its own shares, for too many classes to print.

    Args:
        name: unique in the page.
        title: what the chart shows.
        description: what a person who cannot see it should know.
        labels: of the rows and the columns.
        matrix: counts; rows are the actual classes, columns the predicted ones.
    """
    size = len(labels)
    if not size or len(matrix) != size:
        return Markup("")
    cell = min(max(560 / size, 9), 26)
    shown = [label if len(label) <= 14 else label[:13] + "…" for label in labels]
    margin = 14 + 6.2 * max(map(len, shown))
    extent = cell * size
    levels: dict[int, list[str]] = {}
    for row, counts in enumerate(matrix):
        total = sum(counts)
        for column, count in enumerate(counts[:size]):
            if count > 0 and total > 0:
                step = f"M{coordinate(margin + column * cell)} {coordinate(margin + row * cell)}"
                side = coordinate(cell - 0.6)
                levels.setdefault(shade(count / total), []).append(f"{step}h{side}v{side}h-{side}z")
    body = [
        Markup('<rect class="plate" x="{}" y="{}" width="{}" height="{}"/>').format(
            coordinate(margin), coordinate(margin), coordinate(extent), coordinate(extent)
        )
    ]
    for level, steps in sorted(levels.items()):
        body.append(Markup('<path class="heat{}" d="{}"/>').format(level, "".join(steps)))
    every = math.ceil(12 / cell)
    for index, label in enumerate(shown):
        if index % every:
            continue
        middle = margin + (index + 0.5) * cell
        body.append(
            Markup(
                '<text class="tick" x="{0}" y="{1}" text-anchor="end">{2}</text>'
                '<text class="tick" transform="translate({3} {0}) rotate(-90)">{2}</text>'
            ).format(
                coordinate(margin - 5), coordinate(middle + 3.5), label, coordinate(middle + 3.5)
            )
        )
    whole = margin + extent + 6
    return _figure(name, title, description, whole, body, width=whole)


def strip(
    dots: Sequence[Dot],
    domain: tuple[float, float],
    *,
    reference: float | None = None,
) -> Markup:
    """Draw dots with whiskers, each in its own lane.

    Args:
        dots: one lane each; one that lies outside the domain becomes an arrow at its end.
        domain: values at the left and the right end.
        reference: where to draw a dashed line, such as zero.
    """
    lane = 13
    height = lane * max(len(dots), 1) + 9
    body = [Markup('<rect class="plate" width="100%" height="{}" rx="4"/>').format(height)]
    if reference is not None:
        body.append(
            Markup('<line class="reference" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(
                _at(reference, domain), height
            )
        )
    for index, dot in enumerate(dots):
        middle = coordinate(lane * (index + 0.5) + 4.5)
        if dot.low is not None and dot.high is not None:
            body.append(
                Markup('<line class="whisker {}" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                    dot.css, _at(dot.low, domain), _at(dot.high, domain), middle, middle
                )
            )
        sign = _mark(dot.css)
        if not domain[0] <= dot.value <= domain[1]:
            arrow = _LEFT if dot.value < domain[0] else _RIGHTWARDS
            sign = Markup('<path class="beyond {}" d="{}"/>').format(dot.css, arrow)
        body.append(
            Markup('<svg x="{}" y="{}" overflow="visible">{}</svg>').format(
                _at(dot.value, domain), middle, sign
            )
        )
    return _strip("strip", height, body)


def bar(
    value: float,
    domain: tuple[float, float],
    *,
    low: float | None = None,
    high: float | None = None,
    css: str = "challenger",
    reference: float | None = None,
) -> Markup:
    """Draw a bar from zero to `value`, with whiskers where there is an interval.

    `reference` is where to draw a dashed line.
    """
    zero, end = _part(0, domain), _part(value, domain)
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
            ).format(_at(low, domain), _at(high, domain))
        )
    if reference is not None:
        body.append(
            Markup('<line class="mark-line" x1="{0}" x2="{0}" y1="0" y2="20"/>').format(
                _at(reference, domain)
            )
        )
    return _strip("strip", 20, body)


def share_bar(share: float, css: str = "quiet") -> Markup:
    """Draw a share between 0 and 1 as a bar on a track."""
    return _strip(
        "share",
        6,
        [
            Markup('<rect class="track" width="100%" height="6" rx="3"/>'),
            Markup('<rect class="bar {}" width="{}" height="6" rx="3"/>').format(
                css, _at(share, (0, 1))
            ),
        ],
    )


def range_bar(low: float, mean: float, high: float) -> Markup:
    """Draw where the mean lies between the lowest and the highest value."""
    return _strip(
        "share",
        10,
        [
            Markup('<rect class="track" y="3" width="100%" height="4" rx="2"/>'),
            Markup('<svg x="{}" overflow="visible">{}</svg>').format(
                _at(mean, (low, high)),
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
    return _strip("stack", 16, body)


def key(css: str, *, dot: bool = True) -> Markup:
    """Draw the sign of a series for a legend: its line, and its mark if the chart has them."""
    return Markup(
        '<svg class="key" width="26" height="14" aria-hidden="true" focusable="false">'
        '<path class="line {}" d="M0 7H26"/>{}</svg>'
    ).format(css, _mark(css, 13, 7) if dot else "")


def shade(share: float) -> int:
    """Return the shade, 0 to 8, for a share between 0 and 1; only nothing at all is 0."""
    return min(max(math.ceil(share * 8), 0), 8)


class _Axes(NamedTuple):
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    left: float
    grid: list[Markup]

    def x(self, value: float) -> float:
        return self.left + (WIDTH - _RIGHT - self.left) * _share(value, *self.x_range)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * _share(value, *self.y_range)


def _axes(
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    x_label: str,
    y_label: str,
    shares: bool = False,
    *,
    up_shares: bool = False,
) -> _Axes:
    across, up = ticks(*x_range), ticks(*y_range)
    labels = _percents if shares else tick_labels
    up_labels = (_percents if shares or up_shares else tick_labels)(up)
    left = 16 + 6.6 * max(map(len, up_labels))
    grid: list[Markup] = []
    axes = _Axes(x_range, y_range, left, grid)
    for value, label in zip(up, up_labels, strict=True):
        height = axes.y(value)
        grid.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
                '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
            ).format(
                coordinate(left),
                WIDTH - _RIGHT,
                coordinate(height),
                coordinate(height),
                coordinate(left - 8),
                coordinate(height + 4),
                label,
            )
        )
    for value, label in zip(across, labels(across), strict=True):
        grid.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                coordinate(axes.x(value)), HEIGHT - _BOTTOM + 18, label
            )
        )
    grid.append(
        Markup(
            '<text class="axis" x="0" y="14">{}</text>'
            '<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>'
        ).format(y_label, WIDTH - _RIGHT, HEIGHT - 8, x_label)
    )
    return axes


def _percents(values: Sequence[float]) -> list[str]:
    return [f"{label}%" for label in tick_labels([value * 100 for value in values])]


def _verticals(axes: _Axes, marks: Sequence[Mark]) -> list[Markup]:
    drawn = []
    for mark in marks:
        if not axes.x_range[0] <= mark.value <= axes.x_range[1]:
            continue
        across = axes.x(mark.value)
        late = across > (axes.left + WIDTH) / 2
        drawn.append(
            Markup(
                '<line class="mark-line" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
                '<text class="note" x="{3}" y="{4}" text-anchor="{5}">{6}</text>'
            ).format(
                coordinate(across),
                _TOP,
                HEIGHT - _BOTTOM,
                coordinate(across + (-6 if late else 6)),
                _TOP + 11,
                "end" if late else "start",
                mark.text,
            )
        )
    return drawn


def _line(axes: _Axes, series: Series, dots: bool) -> list[Markup]:
    drawn = []
    path = "".join(
        f"{'L' if index else 'M'}{coordinate(axes.x(point.x))} {coordinate(axes.y(point.y))}"
        for index, point in enumerate(series.points)
    )
    drawn.append(Markup('<path class="line {}" d="{}"/>').format(series.css, path))
    whiskers = "".join(
        f"M{coordinate(axes.x(point.x))} {coordinate(axes.y(point.low))}V{coordinate(axes.y(point.high))}"
        for point in series.points
        if point.low is not None and point.high is not None
    )
    if whiskers:
        drawn.append(Markup('<path class="whisker {}" d="{}"/>').format(series.css, whiskers))
    if dots:
        for point in series.points:
            mark = _mark(series.css, axes.x(point.x), axes.y(point.y))
            note = Markup("<title>{}</title>").format(point.note) if point.note else Markup("")
            drawn.append(Markup("<g>{}{}</g>").format(note, mark))
    return drawn


def _mark(css: str, x: float = 0, y: float = 0) -> Markup:
    shape = _SHAPES.get(css, _CIRCLE)
    place = (
        Markup(' transform="translate({} {})"').format(coordinate(x), coordinate(y))
        if x or y
        else Markup("")
    )
    return Markup('<path class="mark {}" d="{}"{}/>').format(css, shape, place)


def _figure(
    name: str,
    title: str,
    description: str,
    height: float,
    body: Iterable[Markup],
    width: float = WIDTH,
) -> Markup:
    return Markup(
        '<svg class="figure" viewBox="0 0 {0} {1}" role="img" aria-labelledby="{2}-t {2}-d">'
        '<title id="{2}-t">{3}</title><desc id="{2}-d">{4}</desc>{5}</svg>'
    ).format(coordinate(width), coordinate(height), name, title, description, Markup("").join(body))


def _strip(css: str, height: float, body: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg class="{}" width="100%" height="{}" aria-hidden="true" focusable="false">{}</svg>'
    ).format(css, coordinate(height), Markup("").join(body))


def _ends(dot: Dot) -> list[float]:
    return [end for end in (dot.value, dot.low, dot.high) if end is not None]


def _share(value: float, low: float, high: float) -> float:
    span = high - low
    if not (_NARROWEST < span < math.inf):
        return 0.5
    return min(max((value - low) / span, 0.0), 1.0)


def _part(value: float, domain: tuple[float, float]) -> float:
    return _share(value, *domain) * 100


def _at(value: float, domain: tuple[float, float]) -> str:
    return f"{coordinate(_part(value, domain))}%"


def coordinate(value: float) -> str:
    """Write a coordinate with at most one decimal."""
    written = f"{value:.1f}".removesuffix(".0")
    return "0" if written == "-0" else written
