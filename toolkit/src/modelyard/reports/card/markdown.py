"""Markdown of a model card."""

from __future__ import annotations

import re

from modelyard.reports.card.content import Card, Part
from modelyard.reports.card.scorecard import Cell
from modelyard.reports.wording import DIRECTION_MARKS

_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$])")
_AT_START = re.compile(r"^([#+\-=](?![\d.])|\d+(?=[.)](?:\s|$)))")
_LINKS = re.compile(r"(www)(\.)|(:)(?=//)", re.IGNORECASE)


def markdown(content: Card) -> str:
    """Write a card as Markdown (CommonMark with GitHub's tables)."""
    lines = [f"# Model card: {escaped(content.title)}", "", escaped(content.status), ""]
    lines += [f"- {escaped(label)}: {escaped(value)}" for label, value in content.facts] + [""]
    score = content.score
    lines += ["## Scorecard", "", escaped(score.purpose), ""]
    lines += [*map(_cell, [*score.figures, *score.judgements]), ""]
    lines += ["### Principles", "", *map(_cell, score.principles), ""]
    lines += ["### Limits", "", *(f"- {escaped(limit)}" for limit in score.limits), ""]
    for part in content.parts:
        lines += part_lines(part, 2)
    return "\n".join(lines).rstrip() + "\n"


def _cell(cell: Cell) -> str:
    note = f" *{escaped(cell.note)}*" if cell.note else ""
    return f"- **{escaped(cell.label)}** {escaped(cell.value)}{note}"


def part_lines(part: Part, level: int) -> list[str]:
    """Write a section, its heading at a level of Markdown."""
    lines = [f"{'#' * level} {escaped(part.title)}", ""]
    for paragraph in part.paragraphs:
        lines += [escaped(paragraph), ""]
    if part.points:
        lines += [f"- {escaped(point)}" for point in part.points] + [""]
    if part.table is not None:
        headings = part.table.headings
        marks = ["--:" if at in part.table.right else ":--" for at in range(len(headings))]
        for row in (list(map(escaped, headings)), marks):
            lines.append(f"| {' | '.join(row)} |")
        lines += [f"| {' | '.join(map(escaped, row))} |" for row in part.table.rows] + [""]
    for inner in part.parts:
        lines += part_lines(inner, level + 1)
    return lines


def escaped(text: str) -> str:
    """Escape text so that Markdown shows it as it is: no markup, no link, no list in a list."""
    plain = DIRECTION_MARKS.sub("", " ".join(text.split()))
    escaped = _MARKUP.sub(r"\\\1", plain)
    escaped = _LINKS.sub(lambda m: f"{m[1]}\\{m[2]}" if m[1] else "\\:", escaped)
    found = _AT_START.match(escaped)
    if found is None:
        return escaped
    start = found[1]
    rest = escaped[len(start) :]
    return f"{start}\\{rest}" if start[0].isdigit() else f"\\{start}{rest}"
