"""Predictions out of fold: every row is predicted by models that were fitted without it.

With few held-out rows a single split says little. The table is therefore divided into folds (by the step
`prepare`), challenger and baseline are fitted by the project's own `fit` once for each fold, and predict
the rows of the fold (Stone 1974, J. R. Stat. Soc. B 36:111). By time a fold is predicted from older rows
only (Dawid 1984, J. R. Stat. Soc. A 147:278). What is judged is how the models are made; the registered model
is fitted on more rows than each of these.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract.model import Contract
from modelyard.data.parts import read_folds, target_of
from modelyard.errors import UsageError, first_line
from modelyard.gates import Threshold
from modelyard.modelling.live_metrics import LiveMetrics
from modelyard.modelling.predicting import Prediction, predict, threads_for
from modelyard.modelling.saving import SETTINGS_FILE
from modelyard.own_code import load_attribute


@dataclass(frozen=True)
class Judged:
    """Rows that the models are judged on.

    Attributes:
        rows: (rows, columns).
        truth: see `target_of` (rows,).
        predictions: for these rows, by model.
        method: "held-out" or "out-of-fold".
    """

    rows: pd.DataFrame
    truth: NDArray[Any]
    predictions: dict[str, Prediction]
    method: str


def out_of_fold(
    prepared: Path, model: Path, training: str, contract: Contract, purpose: Threshold
) -> Judged:
    """Fit challenger and baseline for each fold, and predict its rows.

    Args:
        prepared: folder written by `prepare`.
        model: folder of the challenger, with the settings it was trained with.
        training: the project's module with `fit` and `Settings`.
        contract: of the table.
        purpose: of the threshold.

    Raises:
        UsageError: the folds cannot be fitted.
    """
    rows, fold = read_folds(prepared, contract)
    fit = load_attribute(training, "fit")
    try:
        given = json.loads((model / SETTINGS_FILE).read_text(encoding="utf-8"))
        settings = load_attribute(training, "Settings")(**given)
    except (OSError, ValueError) as error:
        raise UsageError(f"{model / SETTINGS_FILE} cannot be read: {first_line(error)}") from None
    made: dict[str, list[Prediction]] = {"challenger": [], "baseline": []}
    judged = []
    for number, (train, validation, test) in enumerate(_turns(fold, contract.time is not None), 1):
        parts = [rows.iloc[at].reset_index(drop=True) for at in (train, validation)]
        with (
            warnings.catch_warnings(),
            threads_for(len(rows)),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            try:
                fitted = fit(contract, *parts, settings, LiveMetrics(), purpose)
            except Exception as error:
                raise UsageError(
                    f"fold {number} cannot be fitted: {type(error).__name__}: {first_line(error)}"
                ) from error
        for name, one in (("challenger", fitted.model), ("baseline", fitted.baseline)):
            made[name].append(predict(one, rows.iloc[test], contract))
        judged.append(test)
    chosen = np.concatenate(judged)
    predicted = rows.iloc[chosen].reset_index(drop=True)
    predictions = {
        name: Prediction(
            np.concatenate([one.score for one in parts]),
            np.concatenate([one.label for one in parts]),
        )
        for name, parts in made.items()
    }
    return Judged(predicted, target_of(predicted, contract), predictions, "out-of-fold")


def _turns(fold: NDArray[np.int64], is_timed: bool) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield positions to train, to validate and to predict, once for each fold that is predicted."""
    last = int(fold.max())
    for test in range(2 if is_timed else 0, last + 1):
        validation = test - 1 if is_timed else (test + 1) % (last + 1)
        train = fold < validation if is_timed else ~np.isin(fold, (test, validation))
        yield (
            np.flatnonzero(train),
            np.flatnonzero(fold == validation),
            np.flatnonzero(fold == test),
        )
