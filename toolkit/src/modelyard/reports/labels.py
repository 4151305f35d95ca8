"""Labels, units and explanations of metrics, of figures of groups and of costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from modelyard.reports.wording import number, percent, words


class Metric(NamedTuple):
    """A metric of a model."""

    label: str
    higher_is_better: bool
    meaning: str


class GroupMetric(NamedTuple):
    """A metric of a group of rows."""

    label: str
    meaning: str


class Cost(NamedTuple):
    """A figure of the footprint, measured in bytes, seconds or milliseconds."""

    label: str
    factor: float  # from the measured to the shown unit
    unit: str


METRICS = {
    "roc_auc": Metric(
        "ROC AUC",
        True,
        "How often the model ranks a random positive row above a random negative one: 0.5 is "
        "guessing, 1 is perfect.",
    ),
    "average_precision": Metric(
        "Average precision",
        True,
        "Precision averaged over all thresholds; a model that guesses gets the share of positives.",
    ),
    "f1": Metric("F1", True, "One number for precision and recall: their harmonic mean."),
    "precision": Metric(
        "Precision",
        True,
        "Of the rows the model calls positive, the share that really is.",
    ),
    "recall": Metric(
        "Recall", True, "Of the rows that are positive, the share that the model finds."
    ),
    "accuracy": Metric("Accuracy", True, "Share of rows the model gets right."),
    "balanced_accuracy": Metric(
        "Balanced accuracy",
        True,
        "Recall of every class, averaged: rare classes count as much as common ones.",
    ),
    "macro_f1": Metric("Macro F1", True, "F1 of every class, averaged."),
    "roc_auc_ovr": Metric("ROC AUC, one against rest", True, "ROC AUC of every class, averaged."),
    "log_loss": Metric(
        "Log loss",
        False,
        "Penalty for probabilities that were far from what happened; sure and wrong costs most.",
    ),
    "brier": Metric(
        "Brier score",
        False,
        "Mean squared distance between the predicted probability and what happened.",
    ),
    "r2": Metric(
        "R²",
        True,
        "Share of the target's variation that the model explains: 0 is no better than the mean.",
    ),
    "mae": Metric("Mean absolute error", False, "How far off a prediction is on average."),
    "rmse": Metric(
        "Root mean squared error",
        False,
        "How far off predictions are, with large errors counting more.",
    ),
    "median_absolute_error": Metric(
        "Median absolute error",
        False,
        "Half of the predictions are closer than this.",
    ),
}

GROUP_METRICS = {
    "selection_rate": GroupMetric(
        "Selection rate", "Share of a group's rows that the model calls positive."
    ),
    "true_positive_rate": GroupMetric(
        "True positive rate",
        "Of a group's rows that are positive, the share that the model finds.",
    ),
    "false_positive_rate": GroupMetric(
        "False positive rate",
        "Of a group's rows that are negative, the share that the model flags all the same.",
    ),
    "equalized_odds": GroupMetric(
        "Equalized odds",
        "The larger of the differences in true and in false positive rate.",
    ),
    "accuracy": GroupMetric("Accuracy", "Share of a group's rows the model gets right."),
    "mae": GroupMetric("Mean absolute error", "How far off a prediction is on average."),
    "mean_error": GroupMetric(
        "Mean error",
        "Predicted minus actual, averaged: above zero, a group is predicted too high.",
    ),
}

COSTS = {
    "model_bytes": Cost("Model on disk", 1e-6, "MB"),
    "load_seconds": Cost("Time to load", 1.0, "s"),
    "memory_bytes": Cost("Memory of a process that serves it", 1e-6, "MB"),
    "latency_p50": Cost("One answer, median", 1.0, "ms"),
    "latency_p95": Cost("One answer, 95th percentile", 1.0, "ms"),
}


def metric_label(metric: str) -> str:
    """Return the label of a metric; one that is not known gets its name as words."""
    return METRICS[metric].label if metric in METRICS else words(metric)


def group_metric_label(metric: str) -> str:
    """Return the label of a group's metric; one that is not known gets its name as words."""
    return GROUP_METRICS[metric].label if metric in GROUP_METRICS else words(metric)


def ordered_group_metrics(metrics: Iterable[str]) -> list[str]:
    """Sort metrics of groups as in `GROUP_METRICS`, then by name."""
    order = list(GROUP_METRICS)
    return sorted(metrics, key=lambda n: (order.index(n) if n in order else len(order), n))


def group_figure(metric: str, value: Any) -> str:
    """Write a figure of a group: a share as percent, an error as a number."""
    return number(value) if is_error(metric) else percent(value)


def is_error(metric: str) -> bool:
    """Tell whether a metric of groups is an error in the target's unit, not a share."""
    return metric in ("mae", "mean_error")


def direction(higher_is_better: bool) -> str:
    """Return the words for the direction of a metric."""
    return "Higher is better" if higher_is_better else "Lower is better"
