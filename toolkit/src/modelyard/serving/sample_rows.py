"""Held-out rows of a model, as a client would send them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.errors import UsageError
from modelyard.yaml_files import parse, read_yaml

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 20_000


@dataclass(frozen=True)
class Rows:
    """Rows that no model was trained on.

    Attributes:
        records: the features of each, as JSON takes them.
        truth: the target of each.
    """

    records: Sequence[Mapping[str, Any]]
    truth: Sequence[Any]
    target: str


def read_rows(parquet: Path, model_folder: Path, most: int = MOST_ROWS) -> Rows:
    """Rows of a prepared part, spread evenly over it, with the columns that a model takes.

    Raises:
        UsageError: the model folder or the part lacks something.
    """
    import pyarrow.parquet as pq

    contract_file = model_folder / "contract.yml"
    if not contract_file.is_file():
        raise UsageError(f"{model_folder} has no contract.yml; register the model again")
    contract = read_yaml(contract_file)
    description = read_yaml((model_folder / "MLmodel"))
    features = [one["name"] for one in parse(description["signature"]["inputs"])]
    target = contract["target"]["column"]
    file = pq.ParquetFile(parquet)
    missing = sorted({*features, target} - set(file.schema_arrow.names))
    if missing:
        raise UsageError(f"{parquet} lacks {', '.join(missing)}; run the training pipeline again")
    types = {name: rule["type"] for name, rule in contract["columns"].items()}
    return spread(file.read(columns=[*features, target]), features, target, types, most)


def spread(
    table: pa.Table, features: Sequence[str], target: str, types: Mapping[str, str], most: int
) -> Rows:
    """At most `most` rows of a table, spread evenly over it; `types` are those of the contract."""
    step = max(1, len(table) // most)
    content = table.take(list(range(0, len(table), step))[:most]).to_pylist()
    return Rows(
        [{name: as_json(row[name], types[name]) for name in features} for row in content],
        [as_json(row[target], types[target]) for row in content],
        target,
    )


def as_json(value: Any, kind: str) -> Any:
    """A cell as JSON has it; an integer column with gaps comes as floats."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if kind == "integer":
        return int(value)
    return value.isoformat() if hasattr(value, "isoformat") else value
