"""Metrics of the project's own, reported with an interval beside the built-in ones.

A metric is a function of the truth and the prediction of the same rows:

    def cost(truth: NDArray[np.bool_], prediction: Prediction) -> float:
        "Compute the mean cost of a row: a missed case costs as much as ten false alarms."
        missed, alarms = truth & ~prediction.label, ~truth & prediction.label
        return float(10 * missed.mean() + alarms.mean())

    METRICS = {"binary": {"cost": Metric(cost, higher_is_better=False)}}

Named as `promotion.<kind>.metric` in conf/gates.yml, it decides which model is promoted.
"""

from __future__ import annotations

from modelyard.evaluation import Metric

METRICS: dict[str, dict[str, Metric]] = {}
