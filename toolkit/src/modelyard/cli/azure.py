"""Commands on Azure: submit a job, share and take a version, batch endpoint, schedules, old deployments."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import EnvironmentOption, JsonOption, refuse_idle, saying
from modelyard.console import console as open_console
from modelyard.console import counted
from modelyard.files import project_root

if TYPE_CHECKING:
    from modelyard.project import Project
    from modelyard.releases import parking
CollectedOption = Annotated[
    str | None,
    typer.Option(help="Environment whose endpoint collected the new rows; default: the same."),
]


def submit(
    file: Annotated[Path, typer.Argument(help="A job's file, e.g. azureml/pipelines/train.yml.")],
    environment: EnvironmentOption,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", help="NAME=VALUE or NAME=PATH, instead of the file's. Repeatable."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the job; one that is there already is followed."),
    ] = None,
    refreshed: Annotated[
        bool,
        typer.Option("--refresh", help="First `mlops refresh`; submit nothing if nothing is new."),
    ] = False,
    collected: CollectedOption = None,
    wait: Annotated[bool, typer.Option(help="Follow the job until it has ended.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Submit a job to Azure ML and follow it. Exit code 1 unless it has completed."""
    from modelyard.azure import open_workspace
    from modelyard.cli.runs import read_pair
    from modelyard.delivery import jobs

    if not refreshed:
        refuse_idle("without --refresh", collected=collected)
    root, say = project_root(), _say(as_json)
    given = dict(read_pair(one) for one in inputs or [])
    workspace = open_workspace(root, environment)
    if refreshed:
        from modelyard.delivery.refresh import ASSET, NothingNew, refresh

        rows = open_workspace(root, collected) if collected else None
        try:
            new = refresh(root, workspace, data=None, say=say, collected=rows)
        except NothingNew as nothing:  # not a fault: a schedule asks again
            print(json.dumps({"job": None}) if as_json else f"nothing is trained: {nothing}")
            return
        say(f"data {ASSET}:{new.version} is registered, {counted(new.added, 'row')} more")
    ended = jobs.submit(root, workspace, file, inputs=given, name=name, say=say, wait=wait)
    if as_json:
        steps = dict(ended.steps)
        found = {"job": ended.name, "status": ended.status, "studio": ended.studio, "steps": steps}
        print(json.dumps(found))
    raise typer.Exit(0 if ended.status == jobs.COMPLETED or not wait else 1)


