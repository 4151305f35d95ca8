"""Training: how long from the validation rows, then on all rows."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
from modelyard.contract import Contract
from modelyard.modelling import (
    LiveMetrics,
    assemble,
    categorical_positions,
    choose_features,
    choose_threshold,
    early_stopping,
    encoder,
    fit_encoder,
    labels,
)
from modelyard.steps import Fitted, training_step

from .features import add_features
from .model import Settings, build_baseline, build_model


def fit(
    contract: Contract,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    settings: Settings,
    log: LiveMetrics,
) -> Fitted:
    """Learn from the training rows how long to train; then from all rows, the model.

    The validation rows are often the latest: a model that never saw them is out of date on the day it
    is made. So the final model is fitted on both parts, for as many iterations as were best on the
    validation rows, and so is the baseline.

    Args:
        contract: of the table.
        train: rows to learn from (rows, columns).
        validation: rows to stop on, of the same columns.
        settings: hyperparameters.
        log: takes metrics while the training goes on; a sweep stops poor trials by them.
    """
    settings = settings.adapted(len(train))
    train_rows = add_features(train[contract.features], contract)
    validation_rows = add_features(validation[contract.features], contract)
    train_target, validation_target = labels(train, contract), labels(validation, contract)
    rows = pd.concat([train_rows, validation_rows], ignore_index=True)
    target = np.concatenate([train_target, validation_target])
    features = choose_features(rows, contract)
    categorical = categorical_positions(features)

    encode = encoder(features, contract, settings.seed)
    learner = build_model(contract, settings, categorical, iterations=None)
    learned = early_stopping(
        learner,
        (fit_encoder(encode, train_rows, train_target), train_target),
        (encode.transform(validation_rows), validation_target),
        patience=settings.patience,
        tolerance=settings.tolerance,
        log=log,
    )

    encode = encoder(features, contract, settings.seed)
    inputs = fit_encoder(encode, rows, target)
    learner = build_model(contract, settings, categorical, iterations=learned.iterations)
    print(f"fitted again on all {len(rows):,} rows", flush=True)

    def finished(one: Any) -> tuple[Any, float | None]:
        threshold = choose_threshold(one, inputs, target, contract)
        fitted = one.fit(inputs, target)
        model = assemble(encode, fitted, contract, add_features=add_features, threshold=threshold)
        return model, threshold

    model, threshold = finished(learner)
    baseline, _ = finished(build_baseline(contract, settings))
    return Fitted(model, baseline, settings, features, learned, threshold)


if __name__ == "__main__":
    sys.exit(training_step(Settings, fit))
