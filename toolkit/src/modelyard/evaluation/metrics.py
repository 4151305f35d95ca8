"""Metrics of each kind of problem, as functions of row weights.

Weights of one give a metric's value on the rows as they are; the counts of a bootstrap resample give
its value on that resample, so that hundreds of resamples share one sort of the scores.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from modelyard.contract.model import Kind
from modelyard.errors import UsageError
from modelyard.evaluation.bootstrap import Measure, Weights
from modelyard.evaluation.own_metrics import Metric, own_measure
from modelyard.modelling.predicting import Floats, Prediction
from modelyard.own_code import load_attribute
from modelyard.yaml_files import did_you_mean

HIGHER_IS_BETTER: dict[Kind, dict[str, bool]] = {
    "binary": {
        "roc_auc": True,
        "average_precision": True,
        "log_loss": False,
        "brier": False,
        "f1": True,
        "precision": True,
        "recall": True,
        "accuracy": True,
    },
    "multiclass": {
        "balanced_accuracy": True,
        "accuracy": True,
        "log_loss": False,
        "macro_f1": True,
        "roc_auc_ovr": True,
    },
    "regression": {
        "r2": True,
        "mae": False,
        "rmse": False,
        "median_absolute_error": False,
    },
}
# One class against the rest is a ranking of all rows per class and resample. With more classes the
# resamples share one ranking per class, see `_shared_rankings`.
MOST_RANKED_CLASSES = 8
METRIC_NAME = re.compile(r"[a-z][a-z0-9_]*")


def load_metrics(module: str | None, kind: Kind) -> dict[str, Metric]:
    """Import a project's metrics of a kind of problem: `METRICS` of a module has them by kind and name.

    Raises:
        UsageError: the module or one of its metrics cannot be used.
    """
    if module is None:
        return {}
    declared = load_attribute(module, "METRICS")
    if not isinstance(declared, Mapping):
        raise UsageError(
            f"{module}: METRICS: expected a dictionary by kind of problem, found {declared!r}"
        )
    for name in declared:
        if name not in get_args(Kind):
            hint = did_you_mean(str(name), get_args(Kind))
            raise UsageError(f"{module}: METRICS: there is no kind of problem {name!r}{hint}")
    metrics = dict(declared.get(kind, {}))
    for name, metric in metrics.items():
        place = f"{module}: METRICS[{kind!r}][{name!r}]"
        if not isinstance(name, str) or not METRIC_NAME.fullmatch(name):
            raise UsageError(f"{place}: expected a name of lower-case letters, digits and _")
        if name in HIGHER_IS_BETTER[kind]:
            raise UsageError(f"{place}: {kind} problems have a metric of this name; choose another")
        if not isinstance(metric, Metric) or not callable(metric.function):
            raise UsageError(
                f"{place}: expected a Metric of modelyard.evaluation, found {metric!r}"
            )
    return metrics


def directions(kind: Kind, own: Mapping[str, Metric] | None = None) -> dict[str, bool]:
    """Return whether more is better, by metric: those of a kind of problem, then the project's own."""
    return HIGHER_IS_BETTER[kind] | {n: one.higher_is_better for n, one in (own or {}).items()}


def measure(
    kind: Kind,
    truth: NDArray[Any],
    prediction: Prediction,
    only: str | None = None,
    own: Mapping[str, Metric] | None = None,
) -> Measure:
    """Make the function that gives all metrics of a kind of problem for row weights.

    Args:
        kind: decides which metrics.
        truth: binary, whether a row is positive; multiclass, index of its class; regression,
            the target (rows,).
        prediction: for the same rows.
        only: a metric; others that would cost a ranking of the rows are left out.
        own: the project's metrics.
    """
    make = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[kind]
    built_in = make(truth, prediction, only)
    chosen = {name: one for name, one in (own or {}).items() if only in (None, name)}
    if not chosen:
        return built_in
    added = own_measure(chosen, truth, prediction)
    return lambda weights: built_in(weights) | added(weights)


def values(
    kind: Kind,
    truth: NDArray[Any],
    prediction: Prediction,
    own: Mapping[str, Metric] | None = None,
) -> dict[str, float]:
    """Compute every metric on the rows as they are."""
    ones = np.ones((1, len(truth)), dtype=np.int64)
    found = measure(kind, truth, prediction, own=own)(ones)
    return {name: float(drawn[0]) for name, drawn in found.items()}


@dataclass(frozen=True)
class Ranks:
    """How much weight stands where, for each positive row from the highest score down (positive rows,).

    Attributes:
        weight: of the row.
        negatives: of all negative rows.
        above: of the negative rows that score higher.
        reached: of those that do not score lower.
        found: of the positive rows that do not score lower.
    """

    weight: Weights
    negatives: float
    above: Weights
    reached: Weights
    found: Weights


