"""Experiments by hand, in the project's own store."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from modelyard.steps import exploration
from modelyard.tracking import local_store, store_uri


def test_an_experiment_by_hand_is_kept_apart_in_the_projects_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "50% [x]?"
    (root / ".mlflow").mkdir(parents=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with exploration(root, "mine"):
        mlflow.log_metric("found", 1.0)
    client = mlflow.MlflowClient(store_uri(local_store(root)))
    experiment = client.get_experiment_by_name("exploration")
    assert experiment.artifact_location.startswith((root / ".mlflow" / "artifacts").as_uri())
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.data.metrics) == ("mine", {"found": 1.0})
    assert run.data.tags["purpose"] == "exploration"
