"""Commands for infra/: check, deploy, document, prune, rename, teardown."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from modelyard.cli.terminal import JsonOption, refuse_without, say
from modelyard.files import project_root, write_text

EnvironmentArgument = Annotated[
    str, typer.Argument(help="One of conf/project.yml: dev, test or prod.")
]
infra_app = typer.Typer(
    help="Check the infrastructure in infra/ and deploy it.", no_args_is_help=True
)


@infra_app.command()
def check(as_json: JsonOption = False) -> None:
    """Check infra/ with the Bicep compiler, checkov's rules and our promises over what it predicts.

    Exit code 1 as well where the compiler is not installed: what was not judged has not passed.
    """
    from modelyard.infra.check import check as check_files
    from modelyard.infra.check import printed

    if not (project_root() / "infra").is_dir():  # an answer, and the pipelines of both call this
        said = "no infra/ here, nothing was checked; `mlops add infrastructure` brings it"
        print(json.dumps({"passed": None, "reason": said}) if as_json else said)
        return
    root = project_root()
    checked = check_files(root, say)
    if as_json:
        print(json.dumps(checked.as_json(root)))
    else:
        for line in printed(checked):
            print(line)
    raise typer.Exit(0 if checked.passed else 1)


@infra_app.command()
def deploy(
    environment: EnvironmentArgument,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Show what would change; change nothing.")
    ] = False,
    as_administrator: Annotated[
        bool,
        typer.Option(
            "--as-administrator",
            help="Create the resource group, and deploy roles, policies and locks as well.",
        ),
    ] = False,
    confirm: Annotated[
        str | None,
        typer.Option(help="Name of the resource group, by which an administrator confirms prod."),
    ] = None,
) -> None:
    """Deploy an environment with the Azure CLI (needs Azure). For prod only the pipeline has the rights."""
    from modelyard.infra.deploy import deploy as deploy_environment

    root = project_root()
    refuse_without(root, "infrastructure", "infra")
    deploy_environment(
        root,
        environment,
        what_if=what_if,
        as_administrator=as_administrator,
        confirm=confirm,
    )


@infra_app.command()
def document() -> None:
    """Update the diagram, the costs and the rights in docs/infrastructure.md."""
    from modelyard.infra.document import PAGE, documented

    root = project_root()
    refuse_without(root, "infrastructure", "infra")
    text = documented(root)
    if text == (root / PAGE).read_text(encoding="utf-8"):
        print(f"{PAGE} is up to date")
    else:
        write_text(root / PAGE, text)
        print(f"{PAGE} is updated")


@infra_app.command()
def prune(
    environment: EnvironmentArgument,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without, only list it.")] = False,
) -> None:
    """Remove access and rules that are in Azure and in no file any more (needs Azure)."""
    from modelyard.infra.deploy import remove_left

    left = remove_left(project_root(), environment, apply=apply)
    print("nothing is left" if left == 0 else f"{left} left; --apply removes what is listed")
    raise typer.Exit(1 if left else 0)


@infra_app.command()
def rename(
    suffix: Annotated[str, typer.Argument(help="1 to 6 lowercase letters and digits.")],
) -> None:
    """Write a suffix into every name in Azure, where somebody else has them already."""
    from modelyard.infra.rename import rename as rename_all

    root = project_root()
    for path in rename_all(root, suffix):
        print(path.relative_to(root).as_posix())
    print("What is deployed under the old names stays; docs/infrastructure.md says how it goes.")


@infra_app.command()
def teardown(
    environment: EnvironmentArgument,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without, only say what.")] = False,
    purge_vault: Annotated[
        bool,
        typer.Option("--purge-vault", help="Delete the deleted vault for good: its name is free."),
    ] = False,
    confirm: Annotated[
        str | None, typer.Option(help="Name of the resource group, by which prod is confirmed.")
    ] = None,
) -> None:
    """Delete an environment and all of its data (needs Azure). Locks that are lifted for it come back where it fails."""
    from modelyard.infra.deploy import tear_down

    tear_down(project_root(), environment, apply=apply, purge_vault=purge_vault, confirm=confirm)
    if not apply:
        print("Nothing is changed; --apply does it")
