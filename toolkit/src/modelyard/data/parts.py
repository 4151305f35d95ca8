"""Parts of a prepared table: train, validation and test."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.console import listed
from modelyard.contract.model import Contract
from modelyard.data.cells import described
from modelyard.errors import UsageError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
FOLDS_FILE = "folds.parquet"  # beside the parts

DTYPES = {
    "number": "fiu",
    "integer": "fiu",
    "boolean": "bO",
    "category": "O",
    "text": "O",
    "datetime": "M",
}


def read_part(prepared: Path, part: Part, contract: Contract) -> pd.DataFrame:
    """Read a part of a prepared table, with the columns of `contract.prepared`.

    Raises:
        UsageError: when it is missing, or does not fit the contract.
    """
    path = prepared / f"{part}.parquet"
    advice = "Run prepare again, with this contract."
    try:
        rows = pd.read_parquet(path)
    except FileNotFoundError:
        raise UsageError(f"{path} is missing. {advice}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}). {advice}") from None
    missing = [f'"{name}"' for name in contract.prepared if name not in rows.columns]
    if missing:
        raise UsageError(f"{path} lacks {listed(missing)} of the contract. {advice}")
    for name in contract.prepared:
        rule, found = contract.columns[name], rows[name].dtype
        if found.kind not in DTYPES[rule.type]:
            raise UsageError(
                f'{path}, column "{name}": expected {described(rule)}, found {found}. {advice}'
            )
    if rows.empty:
        raise UsageError(f"{path} has no rows. {advice}")
    _check_target(rows[contract.target.column], path, contract)
    return rows[contract.prepared]


def read_folds(prepared: Path, contract: Contract) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Read the rows of all parts, and the fold of each.

    Raises:
        UsageError: when a part or the folds are missing, or do not fit.
    """
    rows = pd.concat([read_part(prepared, part, contract) for part in PARTS], ignore_index=True)
    path = prepared / FOLDS_FILE
    try:
        fold = pd.read_parquet(path)["fold"].to_numpy(dtype=np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Run prepare again.") from None
    if len(fold) != len(rows):
        raise UsageError(
            f"{path} has {len(fold):,} rows, the parts {len(rows):,}. Run prepare again."
        )
    return rows, fold


def target_of(rows: pd.DataFrame, contract: Contract) -> NDArray[Any]:
    """Return the target as metrics take it (rows,).

    Binary: whether the class is the positive one (bool); multiclass: index in the contract's
    classes (int); regression: the value (float).
    """
    column = rows[contract.target.column]
    if contract.kind == "regression":
        return column.to_numpy(dtype=np.float64)
    if contract.kind == "binary":
        return (column == contract.target.positive).to_numpy(dtype=bool)
    index = {value: i for i, value in enumerate(contract.target.classes or ())}
    return column.map(index).to_numpy(dtype=np.int64)


def _check_target(target: pd.Series, path: Path, contract: Contract) -> None:
    advice = "Run prepare again, with this contract."
    if target.isna().any():
        raise UsageError(f'{path}: the target "{target.name}" has missing values. {advice}')
    if contract.kind == "multiclass":
        unknown = set(target.unique()) - set(contract.target.classes or ())
        if unknown:
            named = listed(sorted(map(repr, unknown)))
            raise UsageError(f"{path}: the contract's target.classes lack {named}. {advice}")
    if contract.kind == "binary" and target.nunique() > 2:
        raise UsageError(
            f'{path}: expected two values of "{target.name}", found {target.nunique()}. {advice}'
        )
