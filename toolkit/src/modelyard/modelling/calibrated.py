"""A classifier with corrected probabilities; endpoints import it, so it needs little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from modelyard.modelling.predicting import Floats

TINY = 1e-12  # a probability, so that its logarithm is a number

Method = Literal["none", "sigmoid", "isotonic", "temperature"]


@dataclass(frozen=True)
class Calibration:
    """A correction of probabilities.

    Attributes:
        method: sigmoid (Platt 1999), isotonic (Zadrozny & Elkan 2002) or temperature (Guo et al. 2017,
            of more than two classes).
        x: isotonic, probabilities; sigmoid, factor and shift of the log odds; temperature, the factor
            of the logarithms.
        y: isotonic, what becomes of them.
    """

    method: Method
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def apply(self, scores: Floats) -> Floats:
        """Correct probabilities (rows, classes)."""
        if self.method == "none":
            return scores
        if self.method == "temperature":
            return np.asarray(softmax(np.log(np.clip(scores, TINY, 1)) * self.x[0], axis=1))
        if self.method == "isotonic":
            second = np.interp(scores[:, 1], self.x, self.y)
        else:
            odds = logit(np.clip(scores[:, 1], TINY, 1 - TINY))
            second = expit(self.x[0] * odds + self.x[1])
        return np.column_stack([1 - second, second])


class Calibrated(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are corrected; its correction was learnt before, on held-out rows."""

    def __init__(self, learner: Any, calibration: Calibration) -> None:
        self.learner = learner
        self.calibration = calibration

    def fit(self, inputs: NDArray[Any], target: NDArray[Any]) -> Calibrated:
        """Fit the learner."""
        self.learner_ = clone(self.learner).fit(inputs, target)
        self.classes_ = self.learner_.classes_
        return self

    def predict_proba(self, inputs: NDArray[Any]) -> Floats:
        """Predict probabilities (rows, classes)."""
        return self.calibration.apply(self.learner_.predict_proba(inputs))

    def predict(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Predict classes (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(inputs).argmax(axis=1)])
