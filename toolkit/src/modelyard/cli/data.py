"""Commands for the table: its data contract."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.terminal import relative
from modelyard.errors import UsageError


def contract(
    data: Annotated[Path, typer.Option(help="The table: CSV or Parquet.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    time: Annotated[
        str | None, typer.Option(help="The column that orders the rows in time.")
    ] = None,
    sensitive: Annotated[
        str | None, typer.Option(help="Columns whose groups are compared, separated by commas.")
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="The positive value of a binary target.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="binary, multiclass or regression, where the guess would be wrong."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a contract that was edited by hand.")
    ] = False,
) -> None:
    """Infer the data contract of a table. Every step follows the file, conf/contract.yml."""
    from modelyard.contract import infer
    from modelyard.files import project_root

    root = project_root()
    words = ["--data", str(data), "--target", target]
    for option, value in (
        ("--time", time),
        ("--sensitive", sensitive),
        ("--positive", positive),
        ("--kind", kind),
    ):
        words += [option, value] if value is not None else []
    words += ["--force"] if force else []
    words += ["--output", str(root / "conf" / "contract.yml")]
    words += ["--data-asset", str(root / "azureml" / "data" / "training.yml")]
    code = infer.main(words)
    monitor_file = root / "azureml" / "monitoring" / "monitor.yml"
    if code == 0 and monitor_file.is_file():
        from modelyard.monitoring.follow_contract import follow_contract

        try:
            if follow_contract(root, monitor_file):
                print(f"{relative(monitor_file)} names the contract's columns now")
        except UsageError as error:
            print(f"warning: {error}", file=sys.stderr)
    raise typer.Exit(code)
