"""Reads evidence for the report: what is missing, null or of the wrong type is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from modelyard.reports.kinds import KINDS
from modelyard.reports.wording import estimate, finite, number, percent, text

Rows = list[dict[str, Any]]


Section = dict[str, Any]


MODELS = ("challenger", "champion", "baseline")


# name: (label, higher is better, in plain words)
METRICS: dict[str, tuple[str, bool, str]] = {
    "roc_auc": (
        "ROC AUC",
        True,
        "How often the model ranks a random positive row above a random negative one: 0.5 is a "
        "coin, 1 is perfect.",
    ),
    "average_precision": (
        "Average precision",
        True,
        "Precision averaged over all thresholds; a model that guesses gets the share of positives.",
    ),
    "f1": ("F1", True, "One number for precision and recall: their harmonic mean."),
    "precision": (
        "Precision",
        True,
        "Of the rows the model calls positive, the share that really is.",
    ),
    "recall": ("Recall", True, "Of the rows that are positive, the share that the model finds."),
    "accuracy": ("Accuracy", True, "Share of rows the model gets right."),
    "balanced_accuracy": (
        "Balanced accuracy",
        True,
        "Recall of every class, averaged: rare classes count as much as common ones.",
    ),
    "macro_f1": ("Macro F1", True, "F1 of every class, averaged."),
    "roc_auc_ovr": ("ROC AUC, one against rest", True, "ROC AUC of every class, averaged."),
    "log_loss": (
        "Log loss",
        False,
        "Penalty for probabilities that were far from what happened; sure and wrong costs most.",
    ),
    "brier": (
        "Brier score",
        False,
        "Mean squared distance between the predicted probability and what happened.",
    ),
    "r2": (
        "R²",
        True,
        "Share of the target's variation that the model explains: 0 is no better than the mean.",
    ),
    "mae": ("Mean absolute error", False, "How far off a prediction is on average."),
    "rmse": (
        "Root mean squared error",
        False,
        "How far off predictions are, with large errors counting more.",
    ),
    "median_absolute_error": (
        "Median absolute error",
        False,
        "Half of the predictions are closer than this.",
    ),
}


# Figures of a group of rows: (label, in plain words).
GROUP_METRICS: dict[str, tuple[str, str]] = {
    "selection_rate": ("Selection rate", "Share of a group's rows that the model calls positive."),
    "true_positive_rate": (
        "True positive rate",
        "Of a group's rows that are positive, the share that the model finds.",
    ),
    "false_positive_rate": (
        "False positive rate",
        "Of a group's rows that are negative, the share that the model flags all the same.",
    ),
    "equalized_odds": (
        "Equalized odds",
        "The larger of the differences in true and in false positive rate.",
    ),
    "accuracy": ("Accuracy", "Share of a group's rows the model gets right."),
    "mae": ("Mean absolute error", "How far off a prediction is on average."),
    "mean_error": (
        "Mean error",
        "Predicted minus actual, averaged: above zero, a group is predicted too high.",
    ),
}


# Figures of the footprint: (label, where it is, what a unit is worth, unit).
COSTS: dict[str, tuple[str, float, str]] = {
    "model_bytes": ("Model on disk", 1e-6, "MB"),
    "load_seconds": ("Time to load", 1.0, "s"),
    "memory_bytes": ("Memory of a process that serves it", 1e-6, "MB"),
    "latency_p50": ("One answer, median", 1.0, "ms"),
    "latency_p95": ("One answer, 95th percentile", 1.0, "ms"),
}


class Estimate(NamedTuple):
    """A figure and its interval, whose ends may be unknown."""

    value: float
    low: float | None = None
    high: float | None = None


class Facts(NamedTuple):
    """What several sections need to know."""

    quality: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any]
    evaluation: dict[str, Any]
    fairness: dict[str, Any]
    footprint: dict[str, Any]
    importance: dict[str, Any]
    decision: dict[str, Any]
    envelopes: dict[str, dict[str, Any]]
    kind: str
    target: str
    positive: str
    primary: str
    champion: str
    interval: str

    def higher_is_better(self, metric: str) -> bool:
        """Say whether more of a metric is better."""
        said = mapping(self.evaluation, "higher_is_better").get(metric)
        return said if isinstance(said, bool) else METRICS.get(metric, ("", True))[1]

    def model_label(self, model: str) -> str:
        """Name a model as the report does."""
        return self.champion if model == "champion" else model.capitalize()

    def models(self) -> dict[str, dict[str, Estimate]]:
        """Return the metrics of each model that has any, in the order of `MODELS`."""
        given = mapping(self.evaluation, "models")
        found = {model: as_estimates(given.get(model)) for model in MODELS}
        if not found["challenger"]:
            found["challenger"] = as_estimates(mapping(self.envelopes["evaluation"], "metrics"))
        return {model: metrics for model, metrics in found.items() if metrics}

    def differences(self, model: str) -> dict[str, Estimate]:
        """Return how much better than `model` the challenger is, by metric."""
        return as_estimates(mapping(self.evaluation, "comparisons").get(model), "difference")

    def amount(self, value: Any) -> str:
        """Write a mean of the target: a share for a class, else a number."""
        return number(value) if self.kind == "regression" else percent(value)


def gather(envelopes: dict[str, dict[str, Any]]) -> Facts:
    """Collect what several sections need, from evidence by kind."""
    details = {
        kind: mapping(envelopes.get(kind, {}), "details") for kind in KINDS if kind != "sweep"
    }
    evaluation, decision = details["evaluation"], details["decision"]
    problem = mapping(evaluation, "problem")
    targets = [c.get("name") for c in records(details["quality"].get("columns")) if _is_target(c)]
    target = problem.get("target") or next(iter(targets), None)
    champion = {**mapping(evaluation, "champion"), **mapping(decision, "champion")}
    version = champion.get("version")
    confidence = finite(mapping(envelopes.get("evaluation", {}), "params").get("confidence"))
    if confidence is None:
        confidence = _numeric_text(mapping(envelopes.get("evaluation", {}), "params"), "confidence")
    return Facts(
        **details,
        envelopes={kind: envelopes.get(kind, {}) for kind in details},
        kind=str(problem.get("kind") or ""),
        target=text(target, 80) if target is not None else "",
        positive=text(problem["positive"], 60) if problem.get("positive") is not None else "",
        primary=str(evaluation.get("primary") or decision.get("metric") or ""),
        champion=f"Champion {text(version, 30)}" if version is not None else "Champion",
        interval=f"{number(confidence * 100)}% interval" if confidence else "interval",
    )


def metric_label(metric: str) -> str:
    """Name a metric as people do."""
    return METRICS[metric][0] if metric in METRICS else words(metric)


def direction(higher: bool) -> str:
    """Say which way is better."""
    return "Higher is better" if higher else "Lower is better"


def outcome(difference: Estimate) -> tuple[str, str]:
    """Name a difference and its tone: better or worse only if the interval excludes zero."""
    low = difference.value if difference.low is None else difference.low
    high = difference.value if difference.high is None else difference.high
    if low > 0:
        return "better", "good"
    return ("worse", "bad") if high < 0 else ("no clear difference", "calm")


def signed_estimate(difference: Estimate) -> tuple[str, str]:
    """Write a difference and its interval, with a sign."""
    return estimate(*difference, digits=2, sign=True)


def as_estimates(given: Any, key: str = "value") -> dict[str, Estimate]:
    """Read figures by name; see `as_estimate`."""
    found = {name: as_estimate(value, key) for name, value in as_mapping(given).items()}
    return {name: value for name, value in found.items() if value is not None}


def as_estimate(given: Any, key: str = "value") -> Estimate | None:
    """Read a figure written as a number or as {key, low, high}; None if there is no number."""
    parts = given if isinstance(given, dict) else {key: given}
    value = finite(parts.get(key))
    if value is None:
        return None
    return Estimate(value, finite(parts.get("low")), finite(parts.get("high")))


def words(name: str) -> str:
    """Write a snake_case name as words."""
    words = text(str(name).replace("_", " "))
    return words[:1].upper() + words[1:]


def lowered(label: str) -> str:
    """Write a label as it stands inside a sentence; an abbreviation stays as it is."""
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def _is_target(column: Mapping[str, Any]) -> bool:
    return column.get("role") == "target"


def _numeric_text(params: Mapping[str, Any], key: str) -> float | None:
    """Read a number that was logged as text, as MLflow does with parameters."""
    try:
        return finite(float(str(params.get(key))))
    except ValueError:
        return None


def mapping(content: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """Follow names down to a mapping; empty if there is none."""
    found: Any = content
    for name in path:
        found = as_mapping(found).get(name)
    return as_mapping(found)


def as_mapping(value: Any) -> dict[str, Any]:
    """Return a mapping as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """Return a list as it is, anything else as an empty one."""
    return value if isinstance(value, list) else []


def records(value: Any) -> Rows:
    """Return the mappings of a list."""
    return [row for row in listed(value) if isinstance(row, dict)]


_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def tidy(value: Any) -> Any:
    """Copy JSON-like content without what a page cannot hold: odd characters, NaN, infinity."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {str(tidy(key)): tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tidy(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if finite(value) is not None else None
    return _UNPRINTABLE.sub("\ufffd", str(value))
