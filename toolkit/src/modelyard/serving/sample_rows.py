"""Held-out rows of a model in the form in which clients send them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.console import listed
from modelyard.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from modelyard.contract.model import Contract

MOST_ROWS = 20_000


@dataclass(frozen=True)
class Rows:
    """Rows that no model was trained on.

    Attributes:
        records: the features of each row, as JSON values.
        truth: the target of each row, likewise.
        target: name of the target column.
        groups: to which group each row belongs, by the name of the contract's `group`; empty without one.
    """

    records: Sequence[Mapping[str, Any]]
    truth: Sequence[Any]
    target: str
    groups: Mapping[str, Sequence[Any]]


def read_rows(parquet: Path, model_folder: Path, most: int = MOST_ROWS) -> Rows:
    """Read rows of a prepared part, spread evenly over it, with the columns that a model takes.

    Raises:
        UsageError: the model folder has no contract, or the part lacks a column.
    """
    import pyarrow.parquet as pq

    from modelyard.contract.model import load_contract

    contract = load_contract(model_folder / "contract.yml")
    file = pq.ParquetFile(parquet)
    needed = list(
        dict.fromkeys(filter(None, [*contract.features, contract.target.column, contract.group]))
    )
    missing = [name for name in needed if name not in file.schema_arrow.names]
    if missing:
        raise UsageError(f"{parquet} lacks {listed(missing)}; run the training pipeline again")
    return spread(file.read(columns=needed), contract, most)


def spread(table: pa.Table, contract: Contract, most: int) -> Rows:
    """Take at most `most` rows of a table, spread evenly over it."""
    target = contract.target.column
    step = max(1, len(table) // most)
    content = table.take(list(range(0, len(table), step))[:most]).to_pylist()
    return Rows(
        [record(row, contract, contract.features) for row in content],
        [as_json(row[target], contract.columns[target].type) for row in content],
        target,
        {contract.group: [row[contract.group] for row in content]} if contract.group else {},
    )


def record(row: Mapping[str, Any], contract: Contract, names: Sequence[str]) -> dict[str, Any]:
    """Convert the named columns of a row to JSON values."""
    return {name: as_json(row[name], contract.columns[name].type) for name in names}


def as_json(value: Any, kind: str) -> Any:
    """Convert a cell to a JSON value; an integer column with missing values holds floats."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if kind == "integer":
        return int(value)
    return value.isoformat() if hasattr(value, "isoformat") else value
