"""Metrics while training goes on: to a file, to MLflow, and never at the training's expense."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from modelyard.modelling import live_metrics as live


@pytest.fixture(autouse=True)
def _nobody_listens(monkeypatch):
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.delenv(live.METRICS_FILE, raising=False)


class Server:
    """Takes batches as MLflow's client does; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.metrics: list[tuple[str, float, int]] = []

    def log_batch(self, run_id: str, metrics: list[SimpleNamespace]) -> None:
        assert run_id == "run" and len(metrics) <= live.LARGEST_BATCH
        if self.failures:
            self.failures -= 1
            raise ConnectionError("away")
        self.metrics += [(m.key, m.value, m.step) for m in metrics]


def log(count: int) -> live.LiveMetrics:
    with live.LiveMetrics() as metrics:
        for step in range(1, count + 1):
            metrics.log(step, {"validation_loss": 1 / step})
    return metrics


def test_each_iteration_is_a_line_that_can_be_read_at_once(tmp_path, monkeypatch):
    file = tmp_path / "metrics.jsonl"
    monkeypatch.setenv(live.METRICS_FILE, str(file))
    with live.LiveMetrics() as metrics:
        metrics.log(1, {"validation_loss": 0.5})
        line = json.loads(file.read_text())
        assert line.pop("time") > 0 and line == {"step": 1, "metrics": {"validation_loss": 0.5}}
        metrics.log(2, {"validation_loss": float("nan")})
    assert len(file.read_text().splitlines()) == 2


def test_without_anyone_to_tell_nothing_happens():
    assert not log(3).delivered


def test_mlflow_gets_every_iteration_once_in_batches(monkeypatch):
    server = Server()
    monkeypatch.setenv("MLFLOW_RUN_ID", "run")
    monkeypatch.setattr(live, "_client", lambda: server)
    assert log(250).delivered
    assert server.metrics == [("validation_loss", 1 / n, n) for n in range(1, 251)]


def test_a_server_that_is_away_for_a_while_gets_everything_later(monkeypatch, capsys):
    server = Server(failures=2)
    monkeypatch.setenv("MLFLOW_RUN_ID", "run")
    monkeypatch.setattr(live, "_client", lambda: server)
    monkeypatch.setattr(live, "FLUSH_SECONDS", 0.001)
    with live.LiveMetrics() as metrics:
        metrics.log(1, {"validation_loss": 1.0})
        while server.failures:
            pass
    assert metrics.delivered and len(server.metrics) == 1
    assert capsys.readouterr().err.count("warning: metrics are not passed on") == 1


def test_a_server_that_is_gone_costs_a_warning_and_the_evidence_says_it_later(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_RUN_ID", "run")
    monkeypatch.setattr(live, "_client", lambda: Server(failures=1000))
    assert not log(3).delivered
    assert "warning: metrics are not passed on while training: away" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_costs_a_warning(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(live.METRICS_FILE, str(tmp_path / "no" / "folder"))
    log(3)
    assert "warning: metrics are not passed on" in capsys.readouterr().err


def test_training_reports_each_iteration_while_it_goes_on(mixed_bench, tmp_path, monkeypatch):
    file = tmp_path / "metrics.jsonl"
    monkeypatch.setenv(live.METRICS_FILE, str(file))
    assert mixed_bench.train("--patience", "5") == 0
    told = [json.loads(line) for line in file.read_text().splitlines()]
    series = mixed_bench.evidence("training")["series"]
    assert [one["step"] for one in told] == list(range(1, len(series["validation_loss"])))
    for name in ("validation_loss", "training_loss"):
        assert [one["metrics"][name] for one in told] == series[name][1:]


def test_what_mlflow_has_seen_live_is_not_logged_again(mixed_bench, monkeypatch):
    server, later = Server(), []
    monkeypatch.setenv("MLFLOW_RUN_ID", "run")
    monkeypatch.setattr(live, "_client", lambda: server)
    monkeypatch.setattr("mlflow.MlflowClient", lambda: SimpleNamespace(log_batch=later_to(later)))
    assert mixed_bench.train("--patience", "5") == 0
    assert {name for name, _, _ in server.metrics} == {"validation_loss", "training_loss"}
    assert sorted(later) == [
        "training.iterations", "training.validation_loss", "training.validation_loss_of_constant",
    ]  # fmt: skip


def later_to(names: list[str]):
    return lambda run_id, metrics, params, tags: names.extend(m.key for m in metrics)
