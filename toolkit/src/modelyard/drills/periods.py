"""Cutting a table with a time column into periods: months, weeks, days, or equal shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract.model import Contract
from modelyard.contract.reading import read_table
from modelyard.errors import UsageError
from modelyard.steps.prepare import arrow_schema, write_part

CALENDAR = {"month": "MS", "week": "W-MON", "day": "D"}  # pandas' names of a period's first day
FEWEST_PERIODS = 5
EQUAL_PERIODS = 12
FEWEST_ROWS = 50


@dataclass(frozen=True)
class Period:
    """Rows of a span of time.

    Attributes:
        name: such as 2013-04; also the file's name.
        start, end: the end is not included; made up where time is a number.
        positions: of the rows, in order of time.
    """

    name: str
    start: pd.Timestamp
    end: pd.Timestamp
    positions: NDArray[np.int64]


@dataclass(frozen=True)
class Periods:
    """A table cut into periods.

    Attributes:
        unit: month, week, day or share.
        found: in order of time.
        left_out: number of rows that are in none of them, by reason.
    """

    unit: str
    found: list[Period]
    left_out: dict[str, int]


def cut_table(table: Path, contract: Contract, folder: Path) -> Periods:
    """Write a Parquet file per period of a table.

    Raises:
        UsageError: the contract has no time column, or the rows make too few periods.
    """
    if contract.time is None:
        raise UsageError(
            "conf/contract.yml names no time column, so the table cannot be replayed. Infer the "
            "contract again with --time, or add `time:`."
        )
    content = read_table(table, contract)
    usable = content.dropna(subset=[contract.time, contract.target.column])
    usable = usable.sort_values(contract.time, kind="stable", ignore_index=True)
    unit, found = periods(usable[contract.time])
    schema = arrow_schema(usable, contract)
    for period in found:
        write_part(usable.iloc[period.positions], schema, folder / f"{period.name}.parquet")
    left_out = {
        "without time or target": len(content) - len(usable),
        f"in a {unit} of fewer than {FEWEST_ROWS} rows": len(usable)
        - sum(len(period.positions) for period in found),
    }
    return Periods(unit, found, {why: rows for why, rows in left_out.items() if rows})


def periods(times: pd.Series) -> tuple[str, list[Period]]:
    """Choose the longest unit of the calendar that gives enough periods of ascending times without gaps, else equal shares.

    Raises:
        UsageError: there are too few rows.
    """
    if len(times) < FEWEST_PERIODS * FEWEST_ROWS:
        raise UsageError(
            f"{len(times):,} rows with a time are too few to replay: at least "
            f"{FEWEST_PERIODS * FEWEST_ROWS} are needed."
        )
    if times.dtype.kind == "M":
        for unit, first_day in CALENDAR.items():
            found = _calendar(times, unit, first_day)
            if len(found) >= FEWEST_PERIODS:
                return unit, found
    return "share", _equal(times)


def _calendar(times: pd.Series, unit: str, first_day: str) -> list[Period]:
    begin = times.iloc[0].normalize()
    span = times.iloc[-1] - begin
    if span / pd.Timedelta(days={"month": 28, "week": 7, "day": 1}[unit]) > 1_000:
        return []
    edges = pd.date_range(
        begin - pd.DateOffset(months=1, days=7),
        times.iloc[-1] + pd.DateOffset(months=2),
        freq=first_day,
    )
    places = np.searchsorted(times.to_numpy(), edges.to_numpy())
    form = "%Y-%m" if unit == "month" else "%Y-%m-%d"
    return [
        Period(start.strftime(form), start, end, np.arange(low, high))
        for start, end, low, high in zip(edges, edges[1:], places, places[1:], strict=False)
        if high - low >= FEWEST_ROWS
    ]


def _equal(times: pd.Series) -> list[Period]:
    count = min(EQUAL_PERIODS, len(times) // FEWEST_ROWS)
    places = np.linspace(0, len(times), count + 1).astype(int)
    # Monitoring needs dates; a number has none, so every share gets a month.
    edges = pd.date_range("2001-01-01", periods=count + 1, freq="MS")
    return [
        Period(f"part-{i + 1:02}", edges[i], edges[i + 1], np.arange(places[i], places[i + 1]))
        for i in range(count)
    ]
