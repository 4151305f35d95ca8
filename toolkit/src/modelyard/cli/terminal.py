"""Options that commands share, and the printing of paths and decisions."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from modelyard.errors import UsageError
from modelyard.files import editing, project_root, relative

if TYPE_CHECKING:
    from rich.console import Console

_P = ParamSpec("_P")
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
# MLOPS_ENVIRONMENT: set in the jobs of schedules, which `mlops schedules` applies.
EnvironmentOption = Annotated[
    str,
    typer.Option(
        "--environment", envvar="MLOPS_ENVIRONMENT", help="Of conf/project.yml, on Azure."
    ),
]
MaybeEnvironmentOption = Annotated[
    str | None,
    typer.Option("--environment", help="Of conf/project.yml, on Azure; default: this machine."),
]
PreviewOption = Annotated[
    bool, typer.Option("--preview", help="Show what would come; change nothing.")
]
VersionOption = Annotated[
    str | None, typer.Option(help="Version of the model; default: the champion.")
]


# What a gate says, and how it is printed.
OUTCOMES = {True: ("yes", "green"), False: ("no", "bold red"), None: ("open", "bold yellow")}


def say(line: str) -> None:
    """Print what is under way; standard output is for the result."""
    # In one piece: another thread may say something, too.
    print(f"{line}\n", end="", file=sys.stderr, flush=True)


def saying(console: Console) -> Callable[[str], None]:
    """Return a function that prints a line as it is."""
    return lambda line: console.print(line, soft_wrap=True, highlight=False)


def alone(command: Callable[_P, None]) -> Callable[_P, None]:
    """Run a command while no other one edits the project; see `editing`.

    Without `--apply`, or with `--preview`, it edits nothing.
    """

    @functools.wraps(command)
    def run(*args: _P.args, **options: _P.kwargs) -> None:
        edits = options.get("apply", True) and not options.get("preview")
        with editing(project_root()) if edits else nullcontext():
            command(*args, **options)

    return run


def refuse_without(root: Path, part: str, *folders: str) -> None:
    """Raise UsageError where a project has none of the folders that a part of it would bring."""
    if not any((root / folder).is_dir() for folder in folders):
        raise UsageError(
            f"this project has no {' or '.join(f'{one}/' for one in folders)}; `mlops add {part}` brings it"
        )


def refuse_idle(beside: str, **options: object) -> None:
    """Raise UsageError where options are given that have no effect with another one, or without it."""
    given = [f"--{name.rstrip('_').replace('_', '-')}" for name, value in options.items() if value]
    if given:
        raise UsageError(f"{', '.join(given)}: no effect {beside}; leave it out")


def print_path(console: Console, label: str, path: Path) -> None:
    """Print a label and a path in one line."""
    console.print(f"{label}: {relative(path)}", soft_wrap=True)


def print_reasons(console: Console, reasons: Sequence[Mapping[str, Any]]) -> None:
    """Print a decision's reasons as a table, and advice below it."""
    from rich.table import Table
    from rich.text import Text

    table = Table("gate", "expected", "found", "")
    for reason in reasons:
        word, style = OUTCOMES[reason["passed"]]
        cells = (reason[key] for key in ("gate", "expected", "found"))
        table.add_row(*map(Text, cells), Text(word, style))
    console.print(table)
    for reason in reasons:
        if reason["advice"]:
            console.print(Text(f"{reason['gate']}: {reason['advice']}"))


def print_decision(console: Console, details: Mapping[str, Any]) -> None:
    """Print the details of decision.json: reasons and verdict."""
    from rich.text import Text

    print_reasons(console, details["reasons"])
    name = f"{details['model']['name']} v{details['model']['version']}"
    verdict, stage = details["verdict"], details["stage"]
    if stage == "promoted":
        said = f"{name} is the champion now"
    elif verdict == "promote":
        said = f"{name} is a challenger, ready to be promoted: mlops promote"
    elif verdict == "refuse":
        said = f"{name} is refused"
        said += "; the champion stays" if details.get("champion") else "; there is no champion"
        if stage == "registered":
            said = f"{name} is a challenger; mlops promote would refuse it"
    else:
        said = f"{name} is not judged in full: {', '.join(details['open'])}"
    if verdict == "open":
        said += f"\n{_of_open_gates(details)}"
    style = {"promote": "bold green", "open": "bold yellow", "refuse": "bold red"}[verdict]
    console.print(Text(said, style))


def _of_open_gates(details: Mapping[str, Any]) -> str:
    if details["accepted_by"]:
        return f"open gates are accepted by {details['accepted_by']}: {', '.join(details['open'])}"
    if details["open_gates"] == "ask":
        return "open gates have to be accepted: mlops promote --accepted-by NAME"
    return (
        "open gates refuse (conf/gates.yml, open_gates; the default where a column is sensitive): "
        "bring what is missing"
    )
