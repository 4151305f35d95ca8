"""Commands of delivery: a sample of the table, and what pipelines of both providers call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.terminal import alone, refuse_without, say
from modelyard.files import project_root, relative, write_text

ci_app = typer.Typer(
    help="What the pipelines of GitHub Actions and Azure DevOps call.", no_args_is_help=True
)
SAMPLE = Path("build/sample")
SUMMARY = Path("build/summary")
TRAIN = Path("azureml/pipelines/train.yml")
EnvironmentOption = Annotated[str, typer.Option(help="One of conf/project.yml: dev, test or prod.")]
VersionOption = Annotated[str, typer.Option(help="Version of the model.")]
SampleOption = Annotated[Path, typer.Option("--sample", help="Folder of `mlops sample`.")]


@alone
def sample(
    data: Annotated[
        Path | None, typer.Option(help="The table; default: that of azureml/data/training.yml.")
    ] = None,
    rows: Annotated[
        int, typer.Option(min=200, max=10_000_000, help="Rows to take at most.")
    ] = 20_000,
    output: Annotated[Path, typer.Option(help="Folder for the sample and its contract.")] = SAMPLE,
    made_up: Annotated[
        bool,
        typer.Option("--made-up", help="Make rows up where there is no table, and say so."),
    ] = False,
) -> None:
    """Take a sample of the table. The latest rows, or without a time column stratified by target."""
    from modelyard.contract.take_sample import take_sample
    from modelyard.errors import UsageError
    from modelyard.pipelines.data_assets import local_path

    root = project_root()
    contract = root / "conf" / "contract.yml"
    table = data or local_path(root / "azureml" / "data", "training")
    if data is None and table == root / "data" / "flights.parquet" and not table.is_file():
        from modelyard.contract.model import load_contract
        from modelyard.sample import TARGETS, write

        if (target := load_contract(contract).target.column) in TARGETS:
            write(root, target, table)
    if data is None and (table is None or not table.is_file()):
        if not made_up:
            raise UsageError(
                f"{table or 'azureml/data/training.yml'} is not on this machine; name a table with "
                "--data, or make rows up with --made-up"
            )
        table = None
    print(f"{relative(output)}: {take_sample(table, contract, rows, output)}")


@ci_app.command()
def base(
    commit: Annotated[str, typer.Argument(help="The commit that the change goes to.")] = "HEAD^1",
    sample: SampleOption = SAMPLE,
) -> None:
    """Train the commit that a change goes to on the sample. It is the champion to compare with."""
    from modelyard.delivery.base import train_base

    root = project_root()
    inputs = {
        "data": str((sample / "table").resolve()),
        "contract": str((sample / "contract.yml").resolve()),
    }
    print(train_base(root, commit, TRAIN, inputs))


@ci_app.command()
def summary(
    output: Annotated[Path, typer.Option(help="Folder for summary, report and card.")] = SUMMARY,
    sample: SampleOption = SAMPLE,
) -> None:
    """Summarize the newest run in Markdown: verdict and gates. In a pipeline also on the job's page."""
    from modelyard.delivery.provider import provider
    from modelyard.delivery.report import write_summary

    page = write_summary(project_root(), output, sample)
    provider().summarize(page)
    print(relative(page))


@ci_app.command()
def comment(
    page: Annotated[Path, typer.Argument(help="The comment, in Markdown.")],
    topic: Annotated[str, typer.Option(help="There is one comment for each topic.")],
) -> None:
    """Comment on the pull request. The comment of an earlier run of the same topic is replaced."""
    from modelyard.delivery.provider import provider
    from modelyard.delivery.report import keep_comment

    print(keep_comment(provider(), page, topic))


