"""Commands for registered models: list, promote, roll back, retire, explain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.terminal import (
    JsonOption,
    MaybeEnvironmentOption,
    VersionOption,
    print_decision,
    print_path,
)
from modelyard.console import console as open_console
from modelyard.console import short_commit
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import project_root


def promote(
    version: Annotated[
        str | None, typer.Option(help="Version to promote; default: the newest challenger.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge, change nothing.")] = False,
    accepted_by: Annotated[
        str | None,
        typer.Option(help="Who accepts gates that could not be judged, where gates.yml asks."),
    ] = None,
    environment: MaybeEnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Promote the challenger or refuse it. It is compared with the champion and the gates."""
    from modelyard.azure import use_workspace
    from modelyard.models.adoption import adopt
    from modelyard.models.registry import registry_of
    from modelyard.releases.promote import IsChampion
    from modelyard.releases.promote import promote as decide

    root = project_root()
    is_on_azure = use_workspace(root, environment) is not None
    if is_on_azure and version and not dry_run and adopt(registry_of(root), version):
        name = {"champion": version, "taken": True}
        print(json.dumps(name) if as_json else f"v{version} was promoted before it was taken here")
        return
    try:
        promotion = decide(root, version, dry_run=dry_run, accepted_by=accepted_by)
    except IsChampion as done:  # a pipeline that runs again
        print(json.dumps({"champion": done.number, "taken": False}) if as_json else done)
        return
    details = promotion.decision.evidence()["details"]
    if as_json:
        print(json.dumps(details))
    else:
        console = open_console()
        if promotion.compared_again:
            console.print("the champion has changed since the challenger's run: compared again")
        print_decision(console, details)
        print_path(console, "evidence and report", promotion.folder)
    raise typer.Exit(0 if promotion.decision.promotable else 1)


def rollback(environment: MaybeEnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Make the previous champion the champion again."""
    from modelyard.azure import use_workspace
    from modelyard.releases.promote import NEW_LINE
    from modelyard.releases.promote import rollback as restore

    root = project_root()
    use_workspace(root, environment)
    restored, replaced = restore(root)
    if as_json:
        print(json.dumps({"champion": restored.number, "replaced": replaced.number}))
        return
    print(f"champion is {restored.name} v{restored.number} again; v{replaced.number} is retired")
    if why := replaced.tags.get(NEW_LINE):
        print(
            f"v{restored.number} is of the line of versions before v{replaced.number}: {why}. "
            f"Runs are compared with it again once conf/contract.yml is that of v{restored.number}"
        )


def retire(environment: MaybeEnvironmentOption = None, as_json: JsonOption = False) -> None:
    """Retire the champion. Without one, the next version that passes the gates is the first again."""
    from modelyard.azure import use_workspace
    from modelyard.releases.promote import retire as end

    root = project_root()
    use_workspace(root, environment)
    retired = end(root)
    if as_json:
        print(json.dumps({"champion": None, "retired": retired.number}))
        return
    print(
        f"{retired.name} v{retired.number} is retired, there is no champion now; a server or an endpoint "
        f"that runs keeps it. `mlops promote` takes the next one, `mlops promote --version "
        f"{retired.number}` brings it back"
    )


def models(environment: MaybeEnvironmentOption = None, as_json: JsonOption = False) -> None:
    """List the registered versions, newest first."""
    from rich.table import Table

    from modelyard.azure import use_workspace
    from modelyard.models.registry import registered
    from modelyard.models.version import CHAMPION
    from modelyard.pipelines.commit import PATCH
    from modelyard.project import load_project
    from modelyard.tracking import tracking_uri

    root = project_root()
    use_workspace(root, environment)
    versions, champion = registered(load_project(root).model, tracking_uri(root))
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
            short_commit(v.tags.get("git_commit", "")),
        )
    open_console().print(table)
    if any(v.tags.get("git_commit", "").endswith("-dirty") for v in versions):
        print(
            f"-dirty: what differed from the commit is in MLflow, code/{PATCH} of the version's run"
        )


def reproduce(
    version: Annotated[str, typer.Argument(help="A version of the model, see `mlops models`.")],
    data: Annotated[
        Path | None, typer.Option(help="The table it was trained on; default: the present one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a version again and compare. From its commit, contract, table and locks.

    Leaves a certificate beside the decision on the version. Exit code 1: a figure differs.

    Example: mlops reproduce 3
    """
    from modelyard.reproduce import reproduce as train_again

    console = open_console(stderr=as_json)
    found = train_again(project_root(), version, data, lambda line: console.print(line))
    if as_json:
        print(found.certificate.read_text(encoding="utf-8"))
    else:
        for name, one in found.differences.items():
            console.print(f"{'✗' if one else '✓'} {name}: {one or 'equal'}", soft_wrap=True)
        print_path(console, "certificate", found.certificate)
    differing = [name for name, one in found.differences.items() if one]
    if differing:
        raise CheckFailed(f"v{version} is not reproduced: {', '.join(differing)}")
    console.print(f"v{version} is reproduced: every figure is equal")


def explain(
    data: Annotated[Path, typer.Option(help="Rows to explain: CSV or Parquet.")],
    row: Annotated[
        int | None, typer.Option(min=1, help="Number of one row, from 1; default: all.")
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Explain with another value, too; repeat it for further columns.",
        ),
    ] = None,
    version: VersionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain predictions by Shapley values. They are the contributions of a row's columns.

    With --what-if, prediction and contributions stand beside those with other values, which the data
    contract has to allow; a value outside what the model was trained on is warned about.

    Example: mlops explain --data rows.csv --row 3 --what-if age=70 --what-if smoker=false
    """
    import tempfile

    from modelyard.evaluation.shapley import explain_rows
    from modelyard.models.registry import locate
    from modelyard.project import load_project
    from modelyard.tracking import tracking_uri

    root = project_root()
    model = load_project(root).model
    with tempfile.TemporaryDirectory(prefix="explain-") as temporary:
        wanted = ("model", "prepared")
        found = locate(model, tracking_uri(root), version, wanted, Path(temporary))
        if found is None:
            raise UsageError(
                f"model `{model}` has no champion; promote one, or name a version with --version"
            )
        paths = (found.paths["model"], found.paths["prepared"], data)
        explain_rows(*paths, row, as_json, what_if or ())
