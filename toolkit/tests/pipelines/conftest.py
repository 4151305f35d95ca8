"""Fixtures of the tests of pipelines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.other_peoples import SHOW, SHOW_COMPONENT, WRITE


@pytest.fixture
def azureml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "conf").mkdir()
    text = "title: T\nname: t\npackage: p\nowner: a@example.com\nmodel: t\n"
    (tmp_path / "conf" / "project.yml").write_text(text)
    folder = tmp_path / "azureml"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "show.py").write_text(SHOW)
    (folder / "show.yml").write_text(SHOW_COMPONENT)
    (folder / "write.yml").write_text(WRITE)
    monkeypatch.chdir(tmp_path)
    return folder
