"""Commands for pipelines: run, delete old runs, repair the MLflow store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.terminal import JsonOption, print_decision, print_path
from modelyard.console import console as open_console
from modelyard.console import counted
from modelyard.errors import UsageError
from modelyard.files import has_file, project_root, read_json, relative, write_text

DELETED = ".deleted-"  # before the name of a run that goes


def run(
    pipeline: Annotated[
        Path, typer.Argument(help="A pipeline file, e.g. azureml/pipelines/train.yml.")
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", help="NAME=VALUE or NAME=PATH, instead of the file's own. Repeatable."
        ),
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option(help="Use results of earlier runs where nothing they depend on has changed."),
    ] = True,
    experiment: Annotated[
        str | None, typer.Option(help="MLflow experiment; default: the pipeline's own.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Steps at once; default: one per core.")
    ] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Run every step in this environment, whatever it names.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run an Azure ML pipeline on this machine. Components and command lines are the same."""
    from modelyard.pipelines.failures import RunFailed
    from modelyard.pipelines.progress import Progress
    from modelyard.pipelines.run import run_pipeline

    console = open_console(stderr=as_json)
    given = dict(read_pair(one) for one in inputs or [])
    try:
        with Progress(console) as progress:
            result = run_pipeline(
                pipeline,
                inputs=given,
                reuse=reuse,
                jobs=jobs,
                experiment=experiment,
                here=here,
                progress=progress,
            )
    except RunFailed as failure:
        if page := _report_of_failure(failure.folder):
            print_path(console, "report", page)
        raise
    page = result.folder / "register" / "page" / "report.html"
    file = result.folder / "register" / "decision" / "decision.json"
    decision = read_json(file)["details"] if has_file(file) else None
    if as_json:
        print(
            json.dumps(
                {
                    "run": result.run_id,
                    "folder": str(result.folder),
                    "unchanged": result.unchanged,
                    "report": str(page) if page.is_file() else None,
                    "decision": decision,
                }
            )
        )
        return
    if result.unchanged:
        console.print(f"nothing has changed since run {result.run_id} (--no-reuse runs it again)")
    if decision:
        print_decision(console, decision)
    if page.is_file():
        print_path(console, "report", page)


def clean(
    keep: Annotated[int, typer.Option(min=0, help="Number of the newest runs to keep.")] = 5,
) -> None:
    """Delete old runs in .runs. Registered models and their evidence stay in MLflow."""
    from modelyard.pipelines.record import close_with_mlflow
    from modelyard.pipelines.store import all_runs, half_made, open_run

    root = project_root()
    close_with_mlflow(root)
    runs = all_runs(root / ".runs")
    old = [run for run in runs[keep:] if run.acquire()]
    for run in (*old, *half_made(root / ".runs")):
        # No other command takes it for a run from now on.
        (run.path / "run.json").unlink(missing_ok=True)
        run.release()
        run.path.rename(run.path.with_name(f"{DELETED}{run.path.name}"))
    # Those of a command that was killed as well.
    for folder in (root / ".runs").glob(f"{DELETED}*"):
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            print(f"not deleted whole: {relative(folder)}; the next call tries again")
    for file in sorted((root / ".runs").glob("*/run.json")):
        if open_run(file.parent) is None:
            print(
                f"not counted: {relative(file)} is damaged or of another version; delete its folder"
            )
    print(f"{counted(len(old), 'run')} deleted, {len(runs) - len(old)} kept")


def relocate() -> None:
    """Repair the MLflow store of a moved project. For a renamed or a copied one as well."""
    from modelyard.relocation import relocate as repair
    from modelyard.tracking import local_store

    root = project_root()
    former = repair(local_store(root), root)
    if not former:
        print("nothing to do: the store refers to this folder")
    for place in former:
        print(f"paths below {place} are below {root} now")


def read_pair(text: str) -> tuple[str, str]:
    """Read NAME=VALUE.

    Raises:
        UsageError: it has another form.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--input expects NAME=VALUE, found {text!r}")
    return name, value


def _report_of_failure(folder: Path) -> Path | None:
    """Write a report of the evidence that a failed run has left; None where it has left none."""
    from modelyard.project import load_project
    from modelyard.reports import report
    from modelyard.reports.kinds import KINDS

    found = {file.stem: read_json(file, object) for file in folder.glob("[!.]*/*/*.json")}
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
