"""The embedded database is made once and whole, however many processes need it at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.store.tracking import sqlalchemy_store
from modelyard.tracking import ensure_store, local_store, store_file, store_uri

FIRST = """
import sys
from modelyard.models.registry import Registry
print(Registry("m", sys.argv[1]).versions())
"""


def test_processes_that_open_the_store_for_the_first_time_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    project = tmp_path / 'it\'s a "50%25? #1 [x]" a:b ü'
    project.mkdir()
    uri = store_uri(local_store(project))
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", FIRST, uri],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=project,
        )
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert [text.splitlines()[-1] for text in said] == ["[]"] * 2
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
