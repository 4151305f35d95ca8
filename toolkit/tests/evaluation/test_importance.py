"""Importance: columns that matter are found, columns that do not are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from modelyard.evaluation import importance as explain


@pytest.fixture
def place(bench):
    random = np.random.default_rng(0)
    strong, weak, idle = random.normal(size=(3, 1_500))
    table = pd.DataFrame(
        {
            "idle": idle,
            "weak": weak,
            "strong": strong,
            "y": strong + weak / 3 + random.normal(size=1_500) / 5,
        }
    )
    types = dict.fromkeys(table.columns, "number")
    made = bench(table, {"column": "y", "kind": "regression"}, types)
    assert made.train() == 0
    return made


def test_columns_are_ordered_by_what_they_add(place, capfd):
    capfd.readouterr()
    assert place.explain() == 0
    said = capfd.readouterr()
    assert said.err == "" and "strong" in said.out
    evidence = place.evidence("importance")
    features = evidence["details"]["features"]
    assert [feature["name"] for feature in features] == ["strong", "weak", "idle"]
    assert features[0]["importance"] > 1
    assert features[1]["low"] > 0
    assert features[2]["low"] < 0.005
    assert all(f["low"] <= f["importance"] <= f["high"] for f in features)
    assert evidence["details"]["metric"] == "r2" and evidence["details"]["rows"] == 300


def test_a_metric_that_is_better_low_gives_the_same_order(place):
    place.gates.write_text("promotion: {regression: {metric: mae, floor: 9}}")
    assert place.explain() == 0
    features = place.evidence("importance")["details"]["features"]
    assert features[0]["name"] == "strong" and features[0]["importance"] > 0


def test_explaining_again_gives_the_same_bytes(place):
    path = place.folder / "evidence" / "importance.json"
    assert place.explain() == 0
    first = path.read_bytes()
    assert place.explain() == 0
    assert path.read_bytes() == first


def test_every_type_of_column_can_be_shuffled(trained_bench):
    assert trained_bench.explain() == 0
    features = trained_bench.evidence("importance")["details"]["features"]
    assert {f["name"] for f in features} == set(trained_bench.contract.features)
    assert features[0]["name"] == "number"


def test_large_tables_are_explained_on_a_sample(place):
    rows = pd.concat([place.table] * 10)
    sample = explain.sampled(rows, place.contract, seed=0)
    assert len(sample) == explain.MOST_ROWS
    assert sample.equals(explain.sampled(rows, place.contract, seed=0))
    few = rows.head(100)
    assert explain.sampled(few, place.contract, seed=0) is few


def test_of_many_columns_those_in_front_are_measured_as_without_a_limit_and_the_rest_is_named(
    place, capfd, monkeypatch
):
    assert place.explain() == 0
    whole = place.evidence("importance")["details"]
    monkeypatch.setattr(explain, "MOST_COLUMNS", 2)
    monkeypatch.setattr(explain, "AT_ONCE", 2)
    capfd.readouterr()
    assert place.explain() == 0
    found = place.evidence("importance")["details"]
    assert found == {**whole, "features": whole["features"][:2], "not_computed": ["idle"]}
    assert "changes predictions less: idle" in capfd.readouterr().out


def test_a_missing_model_is_an_error(mixed_bench, capsys):
    assert mixed_bench.explain() == 2
    assert "holds no MLflow model" in capsys.readouterr().err


def test_columns_may_have_any_name(bench):
    random = np.random.default_rng(0)
    names = ["self", "index", "[", '"', "{", "class", "x" * 300, "\U0001f600"]
    table = pd.DataFrame(random.normal(size=(600, len(names))), columns=names)
    table["y"] = table["self"] + random.normal(size=600) / 5
    made = bench(
        table, {"column": "y", "kind": "regression"}, dict.fromkeys(table.columns, "number")
    )
    assert made.train() == 0 and made.explain() == 0
    features = made.evidence("importance")["details"]["features"]
    assert features[0]["name"] == "self" and {feature["name"] for feature in features} == set(names)
