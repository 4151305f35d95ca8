"""The steps of the pipeline, one module per component: its command line and one call."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelyard.steps.exploring import exploration
    from modelyard.steps.own import step
    from modelyard.steps.parts import prepared_parts
    from modelyard.steps.train import Fitted, training_step

__all__ = ["Fitted", "exploration", "prepared_parts", "step", "training_step"]

_MODULES = {
    "Fitted": "train",
    "exploration": "exploring",
    "prepared_parts": "parts",
    "step": "own",
    "training_step": "train",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is used: `prepare` then does not wait for scikit-learn."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
