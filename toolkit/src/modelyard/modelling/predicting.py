"""Predictions of a model for rows that follow the contract."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from modelyard.contract.model import Contract
from modelyard.errors import UsageError, first_line

Floats = NDArray[np.float64]
# Threads wait for each other, boosting's after every node, a linear model's after every product. Up to so
# many rows a second thread saves little on an idle machine, and on a busy one (steps run side by side) it
# takes ten times longer.
ROWS_PER_THREAD = 200_000


@dataclass(frozen=True)
class Prediction:
    """Predictions of a model.

    Attributes:
        score: binary, probability of the positive class (rows,); multiclass, probabilities
            (rows, classes); regression, the predicted value (rows,).
        label: binary, whether the positive class is predicted (rows,); multiclass, index of
            the predicted class (rows,), -1 for a class unknown to the contract; regression,
            the same as score.
    """

    score: Floats
    label: NDArray[Any]

    def at(self, rows: NDArray[Any]) -> Prediction:
        """Select rows, by indices or a mask."""
        return Prediction(self.score[rows], self.label[rows])


def threads_for(rows: int) -> Any:
    """Limit scikit-learn to as many threads as help with so many rows."""
    most = max(1, min(os.cpu_count() or 1, rows // ROWS_PER_THREAD))
    return _libraries(len(sys.modules)).limit(limits=most)


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """Find the libraries that have threads, anew where more modules are imported."""
    return ThreadpoolController()


def predict(model: Any, rows: pd.DataFrame, contract: Contract) -> Prediction:
    """Predict rows.

    Args:
        model: as loaded.
        rows: with the contract's features; other columns are ignored.
        contract: of the model.

    Raises:
        UsageError: the model takes other columns, or knows other classes.
    """
    given = rows.drop(columns=contract.target.column, errors="ignore")
    try:
        if contract.kind == "regression":
            score = np.asarray(model.predict(given), dtype=np.float64).ravel()
            return Prediction(score, score)
        classes = list(model.classes_)
        chances = np.asarray(model.predict_proba(given), dtype=np.float64)
    except Exception as error:
        raise UsageError(f"the model cannot score these rows: {first_line(error)}") from None
    if contract.kind == "binary":
        positive = contract.target.positive
        if positive not in classes or len(classes) != 2:
            raise UsageError(
                f"the model tells {', '.join(map(str, classes))} apart, expected two classes, one "
                f"of them {positive}."
            )
        score = chances[:, classes.index(positive)]
        return Prediction(score, score >= getattr(model, "threshold", 0.5))
    known = list(contract.target.classes or ())
    score = np.zeros((len(rows), len(known)))
    index = np.array([known.index(name) if name in known else -1 for name in classes])
    if not (index >= 0).any():
        raise UsageError(
            f"the model tells {', '.join(map(str, classes))} apart, none in the contract."
        )
    score[:, index[index >= 0]] = chances[:, index >= 0]
    return Prediction(score, index[chances.argmax(axis=1)])
