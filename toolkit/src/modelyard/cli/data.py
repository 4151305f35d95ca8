"""Commands for the table: its data contract, its anonymity."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from modelyard.cli.terminal import JsonOption, alone, print_path
from modelyard.console import counted
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import has_file, project_root, relative

if TYPE_CHECKING:
    from modelyard.evaluation.anonymity import Anonymity


@alone
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
    not_missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=WORD",
            help="A word such as None or NA that is a value of a column; repeat it for further ones.",
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
        not_missing=not_missing or (),
        decimal=decimal,
        time_zone=time_zone,
        force=force,
    )
    monitor_file = root / "azureml" / "monitoring" / "monitor.yml"
    if has_file(monitor_file):
        from modelyard.monitoring.follow_contract import follow_contract

        try:
            changed, said = follow_contract(root, monitor_file)
            if changed:
                print(f"{relative(monitor_file)} names the contract's columns now")
            print(*said, sep="\n", end="\n" if said else "")
        except UsageError as error:
            print(f"warning: {error}", file=sys.stderr)
    _say_whether_a_line_begins(root)


def anonymity(
    data: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet, or a folder of Parquet files, as the masked replica is; default: the training table."
        ),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(help="Quasi-identifiers, separated by commas; default: the project's."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Measure the k-anonymity of a table. The least group of rows that agree in what others may know of a person.

    For example: mlops anonymity --data replica --columns birth_year,postcode
    """
    import json

    from modelyard.console import console as open_console
    from modelyard.contract.model import load_contract
    from modelyard.evaluation.anonymity import anonymity as measure
    from modelyard.evaluation.anonymity import keep
    from modelyard.gates import load_gates
    from modelyard.pipelines.data_assets import local_path

    root = project_root()
    table = data or local_path(root / "azureml" / "data", "training")
    if table is None:
        raise UsageError("the training table is not on this machine: name a table by --data")
    names = [name.strip() for name in columns.split(",") if name.strip()]
    gate = load_gates(root / "conf" / "gates.yml").anonymity
    found = measure(table, load_contract(root / "conf" / "contract.yml"), gate, names)
    file = keep(root, found)
    if as_json:
        print(json.dumps(asdict(found) | {"share_below": found.share_below, "evidence": str(file)}))
    else:
        _show_anonymity(found)
        print_path(open_console(), "evidence", file)
    if found.passed is False:
        raise CheckFailed(found.why)
    if not as_json:
        print(found.why)


def _show_anonymity(found: Anonymity) -> None:
    from modelyard.console import console, table

    def part(rows: int) -> str:
        return f"{rows:,} ({rows / found.rows:.1%})"

    by = ", ".join(found.columns)
    print(
        f"{found.table}: {counted(found.rows, 'row')} in {counted(found.groups, 'group')} of equal {by}"
    )
    unit = "" if found.of == "rows" else f", counted by {found.of}"
    print(f"k = {found.k:,}, the smallest group{unit}")
    print(f"rows in groups of fewer than {found.least:,}: {part(found.rows_below)}")
    if found.without:
        heading = ("without", "k", f"rows in groups below {found.least:,}")
        rows = [(one.column, f"{one.k:,}", part(one.rows_below)) for one in found.without]
        console().print(table("", heading, rows, right=heading[1:]))


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
