"""Commands that bring a part into a project that its answers left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import JsonOption, alone, say
from modelyard.console import counted
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import project_root

if TYPE_CHECKING:
    from modelyard.delivery.additions import Plan

MARKS = {"added": "+", "changed": "~", "removed": "-", "kept": "=", "conflict": "!"}
add_app = typer.Typer(
    help="Add what the answers of this project left out. It is then as if they had been given at the "
    "start. Shows files and lines; --apply writes them.",
    no_args_is_help=True,
)
ApplyOption = Annotated[bool, typer.Option("--apply", help="Write the files.")]
TemplateOption = Annotated[
    str | None,
    typer.Option(help="Path or URL of the template; default: as .cruft.json says."),
]


class Provider(StrEnum):
    """Where pipelines run."""

    github = "github-actions"
    azure_devops = "azure-devops"


class Kind(StrEnum):
    """A kind of endpoint."""

    online = "online"
    batch = "batch"


class Network(StrEnum):
    """How Azure is reached."""

    public = "public"
    managed_vnet = "managed-vnet"


@add_app.command()
@alone
def pipelines(
    provider: Annotated[Provider, typer.Argument(help="Where the repository lives.")],
    apply: ApplyOption = False,
    template: TemplateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add the pipelines of a provider; those of another one go.

    Example: mlops add pipelines github-actions --apply
    """
    _answer(lambda _: {"ci_provider": provider.value}, apply, template, as_json)


