"""Training: which candidate and how long from held-out rows, then on all rows."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
from modelyard.contract import Contract
from modelyard.modelling import (
    LiveMetrics,
    Threshold,
    assemble,
    calibrate,
    choose_threshold,
    compare,
    derive,
    encoder,
    fit_encoder,
    labels,
)
from modelyard.steps import Fitted, training_step

from .features import add_features
from .model import Settings, build_baseline, build_candidates


def fit(
    contract: Contract,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    settings: Settings,
    log: LiveMetrics,
    purpose: Threshold | None = None,
) -> Fitted:
    """Learn from held-out rows which candidate is best and how long it trains; then the model from all.

    The validation rows are often the latest: a model that never saw them is out of date on the day it
    is made. So the final model is fitted on both parts, for as many iterations as were best on the
    held-out rows, and so is the baseline.

    Args:
        contract: of the table.
        train: rows to learn from (rows, columns).
        validation: rows to choose on, of the same columns.
        settings: hyperparameters.
        log: takes metrics while the training goes on; a sweep stops poor trials by them.
        purpose: of the threshold; None: the highest f1.
    """
    settings = settings.adapted(len(train))
    train_rows = derive(add_features, train, contract)
    validation_rows = derive(add_features, validation, contract)
    train_target, validation_target = labels(train, contract), labels(validation, contract)
    rows = pd.concat([train_rows, validation_rows], ignore_index=True)
    target = np.concatenate([train_target, validation_target])
    groups = pd.concat([train, validation])[contract.group] if contract.group else None

    choice = compare(
        build_candidates(contract, settings, rows),
        (train_rows, train_target),
        (validation_rows, validation_target),
        contract,
        seed=settings.seed,
        patience=settings.patience,
        tolerance=settings.tolerance,
        log=log,
        groups=groups,
    )
    calibrating = calibrate(choice, contract)

    encode = encoder(choice.features, contract, settings.seed)
    inputs = fit_encoder(encode, rows, target)
    print(f"fitted again on all {len(rows):,} rows", flush=True)

    def finished(learner: Any, in_turn: Any = None) -> tuple[Any, float | None]:
        threshold = choose_threshold(learner, inputs, target, contract, purpose, groups, in_turn)
        fitted = learner.fit(inputs, target)
        model = assemble(encode, fitted, contract, add_features=add_features, threshold=threshold)
        return model, threshold

    model, threshold = finished(calibrating.of(choice.learner), calibrating.in_turn)
    baseline, _ = finished(build_baseline(contract, settings))
    return Fitted(
        model,
        baseline,
        settings,
        choice.features,
        choice.learned,
        threshold,
        choice,
        calibrating,
    )


if __name__ == "__main__":
    sys.exit(training_step(Settings, fit))
