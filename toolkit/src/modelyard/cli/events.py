"""Commands for events/: package, deploy."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from modelyard.files import project_root

events_app = typer.Typer(
    help="The function app that reacts to Azure ML's events.", no_args_is_help=True
)


@events_app.command()
def package(
    output: Annotated[Path, typer.Option(help="The zip file to write.")] = Path("events.zip"),
) -> None:
    """Write the function app's zip package: triggers, toolkit, packages and this project."""
    from modelyard.events.package import write_package

    write_package(project_root(), output)


@events_app.command()
def deploy(
    environment: Annotated[str, typer.Argument(help="One of conf/project.yml.")],
) -> None:
    """Bring the package to the function app of an environment, with the Azure CLI (needs Azure)."""
    from modelyard.events.package import write_package
    from modelyard.infra.deploy import deploy_events

    root = project_root()
    with TemporaryDirectory(prefix="events-") as folder:
        zipped = Path(folder) / "events.zip"
        write_package(root, zipped)
        deploy_events(root, environment, zipped)
