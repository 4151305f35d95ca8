"""Measuring predictions on held-out rows: metrics with intervals, groups and explanations."""

from modelyard.evaluation.held_out import evaluate_model
from modelyard.evaluation.own_metrics import Metric
from modelyard.modelling.predicting import Prediction

__all__ = ["Metric", "Prediction", "evaluate_model"]
