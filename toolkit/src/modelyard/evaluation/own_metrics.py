"""Metrics of a project's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import UsageError, first_line
from modelyard.evaluation.bootstrap import Measure, Weights
from modelyard.modelling.predicting import Floats, Prediction


@dataclass(frozen=True)
class Metric:
    """A metric of a project's own.

    It is measured on the held-out rows and on bootstrap resamples of them, for an interval. A resample
    is made of whole rows, some of them several times: any function of the rows has a right interval,
    not only a mean over rows. The cost is that of the function, a few thousand times: 500 resamples of
    65,000 rows and three models take about a second, and 1,500 calls of the function.

    Attributes:
        function: takes the truth and the prediction of the same rows, returns a number; NaN where the
            metric is not defined on these rows. Truth (rows,): binary, whether the row is of the
            positive class; multiclass, index of its class in the contract; regression, the value. See
            `Prediction` for the other.
        higher_is_better: whether more is better.
    """

    function: Callable[[NDArray[Any], Prediction], float]
    higher_is_better: bool


def own_measure(
    metrics: Mapping[str, Metric], truth: NDArray[Any], prediction: Prediction
) -> Measure:
    """Make the function that gives the metrics for counts of rows (resamples, rows)."""
    every = np.arange(len(truth))

    def at(weights: Weights) -> dict[str, Floats]:
        found = {name: np.empty(len(weights)) for name in metrics}
        for i, counts in enumerate(weights):
            rows = np.repeat(every, counts)
            actual, predicted = truth[rows], prediction.at(rows)
            for name, metric in metrics.items():
                found[name][i] = _value(name, metric, actual, predicted)
        return found

    return at


def _value(name: str, metric: Metric, truth: NDArray[Any], prediction: Prediction) -> float:
    try:
        found = metric.function(truth, prediction)
    except Exception as error:
        raise UsageError(
            f"the metric {name} fails on {len(truth):,} rows: {type(error).__name__}: "
            f"{first_line(error)}. Return float('nan') where it is not defined, such as on rows of a "
            "single class."
        ) from error
    try:
        return float(found)
    except (TypeError, ValueError):
        raise UsageError(f"the metric {name}: expected a number, found {found!r:.80}") from None
