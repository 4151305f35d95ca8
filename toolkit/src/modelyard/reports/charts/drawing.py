"""SVG elements that several kinds of chart draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from modelyard.reports.charts.scales import Scale, coordinate

WIDTH = 440
_CIRCLE = "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z"
_DIAMOND = "M0-6L6 0L0 6L-6 0z"


def figure(
    name: str,
    title: str,
    description: str,
    height: float,
    body: Iterable[Markup],
    width: float = WIDTH,
) -> Markup:
    """Return a chart that scales with the page, with a title and description for screen readers.

    Its name is unique in the page; ids are made of it.
    """
    return Markup(
        '<svg class="figure" viewBox="0 0 {0} {1}" role="img" aria-labelledby="{2}-t {2}-d">'
        '<title id="{2}-t">{3}</title><desc id="{2}-d">{4}</desc>{5}</svg>'
    ).format(coordinate(width), coordinate(height), name, title, description, Markup("").join(body))


def cell_figure(css: str, height: float, body: Iterable[Markup]) -> Markup:
    """Return a chart as wide as its table cell, hidden from screen readers."""
    return Markup(
        '<svg class="{}" width="100%" height="{}" aria-hidden="true" focusable="false">{}</svg>'
    ).format(css, coordinate(height), Markup("").join(body))


def element(tag: str, css: str, content: object = "", **attributes: float | str) -> Markup:
    """Return an element of a class; `_` in a name stands for a hyphen, numbers become coordinates."""
    given = Markup("").join(
        Markup(' {}="{}"').format(
            name.replace("_", "-"), value if isinstance(value, str) else coordinate(value)
        )
        for name, value in attributes.items()
    )
    if content == "":
        return Markup('<{} class="{}"{}/>').format(tag, css, given)
    return Markup('<{0} class="{1}"{2}>{3}</{0}>').format(tag, css, given, content)


def symbol(css: str, x: float = 0, y: float = 0) -> Markup:
    """Return the sign of a value: a diamond for the champion, else a circle."""
    place = {"transform": f"translate({coordinate(x)} {coordinate(y)})"} if x or y else {}
    return element("path", f"mark {css}", d=_DIAMOND if css == "champion" else _CIRCLE, **place)


def symbol_with_note(css: str, x: float, y: float, note: str) -> Markup:
    """Return the sign of a value, with a text that a browser shows on hovering."""
    title = Markup("<title>{}</title>").format(note) if note else ""
    return Markup("<g>{}{}</g>").format(title, symbol(css, x, y))


def key(css: str, *, dot: bool = True) -> Markup:
    """Return the sign of a series for a legend: its line, and its symbol if the chart has them."""
    return Markup(
        '<svg class="key" width="26" height="14" aria-hidden="true" focusable="false">{}{}</svg>'
    ).format(element("path", f"line {css}", d="M0 7H26"), symbol(css, 13, 7) if dot else "")


def line_path(css: str, points: Iterable[tuple[float, float]]) -> Markup:
    """Return a line through coordinates."""
    path = "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)
    return element("path", f"line {css}", d=f"M{path}")


def horizontal_grid(
    left: float, right: float, y: Scale, values: Sequence[float], labels: Sequence[str]
) -> list[Markup]:
    """Return a grid line across the chart for each value, with its label to the left."""
    return [
        element("line", "grid", x1=left, x2=right, y1=y(value), y2=y(value))
        + element("text", "tick", label, x=left - 8, y=y(value) + 4, text_anchor="end")
        for value, label in zip(values, labels, strict=True)
    ]


def vertical_grid(
    x: Scale,
    top: float,
    bottom: float,
    below: float,
    values: Sequence[float],
    labels: Sequence[str],
) -> list[Markup]:
    """Return a grid line from top to bottom for each value, with its label `below` the bottom."""
    return [
        element("line", "grid", x1=x(value), x2=x(value), y1=top, y2=bottom)
        + element("text", "tick", label, x=x(value), y=bottom + below, text_anchor="middle")
        for value, label in zip(values, labels, strict=True)
    ]
