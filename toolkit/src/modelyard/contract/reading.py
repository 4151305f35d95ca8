"""Reading a table's columns with the types of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelyard.console import listed
from modelyard.contract.model import Contract
from modelyard.data.cells import Cells, described, parse
from modelyard.data.table import Table, read_file
from modelyard.errors import UsageError, shortened
from modelyard.yaml_files import did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path | str, contract: Contract) -> pd.DataFrame:
    """Read the contract's columns from a CSV or Parquet file, in the contract's order.

    Ignored columns are left out (`contract.read`), columns the contract does not know too.

    Returns:
        One row per row of the file. number: float64; integer: int64, float64 where something
        is missing; boolean: bool, object of True, False and None where something is missing;
        category and text: object of str and None; datetime: datetime64[ns], UTC without zone.

    Raises:
        UsageError: when the file is no table, a column is missing, or a value has another type.
    """
    table = read_file(path)
    return read_columns(columns_of(table, contract), contract, table.path)


def columns_of(table: Table, contract: Contract) -> dict[str, Cells]:
    """Return the columns that a contract reads, in its order.

    Raises:
        UsageError: one is missing.
    """
    missing = [name for name in contract.read if name not in table.columns]
    if missing:
        raise UsageError(missing_columns(table.path, missing, table.columns))
    return {name: table.columns[name] for name in contract.read}


def read_columns(cells: Mapping[str, Cells], contract: Contract, place: Path | str) -> pd.DataFrame:
    """Read columns of the contract, as `read_table` does; `place` names them in messages.

    Raises:
        UsageError: a value has another type.
    """
    import pandas as pd

    columns, complaints = {}, []
    for name, one in cells.items():
        rule = contract.columns[name]
        parsed = parse(one, rule)
        if parsed.wrong.any():
            row = int(np.argmax(parsed.wrong))
            found = one.at(row)
            complaints.append(
                f'{place}, column "{name}": expected {described(rule)} in every row, found '
                f"{int(parsed.wrong.sum())} other values, the first in row {row + 1}: {shortened(repr(found))}. "
                "Correct the table, or the column's type in the contract."
            )
        columns[name] = parsed.values
    if complaints:
        raise UsageError(listed(complaints, separator="\n"))
    return pd.DataFrame(columns, copy=False)


def missing_columns(path: Path, missing: list[str], present: Iterable[str]) -> str:
    """Make a message with a line for each of the first missing columns, with the closest name."""

    def line(name: str) -> str:
        return f'{path} has no column "{name}"{did_you_mean(name, present)}'

    return listed(missing, separator="\n", write=line)
