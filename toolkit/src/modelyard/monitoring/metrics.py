"""Metrics and signals of a monitor: labels, meanings, and what to do on a breach."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """Description of a metric.

    Attributes:
        is_worse_below: a value below the threshold is a breach; otherwise one above it.
    """

    label: str
    meaning: str
    is_worse_below: bool = False


_P_VALUE = (
    "Probability of a difference this large without any drift. Small values mean drift, and with "
    "many rows every small difference gives one."
)
# Azure ML compares the two tests and the NDCG in the same direction, but not the accuracy, precision
# and recall (model_monitor_evaluate_metrics_threshold in github.com/Azure/azureml-assets).
METRICS = {
    "jensen_shannon_distance": Metric(
        "Jensen-Shannon distance",
        "Distance of two distributions: 0 for equal ones, 1 for ones without overlap.",
    ),
    "normalized_wasserstein_distance": Metric(
        "Normalised Wasserstein distance",
        "Mean distance by which values have moved, in standard deviations of the reference.",
    ),
    "population_stability_index": Metric(
        "Population stability index",
        "Change of the shares. Credit scoring calls 0.1 a small shift and 0.25 a large one.",
    ),
    "two_sample_kolmogorov_smirnov_test": Metric(
        "Kolmogorov-Smirnov test", _P_VALUE, is_worse_below=True
    ),
    "pearsons_chi_squared_test": Metric("Chi-squared test", _P_VALUE, is_worse_below=True),
    "null_value_rate": Metric("Missing", "Share of the rows without a value."),
    "data_type_error_rate": Metric(
        "Of another type", "Share of the rows whose value is not of the column's type."
    ),
    "out_of_bounds_rate": Metric(
        "Out of bounds",
        "Share of the rows below the reference's smallest value, above its largest, or with a "
        "category that the reference does not have.",
    ),
    "normalized_discounted_cumulative_gain": Metric(
        "Agreement of the rankings",
        "Normalised discounted cumulative gain (NDCG) of the features, ranked by attribution: 1 for "
        "the order of the reference.",
        is_worse_below=True,
    ),
    "accuracy": Metric("Accuracy", "Share of correct predictions.", is_worse_below=True),
    "precision": Metric(
        "Precision",
        "Of the rows predicted as a class, the share that belongs to it; mean over the classes.",
        is_worse_below=True,
    ),
    "recall": Metric(
        "Recall",
        "Of the rows of a class, the share predicted as it; mean over the classes. Guessing "
        "reaches one divided by the number of classes.",
        is_worse_below=True,
    ),
    "mae": Metric("Mean absolute error", "Mean distance of predictions from the truth."),
    "mse": Metric("Mean squared error", "Mean of the squared errors."),
    "rmse": Metric(
        "Root mean squared error",
        "Typical distance of predictions from the truth, with more weight on large errors.",
    ),
}
BEST_AT_ONE = {"normalized_discounted_cumulative_gain", "accuracy", "precision", "recall"}


class SignalType(NamedTuple):
    """Description of a type of signal."""

    label: str
    question: str
    advice: str


SIGNALS = {
    "data_drift": SignalType(
        "Inputs",
        "Are the inputs distributed as in the training table?",
        "Find the cause of the change. A season or a new market: retrain on newer rows "
        "(mlops run azureml/pipelines/train.yml). A fault upstream: correct it there.",
    ),
    "data_quality": SignalType(
        "Data quality",
        "Are values missing, mistyped or out of bounds?",
        "Usually a fault upstream: ask the owner of the column what changed since then. If the new "
        "values are correct, add them to the contract and retrain.",
    ),
    "prediction_drift": SignalType(
        "Predictions",
        "Are the predictions distributed as in the weeks before?",
        "Look at the inputs first: if one of them drifted as well, it is the cause. If none did, "
        "the relation of inputs and target may have changed; look at the performance.",
    ),
    "feature_attribution_drift": SignalType(
        "Attributions",
        "Are the features ranked as before by their attribution?",
        "The model depends on other columns than when it was evaluated. Look at those that rose, "
        "then retrain.",
    ),
    "model_performance": SignalType(
        "Performance",
        "Are the predictions correct?",
        "Retrain on rows of this window. If the gates refuse the new model, add columns or change "
        "the model; mlops rollback restores the previous champion.",
    ),
}
