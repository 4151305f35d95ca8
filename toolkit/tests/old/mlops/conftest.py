"""Fixtures shared by the tests of `mlops`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.models.registry import Registry

from .small_project import make_small_project


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables; making one takes seconds, copying it does not."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    Registry("test", f"sqlite:///{file}").versions()
    return file


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline of a small project, which is the working folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return make_small_project(tmp_path)
