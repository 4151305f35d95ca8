"""The commit that a run is made from, and how the project differs from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from modelyard.git import head

PATCH = "uncommitted.patch"
CODE = ("src", "conf", "azureml")  # here files that git does not know yet count as well
# `mlops contract` writes these. The contract itself is kept with every registered version.
WRITTEN = ("conf/contract.yml", "azureml/data/training.yml", "azureml/monitoring/monitor.yml")


def commit_of(root: Path) -> tuple[str | None, bytes]:
    """Find the project's commit, with `-dirty` where files differ from it.

    Returns:
        The commit, None outside git; and the difference as a patch for `git apply`.
    """
    git, name = shutil.which("git"), head(root)
    if git is None or name is None:
        return None, b""
    known = root / (_ask(git, root, "rev-parse", "--git-path", "index") or b"").decode().strip()
    with tempfile.TemporaryDirectory(prefix="commit-") as temporary:
        index = Path(temporary) / "index"  # what the user has staged stays as it is
        if known.is_file():
            shutil.copy2(known, index)
        _ask(git, root, "add", "--update", ".", index=index)
        new = [folder for folder in CODE if (root / folder).is_dir()]
        _ask(git, root, "add", "--", *new, index=index)
        left_out = [f":(exclude){file}" for file in WRITTEN]
        words = ("diff", "--cached", "--binary", "--no-ext-diff", "HEAD", "--", ".", *left_out)
        patch = _ask(git, root, *words, index=index)
    return f"{name}-dirty" if patch else name, patch or b""


def _ask(git: str, root: Path, *words: str, index: Path | None = None) -> bytes | None:
    done = subprocess.run(  # noqa: S603 (git with arguments from here)
        [git, *words],
        cwd=root,
        env={**os.environ, "GIT_INDEX_FILE": str(index)} if index else None,
        capture_output=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None
