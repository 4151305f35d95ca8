"""Fixture of a small project with a monitor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitoring.monitored import Monitored


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitored:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return Monitored(tmp_path)
