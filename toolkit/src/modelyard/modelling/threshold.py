"""Decision threshold of two classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from modelyard.contract.model import Contract
from modelyard.modelling.encoding import without_empty
from modelyard.modelling.predicting import Floats

FOLDS = 3


THRESHOLD_ROWS = 50_000  # more say the same


def choose_threshold(
    learner: Any, inputs: NDArray[Any], target: NDArray[Any], contract: Contract
) -> float | None:
    """Choose the probability from which the positive class is predicted, so that f1 is highest.

    It is chosen by cross-validation: probabilities of training rows are too certain, and the validation
    rows alone are few, or of a season with its own share of positives.

    Args:
        learner: unfitted, and stays so.
        inputs: encoded rows (rows, encoded).
        target: their classes (rows,).
        contract: names the positive class.

    Returns:
        None unless there are two classes.
    """
    if contract.kind != "binary":
        return None
    if len(target) > THRESHOLD_ROWS:
        picked = np.random.default_rng(0).choice(len(target), THRESHOLD_ROWS, replace=False)
        inputs, target = inputs[picked], target[picked]
    is_positive = target == contract.target.positive
    if min(is_positive.sum(), (~is_positive).sum()) < FOLDS:
        return 0.5
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    chances = np.empty(len(target))
    for others, held_out in folds.split(inputs, target):
        made = clone(learner).fit(without_empty(inputs[others]), target[others])
        at = list(made.classes_).index(contract.target.positive)
        chances[held_out] = made.predict_proba(inputs[held_out])[:, at]
    return best_threshold(is_positive, chances)


def best_threshold(truth: NDArray[Any], score: Floats) -> float:
    """Find the probability from which flagging a row gives the highest f1 on these rows.

    It lies half-way between two scores, so that it does not depend on a single row; 0.5 where no row is
    positive.
    """
    if not truth.any():
        return 0.5
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    hits = np.cumsum(truth[order].astype(np.float64))
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])
    f1[np.append(np.diff(ordered) == 0, False)] = -1.0  # a cut cannot split a tie
    at = int(np.argmax(f1))
    after = ordered[at + 1] if at + 1 < len(ordered) else 0.0
    return float((ordered[at] + after) / 2)