@add_app.command()
@alone
def infrastructure(
    network: Annotated[Network, typer.Option(help="How Azure is reached.")] = Network.public,
    organization: Annotated[
        str | None, typer.Option(help="Code in every name on Azure; default: as answered.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Region of Azure; default: as answered.")
    ] = None,
    apply: ApplyOption = False,
    template: TemplateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add everything on Azure: Bicep, events, schedules, and what pipelines do there.

    Example: mlops add infrastructure --organization contos --region northeurope
    """

    def choose(answers: Mapping[str, str]) -> dict[str, str]:
        wanted = {"organization_code": organization, "azure_region": region}
        is_there = answers.get("network") != "none" and network is Network.public
        chosen = {name: value for name, value in wanted.items() if value is not None}
        return chosen | ({} if is_there else {"network": network.value})

    _answer(choose, apply, template, as_json)


@add_app.command()
@alone
def network(
    apply: ApplyOption = False, template: TemplateOption = None, as_json: JsonOption = False
) -> None:
    """Add the private network: private endpoints, and approved hosts only.

    Example: mlops add network --apply
    """
    _answer(lambda _: {"network": Network.managed_vnet.value}, apply, template, as_json)


@add_app.command()
@alone
def replica(
    apply: ApplyOption = False, template: TemplateOption = None, as_json: JsonOption = False
) -> None:
    """Add the masked replica: people get at a copy of production data without what identifies.

    Example: mlops add replica --apply
    """

    def choose(answers: Mapping[str, str]) -> dict[str, str]:
        if answers.get("network") == "none":
            raise UsageError(
                "a replica is made by the infrastructure, which this project has not: `mlops add infrastructure` first"
            )
        return {"production_data": "masked-replica"}

    _answer(choose, apply, template, as_json)


@add_app.command()
@alone
def endpoint(
    kind: Annotated[Kind, typer.Argument(help="Answers requests, or scores whole tables.")],
    apply: ApplyOption = False,
    template: TemplateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add an endpoint beside the one there is.

    Example: mlops add endpoint batch --apply
    """
    from modelyard.delivery.additions import wanted_endpoint

    _answer(lambda answers: wanted_endpoint(kind.value, answers), apply, template, as_json)


@add_app.command()
@alone
def approval(
    apply: ApplyOption = False, template: TemplateOption = None, as_json: JsonOption = False
) -> None:
    """Add the approval of releases by a model validator.

    Example: mlops add approval --apply
    """
    _answer(lambda _: {"release_approval": "model-validator"}, apply, template, as_json)


@add_app.command()
@alone
def factory(
    apply: ApplyOption = False, template: TemplateOption = None, as_json: JsonOption = False
) -> None:
    """Add what an organization asks of its projects: its registry, approvals, its policy.

    Example: mlops add factory --apply
    """
    _answer(lambda _: {"profile": "factory"}, apply, template, as_json)


@add_app.command()
@alone
def environment(
    name: Annotated[str, typer.Argument(help="Name of the environment of Azure ML.")],
    package: Annotated[
        list[str], typer.Option(help="A pip package with its version; may be given several times.")
    ],
    apply: ApplyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add an environment of Azure ML for steps that need packages of their own.

    Example: mlops add environment text --package spacy==3.8.7 --apply
    """
    from modelyard.pipelines.new_asset import environment_files

    root = project_root()
    _write(root, environment_files(root, name, package), [], apply, as_json)


@add_app.command()
@alone
def schedule(
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
    pipeline: Annotated[Path, typer.Option(help="What it runs, below azureml/.")],
    cron: Annotated[str, typer.Option(help="When, in UTC: five fields, such as '0 3 * * 1'.")],
    where: Annotated[
        str, typer.Option("--environment", help="Of conf/project.yml, where it runs.")
    ] = "dev",
    apply: ApplyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add a schedule that runs a pipeline on Azure by the clock.

    Example: mlops add schedule weekly --pipeline azureml/pipelines/train.yml --cron '0 3 * * 1'
    """
    from modelyard.pipelines.new_asset import schedule_files

    root = project_root()
    _write(root, schedule_files(root, name, pipeline, cron, where), [], apply, as_json)


@add_app.command()
@alone
def stage(
    name: Annotated[str, typer.Argument(help="Name of the environment, such as staging.")],
    apply: ApplyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add an environment on Azure between test and prod, with its places in the pipelines.

    Example: mlops add stage staging --apply
    """
    from modelyard.delivery.stages import stage_files

    root = project_root()
    files = stage_files(root, name)
    _write(root, files, list(files), apply, as_json)


@add_app.command()
@alone
def step(
    name: Annotated[str, typer.Argument(help="Name of the step: lower case, a Python identifier.")],
    apply: ApplyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add a step to the training pipeline, as `mlops new step` does at once.

    Example: mlops add step enrich --apply
    """
    from modelyard.pipelines.new_step import PIPELINE, step_files

    root = project_root()
    _write(root, step_files(root, name), [root / PIPELINE], apply, as_json)


def _answer(
    choose: Callable[[Mapping[str, str]], Mapping[str, str]],
    apply: bool,
    template: str | None,
    as_json: bool,
) -> None:
    from modelyard.delivery.additions import plan_answers

    root = project_root()
    with plan_answers(root, choose, template, say) as plan:
        _finish(root, plan, apply, as_json)


def _write(
    root: Path, files: Mapping[Path, bytes], replaced: Sequence[Path], apply: bool, as_json: bool
) -> None:
    from modelyard.delivery.additions import plan_files

    _finish(root, plan_files(root, files, replaced), apply, as_json)


def _finish(root: Path, plan: Plan, apply: bool, as_json: bool) -> None:
    """Print a plan, and write it if that is wanted."""
    from modelyard.delivery.additions import apply_plan

    is_there = not plan.files and not plan.answers
    if not as_json:
        for line in _printed(plan):
            print(line)
    left: CheckFailed | None = None
    if apply and not is_there:
        try:
            apply_plan(root, plan)
        except CheckFailed as conflicts:
            left = conflicts
    if as_json:
        print(json.dumps(plan.as_json() | {"applied": apply and not is_there}, indent=2))
    elif left is None and not is_there:
        done = "committed: `git show` shows it, `git revert HEAD` takes it back"
        if plan.upgrade is None:
            done = "written; `git diff` shows it, then commit it"
        print(done if apply else "nothing is written: the same command with --apply does it")
    if left is not None:
        raise left


def _printed(plan: Plan) -> list[str]:
    if not plan.files and not plan.answers:
        return ["this project has it already: nothing to add"]
    lines = [f"{name}: {old} → {new}" for name, (old, new) in plan.answers.items()]
    for one in plan.files:
        added, removed = one.lines()
        counts = f"+{added} -{removed}" if one.diff() else ""
        lines.append(f"{MARKS[one.what]} {one.path}  {counts or one.why}".rstrip())
        if one.what in ("changed", "conflict"):
            lines += [f"      {line}" for line in one.diff()]
            lines += [f"      {one.why}"] if one.why and counts else []
    totals = [sum(column) for column in zip(*(one.lines() for one in plan.files), strict=True)]
    if totals:
        lines.append(f"{counted(len(plan.files), 'file')}, +{totals[0]} -{totals[1]} lines")
    return lines
