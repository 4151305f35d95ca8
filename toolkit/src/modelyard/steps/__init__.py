"""Steps of the pipeline, a module per component."""

from modelyard.steps.own import step
from modelyard.steps.parts import prepared_parts
from modelyard.steps.train import Fitted, training_step

__all__ = ["Fitted", "prepared_parts", "step", "training_step"]
