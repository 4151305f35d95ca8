"""Assembly of a model from its fitted parts."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline

from modelyard.contract.model import Contract
from modelyard.modelling.calibrated import Calibrated
from modelyard.modelling.derived import AddFeatures, DerivedFeatures


def assemble(
    encode: ColumnTransformer,
    learner: Any,
    contract: Contract,
    *,
    add_features: AddFeatures | None = None,
    threshold: float | None = None,
) -> Any:
    """Make a model that takes a table of the contract's features, from its fitted parts.

    Args:
        encode: fitted; see `encoder`.
        learner: fitted on what `encode` gives.
        contract: names the positive class, and is given to `add_features`.
        add_features: adds the derived features that `encode` was fitted on; None where there are none.
        threshold: probability from which the positive class is predicted, of two classes.
    """
    steps: list[tuple[str, Any]] = [("encode", encode), ("learn", learner)]
    if add_features is not None and not _is_identity(add_features, contract):
        steps.insert(0, ("features", DerivedFeatures(add_features, contract.model_dump())))
    pipeline = Pipeline(steps)
    if threshold is None:
        return pipeline
    model = FixedThresholdClassifier(
        FrozenEstimator(pipeline),
        threshold=threshold,
        pos_label=contract.target.positive,
        response_method="predict_proba",
    )
    return model.fit(None, learner.classes_)


def algorithm_of(model: Any) -> str:
    """Name the class of the estimator that predicts, inside what is wrapped around it."""
    if isinstance(model, Pipeline):
        return algorithm_of(model.steps[-1][1])
    inner = {
        FixedThresholdClassifier: "estimator_",
        FrozenEstimator: "estimator",
        Calibrated: "learner_",
    }
    wrapped = inner.get(type(model))
    return type(model).__name__ if wrapped is None else algorithm_of(getattr(model, wrapped))


def _is_identity(add_features: AddFeatures, contract: Contract) -> bool:
    """Return whether the function returns its argument, as it does before a feature is added."""
    rows = pd.DataFrame(columns=list(contract.features))
    try:
        return add_features(rows, contract) is rows
    except Exception:  # a table without rows may be too little for it, but it does something
        return False
