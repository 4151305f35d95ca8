"""Comparison of candidates: the choice is that of rows which no candidate has learnt from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from modelyard.contract.model import Contract
from modelyard.errors import UsageError
from modelyard.modelling import Coded, choose_features, comparing, stopping
from modelyard.modelling.live_metrics import LiveMetrics
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

BINARY = {"column": "y", "kind": "binary", "positive": True}
REGRESSION = {"column": "y", "kind": "regression"}


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


def numbers(random: np.random.Generator, rows: int) -> pd.DataFrame:
    return pd.DataFrame(random.normal(size=(rows, 5)), columns=list("abcde"))


def chosen(place) -> str:
    assert place.train("--learning-rate", "0.06", learner="auto") == 0
    details = place.evidence("training")["details"]
    losses = {one["name"]: one["loss"] for one in details["candidates"]}
    lowest = min(losses, key=lambda name: losses[name])
    (mine,) = (one for one in details["candidates"] if one["chosen"])
    assert mine["name"] == details["learner"]
    assert mine["above_lowest"] == pytest.approx(losses[mine["name"]] - losses[lowest])
    assert mine["above_lowest"] <= mine["standard_error"]
    return str(details["learner"])


@pytest.mark.parametrize("rows", [400, 6_000])  # out of fold, and on the validation rows
@pytest.mark.parametrize("law", ["linear", "boosting"])
def test_the_learner_is_the_one_that_the_table_follows(bench, random, rows, law):
    table = numbers(random, rows)
    signal = table["a"] - table["b"] if law == "linear" else 3 * np.sign(table["a"] * table["b"])
    table["y"] = signal + random.normal(size=rows) / 2
    place = bench(table, REGRESSION, dict.fromkeys("abcdey", "number"))
    assert chosen(place) == law


@pytest.mark.parametrize(("far", "first"), [(800.0, "boosting"), (2_000.0, "linear")])
def test_one_row_far_out_does_not_make_the_simpler_as_good(random, far, first):
    usual = random.uniform(0.9, 1.1, 1_000)
    course = stopping.Learned([], [], 1, "fitted", "")

    def trial(losses):
        return comparing._Trial(course, losses, losses, losses, 1_000)

    tried = {"linear": trial(usual), "boosting": trial(np.where(np.arange(1_000) == 7, far, 0.1))}
    assert comparing._first_of_the_best(tried) == first


def test_large_tables_are_compared_on_a_sample_and_boosting_is_fitted_on_all(
    bench, random, monkeypatch
):
    monkeypatch.setattr(comparing, "SAMPLE_ROWS", 1_000)
    table = numbers(random, 6_000)
    table["y"] = table["a"] * table["b"] > 0
    place = bench(table, BINARY, {**dict.fromkeys("abcde", "number"), "y": "boolean"})
    assert chosen(place) == "boosting"
    details = place.evidence("training")["details"]
    rows = {one["name"]: one["rows"] for one in details["candidates"]}
    assert rows == {"linear": pytest.approx(1_000, abs=2), "boosting": 3_600}


@pytest.mark.parametrize("slope", [0.5, 0.0])
def test_time_is_a_trend_where_later_rows_say_so(bench, random, slope):
    day = np.arange(900)
    table = pd.DataFrame({"when": pd.Timestamp("2019-01-01") + pd.to_timedelta(day, "D")})
    table["y"] = slope * day + 3 * (table["when"].dt.dayofweek >= 5) + random.normal(size=900)
    place = bench(table, REGRESSION, {"when": "datetime", "y": "number"}, time="when")
    assert chosen(place) == ("linear with trend" if slope else "linear")
    from modelyard.evaluation import evaluate_model
    from modelyard.modelling.saving import load_model

    found = evaluate_model(load_model(place.folder / "model"), place.test_rows(), place.contract)
    assert found["r2"] > 0.5


def test_one_odd_stretch_of_time_does_not_choose_the_learner(bench, random):
    table = numbers(random, 5_000)
    table["when"] = pd.date_range("2005-01-01", periods=5_000)
    table["y"] = 3 * np.sign(table["a"] * table["b"])
    table.loc[3_000:3_999, "y"] = table["a"] - table["b"]  # the validation rows
    types = {"when": "datetime", **dict.fromkeys("abcdey", "number")}
    assert chosen(bench(table, REGRESSION, types, time="when")).startswith("boosting")


def test_a_learner_that_is_named_is_not_compared_with_others(bench, random):
    table = numbers(random, 400)
    table["y"] = table["a"] + random.normal(size=400) / 9
    place = bench(table, REGRESSION, dict.fromkeys("abcdey", "number"))
    assert place.train() == 0
    details = place.evidence("training")["details"]
    assert [one["name"] for one in details["candidates"]] == ["boosting"]
    assert place.train(learner="magic", to="2") == 2


def test_boosting_that_was_stopped_and_cut_back_is_boosting_of_so_many_iterations():
    inputs, target = make_classification(
        600, 6, n_informative=5, n_redundant=1, n_classes=3, random_state=0
    )
    learner = HistGradientBoostingClassifier(learning_rate=0.5, random_state=0)
    stopped = clone(learner)
    rows = (inputs[:400], target[:400]), (inputs[400:], target[400:])
    learned = stopping.learn(stopped, *rows, patience=5, tolerance=0.01, log=LiveMetrics())
    assert learned.stopped == "early" and learned.iterations < len(learned.losses) - 1
    cut = stopping.first_iterations(stopped, learned.iterations)
    again = stopping.with_iterations(learner, learned.iterations).fit(*rows[0])
    np.testing.assert_array_equal(cut.predict_proba(inputs), again.predict_proba(inputs))


def test_no_row_is_scored_by_a_model_that_has_seen_it_or_where_time_counts_a_later_one(
    random,
):
    from modelyard.contract.model import Contract

    columns = {"x": {"type": "number"}, "t": {"type": "datetime"}, "y": {"type": "number"}}
    rows = pd.DataFrame({"x": random.normal(size=300)})
    rows.loc[200:, "x"] = rows["x"][:100].to_numpy()  # copies of measurements
    target = np.zeros(300)
    for time in (None, "t"):
        agreed = Contract.model_validate({"target": REGRESSION, "columns": columns, "time": time})
        folds = comparing._folds(rows.assign(z=np.tile(np.arange(100.0), 3)), target, agreed, 0)
        for known, held in folds:
            assert not set(known) & set(held)
            if time:
                assert known.max() < held.min()
        assert len(folds) == (4 if time else 5)


def test_copies_of_measured_rows_are_held_out_together_and_frequencies_are_not(random):
    from modelyard.contract.model import Contract

    columns = {"x": {"type": "number"}, "y": {"type": "number"}}
    agreed = Contract.model_validate({"target": REGRESSION, "columns": columns})
    measured = pd.DataFrame({"x": np.tile(random.normal(size=300), 2)})
    for known, held in comparing._folds(measured, np.zeros(600), agreed, 0):
        assert not set(measured["x"].iloc[known]) & set(measured["x"].iloc[held])
    counted = pd.DataFrame({"x": np.tile(np.arange(6.0), 100)})
    for known, held in comparing._folds(counted, np.zeros(600), agreed, 0):
        assert set(counted["x"].iloc[known]) == set(counted["x"].iloc[held])


def test_where_many_rows_have_no_copy_no_other_is_asked(random):
    from modelyard.contract.model import Contract

    columns = {"x": {"type": "number"}, "y": {"type": "boolean"}}
    target = {"column": "y", "kind": "binary", "positive": True}
    agreed = Contract.model_validate({"target": target, "columns": columns})
    rows = pd.DataFrame({"x": [*np.arange(100.0), *np.tile(np.arange(100.0, 150.0), 4)]})
    classes = random.integers(0, 2, 300).astype(bool)
    folds = comparing._folds(rows, classes, agreed, 0)
    for known, held in folds:
        assert not set(rows["x"].iloc[known]) & set(rows["x"].iloc[held])
    assert 100 <= sum(len(held) for _, held in folds) < 150
    classes[100:], classes[:100] = True, False  # alone, rows without a copy have one class
    assert sum(len(held) for _, held in comparing._folds(rows, classes, agreed, 0)) == 300


@pytest.mark.parametrize(("group", "learner"), [(None, "boosting"), ("person", "linear")])
def test_rows_that_belong_together_are_held_out_together(bench, random, group, learner):
    """Ten rows of each of 60 people, who can be told by their features, which say nothing else."""
    person = np.repeat(np.arange(60), 10)
    table = numbers(random, 60).iloc[person].reset_index(drop=True)
    table += random.normal(size=table.shape) / 100
    table["y"] = random.normal(size=60)[person] + random.normal(size=600) / 10
    table["person"] = [f"p{one}" for one in person]
    types = {
        **dict.fromkeys("abcdey", "number"),
        "person": {"type": "text", "role": "identifier"},
    }
    place = bench(table, REGRESSION, types, group=group)
    assert chosen(place) == learner


@pytest.mark.parametrize("is_class", [True, False])
def test_a_part_has_all_rows_of_a_group_and_each_row_is_held_out_once(random, is_class):
    groups = pd.Series(random.choice(["a", "b", "c", "d", None], 80))
    target = random.integers(0, 2, 80)
    folds = list(comparing.group_folds(target, groups, 3, 0, is_class=is_class))
    assert len(folds) == 3
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(80))
    for known, held in folds:
        assert not set(groups.iloc[known].dropna()) & set(groups.iloc[held].dropna())


def compared(learner, target):
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(400, 2)), columns=["a", "b"])
    types = {"a": {"type": "number"}, "b": {"type": "number"}, "y": {"type": "category"}}
    contract = Contract(version=1, target=target, columns=types)
    classes = np.where(rows["a"] > 0, "yes", "no")
    features = choose_features(rows, contract)
    candidates = {"own": comparing.Candidate(learner, features)} if learner is not None else {}
    parts = (rows[:300], classes[:300]), (rows[300:], classes[300:])
    return comparing.compare(candidates, *parts, contract, log=LiveMetrics())


CLASSES = {"column": "y", "kind": "binary", "positive": "yes"}


def test_a_classifier_that_has_probabilities_only_once_it_is_fitted_is_a_candidate():
    stacked = StackingClassifier([("tree", DecisionTreeClassifier(max_depth=2))])
    assert compared(stacked, CLASSES).learned.iterations == 1


class TakesCodes(LogisticRegression):
    """Refuses names of classes, as XGBoost does."""

    def fit(self, inputs, target):
        if set(np.unique(target)) != {0, 1}:
            raise ValueError(f"Invalid classes inferred. Expected: [0 1], got {np.unique(target)}")
        return super().fit(inputs, target)


def test_a_learner_that_takes_codes_for_classes_predicts_as_one_that_takes_names():
    own, coded = (compared(one, CLASSES) for one in (LogisticRegression(), Coded(TakesCodes())))
    assert coded.learned.losses == own.learned.losses
    inputs = np.array([[-1.0, 0.0], [1.0, 0.0]])
    fitted = Coded(TakesCodes()).fit(inputs, np.array(["no", "yes"]))
    assert list(fitted.predict(inputs)) == ["no", "yes"] and list(fitted.classes_) == ["no", "yes"]


class Own:
    """A learner that somebody wrote without scikit-learn's classes."""

    def fit(self, rows, target):
        self.classes_ = np.unique(target)
        return self

    def predict_proba(self, rows):
        return np.full((len(rows), 2), 0.5)


@pytest.mark.parametrize(
    ("learner", "expected"),
    [
        (TakesCodes(), "TakesCodes: Invalid classes.*wrap it, modelyard.modelling.Coded"),
        (LinearSVC(), r"LinearSVC\(\) gives no probabilities"),
        (Ridge(), "`own`, Ridge.*numbers.*classes"),
        (None, "no candidate to train: `build_candidates` in model.py"),
        (make_pipeline(StandardScaler(), Own()), "`own`: Own is no estimator.*BaseEstimator"),
    ],
)
def test_a_learner_that_does_not_suit_the_target_is_refused(learner, expected):
    with pytest.raises(UsageError, match=expected):
        compared(learner, CLASSES)
