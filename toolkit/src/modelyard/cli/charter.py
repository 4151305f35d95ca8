"""The command that writes the documents of a project's lifecycle."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.terminal import JsonOption, print_path
from modelyard.errors import UsageError
from modelyard.files import project_root


class Decision(StrEnum):
    """How an exploration ends."""

    go_on = "go-on"
    stop = "stop"


def charter(
    decision: Annotated[
        Decision | None, typer.Option(help="Write a dated record of this decision, too.")
    ] = None,
    because: Annotated[str, typer.Option(help="Of the decision: why, in words.")] = "",
    leave: Annotated[
        bool, typer.Option("--exit", help="Write the exit report, docs/exit-report.md, too.")
    ] = False,
    environment: Annotated[
        list[str] | None,
        typer.Option(help="Of conf/project.yml, on Azure; repeatable; default: this machine."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace generated parts that were edited.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the project's charter, docs/charter.md. Goals from conf/, and whether evidence shows them reached.

    Example: mlops charter --decision stop --because "no better than the rule in use today"
    """
    from dataclasses import asdict

    from modelyard.charter.documents import write_charter, write_decision, write_exit
    from modelyard.charter.history import known as look
    from modelyard.console import console

    if (decision is None) != (not because.strip()):
        raise UsageError('a decision has its reason: --decision go-on|stop --because "…"')
    known = look(project_root(), environment or ())

    def write() -> list[Path]:
        exits = [write_exit(known, force=force)] if leave else []
        return [write_charter(known, force=force), *exits]

    paths = write()
    if decision is not None:  # which both list
        paths = [write_decision(known, decision.value, because), *write()]
    if as_json:
        goals = [asdict(one) for one in known.goals(known.shown)]
        name = known.shown and known.shown.version.number
        print(json.dumps({"version": name, "goals": goals, "files": list(map(str, paths))}))
        return
    for path in paths:
        print_path(console(), path.stem, path)
