"""Metrics against scikit-learn, intervals that cover, and differences that are honest."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from modelyard.evaluation import bootstrap, curves, metrics
from modelyard.modelling import threshold
from modelyard.modelling.predicting import Prediction
from sklearn import metrics as known


def binary(score: np.ndarray, threshold: float = 0.5) -> Prediction:
    return Prediction(score, score >= threshold)


def regression(score: np.ndarray) -> Prediction:
    return Prediction(score, score)


def weighted(kind: str, truth: np.ndarray, prediction: Prediction, weights: np.ndarray):
    found = metrics.measure(kind, truth, prediction)(weights[None, :])
    return {name: float(values[0]) for name, values in found.items()}


def drawn(kind: str, truth: np.ndarray, resamples: int = 200, **predictions: Prediction):
    measures = {name: metrics.measure(kind, truth, made) for name, made in predictions.items()}
    return bootstrap.bootstrap(measures, len(truth), resamples=resamples, seed=0)


@st.composite
def judged_rows(draw, classes: int = 2):
    """True classes, scores on a coarse grid (so that many tie) and weights, some of them zero."""
    rows = draw(st.integers(classes + 2, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    truth = np.append(np.arange(classes), random.integers(0, classes, rows - classes))
    whole = draw(st.booleans())
    weights = random.integers(0, 4, rows) if whole else random.random(rows)
    weights[:classes] += 1  # every class has some weight
    return truth, random, weights


@settings(max_examples=100, deadline=None)
@given(judged_rows(), st.sampled_from([2, 5, 1000]))
def test_binary_metrics_agree_with_scikit_learn(rows, grid):
    truth, random, weights = rows
    truth = truth.astype(bool)
    score = np.round(random.random(len(truth)) * grid) / grid
    prediction = binary(score)
    label = prediction.label
    with np.errstate(all="ignore"):
        expected = {
            "roc_auc": known.roc_auc_score(truth, score, sample_weight=weights),
            "average_precision": known.average_precision_score(truth, score, sample_weight=weights),
            "log_loss": known.log_loss(truth, score, sample_weight=weights),
            "brier": known.brier_score_loss(truth, score, sample_weight=weights),
            "f1": known.f1_score(truth, label, sample_weight=weights),
            "precision": known.precision_score(
                truth, label, sample_weight=weights, zero_division=0
            ),
            "recall": known.recall_score(truth, label, sample_weight=weights),
            "accuracy": known.accuracy_score(truth, label, sample_weight=weights),
        }
    assert weighted("binary", truth, prediction, weights) == pytest.approx(expected, abs=1e-9)
    assert list(expected) == list(metrics.HIGHER_IS_BETTER["binary"])


@settings(max_examples=60, deadline=None)
@given(judged_rows(classes=3))
def test_multiclass_metrics_agree_with_scikit_learn(rows):
    truth, random, weights = rows
    weights = weights + 1
    score = random.dirichlet([1, 1, 1], len(truth)).round(1) + 1e-3
    score /= score.sum(axis=1, keepdims=True)
    label = score.argmax(axis=1)
    expected = {
        "balanced_accuracy": known.balanced_accuracy_score(truth, label, sample_weight=weights),
        "accuracy": known.accuracy_score(truth, label, sample_weight=weights),
        "log_loss": known.log_loss(truth, score, sample_weight=weights),
        "macro_f1": known.f1_score(truth, label, sample_weight=weights, average="macro"),
        "roc_auc_ovr": known.roc_auc_score(
            truth, score, sample_weight=weights, multi_class="ovr", average="macro"
        ),
    }
    prediction = Prediction(score, label)
    assert weighted("multiclass", truth, prediction, weights) == pytest.approx(expected, abs=1e-9)
    assert list(expected) == list(metrics.HIGHER_IS_BETTER["multiclass"])


@settings(max_examples=60, deadline=None)
@given(judged_rows(), st.sampled_from([0.0, 1e6]))
def test_regression_metrics_agree_with_scikit_learn(rows, offset):
    _, random, weights = rows
    truth = random.normal(size=len(weights)).round(1) + offset
    # r2 of a constant is not defined: we say so, scikit-learn says what rounding leaves.
    assume(len(set(truth[weights > 0])) > 1)
    score = truth + random.normal(size=len(weights)).round(1)
    expected = {
        "r2": known.r2_score(truth, score, sample_weight=weights),
        "mae": known.mean_absolute_error(truth, score, sample_weight=weights),
        "rmse": known.root_mean_squared_error(truth, score, sample_weight=weights),
        "median_absolute_error": known.median_absolute_error(truth, score, sample_weight=weights),
    }
    found = weighted("regression", truth, regression(score), weights)
    assert found == pytest.approx(expected, abs=1e-6)
    assert list(expected) == list(metrics.HIGHER_IS_BETTER["regression"])


def test_a_weight_is_worth_that_many_copies_of_a_row():
    random = np.random.default_rng(0)
    truth, score = random.random(50) < 0.4, random.random(50).round(1)
    counts = random.integers(0, 4, 50)
    copies = np.repeat(np.arange(50), counts)
    assert weighted("binary", truth, binary(score), counts) == pytest.approx(
        metrics.values("binary", truth[copies], binary(score[copies]))
    )


@pytest.mark.parametrize(("only", "left"), [("roc_auc", "average_precision"), ("f1", "roc_auc")])
def test_asking_for_one_metric_spares_the_rankings_of_others(only, left):
    truth, prediction = np.array([True, False, True]), binary(np.array([0.9, 0.2, 0.4]))
    found = metrics.measure("binary", truth, prediction, only=only)(np.ones((1, 3)))
    assert only in found and left not in found


def test_what_is_not_defined_for_one_class_is_nan_and_the_rest_is_not():
    found = metrics.values("binary", np.zeros(4, dtype=bool), binary(np.full(4, 0.2)))
    undefined = {name for name, value in found.items() if math.isnan(value)}
    assert undefined == {"roc_auc", "average_precision", "f1", "recall"}
    assert found["accuracy"] == 1.0


def test_a_class_without_rows_does_not_count_and_an_unknown_one_is_a_mistake():
    score = np.array([[0.8, 0.2, 0.0], [0.3, 0.7, 0.0], [0.6, 0.4, 0.0]])
    prediction = Prediction(score, np.array([0, 1, -1]))
    found = metrics.values("multiclass", np.array([0, 1, 1]), prediction)
    assert found["balanced_accuracy"] == pytest.approx(0.75)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert curves.confusion(np.array([0, 1, 1]), prediction.label, 3)[1] == [0, 1, 0]


def many_classes(classes: int, rows: int, seed: int = 3):
    """Truth and a prediction that knows something of it."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows)
    score = random.random((rows, classes)).round(2)  # with ties
    score[np.arange(rows), truth] += 0.4
    score /= score.sum(axis=1, keepdims=True)
    return truth, Prediction(score, score.argmax(axis=1))