def roc_auc(ranks: Ranks) -> float:
    """Compute the Mann-Whitney statistic: the share of pairs of a positive and a negative row in which the
    positive scores higher, ties counting half (Hanley & McNeil 1982, Radiology 143:29).

    Returns:
        NaN where all rows are of one class.
    """
    pairs = float(ranks.weight.sum()) * ranks.negatives
    lost = float(ranks.weight @ ranks.above + ranks.weight @ ranks.reached) / 2
    return 1 - lost / pairs if pairs > 0 else np.nan


def average_precision(ranks: Ranks) -> float:
    """Compute the sum over thresholds of the gain in recall times the precision there, not interpolated
    (Zhu 2004, Recall, precision and average precision, University of Waterloo).

    Returns:
        NaN where no row is positive.
    """
    positives = float(ranks.weight.sum())
    precision = divided(ranks.found, ranks.found + ranks.reached, otherwise=0.0)
    return float(ranks.weight @ precision) / positives if positives > 0 else np.nan


RANKINGS = {"roc_auc": roc_auc, "average_precision": average_precision}


def ranking(truth: NDArray[Any], score: Floats, names: Sequence[str]) -> Measure:
    """Make the function that measures how well a score ranks positive rows above the others."""
    order = np.argsort(-score, kind="stable")
    is_positive = truth[order].astype(bool)
    positive, negative = order[is_positive], order[~is_positive]
    higher, others = -score[positive], -score[negative]
    above = np.searchsorted(others, higher, side="left")
    reached = np.searchsorted(others, higher, side="right")
    found = np.searchsorted(higher, higher, side="right") - 1

    def at(weights: Weights) -> dict[str, Floats]:
        result = {name: np.empty(len(weights)) for name in names}
        for i, row in enumerate(weights if names else ()):
            weight, passed = row[positive], np.append(0, np.cumsum(row[negative]))
            ranks = Ranks(
                weight, float(passed[-1]), passed[above], passed[reached], np.cumsum(weight)[found]
            )
            for name in names:
                result[name][i] = RANKINGS[name](ranks)
        return result

    return at


def _binary(truth: NDArray[Any], prediction: Prediction, only: str | None) -> Measure:
    """Make the function of the metrics of two classes: two rankings, and sums over rows.

    log_loss is the mean negative log-likelihood (Good 1952, J. R. Stat. Soc. B 14:107), brier
    the mean squared error of the probability (Brier 1950, Mon. Weather Rev. 78:1), f1 the
    harmonic mean of precision and recall (van Rijsbergen 1979, Information Retrieval).
    Precision is 0 where nothing is flagged; recall and f1 are NaN where nothing could be found.
    """
    truth = truth.astype(bool)
    label = prediction.label.astype(bool)
    ranked = ranking(truth, prediction.score, [n for n in RANKINGS if only in (None, n)])
    chance = np.where(truth, prediction.score, 1 - prediction.score)
    per_row = np.column_stack(
        [
            np.ones(len(truth)),
            _surprise(chance),
            (1 - chance) ** 2,
            truth & label,
            ~truth & label,
            truth & ~label,
        ]
    ).astype(np.float64)

    def at(weights: Weights) -> dict[str, Floats]:
        total, surprise, squares, hits, alarms, misses = (weights @ per_row).T
        return {
            **ranked(weights),
            "log_loss": surprise / total,
            "brier": squares / total,
            "f1": divided(2 * hits, 2 * hits + alarms + misses),
            "precision": divided(hits, hits + alarms, otherwise=0.0),
            "recall": divided(hits, hits + misses),
            "accuracy": 1 - (alarms + misses) / total,
        }

    return at


def _multiclass(truth: NDArray[Any], prediction: Prediction, only: str | None) -> Measure:
    """Make the function of the metrics of many classes; averages are over classes that have rows.

    balanced_accuracy is the mean recall (Brodersen et al. 2010, ICPR), macro_f1 the mean f1
    (Sokolova & Lapalme 2009, Inf. Process. Manag. 45:427), roc_auc_ovr the mean roc_auc of each
    class against the rest (Provost & Domingos 2001), log_loss as for two classes.
    """
    rows, size = prediction.score.shape
    surprise = _surprise(prediction.score[np.arange(rows), truth])
    # Rows and columns are true and predicted classes; the last column is "some other class".
    cell = truth * (size + 1) + np.where(prediction.label < 0, size, prediction.label)
    areas: Callable[[Weights], Floats] | None = None
    if only in (None, "roc_auc_ovr"):
        make = _rankings if size <= MOST_RANKED_CLASSES else _shared_rankings
        areas = make(truth, prediction.score)

    def at(weights: Weights) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        flat = [np.bincount(cell, row, size * (size + 1)) for row in weights]
        confusion = np.reshape(flat, (-1, size, size + 1))
        actual = confusion.sum(axis=2)
        predicted = confusion[:, :, :size].sum(axis=1)
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        result = {
            "balanced_accuracy": _mean_defined(divided(hits, actual)),
            "accuracy": hits.sum(axis=1) / total,
            "log_loss": weights @ surprise / total,
            "macro_f1": _mean_defined(divided(2 * hits, actual + predicted)),
        }
        if areas is not None:
            result["roc_auc_ovr"] = _mean_defined(areas(weights))
        return result

    return at


