"""The command that says how far a project is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import JsonOption, print_path, refuse_idle
from modelyard.errors import UsageError
from modelyard.files import project_root

if TYPE_CHECKING:
    from modelyard.readiness.readiness import Readiness

MARKS = {"met": ("✓", "green"), "not met": ("✗", "bold red"), "open": ("?", "yellow")}
WORDS = {"yes": True, "no": False}


def readiness(
    answer: Annotated[
        str | None, typer.Option(metavar="NAME=yes|no", help="Answer what only people know.")
    ] = None,
    why: Annotated[str, typer.Option(help="Of the answer: what somebody else can check.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Say how far the project is by Azure's MLOps maturity model. Where it is, why, the cheapest next step.

    For example: mlops readiness --answer data-gathered=yes --why "a nightly copy by Data Factory"
    """
    from dataclasses import asdict

    from modelyard.readiness.page import write_page
    from modelyard.readiness.readiness import LEVELS, take_answer
    from modelyard.readiness.readiness import readiness as judge

    root = project_root()
    if answer is None:
        refuse_idle("without --answer", why=why)
    else:
        name, _, said = answer.partition("=")
        if said not in WORDS:
            raise UsageError(f"--answer expects NAME=yes or NAME=no, found {answer!r}")
        take_answer(root, name, is_met=WORDS[said], why=why)
    found = judge(root)
    page = write_page(root, found)
    if as_json:
        print(
            json.dumps(asdict(found) | {"name": LEVELS[found.level], "page": str(page)}, indent=1)
        )
        return
    _show(found)
    from modelyard.console import console

    print_path(console(), "page", page)


def _show(found: Readiness) -> None:
    from rich.table import Table
    from rich.text import Text

    from modelyard.console import console as open_console
    from modelyard.readiness.readiness import LEVELS

    console = open_console()
    table = Table.grid(padding=(0, 2))
    for level in (1, 2, 3, 4, None):
        title = f"level {level}" if level else "principles, responsibility"
        table.add_row("", Text(title, "bold"), "")
        for one in found.of(level):
            mark, style = MARKS[one.state]
            table.add_row(Text(mark, style), Text(one.what), Text(one.said, "dim"))
    console.print(table)
    console.print(Text(f"Level {found.level}: {LEVELS[found.level]}", "bold"))
    if (step := found.following) is not None:
        said = f"Cheapest next step to level {found.level + 1}: {step.what.lower()} ({step.said})"
        console.print(Text(said))
        print(f"  {step.remedy}")
