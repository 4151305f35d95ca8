"""A model's words are its own, however it is wrapped."""

from __future__ import annotations

import numpy as np
import pytest
from modelyard.modelling.describing import described
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROWS, TARGET = np.arange(40.0).reshape(20, 2), np.arange(20) % 2


def threshold(model):
    fitted = make_pipeline(StandardScaler(), model).fit(ROWS, TARGET)
    return FixedThresholdClassifier(FrozenEstimator(fitted), threshold=0.4).fit(ROWS, TARGET)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (LogisticRegression(), ("Logistic Regression", "(LogisticRegression of sklearn)")),
        (threshold(HistGradientBoostingClassifier()), ("HistGradientBoostingClassifier",)),
        (CalibratedClassifierCV(LogisticRegression()).fit(ROWS, TARGET), ("LogisticRegression",)),
        (TransformedTargetRegressor(LinearRegression()).fit(ROWS, TARGET), ("LinearRegression",)),
        (BaggingClassifier(LogisticRegression()).fit(ROWS, TARGET), ("BaggingClassifier",)),
    ],
    ids=["plain", "threshold", "calibrated", "target", "ensemble"],
)
def test_the_learner_inside_is_named_by_its_own_documentation(model, words):
    said = described(model)
    assert all(word in said for word in words), said
