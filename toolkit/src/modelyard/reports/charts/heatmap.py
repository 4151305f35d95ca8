"""Heat map of a confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from modelyard.errors import shortened
from modelyard.reports.charts.drawing import element, figure
from modelyard.reports.charts.scales import coordinate


def heatmap(description: str, labels: Sequence[str], matrix: Sequence[Sequence[float]]) -> Markup:
    """Draw a confusion matrix with too many classes for a table, each row shaded by its own shares.

    Rows are the actual classes, columns the predicted ones.
    """
    size = len(labels)
    if not size or len(matrix) != size:
        return Markup("")
    cell = min(max(560 / size, 9), 26)
    shown = [shortened(label, 14) for label in labels]
    margin = 14 + 6.2 * max(map(len, shown))
    extent = cell * size
    # One path for each shade: a rectangle for each cell would make the page many times larger.
    squares: dict[tuple[int, str], list[str]] = {}
    for row, counts in enumerate(matrix):
        total = sum(counts)
        for column, count in enumerate(counts[:size]):
            if count > 0 and total > 0:
                start = f"M{coordinate(margin + column * cell)} {coordinate(margin + row * cell)}"
                side = coordinate(cell - 0.6)
                square = f"{start}h{side}v{side}h-{side}z"
                kind = "right" if row == column else "wrong"
                squares.setdefault((shade(count / total), kind), []).append(square)
    body = [element("rect", "plate", x=margin, y=margin, width=extent, height=extent)]
    for (level, kind), steps in sorted(squares.items()):
        body.append(element("path", f"heat{level} {kind}", d="".join(steps)))
    every = math.ceil(12 / cell)
    for index, label in enumerate(shown):
        if index % every:
            continue
        middle = margin + (index + 0.5) * cell
        body.append(
            Markup(
                '<text class="tick" x="{0}" y="{1}" text-anchor="end">{2}</text>'
                '<text class="tick" transform="translate({1} {0}) rotate(-90)">{2}</text>'
            ).format(coordinate(margin - 5), coordinate(middle + 3.5), label)
        )
    whole = margin + extent + 6
    return figure("confusion", "Confusion matrix", description, whole, body, width=whole)


def shade(share: float) -> int:
    """Return the shade, 0 to 8, for a share between 0 and 1; only zero has shade 0."""
    return min(max(math.ceil(share * 8), 0), 8)
