"""Predicts for many rows at once: a word that stands in thousands of them is encoded once.

scikit-learn's encoders look up every cell, in Python; on tables with words that is most of what a
prediction costs. What they give depends on the cell alone, so each distinct word of a column is
enough, and the answers are the same to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, TargetEncoder

from modelyard.modelling.encoding import as_words


def by_word(model: Any) -> Any:
    """A model that answers as `model` does, faster; `model` itself where it is of another kind."""
    inner = model
    while isinstance(inner, (FixedThresholdClassifier, FrozenEstimator)):
        inner = getattr(inner, "estimator_", None) or inner.estimator
    if not isinstance(inner, Pipeline) or len(inner) != 2:
        return model
    encode, learner = inner[0], inner[1]
    if not isinstance(encode, ColumnTransformer) or encode.sparse_output_:
        return model
    return _ByWord(model, encode, learner)


class _ByWord:
    """Takes data frames and has `predict`, `predict_proba`, `classes_`, `threshold`."""

    def __init__(self, model: Any, encode: ColumnTransformer, learner: Any) -> None:
        self._encode, self._learner = encode, learner
        for name in ("classes_", "threshold"):
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        """The learner's answer (rows,); of two classes without regard to a threshold."""
        return np.asarray(self._learner.predict(self._encoded(rows)))

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Probabilities (rows, classes)."""
        return np.asarray(self._learner.predict_proba(self._encoded(rows)))

    def _encoded(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        places = self._encode.output_indices_
        width = max(place.stop for place in places.values())
        encoded = np.empty((len(rows), width))
        for name, transform, columns in self._encode.transformers_:
            if name == "remainder" or not len(columns):
                continue
            given = rows[columns]
            into = encoded[:, places[name]]
            into[:] = (
                _distinct(transform, given) if _sees_words(transform) else _all(transform, given)
            )
        return encoded


def _sees_words(transform: Any) -> bool:
    return (
        isinstance(transform, Pipeline)
        and len(transform) == 2
        and isinstance(transform[0], FunctionTransformer)
        and transform[0].func.__name__ == as_words.__name__  # a model brings its own copy
        and isinstance(transform[1], (OrdinalEncoder, TargetEncoder))
    )


def _all(transform: Any, given: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(transform.transform(given))


def _distinct(transform: Any, given: pd.DataFrame) -> NDArray[np.float64]:
    """Encode the distinct words of each column, then put them where they stand."""
    found = {name: pd.factorize(column) for name, column in given.items()}
    length = max(len(words) for _, words in found.values()) + 1
    # Shorter columns are filled up with missing values; the last row is missing in all.
    frame = pd.DataFrame(
        {
            name: np.append(np.asarray(words, dtype=object), [None] * (length - len(words)))
            for name, (_, words) in found.items()
        },
        dtype=object,
    )
    encoded = _all(transform, frame)
    width = encoded.shape[1] // len(found)  # one per column, or one per column and class
    return np.column_stack(
        [
            encoded[codes, i * width : (i + 1) * width]  # -1, missing, is the last row
            for i, (codes, _) in enumerate(found.values())
        ]
    )
