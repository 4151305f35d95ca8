"""Calibration: probabilities are corrected where held-out rows say that it helps, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from modelyard.contract.model import Contract
from modelyard.gates import Threshold
from modelyard.modelling import calibrating, choose_threshold
from modelyard.modelling.comparing import Choice
from modelyard.modelling.stopping import Learned
from sklearn.linear_model import LogisticRegression

KINDS = {
    "binary": {"column": "y", "kind": "binary", "positive": True},
    "multiclass": {"column": "y", "kind": "multiclass", "classes": ["a", "b", "c"]},
}


def rules(kind: str, time: str | None = None) -> Contract:
    y = {"type": "boolean" if kind == "binary" else "category"}
    columns = {"x": {"type": "number"}, "t": {"type": "datetime"}, "y": y}
    return Contract.model_validate({"target": KINDS[kind], "columns": columns, "time": time})


def drawn(kind: str, rows: int, factor: float, seed: int = 0) -> Choice:
    """Classes drawn by probabilities, and the same probabilities with their log odds multiplied."""
    random = np.random.default_rng(seed)
    logs = random.normal(size=(rows, 2 if kind == "binary" else 3)) * 1.5
    chances = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    codes = (random.random(rows)[:, None] > chances.cumsum(axis=1)).sum(axis=1)
    raised = chances**factor
    scores = raised / raised.sum(axis=1, keepdims=True)
    truth = codes == 1 if kind == "binary" else np.array(["a", "b", "c"])[codes]
    learned = Learned([1.0, 0.5], [1.0, 0.5], 1, "fitted", "")
    return Choice("own", LogisticRegression(), [], learned, truth, scores, {}, "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [0.4, 3.0])
def test_probabilities_that_are_too_certain_or_too_shy_are_corrected(kind, factor):
    found = calibrating.calibrate(drawn(kind, 800, factor), rules(kind))
    assert found.calibration.method == {"binary": "sigmoid", "multiclass": "temperature"}[kind]
    assert found.calibration.x[0] == pytest.approx(1 / factor, rel=0.25)
    fresh = drawn(kind, 4_000, factor, seed=1)
    codes = np.unique(fresh.truth, return_inverse=True)[1]
    before, after = (
        calibrating.calibration_error(codes, scores)
        for scores in (fresh.scores, found.calibration.apply(fresh.scores))
    )
    assert after < 0.04 < before
    np.testing.assert_allclose(found.calibration.apply(fresh.scores).sum(axis=1), 1)


def test_a_threshold_is_chosen_on_corrected_probabilities_of_rows_that_were_held_out_in_turn():
    choice, contract = drawn("binary", 800, 0.4), rules("binary")
    assert calibrating.calibrate(choice, contract).in_turn is None
    found = calibrating.calibrate(replace(choice, in_folds=True), contract)
    truth, scores = found.in_turn
    assert np.abs(scores - choice.scores).max() > 0.1
    cost = Threshold(purpose="cost", missed=4, alarm=1)
    limit = choose_threshold(None, None, truth, contract, cost, in_turn=found.in_turn)
    assert limit == pytest.approx(1 / (1 + 4), abs=0.1)  # what a right probability is cut at
    none = choice.truth & (np.cumsum(choice.truth) <= 2)  # two positives say nothing
    assert choose_threshold(None, None, truth, contract, in_turn=(none, scores)) == 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_that_are_right_are_left_alone(kind):
    found = [calibrating.calibrate(drawn(kind, 800, 1.0, seed), rules(kind)) for seed in range(10)]
    assert sum(one.calibration.method != "none" for one in found) <= 2


def test_a_curve_of_steps_follows_what_no_sigmoid_can(monkeypatch):
    choice = drawn("binary", 6_000, 1.0)
    bent = np.where(choice.scores[:, 1] < 0.5, 0.02, 0.98)  # only the order of two halves is left
    bent = bent + choice.scores[:, 1] / 100
    bent = Choice(**{**choice.__dict__, "scores": np.column_stack([1 - bent, bent])})
    found = calibrating.calibrate(bent, rules("binary"))
    assert set(found.compared) == {"none", "sigmoid", "isotonic"}
    assert found.calibration.method == "isotonic"
    corrected = found.calibration.apply(bent.scores)
    assert corrected.min() > 0 and corrected.max() < 1


def test_the_share_of_a_season_is_not_learnt_where_rows_are_split_by_time():
    found = calibrating.calibrate(drawn("binary", 800, 3.0), rules("binary", time="t"))
    assert found.calibration.method == "none"
    assert found.compared["none"]["calibration_error"] > 0.05  # and is reported


def test_a_corrected_learner_is_fitted_and_asked_like_any_other():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(200, 2))
    target = np.where(inputs[:, 0] > 0, "yes", "no")
    correction = calibrating.Calibration("sigmoid", (0.5, 1.0))
    plain = LogisticRegression().fit(inputs, target)
    made = calibrating.Calibrated(LogisticRegression(), correction).fit(inputs, target)
    odds = np.log(plain.predict_proba(inputs)[:, 1] / plain.predict_proba(inputs)[:, 0])
    expected = 1 / (1 + np.exp(-(0.5 * odds + 1.0)))
    np.testing.assert_allclose(made.predict_proba(inputs)[:, 1], expected, atol=1e-9)
    assert list(made.predict(inputs)) == list(np.where(expected > 0.5, "yes", "no"))