def test_many_classes_are_ranked_exactly_on_the_rows_as_they_are():
    truth, prediction = many_classes(metrics.MOST_RANKED_CLASSES + 4, 700)
    found = metrics.values("multiclass", truth, prediction)["roc_auc_ovr"]
    assert found == pytest.approx(
        known.roc_auc_score(truth, prediction.score, multi_class="ovr", average="macro")
    )


def test_resamples_of_many_classes_give_nearly_the_interval_of_ranking_each_anew(monkeypatch):
    classes = 3  # the fewer, the more each weighs
    truth, prediction = many_classes(classes, 900)
    monkeypatch.setattr(metrics, "MOST_RANKED_CLASSES", 0)
    shared = drawn("multiclass", truth, model=prediction)["model"]["roc_auc_ovr"]
    monkeypatch.setattr(metrics, "MOST_RANKED_CLASSES", classes)
    anew = drawn("multiclass", truth, model=prediction)["model"]["roc_auc_ovr"]
    assert shared[0] == pytest.approx(anew[0])
    assert np.abs(shared - anew).max() < 0.04 * (anew.max() - anew.min())
    one, other = bootstrap.interval(shared, 0.9), bootstrap.interval(anew, 0.9)
    assert one.low == pytest.approx(other.low, abs=0.1 * (other.high - other.low))
    assert one.high == pytest.approx(other.high, abs=0.1 * (other.high - other.low))


def test_a_class_without_rows_does_not_count_among_many():
    classes = metrics.MOST_RANKED_CLASSES + 2
    truth, prediction = many_classes(classes, 400)
    keep = truth != 1
    found = metrics.values("multiclass", truth[keep], prediction.at(keep))["roc_auc_ovr"]
    areas = [
        known.roc_auc_score(truth[keep] == i, prediction.score[keep, i])
        for i in range(classes)
        if i != 1
    ]
    assert found == pytest.approx(np.mean(areas))


