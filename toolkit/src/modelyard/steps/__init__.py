"""The steps of the pipeline, one module per component: its command line and one call."""

from modelyard.steps.own import step
from modelyard.steps.train import Fitted, training_step

__all__ = ["Fitted", "step", "training_step"]
