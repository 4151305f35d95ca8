"""Finds a registered model and the rows it learned from, and has single predictions explained."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from .errors import UsageError
from .project import load_project
from .registry import CHAMPION, Registry, champion_in_sqlite
from .tracking import tracking_uri


def explain(root: Path, data: Path, *, row: int | None, version: str | None, as_json: bool) -> int:
    """Explain rows with the package's `explain_rows`; returns its exit code.

    Args:
        root: the project.
        data: file of rows.
        row: number of one row, from 1; default: all.
        version: of the model; default: the champion.
        as_json: print JSON.

    Raises:
        UsageError: there is no such version.
    """
    project = load_project(root)
    with tempfile.TemporaryDirectory(prefix="explain-") as temporary:
        folder = _folder(root, project.model, version, Path(temporary))
        words = ["--model", str(folder / "model"), "--prepared", str(folder / "prepared")]
        words += ["--data", str(data)]
        words += ["--row", str(row)] if row is not None else []
        words += ["--json"] if as_json else []
        module = f"{project.package}.explain_rows"
        done = subprocess.run([sys.executable, "-m", module, *words], check=False)  # noqa: S603
    return done.returncode


def _folder(root: Path, model: str, number: str | None, temporary: Path) -> Path:
    """A folder with `model` and `prepared` of a version; the store's own where it is here."""
    uri = tracking_uri(root)
    if number is None and uri.startswith("sqlite:"):
        try:
            found = champion_in_sqlite(uri, model)
        except sqlite3.Error:
            found = None
        if found is not None and (found[1].parent / "prepared").is_dir():
            return found[1].parent
    os.environ["MLFLOW_TRACKING_URI"] = uri
    registry = Registry(model, uri)
    version = registry.version(number) if number else registry.holder(CHAMPION)
    if version is None:
        raise UsageError(
            f"model `{model}` has no champion; promote one, or name a version with --version"
        )
    for artifact in ("model", "prepared"):
        registry.fetch(version, artifact, temporary)
    return temporary
