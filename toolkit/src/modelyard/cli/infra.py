"""Commands for infra/: check, deploy, document."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from modelyard.cli.terminal import JsonOption
from modelyard.errors import UsageError

infra_app = typer.Typer(
    help="Check the infrastructure in infra/ and deploy it.", no_args_is_help=True
)


@infra_app.command()
def check(as_json: JsonOption = False) -> None:
    """Check infra/ against Azure's resource types, its callers, checkov's rules and its policy."""
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


@infra_app.command()
def deploy(
    environment: Annotated[str, typer.Argument(help="One of conf/project.yml: dev, test or prod.")],
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
    """Deploy an environment with the Azure CLI (needs Azure). prod is deployed by the pipeline."""
    from modelyard.files import project_root
    from modelyard.infra.deploy import deploy as deploy_environment

    deploy_environment(
        project_root(),
        environment,
        what_if=what_if,
        as_administrator=as_administrator,
        confirm=confirm,
    )


@infra_app.command()
def document() -> None:
    """Update the diagram and the table of rights in docs/infrastructure.md."""
    from modelyard.files import project_root, write_text
    from modelyard.infra.document import PAGE, documented

    root = project_root()
    text = documented(root)
    if text == (root / PAGE).read_text(encoding="utf-8"):
        print(f"{PAGE} is up to date")
    else:
        write_text(root / PAGE, text)
        print(f"{PAGE} is updated")
