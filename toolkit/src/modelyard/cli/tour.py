"""The command for a colleague's first day."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import JsonOption
from modelyard.errors import UsageError
from modelyard.files import locked, project_root, relative
from modelyard.tour import STATE

if TYPE_CHECKING:
    from modelyard.tour.copying import Tour
    from modelyard.tour.progress import Place

MARKS = {
    "done": ("✓", "green"),
    "next": ("▶", "bold"),
    "to come": ("·", "dim"),
    "does not apply": ("–", "dim"),
}


def is_copy() -> bool:
    """Return whether the working folder is within the copy of a tour."""
    try:
        return (project_root() / STATE).is_file()
    except UsageError:
        return False


def _roles() -> list[str]:
    """Return the roles, for the completion of the shell."""
    from modelyard.tour.steps import ROLES

    return list(ROLES)


def tour(
    role: Annotated[
        str | None,
        typer.Argument(
            help="data-scientist, ml-engineer, data-engineer, ai-engineer, model-validator or "
            "domain-expert; default: the tour that was begun last.",
            autocompletion=_roles,
        ),
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="The answer to the question of the next step.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The table, at the beginning; default: azureml/data/training.yml's."),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Delete the copy of this role's tour, begin anew.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the first day by role, step by step. In a copy of the project, nothing of the team's is touched.

    For example: mlops tour data-scientist
    """
    from modelyard.tour.copying import HOME

    root = project_root()
    folder = root / (".runs" if (root / STATE).is_file() else HOME)
    with locked(folder / "tour.lock", "another `mlops tour`", 120):
        _tour(root, role, answer, data, restart=restart, as_json=as_json)


def _tour(
    root: Path,
    role: str | None,
    answer: str | None,
    data: Path | None,
    *,
    restart: bool,
    as_json: bool,
) -> None:
    from modelyard.tour.copying import begin, find
    from modelyard.tour.progress import answer as take
    from modelyard.tour.progress import known_role, places

    found = find(root, known_role(role) if role else None)
    if found is not None and found.folder == root and (restart or role not in (None, found.role)):
        raise UsageError(
            f"this is the copy of the tour of {found.role}: do it in the project itself"
        )
    if role is None and (found is None or restart):
        raise UsageError(
            "say who you are, for example: mlops tour data-scientist (--help: the roles)"
        )
    if role is not None and (found is None or restart):
        found = begin(root, role, data)
    assert found is not None  # noqa: S101 (begun above)
    if answer is not None:
        print(f"✓ {take(found, answer)}: yes") if not as_json else take(found, answer)
    steps = places(found)
    if as_json:
        from modelyard.tour.progress import minutes_to_report

        about = {"role": found.role, "folder": str(found.folder), "started": found.started}
        measured = {"minutes_to_report": minutes_to_report(found)}
        print(json.dumps(about | measured | {"steps": [asdict(one) for one in steps]}, indent=1))
    else:
        _show(found, steps)


def _show(found: Tour, steps: list[Place]) -> None:
    from rich.table import Table
    from rich.text import Text

    from modelyard.console import console as open_console
    from modelyard.tour.progress import minutes_to_report

    console = open_console()
    table = Table.grid(padding=(0, 2))
    for one in steps:
        mark, style = MARKS[one.state]
        table.add_row(Text(mark, style), Text(one.title, style), Text(one.found, "dim"))
    console.print(table)
    minutes = minutes_to_report(found)
    if minutes is not None:
        console.print(f"first report after {minutes:.1f} minutes", style="dim")
    following = next((one for one in steps if one.state == "next"), None)
    if following is None:
        print("This was the tour. Its copy may go, once `mlops endpoint stop` in it has ended an")
        print(f"endpoint that still runs: {found.folder}")
        return
    console.print()
    console.print(Text(f"{following.title}. {following.what}"))
    if found.folder != project_root():
        print(f"  cd {shlex.quote(str(relative(found.folder)))}")
    print(f"  {following.command}")
    print("Then `mlops tour` says what comes next.")
