"""The store of a project that was moved is refused, and repaired as a whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard import relocation
from modelyard.errors import UsageError
from modelyard.models.registry import Registry, champion_in_sqlite
from modelyard.models.version import CHAMPION
from modelyard.pipelines.record import ensure_experiment
from modelyard.relocation import check_place, former_roots, relocate
from modelyard.tracking import local_store, tracking_uri

from tests.small_project import make_small_project


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion, a model of one file."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("a place") / "old name"
        root.mkdir()
        make_small_project(root)
        uri = f"sqlite:///{local_store(root)}"
        local_store(root).parent.mkdir()
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        registry = Registry("test", uri)
        experiment = ensure_experiment(registry.client, "tests", root)
        run = registry.client.create_run(experiment)
        model = root / "model"
        model.mkdir()
        (model / "weights.txt").write_text("weights")
        registry.client.log_artifacts(run.info.run_id, str(model), "model")
        version = registry.register(
            run_id=run.info.run_id,
            source=f"{run.info.artifact_uri}/model",
            tags={"model_digest": "x"},
        )
        registry.set_champion(version, None)
    return root


@pytest.fixture
def moved(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same project under another name."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tmp_path / "new näme"
    shutil.copytree(registered, root)
    monkeypatch.chdir(root)
    return root


def test_a_project_where_it_was_made_is_fine(registered: Path) -> None:
    assert former_roots(local_store(registered), registered) == []
    assert relocate(local_store(registered), registered) == []


def test_a_project_without_a_store_is_fine(tmp_path: Path) -> None:
    assert former_roots(tmp_path / "none.db", tmp_path) == []


@pytest.mark.parametrize("part", [0.0, 0.5, None])
def test_a_damaged_store_is_named_and_not_taken_for_a_new_one(
    registered: Path, tmp_path: Path, part: float | None
) -> None:
    store, whole = tmp_path / "mlflow.db", local_store(registered).read_bytes()
    store.write_bytes(b"text" if part is None else whole[: int(part * len(whole))])
    os.utime(store, (0, 0))  # nobody is making it
    with pytest.raises(UsageError, match=f"{store} is no MLflow store, or a damaged one"):
        check_place(store, tmp_path)


def test_a_store_that_another_program_is_making_is_waited_for(
    registered: Path, tmp_path: Path
) -> None:
    store, whole = tmp_path / "mlflow.db", tmp_path / "whole.db"
    shutil.copy(local_store(registered), whole)
    store.touch()
    made = threading.Timer(0.3, whole.replace, [store])
    made.start()
    assert former_roots(store, tmp_path) == [registered]
    made.join()


def test_what_a_killed_process_had_begun_to_write_is_taken_back(
    registered: Path, tmp_path: Path
) -> None:
    whole, store = tmp_path / "whole.db", tmp_path / "mlflow.db"
    shutil.copy(local_store(registered), whole)
    with contextlib.closing(sqlite3.connect(whole)) as database:
        database.execute("PRAGMA cache_size = 1")  # pages reach the disk before the end
        database.execute("UPDATE experiments SET artifact_location = 'file:///half'")
        database.execute("CREATE TABLE filling AS SELECT randomblob(100000)")
        shutil.copy(whole, store)
        shutil.copy(f"{whole}-journal", f"{store}-journal")
    assert former_roots(store, tmp_path) == [registered]


def test_a_moved_project_is_refused_with_the_remedy(moved: Path, registered: Path) -> None:
    with pytest.raises(UsageError, match="`mlops relocate` makes the store point here") as error:
        tracking_uri(moved)
    assert str(registered) in str(error.value) and str(moved) in str(error.value)


def test_another_tracking_server_does_not_care(
    moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.com")
    assert tracking_uri(moved) == "https://example.com"


def test_after_relocation_the_champion_is_found_here(
    moved: Path, registered: Path, tmp_path: Path
) -> None:
    store = local_store(moved)
    assert relocate(store, moved) == [registered]
    registry = Registry("test", tracking_uri(moved))
    champion = registry.holder(CHAMPION)
    assert champion is not None
    fetched = registry.fetch(champion, "model", tmp_path / "fetched")
    assert (fetched / "weights.txt").read_text() == "weights"
    known = champion_in_sqlite(tracking_uri(moved), "test")
    assert known is not None and known[1].is_relative_to(moved) and known[1].is_dir()
    assert str(registered) not in "".join(
        line for line in sqlite3.connect(store).iterdump() if ".mlflow" in line
    )
    assert Path(f"{store}.before-relocation").is_file()
    assert relocate(store, moved) == []


def test_what_is_interrupted_changes_nothing(
    moved: Path, registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(database: sqlite3.Connection, old: Path, new: Path) -> None:
        database.execute("UPDATE runs SET artifact_uri = 'half'")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(relocation, "_replace", broken)
        with pytest.raises(KeyboardInterrupt):
            relocate(local_store(moved), moved)
    assert former_roots(local_store(moved), moved) == [registered]
    assert relocate(local_store(moved), moved) == [registered]


def test_a_store_in_use_is_left_alone(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relocation, "_PATIENCE", 0.05)
    other = sqlite3.connect(local_store(moved))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UsageError, match="cannot be changed: database is locked"):
        relocate(local_store(moved), moved)
    other.close()


NAMES = st.text("ab %é'\"_-.", min_size=1, max_size=8).filter(lambda name: name.strip(". ") == name)


@given(NAMES, NAMES)
def test_paths_with_any_name_are_replaced_and_neighbours_are_not(old: str, new: str) -> None:
    before, after = Path("/places") / old, Path("/places") / new
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE runs (artifact_uri TEXT)")
    paths = [before.as_uri() + "/x", f"{before}/x", before.as_uri() + "2/x", "s3://b/x"]
    database.executemany("INSERT INTO runs VALUES (?)", [(path,) for path in paths])
    relocation._replace(database, before, after)
    found = [row[0] for row in database.execute("SELECT artifact_uri FROM runs")]
    assert found == [after.as_uri() + "/x", f"{after}/x", *paths[2:]]
