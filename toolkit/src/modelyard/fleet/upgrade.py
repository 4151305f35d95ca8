"""Brings a version of the template into a project: all of it in one commit, or nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modelyard.console import listed
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import has_file, read_text
from modelyard.fleet.merge import MAIL, MERGE, TITLE, Upgrade, merged
from modelyard.fleet.template import STATE, Origin, opened, read_origin
from modelyard.git import asked, git


@contextmanager
def upgrade_of(
    root: Path,
    version: str | None,
    template: str | None,
    say: Callable[[str], object],
    answers: Mapping[str, str] | None = None,
) -> Iterator[Upgrade | None]:
    """Merge a version of the template into the project at `root`, and change nothing.

    Args:
        root: of the project.
        version: of the template; default: the newest.
        template: its place, where it is another one than .cruft.json says.
        say: takes a line before something slow.
        answers: that change, instead of the version.

    Raises:
        UsageError: the project, its template or the version cannot be used.
    """
    if asked(root, "rev-parse", "--show-prefix") != "":
        raise UsageError(f"{root} is not the top folder of a git repository with a commit")
    with (
        opened(template or origin_of(root).state["template"], say, root) as known,
        merged(root, known, version, answers=answers) as upgrade,
    ):
        yield upgrade


def origin_of(root: Path) -> Origin:
    """Read where the project at `root` came from.

    Raises:
        UsageError: the project was not made with cruft, or a file cannot be read.
    """
    state = root / STATE
    text = read_text(state) if has_file(state) else None
    return read_origin(lambda name: text if name == STATE else None, root)


def apply(root: Path, upgrade: Upgrade) -> str:
    """Bring an update without conflicts into the branch that is checked out; return its commit.

    Raises:
        UsageError: something is not committed, or is in the way of a new file.
        CheckFailed: there are conflicts; nothing is changed.
    """
    refuse_conflicts(upgrade)
    need_clean(root)
    commit = upgrade.store()
    _whole(root, "merge", "--ff-only", "--quiet", commit)
    return commit


def pick(root: Path, upgrade: Upgrade) -> bool:
    """Begin to pick an update that has conflicts; returns whether it needed nobody after all.

    Git keeps it open until the files are decided: `git cherry-pick --continue`, or `--abort`.

    Raises:
        UsageError: something is not committed.
    """
    need_clean(root)
    command = [*MERGE, "cherry-pick", upgrade.theirs if upgrade.commit is None else upgrade.commit]
    upgrade.store()
    try:
        git(root, *command)
    except UsageError:
        if asked(root, "rev-parse", "--verify", "-q", "CHERRY_PICK_HEAD") is None:
            raise
        return False
    return True


def undo(root: Path) -> str:
    """Take back the last update by a commit that reverts it; return that update's commit.

    Raises:
        UsageError: there was none, or something is not committed.
        CheckFailed: later commits changed the same lines; nothing is changed.
    """
    need_clean(root)
    search = ("log", "-1", "--format=%H", f"--author={MAIL}", f"--grep=^{TITLE} ", "HEAD")
    commit = git(root, *search).strip()
    if not commit:
        raise UsageError("no commit of an update was found on this branch")
    if asked(root, "log", "-1", "--format=%H", f"--grep=^This reverts commit {commit}"):
        raise UsageError(f"the last update, {commit[:8]}, was taken back already")
    try:
        _whole(root, "revert", "--no-edit", commit)
    except UsageError:
        asked(root, "revert", "--abort")
        raise CheckFailed(
            f"{commit[:8]} cannot be taken back: later commits changed the same lines; "
            f"`git revert {commit[:8]}` shows them"
        ) from None
    return commit


def refuse_conflicts(upgrade: Upgrade) -> None:
    """Raise CheckFailed that names the conflicts of an update, if it has some."""
    if conflicts := upgrade.conflicts:
        names = listed((one.file for one in conflicts), len(conflicts))
        raise CheckFailed(f"the template and the project changed the same lines of: {names}")


def need_clean(root: Path) -> None:
    """Raise UsageError where tracked files differ from the commit."""
    words = ("status", "--porcelain", "--untracked-files=no")
    if changed := git(root, *words).strip("\n"):
        raise UsageError(
            f"there are changes that are not committed:\n{changed}\n"
            "commit them, or put them aside with `git stash`"
        )


def _whole(root: Path, *words: str) -> None:
    """Run git so that it ends its work, should this process and its group be killed."""
    program = shutil.which("git") or "git"
    done = subprocess.run(  # noqa: S603
        [program, *words],
        cwd=root,
        env={**os.environ, "GIT_EDITOR": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode:
        raise UsageError(f"git {words[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
