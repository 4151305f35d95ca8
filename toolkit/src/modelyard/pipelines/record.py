"""Logs a run to MLflow while it runs: a parent run, and a child run per step.

It is a process of its own that reads the evidence files of the steps, so a slow or absent tracking
server delays no step. mlflow.json in the run folder says what was logged, so a resumed run continues
its MLflow run. On Azure ML the service creates the runs, and steps log into them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.errors import UsageError
from modelyard.evidence import mlflow_entities
from modelyard.files import has_file, read_json, write_json, write_text
from modelyard.pipelines.commit import PATCH
from modelyard.pipelines.store import PIPELINE_TAG, RunFolder, StepState, all_runs, open_run
from modelyard.sweeps.record_trials import end_left_over, log_trials
from modelyard.tracking import (
    MLFLOW_SETTINGS,
    ensure_store,
    local_store,
    reason,
    shown_uri,
    store_file,
    store_uri,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from modelyard.pipelines.warm import Running

GAVE_UP = "mlflow-failed.txt"
_BATCH = 1000  # metrics in one call
_PAUSE = 0.1
_PATIENCE = 60.0  # seconds, for the recorder to begin


@dataclass
class Recorded:
    """What MLflow has of a run; `abandoned` where it was marked as killed."""

    experiment: str
    parent: str
    steps: dict[str, str] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)
    trials: dict[str, dict[str, Any]] = field(default_factory=dict)
    abandoned: bool = False


def record(folder: Path) -> None:
    """Log a run until it has ended, or until its runner has."""
    from mlflow.tracking import MlflowClient

    ensure_store(tracking_uri())
    client = MlflowClient()
    runner = os.getppid()
    recorded: Recorded | None = None
    while os.getppid() == runner:
        run = open_run(folder)
        if run is None:
            return
        if recorded is None:
            recorded = _open(client, run)
            close_abandoned(client, folder.parent)
        _log_changes(client, run, recorded)
        if run.state.status != "running":
            end_left_over(client, recorded.trials)
            client.set_terminated(
                recorded.parent,
                status={"completed": "FINISHED", "failed": "FAILED"}.get(
                    run.state.status, "KILLED"
                ),
                end_time=_milliseconds(run.state.finished),
            )
            return
        time.sleep(_PAUSE)


def await_store(store: str, recorder: Running | None) -> None:
    """Wait until the recorder has made an embedded store, before a step's own MLflow makes it as well.

    Args:
        store: its address.
        recorder: the process that calls `record`.
    """
    while recorder and store.startswith("sqlite:///") and not has_file(store_file(store)):
        if recorder.poll() is not None:
            return
        time.sleep(_PAUSE)


def close_abandoned(client: MlflowClient, runs: Path) -> list[str]:
    """Mark runs as killed in MLflow that were killed and have not been resumed.

    A run that is resumed later gets the status of a running one again.

    Returns:
        Ids of the runs that were marked.
    """
    return [run.state.id for run in all_runs(runs) if _close(client, run)]


def close_with_mlflow(root: Path) -> None:
    """Call `close_abandoned` for a project, importing MLflow only if there is a run to mark."""
    runs, uri = root / ".runs", tracking_uri(root)
    if not any(map(was_abandoned, all_runs(runs))):
        return
    if uri == store_uri(local_store(root)) and not has_file(local_store(root)):
        return
    for name, value in MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    ensure_store(uri)
    close_abandoned(MlflowClient(tracking_uri=uri, registry_uri=uri), runs)


def was_abandoned(run: RunFolder) -> bool:
    """Whether MLflow has a run as running; it is not abandoned if another process has locked it."""
    file = run.path / "mlflow.json"
    return (
        run.state.status in ("running", "interrupted")
        and has_file(file)
        and not read_json(file).get("abandoned")
    )


def _close(client: MlflowClient, run: RunFolder) -> bool:
    from mlflow.exceptions import MlflowException

    if not was_abandoned(run) or not run.acquire():
        return False
    try:
        fresh = open_run(run.path)
        if fresh is None or not was_abandoned(fresh):
            return False
        recorded: Recorded = read_json(run.path / "mlflow.json", Recorded)
        open_steps = [at for name, at in recorded.steps.items() if name not in recorded.logged]
        try:
            end_left_over(client, recorded.trials)
            for run_id in (*open_steps, recorded.parent):
                client.set_terminated(run_id, status="KILLED")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                return False  # the next run tries again
        recorded.abandoned = True
        write_json(run.path / "mlflow.json", asdict(recorded))
        return True
    finally:
        run.release()


def parent_run_id(folder: Path) -> str | None:
    """Wait for the MLflow run of a run folder; None if the recorder does not create it in time.

    Raises:
        UsageError: the tracking server has failed; the reason.
    """
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if has_file(folder / "mlflow.json"):
            return str(read_json(folder / "mlflow.json")["parent"])
        if (folder / GAVE_UP).is_file():
            raise UsageError((folder / GAVE_UP).read_text(encoding="utf-8").strip())
        time.sleep(_PAUSE / 2)
    return None


def ensure_experiment(client: MlflowClient, name: str, root: Path) -> str:
    """Find or create an experiment; a new one in a local store has its artifacts in the project."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    from mlflow.exceptions import MlflowException

    local = os.environ.get("MLFLOW_TRACKING_URI", "").startswith("sqlite:")
    place = (root / ".mlflow" / "artifacts" / name).as_uri() if local else None
    try:
        return str(client.create_experiment(name, artifact_location=place))
    except MlflowException:  # another process was faster
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _open(client: MlflowClient, run: RunFolder) -> Recorded:
    file = run.path / "mlflow.json"
    if has_file(file):
        recorded: Recorded = read_json(file, Recorded)
        if recorded.abandoned:
            recorded.abandoned = False
            client.update_run(recorded.parent, status="RUNNING")
            write_json(file, asdict(recorded))
        return recorded
    state = run.state
    experiment = ensure_experiment(client, state.experiment, run.path.parents[1])
    tags = state.tags | {"mlops.runs.run": state.id, PIPELINE_TAG: state.pipeline}
    if state.git_commit:
        tags["mlflow.source.git.commit"] = state.git_commit
    parent = client.create_run(
        experiment,
        start_time=_milliseconds(state.started),
        tags=tags,
        run_name=f"{state.pipeline} {state.id}",
    )
    recorded = Recorded(experiment, parent.info.run_id)
    if (run.path / PATCH).is_file():
        client.log_artifact(parent.info.run_id, str(run.path / PATCH), "code")
    write_json(file, asdict(recorded))
    return recorded


