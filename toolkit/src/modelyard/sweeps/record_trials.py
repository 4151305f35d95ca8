"""Logs the trials of a sweep to MLflow while they run: a child run each, with its metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.files import has_file, read_json
from modelyard.pipelines.store import trials_folder
from modelyard.sweeps.trial import METRICS_FILE, added_lines

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

_BATCH = 1000  # metrics in one call
_STATUS = {"completed": "FINISHED", "failed": "FAILED"}  # any other end is KILLED


def log_trials(
    client: MlflowClient,
    run: Path,
    step: str,
    known: dict[str, dict[str, Any]],
    *,
    experiment: str,
    parent: str,
    save: Callable[[], None],
) -> None:
    """Log what the trials of a step have reported since the last call.

    Args:
        client: of the tracking server.
        run: the run's folder.
        step: its name; nothing is done where it is no sweep.
        known: by trial, its MLflow run, the bytes logged, and whether it has ended; changed in place.
        experiment: its id.
        parent: id of the step's run.
        save: called after each change of `known`.
    """
    folder = trials_folder(run, step)
    file = folder / "trials.json"
    if not has_file(file):
        return
    for trial in read_json(file, list):
        have = known.get(trial["id"])
        if have is None:
            have = known[trial["id"]] = {
                "run": _open(client, step, trial, experiment, parent),
                "read": 0,
                "ended": False,
            }
            save()
        if have["ended"]:
            continue
        _follow(client, folder / str(trial["folder"]), have, save)
        if trial["state"] != "running":
            _end(client, have, trial)
            save()


def end_left_over(client: MlflowClient, known: Mapping[str, dict[str, Any]]) -> None:
    """Mark trials as killed whose sweep has ended before they did."""
    for have in known.values():
        if not have["ended"]:
            client.set_tag(have["run"], "mlops.state", "interrupted")
            client.set_terminated(have["run"], status="KILLED")
            have["ended"] = True


def _open(
    client: MlflowClient, step: str, trial: Mapping[str, Any], experiment: str, parent: str
) -> str:
    from mlflow.entities import Param

    number = trial["number"] + 1
    tags = {"mlflow.parentRunId": parent, "mlops.step": step, "mlops.trial": str(number)}
    if trial["reused_from"]:
        tags["mlops.reused_from"] = trial["reused_from"]
    created = client.create_run(
        experiment,
        start_time=int(trial["started"] * 1000),
        tags=tags,
        run_name=f"{step} trial {number}",
    )
    params = [Param(name, str(value)) for name, value in trial["params"].items()]
    client.log_batch(created.info.run_id, params=params)
    return str(created.info.run_id)


def _follow(
    client: MlflowClient, folder: Path, have: dict[str, Any], save: Callable[[], None]
) -> None:
    """Log the lines that were added to the trial's metrics since the last call."""
    whole = added_lines(folder / METRICS_FILE, have["read"])
    if not whole:
        return
    metrics = list(_metrics(whole))
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(have["run"], metrics=metrics[start : start + _BATCH])
    have["read"] += len(whole)
    save()


def _metrics(lines: bytes) -> Iterator[Metric]:
    from mlflow.entities import Metric

    for line in lines.splitlines():
        try:
            report = json.loads(line)
            at, step = int(report["time"] * 1000), int(report["step"])
            for name, value in report["metrics"].items():
                yield Metric(name, float(value), at, step)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # written by the trial's own code


def _end(client: MlflowClient, have: dict[str, Any], trial: Mapping[str, Any]) -> None:
    client.set_tag(have["run"], "mlops.state", trial["state"])
    if trial["stopped_by"]:
        client.set_tag(have["run"], "mlops.stopped_by", trial["stopped_by"])
        client.set_tag(have["run"], "mlops.stopped_at", str(trial["stopped_at"]))
    client.set_terminated(
        have["run"],
        status=_STATUS.get(trial["state"], "KILLED"),
        end_time=int((trial["finished"] or trial["started"]) * 1000),
    )
    have["ended"] = True
