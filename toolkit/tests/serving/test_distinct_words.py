"""A faster way to ask gives the answers of the model, whatever words it meets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from modelyard.modelling import predicting, saving
from modelyard.serving import distinct_words as byword
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


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_answers_are_the_models_own_to_the_last_bit(bench, mixed, strange, kind):
    targets = {
        "binary": ({"column": "label", "kind": kind, "positive": "yes"}, "category"),
        "multiclass": ({"column": "third", "kind": kind, "classes": ["x", "y", "z"]}, "category"),
        "regression": ({"column": "value", "kind": kind}, "number"),
    }
    mixed["third"] = np.array(["x", "y", "z"])[pd.qcut(mixed["value"], 3, labels=False)]
    target, of = targets[kind]
    others = {"label", "third", "value"} - {target["column"]}
    made = bench(mixed.drop(columns=list(others)), target, {**MIXED, target["column"]: of})
    assert made.train() == 0
    for name in ("model", "baseline"):
        slow = saving.load_model(made.folder / name)
        quick = byword.by_word(slow)
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
    assert byword.by_word(fitted) is fitted
