"""Timeline of a drill: version in service, live metric, breaches and events of each period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from modelyard.reports.charts.drawing import element, horizontal_grid, line_path
from modelyard.reports.charts.scales import Scale, coordinate, padded, tick_labels, ticks
from modelyard.reports.wording import number, plural

_WIDTH, _LEFT, _RIGHT = 1000.0, 104.0, 12.0
_NARROWEST = 80.0  # a column that has room for every kind of event
_LETTER, _LINE = 6.4, 14.0
_BAND_TOP, _BAND = 34.0, 26.0
_PLOT_TOP, _PLOT_BOTTOM = 92.0, 226.0
_DRIFT, _EVENTS = 268.0, 344.0
_ROW = 36.0
# Mark of an event: the colour's class, and a path around (0, 0).
_MARKS = {
    "retrained": ("calm", "M-5-5H5V5H-5z"),
    "promoted": ("good", "M0-6L6 5H-6z"),
    "refused": ("warn", "M-5-5L5 5M5-5L-5 5"),
    "released": ("good", "M-6 0L-1.5 5L6-5"),
    "rolled back": ("bad", "M5-5V1H-4M-4 1L0-3M-4 1L0 5"),
    "forced": ("bad", "M0-6L6 5H-6z"),
}
_STROKED = {"refused", "released", "rolled back"}


class _Columns(NamedTuple):
    periods: int

    @property
    def total(self) -> float:
        return max(_WIDTH, _LEFT + _RIGHT + _NARROWEST * self.periods)

    @property
    def width(self) -> float:
        return (self.total - _LEFT - _RIGHT) / self.periods

    def left(self, index: int) -> float:
        return _LEFT + self.width * index

    def middle(self, index: int) -> float:
        return self.left(index) + self.width / 2


def timeline_width(periods: int) -> int:
    """Return the width in pixels at which the words of a timeline have the size of the page's."""
    return round(_Columns(periods).total)


def timeline(periods: Sequence[Mapping[str, Any]], metric: str) -> Markup:
    """Draw a drill.

    Args:
        periods: in order, each with `name`, `version` (serving at its end), `live` (value, low, high,
            or None), `monitor` (None or `verdict`, `breached`, a list with `feature`, and `unjudged`,
            names of signals), `events` (kind, version).
        metric: name of the live metric.

    Returns:
        An `<svg>`, scalable, coloured by the page's style sheet.
    """
    columns = _Columns(len(periods))
    most = max((len(period["events"]) for period in periods), default=0)
    height = _EVENTS + _ROW * max(most, 1) + 6
    body = [
        *_grid(columns, periods, height),
        *_bands(columns, periods),
        *_quality(columns, periods, metric),
        *_drift(columns, periods),
        *_events(columns, periods),
    ]
    return Markup(
        '<svg class="figure timeline" viewBox="0 0 {} {}" role="img" aria-labelledby="tl-t tl-d">'
        '<title id="tl-t">Drill, period by period</title><desc id="tl-d">{}</desc>{}</svg>'
    ).format(
        coordinate(columns.total),
        coordinate(height),
        _described(periods, metric),
        Markup("").join(body),
    )


def _grid(columns: _Columns, periods: Sequence[Mapping[str, Any]], height: float) -> list[Markup]:
    drawn = [
        element("text", "axis", words, x=0, y=y)
        for y, words in (
            (_BAND_TOP + _BAND / 2 + 4, "in service"),
            (_DRIFT + 4, "monitor"),
            (_EVENTS + 4, "events"),
        )
    ]
    for index, period in enumerate(periods):
        middle, left = columns.middle(index), columns.left(index)
        drawn.append(element("text", "tick", period["name"], x=middle, y=18, text_anchor="middle"))
        if index:
            drawn.append(element("line", "grid", x1=left, x2=left, y1=26, y2=height))
    return drawn