@ci_app.command()
def refresh(environment: EnvironmentOption) -> None:
    """Refresh the training data, and say as the output `new` what is: data, a challenger, or nothing."""
    from modelyard.azure import open_workspace
    from modelyard.delivery.provider import provider
    from modelyard.delivery.refresh import NothingNew
    from modelyard.delivery.refresh import refresh as renew
    from modelyard.delivery.release import ask_models, challenger_of, say_output

    root, new = project_root(), "data"
    try:
        found = renew(root, open_workspace(root, environment), data=None, say=say)
        said = f"{found.added} new rows with ground truth: version {found.version} of the data is trained on."
    except NothingNew as nothing:
        waiting = challenger_of(ask_models(root, environment))
        new = "challenger" if waiting else "nothing"
        said = f"v{waiting} waits to be judged." if waiting else "Nothing was trained."
        said = f"Nothing new to train on. {said} ({nothing})"
    print(said)
    page = root / "build" / "refresh.md"
    write_text(page, f"{said}\n")
    provider().summarize(page)
    say_output("new", new)


@ci_app.command()
def champion(environment: EnvironmentOption) -> None:
    """Give the champion's version to later jobs, as the output `version`."""
    from modelyard.delivery.release import ask_models, champion_of, say_output

    version = champion_of(ask_models(project_root(), environment), environment)
    print(f"champion of {environment}: v{version}")
    say_output("version", version)


@ci_app.command()
def approval(version: VersionOption, environment: EnvironmentOption) -> None:
    """Write who approved this deployment, when and which digest. The provider's API says it."""
    from modelyard.delivery.provider import provider
    from modelyard.delivery.release import ask_models, write_approval

    root = project_root()
    versions = ask_models(root, environment)
    print(write_approval(root, provider(), versions, environment, version))


@ci_app.command()
def deploy(version: VersionOption, environment: EnvironmentOption) -> None:
    """Release a version to the endpoints that the project has: online, batch, or both."""
    from modelyard.delivery.release import deploy_commands, run_all

    root = project_root()
    raise typer.Exit(run_all(root, deploy_commands(root, environment, version)))


@ci_app.command()
def rollback(environment: EnvironmentOption) -> None:
    """Bring the version before back: to the endpoints, and as champion."""
    from modelyard.delivery.release import roll_back

    raise typer.Exit(roll_back(project_root(), environment))


@ci_app.command()
def kept(environment: EnvironmentOption) -> None:
    """Say as the output `kept` whether an old deployment has been kept for its time. It takes the right to read."""
    from datetime import UTC, datetime

    from modelyard.delivery.release import say_output
    from modelyard.gates import load_gates
    from modelyard.releases.azure_endpoint import AzureEndpoint

    root = project_root()
    hours = load_gates(root / "conf" / "gates.yml").release.keep_old_hours
    endpoint = AzureEndpoint.of_environment(root, environment)
    found = endpoint.kept_too_long(hours, datetime.now(UTC))
    print(f"{endpoint.name}: {', '.join(found) or 'nothing'} kept for longer than {hours:g} hours")
    say_output("kept", str(bool(found)).lower())


@ci_app.command("what-if")
def what_if(
    environment: Annotated[str, typer.Argument(help="One of conf/project.yml.")],
    refuse_changes: Annotated[
        bool,
        typer.Option("--refuse-changes", help="Exit code 1 where Azure is not what infra/ says."),
    ] = False,
) -> None:
    """Ask Azure what a deployment of infra/ would change. It takes the right to read (needs Azure)."""
    from modelyard.delivery.provider import provider
    from modelyard.delivery.what_if import ask_azure, write_page

    page = Path("build") / f"what-if-{environment}.md"
    changes = write_page(ask_azure(project_root(), environment), environment, page)
    print(page.read_text(encoding="utf-8"))
    provider().summarize(page)
    raise typer.Exit(1 if refuse_changes and changes else 0)


@ci_app.command()
def changes(
    base: Annotated[str, typer.Argument(help="The commit that the change goes to.")] = "HEAD^1",
) -> None:
    """Tell what a change of infra/ deploys differently. The Bicep compiler tells it, without Azure."""
    from modelyard.delivery.provider import provider
    from modelyard.infra import changes as compared

    page = Path("build") / "infra-changes.md"
    write_text(page, compared.page(compared.changes(project_root(), base), base))
    print(page.read_text(encoding="utf-8"))
    provider().summarize(page)


