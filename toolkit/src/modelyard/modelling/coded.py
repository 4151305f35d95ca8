"""A classifier for learners that take codes for classes; endpoints import it, so it needs little."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from modelyard.modelling.predicting import Floats


class Coded(ClassifierMixin, BaseEstimator):
    """A classifier whose learner gets 0, 1, … in the place of class names, such as that of XGBoost."""

    def __init__(self, learner: Any) -> None:
        self.learner = learner

    def fit(self, inputs: NDArray[Any], target: NDArray[Any]) -> Coded:
        """Fit the learner to inputs (rows, encoded) and classes (rows,)."""
        self.classes_, codes = np.unique(target, return_inverse=True)
        self.learner_ = clone(self.learner).fit(inputs, codes)
        return self

    def predict_proba(self, inputs: NDArray[Any]) -> Floats:
        """Predict probabilities (rows, classes)."""
        return np.asarray(self.learner_.predict_proba(inputs))

    def predict(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Predict classes (rows,)."""
        return np.asarray(self.classes_[self.predict_proba(inputs).argmax(axis=1)])
