"""Predictions for many rows at once, with each distinct word of a column encoded once.

Scikit-learn's encoders look up every cell in Python, which is most of the cost of a prediction on tables
with words. The code of a word depends on nothing but the word, so predictions are the same to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder, TargetEncoder

from modelyard.modelling.encoding import as_words
from modelyard.serving.fast_path import is_called, parts_of


def by_distinct_words(model: Any) -> Any:
    """Make a faster model with the same predictions; the model itself where it is of another kind."""
    parts = parts_of(model)
    if parts is None or parts[1].sparse_output_:
        return model
    return _ByDistinctWords(model, *parts)


class _ByDistinctWords:
    """Takes data frames and has `predict`, `predict_proba`, `classes_`, `threshold`."""

    def __init__(self, model: Any, derived: Any, encoder: ColumnTransformer, learner: Any) -> None:
        self._derived, self._encoder, self._learner = derived, encoder, learner
        for name in ("classes_", "threshold"):
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    def predict(self, rows: pd.DataFrame) -> NDArray[Any]:
        """Predict values or classes (rows,); of two classes without regard to a threshold."""
        return np.asarray(self._learner.predict(self._encoded(rows)))

    def predict_proba(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Predict probabilities (rows, classes)."""
        return np.asarray(self._learner.predict_proba(self._encoded(rows)))

    def _encoded(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        if self._derived is not None:
            rows = self._derived.transform(rows)
        places = self._encoder.output_indices_
        encoded = np.empty((len(rows), max(place.stop for place in places.values())))
        for name, block, columns in self._encoder.transformers_:
            if name == "remainder" or not len(columns):
                continue
            encode = _encode_distinct if _takes_words(block) else _encode
            encoded[:, places[name]] = encode(block, rows[columns])
        return encoded


def _takes_words(block: Any) -> bool:
    return (
        isinstance(block, Pipeline)
        and len(block) == 2
        and is_called(block[0], as_words)
        and isinstance(block[1], (OrdinalEncoder, TargetEncoder))
    )


def _encode(block: Any, rows: pd.DataFrame) -> NDArray[np.float64]:
    return np.asarray(block.transform(rows))


def _encode_distinct(block: Any, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Encode the distinct words of each column, then copy the codes to the rows."""
    found = {name: pd.factorize(column) for name, column in rows.items()}
    length = max(len(words) for _, words in found.values()) + 1
    # Shorter columns are filled up with missing values; the last row is missing in all.
    frame = pd.DataFrame(
        {
            name: np.append(np.asarray(words, dtype=object), [None] * (length - len(words)))
            for name, (_, words) in found.items()
        },
        dtype=object,
    )
    encoded = _encode(block, frame)
    width = encoded.shape[1] // len(found)  # one per column, or one per column and class
    return np.column_stack(
        [
            encoded[codes, i * width : (i + 1) * width]  # -1, missing, is the last row
            for i, (codes, _) in enumerate(found.values())
        ]
    )
