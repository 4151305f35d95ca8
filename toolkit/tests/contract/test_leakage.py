"""Columns that give the target away are found, and good columns of good tables are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from modelyard.contract import leakage
from sklearn import datasets

TABLES = {
    "breast_cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "digits": datasets.load_digits,
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
}


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


def flights(
    random: np.random.Generator, rows: int = 4000
) -> tuple[dict[str, pd.Series], pd.Series]:
    """Columns known beforehand, each with a little to say, and the delay of the departure."""
    hour, carrier, month = (
        random.integers(5, 23, rows),
        random.integers(0, 9, rows),
        random.random(rows),
    )
    departure = 1.0 * hour + 2.0 * carrier + 20 * month + random.exponential(30, rows)
    arrival = departure + random.normal(0, 9, rows)
    columns = {
        "hour": hour,
        "carrier": [f"c{n}" for n in carrier],
        "month": month,
        "departure": departure,
    }
    return {name: pd.Series(values) for name, values in columns.items()}, pd.Series(arrival)


@pytest.mark.parametrize("name", TABLES)
def test_tables_without_a_leak_raise_no_alarm(name: str) -> None:
    data = TABLES[name](as_frame=True)
    features = {column: data.frame[column] for column in data.feature_names}
    assert not leakage.suspicions(features, data.target, is_number=name == "diabetes")


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("seed", range(3))
def test_their_best_columns_stand_out_in_no_order_of_the_rows(name: str, seed: int) -> None:
    data = TABLES[name](as_frame=True)
    table = data.frame.sample(frac=1, random_state=seed)
    features = {column: table[column] for column in data.feature_names}
    found = leakage.suspicions(features, table["target"], is_number=name == "diabetes")
    assert not any("the best of the other columns" in one.reason for one in found.values())


@pytest.mark.parametrize("is_number", [True, False])
def test_one_column_far_above_all_others_is_suspected(
    random: np.random.Generator, is_number: bool
) -> None:
    features, arrival = flights(random)
    target = arrival if is_number else arrival > 60
    found = leakage.suspicions(features, target, is_number=is_number)
    assert set(found) == {"departure"} and not found["departure"].is_copy
    assert "the best of the other columns" in found["departure"].reason


def test_two_columns_of_the_same_leak_are_both_suspected(random: np.random.Generator) -> None:
    features, arrival = flights(random)
    features["rounded"] = features["departure"].round(-1)
    assert set(leakage.suspicions(features, arrival, is_number=True)) == {"departure", "rounded"}


def test_without_the_leak_nothing_is_suspected(random: np.random.Generator) -> None:
    features, arrival = flights(random)
    del features["departure"]
    features["noise"] = pd.Series(random.random(len(arrival)))
    assert not leakage.suspicions(features, arrival, is_number=True)


def test_the_parts_of_a_sum_are_suspected_and_nothing_else(random: np.random.Generator) -> None:
    parts = {name: pd.Series(random.integers(0, 300, 400)) for name in ("casual", "registered")}
    others = {
        "hour": pd.Series(random.integers(0, 24, 400)),
        "huge": pd.Series([1e308, -1e308] * 200),
    }
    total = pd.Series(parts["casual"] + parts["registered"] + 5.0)
    found = leakage.suspicions(parts | {"hour": others["hour"]}, total, is_number=True)
    assert set(found) == set(parts)
    assert found["casual"].reason == 'the target is a sum of this and "registered"'
    noisy = total + random.normal(0, 2, 400)
    assert not leakage.suspicions(parts | others, noisy, is_number=True)


def test_a_good_column_among_good_columns_is_not_suspected(random: np.random.Generator) -> None:
    parts = random.normal(size=(4000, 4)) * [2.0, 1.0, 0.9, 0.8]
    features = {f"x{n}": pd.Series(parts[:, n]) for n in range(4)}
    target = pd.Series(parts.sum(axis=1) + random.normal(0, 0.1, 4000))
    assert not leakage.suspicions(features, target, is_number=True)


def test_a_table_with_too_few_columns_to_compare_raises_no_alarm(
    random: np.random.Generator,
) -> None:
    x = pd.Series(random.normal(size=2000))
    features = {"x": x, "noise": pd.Series(random.random(2000))}
    target = x + random.normal(0, 0.5, 2000)
    assert not leakage.suspicions(features, target, is_number=True)


def test_many_rare_values_explain_nothing_by_chance(random: np.random.Generator) -> None:
    names = pd.Series([f"n{n}" for n in random.integers(0, 2000, 4000)])
    answer = random.integers(0, 2, 4000)
    assert leakage._explained(leakage._bins(names), answer, is_number=False) < 0.02


@pytest.mark.parametrize(("rows", "found"), [(40, ["copy"]), (39, [])])
def test_fewer_than_forty_rows_with_a_target_raise_no_suspicion(
    rows: int, found: list[str]
) -> None:
    target = pd.Series([0.0, 1.0] * 25)[:50].where(np.arange(50) < rows)
    assert list(leakage.suspicions({"copy": target}, target, is_number=True)) == found
