"""Parsing of a file's cells into valid and rejected rows, and of predictions into columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelyard.console import listed, shown
from modelyard.contract.model import Column, Contract
from modelyard.data.cells import ARROW, Cells, Parsed, described, is_number, parse
from modelyard.data.stream import Chunk, Stream
from modelyard.errors import UsageError, shortened
from modelyard.modelling.predicting import Prediction, predict
from modelyard.serving.deployed import Deployed

ROW, REASON, PREDICTION, PROBABILITY, VERSION = (
    "row",
    "reason",
    "prediction",
    "probability",
    "model_version",
)


@dataclass(frozen=True)
class ParsedRows:
    """A chunk's rows, divided into valid and rejected ones.

    Attributes:
        features: the contract's features of the valid rows.
        carried: identifiers of the valid rows, and their number in the file, from 1.
        rejected: number and reason of the other rows, and their cells as text.
    """

    features: pd.DataFrame
    carried: pa.Table
    rejected: pa.Table


def needed_columns(contract: Contract) -> list[str]:
    """List the columns that scoring needs, features and identifiers, in the contract's order."""
    kept = {*contract.features, *contract.identifiers}
    return [name for name in contract.columns if name in kept]


def check_types(stream: Stream, contract: Contract) -> None:
    """Refuse Parquet columns of a type that holds no value of the contract's type.

    Raises:
        UsageError: there are such columns; it names them.
    """
    complaints = [
        f'{stream.path}, column "{name}": expected {described(contract.columns[name])}, found a '
        f"Parquet column of type {found}"
        for name, found in stream.types.items()
        if not _can_hold(found, contract.columns[name])
    ]
    if complaints:
        raise UsageError(listed(complaints, separator="\n"))


def _can_hold(found: pa.DataType, rule: Column) -> bool:
    kind = rule.type
    is_text = pa.types.is_string(found) or pa.types.is_large_string(found)
    if kind in ("category", "text") or is_text or pa.types.is_null(found):
        return True
    if kind == "datetime" and (pa.types.is_date(found) or pa.types.is_timestamp(found)):
        return True
    # A datetime with a format may be a number: 20200705.
    return is_number(found) and (kind != "datetime" or bool(rule.format))


def read_chunk(chunk: Chunk, contract: Contract) -> ParsedRows:
    """Parse a chunk, and divide it into rows that follow the contract and rejected ones.

    A row is rejected if a cell has another type, is missing although the contract allows no missing
    value, or holds a category that is to be refused. Ranges are not checked: a model can score such
    rows, and a monitor counts them.
    """
    names = needed_columns(contract)
    rows = len(chunk.positions)
    reasons: dict[int, list[str]] = {}
    parsed = {}
    for name in names if rows else ():
        cells, rule = chunk.columns[name], contract.columns[name]
        parsed[name] = parse(cells, rule)
        for row, reason in _breaches(name, cells, rule, parsed[name]):
            reasons.setdefault(row, []).append(reason)
    bad = np.array(sorted(reasons), dtype=np.int64)
    good = np.ones(rows, dtype=bool)
    good[bad] = False
    features = pd.DataFrame(
        {name: parsed[name].values for name in contract.features if rows}, copy=False
    )
    carried = {
        free_name(name): _exact(chunk.columns[name], contract.columns[name], parsed[name], good)
        if rows
        else pa.array([], ARROW[contract.columns[name].type])
        for name in contract.identifiers
    }
    carried[ROW] = pa.array(chunk.positions[good] + 1)  # people count rows from 1
    return ParsedRows(
        features if good.all() else features[good],
        pa.table(carried),
        _rejected(chunk, names, bad, reasons),
    )


def free_name(name: str) -> str:
    """Name the output column of an input column, different from the output's own names and from others."""
    plain = re.sub("(_given)+$", "", name)
    own = plain in (ROW, REASON, PREDICTION, VERSION) or plain.startswith(PROBABILITY)
    return f"{name}_given" if own else name


def _breaches(name: str, cells: Cells, rule: Column, parsed: Parsed) -> Iterator[tuple[int, str]]:
    for row in np.flatnonzero(parsed.wrong):
        yield int(row), f"{name}: expected {described(rule)}, found {_quoted(cells.at(int(row)))}"
    if rule.nulls == 0:
        for row in np.flatnonzero(parsed.nulls):
            yield int(row), f"{name}: missing, and the contract allows no missing value"
    if rule.categories is not None and rule.unseen == "refuse":
        for row in np.flatnonzero(_unseen(cells, parsed, rule.categories)):
            found = _quoted(parsed.values.iloc[row])
            yield (
                int(row),
                f"{name}: {found} is none of the contract's {len(rule.categories)} categories",
            )


