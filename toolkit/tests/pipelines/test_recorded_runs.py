"""A run in MLflow: its purpose, commit, steps, evidence and data set."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from modelyard.files import write_json
from modelyard.pipelines.record import record
from modelyard.pipelines.run import run_pipeline
from modelyard.pipelines.store import StepState, new_run

from tests.evidence_samples import binary


@pytest.fixture
def client(pipeline: Path, empty_store: Path) -> MlflowClient:
    """The small project's own MLflow."""
    folder = pipeline.parents[2] / ".mlflow"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def runs_of(client: MlflowClient, experiment: str) -> dict[str, Any]:
    """The parent run under "", its children under their steps' names."""
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    return {run.data.tags.get("mlops.step", ""): run for run in runs}


@pytest.mark.parametrize(
    ("experiment", "purpose"), [(None, "retraining"), ("an-idea", "exploration")]
)
def test_a_run_tells_retraining_from_exploration_and_names_its_commit(
    client: MlflowClient,
    pipeline: Path,
    monkeypatch: pytest.MonkeyPatch,
    experiment: str | None,
    purpose: str,
) -> None:
    monkeypatch.setattr("modelyard.pipelines.run.commit_of", lambda root: ("c0ffee-dirty", b"+1"))
    text = pipeline.read_text(encoding="utf-8")
    text = text.replace("inputs:\n", "tags: {purpose: retraining}\ninputs:\n", 1)
    pipeline.write_text(text, encoding="utf-8")
    run_pipeline(pipeline, experiment=experiment)
    runs = runs_of(client, experiment or "tests")
    assert set(runs) == {"", "first", "left", "right"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parent = runs.pop("")
    assert parent.data.tags["purpose"] == purpose
    assert parent.data.tags["mlflow.source.git.commit"] == "c0ffee-dirty"
    assert client.list_artifacts(parent.info.run_id, "code")[0].path == "code/uncommitted.patch"
    assert {r.data.tags["mlflow.parentRunId"] for r in runs.values()} == {parent.info.run_id}


def test_a_script_finds_the_store_that_its_mlflow_would_make_beside_the_recorders(
    azureml: Path,
) -> None:
    text = 'command: test -f "${MLFLOW_TRACKING_URI#sqlite:///}"\nenvironment: azureml:x@latest\n'
    (azureml / "p.yml").write_text(text)
    run_pipeline(azureml / "p.yml")


def test_evidence_becomes_metrics_parameters_and_the_data_set_of_the_run(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/.mlflow/mlflow.db")
    evidence = binary(champion=False)
    run = new_run(tmp_path / ".runs", "train", "training", {})
    for step, kind in (("prepare", "data"), ("train", "training"), ("assess", "evaluation")):
        run.state.steps[step] = StepState("completed", started=1.0, finished=2.0, exit_code=0)
        write_json(run.path / step / kind / f"{kind}.json", evidence[kind])
    run.state.status, run.state.finished = "completed", 3.0
    run.save()
    record(run.path)
    runs = runs_of(client, "training")
    for name in ("", "prepare"):
        [seen] = runs[name].inputs.dataset_inputs
        assert evidence["data"]["details"]["digest"].startswith(seen.dataset.digest)
        assert [(tag.key, tag.value) for tag in seen.tags] == [("mlflow.data.context", "training")]
    measured = evidence["evaluation"]["metrics"]
    assert runs[""].data.metrics.items() >= measured.items()
    assert runs["assess"].data.metrics == pytest.approx(measured)
    for key, value in evidence["training"]["params"].items():
        assert runs[""].data.params[f"training.{key}"] == str(value)
        assert runs["train"].data.params[f"training.{key}"] == str(value)