def _log_changes(client: MlflowClient, run: RunFolder, recorded: Recorded) -> None:
    for name, step in run.state.steps.items():
        if step.status in ("waiting", "skipped"):
            continue
        if name not in recorded.steps:
            child = client.create_run(
                recorded.experiment,
                start_time=_milliseconds(step.started or run.state.started),
                tags={
                    "mlflow.parentRunId": recorded.parent,
                    "mlops.runs.run": run.state.id,
                    "mlops.step": name,
                },
                run_name=name,
            )
            recorded.steps[name] = child.info.run_id
            write_json(run.path / "mlflow.json", asdict(recorded))
        log_trials(
            client,
            run.path,
            name,
            recorded.trials,
            experiment=recorded.experiment,
            parent=recorded.steps[name],
            save=lambda: write_json(run.path / "mlflow.json", asdict(recorded)),
        )
        if name not in recorded.logged and step.status in ("completed", "reused", "failed"):
            _log_step(client, run, recorded, name, step)
            recorded.logged.append(name)
            write_json(run.path / "mlflow.json", asdict(recorded))


def _log_step(
    client: MlflowClient, run: RunFolder, recorded: Recorded, name: str, step: StepState
) -> None:
    run_id = recorded.steps[name]
    if step.reused_from:
        client.set_tag(run_id, "mlops.reused_from", step.reused_from)
    for file in sorted((run.path / name).glob("*/*.json")):
        content = read_json(file, object)
        if not isinstance(content, dict) or "evidence" not in content:
            continue
        for target in (run_id, recorded.parent):
            _log_evidence(client, target, content, step, parent=target == recorded.parent)
    client.set_terminated(
        run_id,
        status="FAILED" if step.status == "failed" else "FINISHED",
        end_time=_milliseconds(step.finished),
    )


def _log_evidence(
    client: MlflowClient, run_id: str, content: Mapping[str, Any], step: StepState, *, parent: bool
) -> None:
    """Log an evidence file; series in the step's own run only."""
    at = _milliseconds(step.finished) or 0
    metrics, params, tags = mlflow_entities(content, at, series=not parent)
    for start in range(0, max(len(metrics), 1), _BATCH):
        first = start == 0
        client.log_batch(
            run_id,
            metrics=metrics[start : start + _BATCH],
            params=params if first else [],
            tags=tags if first else [],
        )
    if content["evidence"] == "data":
        _log_dataset(client, run_id, content["details"])


def _log_dataset(client: MlflowClient, run_id: str, details: Mapping[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = details["source"]
    dataset = Dataset(
        name=str(source["file"]),
        digest=str(details["digest"])[:36],
        source_type="local",
        source=str(source),
    )
    client.log_inputs(
        run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
    )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def main(folder: Path) -> int:
    """Log a run; where the server fails, write the reason to a file that `register` reads."""
    from mlflow.exceptions import MlflowException

    try:
        record(folder)
    except (MlflowException, OSError) as error:
        uri = tracking_uri()
        message = f"MLflow at {shown_uri(uri)} failed: {reason(error, uri)}"
        print(message, file=sys.stderr)
        write_text(folder / GAVE_UP, message + "\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
