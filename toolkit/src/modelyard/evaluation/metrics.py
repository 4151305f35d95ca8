"""How good predictions are: metrics, bootstrap intervals, paired differences, calibration, curves.

Every metric is a function of row weights. Weights of one give its value on the rows as they are;
the counts of a bootstrap resample (rows drawn with replacement) give its value on that resample, so
that hundreds of resamples share one sort of the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from modelyard.contract.model import Kind
from modelyard.modelling.predicting import Floats, Prediction

# One row of weights per resample; counts of rows stay integers, which add up ten times faster.
Weights = NDArray[np.int64] | Floats
# Weights (resamples, rows) to the values of every metric (resamples,).
Measure = Callable[[Weights], dict[str, Floats]]

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
BATCH_CELLS = 2_000_000  # weights held at a time, resamples x rows
CURVE_POINTS = 100
MOST_GROUPS = 10  # of a calibration curve
GROUP_ROWS = 20  # fewer say little
# One class against the rest is a ranking of all rows per class and resample. With more classes the
# resamples share one ranking per class, see `_shared_rankings`.
MOST_RANKED_CLASSES = 8


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def named(self, name: str) -> dict[str, float]:
        """As evidence holds it."""
        return {name: self.value, "low": self.low, "high": self.high}


def measure(
    kind: Kind, truth: NDArray[Any], prediction: Prediction, only: str | None = None
) -> Measure:
    """All metrics of a kind of problem, as a function of row weights.

    Args:
        kind: decides which metrics.
        truth: binary, whether a row is positive; multiclass, index of its class; regression,
            the target (rows,).
        prediction: for the same rows.
        only: a metric; others that would cost a ranking of the rows are left out.
    """
    make = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[kind]
    return make(truth, prediction, only)


def values(kind: Kind, truth: NDArray[Any], prediction: Prediction) -> dict[str, float]:
    """Every metric on the rows as they are."""
    ones = np.ones((1, len(truth)), dtype=np.int64)
    return {name: float(found[0]) for name, found in measure(kind, truth, prediction)(ones).items()}


def roc_auc(positive: Weights, negative: Weights) -> float:
    """The Mann-Whitney statistic: the share of pairs of a positive and a negative row in which the
    positive scores higher, ties counting half (Hanley & McNeil 1982, Radiology 143:29).

    Args:
        positive: weight of the positive rows of each distinct score, from the highest down.
        negative: of the negative rows, likewise.

    Returns:
        NaN where all rows are of one class.
    """
    pairs = float(positive.sum()) * float(negative.sum())
    above = np.cumsum(negative) - negative / 2
    return 1 - float((positive * above).sum()) / pairs if pairs > 0 else np.nan


def average_precision(positive: Weights, negative: Weights) -> float:
    """The sum over thresholds of the gain in recall times the precision there, not interpolated
    (Zhu 2004, Recall, precision and average precision, University of Waterloo).

    Args and shapes as for `roc_auc`; NaN where no row is positive.
    """
    found = np.cumsum(positive)
    precision = divided(found, found + np.cumsum(negative), otherwise=0.0)
    return float((positive * precision).sum()) / float(found[-1]) if found[-1] > 0 else np.nan


RANKINGS = {"roc_auc": roc_auc, "average_precision": average_precision}


def ranking(truth: NDArray[Any], score: Floats, names: Sequence[str]) -> Measure:
    """The named metrics of how well a score ranks positive rows (rows,) above the others."""
    order = np.argsort(-score, kind="stable")
    is_positive = truth[order].astype(np.int64)
    starts = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))
    has_ties = len(starts) < len(order)

    def at(weights: Weights) -> dict[str, Floats]:
        found = {name: np.empty(len(weights)) for name in names}
        for i, row in enumerate(weights if names else ()):
            both = row[order]
            positive = both * is_positive
            if has_ties:
                both, positive = np.add.reduceat(both, starts), np.add.reduceat(positive, starts)
            for name in names:
                found[name][i] = RANKINGS[name](positive, both - positive)
        return found

    return at


def _binary(truth: NDArray[Any], prediction: Prediction, only: str | None) -> Measure:
    """Two rankings, and sums over rows.

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
    """Averages over classes give each class the same weight; classes without rows do not count.

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
    """The roc_auc of each class against the rest (resamples, classes), ranked anew per resample."""
    areas = [ranking(truth == i, score[:, i], ["roc_auc"]) for i in range(score.shape[1])]
    return lambda weights: np.column_stack([area(weights)["roc_auc"] for area in areas])


def _shared_rankings(truth: NDArray[Any], score: Floats) -> Callable[[Weights], Floats]:
    """As `_rankings`, with one ranking per class: exact on the rows as they are.

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
    """How many scores are lower than each, and how many are not higher."""
    ordered = np.sort(score)
    return np.searchsorted(ordered, score), np.searchsorted(ordered, score, side="right")


