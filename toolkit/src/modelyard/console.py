"""Printing of values and tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_T = TypeVar("_T")


def shown(value: Any) -> str:
    """Format a value: true and false as in YAML, six digits of a fraction."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def listed(
    names: Iterable[_T],
    most: int = 5,
    *,
    separator: str = ", ",
    write: Callable[[_T], str] = str,
) -> str:
    """List names in their order; of many the first five, and how many more there are."""
    known = list(names)
    text = separator.join(map(write, known[:most]))
    rest = len(known) - most
    return f"{text}{separator.lstrip(',')}and {rest:,} more" if rest > 0 else text


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: `1 row`, `1,200 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def short_commit(commit: str) -> str:
    """Shorten a commit; `-dirty` stays."""
    name, dash, rest = commit.partition("-")
    return name[:10] + dash + rest


def console(*, stderr: bool = False) -> Console:
    """Open a console as wide as the terminal, or 120 characters elsewhere."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 120
    # A name or a path may hold [x] or :warning:, which are no markup here.
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> Table:
    """Make a table of plain text; headings named in `right` are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    result = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        result.add_column(heading, justify="right" if heading in right else "left")
    for row in rows:
        result.add_row(*(Text(cell) for cell in row))
    return result
