"""The embedded database is made once and whole, however many processes need it at once."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import modelyard
import pytest
from mlflow.store.tracking import sqlalchemy_store
from modelyard.models.registry import Registry
from modelyard.tracking import ensure_store, local_store, store_file, store_uri


def versions(uri: str) -> list[Any]:
    return Registry("m", uri).versions()


def test_processes_that_open_the_store_for_the_first_time_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    project = tmp_path / 'it\'s a "50%25? #1 [x]" a:b ü'
    project.mkdir()
    uri = store_uri(local_store(project))
    with multiprocessing.get_context("fork").Pool(2) as two:
        assert two.map(versions, [uri] * 2, chunksize=1) == [[], []]
    assert [path.name for path in (project / ".mlflow").glob("[!.]*")] == ["mlflow.db"]
    assert not (project / ".mlflow" / ".mlflow.db.new").exists()


def test_a_store_that_a_steps_own_mlflow_has_opened_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = store_uri(local_store(tmp_path))

    class Slow(sqlalchemy_store.SqlAlchemyStore):
        def __init__(self, *arguments: str) -> None:
            with sqlite3.connect(store_file(uri)) as theirs:
                theirs.execute("create table theirs (x)")
            super().__init__(*arguments)

    monkeypatch.setattr(sqlalchemy_store, "SqlAlchemyStore", Slow)
    ensure_store(uri)
    with sqlite3.connect(store_file(uri)) as opened:
        assert opened.execute("select name from sqlite_master").fetchall() == [("theirs",)]


def test_a_store_is_made_where_the_packages_lie_below_a_folder_with_a_percent_sign(tmp_path):
    """As in a project of that name, whose .venv is in it."""
    home = tmp_path / "50% off"
    home.mkdir()
    for package in (modelyard, mlflow):
        found = Path(package.__file__).parent
        (home / found.name).symlink_to(found, target_is_directory=True)
    words = f"from modelyard.tracking import ensure_store; ensure_store('sqlite:///{tmp_path}/mlflow.db')"
    done = subprocess.run(
        [sys.executable, "-c", words],
        env=os.environ | {"PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mlflow.db").is_file()
