"""Repairs the embedded MLflow store after the project's folder was moved or renamed.

MLflow writes absolute paths of artifacts into its database and has no function to change them, so
this module writes to its tables, which are those of the pinned version.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from modelyard.errors import UsageError
from modelyard.files import has_file

_ARTIFACTS = "/.mlflow/artifacts/"
# The columns of MLflow 3 with paths; those that a version does not have are skipped.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_PATIENCE = 10.0


def opened(store: Path) -> contextlib.closing[sqlite3.Connection]:
    """Open a store that is there, to read it.

    SQLite has to write for that where a killed process left its journal: what it had begun is taken
    back first. A file that may not be written is opened to be read only.
    """
    return contextlib.closing(sqlite3.connect(f"{store.as_uri()}?mode=rw", uri=True))


def check_place(store: Path, root: Path) -> None:
    """Raise an error where the artifacts of a store, if there is one, are not in this project.

    Raises:
        UsageError: the folder was moved or copied.
    """
    former = former_roots(store, root)
    if former:
        places = ", ".join(map(str, former))
        raise UsageError(
            f"{store} keeps its models and evidence below {places}, this project is {root}: the "
            "folder was moved, renamed or copied. `mlops relocate` makes the store point here."
        )


def former_roots(store: Path, root: Path) -> list[Path]:
    """Find folders other than `root` in which the store has artifacts of experiments.

    Raises:
        UsageError: the file is damaged.
    """
    if not has_file(store):
        return []
    while True:
        try:
            with opened(store) as database:
                rows = database.execute("SELECT artifact_location FROM experiments").fetchall()
            break
        except sqlite3.Error as error:
            if "locked" in str(error):
                return []
            age = abs(time.time() - store.stat().st_mtime)  # a share may have another clock
            if "no such table" not in str(error) or age >= _PATIENCE:
                raise UsageError(
                    f"{store} is no MLflow store, or a damaged one ({error}): restore it from a copy; without "
                    "one, delete it and `mlops run azureml/pipelines/train.yml` begins a new one"
                ) from None
        time.sleep(0.2)  # a step's own MLflow is making it
    places = {
        Path(url2pathname(urlparse(location).path.split(_ARTIFACTS)[0]))
        for (location,) in rows
        if str(location).startswith("file:") and _ARTIFACTS in location
    }
    return sorted(places - {root})


def relocate(store: Path, root: Path) -> list[Path]:
    """Change the paths in the store to those in `root`, all or none; a copy is left beside it.

    Returns:
        The folders of the paths before; empty where nothing had to be changed.

    Raises:
        UsageError: another process is writing to the store.
    """
    former = former_roots(store, root)
    if not former:
        return []
    try:
        with contextlib.closing(sqlite3.connect(store, timeout=_PATIENCE)) as database:
            with contextlib.closing(sqlite3.connect(f"{store}.before-relocation")) as copy:
                database.backup(copy)
            with database:
                database.execute("BEGIN IMMEDIATE")
                for place in former:
                    _replace(database, place, root)
    except sqlite3.OperationalError as error:
        raise UsageError(
            f"{store} cannot be changed: {error}. End what is using it, then try again."
        ) from None
    return former


def _replace(database: sqlite3.Connection, old: Path, new: Path) -> None:
    known = {
        (table, column)
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for _, column, *_ in database.execute(f'PRAGMA table_info("{table}")')
    }
    for table, column in _COLUMNS:
        if (table, column) not in known:
            continue
        for before, after in ((old.as_uri(), new.as_uri()), (str(old), str(new))):
            database.execute(
                f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?)'  # noqa: S608 (names from above)
                f' WHERE substr("{column}", 1, ?) = ?',
                (after, len(before) + 1, len(before) + 1, f"{before}/"),
            )
