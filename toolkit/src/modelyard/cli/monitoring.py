"""Commands for monitoring: the model monitor, and a drill of the whole loop."""

from __future__ import annotations

import contextlib
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from modelyard.cli.terminal import JsonOption, print_path, refuse_idle, saying
from modelyard.console import console as open_console
from modelyard.files import project_root, relative


def monitor(
    file: Annotated[
        Path | None,
        typer.Argument(help="A monitor's file; default: azureml/monitoring/monitor.yml."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="When it runs, e.g. 2026-05-01 (UTC); default: now.")
    ] = None,
    collected: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Collected data; default: .collected."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Table to compare with; default: the champion's training data."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the result; default: .monitor/<time>.")
    ] = None,
    follow_contract: Annotated[
        bool,
        typer.Option("--follow-contract", help="Write the contract's columns into the file."),
    ] = False,
    export_reference: Annotated[
        bool,
        typer.Option("--export-reference", help="Write data/reference, for Azure ML's monitor."),
    ] = False,
    environment: Annotated[
        str | None,
        typer.Option(
            help="Of conf/project.yml: monitor what its deployments with traffic collect, on Azure."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the model monitor on collected data. It is Azure ML's; exit code 1 on a breach."""
    root = project_root()
    path = file or root / "azureml" / "monitoring" / "monitor.yml"
    if follow_contract or export_reference:
        refuse_idle(
            "with --follow-contract" if follow_contract else "with --export-reference",
            at=at,
            collected=collected,
            reference=reference,
            output=output,
            environment=environment,
            json=as_json,
            export_reference=export_reference and follow_contract,
        )
    if environment:
        refuse_idle("with --environment", collected=collected, reference=reference)
    if follow_contract:
        from modelyard.monitoring.follow_contract import follow_contract as follow

        changed, said = follow(root, path)
        print("\n".join([*changed, *said]) or "the file follows the contract")
    elif export_reference:
        from modelyard.monitoring.export_reference import export_reference as export

        print(relative(export(root)))
    else:
        from modelyard.monitoring import show
        from modelyard.monitoring.run import parse_time, run_monitor

        when, console = parse_time(at), open_console(stderr=as_json)
        if environment is not None:
            _monitor_azure(root, path, environment, when, output, as_json)
        with console.status("measuring collected data"):
            result = run_monitor(
                root, path, at=when, collected=collected, reference=reference, output=output
            )
        if as_json:
            print(show.as_json(result))
        else:
            show.show(result, console)
        raise typer.Exit(1 if result.breaches else 0)


def _monitor_azure(
    root: Path, file: Path, environment: str, at: datetime, output: Path | None, as_json: bool
) -> NoReturn:
    """Monitor the endpoint of an environment; exit code 1 on a breach of any deployment."""
    import json

    from modelyard.azure import use_workspace
    from modelyard.monitoring import show
    from modelyard.monitoring.azure_run import monitor_endpoint

    console = open_console(stderr=as_json)
    workspace = use_workspace(root, environment)
    assert workspace is not None  # noqa: S101 (an environment was named)
    results = monitor_endpoint(root, file, workspace, at=at, output=output, say=saying(console))
    if as_json:
        print(json.dumps({name: json.loads(show.as_json(one)) for name, one in results.items()}))
    else:
        for name, one in results.items():
            console.print(f"deployment {name}", style="bold")
            show.show(one, console)
    raise typer.Exit(1 if any(one.breaches for one in results.values()) else 0)


def drill(
    data: Annotated[
        Path | None,
        typer.Option(help="The table; default: the one of azureml/data/training.yml."),
    ] = None,
    history: Annotated[int, typer.Option(min=1, help="Periods to train the first model on.")] = 3,
    until: Annotated[
        str | None, typer.Option(help="Last period to replay, e.g. 2013-08; default: all.")
    ] = None,
    rows: Annotated[
        int, typer.Option(min=50, help="Rows sent to the endpoint in each period.")
    ] = 2_000,
    cool_down: Annotated[
        int, typer.Option(min=0, help="Smallest number of periods between two trainings.")
    ] = 2,
    break_one: Annotated[
        bool,
        typer.Option(help="Release a broken model at the end, to see it rolled back."),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Replay a table period by period. In each: serve, monitor, retrain, promote and release."""
    from modelyard.drills.drill import drill as replay
    from modelyard.drills.record import Plan

    console = open_console(stderr=as_json)
    plan = Plan(history=history, until=until, rows=rows, cool_down=cool_down, break_one=break_one)
    with console.status("splitting the table into periods") as status:

        def say(line: str) -> None:
            console.print(line, soft_wrap=True, highlight=False)
            status.update("replaying the next period")

        # Standard output is for the result alone.
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
            folder = replay(project_root(), plan, data=data, say=say)
    if as_json:
        print((folder / "drill.json").read_text(encoding="utf-8"), end="")
        return
    print_path(console, "timeline", folder / "drill.html")
