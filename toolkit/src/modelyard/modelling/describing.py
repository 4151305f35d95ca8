"""Words about a fitted model, taken from the model."""

from __future__ import annotations

import inspect
from typing import Any

INSIDE = ("estimator", "estimator_", "regressor_", "learner_")  # of what wraps another


def described(model: Any) -> str:
    """Describe a model's learner by its own documentation, class and package.

    What only wraps it is looked through: a pipeline (the steps before the last one change its input), a
    threshold, a calibration.
    """
    while True:
        inner = next((getattr(model, name) for name in INSIDE if _is_fitted(model, name)), None)
        if getattr(model, "steps", None):
            inner = model.steps[-1][1]
        if inner is None:
            break
        model = inner
    kind = type(model)
    said = (inspect.getdoc(kind) or "").partition("\n\n")[0].partition(". ")[0]
    name = f"{kind.__name__} of {kind.__module__.partition('.')[0]}"
    return f"{' '.join(said.split()).rstrip('.')} ({name})" if said else name


def _is_fitted(model: Any, name: str) -> bool:
    """Tell whether an attribute is another model; an ensemble's template is not what predicts."""
    return hasattr(getattr(model, name, None), "predict") and not hasattr(model, "estimators_")