def test_intervals_cover_the_true_value_about_as_often_as_they_say():
    random = np.random.default_rng(1)
    trials, covered = 150, 0
    for _ in range(trials):
        truth = random.normal(size=80)
        found = drawn("regression", truth, zero=regression(np.zeros(80)))["zero"]["mae"]
        ends = bootstrap.interval(found, 0.9)
        covered += ends.low <= math.sqrt(2 / math.pi) <= ends.high
    assert 0.8 < covered / trials < 0.97


def test_intervals_cover_as_often_where_rows_belong_together():
    """Eight rows of each of 60 people, whose errors are alike."""
    random = np.random.default_rng(4)
    people = np.repeat(np.arange(60), 8)
    trials, covered = 100, {True: 0, False: 0}
    for _ in range(trials):
        truth = random.normal(size=60)[people] + random.normal(size=480) / 2
        measures = {"zero": metrics.measure("regression", truth, regression(np.zeros(480)))}
        for is_known in covered:
            together = people if is_known else None
            found = bootstrap.bootstrap(measures, 480, resamples=200, seed=0, together=together)
            ends = bootstrap.interval(found["zero"]["mae"], 0.9)
            covered[is_known] += ends.low <= math.sqrt(2.5 / math.pi) <= ends.high
    assert covered[False] < 65
    assert 80 < covered[True] < 98


def test_more_confidence_is_a_wider_interval_around_the_value():
    random = np.random.default_rng(2)
    truth, score = random.random(200) < 0.5, random.random(200)
    found = drawn("binary", truth, model=binary(score))["model"]["roc_auc"]
    narrow, wide = bootstrap.interval(found, 0.5), bootstrap.interval(found, 0.99)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    assert narrow.value == pytest.approx(known.roc_auc_score(truth, score))


def test_resamples_without_a_positive_row_do_not_spoil_the_interval():
    truth = np.array([True] + [False] * 9)
    found = drawn("binary", truth, model=binary(np.linspace(1, 0, 10)))["model"]["roc_auc"]
    assert np.isnan(found).any()
    assert bootstrap.interval(found, 0.95) == bootstrap.Interval(1.0, 1.0, 1.0)


def test_a_metric_that_is_not_defined_has_no_interval():
    ends = bootstrap.interval(np.full(11, np.nan), 0.95)
    assert all(math.isnan(end) for end in (ends.value, ends.low, ends.high))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["binary", "multiclass", "regression"]))
def test_models_that_predict_the_same_differ_by_exactly_nothing(seed, kind):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, 60)
    score = random.random((60, 2)) if kind == "multiclass" else random.random(60)
    label = score.argmax(axis=1) if kind == "multiclass" else score > 0.5
    made = [Prediction(score.copy(), label.copy()) for _ in range(3)]
    found = drawn(kind, truth, resamples=50, one=made[0], between=binary_like(kind), two=made[1])
    for name, higher in metrics.HIGHER_IS_BETTER[kind].items():
        gain = bootstrap.difference(
            found["one"][name], found["two"][name], 0.95, higher_is_better=higher
        )
        assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def binary_like(kind: str) -> Prediction:
    score = np.full((60, 2), 0.5) if kind == "multiclass" else np.full(60, 0.5)
    return Prediction(score, np.zeros(60, dtype=int))


@pytest.mark.parametrize(("name", "higher"), [("r2", True), ("mae", False), ("rmse", False)])
def test_a_positive_difference_means_better_whatever_the_metric(name, higher):
    random = np.random.default_rng(3)
    truth = random.normal(size=300)
    good, bad = regression(truth + 0.1), regression(truth + random.normal(size=300))
    found = drawn("regression", truth, good=good, bad=bad)
    gain = bootstrap.difference(
        found["good"][name], found["bad"][name], 0.95, higher_is_better=higher
    )
    loss = bootstrap.difference(
        found["bad"][name], found["good"][name], 0.95, higher_is_better=higher
    )
    assert 0 < gain.low < gain.value < gain.high
    mirrored = (-gain.value, -gain.high, -gain.low)
    assert (loss.value, loss.low, loss.high) == pytest.approx(mirrored)


def test_pairing_makes_the_difference_of_similar_models_sharper_than_either():
    random = np.random.default_rng(4)
    truth = random.normal(size=300)
    one = truth + random.normal(size=300)
    found = drawn("regression", truth, one=regression(one), two=regression(one + 0.05))
    gain = bootstrap.difference(
        found["one"]["mae"], found["two"]["mae"], 0.95, higher_is_better=False
    )
    alone = bootstrap.interval(found["one"]["mae"], 0.95)
    assert gain.high - gain.low < (alone.high - alone.low) / 3


