"""Cutting a table into periods: the unit, the rows of each, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.drills.periods import Periods, cut_table, periods
from modelyard.errors import UsageError

from tests.drills.contracts import contract


def table(days: int, rows: int = 900) -> pd.DataFrame:
    random = np.random.default_rng(3)
    at = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        np.sort(random.integers(0, days * 86_400, rows)), "s"
    )
    return pd.DataFrame(
        {
            "key": range(rows),
            "at": at,
            "size": random.normal(size=rows),
            "label": random.choice(["yes", "no"], rows),
        }
    )


def cut(folder: Path, content: pd.DataFrame) -> Periods:
    data = folder / "table.parquet"
    content.sample(frac=1, random_state=0).to_parquet(data, index=False)
    return cut_table(data, contract(), folder / "out")


@pytest.mark.parametrize(
    ("days", "unit", "first"),
    [(360, "month", "2020-01"), (60, "week", "2019-12-30"), (12, "day", "2020-01-01")],
)
def test_a_table_is_cut_into_the_longest_calendar_unit_that_gives_enough_periods(
    tmp_path: Path, days: int, unit: str, first: str
) -> None:
    made = cut(tmp_path, table(days))
    found = made.found
    assert (made.unit, found[0].name, made.left_out) == (unit, first, {})
    parts = [pd.read_parquet(tmp_path / "out" / f"{period.name}.parquet") for period in found]
    assert [len(part) for part in parts] == [len(period.positions) for period in found]
    for part, period in zip(parts, found, strict=True):
        assert part["at"].is_monotonic_increasing
        assert part["at"].between(period.start, period.end, inclusive="left").all()
    keys = pd.concat(parts)["key"]
    assert keys.is_unique
    assert len(keys) == 900


def test_rows_that_are_in_no_period_are_counted_and_repeated_ones_are_not_among_them(
    tmp_path: Path,
) -> None:
    content = table(330)
    content = content[content["at"].dt.month != 4]
    content = pd.concat([content, content[content["at"].dt.month == 3].head(20), content.head(30)])
    content["key"] = 1
    few = pd.DataFrame({"at": pd.date_range("2020-04-02", periods=7)}).assign(size=1.0, label="no")
    content = pd.concat([content, few.assign(key=1)], ignore_index=True)
    content.loc[0:9, "at"] = pd.NaT
    content.loc[20:24, "label"] = None
    made = cut(tmp_path, content)
    assert made.left_out == {
        "without time or target": 15,
        "in a month of fewer than 50 rows": 7,
    }
    assert sum(len(period.positions) for period in made.found) == len(content) - 22


def test_a_contract_without_a_time_column_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "table.csv"
    table(300).to_csv(data, index=False)
    with pytest.raises(UsageError, match="--time"):
        cut_table(data, contract(time=None), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too few"):
        cut(tmp_path, table(300, rows=100))
    assert not (tmp_path / "out").exists()


@given(st.lists(st.integers(-(10**9), 10**9), min_size=250, max_size=600))
@settings(max_examples=25)
def test_numbers_as_time_make_equal_shares_that_lose_no_row(values: list[int]) -> None:
    times = pd.Series(sorted(map(float, values)))
    unit, found = periods(times)
    assert unit == "share"
    assert np.array_equal(np.concatenate([p.positions for p in found]), np.arange(len(times)))
    assert all(a.end == b.start for a, b in itertools.pairwise(found))