def _unseen(cells: Cells, parsed: Parsed, known: Sequence[str]) -> NDArray[np.bool_]:
    """Mark rows with an unknown category; each distinct text is looked up once."""
    if not cells.is_text:
        return (parsed.values.notna() & ~parsed.values.isin(known)).to_numpy()
    codes, words = cells.encoded
    is_known = pc.is_in(words, pa.array(known, words.type))
    return ~np.append(np.asarray(is_known, dtype=bool), True)[codes]


def _quoted(text: str) -> str:
    return repr(shortened(text))


def _exact(cells: Cells, rule: Column, parsed: Parsed, good: NDArray[np.bool_]) -> pa.Array:
    """Convert identifiers of the valid rows; integers next to missing values do not become floats."""
    kind = ARROW[rule.type]
    if rule.type != "integer" or parsed.values.dtype.kind != "f":
        return pa.array(parsed.values[good], kind, from_pandas=True)
    present = good & ~parsed.nulls
    whole = np.zeros(len(good), dtype=np.int64)
    some = Cells(cells.array.filter(pa.array(present)), cells.delimiter)
    whole[present] = parse(some, rule).values
    return pa.array(whole[good], kind, mask=~present[good])


def _rejected(
    chunk: Chunk, names: list[str], bad: NDArray[np.int64], reasons: dict[int, list[str]]
) -> pa.Table:
    """Make a table of rejected rows in the order of the file; misshapen rows have no cells."""
    positions = [int(position) + 1 for position in chunk.positions[bad]]
    places = [position + 1 for position, _ in chunk.refused]
    order = np.argsort([*positions, *places], kind="stable")
    columns = {
        ROW: pa.array([*positions, *places], pa.int64()),
        REASON: pa.array(
            ["; ".join(reasons[int(row)]) for row in bad] + [why for _, why in chunk.refused],
            pa.string(),
        ),
    }
    for name in names:
        found = chunk.columns[name].array.take(pa.array(bad)).to_pylist() if len(bad) else []
        texts = [None if value is None else shown_cell(value) for value in found]
        columns[free_name(name)] = pa.array([*texts, *[None] * len(places)], pa.string())
    return pa.table(columns).take(pa.array(order, pa.int64()))


def shown_cell(value: Any) -> str:
    """Convert a cell to text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return str(value)


def scored_rows(parsed: ParsedRows, deployed: Deployed) -> pa.Table:
    """Predict valid rows; return identifiers, number, prediction, probabilities and version.

    Raises:
        UsageError: the model cannot score them.
    """
    table = parsed.carried
    if len(table):
        prediction = predict(deployed.model, parsed.features, deployed.contract)
    else:
        shape = (0, len(deployed.contract.target.classes or ()))
        none = np.zeros(shape if deployed.contract.kind == "multiclass" else 0)
        prediction = Prediction(none, np.zeros(0, dtype=np.int64))
    for name, values in answers(prediction, deployed).items():
        table = table.append_column(name, values)
    return table.append_column(VERSION, pa.repeat(pa.scalar(deployed.version), len(table)))


def answers(prediction: Prediction, deployed: Deployed) -> dict[str, pa.Array]:
    """Make the columns `prediction` and, for classes, `probability` or one per class."""
    contract = deployed.contract
    if contract.kind == "regression":
        return {PREDICTION: pa.array(prediction.score)}
    kind = ARROW[contract.columns[contract.target.column].type]
    if contract.kind == "binary":
        positive = contract.target.positive
        other = next(value for value in deployed.model.classes_ if value != positive)
        classes = pa.array([_plain(other), positive], kind)
        return {
            PREDICTION: classes.take(pa.array(prediction.label.astype(np.int64))),
            PROBABILITY: pa.array(prediction.score),
        }
    known = contract.target.classes or ()
    index = pa.array(prediction.label, mask=prediction.label < 0)
    return {PREDICTION: pa.array(known, kind).take(index)} | {
        f"{PROBABILITY}_{shown(name)}": pa.array(np.ascontiguousarray(prediction.score[:, i]))
        for i, name in enumerate(known)
    }


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