def refresh(
    environment: EnvironmentOption,
    data: Annotated[
        Path | None,
        typer.Option(help="A newer table, from your import; default: the latest version."),
    ] = None,
    collected: CollectedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new version of the training data. Collected rows join it with their ground truth."""
    from modelyard.azure import open_workspace
    from modelyard.delivery.refresh import ASSET
    from modelyard.delivery.refresh import refresh as renew

    root = project_root()
    rows = open_workspace(root, collected) if collected else None
    there = open_workspace(root, environment)
    new = renew(root, there, data=data, say=_say(as_json), collected=rows)
    if as_json:
        print(json.dumps({"version": new.version, "before": new.before, "rows_added": new.added}))
    else:
        print(
            f"data {ASSET}:{new.version} follows {new.before or 'nothing'}, {counted(new.added, 'row')} more"
        )


def share(
    what: Annotated[
        str | None,
        typer.Argument(
            help="A version, or the name or file of a component, environment or data asset below azureml/; default: "
            "the champion."
        ),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            "--environment",
            envvar="MLOPS_ENVIRONMENT",
            help="Of conf/project.yml, on Azure. The plan for a component needs none.",
        ),
    ] = None,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Share the component; without, the plan is printed. A version is shared at once.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Share a version or a component to the organization's registry. A component's plan is shown first.

    Environments and data assets are shared as components are. A version has to be promoted; it keeps
    its number, and takes evidence and environment along. A component gets the next version: major where
    those who use it have to follow, minor where it is made otherwise, patch for the rest, such as new rows.

    Example: mlops share azureml/components/prepare.yml
    """
    from modelyard.errors import UsageError
    from modelyard.project import load_project

    root, say = project_root(), _say(as_json)
    project = load_project(root)
    is_version = not what or what.isdecimal()
    if environment is None and (is_version or apply):
        raise UsageError("name the environment to sign in to: --environment dev")
    if not is_version:
        _share_asset(root, project, str(what), environment if apply else None, as_json=as_json)
        return
    from modelyard.azure import open_workspace
    from modelyard.delivery.share import share as give

    shared = give(root, project, open_workspace(root, str(environment)), what, say)
    if as_json:
        print(json.dumps(asdict(shared) if shared else {"shared": False}))
    elif shared is None:
        print(
            "conf/project.yml names no registry: `mlops take` copies from the workspace of "
            f"{environment}"
        )
    else:
        now = "is there already" if shared.unchanged else "is shared"
        print(f"v{shared.version} ({shared.digest[:12]}) {now}: {shared.place}")


def _share_asset(
    root: Path, project: Project, what: str, environment: str | None, *, as_json: bool
) -> None:
    """Plan to share an asset; do it where an environment is named."""
    from modelyard.delivery.share_assets import FILE, give, plan

    steps = plan(root, project, what)
    if not as_json:
        print(
            f"to the registry {project.registry}:"
            if steps
            else f"nothing to share: {what} is as it was shared"
        )
        for step in steps:
            print(f"  {step}")
    if steps and environment:
        from modelyard.azure import open_workspace

        give(root, project, open_workspace(root, environment), steps, _say(as_json))
    if as_json:
        shown = [step.to_json() for step in steps]
        print(
            json.dumps({"registry": project.registry, "shared": bool(environment), "steps": shown})
        )
    elif steps and environment:
        print(f"commit {FILE}: the next version is computed from it")
    elif steps:
        print(f"Do it: mlops share {what} --environment dev --apply")


def take(
    version: Annotated[str, typer.Argument(help="Number of the version.")],
    source: Annotated[
        str, typer.Option("--from", help="Environment of conf/project.yml that has it.")
    ],
    environment: EnvironmentOption,
    as_json: JsonOption = False,
) -> None:
    """Take a version into another workspace. Same number, same digest, nothing trained again."""
    from modelyard.azure import open_workspace
    from modelyard.delivery.share import take as fetch
    from modelyard.project import load_project

    root = project_root()
    taken = fetch(
        load_project(root),
        open_workspace(root, source),
        open_workspace(root, environment),
        version,
        _say(as_json),
    )
    if as_json:
        print(json.dumps(asdict(taken)))
    elif taken.unchanged:
        print(f"v{version} ({taken.digest[:12]}) is in {taken.place} already")


def batch(environment: EnvironmentOption, as_json: JsonOption = False) -> None:
    """Let the batch endpoint score with the champion. Created where there is none."""
    from modelyard.azure import open_workspace
    from modelyard.delivery.batch import deploy_batch
    from modelyard.project import load_project

    root = project_root()
    number = deploy_batch(
        root, load_project(root), open_workspace(root, environment), _say(as_json)
    )
    print(json.dumps({"champion": number}) if as_json else f"the champion, v{number}, scores")


def schedules(environment: EnvironmentOption, as_json: JsonOption = False) -> None:
    """Create or update the schedules of azureml/schedules. Retraining and monitoring."""
    from modelyard.azure import open_workspace
    from modelyard.delivery.schedules import apply_schedules

    root = project_root()
    done = apply_schedules(root, open_workspace(root, environment), _say(as_json))
    if as_json:
        print(json.dumps(done))


def tidy(
    endpoint: Annotated[str, typer.Option(help="An environment of conf/project.yml.")],
    as_json: JsonOption = False,
) -> None:
    """Delete the old deployment that a release has kept. Once `keep_old_hours` are over."""
    from modelyard.releases.release import tidy as delete

    said = delete(project_root(), endpoint)
    print(json.dumps({"result": said}) if as_json else said)


_ApplyOption = Annotated[bool, typer.Option("--apply", help="Do it; without, only say what.")]
_EndpointArgument = Annotated[str, typer.Argument(help="Environment of conf/project.yml.")]


def park(
    environment: _EndpointArgument, apply: _ApplyOption = False, as_json: JsonOption = False
) -> None:
    """Take an endpoint's deployments and their cost away. What was there is written down for `unpark`."""
    from modelyard.releases import parking

    name, plan = _parking(parking.park, environment, apply, as_json)
    if plan is None:
        _tell(as_json, [f"`{name}` has no deployment, and costs nothing"])
    elif plan.done or apply:
        last = f"It answers no requests and saves {plan.cost}; mlops unpark {environment} --apply"
        _tell(as_json, [f"`{name}` is parked since {plan.parked.at}", last], plan, parked=True)
    else:
        first = f"`{name}` would answer no requests, until it is unparked. It would lose"
        last = f"That saves {plan.cost}. Address and identity stay. Do it: mlops park {environment} --apply"
        _tell(as_json, [first, last], plan)


def unpark(
    environment: _EndpointArgument, apply: _ApplyOption = False, as_json: JsonOption = False
) -> None:
    """Bring a parked endpoint back. The same versions, sizes, rules and traffic."""
    from modelyard.releases import parking

    name, plan = _parking(parking.unpark, environment, apply, as_json)
    if plan is None:
        _tell(as_json, [f"`{name}` is not parked"])
        return
    first = f"`{name}` {'is back' if apply else 'would come back'}"
    more = "" if apply else f" Do it: mlops unpark {environment} --apply"
    _tell(as_json, [first, f"That costs {plan.cost}.{more}"], plan, parked=not apply)


def _parking(
    act: Callable[..., parking.Plan | None], environment: str, apply: bool, as_json: bool
) -> tuple[str, parking.Plan | None]:
    """Park or unpark the endpoint of an environment; returns its name and what was, or would be, done."""
    from modelyard.releases.azure_endpoint import AzureEndpoint

    root = project_root()
    endpoint = AzureEndpoint.of_environment(root, environment)
    return endpoint.name, act(root, endpoint, apply=apply, say=_say(as_json))


def _tell(
    as_json: bool, lines: list[str], plan: parking.Plan | None = None, *, parked: bool = False
) -> None:
    """Print the first line, those of a plan, and the rest; or the plan as JSON."""
    if not as_json:
        print(*lines[:1], *(plan.lines() if plan else ()), *lines[1:], sep="\n")
    elif plan is None:
        print(json.dumps({"parked": False}))
    else:
        traffic, digests = dict(plan.parked.traffic), dict(plan.parked.digests)
        about = {"monthly": plan.monthly, "traffic": traffic, "digests": digests}
        print(json.dumps({"parked": parked} | about))


def _say(as_json: bool) -> Callable[[str], None]:
    return saying(open_console(stderr=as_json))
