"""Commands for releases: to an endpoint, the local endpoint itself, comparison of two versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.terminal import JsonOption, print_path, print_reasons, refuse_idle
from modelyard.console import console as open_console
from modelyard.errors import CheckFailed
from modelyard.files import project_root, relative

endpoint_app = typer.Typer(help="Show, start and stop a local endpoint.", no_args_is_help=True)
EndpointOption = Annotated[str, typer.Option("--endpoint", help="Name of a local endpoint.")]


def release(
    version: Annotated[
        str | None, typer.Option(help="Version to release; default: the champion.")
    ] = None,
    endpoint: Annotated[
        str, typer.Option(help="`local`, or an environment of conf/project.yml (needs Azure).")
    ] = "local",
    fast: Annotated[
        bool, typer.Option("--fast", help="Fewer requests per stage than conf/gates.yml asks for.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Cancel the running release, or undo the last.")
    ] = False,
    approved_by: Annotated[
        str | None, typer.Option(help="Who approves it, where conf/gates.yml asks; not on Azure.")
    ] = None,
    approval: Annotated[
        Path | None,
        typer.Option(help="File of `mlops ci approval`: who approved which digest, and when."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Release a version beside the old one. Test, mirror, shift traffic; roll back if it is worse."""
    from modelyard.gates import load_gates
    from modelyard.releases.release import force_rollback, run_release
    from modelyard.releases.release_progress import ReleaseProgress
    from modelyard.releases.release_record import evidence

    if rollback:
        refuse_idle("with --rollback", version=version, approved_by=approved_by, approval=approval)
    root = project_root()
    console = open_console(stderr=as_json)
    settings = load_gates(root / "conf" / "gates.yml").release
    settings = settings.faster() if fast else settings
    with ReleaseProgress(console) as progress:
        if rollback:
            result = force_rollback(root, endpoint=endpoint, progress=progress, settings=settings)
        else:
            result = run_release(
                root,
                version,
                endpoint=endpoint,
                progress=progress,
                settings=settings,
                approved_by=approved_by,
                approval=approval,
                say=progress.say,
            )
    if result.state is None or result.folder is None:
        print(json.dumps({"unchanged": True}) if as_json else f"`{endpoint}` serves it already")
        return
    details = evidence(result.state)["details"]
    if as_json:
        print(json.dumps(details))
    else:
        print_reasons(console, details["reasons"])
        name = f"{result.state.model} v{result.state.version}"
        words = f"{name} is {result.state.stage}: endpoint `{result.state.endpoint}`"
        console.print(words, style="bold green" if result.released else "bold red")
        print_path(console, "evidence", result.folder)
    raise typer.Exit(0 if result.released or rollback else 1)


@endpoint_app.command()
def status(
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="A local endpoint, or an environment on Azure.")
    ] = "local",
    as_json: JsonOption = False,
) -> None:
    """Show the deployments, their traffic, requests, errors and latency."""
    from dataclasses import asdict

    from rich.table import Table

    from modelyard.project import load_project
    from modelyard.releases.endpoints import open_local
    from modelyard.releases.release_record import FileRecord

    root = project_root()
    if endpoint in load_project(root).environments:
        _show_azure(root, endpoint, as_json)
        return
    local = open_local(root, endpoint)
    rows, state = local.rows(), FileRecord(local.folder).load()
    stage = state.stage if state and not state.ended else None
    if as_json:
        address = local.url if local.is_running else None
        found = {"url": address, "release": stage, "deployments": [asdict(row) for row in rows]}
        print(json.dumps(found))
        return
    if not rows:
        print(f"endpoint `{endpoint}` has no deployment; `mlops release` makes one")
        return
    headings = ("version", "", "traffic", "mirror", "requests", "errors", "p50 ms", "p95 ms")
    table = Table("deployment", *headings)
    for row in rows:
        measured = row.metrics
        table.add_row(
            row.name,
            row.version,
            "healthy" if row.healthy else "down",
            f"{row.traffic}%",
            f"{row.mirror}%",
            str(measured.requests),
            str(measured.errors),
            *("" if ms is None else f"{ms:.1f}" for ms in (measured.p50_ms, measured.p95_ms)),
        )
    open_console().print(table)
    print(f"{local.url}/score" if local.is_running else "stopped; `mlops endpoint start` starts it")
    if stage:
        print(f"a release has not ended: {stage}; `mlops release` resumes it")


