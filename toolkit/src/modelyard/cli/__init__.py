"""The `mlops` command, one module per group of commands.

Modules are imported inside the command that needs them: help and wrong usage are answered at once.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from modelyard import __version__
from modelyard.cli import (
    add,
    azure,
    charter,
    check,
    data,
    delivery,
    docs,
    doctor,
    events,
    fleet,
    infra,
    models,
    monitoring,
    new,
    policy,
    readiness,
    releases,
    runs,
    serving,
    tour,
    upgrade,
)
from modelyard.errors import guarded


class _Commands(TyperGroup):
    """Ends an interrupted command with exit code 130, one that nobody reads any longer with 141.

    Typer's own code is 1 for both, as of a gate that refuses.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by purpose."""
        for purpose, names in _COMMANDS.items():
            with formatter.section(purpose):
                formatter.write_dl(
                    [(name, self.commands[name].get_short_help_str(80)) for name in names]
                )

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an empty word, such as an unset variable of a script: it is no default."""
        for before, word in zip(["an argument", *args], args, strict=False):
            name, equals, value = word.partition("=")
            has_value = bool(equals) and name.startswith("--")
            if not (value if has_value else word):
                name = name if has_value else before
                ctx.fail(f"{name}: the value is empty: give one, or leave it out")
        return super().parse_args(ctx, args)

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


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"modelyard {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the toolkit's version.",
        ),
    ] = False,
) -> None:
    pass


_COMMANDS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    "Data": {
        "contract": data.contract,
        "sample": delivery.sample,
        "anonymity": data.anonymity,
    },
    "Training": {
        "run": runs.run,
        "check": check.check,
        "new": new.new_app,
        "clean": runs.clean,
        "relocate": runs.relocate,
    },
    "Models": {
        "models": models.models,
        "promote": models.promote,
        "rollback": models.rollback,
        "retire": models.retire,
        "explain": models.explain,
        "reproduce": models.reproduce,
    },
    "Serving and monitoring": {
        "serve": serving.serve,
        "score": serving.score,
        "release": releases.release,
        "endpoint": releases.endpoint_app,
        "ab-report": releases.ab_report,
        "monitor": monitoring.monitor,
        "drill": monitoring.drill,
    },
    "Azure": {
        "connect": delivery.connect,
        "infra": infra.infra_app,
        "submit": azure.submit,
        "refresh": azure.refresh,
        "share": azure.share,
        "take": azure.take,
        "batch": azure.batch,
        "schedules": azure.schedules,
        "tidy": azure.tidy,
        "park": azure.park,
        "unpark": azure.unpark,
        "events": events.events_app,
        "ci": delivery.ci_app,
    },
    "Template and organization": {
        "add": add.add_app,
        "upgrade": upgrade.upgrade,
        "upgrade-locks": upgrade.upgrade_locks,
        "policy": policy.policy_app,
        "fleet": fleet.fleet_app,
        "reuse": fleet.reuse,
    },
    "Help": {
        "tour": tour.tour,
        "charter": charter.charter,
        "readiness": readiness.readiness,
        "doctor": doctor.doctor,
        "docs": docs.docs,
    },
}
for _group in _COMMANDS.values():
    for _name, _command in _group.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name)
        else:
            app.command(_name)(_command)


def _terminate(*_: object) -> None:
    """End a command as Ctrl-C does; one that is ending already puts things in order undisturbed."""
    if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
        raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line; a user's mistake is printed as a message without a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    gc.set_threshold(100_000, 50, 50)  # with the usual one, a fifth of an import of MLflow
    if tour.is_copy():
        os.environ.pop("MLFLOW_TRACKING_URI", None)  # of the team's server
    sys.exit(guarded(app))
