"""Predictions of linear models for single rows, in a few array operations.

A linear model of scaled numbers and of a column per category is a sum: a weight for each number, and for each
category of each column a weight that is looked up. Scikit-learn's way through encoders, a sparse matrix and
their checks takes milliseconds for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

Floats = NDArray[np.float64]


def linear_of(learner: Any) -> Linear | None:
    """Make the sum of a fitted linear model behind a column transformer; None of others."""
    if not isinstance(learner, Pipeline) or len(learner.steps) != 2:
        return None
    encode, model = (step for _, step in learner.steps)
    kinds = (LogisticRegression, LinearRegression, Ridge, RidgeCV)
    if not isinstance(encode, ColumnTransformer) or not isinstance(model, kinds):
        return None
    made = Linear(model)
    for name, block, columns in encode.transformers_:
        weights = made.weights[:, encode.output_indices_[name]]
        if not len(columns) or (isinstance(block, str) and block == "drop"):
            continue
        if not made.add(block, list(columns), weights):
            return None
    return made


class Linear:
    """A linear model as a sum over the columns that it is given."""

    def __init__(self, model: Any) -> None:
        self.weights: Floats = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
        self.offset = np.array(np.atleast_1d(model.intercept_), dtype=np.float64)  # (outputs,)
        self._is_classifier = hasattr(model, "predict_proba")
        self._numbers: list[int] = []
        self._fill: list[float] = []
        self._number_weights: Floats = np.empty((0, len(self.offset)))  # (numbers, outputs)
        self._lookups: list[tuple[int, bool, dict[float | None, Floats]]] = []

    def add(self, block: Any, columns: list[int], weights: Floats) -> bool:
        """Add a block of columns; returns whether it is of a known kind.

        Args:
            block: that encodes the columns.
            columns: their positions.
            weights: of what the block makes of them (outputs, encoded).
        """
        if isinstance(block, OneHotEncoder):
            return self._add_categories(block, columns, weights, floored=False)
        if not isinstance(block, Pipeline) or len(block.steps) != 2:
            return False
        first, second = (step for _, step in block.steps)
        if isinstance(first, FunctionTransformer) and isinstance(second, OneHotEncoder):
            is_floor = first.func is np.floor
            return is_floor and self._add_categories(second, columns, weights, floored=True)
        if isinstance(first, SimpleImputer) and isinstance(second, StandardScaler):
            fill = np.asarray(first.statistics_, dtype=np.float64)
            if np.isnan(fill).any() or first.add_indicator or not second.with_std:
                return False
            scaled = weights / second.scale_
            self.offset -= scaled @ second.mean_
            self._numbers += columns
            self._fill += fill.tolist()
            self._number_weights = np.vstack([self._number_weights, scaled.T])
            return True
        return False

    def scores(self, rows: Sequence[Sequence[float]]) -> Floats:
        """Predict probabilities (rows, classes), or values (rows,), of encoded rows."""
        sums = np.tile(self.offset, (len(rows), 1))
        if self._numbers:
            numbers = np.array(rows, dtype=np.float64)[:, self._numbers]
            numbers = np.where(np.isnan(numbers), self._fill, numbers)
            sums += numbers @ self._number_weights
        for at, row in enumerate(rows):
            for column, floored, table in self._lookups:
                value: float | None = row[column]
                if value is None or value != value:
                    value = None
                elif floored:
                    value = float(math.floor(value))
                found = table.get(value)
                if found is not None:
                    sums[at] += found
        if not self._is_classifier:
            return sums[:, 0]
        if sums.shape[1] == 1:
            second = expit(sums[:, 0])
            return np.column_stack([1 - second, second])
        return np.asarray(softmax(sums, axis=1))

    def _add_categories(
        self, encoder: Any, columns: list[int], weights: Floats, *, floored: bool
    ) -> bool:
        if (encoder.drop, encoder.min_frequency, encoder.max_categories) != (None, None, None):
            return False
        start = 0
        for column, categories in zip(columns, encoder.categories_, strict=True):
            own = weights[:, start : start + len(categories)].T
            keys = (None if math.isnan(known) else float(known) for known in categories)
            self._lookups.append((column, floored, dict(zip(keys, own, strict=True))))
            start += len(categories)
        return True
