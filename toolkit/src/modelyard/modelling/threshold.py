"""Decision threshold of two classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from modelyard.contract.model import Contract
from modelyard.gates import Threshold
from modelyard.modelling.comparing import Fold, group_folds
from modelyard.modelling.encoding import without_empty
from modelyard.modelling.predicting import Floats, threads_for

FOLDS = 3
THRESHOLD_ROWS = 50_000  # more say the same


def choose_threshold(
    learner: Any,
    inputs: NDArray[Any],
    target: NDArray[Any],
    contract: Contract,
    purpose: Threshold | None = None,
    groups: pd.Series | None = None,
    in_turn: tuple[NDArray[Any], Floats] | None = None,
) -> float | None:
    """Choose the probability from which the positive class is predicted, for a purpose.

    It is chosen on rows that were held out in turn: probabilities of training rows are too certain, and the
    validation rows alone are few, or of a season with its own share of positives.

    Args:
        learner: unfitted, and stays so.
        inputs: encoded rows (rows, encoded).
        target: their classes (rows,).
        contract: names the positive class.
        purpose: of conf/gates.yml; None: the highest f1.
        groups: see `compare`.
        in_turn: see `Calibrating`; None: the learner is fitted for three parts of the rows.

    Returns:
        None unless there are two classes.
    """
    if contract.kind != "binary":
        return None
    classes = list(np.unique(target))
    if in_turn is not None:
        target = in_turn[0]
    elif len(target) > THRESHOLD_ROWS:
        picked = np.random.default_rng(0).choice(len(target), THRESHOLD_ROWS, replace=False)
        inputs, target = inputs[picked], target[picked]
        groups = None if groups is None else groups.iloc[picked]
    is_positive = target == contract.target.positive
    if min(is_positive.sum(), (~is_positive).sum()) < FOLDS:
        return 0.5
    if in_turn is not None:
        return best_threshold(
            is_positive, in_turn[1][:, classes.index(contract.target.positive)], purpose
        )
    folds: Iterable[Fold]
    if groups is None:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(inputs, target)
    else:
        folds = list(group_folds(target, groups, FOLDS, 0, is_class=True))
        if any(len(np.unique(target[others])) < 2 for others, _ in folds) or not folds:
            return 0.5
    chances = np.empty(len(target))
    with threads_for(len(target)):
        for others, held_out in folds:
            made = clone(learner).fit(without_empty(inputs[others]), target[others])
            at = list(made.classes_).index(contract.target.positive)
            chances[held_out] = made.predict_proba(inputs[held_out])[:, at]
    return best_threshold(is_positive, chances, purpose)


def best_threshold(truth: NDArray[Any], score: Floats, purpose: Threshold | None = None) -> float:
    """Find the probability from which flagging a row serves a purpose best on these rows.

    It lies half-way between two scores, so that it does not depend on a single row; 0.5 where no row is
    positive.
    """
    purpose = purpose or Threshold()
    if not truth.any():
        return 0.5
    order = np.argsort(-score, kind="stable")
    # Of flagging the first 0, 1, 2 … rows.
    ordered = np.append(1.0, score[order])
    hits = np.append(0.0, np.cumsum(truth[order].astype(np.float64)))
    flagged = np.arange(len(ordered))
    alarms, missed = flagged - hits, hits[-1] - hits
    if purpose.purpose == "f1":
        gain = 2 * hits / (flagged + hits[-1])
    elif purpose.purpose == "recall":
        gain = np.where(hits >= purpose.recall * hits[-1] - 1e-9, -flagged, -np.inf)
    else:
        costs = (purpose.missed, purpose.alarm) if purpose.purpose == "cost" else (1.0, 1.0)
        gain = -(costs[0] * missed + costs[1] * alarms)
    # A cut cannot split a tie, nor lie above 1.
    gain[np.append(np.diff(ordered) == 0, False)] = -np.inf
    at = int(np.argmax(gain))
    after = ordered[at + 1] if at + 1 < len(ordered) else 0.0
    return float((ordered[at] + after) / 2)
