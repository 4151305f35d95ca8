"""Git, asked about a project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from modelyard.errors import UsageError


def git(
    folder: Path,
    *words: str,
    settings: Mapping[str, str] | None = None,
    given: str | None = None,
    codes: Collection[int] = (0,),
) -> str:
    """Run git in a folder; return what it prints.

    Args:
        folder: to run it in.
        words: of the command.
        settings: further environment variables.
        given: what it reads.
        codes: exit codes that are no failure.

    Raises:
        UsageError: git is not installed, or refuses.
    """
    program = shutil.which("git")
    if program is None:
        raise UsageError("git is not installed: install it, then try again")
    done = subprocess.run(  # noqa: S603
        [program, *words],
        cwd=folder,
        # A `status` that is killed while it refreshes the index, which it need not, would leave its lock behind.
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", **(settings or {})},
        input=given,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # names of files are bytes
        check=False,
    )
    if done.returncode not in codes:
        named = re.sub(r"-c \S+ ", "", " ".join(words)).split(" ", 1)[0]
        raise UsageError(f"git {named} failed: {done.stderr.strip()}")
    return done.stdout


def blob(folder: Path, name: str, settings: Mapping[str, str] | None = None) -> str | None:
    """Return a file of a commit, `COMMIT:PATH`, as it is; None where there is none."""
    try:
        return git(folder, "cat-file", "blob", name, settings=settings)
    except UsageError:
        return None


def asked(folder: Path, *words: str) -> str | None:
    """Return what git prints, without blanks around it; None where it is not installed or refuses."""
    try:
        return git(folder, *words).strip()
    except UsageError:
        return None


def head(folder: Path) -> str | None:
    """Return the commit that a folder is at; None outside git, and in a repository that ignores the folder."""
    is_ignored = asked(folder, "check-ignore", "--quiet", ".") is not None
    return None if is_ignored else asked(folder, "rev-parse", "--verify", "HEAD")
