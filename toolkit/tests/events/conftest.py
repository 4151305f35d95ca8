"""A project with a model called flight-delay, and nothing that has happened yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import Azure


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "project.yml").write_text("model: flight-delay\n")
    return Azure(tmp_path)