def _rankings(truth: NDArray[Any], score: Floats) -> Callable[[Weights], Floats]:
    """Make the function of the roc_auc of each class against the rest (resamples, classes)."""
    areas = [ranking(truth == i, score[:, i], ["roc_auc"]) for i in range(score.shape[1])]
    return lambda weights: np.column_stack([area(weights)["roc_auc"] for area in areas])


def _shared_rankings(truth: NDArray[Any], score: Floats) -> Callable[[Weights], Floats]:
    """Make the function as `_rankings` does, with one ranking per class: exact on the rows as they are.

    On resamples the area is the mean placement of the drawn positive rows among all negative ones
    plus that of the drawn negative rows among all positive ones, less the area (the structural
    components of DeLong et al. 1988, Biometrics 44:837). What is left out is of order 1/rows.
    """
    rows, size = score.shape
    # What a row adds when it is drawn: as a positive of its own class, a negative of the others.
    own, other = np.zeros(rows), np.zeros((rows, size))
    whole = np.full(size, np.nan)
    for i in range(size):
        positive = truth == i
        found = int(positive.sum())
        if not 0 < found < rows:
            continue
        lower, upper = _below(score[:, i])
        low, high = _below(score[positive, i])
        own[positive] = (lower[positive] + upper[positive] - low - high) / 2 / (rows - found)
        ordered = np.sort(score[positive, i])
        rest = score[~positive, i]
        above = 2 * found - np.searchsorted(ordered, rest) - np.searchsorted(ordered, rest, "right")
        other[~positive, i] = above / 2 / found
        whole[i] = own[positive].mean()

    def at(weights: Weights) -> Floats:
        drawn = weights.astype(np.float64)
        total = drawn.sum(axis=1, keepdims=True)
        positives = np.stack([np.bincount(truth, row, size) for row in drawn])
        hits = np.stack([np.bincount(truth, row * own, size) for row in drawn])
        placed = divided(hits, positives) + divided(drawn @ other, total - positives)
        areas: Floats = np.clip(placed - whole, 0, 1)
        return areas

    return at


def _below(score: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the scores that are lower than each, and those that are not higher."""
    ordered = np.sort(score)
    return np.searchsorted(ordered, score), np.searchsorted(ordered, score, side="right")


def _regression(truth: NDArray[Any], prediction: Prediction, only: str | None) -> Measure:
    """Make the function of the metrics of numbers.

    r2 is the coefficient of determination, 1 - residual / total sum of squares (Draper & Smith
    1998, Applied Regression Analysis); mae, rmse and median_absolute_error are in the target's
    unit, the median half-way between the two middle rows. r2 is NaN where the target is constant.
    """
    error = np.abs(truth - prediction.score)
    # Centred, so that large targets with a small spread do not cancel.
    centred = truth - truth.mean() if len(truth) else truth
    per_row = np.column_stack([np.ones(len(truth)), error, error**2, centred, centred**2])
    order = np.argsort(error, kind="stable")
    ordered = error[order]

    def at(weights: Weights) -> dict[str, Floats]:
        total, absolute, squares, target, target_squares = (weights @ per_row).T
        spread = target_squares - target**2 / total
        result = {
            "r2": 1 - divided(squares, np.where(spread > 1e-12 * target_squares, spread, 0)),
            "mae": absolute / total,
            "rmse": np.sqrt(squares / total),
        }
        if only in (None, "median_absolute_error"):
            medians = [_median(ordered, row[order]) for row in weights]
            result["median_absolute_error"] = np.array(medians)
        return result

    return at


def _median(ordered: Floats, weights: Weights) -> float:
    """Compute the weighted median of sorted values; of two where half the weight ends between them."""
    below = np.cumsum(weights)
    half = below[-1] / 2
    low = ordered[np.searchsorted(below, half, side="left")]
    high = ordered[min(np.searchsorted(below, half, side="right"), len(ordered) - 1)]
    return float((low + high) / 2)


def divided(part: NDArray[Any], whole: NDArray[Any], otherwise: float = np.nan) -> Floats:
    """Divide element by element; `otherwise` where the whole is 0."""
    ratio: Floats = np.divide(part, whole, out=np.full(np.shape(whole), otherwise), where=whole > 0)
    return ratio


def _surprise(chance: Floats) -> Floats:
    """Compute the negative log of probabilities, kept finite as scikit-learn does."""
    tiny = np.finfo(np.float64).eps
    surprise: Floats = -np.log(np.clip(chance, tiny, 1 - tiny))
    return surprise


def _mean_defined(found: Floats) -> Floats:
    """Average over the last axis without NaN; NaN where all are."""
    defined = ~np.isnan(found)
    return divided(np.where(defined, found, 0).sum(axis=-1), defined.sum(axis=-1))
