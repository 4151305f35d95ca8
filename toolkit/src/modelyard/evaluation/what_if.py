"""What a model would predict if columns of a row had other values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from modelyard.console import listed, shown
from modelyard.contract.model import Column, Contract
from modelyard.data.cells import Cells, described, parse
from modelyard.data.parts import read_part
from modelyard.errors import UsageError
from modelyard.yaml_files import did_you_mean

if TYPE_CHECKING:
    from modelyard.modelling.predicting import Prediction


@dataclass(frozen=True)
class Change:
    """Another value of a column.

    Attributes:
        values: the value, as a column of one row; missing as the contract's type has it.
        warning: why the model knows little of it; empty where it was trained on such values.
    """

    column: str
    values: pd.Series
    warning: str = ""

    @property
    def written(self) -> str:
        """The value in words."""
        return in_words(self.values.iloc[0])


def read_changes(given: Sequence[str], contract: Contract, prepared: Path) -> list[Change]:
    """Read COLUMN=VALUE, by the rules of the contract.

    Args:
        given: as they were typed; a value is read as in a CSV file, and none stands for a missing one.
        contract: of the model.
        prepared: folder with the rows it was trained on.

    Raises:
        UsageError: a column is no feature, or the contract would refuse the value.
    """
    if not given:
        return []
    parts = [read_part(prepared, part, contract) for part in ("train", "validation")]
    trained_on = pd.concat(parts, ignore_index=True)
    changes: dict[str, Change] = {}
    for one in given:
        name, word = _parted(one, contract)
        if name in changes:
            raise UsageError(f'--what-if: "{name}" is given twice; one value at a time.')
        rule = contract.columns[name]
        parsed = parse(Cells(pa.chunked_array([[word]]), ","), rule)
        expected = described(rule) if parsed.wrong[0] else _broken(parsed.values.iloc[0], rule)
        if expected:
            raise UsageError(
                f'--what-if: column "{name}": expected {expected}, found {word!r}, which the data '
                "contract refuses."
            )
        changes[name] = Change(
            name, parsed.values, _outside(parsed.values.iloc[0], trained_on[name], rule)
        )
    return list(changes.values())


def changed(row: pd.DataFrame, changes: Sequence[Change]) -> pd.DataFrame:
    """Return a row (one row, columns) with the other values."""
    return row.assign(**{change.column: change.values.array for change in changes})


def predicted_class(prediction: Prediction, contract: Contract) -> str | None:
    """Name the class that is predicted for a single row; None for a number."""
    if contract.kind == "regression":
        return None
    label = prediction.label[0]
    if contract.kind == "multiclass":
        return shown((contract.target.classes or ())[label]) if label >= 0 else "unknown"
    positive = shown(contract.target.positive)
    return positive if label else f"not {positive}"


def in_words(value: Any) -> str:
    """Write a value, or that it is missing."""
    return "(missing)" if pd.isna(value) else shown(value)


def _parted(given: str, contract: Contract) -> tuple[str, str]:
    """Part a column from its value; the name itself may hold `=`."""
    if "=" not in given:
        raise UsageError(f"--what-if: expected COLUMN=VALUE, found {given!r}.")
    fitting = [name for name in contract.columns if given.startswith(f"{name}=")]
    name = max(fitting, key=len, default=given.partition("=")[0])
    if name not in contract.columns:
        raise UsageError(
            f'--what-if: the model has no column "{name}"{did_you_mean(name, contract.features)}'
        )
    role = contract.columns[name].role
    if role != "feature":
        raise UsageError(
            f'--what-if: "{name}" is no feature of the model, its role is {role}: it changes no prediction.'
        )
    return name, given[len(name) + 1 :]


def _broken(value: Any, rule: Column) -> str:
    """Say what the contract expects of a value that it refuses; empty where it does not."""
    if pd.isna(value):
        return f"{described(rule)}, none may be missing" if rule.nulls == 0 else ""
    if rule.categories is not None and rule.unseen == "refuse" and value not in rule.categories:
        return f"one of {listed(rule.categories, 8)}"
    low, high = rule.min, rule.max
    if (low is not None and value < low) or (high is not None and value > high):
        return _range(low, high)
    return ""


def _range(low: Any, high: Any) -> str:
    if low is None or high is None:
        return f"at most {shown(high)}" if low is None else f"at least {shown(low)}"
    return f"{shown(low)} to {shown(high)}"


def _outside(value: Any, trained_on: pd.Series, rule: Column) -> str:
    """Say why a value is outside what the model was trained on; empty where it is not."""
    known = trained_on.dropna()
    where = (
        f'column "{trained_on.name}": {in_words(value)} is outside what the model was trained on'
    )
    if pd.isna(value):
        return "" if len(known) < len(trained_on) else f"{where}: no value was missing"
    if rule.type in ("number", "integer", "datetime"):
        if known.empty or not known.min() <= value <= known.max():
            return f"{where}: {_range(known.min(), known.max())}" if len(known) else where
        return ""
    distinct = known.unique()
    repeats = rule.type != "text" or 2 * len(distinct) <= len(known)
    if repeats and value not in set(distinct):
        return f"{where}: {listed(sorted(map(shown, distinct)), 8)}"
    return ""
