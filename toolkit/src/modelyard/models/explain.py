"""Finds a registered model and the rows it learned from, and has single predictions explained."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.models.registry import locate
from modelyard.project import load_project
from modelyard.tracking import tracking_uri


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
        uri, wanted = tracking_uri(root), ("model", "prepared")
        found = locate(project.model, uri, version, wanted, Path(temporary))
        if found is None:
            raise UsageError(
                f"model `{project.model}` has no champion; promote one, or name a version with --version"
            )
        words = ["--data", str(data)]
        for name, path in found.paths.items():
            words += [f"--{name}", str(path)]
        words += ["--row", str(row)] if row is not None else []
        words += ["--json"] if as_json else []
        module = "modelyard.evaluation.shapley"
        done = subprocess.run([sys.executable, "-m", module, *words], check=False)  # noqa: S603
    return done.returncode
