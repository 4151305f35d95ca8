"""Metric of the collected predictions against the ground truth, period by period."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds

from modelyard.contract.model import Contract
from modelyard.data.parts import target_of
from modelyard.errors import UsageError
from modelyard.evaluation.bootstrap import bootstrap, interval
from modelyard.evaluation.metrics import measure
from modelyard.evaluation.own_metrics import Metric
from modelyard.evidence import plain
from modelyard.releases.collected_answers import predictions_of

CONFIDENCE, RESAMPLES = 0.95, 200


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
    truth, prediction = target_of(joined, contract), predictions_of(joined, contract)
    measured = {"live": measure(contract.kind, truth, prediction, metric, own)}
    found = bootstrap(measured, len(truth), resamples=RESAMPLES, seed=0)
    return interval(found["live"][metric], CONFIDENCE).named("value")
