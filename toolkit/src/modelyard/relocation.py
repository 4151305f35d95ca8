"""Finds and mends what moving or renaming the project's folder breaks in the embedded MLflow store.

MLflow writes absolute paths of artifacts into its database and has no call to change them, so this
is the one place that writes to its tables. Only for the version of MLflow that is pinned.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from modelyard.errors import UsageError

_ARTIFACTS = "/.mlflow/artifacts/"
# Where the tables of MLflow 3 keep paths; what a version does not have is passed over.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_PATIENCE = 10.0


def check_place(store: Path, root: Path) -> None:
    """Refuse a store whose artifacts are not in this project.

    Args:
        store: the database; nothing is wrong where there is none.
        root: the project's folder.

    Raises:
        UsageError: the folder was moved or copied since; says what to do.
    """
    former = former_roots(store, root)
    if former:
        places = ", ".join(map(str, former))
        raise UsageError(
            f"{store} keeps its models and evidence below {places}, this project is {root}: the "
            "folder was moved, renamed or copied. `mlops relocate` makes the store point here."
        )


def former_roots(store: Path, root: Path) -> list[Path]:
    """Folders other than `root` in which the store keeps artifacts of experiments."""
    if not store.is_file():
        return []
    with contextlib.closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as database:
        try:
            rows = database.execute("SELECT artifact_location FROM experiments").fetchall()
        except sqlite3.Error:
            return []  # not yet a store, or not of this version: MLflow says what it is
    places = {
        Path(url2pathname(urlparse(location).path.split(_ARTIFACTS)[0]))
        for (location,) in rows
        if str(location).startswith("file:") and _ARTIFACTS in location
    }
    return sorted(places - {root})


def relocate(store: Path, root: Path) -> list[Path]:
    """Make the store point to the artifacts in `root`, all paths or none; keeps a copy beside it.

    Args:
        store: the database.
        root: the project's folder, which holds `.mlflow/artifacts`.

    Returns:
        The folders it pointed to before; empty where nothing was to be done.

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
