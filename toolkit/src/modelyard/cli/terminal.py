"""Options that commands share, and the printing of paths and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
VersionOption = Annotated[
    str | None, typer.Option(help="Version of the model; default: the champion.")
]


def print_path(console: Console, label: str, path: Path) -> None:
    """Print a label and a path in one line."""
    console.print(f"{label}: {relative(path)}", soft_wrap=True)


def relative(path: Path) -> str:
    """A path relative to the working folder where it is inside."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def print_reasons(console: Console, reasons: Sequence[Mapping[str, str]]) -> None:
    """Print a decision's reasons as a table, and advice below it."""
    from rich.table import Table
    from rich.text import Text

    table = Table("gate", "expected", "found", "")
    for reason in reasons:
        passed = Text("yes", "green") if reason["passed"] else Text("no", "bold red")
        table.add_row(Text(reason["gate"]), Text(reason["expected"]), Text(reason["found"]), passed)
    console.print(table)
    for reason in reasons:
        if reason["advice"]:
            console.print(Text(f"{reason['gate']}: {reason['advice']}"))


def print_decision(console: Console, details: Mapping[str, Any]) -> None:
    """Print the details of decision.json: reasons and verdict."""
    from rich.text import Text

    print_reasons(console, details["reasons"])
    name = f"{details['model']['name']} v{details['model']['version']}"
    verdict = {
        ("promote", "registered"): f"{name} is a challenger, ready to be promoted: mlops promote",
        ("refuse", "registered"): f"{name} is a challenger; mlops promote would refuse it",
        ("promote", "promoted"): f"{name} is the champion now",
        ("refuse", "refused"): f"{name} is refused; the champion stays",
    }[details["verdict"], details["stage"]]
    console.print(Text(verdict, "bold green" if details["verdict"] == "promote" else "bold red"))