def _bands(columns: _Columns, periods: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Draw a band for each series of periods with the same version in service."""
    drawn: list[Markup] = []
    start = 0
    for index in range(1, len(periods) + 1):
        version = periods[start]["version"]
        if index < len(periods) and periods[index]["version"] == version:
            continue
        left, right = columns.left(start) + 2, columns.left(index) - 2
        css = "champion" if len(drawn) % 2 else "challenger"
        x, y = (left + right) / 2, _BAND_TOP + _BAND / 2 + 5
        band = element(
            "rect", "band", x=left, y=_BAND_TOP, width=right - left, height=_BAND, rx=6
        ) + element("text", "value", f"v{version}", x=x, y=y, text_anchor="middle")
        drawn.append(element("g", css, band))
        start = index
    return drawn


def _quality(columns: _Columns, periods: Sequence[Mapping[str, Any]], metric: str) -> list[Markup]:
    """Draw the live metric with its intervals."""
    known = [(i, p["live"]) for i, p in enumerate(periods) if p["live"]]
    if not known:
        return []
    ends = [
        one[key] for _, one in known for key in ("value", "low", "high") if one[key] is not None
    ]
    y = Scale(*padded(ends, 0.08), _PLOT_BOTTOM, _PLOT_TOP)
    marks = ticks(y.low, y.high, 4)
    drawn = [element("text", "axis", metric, x=0, y=_PLOT_TOP - 12)]
    drawn += horizontal_grid(_LEFT, columns.total - _RIGHT, y, marks, tick_labels(marks))
    drawn.append(
        line_path("challenger", ((columns.middle(i), y(one["value"])) for i, one in known))
    )
    for i, one in known:
        x = columns.middle(i)
        if one["low"] is not None and one["high"] is not None:
            path = f"M{coordinate(x)} {coordinate(y(one['low']))}V{coordinate(y(one['high']))}"
            drawn.append(element("path", "whisker challenger", d=path))
        note = f"{periods[i]['name']}: {metric} {number(one['value'])}"
        title = Markup("<title>{}</title>").format(note)
        drawn.append(element("circle", "mark challenger", title, cx=x, cy=y(one["value"]), r=4.5))
    return drawn


def _drift(columns: _Columns, periods: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Draw a dot per period with the number of breaches, and the feature of the first one.

    A period without a breach has a tick, or an exclamation mark where not everything was judged.
    """
    drawn = []
    for index, period in enumerate(periods):
        if period["monitor"] is None:
            continue
        breached, unjudged = period["monitor"]["breached"], period["monitor"]["unjudged"]
        said = ", ".join(one["feature"] for one in breached)
        if not breached:
            said = f"no breach; not judged: {', '.join(unjudged)}" if unjudged else "no breach"
        x, count = columns.middle(index), len(breached) or ("!" if unjudged else "✓")
        dot = element("circle", "bar", cx=x, cy=_DRIFT, r=10)
        dot += element("text", "count", count, x=x, y=_DRIFT + 4.5, text_anchor="middle")
        dot += Markup("<title>{}</title>").format(said)
        drawn.append(element("g", "bad" if breached else "warn" if unjudged else "good", dot))
        lines = _lines(breached[0]["feature"], columns.width - 4) if breached else []
        for row, words in enumerate(lines):
            y = _DRIFT + 27 + _LINE * row
            drawn.append(element("text", "tick", words, x=x, y=y, text_anchor="middle"))
    return drawn


def _events(columns: _Columns, periods: Sequence[Mapping[str, Any]]) -> list[Markup]:
    drawn = []
    for index, period in enumerate(periods):
        for row, event in enumerate(period["events"]):
            css, path = _MARKS[event["kind"]]
            x, y = columns.left(index), _EVENTS + _ROW * row
            place = f"translate({coordinate(x + 12)} {coordinate(y)})"
            shape = "beyond" if event["kind"] in _STROKED else "bar"
            sign = element("path", shape, transform=place, d=path)
            sign += element("text", "tick", f"v{event['version']}", x=x + 22, y=y + 4)
            sign += element("text", "tick", event["kind"], x=x + 6, y=y + 4 + _LINE)
            drawn.append(element("g", css, sign))
    return drawn


def _described(periods: Sequence[Mapping[str, Any]], metric: str) -> str:
    breaches = sum(bool(p["monitor"] and p["monitor"]["breached"]) for p in periods)
    versions = list(dict.fromkeys(p["version"] for p in periods))
    unjudged = sum(bool(p["monitor"] and not_judged(p["monitor"])) for p in periods)
    rest = f" and could not judge everything in {unjudged}" if unjudged else ""
    return (
        f"{plural(len(periods), 'period')}, served by versions {', '.join(versions)}; the monitor "
        f"found a breach in {breaches}{rest}. The line is the live {metric} with its intervals."
    )


def not_judged(monitor: Mapping[str, Any]) -> bool:
    """Return whether a period has no breach, but something that could not be judged."""
    return bool(monitor["unjudged"]) and not monitor["breached"]


def _lines(name: str, width: float) -> list[str]:
    """Break a column's name into at most two lines, at underscores where that fits; else it is cut."""
    room = max(int(width / _LETTER), 3)
    if len(name) <= room:
        return [name]
    place = name.rfind("_", 0, room) + 1 or room
    rest = name[place:]
    return [name[:place], rest if len(rest) <= room else rest[: room - 1] + "…"]
