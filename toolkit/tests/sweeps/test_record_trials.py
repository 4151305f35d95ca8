"""MLflow: the trials of a sweep while they run, and the status of runs that were killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from modelyard.cli.runs import clean
from modelyard.files import new_id
from modelyard.models.registry import Registry
from modelyard.pipelines.progress import Progress
from modelyard.pipelines.record import close_with_mlflow
from modelyard.pipelines.run import run_pipeline
from modelyard.pipelines.store import new_run
from rich.console import Console

from tests.small_sweep import make_small_sweep

RUN = "from pathlib import Path; from modelyard.pipelines.run import run_pipeline; run_pipeline(Path({!r}))"


@pytest.fixture
def tune(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of a good trial, and one that only early termination ends."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    path = make_small_sweep(tmp_path)
    shutil.copy(empty_store, tmp_path / ".mlflow" / "mlflow.db")
    text = path.read_text(encoding="utf-8")
    text = text.replace("[4.0, 3.0, 2.0, 1.0]", "[50.0, 1.0]")
    text = text.replace("slack_factor: 9.0", "slack_factor: 0.5\n      delay_evaluation: 20")
    text = text.replace("sampling_algorithm", "  mood: endless\n    sampling_algorithm", 1)
    path.write_text(text, encoding="utf-8")
    return path


def runs(root: Path) -> dict[str, Any]:
    """MLflow's runs by name, the whole run's as `parent`."""
    client = Registry("test", f"sqlite:///{root / '.mlflow' / 'mlflow.db'}").client
    found = client.search_experiments(filter_string="name = 'tests'")
    every = client.search_runs([found[0].experiment_id]) if found else []
    return {
        run.info.run_name if "mlflow.parentRunId" in run.data.tags else "parent": run
        for run in every
    }


def history(root: Path, run: Any, metric: str) -> list[tuple[int, float]]:
    client = Registry("test", f"sqlite:///{root / '.mlflow' / 'mlflow.db'}").client
    return [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, metric)]


def test_every_trial_is_a_run_below_the_sweeps_step_with_its_history(
    tune: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(Console(width=200)) as progress:
        run_pipeline(tune, progress=progress)
    said = capsys.readouterr().out
    found = runs(tmp_path)
    step = found["tune"]
    trials = {
        found[f"tune trial {n}"].data.params["level"]: found[f"tune trial {n}"] for n in (1, 2)
    }
    for trial in trials.values():
        assert trial.data.tags["mlflow.parentRunId"] == step.info.run_id
    good, ended = trials["1.0"], trials["50.0"]
    assert good.info.status == "FINISHED" and good.data.tags["mlops.state"] == "completed"
    assert history(tmp_path, good, "loss") == [(n, 1 + 1 / n) for n in range(1, 6)]
    assert ended.info.status == "KILLED" and ended.data.tags["mlops.stopped_by"] == "bandit"
    at = int(ended.data.tags["mlops.stopped_at"])
    assert history(tmp_path, ended, "loss")[:at] == [
        (n, 50 * (1 + 1 / n)) for n in range(1, at + 1)
    ]
    assert step.data.metrics["sweep.stopped"] == 1
    assert step.data.params["sweep.best.level"] == "1.0"
    for words in ("2 trials, 2 at once", f"stopped by bandit at interval {at}", "best: completed"):
        assert said.count(words) == 1


def started(tune: Path, root: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a sweep that does not end by itself; returns it when MLflow has both trials, and its run."""
    text = tune.read_text(encoding="utf-8")
    tune.write_text(text.replace("delay_evaluation: 20", "delay_evaluation: 100000"))
    runner = subprocess.Popen([sys.executable, "-c", RUN.format(str(tune))])
    until = time.monotonic() + 60
    while time.monotonic() < until:
        files = list(root.glob(".runs/*/mlflow.json"))
        if files and len(json.loads(files[0].read_text())["trials"]) == 2:
            tune.write_text(text)
            return runner, files[0].parent
        time.sleep(0.02)
    raise AssertionError("MLflow has no trials after a minute")


def killed(tune: Path, root: Path) -> Path:
    """Kill such a sweep; returns its run."""
    runner, run = started(tune, root)
    runner.kill()
    runner.wait()
    return run


def going_on(root: Path) -> set[str]:
    """Names of the runs that MLflow has as running."""
    return {name for name, run in runs(root).items() if run.info.status == "RUNNING"}


def test_a_run_that_died_is_killed_in_mlflow_by_the_next_one_and_opened_again_when_resumed(
    tune: Path, tmp_path: Path
) -> None:
    run = killed(tune, tmp_path)
    dead = json.loads((run / "mlflow.json").read_text())
    parts = [dead["parent"], dead["steps"]["tune"]]
    parts += [trial["run"] for trial in dead["trials"].values() if not trial["ended"]]
    client = Registry("test", f"sqlite:///{tmp_path / '.mlflow' / 'mlflow.db'}").client
    assert {client.get_run(one).info.status for one in parts} == {"RUNNING"}
    shutil.copy(tune, tune.with_name("other.yml"))
    run_pipeline(tune.with_name("other.yml"))
    assert {client.get_run(one).info.status for one in parts} == {"KILLED"}
    result = run_pipeline(tune, reuse=False)
    assert result.folder == run
    assert {client.get_run(one).info.status for one in parts[:2]} == {"FINISHED"}
    assert not going_on(tmp_path)


def test_a_run_is_left_alone_while_it_goes_on_and_marked_when_it_has_died_and_is_deleted(
    tune: Path, tmp_path: Path
) -> None:
    runner, run = started(tune, tmp_path)
    before = going_on(tmp_path)
    close_with_mlflow(tmp_path)
    assert {"parent", "tune"} <= before and going_on(tmp_path) == before
    runner.kill()
    runner.wait()
    killed_before = run.with_name(".deleted-by-a-killed-command")
    killed_half_way = run.with_name("20260101-000000-abcd")  # its run.json was the first file to go
    being_made = run.with_name(new_id())
    for folder in (killed_before, killed_half_way, being_made):
        folder.mkdir()
    clean(keep=0)
    assert being_made.exists()
    assert not any(one.exists() for one in (run, killed_before, killed_half_way))
    assert not going_on(tmp_path)


def test_without_a_store_nothing_is_marked_and_no_store_is_made(tune: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path / ".runs", "tune", "tests", {})
    run.release()
    (run.path / "mlflow.json").write_text('{"experiment": "1", "parent": "x"}', encoding="utf-8")
    shutil.rmtree(tmp_path / ".mlflow")
    close_with_mlflow(tmp_path)
    assert not (tmp_path / ".mlflow").exists()
