"""Predictions against the ground truth: which truth counts, and metrics like scikit-learn's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.errors import UsageError
from modelyard.monitoring import performance as measured
from modelyard.monitoring import windows
from modelyard.monitoring.plan import Performance
from sklearn import metrics as sklearn_metrics

from tests.monitoring.test_measure import stored

START = datetime(2026, 3, 1, tzinfo=UTC)

labels = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40
)


@given(labels)
@pytest.mark.filterwarnings("ignore")
def test_hits_are_scikit_learns(rows: list[tuple[str, str]]) -> None:
    made, was = (list(side) for side in zip(*rows, strict=True))
    found = measured.hits(pa.array(made), pa.array(was), 0.01)
    macro = {"average": "macro", "zero_division": 0}
    assert all(one.low <= one.value <= one.high for one in found.values())
    assert {name: one.value for name, one in found.items()} == {
        "accuracy": pytest.approx(sklearn_metrics.accuracy_score(was, made)),
        "precision": pytest.approx(sklearn_metrics.precision_score(was, made, **macro)),
        "recall": pytest.approx(sklearn_metrics.recall_score(was, made, **macro)),
    }


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=40))
def test_errors_are_scikit_learns(rows: list[tuple[float, float]]) -> None:
    made, was = np.array(rows).T
    found = {name: one.value for name, one in measured.errors(made, was, 0.01).items()}
    assert found["mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(was, made))
    assert found["mse"] == pytest.approx(sklearn_metrics.mean_squared_error(was, made))
    assert found["rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(was, made))


def exceeded(count: int, of: int) -> bool:
    """Whether more than 1 of 100 experiments miss, beyond three standard errors."""
    return count > 0.01 * of + 3 * np.sqrt(0.01 * of)


@pytest.mark.parametrize("rows", [100, 1_000])
@pytest.mark.parametrize("rare", [0.5, 0.05])
def test_true_shares_lie_beyond_an_end_as_rarely_as_promised(rows: int, rare: float) -> None:
    random, experiments = np.random.default_rng(0), 400
    missed = dict.fromkeys(("accuracy", "recall"), np.zeros(2))
    for _ in range(experiments):
        was = random.random(rows) < rare
        right = random.random(rows) < np.where(was, 0.4, 0.9)
        found = measured.hits(pa.array(was == right), pa.array(was), 0.01)
        for name, true in (("accuracy", rare * 0.4 + (1 - rare) * 0.9), ("recall", 0.65)):
            missed[name] = missed[name] + [found[name].low > true, found[name].high < true]
    assert not [m for m in np.concatenate([*missed.values()]) if exceeded(m, experiments)], missed


@pytest.mark.parametrize("rows", [100, 1_000])
def test_true_errors_lie_below_an_interval_as_rarely_as_promised(rows: int) -> None:
    random, experiments = np.random.default_rng(0), 400
    below = dict.fromkeys(("mae", "mse", "rmse"), 0)
    true = {"mae": 1.0, "mse": 2.0, "rmse": np.sqrt(2)}  # of a Laplace distribution
    for _ in range(experiments):
        for name, one in measured.errors(random.laplace(size=rows), np.zeros(rows), 0.01).items():
            below[name] += one.low > true[name]
            assert one.value < one.high
    assert not [count for count in below.values() if exceeded(count, experiments)], below


def test_true_figures_of_people_lie_beyond_an_end_as_rarely_as_promised() -> None:
    """Of 20 people with 50 rows each, some are always right and some half the time."""
    random, experiments, missed = np.random.default_rng(0), 300, np.zeros(6)
    who = np.repeat(np.arange(20), 50)
    true = {"accuracy": 0.75, "recall": 0.75, "mae": 1.0}
    for _ in range(experiments):
        was = random.random(1_000) < 0.5
        right = random.random(1_000) < random.choice([0.5, 1.0], 20)[who]
        found = measured.hits(pa.array(was == right), pa.array(was), 0.01, who)
        off = random.choice([0.5, 1.5], 20)[who] * random.exponential(size=1_000)
        found |= measured.errors(off, np.zeros(1_000), 0.01, who)
        ends = [(found[name].low > one, found[name].high < one) for name, one in true.items()]
        missed += np.ravel(ends)
    assert not [m for m in missed if exceeded(m, experiments)], missed


def performance(tmp_path: Path, truth: pd.DataFrame, rows: int = 200) -> dict[str, Any]:
    """Predictions that all say yes, one a minute, judged a day after the first."""
    times = pa.array([START + timedelta(minutes=i) for i in range(rows)], pa.timestamp("us", "UTC"))
    made = stored(
        tmp_path / "made.parquet",
        correlationid=[f"id{i}" for i in range(rows)],
        prediction=[True] * rows,
        collected_at=times,
    )
    truth.to_parquet(tmp_path / "truth.parquet", index=False)
    end = START + timedelta(days=1)
    signal = Performance(
        windows.Window((str(made),), START, end),
        windows.Window((str(tmp_path / "truth.parquet"),), None, end),
        "late",
        "classification",
        ["accuracy"],
    )
    types = {"prediction": "category", "late": "category"}
    return measured.measure(signal, types)


def known(ids: range, late: Any, hours: float) -> pd.DataFrame:
    when = pd.Timestamp(START) + pd.Timedelta(hours=hours)
    return pd.DataFrame({"correlationid": [f"id{i}" for i in ids], "late": late, "known_at": when})


def test_truth_that_is_known_later_does_not_count_yet(tmp_path: Path) -> None:
    truth = pd.concat([known(range(150), True, 20), known(range(150, 200), False, 30)])
    found = performance(tmp_path, truth)
    assert found["rows"] == {"predictions": 200, "production": 150, "reference": 150}
    assert found["measures"][0]["value"] == 1.0


def test_the_latest_truth_counts(tmp_path: Path) -> None:
    truth = pd.concat([known(range(50), False, 5), known(range(200), True, 3)])
    assert performance(tmp_path, truth)["measures"][0]["value"] == 0.75
    corrected = pd.concat([known(range(50), False, 3), known(range(200), True, 5)])
    assert performance(tmp_path, corrected)["measures"][0]["value"] == 1.0


def test_too_little_truth_is_said(tmp_path: Path) -> None:
    found = performance(tmp_path, known(range(99), True, 1))
    assert (
        found["unmeasured"]
        == "the truth of 99 of 200 predictions is known; at least 100 are needed"
    )


def test_truth_without_its_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="ground truth needs the columns correlationid, late and known_at"
    ):
        performance(tmp_path, known(range(5), True, 1).rename(columns={"late": "delayed"}))
