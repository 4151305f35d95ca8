"""Commands that add parts to a project."""

from __future__ import annotations

from typing import Annotated

import typer

from modelyard.cli.terminal import alone
from modelyard.files import project_root, relative

new_app = typer.Typer(help="Add a part to this project.", no_args_is_help=True)


@new_app.callback()
def _group() -> None:
    """Keep `step` a command of its own while it is the only one."""


@new_app.command()
@alone
def step(
    name: Annotated[str, typer.Argument(help="Name of the step: lower case, a Python identifier.")],
) -> None:
    """Add a step to the training pipeline. Writes its module, component, node and test."""
    from modelyard.pipelines.new_step import add_step

    for path in add_step(project_root(), name):
        print(relative(path))