def _regression(truth: NDArray[Any], prediction: Prediction, only: str | None) -> Measure:
    """r2 is the coefficient of determination, 1 - residual / total sum of squares (Draper & Smith
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
    """Weighted median of sorted values; the mean of two where half the weight ends between them."""
    below = np.cumsum(weights)
    half = below[-1] / 2
    low = ordered[np.searchsorted(below, half, side="left")]
    high = ordered[min(np.searchsorted(below, half, side="right"), len(ordered) - 1)]
    return float((low + high) / 2)


def bootstrap(
    measures: Mapping[str, Measure], rows: int, *, resamples: int, seed: int
) -> dict[str, dict[str, Floats]]:
    """Every metric of every model on the rows as they are, then on the same resamples of them.

    Rows are drawn with replacement (Efron & Tibshirani 1993, An Introduction to the Bootstrap).
    All models see the same draws, so that differences between them are paired.

    Returns:
        model, metric, values (1 + resamples,); the first is on the rows as they are.
    """
    random = np.random.default_rng(seed)
    batch = max(1, BATCH_CELLS // max(rows, 1))
    found: dict[str, list[dict[str, Floats]]] = {model: [] for model in measures}
    as_they_are = np.ones((1, rows), dtype=np.int64)
    draws = (
        _drawn(min(batch, resamples - start), rows, random) for start in range(0, resamples, batch)
    )
    # Sums over a few columns are too short for threads, which would mostly wait for each other.
    with threadpool_limits(1, user_api="blas"):
        for weights in chain([as_they_are], draws):
            for model, function in measures.items():
                found[model].append(function(weights))
    return {
        model: {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}
        for model, parts in found.items()
    }


def interval(found: Floats, confidence: float) -> Interval:
    """Percentile interval (Efron & Tibshirani 1993, ch. 13) of what `bootstrap` found.

    Resamples on which the metric is not defined do not count; the value always lies inside.
    """
    value, drawn = float(found[0]), found[1:][~np.isnan(found[1:])]
    if not len(drawn) or np.isnan(value):
        return Interval(value, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, min(float(low), value), max(float(high), value))


def difference(
    challenger: Floats, other: Floats, confidence: float, *, higher_is_better: bool
) -> Interval:
    """How much better the challenger is than another model on the same resamples.

    Positive means better, whatever the metric's direction; identical predictions give exactly 0.
    """
    gain = challenger - other if higher_is_better else other - challenger
    return interval(gain, confidence)


def divided(part: NDArray[Any], whole: NDArray[Any], otherwise: float = np.nan) -> Floats:
    """Element-wise quotient; `otherwise` where the whole is nothing."""
    ratio: Floats = np.divide(part, whole, out=np.full(np.shape(whole), otherwise), where=whole > 0)
    return ratio


def calibration(
    kind: Kind, truth: NDArray[Any], prediction: Prediction, confidence: float
) -> list[dict[str, float]]:
    """Mean prediction against what happened, in up to ten groups of about as many rows each.

    Binary: probability and share of the positive class. Multiclass: probability of the
    predicted class and how often it was right. Shares have Wilson intervals (Wilson 1927,
    J. Am. Stat. Assoc. 22:209). Regression: predicted and actual mean, with the normal
    interval of a mean.
    """
    predicted, observed = _confidence(kind, truth, prediction)
    result = []
    groups = min(MOST_GROUPS, max(2, len(truth) // GROUP_ROWS))
    for rows in _groups(predicted, groups):
        actual = observed[rows]
        if kind == "regression":
            low, high = mean_interval(actual, confidence)
        else:
            low, high = wilson(float(actual.sum()), len(actual), confidence)
        result.append(
            {
                "predicted": float(predicted[rows].mean()),
                "observed": float(actual.mean()),
                "low": low,
                "high": high,
                "rows": len(actual),
            }
        )
    return result


def wilson(hits: float, rows: int, confidence: float) -> tuple[float, float]:
    """Ends of the interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22:209)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, scale = hits / rows, 1 + z**2 / rows
    middle = (share + z**2 / (2 * rows)) / scale
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / scale
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def mean_interval(sample: Floats, confidence: float) -> tuple[float, float]:
    """Ends of the normal interval of a mean; the mean itself for a single row."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    mean = float(sample.mean())
    half = z * float(sample.std(ddof=1)) / np.sqrt(len(sample)) if len(sample) > 1 else 0.0
    return float(mean - half), float(mean + half)


def roc_curve(truth: NDArray[Any], score: Floats) -> list[list[float]]:
    """Share of negatives and of positives flagged, from none to all, at most CURVE_POINTS points.

    Empty for a single class. Kept points are spread evenly along the curve.
    """
    truth = truth.astype(bool)
    if truth.all() or not truth.any():
        return []
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    found = np.append(0, np.cumsum(truth[order])[last_of_tie])
    alarms = np.append(0, np.cumsum(~truth[order])[last_of_tie])
    x, y = alarms / alarms[-1], found / found[-1]
    wanted = np.linspace(0, 2, CURVE_POINTS)
    kept = np.unique(np.clip(np.searchsorted(x + y, wanted - 1e-9), 0, len(x) - 1))
    return [[float(x[i]), float(y[i])] for i in kept]


def confusion(truth: NDArray[Any], label: NDArray[Any], size: int) -> list[list[int]]:
    """Rows are true classes, columns predicted ones (indices below size; others are left out)."""
    known = label >= 0
    cell = truth[known].astype(np.int64) * size + label[known].astype(np.int64)
    counts: list[list[int]] = np.bincount(cell, minlength=size * size).reshape(size, size).tolist()
    return counts


def residuals(truth: Floats, score: Floats, bins: int = 40) -> dict[str, Any]:
    """Histogram and quantiles of actual minus predicted.

    The edges span the middle 99% of rows; what lies beyond is counted in the outer bins.
    """
    error = truth - score
    low, high = np.quantile(error, [0.005, 0.995])
    if not low < high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(error, low, high), bins=bins, range=(low, high))
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    quantiles = dict(zip(map(str, levels), np.quantile(error, levels).tolist(), strict=True))
    return {"edges": edges.tolist(), "counts": counts.tolist(), "quantiles": quantiles}


def _confidence(kind: Kind, truth: NDArray[Any], prediction: Prediction) -> tuple[Floats, Floats]:
    if kind == "multiclass":
        top = prediction.score.argmax(axis=1)
        return prediction.score.max(axis=1), (top == truth).astype(np.float64)
    return prediction.score, truth.astype(np.float64)


def _drawn(resamples: int, rows: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How often each row is drawn (resamples, rows)."""
    picked = (random.integers(0, rows, rows) for _ in range(resamples))
    return np.stack([np.bincount(rows_drawn, minlength=rows) for rows_drawn in picked])


def _groups(predicted: Floats, groups: int) -> list[NDArray[np.int64]]:
    """Row indices of at most `groups` groups by rising prediction; equal ones stay together."""
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, groups + 1)[1:-1]))
    group = np.searchsorted(edges, predicted, side="right")
    found = (np.flatnonzero(group == i) for i in range(len(edges) + 1))
    return [rows for rows in found if len(rows)]


def _surprise(chance: Floats) -> Floats:
    """Negative log of probabilities, kept finite as scikit-learn does."""
    tiny = np.finfo(np.float64).eps
    surprise: Floats = -np.log(np.clip(chance, tiny, 1 - tiny))
    return surprise


def _mean_defined(found: Floats) -> Floats:
    """Mean over the last axis without NaN; NaN where all are."""
    defined = ~np.isnan(found)
    return divided(np.where(defined, found, 0).sum(axis=-1), defined.sum(axis=-1))
