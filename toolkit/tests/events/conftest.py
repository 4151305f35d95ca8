"""A project with a model called flight-delay, and an Azure in memory without any records."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import PROJECT, Azure


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "project.yml").write_text(PROJECT)
    return Azure(tmp_path)
