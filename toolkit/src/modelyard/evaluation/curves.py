"""Calibration, ROC curves, confusion matrices and residuals, as the report draws them."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.contract.model import Kind
from modelyard.modelling.predicting import Floats, Prediction

CURVE_POINTS = 100
MOST_GROUPS = 10  # of a calibration curve
GROUP_ROWS = 20  # fewer say little
BINS = 40  # of a histogram


def calibration(
    kind: Kind, truth: NDArray[Any], prediction: Prediction, confidence: float
) -> list[dict[str, float]]:
    """Compute the calibration curve, in up to ten groups of about as many rows each.

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
    """Compute the Wilson interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22:209)."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, scale = hits / rows, 1 + z**2 / rows
    middle = (share + z**2 / (2 * rows)) / scale
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2)) / scale
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def mean_interval(sample: Floats, confidence: float) -> tuple[float, float]:
    """Compute the normal interval of a mean; the mean itself for a single row."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    mean = float(sample.mean())
    half = z * float(sample.std(ddof=1)) / np.sqrt(len(sample)) if len(sample) > 1 else 0.0
    return float(mean - half), float(mean + half)


def roc_curve(truth: NDArray[Any], score: Floats) -> list[list[float]]:
    """Compute the ROC curve: false and true positive rates, at most CURVE_POINTS points.

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
    """Count rows by true (row) and predicted class (column); indices below `size`, others left out."""
    known = label >= 0
    cell = truth[known].astype(np.int64) * size + label[known].astype(np.int64)
    counts: list[list[int]] = np.bincount(cell, minlength=size * size).reshape(size, size).tolist()
    return counts


def residuals(truth: Floats, score: Floats) -> dict[str, Any]:
    """Compute histogram and quantiles of actual minus predicted.

    The edges span the middle 99% of rows; what lies beyond is counted in the outer bins.
    """
    error = truth - score
    low, high = np.quantile(error, [0.005, 0.995])
    if not low < high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(error, low, high), bins=BINS, range=(low, high))
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    quantiles = dict(zip(map(str, levels), np.quantile(error, levels).tolist(), strict=True))
    return {"edges": edges.tolist(), "counts": counts.tolist(), "quantiles": quantiles}


def _confidence(kind: Kind, truth: NDArray[Any], prediction: Prediction) -> tuple[Floats, Floats]:
    if kind == "multiclass":
        top = prediction.score.argmax(axis=1)
        return prediction.score.max(axis=1), (top == truth).astype(np.float64)
    return prediction.score, truth.astype(np.float64)


def _groups(predicted: Floats, groups: int) -> list[NDArray[np.int64]]:
    """Divide rows into at most `groups` groups by rising prediction; equal ones stay together."""
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, groups + 1)[1:-1]))
    group = np.searchsorted(edges, predicted, side="right")
    found = (np.flatnonzero(group == i) for i in range(len(edges) + 1))
    return [rows for rows in found if len(rows)]