def test_the_same_seed_draws_the_same_whatever_the_batches(monkeypatch):
    random = np.random.default_rng(5)
    truth, made = random.random(50) < 0.5, binary(random.random(50))
    first = drawn("binary", truth, model=made)["model"]["roc_auc"]
    monkeypatch.setattr(bootstrap, "BATCH_CELLS", 170)
    np.testing.assert_array_equal(first, drawn("binary", truth, model=made)["model"]["roc_auc"])


def test_a_model_that_says_the_true_chances_is_calibrated():
    random = np.random.default_rng(6)
    chance = random.random(20_000)
    truth = random.random(20_000) < chance
    groups = curves.calibration("binary", truth, binary(chance), 0.99)
    assert len(groups) == 10 and sum(group["rows"] for group in groups) == 20_000
    assert all(group["low"] <= group["predicted"] <= group["high"] for group in groups)
    boastful = curves.calibration("binary", truth, binary(chance**0.5), 0.99)
    assert not any(group["low"] <= group["predicted"] <= group["high"] for group in boastful[1:-1])


def test_calibration_of_many_classes_is_about_the_predicted_class():
    random = np.random.default_rng(7)
    chances = random.dirichlet([1, 1, 1], 5_000)
    truth = np.array([random.choice(3, p=p) for p in chances])
    prediction = Prediction(chances, chances.argmax(axis=1))
    groups = curves.calibration("multiclass", truth, prediction, 0.999)
    assert all(group["low"] <= group["predicted"] <= group["high"] for group in groups)


def test_calibration_of_numbers_compares_means():
    truth = np.arange(100.0)
    groups = curves.calibration("regression", truth, regression(truth + 5), 0.95)
    assert all(group["predicted"] == pytest.approx(group["observed"] + 5) for group in groups)
    assert all(group["low"] < group["observed"] < group["high"] for group in groups)


@pytest.mark.parametrize(("values", "groups"), [([0.3], 1), ([0.1, 0.9], 2), ([0, 0.5, 1], 3)])
def test_equal_predictions_stay_in_one_group(values, groups):
    score = np.repeat(np.array(values, dtype=float), 100)
    found = curves.calibration("binary", np.arange(len(score)) % 2 == 0, binary(score), 0.95)
    assert [group["predicted"] for group in found] == pytest.approx(values)
    assert len(found) == groups


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1)],
)
def test_wilson_intervals(hits, rows, low, high):
    assert curves.wilson(hits, rows, 0.95) == pytest.approx((low, high), abs=5e-5)


def test_a_roc_curve_is_short_and_keeps_its_area():
    random = np.random.default_rng(8)
    truth = random.random(5_000) < 0.3
    score = random.random(5_000) + truth / 3
    points = np.array(curves.roc_curve(truth, score))
    assert len(points) <= curves.CURVE_POINTS
    assert points[0].tolist() == [0, 0] and points[-1].tolist() == [1, 1]
    assert (np.diff(points, axis=0) >= 0).all()
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert area == pytest.approx(known.roc_auc_score(truth, score), abs=2e-3)
    assert curves.roc_curve(np.ones(3, dtype=bool), np.arange(3.0)) == []


def test_residuals_count_every_row_and_survive_a_perfect_model():
    random = np.random.default_rng(9)
    truth = random.standard_cauchy(1_000)
    found = curves.residuals(truth, np.zeros(1_000))
    assert sum(found["counts"]) == 1_000
    assert len(found["edges"]) == len(found["counts"]) + 1
    assert found["quantiles"]["0.5"] == pytest.approx(float(np.median(truth)))
    assert sum(curves.residuals(truth, truth)["counts"]) == 1_000


@settings(max_examples=60, deadline=None)
@given(judged_rows(), st.sampled_from([3, 1000]))
def test_no_threshold_has_a_higher_f1_than_the_best(rows, grid):
    truth, random, _ = rows
    truth = truth.astype(bool)
    score = np.round(random.random(len(truth)) * grid) / grid
    best = known.f1_score(truth, score >= threshold.best_threshold(truth, score))
    assert best >= max(known.f1_score(truth, score >= cut) for cut in np.unique(score)) - 1e-12


def test_a_threshold_lies_between_scores_and_exists_without_positives():
    truth = np.array([False, False, True, True])
    assert threshold.best_threshold(truth, np.array([0.1, 0.2, 0.8, 0.9])) == pytest.approx(0.5)
    assert threshold.best_threshold(np.zeros(3, dtype=bool), np.arange(3.0)) == 0.5
