"""A sample of the training table, for a training that a pull request can wait for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from modelyard.console import counted
from modelyard.contract.made_up import small_table
from modelyard.contract.model import Contract, TableRules, load_contract, save_contract
from modelyard.contract.reading import missing_columns
from modelyard.data.cells import parse
from modelyard.data.table import Table, read_file
from modelyard.errors import UsageError
from modelyard.files import digest, replacing, write_json

TABLE, CONTRACT, ABOUT = "table", "contract.yml", "sample.json"
# Rows of each class at least, where it has so many: enough for all parts of a split.
OF_A_CLASS = 50
BINS = 10  # of a number to predict; each keeps its share

How = Literal[
    "the whole table", "the latest rows", "stratified by target", "made up from the contract"
]


@dataclass(frozen=True)
class Sample:
    """What was taken.

    Attributes:
        rows: in the sample.
        of: rows of the table.
        how: they were chosen.
        without_time: rows that could not be chosen, because they have no time that can be read.
        digest: of the sample's table (SHA-256).
    """

    rows: int
    of: int
    how: How
    without_time: int
    digest: str

    def __str__(self) -> str:
        if self.how == "made up from the contract":
            return f"{self.rows:,} rows made up from the contract: they say whether the pipeline runs, nothing of the model"
        text = f"{self.rows:,} of {self.of:,} rows, {self.how}"
        if self.without_time:
            text += f"; {counted(self.without_time, 'row')} without a readable time left out"
        return text


def take_sample(data: Path | None, contract_file: Path, rows: int, output: Path) -> Sample:
    """Write a sample of a table, its contract, and what was taken.

    Where the contract has a time column, these are the latest rows; else every class, or every range of a
    number to predict, keeps its share. The same table gives the same sample, in the table's order and format.
    Rules of the whole table are left out of the sample's contract: numbers of rows, and shares of repeated
    rows, of missing values and of classes. Rules of single values stay.

    Args:
        data: the table; None makes rows up, which follow the contract.
        contract_file: of the table.
        rows: at most so many.
        output: the folder; gets `table` (in the table's own format), `contract.yml` and `sample.json`.

    Raises:
        UsageError: the table cannot be read, or lacks the target or the time column.
    """
    contract = load_contract(contract_file)
    table, chosen, how, without_time = None, np.arange(rows), None, 0
    if data is not None:
        table = read_file(data)
        chosen, how, without_time = _choose(table, contract, rows)
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / TABLE) as partial:
        if table is None:
            small_table(contract, rows=rows).to_parquet(partial, index=False)
        else:
            _write(table, chosen, partial)
    save_contract(for_a_part(contract), output / CONTRACT)
    sample = Sample(
        len(chosen),
        table.rows if table else 0,
        how or "made up from the contract",
        without_time,
        digest(output / TABLE),
    )
    write_json(output / ABOUT, asdict(sample))
    return sample


def for_a_part(contract: Contract) -> Contract:
    """Return the contract without rules that hold for the whole table only."""
    columns = {
        name: column.model_copy(update={"nulls": None}) if column.nulls else column
        for name, column in contract.columns.items()
    }
    table = TableRules(repeated_rows=contract.table.repeated_rows)
    target = contract.target.model_copy(update={"min_share": 0.0})
    return contract.model_copy(update={"columns": columns, "table": table, "target": target})


def _choose(table: Table, contract: Contract, rows: int) -> tuple[np.ndarray, How, int]:
    needed = [contract.target.column, *([contract.time] if contract.time else [])]
    if missing := [name for name in needed if name not in table.columns]:
        raise UsageError(missing_columns(table.path, missing, table.columns))
    if table.rows <= rows:
        return np.arange(table.rows), "the whole table", 0
    if contract.time:
        times = parse(table.columns[contract.time], contract.columns[contract.time]).values
        known = np.flatnonzero(times.notna())
        latest = known[np.argsort(times.to_numpy()[known], kind="stable")][-rows:]
        return np.sort(latest), "the latest rows", table.rows - len(known)
    return (
        _stratified(_strata(table, contract), rows, contract.split.seed),
        "stratified by target",
        0,
    )


def _strata(table: Table, contract: Contract) -> np.ndarray:
    """Number the class, or the range, of each row's target; a missing or wrong one is a class of its own."""
    name = contract.target.column
    target: pd.Series[Any] = parse(table.columns[name], contract.columns[name]).values
    if contract.kind == "regression":
        target = pd.qcut(target.rank(method="first"), min(BINS, max(1, int(target.notna().sum()))))
    return pd.factorize(target, use_na_sentinel=False)[0]


def _stratified(strata: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Choose `rows` rows at random: of each class its share, of a rare one more (OF_A_CLASS)."""
    random = np.random.default_rng(seed)
    there = np.bincount(strata)
    wanted = np.minimum(there, min(OF_A_CLASS, rows // (2 * len(there))))
    above = np.maximum(there / len(strata) * rows - wanted, 0)
    shares = above / above.sum() * (rows - wanted.sum())
    wanted = wanted + np.floor(shares).astype(int)
    most = np.argsort(np.floor(shares) - shares, kind="stable")[: rows - wanted.sum()]
    wanted[most] += 1
    chosen = [
        random.choice(np.flatnonzero(strata == one), count, replace=False)
        for one, count in enumerate(wanted)
    ]
    return np.sort(np.concatenate(chosen))


def _write(table: Table, chosen: np.ndarray, path: Path) -> None:
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    part = pa.table({name: cells.array for name, cells in table.columns.items()}).take(chosen)
    delimiter = next(iter(table.columns.values())).delimiter
    if delimiter is None:
        pq.write_table(part, path)
    else:
        pacsv.write_csv(part, path, pacsv.WriteOptions(delimiter=delimiter))
