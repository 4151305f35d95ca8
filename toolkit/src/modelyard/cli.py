"""The `mlops` command. Heavy modules are imported by the command that needs them."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from modelyard.errors import CheckFailed, ModelyardError, UsageError

if TYPE_CHECKING:
    from rich.console import Console


app = typer.Typer(
    name="mlops",
    help="Run, judge, promote and look at this project's models. Exit code 0: fine, 1: a gate or check "
    "said no, 2: wrong usage or broken input.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, for a machine.")
]


def main() -> NoReturn:
    """Run the command line; a user's mistake is a message, not a traceback."""
    try:
        app()
    except ModelyardError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command resumes where it stopped", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


@app.command()
def contract(
    data: Annotated[Path, typer.Option(help="The table: CSV or Parquet.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    time: Annotated[
        str | None, typer.Option(help="The column that orders the rows in time.")
    ] = None,
    sensitive: Annotated[
        str | None, typer.Option(help="Columns to report on by group, comma separated.")
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="The value of a binary target that counts as positive.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="binary, multiclass or regression, where the guess would be wrong."),
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Replace a contract that was edited by hand.")
    ] = False,
) -> None:
    """Describe a table in conf/contract.yml; from then on every step follows it."""
    from modelyard.files import project_root

    root = project_root()
    words = ["--data", str(data), "--target", target]
    for name, value in (
        ("--time", time),
        ("--sensitive", sensitive),
        ("--positive", positive),
        ("--kind", kind),
    ):
        words += [name, value] if value is not None else []
    words += ["--force"] if force else []
    words += ["--output", str(root / "conf" / "contract.yml")]
    words += ["--data-asset", str(root / "azureml" / "data" / "training.yml")]
    module = "modelyard.contract.infer"
    done = subprocess.run([sys.executable, "-m", module, *words], check=False)  # noqa: S603
    monitor_file = root / "azureml" / "monitoring" / "monitor.yml"
    if done.returncode == 0 and monitor_file.is_file():
        from modelyard.monitoring.follow_contract import follow_contract

        try:
            if follow_contract(root, monitor_file):
                print(f"{_relative(monitor_file)} watches the contract's columns now")
        except UsageError as error:
            print(f"warning: {error}", file=sys.stderr)
    raise typer.Exit(done.returncode)


@app.command()
def run(
    pipeline: Annotated[
        Path, typer.Argument(help="A pipeline file, e.g. azureml/pipelines/train.yml.")
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", help="NAME=VALUE or NAME=PATH, instead of what the file says. Repeatable."
        ),
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option(help="Take results of earlier runs where nothing they depend on has changed."),
    ] = True,
    experiment: Annotated[
        str | None, typer.Option(help="MLflow experiment; default: the pipeline's own.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Steps at once; default: one per core.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run an Azure ML pipeline file here, with the same components and command lines."""
    from modelyard.pipelines.progress import Progress
    from modelyard.pipelines.run import RunFailed, run_pipeline

    console = _console(stderr=as_json)
    given = dict(_pair(one) for one in inputs or [])
    try:
        with Progress(console) as watch:
            result = run_pipeline(
                pipeline, inputs=given, reuse=reuse, jobs=jobs, experiment=experiment, watch=watch
            )
    except RunFailed as failure:
        if page := _report_of_failure(failure.folder):
            console.print(f"report: {_relative(page)}", soft_wrap=True, highlight=False)
        raise
    page = result.folder / "register" / "page" / "report.html"
    decision = result.folder / "register" / "decision" / "decision.json"
    if as_json:
        known = json.loads(decision.read_text(encoding="utf-8")) if decision.is_file() else None
        print(
            json.dumps(
                {
                    "run": result.run_id,
                    "folder": str(result.folder),
                    "unchanged": result.unchanged,
                    "report": str(page) if page.is_file() else None,
                    "decision": known and known["details"],
                }
            )
        )
        return
    if result.unchanged:
        console.print(f"nothing has changed since run {result.run_id} (--no-reuse runs it again)")
    if decision.is_file():
        _print_decision(console, json.loads(decision.read_text(encoding="utf-8"))["details"])
    if page.is_file():
        console.print(f"report: {_relative(page)}", soft_wrap=True, highlight=False)


@app.command()
def promote(
    version: Annotated[
        str | None, typer.Option(help="Version to promote; default: the newest challenger.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge, change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare the challenger with the champion and the gates; promote or refuse, with reasons."""
    from modelyard.files import project_root
    from modelyard.releases.promote import promote as decide

    promotion = decide(project_root(), version, dry_run=dry_run)
    details = promotion.decision.evidence()["details"]
    if as_json:
        print(json.dumps(details))
    else:
        console = _console()
        if promotion.compared_again:
            console.print("the champion has changed since the challenger's run: compared again")
        _print_decision(console, details)
        console.print(
            f"evidence and report: {_relative(promotion.folder)}", soft_wrap=True, highlight=False
        )
    raise typer.Exit(0 if promotion.decision.passed else 1)


@app.command()
def rollback(as_json: JsonOption = False) -> None:
    """Make the previous champion the champion again."""
    from modelyard.files import project_root
    from modelyard.releases.promote import rollback as restore

    restored, replaced = restore(project_root())
    if as_json:
        print(json.dumps({"champion": restored.number, "replaced": replaced.number}))
    else:
        print(
            f"champion is {restored.name} v{restored.number} again; v{replaced.number} is retired"
        )


@app.command()
def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where to listen; 0 for any that is free.")
    ] = 5001,
    version: Annotated[
        str | None, typer.Option(help="Version to serve; default: the champion.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")
    ] = "127.0.0.1",
    collect: Annotated[bool, typer.Option(help="Keep requests and answers in .collected.")] = True,
    once: Annotated[
        bool, typer.Option("--once", help="Ask it the model's own example, print that, and stop.")
    ] = False,
) -> None:
    """Answer requests with the champion, in the inference server that Azure ML runs."""
    from modelyard.files import project_root
    from modelyard.serving.server import serve as run_server

    run_server(
        project_root(),
        port=port,
        version=version,
        workers=workers,
        host=host,
        collect=collect and not once,
        once=once,
    )


@app.command()
def models(as_json: JsonOption = False) -> None:
    """List the registered versions, newest first."""
    from rich.table import Table

    from modelyard.files import project_root
    from modelyard.models.registry import Registry
    from modelyard.models.version import CHAMPION
    from modelyard.project import load_project
    from modelyard.tracking import tracking_uri

    root = project_root()
    registry = Registry(load_project(root).model, tracking_uri(root))
    champion = registry.holder(CHAMPION)
    versions = registry.versions()
    if as_json:
        print(
            json.dumps(
                [
                    {"version": v.number, "champion": v == champion, "tags": dict(v.tags)}
                    for v in versions
                ]
            )
        )
        return
    if not versions:
        print("no version is registered yet; `mlops run azureml/pipelines/train.yml` registers one")
        return
    table = Table("version", "role", "decision", "dataset", "commit")
    for v in versions:
        role = CHAMPION if champion and v.number == champion.number else v.tags.get("role", "")
        table.add_row(
            v.number,
            role,
            v.tags.get("decision", "not judged"),
            f"{v.tags.get('dataset', '')} {v.tags.get('dataset_digest', '')[:8]}",
            v.tags.get("git_commit", "")[:10],
        )
    _console().print(table)


@app.command()
def explain(
    data: Annotated[Path, typer.Option(help="Rows to explain: CSV or Parquet.")],
    row: Annotated[
        int | None, typer.Option(min=1, help="One row, counted from 1; default: all.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version of the model; default: the champion.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what each column adds to single predictions; the parts add up to the prediction."""
    from modelyard.files import project_root
    from modelyard.models.explain import explain as explain_rows

    code = explain_rows(project_root(), data, row=row, version=version, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def check(
    pipelines: Annotated[
        list[Path] | None, typer.Argument(help="Pipeline files; default: all in azureml/pipelines.")
    ] = None,
) -> None:
    """Check pipelines' bindings, types and files; data need not be here, and nothing is run."""
    from modelyard.files import project_root
    from modelyard.pipelines.reader import load_pipeline

    root = project_root()
    files = pipelines or sorted((root / "azureml" / "pipelines").glob("*.yml"))
    if not files:
        raise UsageError(f"{root / 'azureml' / 'pipelines'} has no pipeline")
    for file in files:
        found = load_pipeline(file, data_assets=root / "azureml" / "data", need_data=False)
        print(f"{_relative(file)}: {len(found.steps)} steps, fine")


@app.command()
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
        bool, typer.Option("--rollback", help="Call off the release under way, or undo the last.")
    ] = False,
    approved_by: Annotated[
        str | None, typer.Option(help="Who approves it, where conf/gates.yml asks for approval.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Release a version beside the old one: test, mirror, shift traffic; roll back if it is worse."""
    from modelyard.files import project_root
    from modelyard.gates import load_gates
    from modelyard.releases.release import evidence, force_rollback, run_release
    from modelyard.releases.release_progress import ReleaseProgress

    root = project_root()
    console = _console(stderr=as_json)
    settings = load_gates(root / "conf" / "gates.yml").release
    settings = settings.faster() if fast else settings
    with ReleaseProgress(console) as watch:
        if rollback:
            result = force_rollback(root, endpoint=endpoint, watch=watch, settings=settings)
        else:
            result = run_release(
                root,
                version,
                endpoint=endpoint,
                watch=watch,
                settings=settings,
                approved_by=approved_by,
                say=watch.say,
            )
    if result.state is None or result.folder is None:
        print(json.dumps({"unchanged": True}) if as_json else f"`{endpoint}` serves it already")
        return
    details = evidence(result.state)["details"]
    if as_json:
        print(json.dumps(details))
    else:
        _print_reasons(console, details["reasons"])
        name = f"{result.state.model} v{result.state.version}"
        words = f"{name} is {result.state.stage}: endpoint `{result.state.endpoint}`"
        console.print(words, style="bold green" if result.released else "bold red")
        console.print(f"evidence: {_relative(result.folder)}", soft_wrap=True, highlight=False)
    raise typer.Exit(0 if result.released or rollback else 1)


endpoint_app = typer.Typer(help="Look at, start and stop a local endpoint.", no_args_is_help=True)
app.add_typer(endpoint_app, name="endpoint")
EndpointOption = Annotated[str, typer.Option("--endpoint", help="Name of a local endpoint.")]


@endpoint_app.command()
def status(endpoint: EndpointOption = "local", as_json: JsonOption = False) -> None:
    """Show its deployments, who gets how much traffic, and how they do."""
    from dataclasses import asdict

    from rich.table import Table

    from modelyard.files import project_root
    from modelyard.releases.release import load_state, open_local

    here = open_local(project_root(), endpoint)
    rows, state = here.rows(), load_state(here.folder)
    under_way = state.stage if state and not state.ended else None
    if as_json:
        address = here.url if here.is_running else None
        found = {"url": address, "release": under_way, "deployments": [asdict(row) for row in rows]}
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
            "answers" if row.healthy else "down",
            f"{row.traffic}%",
            f"{row.mirror}%",
            str(measured.requests),
            str(measured.errors),
            *("" if ms is None else f"{ms:.1f}" for ms in (measured.p50_ms, measured.p95_ms)),
        )
    _console().print(table)
    print(f"{here.url}/score" if here.is_running else "stopped; `mlops endpoint start` starts it")
    if under_way:
        print(f"a release is under way: {under_way}; `mlops release` resumes it")


@endpoint_app.command()
def start(endpoint: EndpointOption = "local") -> None:
    """Bring it back as it was, with its deployments and traffic."""
    from modelyard.files import project_root
    from modelyard.releases.release import alone, open_local

    here = open_local(project_root(), endpoint)
    with alone(here.folder):
        here.open()
    print(f"{here.url}/score")
    view = here.view()
    if down := [name for name in view.traffic if not view.deployments[name].healthy]:
        logs = _relative(here.folder / "logs")
        raise CheckFailed(f"{', '.join(down)} does not start; the reason is in {logs}")


@endpoint_app.command()
def stop(endpoint: EndpointOption = "local") -> None:
    """Stop its router and deployments; `start` brings them back."""
    from modelyard.files import project_root
    from modelyard.releases.release import alone, open_local

    here = open_local(project_root(), endpoint)
    with alone(here.folder):
        here.close()
    print(f"endpoint `{endpoint}` is stopped")


@app.command("ab-report")
def ab_report(
    a: Annotated[str, typer.Option("--a", help="A version, such as v1, or a deployment.")],
    b: Annotated[str, typer.Option("--b", help="The one to compare it with.")],
    endpoint: Annotated[str, typer.Option(help="Where both were deployed.")] = "local",
    minimal_difference: Annotated[
        float | None,
        typer.Option(help="What is worth a decision; default: below_champion of the gates."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions by what really happened: decide, wait for more rows, or stop."""
    from modelyard.files import project_root
    from modelyard.releases.ab_report import ab_report as compare

    code, file = compare(
        project_root(),
        a,
        b,
        endpoint=endpoint,
        minimal_difference=minimal_difference,
        quiet=as_json,
    )
    if as_json and code == 0:
        print(json.dumps(json.loads(file.read_text(encoding="utf-8"))["details"]))
    raise typer.Exit(code)


@app.command()
def clean(
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest runs to keep.")] = 5,
) -> None:
    """Delete old runs from .runs; registered models and their evidence stay in MLflow."""
    from modelyard.files import project_root
    from modelyard.pipelines.record import close_with_mlflow
    from modelyard.pipelines.store import all_runs

    root = project_root()
    close_with_mlflow(root)
    runs = all_runs(root / ".runs")
    gone = [run for run in runs[keep:] if run.acquire()]
    for run in gone:
        run.release()
        shutil.rmtree(run.path)
    print(f"{len(gone)} runs deleted, {len(runs) - len(gone)} kept")


@app.command()
def monitor(
    file: Annotated[
        Path | None,
        typer.Argument(help="A monitor's file; default: azureml/monitoring/monitor.yml."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="When it runs, e.g. 2026-05-01 (UTC); default: now.")
    ] = None,
    collected: Annotated[
        Path | None, typer.Option(help="Collected data; default: .collected.")
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Table to compare with; default: what the champion was trained from."),
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
    as_json: JsonOption = False,
) -> None:
    """Compute Azure ML's model monitor on what was collected here; exit code 1 on a breach."""
    from modelyard.files import project_root

    root = project_root()
    path = file or root / "azureml" / "monitoring" / "monitor.yml"
    if follow_contract:
        from modelyard.monitoring.follow_contract import follow_contract as follow

        print("\n".join(follow(root, path)) or "the file follows the contract")
    elif export_reference:
        from modelyard.monitoring.export_reference import export_reference as export

        print(_relative(export(root)))
    else:
        from modelyard.monitoring import show
        from modelyard.monitoring.run import parse_time, run_monitor

        when, console = parse_time(at), _console(stderr=as_json)
        with console.status("measuring collected data"):
            result = run_monitor(
                root, path, at=when, collected=collected, reference=reference, output=output
            )
        if as_json:
            print(show.as_json(result))
        else:
            show.show(result, console)
        raise typer.Exit(1 if result.breaches else 0)


@app.command()
def score(
    data: Annotated[
        Path, typer.Option(help="The table, CSV or Parquet, or a folder of such tables.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the scored rows, this job's only.")],
    version: Annotated[
        str | None, typer.Option(help="Version of the model; default: the champion.")
    ] = None,
    part_rows: Annotated[
        int | None,
        typer.Option(min=1, help="Rows of the table per file of the output; default: 1,000,000."),
    ] = None,
    max_rejected: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of rows that may break the contract; more: exit code 1."
        ),
    ] = 0.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete what another job left in the output.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Score tables of any size with the script of the batch endpoint; an interrupted job resumes."""
    from modelyard.files import project_root
    from modelyard.scoring.local_batch import ScoreProgress
    from modelyard.scoring.local_batch import score as score_tables

    console = _console(stderr=as_json)
    with ScoreProgress(console) as watch:
        result = score_tables(
            project_root(),
            data,
            output,
            version=version,
            part_rows=part_rows,
            max_rejected=max_rejected,
            overwrite=overwrite,
            watch=watch,
        )
    if as_json:
        print(json.dumps(result.summary))
    else:
        result.print(console, _relative(output))
    raise typer.Exit(1 if result.complaint else 0)


@app.command()
def drill(
    data: Annotated[
        Path | None,
        typer.Option(help="The table; default: the one of azureml/data/training.yml."),
    ] = None,
    history: Annotated[
        int, typer.Option(min=1, help="Periods that the first model learns from.")
    ] = 3,
    until: Annotated[
        str | None, typer.Option(help="Last period to replay, e.g. 2013-08; default: all.")
    ] = None,
    rows: Annotated[
        int, typer.Option(min=50, help="Rows sent to the endpoint in each period.")
    ] = 2_000,
    cool_down: Annotated[
        int, typer.Option(min=0, help="Periods that pass between two trainings at least.")
    ] = 2,
    break_one: Annotated[
        bool,
        typer.Option(help="End with a release that breaks its callers, to see it rolled back."),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Rehearse the whole loop: the table's own time goes by, served, watched and retrained."""
    from modelyard.drills.drill import Plan
    from modelyard.drills.drill import drill as rehearse
    from modelyard.files import project_root

    console = _console(stderr=as_json)
    plan = Plan(history=history, until=until, rows=rows, cool_down=cool_down, break_one=break_one)
    with console.status("cutting the table into periods") as status:

        def tell(line: str) -> None:
            console.print(line, soft_wrap=True, highlight=False, markup=False)
            status.update("the next period goes by")

        # What is said on the way is for people; standard output is for the result.
        with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):
            home = rehearse(project_root(), plan, data=data, tell=tell)
    if as_json:
        print((home / "drill.json").read_text(encoding="utf-8"), end="")
        return
    console.print(f"timeline: {_relative(home / 'drill.html')}", soft_wrap=True, highlight=False)


@app.command()
def relocate() -> None:
    """Mend the MLflow store after the project's folder was moved, renamed or copied."""
    from modelyard.files import project_root
    from modelyard.relocation import relocate as mend
    from modelyard.tracking import local_store

    root = project_root()
    former = mend(local_store(root), root)
    if not former:
        print("nothing to do: the store points to this folder")
    for place in former:
        print(f"what was below {place} is below {root} now")


infra_app = typer.Typer(
    help="Check the infrastructure of infra/, and deploy it.", no_args_is_help=True
)
app.add_typer(infra_app, name="infra")


@infra_app.command("check")
def check_infrastructure(as_json: JsonOption = False) -> None:
    """Compare infra/ with Azure's own types, its callers, checkov's rules and what is intended."""
    from modelyard.files import project_root

    try:
        from modelyard.infra.check import check as check_files
        from modelyard.infra.check import printed
    except ModuleNotFoundError as error:  # an environment without requirements/dev.txt
        raise UsageError(f"{error.name} is not installed here; `make setup` installs it") from None
    root = project_root()
    checked = check_files(root, lambda line: print(line, file=sys.stderr, flush=True))
    if as_json:
        print(json.dumps(checked.as_json(root)))
    else:
        for line in printed(checked):
            print(line)
    raise typer.Exit(1 if checked.findings else 0)


@infra_app.command("deploy")
def deploy_infrastructure(
    environment: Annotated[str, typer.Argument(help="One of conf/project.yml: dev, test or prod.")],
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Show what would change; change nothing.")
    ] = False,
    as_administrator: Annotated[
        bool,
        typer.Option(
            "--as-administrator",
            help="Make the resource group, and deploy roles, policies and locks as well.",
        ),
    ] = False,
    confirm: Annotated[
        str | None,
        typer.Option(help="The resource group's name: an administrator's word that prod is meant."),
    ] = None,
) -> None:
    """Deploy an environment with the Azure CLI (needs Azure). prod is deployed by the pipeline."""
    from modelyard.files import project_root
    from modelyard.infra.deploy import deploy

    deploy(
        project_root(),
        environment,
        what_if=what_if,
        as_administrator=as_administrator,
        confirm=confirm,
    )


@infra_app.command("document")
def document_infrastructure() -> None:
    """Bring the picture and the table of rights in docs/infrastructure.md up to date."""
    from modelyard.files import project_root, write_text
    from modelyard.infra.document import PAGE, documented

    root = project_root()
    text = documented(root)
    if text == (root / PAGE).read_text(encoding="utf-8"):
        print(f"{PAGE} is up to date")
    else:
        write_text(root / PAGE, text)
        print(f"{PAGE} is written anew")


def _report_of_failure(folder: Path) -> Path | None:
    """A report of what a failed run has left, if it has left any evidence."""
    from modelyard.files import read_json, write_text
    from modelyard.project import load_project
    from modelyard.reports import report
    from modelyard.reports.kinds import KINDS

    found = {file.stem: read_json(file) for file in folder.glob("[!.]*/*/*.json")}
    evidence = {kind: found[kind] for kind in KINDS if kind in found}
    if not evidence:
        return None
    page = folder / "report.html"
    state = read_json(folder / "run.json")
    about = {
        "title": load_project(folder.parents[1]).title,
        "run_id": folder.name,
        "git_commit": state["git_commit"],
        "pipeline": state["pipeline"],
    }
    write_text(page, report.render(evidence, about))
    return page


def _console(*, stderr: bool = False) -> Console:
    """The terminal; what is not one gets lines long enough for a table."""
    from rich.console import Console

    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=120)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--input expects NAME=VALUE, found {text!r}")
    return name, value


def _print_reasons(console: Console, reasons: list[dict[str, str]]) -> None:
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


def _print_decision(console: Console, details: dict[str, object]) -> None:
    from rich.text import Text

    model = details["model"]
    assert isinstance(model, dict)  # noqa: S101 (our own evidence)
    reasons = details["reasons"]
    assert isinstance(reasons, list)  # noqa: S101 (our own evidence)
    _print_reasons(console, reasons)
    name = f"{model['name']} v{model['version']}"
    verdict = {
        ("promote", "registered"): f"{name} is a challenger, ready to be promoted: mlops promote",
        ("refuse", "registered"): f"{name} is a challenger; mlops promote would refuse it",
        ("promote", "promoted"): f"{name} is the champion now",
        ("refuse", "refused"): f"{name} is refused; the champion stays",
    }[str(details["verdict"]), str(details["stage"])]
    console.print(Text(verdict, "bold green" if details["verdict"] == "promote" else "bold red"))


def _relative(path: Path) -> str:
    """A path as one would type it here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
