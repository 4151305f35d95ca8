"""Experiments by hand, apart from the runs that train what is served."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard.pipelines.record import ensure_experiment
from modelyard.tracking import MLFLOW_SETTINGS, ensure_store, tracking_uri

EXPERIMENT = "exploration"


@contextmanager
def exploration(root: Path, name: str) -> Iterator[None]:
    """Log to a run of the MLflow experiment `exploration` what MLflow is given inside the block.

    Args:
        root: the project, whose store it is unless MLFLOW_TRACKING_URI names another.
        name: of the run.

    Raises:
        UsageError: the project was moved, and `mlops relocate` has not followed.
    """
    uri = tracking_uri(root)
    os.environ.update({**MLFLOW_SETTINGS, **os.environ, "MLFLOW_TRACKING_URI": uri})
    import mlflow

    ensure_store(uri)
    mlflow.set_tracking_uri(uri)
    experiment = ensure_experiment(mlflow.MlflowClient(), EXPERIMENT, root)
    with mlflow.start_run(experiment_id=experiment, run_name=name):
        mlflow.set_tag("purpose", EXPERIMENT)
        yield
