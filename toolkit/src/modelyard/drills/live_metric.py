"""Metric of the collected predictions against the ground truth, period by period."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
from numpy.typing import NDArray

from modelyard.contract.model import Contract
from modelyard.errors import UsageError
from modelyard.evaluation.bootstrap import bootstrap, interval
from modelyard.evaluation.metrics import directions, measure
from modelyard.evaluation.own_metrics import Metric
from modelyard.evidence import plain
from modelyard.gates import Gates
from modelyard.modelling.predicting import Prediction
from modelyard.yaml_files import did_you_mean

CONFIDENCE, RESAMPLES = 0.95, 200


def metric_of(gates: Gates, contract: Contract, own: Mapping[str, Metric]) -> str:
    """Return the metric that decides about a promotion; `own` are the project's metrics.

    Raises:
        UsageError: conf/gates.yml names none, or an unknown one.
    """
    metric = gates.promotion_of(contract.kind).metric
    known = directions(contract.kind, own)
    if metric not in known:
        raise UsageError(
            f"conf/gates.yml: promotion.{contract.kind}.metric: there is no metric `{metric}`"
            f"{did_you_mean(metric, known)}"
        )
    return metric


def live_metrics(
    contract: Contract, outputs: Path, ground_truth: Path, metric: str, own: Mapping[str, Metric]
) -> dict[str, dict[str, Any]]:
    """Compute the metric of each period, of the deployment that answered the most rows in it.

    Args:
        contract: names the target.
        outputs: `.collected/<endpoint>`.
        ground_truth: folder with a file per period, of the period's name.
        metric: its name.
        own: the project's metrics.

    Returns:
        By period: period, deployment, rows, value, and low and high of its interval.

    Raises:
        UsageError: nothing was collected.
    """
    by_deployment = {
        folder.parent.name: ds.dataset(folder, format="parquet").to_table().to_pandas()
        for folder in sorted(outputs.glob("*/model_outputs"))
        if any(folder.rglob("*.parquet"))
    }
    if not by_deployment:
        raise UsageError(f"{outputs} holds no collected predictions")
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(ground_truth.glob("*.parquet")):
        known = pd.read_parquet(file)
        joined = {
            deployment: known.merge(given, on="correlationid", how="inner")
            for deployment, given in by_deployment.items()
        }
        deployment, rows = max(joined.items(), key=lambda pair: len(pair[1]))
        if len(rows):
            about = {"period": file.stem, "deployment": deployment, "rows": len(rows)}
            found[file.stem] = about | plain(_scored(rows, contract, metric, own))
    return found


def _scored(
    joined: pd.DataFrame, contract: Contract, metric: str, own: Mapping[str, Metric]
) -> dict[str, float]:
    truth, prediction = _as_measured(joined, contract)
    found = bootstrap(
        {"live": measure(contract.kind, truth, prediction, metric, own)},
        len(truth),
        resamples=RESAMPLES,
        seed=0,
    )
    return interval(found["live"][metric], CONFIDENCE).named("value")


def _as_measured(joined: pd.DataFrame, contract: Contract) -> tuple[NDArray[Any], Prediction]:
    """Return truth and predictions in the form that metrics take."""
    target = joined[contract.target.column]
    if contract.kind == "regression":
        score = joined["prediction"].to_numpy(dtype=np.float64)
        return target.to_numpy(dtype=np.float64), Prediction(score, score)
    if contract.kind == "binary":
        positive = contract.target.positive
        label = (joined["prediction"] == positive).to_numpy(dtype=bool)
        return (target == positive).to_numpy(dtype=bool), Prediction(
            joined["probability"].to_numpy(dtype=np.float64), label
        )
    classes = list(contract.target.classes or ())
    index = {value: i for i, value in enumerate(classes)}
    score = np.column_stack(
        [joined[f"probability_{name}"].to_numpy(dtype=np.float64) for name in classes]
    )
    named = joined["prediction"].map(index).to_numpy(dtype=np.int64)
    return target.map(index).to_numpy(dtype=np.int64), Prediction(score, named)
