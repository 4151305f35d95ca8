"""The stand-in for the Bicep compiler, as the only one on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bicep_reader.stand_in import stand_in


@pytest.fixture
def bicep(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command, first on the path."""
    folder = tmp_path_factory.mktemp("compiler")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("AZURE_CONFIG_DIR", raising=False)
    return stand_in(folder)
