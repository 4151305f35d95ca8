"""The flattened model gives what the model itself gives, whatever the row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flight_delay import model, train
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.contract import model as contract
from modelyard.modelling import encoding
from modelyard.serving import fast_path as flat
from modelyard.serving import service
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from tests.bench import MIXED, mixed_table

TARGETS: dict[str, tuple[str, dict[str, Any]]] = {
    "binary": ("label", {"kind": "binary", "positive": "yes"}),
    "multiclass": ("band", {"kind": "multiclass", "classes": ["high", "low", "middle"]}),
    "regression": ("value", {"kind": "regression"}),
    # More leaves than a machine word has bits.
    "leafy": ("value", {"kind": "regression"}),
    "without categories": ("label", {"kind": "binary", "positive": "yes"}),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.floats(-3, 3),
    "whole": st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 10),
    "gaps": st.none() | st.integers(-1, 10),
    "flag": st.booleans() | st.none(),
    "maybe": st.booleans() | st.none(),
    "group": st.sampled_from(["a", "b", "c", "never seen", None]),
    "name": st.none() | st.sampled_from([f"name {i}" for i in range(70)]) | st.text(min_size=1),
    "when": st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)) | st.none(),
    "born": st.datetimes(datetime(2019, 1, 1), datetime(2022, 1, 1)) | st.none(),
}


def trained(case: str) -> tuple[Any, contract.Contract]:
    table = mixed_table()
    table["born"] = table["when"] - pd.to_timedelta(np.arange(len(table)) % 90 + 0.5, "D")
    table["band"] = pd.qcut(table["value"], 3, labels=["low", "middle", "high"]).astype(object)
    name, target = TARGETS[case]
    types: dict[str, Any] = {**MIXED, "born": "datetime"}
    if case == "without categories":
        types = {column: types[column] for column in ("number", "maybe", "when")}
    columns = {
        column: rule if isinstance(rule, dict) else {"type": rule} for column, rule in types.items()
    }
    columns[name] = {"type": "number" if target["kind"] == "regression" else "category"}
    rules = contract.Contract.model_validate(
        {"target": {"column": name, **target}, "columns": columns, "time": "when"}
    )
    leaves = 120 if case == "leafy" else 12
    learning = model.Settings(max_iterations=12, max_leaf_nodes=leaves, min_samples_leaf=2)
    rows = table[rules.prepared]
    chosen = encoding.choose_features(rules, rows)
    made = train.fit(rules, rows.head(500), rows.tail(100), chosen, learning)
    return made.challenger, rules


@pytest.fixture(scope="module", params=list(TARGETS))
def model_and_contract(request: pytest.FixtureRequest) -> tuple[Any, contract.Contract]:
    return trained(request.param)


def own_answer(fitted: Any, rules: contract.Contract, rows: list[list[Any]]) -> np.ndarray:
    ask = fitted.predict if rules.kind == "regression" else fitted.predict_proba
    return np.asarray(ask(service.frame(rows, rules)))


@pytest.fixture(scope="module")
def flattened(model_and_contract: tuple[Any, contract.Contract]) -> flat.FlatModel:
    fitted, rules = model_and_contract
    made = flat.flatten(fitted, rules.features)
    assert made is not None and made.forest is not None
    return made


@settings(max_examples=15)
@given(data=st.data())
def test_every_row_gets_the_models_own_answer(data, model_and_contract, flattened):
    fitted, rules = model_and_contract
    row = st.tuples(*(VALUES[name] for name in rules.features)).map(list)
    rows = data.draw(st.lists(row, min_size=1, max_size=12))
    expected = own_answer(fitted, rules, rows)
    np.testing.assert_allclose(flattened.scores(rows), expected, rtol=1e-9, atol=1e-9)
    for n, one in enumerate(rows):
        found = flattened.scores([one])
        np.testing.assert_allclose(found, expected[n : n + 1], rtol=1e-9, atol=1e-9)


def test_many_rows_get_the_same_as_few(model_and_contract, flattened):
    fitted, rules = model_and_contract
    rows = list(service.trial_rows(rules, [], flattened.words))
    assert len(rows) > flat.FEW_ROWS
    expected = own_answer(fitted, rules, rows)
    few = np.concatenate([flattened.scores([row]) for row in rows])
    np.testing.assert_allclose(flattened.scores(rows), expected, atol=1e-9)
    np.testing.assert_allclose(few, expected, atol=1e-9)


def test_leaves_beyond_one_machine_word_are_counted_on():
    fitted, rules = trained("leafy")
    made = flat.flatten(fitted, rules.features)
    assert made is not None and made.forest is not None
    assert len(made.forest._masks) == 2


def test_values_on_a_threshold_go_to_the_left_as_in_the_model(model_and_contract, flattened):
    fitted, rules = model_and_contract
    place = rules.features.index("number")
    row: list[Any] = [None] * len(rules.features)
    rows = []
    for threshold in np.unique(flattened.forest._thresholds):
        for value in (threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf)):
            rows.append([*row[:place], float(value), *row[place + 1 :]])
    expected = own_answer(fitted, rules, rows)
    found = np.concatenate([flattened.scores([one]) for one in rows])
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_another_learner_is_asked_without_a_data_frame():
    fitted, rules = trained("regression")
    encode = fitted.steps[0][1]
    rows = list(service.trial_rows(rules, [], {}))
    inputs = np.nan_to_num(encode.transform(service.frame(rows, rules)))
    swapped = Pipeline([("encode", encode), ("learn", Forgiving().fit(inputs, inputs[:, 0]))])
    made = flat.flatten(swapped, rules.features)
    assert made is not None and made.forest is None
    np.testing.assert_allclose(made.scores(rows), own_answer(swapped, rules, rows))


class Forgiving(LinearRegression):
    """Takes missing values for zero."""

    def predict(self, X: Any) -> Any:
        return super().predict(np.nan_to_num(X))


def test_what_is_not_known_is_left_to_the_model_itself():
    fitted, rules = trained("regression")
    learner = fitted.steps[1][1]
    assert flat.flatten(learner, rules.features) is None
    assert flat.flatten(Pipeline([("learn", learner)]), rules.features) is None
    assert flat.flatten(fitted, ["another column"]) is None

    def as_floats_squared(columns: pd.DataFrame) -> np.ndarray:
        return encoding.as_floats(columns) ** 2

    encode = fitted.steps[0][1]
    encode.transformers_[0][1].func = as_floats_squared
    assert flat.flatten(fitted, rules.features) is None