@ci_app.command()
def lint() -> None:
    """Check the workflows: their schemas, weaknesses, and what they refer to. Checks all files for secrets."""
    from modelyard.delivery.lint import check_repository

    check_repository(project_root(), say, all_options())


def all_options() -> dict[str, set[str]]:
    """Return the options of each command, by its words after `mlops`."""
    from modelyard.cli import app

    return _options_of(typer.main.get_command(app))


def _options_of(command: object, words: str = "") -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, one in getattr(command, "commands", {}).items():
        found |= _options_of(one, f"{words} {name}".strip())
    given = getattr(command, "params", ())
    return found or {words: {"--help", *(o for p in given for o in (*p.opts, *p.secondary_opts))}}


@ci_app.command()
def audit(
    bill: Annotated[
        Path | None, typer.Option(help="Folder for a bill of materials of each set (CycloneDX).")
    ] = None,
) -> None:
    """Look the packages of requirements/ up for known weaknesses."""
    from modelyard.delivery.lint import audit_packages

    audit_packages(project_root(), bill, say)


@ci_app.command()
def update() -> None:
    """Open a pull request from the template's newest version. Conflicts are named, and fail it."""
    from modelyard.delivery.provider import provider
    from modelyard.delivery.update import update_project

    print(update_project(project_root(), provider(), say))


@ci_app.command()
def package(
    tag: Annotated[str, typer.Argument(help="The tag, vX.Y.Z.")],
    output: Annotated[Path, typer.Option(help="Folder for the packages.")] = Path("dist"),
) -> None:
    """Write the wheel of src/ and the function app's package; upload the wheel where FEED says."""
    from modelyard.delivery.package import write_packages

    write_packages(project_root(), tag, output)


def connect(
    repository: Annotated[
        str, typer.Option(help="OWNER/NAME on GitHub, the repository's name on Azure DevOps.")
    ],
    environments: Annotated[
        list[str] | None,
        typer.Option("--environment", help="Repeatable; default: dev. Add test and prod later."),
    ] = None,
    reviewers: Annotated[
        list[str] | None,
        typer.Option(
            "--reviewer", help="Who approves test and prod: a user or a team. Repeatable."
        ),
    ] = None,
    organization: Annotated[
        str | None, typer.Option(help="Azure DevOps: https://dev.azure.com/ORGANIZATION.")
    ] = None,
    project: Annotated[str | None, typer.Option(help="Azure DevOps: the project.")] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without, the plan is printed.")
    ] = False,
) -> None:
    """Connect the repository to Azure. Environments, reviewers, identities, variables, rules of the branch."""
    from modelyard.delivery.connect import Cli, Wanted
    from modelyard.delivery.connect import connect as follow
    from modelyard.delivery.connect_azure_devops import azure_devops_steps
    from modelyard.delivery.connect_github import github_steps
    from modelyard.errors import UsageError
    from modelyard.gates import load_gates
    from modelyard.project import load_project

    root, cli = project_root(), Cli()
    refuse_without(root, "pipelines", ".github", ".azuredevops")
    refuse_without(root, "infrastructure", "infra")
    known, given = load_project(root).environments, tuple(environments or ["dev"])
    if unknown := [one for one in given if one not in known]:
        raise UsageError(
            f"conf/project.yml has no environment {', '.join(unknown)}; it has: {', '.join(known)}"
        )
    asked = load_gates(root / "conf" / "gates.yml").release.approval != "automatic"
    wanted = Wanted(root, given, tuple(reviewers or ()))
    if asked and not reviewers and set(given) - {"dev"}:
        raise UsageError("conf/gates.yml asks for an approval: name who gives it with --reviewer")
    if (root / ".azuredevops").is_dir():
        if organization is None or project is None:
            raise UsageError("Azure DevOps takes --organization and --project as well")
        steps = azure_devops_steps(cli, wanted, organization, project, repository)
    else:
        steps = github_steps(cli, wanted, repository)
    left = follow(steps, cli, apply=apply, say=print)
    if not left:
        print("all of it is so")
    elif apply:
        print(f"{left} left for later")
    else:
        print(f"{left} to do; --apply does it")
