"""The fast path gives the model's own predictions, whatever the row."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flight_delay import model, train
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.contract import model as contract
from modelyard.errors import UsageError
from modelyard.modelling import LiveMetrics, assemble, encoding
from modelyard.modelling.calibrated import Calibrated, Calibration
from modelyard.modelling.predicting import threads_for
from modelyard.serving import fast_path, forest, payload, service
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.bench import MIXED, mixed_table

TARGETS: dict[str, tuple[str, dict[str, Any]]] = {
    "binary": ("label", {"kind": "binary", "positive": "yes"}),
    "multiclass": ("band", {"kind": "multiclass", "classes": ["high", "low", "middle"]}),
    "regression": ("value", {"kind": "regression"}),
    # More leaves than a machine word has bits.
    "leafy": ("value", {"kind": "regression"}),
    "without categories": ("label", {"kind": "binary", "positive": "yes"}),
    "derived features": ("label", {"kind": "binary", "positive": "yes"}),
    "linear, two classes": ("label", {"kind": "binary", "positive": "yes"}),
    "linear, three classes": ("band", {"kind": "multiclass", "classes": ["high", "low", "middle"]}),
    "linear, a number": ("value", {"kind": "regression"}),
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


def add_features(rows: pd.DataFrame, rules: contract.Contract) -> pd.DataFrame:
    """Add a column of every kind that pandas has."""
    return rows.assign(
        product=rows["number"] * rows["whole"],
        nullable=rows["gaps"].astype("Int64"),
        early=rows["when"].dt.hour < 12,
        both=rows["group"].fillna("?") + " " + rows["name"].fillna("?"),
        band=pd.cut(rows["number"], [-np.inf, -1, 0, 1, np.inf]),
        there=rows["when"].dt.tz_localize("UTC").dt.tz_convert("America/New_York"),
        age=rows["when"] - rows["born"],
    )


def table_of_all_kinds() -> pd.DataFrame:
    table = mixed_table()
    table["born"] = table["when"] - pd.to_timedelta(np.arange(len(table)) % 90 + 0.5, "D")
    table["band"] = pd.qcut(table["value"], 3, labels=["low", "middle", "high"]).astype(object)
    return table


@cache
def trained(case: str) -> tuple[Any, contract.Contract]:
    """A model of a case and its contract; tests copy it before they change it."""
    table = table_of_all_kinds()
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
    settings_ = model.Settings(
        learner="linear" if case.startswith("linear") else "boosting",
        max_iterations=12,
        max_leaf_nodes=leaves,
        min_samples_leaf=2,
    )
    rows = table[rules.prepared]
    with pytest.MonkeyPatch.context() as patch, threads_for(1):
        if case == "derived features":
            patch.setattr(train, "add_features", add_features)
        if case == "leafy":  # small tables get small trees otherwise
            patch.setattr(model.Settings, "adapted", lambda self, rows: self)
        made = train.fit(rules, rows.head(500), rows.tail(100), settings_, LiveMetrics())
    return made.model, rules


@pytest.fixture(scope="module", params=list(TARGETS))
def model_and_contract(request: pytest.FixtureRequest) -> tuple[Any, contract.Contract]:
    return trained(request.param)


def own_answer(fitted: Any, rules: contract.Contract, rows: list[list[Any]]) -> np.ndarray:
    ask = fitted.predict if rules.kind == "regression" else fitted.predict_proba
    return np.asarray(ask(payload.frame(rows, rules)))


@pytest.fixture(scope="module")
def fast(model_and_contract: tuple[Any, contract.Contract]) -> fast_path.FastPath:
    made = fast_path.build_fast_path(*model_and_contract)
    assert made is not None and made.direct is not None
    return made


@settings(max_examples=15)
@given(data=st.data())
def test_every_row_gets_the_models_own_answer(data, model_and_contract, fast):
    fitted, rules = model_and_contract
    row = st.tuples(*(VALUES[name] for name in rules.features)).map(list)
    rows = data.draw(st.lists(row, min_size=1, max_size=12))
    expected = own_answer(fitted, rules, rows)
    np.testing.assert_allclose(fast.scores(rows), expected, rtol=1e-9, atol=1e-9)
    for n, one in enumerate(rows):
        found = fast.scores([one])
        np.testing.assert_allclose(found, expected[n : n + 1], rtol=1e-9, atol=1e-9)


def test_many_rows_get_the_same_as_few(model_and_contract, fast):
    fitted, rules = model_and_contract
    rows = list(service.trial_rows(rules, [], fast.words))
    assert len(rows) > fast_path.FEW_ROWS
    expected = own_answer(fitted, rules, rows)
    few = np.concatenate([fast.scores([row]) for row in rows])
    np.testing.assert_allclose(fast.scores(rows), expected, atol=1e-9)
    np.testing.assert_allclose(few, expected, atol=1e-9)


def test_leaves_beyond_one_machine_word_are_counted_on():
    fitted, rules = trained("leafy")
    made = fast_path.build_fast_path(fitted, rules)
    assert made is not None and made.direct is not None
    assert len(made.direct._masks) == 2


@pytest.mark.parametrize("case", [case for case in TARGETS if not case.startswith("linear")])
def test_values_on_a_threshold_go_to_the_left_as_in_the_model(case):
    fitted, rules = trained(case)
    fast = fast_path.build_fast_path(fitted, rules)
    assert fast is not None
    place = rules.features.index("number")
    row: list[Any] = [None] * len(rules.features)
    rows = []
    for threshold in np.unique(fast.direct._thresholds):
        for value in (threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf)):
            rows.append([*row[:place], float(value), *row[place + 1 :]])
    expected = own_answer(fitted, rules, rows)
    found = np.concatenate([fast.scores([one]) for one in rows])
    np.testing.assert_allclose(found, expected, atol=1e-9)


LEARNERS = {
    "logistic regression": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    "random forest": RandomForestClassifier(n_estimators=10, random_state=0),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_another_learner_is_asked_without_a_data_frame(name):
    fitted, rules = trained("derived features")
    derived, encode, _ = fast_path.parts_of(fitted)
    table = table_of_all_kinds()
    inputs = encode.transform(derived.transform(table[rules.features]))
    learner = LEARNERS[name].fit(inputs, table["label"])
    other = assemble(encode, learner, rules, add_features=add_features, threshold=0.4)
    fast = fast_path.build_fast_path(other, rules)
    assert fast is not None and fast.direct is None
    rows = list(service.trial_rows(rules, [], fast.words))
    np.testing.assert_allclose(fast.scores(rows), own_answer(other, rules, rows), atol=1e-12)


def test_a_row_that_a_feature_leaves_out_is_not_answered_by_the_next_one():
    fitted, rules = deepcopy(trained("derived features"))
    derived, *_ = fast_path.parts_of(fitted)
    fast = fast_path.build_fast_path(fitted, rules)
    rows = list(service.trial_rows(rules, [], fast.words))
    derived.add_features = lambda rows, rules: add_features(rows, rules).iloc[1:]
    broken = fast_path.build_fast_path(fitted, rules)
    for ask in (broken.scores, lambda rows: own_answer(fitted, rules, rows)):
        with pytest.raises(UsageError, match=f"given {len(rows)} rows"):
            ask(rows)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_correction_of_probabilities_follows_the_forest(kind):
    fitted, rules = trained(kind)
    _, encode, learner = fast_path.parts_of(fitted)
    correction = (
        Calibration("sigmoid", (0.6, -0.3))
        if kind == "binary"
        else Calibration("temperature", (2.0,))
    )
    corrected = Calibrated(learner, correction)
    corrected.learner_, corrected.classes_ = learner, learner.classes_
    other = assemble(encode, corrected, rules)
    fast = fast_path.build_fast_path(other, rules)
    assert fast is not None and fast.direct is not None
    rows = list(service.trial_rows(rules, [], fast.words))[:40]
    expected = own_answer(other, rules, rows)
    assert np.abs(expected - own_answer(fitted, rules, rows)).max() > 0.01
    np.testing.assert_allclose(fast.scores(rows), expected, atol=1e-9)
    np.testing.assert_allclose(fast.scores(rows[:5]), expected[:5], atol=1e-9)


def test_texts_are_scored_by_their_words_as_in_the_model():
    columns = {"text": {"type": "text"}, "x": {"type": "number"}, "y": {"type": "boolean"}}
    target = {"column": "y", "kind": "binary", "positive": True}
    rules = contract.Contract.model_validate({"target": target, "columns": columns})
    random = np.random.default_rng(0)
    words = [" ".join(random.choice(["red", "green", "blue", "old"], 4)) for _ in range(300)]
    table = pd.DataFrame({"text": [f"{said} {n}" for n, said in enumerate(words)]})
    table["x"], table["y"] = random.normal(size=300), table["text"].str.contains("red")
    made = train.fit(rules, table[:200], table[200:], model.Settings(), LiveMetrics())
    fast = fast_path.build_fast_path(made.model, rules)
    assert fast is not None
    rows = [["red or not", 0.5], ["green", None], [None, 1.0], ["", 0.0], ["never said", -3.0]]
    np.testing.assert_allclose(fast.scores(rows), own_answer(made.model, rules, rows), atol=1e-12)


def test_a_very_large_forest_is_left_to_scikit_learn(monkeypatch):
    monkeypatch.setattr(forest, "MOST_MASKS", 100)
    fitted, rules = trained("multiclass")
    fast = fast_path.build_fast_path(fitted, rules)
    assert fast is not None and fast.direct is None
    rows = list(service.trial_rows(rules, [], fast.words))[:5]
    np.testing.assert_allclose(fast.scores(rows), own_answer(fitted, rules, rows), atol=1e-12)


def test_a_model_of_another_kind_has_no_fast_path():
    fitted, rules = trained("regression")
    learner = fitted.steps[1][1]
    for other in (
        learner,
        Pipeline([("learn", learner)]),
        Pipeline([*fitted.steps, *fitted.steps]),
    ):
        assert fast_path.build_fast_path(other, rules) is None
    fewer = {"target": {"column": "value", "kind": "regression"}, "columns": rules.columns}
    columns = {name: rule for name, rule in rules.columns.items() if name != "number"}
    fewer = contract.Contract.model_validate(fewer | {"columns": columns})
    assert fast_path.build_fast_path(fitted, fewer) is None

    def as_floats_squared(columns: pd.DataFrame) -> np.ndarray:
        return encoding.as_floats(columns) ** 2

    fitted = deepcopy(fitted)
    encode = fitted.steps[0][1]
    encode.transformers_[0][1].func = as_floats_squared
    assert fast_path.build_fast_path(fitted, rules) is None
