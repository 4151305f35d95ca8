"""Noise of drift metrics: how often windows of unchanged rows exceed it, and that a shift still does."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from modelyard.monitoring import drift, measure, noise
from modelyard.monitoring.plan import Comparison, Plan
from modelyard.monitoring.windows import Window

ALARMS = 0.05
SHARES = np.array([0.4, 0.3, 0.2, 0.05, 0.03, 0.02])


def numbers_of(values: np.ndarray) -> drift.Numbers:
    numbers = drift.Numbers()
    numbers.add(values)
    return numbers


def alarms(one_window: Callable[[np.random.Generator], tuple[float, float]], windows: int) -> float:
    """The share of windows whose value exceeds its noise."""
    random = np.random.default_rng(8)
    found = np.array([one_window(random) for _ in range(windows)])
    return float((found[:, 0] > found[:, 1]).mean())


def bounds(windows: int) -> tuple[float, float]:
    """Three standard errors around the promised share."""
    reach = 3 * math.sqrt(ALARMS * (1 - ALARMS) / windows)
    return ALARMS - reach, ALARMS + reach


@pytest.mark.parametrize("rows", [50, 113, 5_000])
@pytest.mark.parametrize("metric", sorted(drift.COUNTED))
def test_unchanged_counts_exceed_the_noise_as_rarely_as_promised(metric: str, rows: int) -> None:
    def window(random: np.random.Generator) -> tuple[float, float]:
        before, now = random.multinomial(2_000, SHARES), random.multinomial(rows, SHARES)
        return drift.CATEGORICAL[metric](before, now), noise.categorical_noise(
            metric, before, now, ALARMS
        )

    low, high = bounds(300)
    assert low <= alarms(window, 300) <= high


@pytest.mark.parametrize("alarms", [0.05, 0.01, 0.0005])
@pytest.mark.parametrize(
    ("before", "now"),
    [((568_153, 2, 3), (273, 0, 0)), ((4, 1), (60_459, 0)), ((1_000, 1), (100, 0))],
)
@pytest.mark.parametrize("metric", sorted(drift.COUNTED))
def test_rare_categories_have_a_noise(
    metric: str, before: tuple[int, ...], now: tuple[int, ...], alarms: float
) -> None:
    found = noise.categorical_noise(metric, np.array(before), np.array(now), alarms)
    assert 0 <= found < math.inf


@pytest.mark.parametrize(("rows", "skewed"), [(113, True), (5_000, False)])
def test_unchanged_numbers_exceed_the_noise_as_rarely_as_promised(rows: int, skewed: bool) -> None:
    metric = "normalized_wasserstein_distance"

    def window(random: np.random.Generator) -> tuple[float, float]:
        draw = random.standard_exponential if skewed else random.standard_normal
        before, now = numbers_of(draw(1_000)), numbers_of(draw(rows))
        return drift.NUMERICAL[metric](before, now), noise.numerical_noise(
            metric, before, now, ALARMS
        )

    low, high = bounds(150)
    assert low <= alarms(window, 150) <= high


def test_unchanged_rates_exceed_the_noise_no_more_often_than_promised() -> None:
    def window(random: np.random.Generator) -> tuple[float, float]:
        before, now = random.binomial(2_000, 0.1), random.binomial(150, 0.1)
        return now / 150 - before / 2_000, noise.rate_noise(before, 2_000, now, 150, ALARMS)

    assert 0.01 <= alarms(window, 300) <= bounds(300)[1]


@pytest.mark.parametrize("rows", [113, 2_000])
def test_new_values_of_unchanged_rows_exceed_the_noise_no_more_often_than_promised(
    rows: int,
) -> None:
    def numerical(random: np.random.Generator) -> tuple[float, float]:
        before, now = random.normal(size=500), random.normal(size=rows)
        beyond = ((now < before.min()) | (now > before.max())).mean()
        return beyond, noise.bounds_noise(numbers_of(before), numbers_of(now), rows, ALARMS)

    def categorical(random: np.random.Generator) -> tuple[float, float]:
        sides = []
        for count in (500, rows):
            categories = drift.Categories()
            categories.add(pa.array(random.zipf(1.6, count).astype(str)))
            sides.append(categories)
        before, now = sides
        new = sum(n for name, n in now.counts.items() if name not in before.counts) / rows
        return new, noise.new_categories_noise(before, now, rows, ALARMS)

    for window in (numerical, categorical):
        assert 0.005 <= alarms(window, 150) <= bounds(150)[1]


def test_a_signal_of_unchanged_rows_seldom_breaches_and_one_of_shifted_rows_always() -> None:
    random = np.random.default_rng(4)
    columns = [measure.Column("number") for _ in range(8)]
    for column in columns:
        column.add(pa.array(random.normal(size=2_000)))
    metric, alarm = "jensen_shannon_distance", noise.FALSE_ALARMS / len(columns)

    def breaches(shift: float) -> bool:
        for column in columns:
            now = measure.Column("number")
            now.add(pa.array(random.normal(shift, 1, size=113)))
            found = measure._numerical(metric, column, now, alarm)
            if found["value"] > found["noise"]:
                return True
        return False

    assert sum(breaches(0.0) for _ in range(100)) <= 4  # 1 is expected
    assert all(breaches(0.8) for _ in range(20))


def test_unchanged_people_seldom_exceed_the_noise_of_people_but_always_that_of_rows(
    tmp_path: Path,
) -> None:
    random, metric = np.random.default_rng(6), ["jensen_shannon_distance"]
    files = {side: str(tmp_path / f"{side}.parquet") for side in ("reference", "production")}
    drifts = {"numerical": [*metric, "normalized_wasserstein_distance"], "categorical": metric}
    rates = {kind: ["out_of_bounds_rate", "null_value_rate"] for kind in drifts}

    def people(file: str, shift: float) -> None:
        """20 people of 50 rows each, which have all values in common."""
        own = {
            "who": random.choice(10**6, 20),
            "amount": np.where(random.random(20) < 0.2, np.nan, random.normal(shift, 1, 20)),
            "shop": random.choice(["north", "south", "west"], 20),
        }
        pq.write_table(pa.table({name: one.repeat(50) for name, one in own.items()}), file)

    def breaches(group: dict[str, str], shift: float = 0.0) -> np.ndarray:
        people(files["reference"], 0.0)
        people(files["production"], shift)
        sides = Window((files["production"],)), Window((files["reference"],))
        columns = ["amount", "shop"]
        kinds = {"amount": "numerical"}
        signals = {
            "drift": Comparison(*sides, columns, drifts, kinds),
            "quality": Comparison(*sides, columns, rates, kinds, is_quality=True),
        }
        types = {"amount": "number", "shop": "category"}
        found = measure.measure(Plan(types, signals, {}, group=group))
        return np.array(
            [
                any(
                    m["value"] - m.get("reference", 0) > m["noise"] for m in found[name]["measures"]
                )
                for name in signals
            ]
        )

    grouped = {"who": "integer"}
    assert (sum(breaches(grouped) for _ in range(50)) <= [3, 3]).all()  # 0.5 are expected
    assert (sum(breaches({}) for _ in range(10)) >= [10, 5]).all()
    assert all(breaches(grouped, shift=3.0)[0] for _ in range(5))


def test_a_shift_exceeds_the_noise_of_few_rows() -> None:
    random = np.random.default_rng(0)
    before, now = numbers_of(random.normal(size=1_000)), numbers_of(random.normal(1, 1, size=113))
    for metric in ("jensen_shannon_distance", "normalized_wasserstein_distance"):
        level = noise.numerical_noise(metric, before, now, 0.001)
        assert drift.NUMERICAL[metric](before, now) > level


def test_noise_falls_with_the_rows_and_a_test_has_none() -> None:
    metric = "jensen_shannon_distance"
    levels = [
        noise.categorical_noise(metric, np.array([n, n]), np.array([n, n]), ALARMS)
        for n in (100, 10_000, 10**9)  # NumPy splits no more than a billion rows
    ]
    assert levels[0] == pytest.approx(10 * levels[1], rel=0.1)
    assert 0 < levels[2] < 1e-4
    assert math.isnan(
        noise.categorical_noise("pearsons_chi_squared_test", np.ones(2), np.ones(2), ALARMS)
    )
    assert noise.categorical_noise(metric, np.array([200]), np.array([100]), ALARMS) == 0.0
