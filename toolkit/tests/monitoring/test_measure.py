"""Measurement of windows: which rows count, data quality, and features that never came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from modelyard.data.cells import Reading
from modelyard.data.numbers import Written
from modelyard.errors import UsageError
from modelyard.monitoring import measure, windows
from modelyard.monitoring.plan import Comparison, Plan

START = datetime(2026, 3, 1, tzinfo=UTC)


def stored(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def window(*files: Path) -> windows.Window:
    return windows.Window(tuple(map(str, files)))


def read(files: windows.Window, **types: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {name: [] for name in types}
    for batch in windows.batches(files, types):
        for name in types:
            found[name] += batch.columns[name].to_pylist()
    return found


def compared(
    production: Path,
    reference: Path,
    types: dict[str, str],
    metrics: dict[str, list[str]],
    **more: Any,
) -> dict[str, Any]:
    """Compare two files in all their columns."""
    options = {"override": {}, **more}
    signal = Comparison(window(production), window(reference), list(types), metrics, **options)
    return measure.measure(Plan(types, {"s": signal}, {}))["s"]


def by_feature(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(m["feature"], m["metric"]): m for m in found["measures"]}


def test_rows_outside_the_window_are_left_out(tmp_path: Path) -> None:
    times = [*(START + timedelta(minutes=m) for m in (-1, 0, 30, 60)), None]
    for zone in ("UTC", None):
        stamps = pa.array(times, pa.timestamp("us", "UTC")).cast(pa.timestamp("us", zone))
        file = stored(tmp_path / "a.parquet", x=[1.0, 2.0, 3.0, 4.0, 5.0], collected_at=stamps)
        until = windows.Window((str(file),), None, START + timedelta(hours=1))
        assert read(until, x="number") == {"x": [1.0, 2.0, 3.0]}
        hour = windows.Window((str(file),), START, START + timedelta(hours=1))
        assert read(hour, x="number") == {"x": [2.0, 3.0]}


def test_files_of_different_columns_and_types_are_read_as_one(tmp_path: Path) -> None:
    one = stored(tmp_path / "1.parquet", a=pa.array([1, 2]), b=["x", None])
    other = stored(tmp_path / "2.parquet", a=pa.array([0.5, None]))
    encoded = stored(tmp_path / "3.parquet", b=pa.array(["y"]).dictionary_encode())
    assert read(window(one, other, encoded), a="integer", b="category") == {
        "a": [1.0, 2.0, 0.5, None, None],
        "b": ["x", None, None, None, "y"],
    }


def test_values_are_read_as_their_type(tmp_path: Path) -> None:
    file = stored(
        tmp_path / "a.parquet",
        flag=[True, False, None],
        code=[1.0, float("nan"), 3.0],
        when=pa.array([datetime(2026, 1, 1), None, datetime(2026, 1, 2)], pa.timestamp("us")),
        amount=[1.5, float("inf"), -2.0],
        blank=pa.nulls(3),
    )
    found = read(
        window(file),
        flag="boolean",
        code="category",
        when="datetime",
        amount="number",
        blank="text",
    )
    assert found["flag"] == ["true", "false", None]
    assert found["code"] == ["1", None, "3"]
    assert found["when"][1] is None
    assert found["amount"] == [1.5, None, -2.0]
    assert found["blank"] == [None] * 3


def test_a_window_may_be_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1, x \n,y\n3,\nNaN,NA\n")
    (batch,) = windows.batches(window(path), {"a": "integer", "b": "category"})
    assert batch.columns["a"].to_pylist() == [1.0, None, 3.0, None]
    assert batch.columns["b"].to_pylist() == ["x", "y", None, None]
    assert not batch.wrong


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UsageError, match=r"a\.parquet is a damaged Parquet file"):
        read(window(path), a="number")


def test_large_and_small_files_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(50.0)
    files = [
        stored(tmp_path / f"{i}.parquet", x=part) for i, part in enumerate(np.array_split(rows, 7))
    ]
    whole = stored(tmp_path / "whole.parquet", x=rows)
    monkeypatch.setattr(windows, "ROWS_AT_ONCE", 9)
    monkeypatch.setattr(windows, "FEW_ROWS", 9)
    assert (
        read(window(*files), x="number") == read(window(whole), x="number") == {"x": rows.tolist()}
    )


def test_drift_is_over_rows_complete_in_all_features(tmp_path: Path) -> None:
    gaps = [None if i % 2 else float(i) for i in range(400)]
    # Among the complete rows the words are all the same; only rows with a gap have others.
    words = ["odd" if i % 2 else "even" for i in range(400)]
    reference = stored(tmp_path / "r.parquet", x=[float(i) for i in range(400)], w=["even"] * 400)
    production = stored(tmp_path / "p.parquet", x=gaps, w=words)
    metrics = {"numerical": ["jensen_shannon_distance"], "categorical": ["jensen_shannon_distance"]}
    found = compared(production, reference, {"x": "number", "w": "category"}, metrics)
    assert found["rows"] == {"reference": 400, "production": 200}
    assert by_feature(found)["w", "jensen_shannon_distance"]["value"] == 0.0


@pytest.mark.parametrize(
    ("different", "override", "kind"),
    [
        (10, {}, "categorical"),  # 10 of 400: below Azure ML's 5 %
        (40, {}, "numerical"),
        (10, {"n": "numerical"}, "numerical"),
        (40, {"n": "categorical"}, "categorical"),
    ],
)
def test_whole_numbers_with_few_values_are_categories_unless_the_file_says_else(
    tmp_path: Path, different: int, override: dict[str, str], kind: str
) -> None:
    rows = np.arange(400) % different
    file = stored(tmp_path / "a.parquet", n=rows)
    drift_metrics = {
        "numerical": ["normalized_wasserstein_distance"],
        "categorical": ["pearsons_chi_squared_test"],
    }
    [found] = compared(file, file, {"n": "integer"}, drift_metrics, override=override)["measures"]
    assert (found["kind"], [found["metric"]]) == (kind, drift_metrics[kind])


@pytest.mark.parametrize("is_quality", [False, True])
@pytest.mark.parametrize("as_nulls", [False, True])
def test_a_feature_that_never_came_is_measured_as_missing_and_does_not_hide_the_others(
    tmp_path: Path, is_quality: bool, as_nulls: bool
) -> None:
    reference = stored(tmp_path / "r.parquet", x=np.arange(200.0), y=np.arange(200.0))
    never = {"y": pa.nulls(200)} if as_nulls else {}
    production = stored(tmp_path / "p.parquet", x=np.arange(200.0), **never)
    metrics = {"numerical": ["null_value_rate" if is_quality else "jensen_shannon_distance"]}
    types = {"x": "number", "y": "number"}
    found = compared(production, reference, types, metrics, is_quality=is_quality)
    x, y = found["measures"]
    assert (x["feature"], x["value"], "never" in x) == ("x", 0.0, False)
    assert (y["feature"], y["metric"], y["value"]) == ("y", "null_value_rate", 1.0)
    assert (y["never"], y["reference"]) == (200, 0.0)


@pytest.mark.parametrize(
    ("before", "now", "never"),
    [
        ([1.0] * 200, [None] * 20, 20),  # even where too few rows came for anything else
        ([1.0] * 20 + [None] * 180, [None] * 20, None),  # (0.9)^20: such windows happen
        ([None] * 200, [1.0] * 20, None),
    ],
)
def test_a_feature_has_never_come_only_where_the_reference_has_it_often(
    tmp_path: Path, before: list[float | None], now: list[float | None], never: int | None
) -> None:
    reference = stored(tmp_path / "r.parquet", x=np.arange(200.0), y=pa.array(before, pa.float64()))
    production = stored(tmp_path / "p.parquet", x=np.arange(20.0), y=pa.array(now, pa.float64()))
    metrics = {"numerical": ["jensen_shannon_distance"]}
    found = compared(production, reference, {"x": "number", "y": "number"}, metrics)
    assert [(m["feature"], m["never"]) for m in found["measures"]] == [("y", never)]


def test_too_few_rows_are_not_measured(tmp_path: Path) -> None:
    reference = stored(tmp_path / "r.parquet", x=np.arange(500.0))
    production = stored(tmp_path / "p.parquet", x=np.arange(99.0))
    for is_quality, metric in ((False, "jensen_shannon_distance"), (True, "null_value_rate")):
        metrics = {"numerical": [metric]}
        found = compared(production, reference, {"x": "number"}, metrics, is_quality=is_quality)
        assert found["measures"] == []
        assert (
            found["unmeasured"]
            == "the production window has 99 complete rows; at least 100 are needed"
        )


def test_the_column_that_leaves_rows_incomplete_is_named(tmp_path: Path) -> None:
    sparse = [1.0] * 60 + [None] * 140
    paths = [stored(tmp_path / f"{n}.parquet", x=np.arange(200.0), y=sparse) for n in "rp"]
    metrics = {"numerical": ["jensen_shannon_distance"]}
    found = compared(paths[1], paths[0], {"x": "number", "y": "number"}, metrics)
    assert found["unmeasured"].endswith('; in 70% of all rows "y" is missing')


def test_quality_counts_what_is_missing_mistyped_and_out_of_bounds(tmp_path: Path) -> None:
    reference = stored(
        tmp_path / "r.parquet",
        x=np.arange(100.0),
        w=["a", "b"] * 50,
        t=["1"] * 100,
        n=[1.0] * 99 + [None],
    )
    production = stored(
        tmp_path / "p.parquet",
        x=[-1.0] * 3 + [100.0] * 2 + [None] * 5 + [50.0] * 90,
        w=["new"] * 4 + [None] * 6 + ["a"] * 90,
        t=["7"] * 90 + ["seven"] * 8 + [None] * 2,
        n=[1.0] * 100,
    )
    rates = ["null_value_rate", "data_type_error_rate", "out_of_bounds_rate"]
    types = {"x": "number", "w": "category", "t": "number", "n": "number"}
    metrics = {"numerical": rates, "categorical": rates}
    found = by_feature(compared(production, reference, types, metrics, is_quality=True))
    assert {key: m["value"] for key, m in found.items() if m["value"]} == {
        ("x", "null_value_rate"): 0.05,
        ("x", "out_of_bounds_rate"): 0.05,
        ("w", "null_value_rate"): 0.06,
        ("w", "out_of_bounds_rate"): 0.04,
        ("t", "null_value_rate"): 0.02,
        ("t", "data_type_error_rate"): 0.08,
        ("t", "out_of_bounds_rate"): 0.9,
    }
    assert found["n", "null_value_rate"]["reference"] == 0.01
    assert found["w", "out_of_bounds_rate"]["examples"] == ["new"]
    assert found["x", "out_of_bounds_rate"]["examples"] == ["100", "-1"]


def test_a_reference_is_read_as_the_contract_says_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "reference.csv"
    path.write_text("x;y\n1.678,80;a\n(645,06);b\n-999;c\nviel;d\n", encoding="utf-8")
    written = Written(decimal=",", thousands=".", negative="parentheses")
    readings = {"x": Reading(type="number", written=written, missing=("-999",))}
    (batch,) = windows.batches(window(path), {"x": "number"}, readings)
    assert batch.columns["x"].to_pylist() == [1678.8, -645.06, None, None]
    assert batch.wrong["x"].tolist() == [False, False, False, True]
