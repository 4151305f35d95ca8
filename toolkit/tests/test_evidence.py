"""What every step shares: exit codes, evidence, atomic files."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from modelyard import errors, evidence, files


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.CheckFailed("range broken"), 1, "range broken"),
        (errors.UsageError("no such column"), 2, "error: no such column"),
        (FileNotFoundError(2, "No such file or directory", "t.csv"), 2, "error: t.csv: No such"),
    ],
)
def test_a_users_mistake_gives_a_message_and_a_code(error, code, message, capsys):
    assert errors.guarded(fail, error) == code
    stderr = capsys.readouterr().err
    assert stderr.startswith(message)
    assert "Traceback" not in stderr


def test_a_fault_of_the_projects_own_code_names_its_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "features.py").write_text("def ratio(rows):\n    return rows['a'].sum() / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    from features import ratio

    assert errors.guarded(ratio, pd.DataFrame()) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last == "error: features.py:2: KeyError: 'a'"


def test_a_fault_of_the_step_shows_where_it_happened(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert errors.guarded(fail, KeyError("x")) == 2
    stderr = capsys.readouterr().err
    assert "Traceback" in stderr and "not of your input" in stderr


def test_success_is_zero_and_passes_arguments_on():
    seen = []
    assert errors.guarded(seen.append, "value") == 0
    assert seen == ["value"]


def test_evidence_is_the_same_bytes_whatever_the_order_of_its_keys(tmp_path):
    first = evidence.write_evidence(tmp_path / "a", "quality", metrics={"x": 1.0, "y": 2.0})
    second = evidence.write_evidence(tmp_path / "b", "quality", metrics={"y": 2.0, "x": 1.0})
    assert first.read_bytes() == second.read_bytes()
    assert set(json.loads(first.read_text())) == {
        "evidence", "params", "metrics", "tags", "series", "details",
    }  # fmt: skip


def test_evidence_says_null_for_what_json_cannot_say(tmp_path):
    details = {
        "nan": float("nan"),
        "numpy": np.array([1.5, np.inf]),
        "whole": np.int64(3),
        "flag": np.bool_(True),
        "time": pd.Timestamp("2013-01-01"),
        "never": pd.NaT,
        1: {"b", "a"},
    }
    evidence.write_evidence(tmp_path, "data", details=details)
    assert evidence.read_evidence(tmp_path, "data")["details"] == {
        "nan": None,
        "numpy": [1.5, None],
        "whole": 3,
        "flag": True,
        "time": "2013-01-01T00:00:00",
        "never": None,
        "1": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is missing: run the step"),
        ("{", "is not readable as JSON"),
        ('{"evidence": "other"}', 'not evidence of kind "data"'),
        ("[]", "should be an object, found list"),
    ],
)
def test_unreadable_evidence_says_which_file(tmp_path, text, message):
    if text is not None:
        (tmp_path / "data.json").write_text(text)
    with pytest.raises(errors.UsageError, match=message) as caught:
        evidence.read_evidence(tmp_path, "data")
    assert "data.json" in str(caught.value)


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.bin"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


class FakeClient:
    """Takes the place of MlflowClient and keeps what it is told."""

    calls: list[tuple] = []  # noqa: RUF012

    def log_batch(self, run_id, metrics, params, tags):
        self.calls.append((run_id, metrics, params, tags))


@pytest.fixture
def mlflow(monkeypatch):
    FakeClient.calls = []
    entities = SimpleNamespace(
        Metric=lambda key, value, time, step: (key, value, step),
        Param=lambda key, value: (key, value),
        RunTag=lambda key, value: (key, value),
    )
    fake = SimpleNamespace(MlflowClient=FakeClient, entities=entities)
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return fake


def test_evidence_goes_to_mlflow_inside_a_run_only(tmp_path, monkeypatch, mlflow):
    content = {
        "params": {"seed": 0},
        "metrics": {"auc": 0.9, "absent": float("nan")},
        "series": {"loss": [0.5, 0.25]},
        "tags": {"stage": "test"},
    }
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    evidence.write_evidence(tmp_path, "training", **content)
    assert FakeClient.calls == []
    monkeypatch.setenv("MLFLOW_RUN_ID", "r1")
    evidence.write_evidence(tmp_path, "training", **content)
    assert FakeClient.calls == [
        (
            "r1",
            [("training.auc", 0.9, 0), ("loss", 0.5, 0), ("loss", 0.25, 1)],
            [("training.seed", "0")],
            [("training.stage", "test")],
        )
    ]


def test_a_tracking_server_that_is_away_costs_a_warning(tmp_path, monkeypatch, mlflow, capsys):
    def refuse(*_):
        raise ConnectionError("away")

    monkeypatch.setattr(FakeClient, "log_batch", refuse)
    monkeypatch.setenv("MLFLOW_RUN_ID", "r1")
    path = evidence.write_evidence(tmp_path, "training", metrics={"auc": 0.9})
    assert path.exists()
    assert "not logged to MLflow: away" in capsys.readouterr().err
