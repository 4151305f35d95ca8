"""The `mlops` command, one module per group of commands.

Modules are imported inside the command that needs them: help and wrong usage are answered at once.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from modelyard.cli import (
    data,
    docs,
    events,
    infra,
    models,
    monitoring,
    new,
    releases,
    runs,
    serving,
)
from modelyard.errors import guarded


class _Commands(TyperGroup):
    """Ends an interrupted command with exit code 130, one that nobody reads any longer with 141.

    Typer's own code is 1 for both, as of a gate that refuses.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except KeyboardInterrupt:
            print("\ninterrupted; the same command resumes where it stopped", file=sys.stderr)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None


app = typer.Typer(
    name="mlops",
    cls=_Commands,
    help="Train, judge, promote, serve and monitor the models of this project. Exit code 0: done, "
    "1: a gate or a check refuses, 2: wrong usage, broken input or a fault.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _command in (
    data.contract,
    runs.run,
    runs.check,
    models.promote,
    models.rollback,
    models.retire,
    models.models,
    models.explain,
    serving.serve,
    serving.score,
    releases.release,
    releases.ab_report,
    monitoring.monitor,
    monitoring.drill,
    runs.clean,
    runs.relocate,
    docs.docs,
):
    app.command()(_command)
app.add_typer(releases.endpoint_app, name="endpoint")
app.add_typer(new.new_app, name="new")
app.add_typer(infra.infra_app, name="infra")
app.add_typer(events.events_app, name="events")


def main() -> NoReturn:
    """Run the command line; a user's mistake is printed as a message without a traceback."""
    sys.exit(guarded(app))
