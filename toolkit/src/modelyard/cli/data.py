"""Commands for the table: its data contract."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from modelyard.errors import UsageError
from modelyard.files import relative


def contract(
    data: Annotated[Path, typer.Option(help="The table: CSV or Parquet.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    time: Annotated[
        str | None, typer.Option(help="The column that orders the rows in time.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="The column whose rows belong together, such as those of one person."),
    ] = None,
    sensitive: Annotated[
        str, typer.Option(help="Columns whose groups are compared, separated by commas.")
    ] = "",
    positive: Annotated[
        str | None, typer.Option(help="The positive value of a binary target.")
    ] = None,
    kind: Annotated[
        Literal["binary", "multiclass", "regression"] | None,
        typer.Option(help="Kind of problem, where the guess would be wrong."),
    ] = None,
    date_format: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=FORMAT",
            help="How a column writes dates, as of strptime; repeat it for further columns.",
        ),
    ] = None,
    decimal: Annotated[
        Literal[".", ","] | None,
        typer.Option(help="The decimal sign, where 1.678 could be 1.678 or 1678."),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="The zone of times without an offset: Europe/Berlin.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a contract that was edited by hand.")
    ] = False,
) -> None:
    """Infer the data contract of a table. Every step follows the file, conf/contract.yml."""
    from modelyard.contract.infer import write_contract
    from modelyard.files import project_root

    root = project_root()
    write_contract(
        data,
        target,
        output=root / "conf" / "contract.yml",
        data_asset=root / "azureml" / "data" / "training.yml",
        time=time,
        group=group,
        sensitive=sensitive,
        positive=positive,
        kind=kind,
        date_formats=date_format or (),
        decimal=decimal,
        time_zone=time_zone,
        force=force,
    )
    monitor_file = root / "azureml" / "monitoring" / "monitor.yml"
    if monitor_file.is_file():
        from modelyard.monitoring.follow_contract import follow_contract

        try:
            if follow_contract(root, monitor_file):
                print(f"{relative(monitor_file)} names the contract's columns now")
        except UsageError as error:
            print(f"warning: {error}", file=sys.stderr)
    _say_whether_a_line_begins(root)


def _say_whether_a_line_begins(root: Path) -> None:
    """Print why the champion of the embedded store is no rival for models of the new contract."""
    from modelyard.contract.line import another_line
    from modelyard.contract.model import load_contract
    from modelyard.modelling.saving import CONTRACT_FILE
    from modelyard.models.registry import locate
    from modelyard.project import load_project
    from modelyard.tracking import local_store, tracking_uri

    if not local_store(root).is_file():
        return
    try:
        uri = tracking_uri(root)
        if not uri.startswith("sqlite:"):
            return
        with tempfile.TemporaryDirectory(prefix="contract-") as temporary:
            found = locate(load_project(root).model, uri, None, ["model"], Path(temporary))
            if found is None:
                return
            old = load_contract(found.paths["model"] / CONTRACT_FILE)
    except UsageError as error:
        print(f"warning: {error}", file=sys.stderr)
        return
    if why := another_line(old, load_contract(root / "conf" / "contract.yml")):
        print(
            f"The next version begins a new line: champion v{found.number} is no rival, {why}. "
            "It stays champion until a version of the new line is promoted; `mlops rollback` goes back to it, "
            "`mlops retire` ends it at once."
        )
