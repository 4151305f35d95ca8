"""Encoding distinct words once gives the model's own predictions, whatever the words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from flight_delay import train
from modelyard.modelling import predicting, saving
from modelyard.serving.distinct_words import by_distinct_words
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.bench import MIXED


@pytest.fixture(scope="module")
def strange() -> dict[str, object]:
    return {
        "group": ["a", None, "never seen", np.nan, "c"],
        "name": [None, "name 3", "?", "", "a"],
        "when": pd.to_datetime(
            ["2020-01-01 07:30", None, "2031-05-05 00:00", None, "1969-12-31 23:59"]
        ),
    }


def add_features(rows: pd.DataFrame, contract: object) -> pd.DataFrame:
    both = rows["group"].fillna("?") + " " + rows["name"].fillna("?")
    return rows.assign(both=both, night=rows["when"].dt.hour < 6, ago=-rows["number"])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("derived", [False, True], ids=["as it is", "derived features"])
def test_answers_are_the_models_own_to_the_last_bit(
    bench, mixed, strange, monkeypatch, kind, derived
):
    if derived:
        monkeypatch.setattr(train, "add_features", add_features)
    targets = {
        "binary": ({"column": "label", "kind": kind, "positive": "yes"}, "category"),
        "multiclass": ({"column": "third", "kind": kind, "classes": ["x", "y", "z"]}, "category"),
        "regression": ({"column": "value", "kind": kind}, "number"),
    }
    mixed["third"] = np.array(["x", "y", "z"])[pd.qcut(mixed["value"], 3, labels=False)]
    target, of = targets[kind]
    others = {"label", "third", "value"} - {target["column"]}
    made = bench(mixed.drop(columns=list(others)), target, {**MIXED, target["column"]: of})
    assert made.train("--max-iterations", "20") == 0
    for name in ("model", "baseline"):
        slow = saving.load_model(made.folder / name)
        quick = by_distinct_words(slow)
        assert quick is not slow
        rows = made.test_rows()[made.contract.features]
        new = rows.head(5).assign(**strange)
        for given in (
            rows,
            rows[rows.columns[::-1]],
            rows.head(1),
            new,
            rows.assign(group=None, when=pd.NaT),
        ):
            expected = predicting.predict(slow, given, made.contract)
            found = predicting.predict(quick, given, made.contract)
            assert found.score.tolist() == expected.score.tolist()
            assert found.label.tolist() == expected.label.tolist()


def test_a_model_of_another_kind_is_asked_itself():
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit([[0], [1]], [0, 1])
    assert by_distinct_words(fitted) is fitted
