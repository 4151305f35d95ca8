"""The commit of a project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def git_commit(root: Path) -> str | None:
    """Return the project's commit, with `-dirty` where files differ from it; None outside git."""
    if not (git := shutil.which("git")):
        return None

    def ask(*args: str) -> str | None:
        done = subprocess.run(  # noqa: S603 (git with fixed arguments)
            [git, *args], cwd=root, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}-dirty" if ask("status", "--porcelain", "--untracked-files=no") else commit