def _show_azure(root: Path, environment: str, as_json: bool) -> None:
    """Show deployments, traffic and the release of an endpoint on Azure."""
    from rich.table import Table

    from modelyard.releases.azure_endpoint import AzureEndpoint

    there = AzureEndpoint.of_environment(root, environment)
    view, state, parked = there.view(), there.record.load(), there.record.parked()
    rows = [
        {
            "name": name,
            "version": one.version,
            "healthy": one.healthy,
            "traffic": view.traffic.get(name, 0),
            "mirror": view.mirror.get(name, 0),
        }
        for name, one in sorted(view.deployments.items())
    ]
    stage = state.stage if state and not state.ended else None
    if as_json:
        found = {"endpoint": there.name, "release": stage, "deployments": rows}
        print(json.dumps(found | {"parked": parked.at if parked else None}))
        return
    table = Table("deployment", "version", "", "traffic", "mirror")
    for row in rows:
        shares = (f"{row['traffic']}%", f"{row['mirror']}%")
        up = "healthy" if row["healthy"] else "down"
        table.add_row(str(row["name"]), str(row["version"]), up, *shares)
    open_console().print(table)
    if parked is not None:
        print(f"parked since {parked.at}, by {parked.by}; `mlops unpark` says what would come back")
    if state is not None:
        print(f"{'the last' if state.ended else 'a'} release: v{state.version}, {state.stage}")


@endpoint_app.command()
def start(endpoint: EndpointOption = "local") -> None:
    """Start the router and the deployments again, with the traffic they had."""
    from modelyard.releases.endpoints import open_local
    from modelyard.releases.release_record import FileRecord

    local = open_local(project_root(), endpoint)
    with FileRecord(local.folder).lock():
        local.open()
    print(f"{local.url}/score")
    view = local.view()
    if down := [name for name in view.traffic if not view.deployments[name].healthy]:
        logs = relative(local.folder / "logs")
        raise CheckFailed(f"{', '.join(down)} does not start; the reason is in {logs}")


@endpoint_app.command()
def stop(endpoint: EndpointOption = "local") -> None:
    """Stop the router and the deployments."""
    from modelyard.releases.endpoints import open_local
    from modelyard.releases.release_record import FileRecord

    local = open_local(project_root(), endpoint)
    with FileRecord(local.folder).lock():
        local.close()
    print(f"endpoint `{endpoint}` is stopped")


def ab_report(
    a: Annotated[str, typer.Option("--a", help="A version, such as v1, or a deployment.")],
    b: Annotated[str, typer.Option("--b", help="The version or deployment to compare it with.")],
    endpoint: Annotated[
        str, typer.Option(help="The endpoint of both: `local`, or an environment on Azure.")
    ] = "local",
    minimal_difference: Annotated[
        float | None,
        typer.Option(
            help="Smallest difference that matters; default: below_champion of the gates."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions by ground truth. The A/B test says: decide, wait for more rows, or stop."""
    from modelyard.project import load_project
    from modelyard.releases.ab_report import ab_report as compare
    from modelyard.releases.ab_report import show

    root = project_root()
    if endpoint in load_project(root).environments:
        from modelyard.releases.azure_ab import compare_on_azure

        details = compare_on_azure(root, endpoint, a, b, minimal_difference=minimal_difference)
    else:
        details = compare(root, a, b, endpoint=endpoint, minimal_difference=minimal_difference)
    if as_json:
        print(json.dumps(details))
    else:
        show(details)
