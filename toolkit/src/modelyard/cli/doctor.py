"""The command that looks at what a project needs on this machine."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import JsonOption
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import project_root

if TYPE_CHECKING:
    from pathlib import Path

    from modelyard.doctor import Finding

MARKS = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("·", "yellow")}


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Run the remedies that change nothing of the team's.")
    ] = False,
    azure: Annotated[
        bool,
        typer.Option(
            "--azure", help="Ask Azure as well: sign-in, subscription, roles, quota, names."
        ),
    ] = False,
    role: Annotated[
        str | None,
        typer.Option(help="With --azure: who you are, such as data-scientist; default: any role."),
    ] = None,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh", help="First fetch Azure's newest list of retirements. It takes a network."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check what this project needs on this machine. Each finding has its remedy.

    For example: mlops doctor --azure --role data-scientist
    """
    from modelyard.doctor import examine

    root = project_root()
    if refresh:
        _refresh(root)
    findings = examine(root)
    if azure:
        from modelyard.doctor_azure import examine_azure

        findings += examine_azure(root, role)
    elif role is not None:
        raise UsageError("--role is compared with the roles on Azure: add --azure")
    remedies = list(dict.fromkeys(one.remedy for one in findings if one.is_safe and one.remedy))
    if fix and remedies:
        failed = [remedy for remedy in remedies if not _mends(remedy, root)]
        # What was installed is seen by a new process.
        again = [sys.executable, "-m", "modelyard", "doctor", *(["--json"] if as_json else [])]
        again += ["--azure"] if azure else []
        again += ["--role", role] if role else []
        code = subprocess.run(again, cwd=root, check=False).returncode  # noqa: S603
        if failed:
            raise CheckFailed(f"failed, see above: {', '.join(failed)}")
        raise typer.Exit(code)
    wrong = [one for one in findings if one.is_fine is False]
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=1))
    else:
        _show(findings)
    if wrong:
        raise CheckFailed(f"to mend: {', '.join(dict.fromkeys(one.thing for one in wrong))}")


def _refresh(root: Path) -> None:
    """Fetch the list of retirements; without a network say which one is used."""
    from modelyard import retirements

    try:
        retirements.refresh(root)
    except UsageError as error:
        print(f"not refreshed: {error}. Used is {retirements.known(root).source}", file=sys.stderr)


def _mends(remedy: str, root: Path) -> bool:
    """Run a remedy; returns whether it succeeded."""
    print(f"▶ {remedy}", file=sys.stderr)
    words = shlex.split(remedy)
    if words[0] == "mlops":
        words[:1] = [sys.executable, "-m", "modelyard"]
    return subprocess.run(words, cwd=root, check=False).returncode == 0  # noqa: S603


def _show(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    from modelyard.console import console

    table = Table.grid(padding=(0, 2))
    for one in findings:
        mark, style = MARKS[one.is_fine]
        remedy = f"\n→ {one.remedy}" if one.remedy else ""
        table.add_row(Text(mark, style), Text(one.thing), Text(f"{one.found}{remedy}"))
    console().print(table)
