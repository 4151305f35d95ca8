"""A branch with an update for every project of a fleet: the same merge as `mlops upgrade`.

What has been done is told by the repositories themselves: an update is the same commit whenever it is
made, so that a second run, after a kill too, finds its branch, its push and its pull request.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeVar

from modelyard.console import listed
from modelyard.errors import UsageError, reason_of
from modelyard.fleet.merge import MAIL, Upgrade, merged
from modelyard.fleet.pull_request import open_pull_request
from modelyard.fleet.repositories import QUIET, SLOW, Repository
from modelyard.fleet.template import Template, opened, read_origin
from modelyard.git import asked, blob, git

TRIES, PAUSE = 3, 2.0  # of what needs a network; the pause in seconds doubles
TAIL = 400  # characters of a check that failed

State = Literal["updated", "unchanged", "conflict", "check failed", "failed", "opted out"]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        template: a clone or an address; None: what each project's .cruft.json says.
        check: a command that has to succeed in the updated project.
    """

    version: str
    template: str | None = None
    check: str | None = None
    preview: bool = False
    push: bool = False
    pull_requests: bool = False


@dataclass
class Outcome:
    """What was done to a repository.

    Attributes:
        state: updated: the branch holds the update; unchanged: the project is of the version already.
        why: of what has failed.
        conflicts: files, each with the reason.
        pins: that project and template have both moved, by file, each with the newer version, which is taken.
        branch: None where there is none.
    """

    repository: str
    state: State
    why: str = ""
    conflicts: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    pins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    branch: str | None = None
    pushed: bool = False
    pull_request: str | None = None

    @property
    def is_fine(self) -> bool:
        """Whether nobody has to look at it."""
        return self.state in ("updated", "unchanged", "opted out")

    def __str__(self) -> str:
        said = self.why or ", ".join(filter(None, (self.branch, "pushed" if self.pushed else "")))
        if self.conflicts:
            said = listed(self.conflicts, len(self.conflicts))
        pins = dict.fromkeys(pin for some in self.pins.values() for pin in some)
        said += f"{'; ' * bool(said)}{listed(pins, separator='; ')}" if pins else ""
        return (
            f"{self.repository}: {self.state}"
            + f": {said}" * bool(said)
            + f" {self.pull_request or ''}".rstrip()
        )


def update_fleet(
    repositories: Sequence[Repository], wanted: Wanted, jobs: int, say: Callable[[str], object]
) -> Iterator[Outcome]:
    """Update repositories, several at once; yield what was done to each, as it is done."""
    os.environ.update(QUIET)
    with ExitStack() as stack, ThreadPoolExecutor(jobs) as pool:
        templates = _Templates(stack, say)
        tasks = [pool.submit(_update, one, wanted, templates) for one in repositories]
        for task in as_completed(tasks):
            yield task.result()


class _Templates:
    """Templates by their address, each opened once."""

    def __init__(self, stack: ExitStack, say: Callable[[str], object]) -> None:
        self._stack, self._say, self._lock = stack, say, threading.Lock()
        self._known: dict[str, Template] = {}

    def open(self, source: str) -> Template:
        with self._lock:
            if source not in self._known:
                template = self._stack.enter_context(opened(source, self._say, Path.cwd()))
                self._known[source] = template
            return self._known[source]


def _update(repository: Repository, wanted: Wanted, templates: _Templates) -> Outcome:
    outcome = Outcome(repository.shown, "unchanged")
    if not repository.updates:
        outcome.state = "opted out"
        return outcome
    try:
        with _at_hand(repository, wanted) as (root, base):
            origin = read_origin(lambda name: blob(root, f"{base}:{name}"), repository.shown)
            source = wanted.template or str(origin.state["template"])
            with merged(root, templates.open(source), wanted.version, base) as upgrade:
                if upgrade is not None:
                    _deliver(root, upgrade, wanted, outcome)
    except Exception as error:  # one broken repository must not stop the others
        outcome.state, outcome.why = "failed", reason_of(error)
    return outcome


def _deliver(root: Path, upgrade: Upgrade, wanted: Wanted, outcome: Outcome) -> None:
    outcome.kept = {one.file: one.why for one in upgrade.changes if one.kind == "kept"}
    outcome.pins = {one.file: one.pins for one in upgrade.changes if one.pins}
    if upgrade.commit is None:
        outcome.state = "conflict"
        outcome.conflicts = {one.file: one.why for one in upgrade.conflicts}
        return
    outcome.state = "updated"
    if wanted.preview:
        outcome.why = "preview, nothing is changed"
        return
    commit, branch = upgrade.store(), f"template-{upgrade.after[:8]}"
    if wanted.check and (said := _check(root, commit, wanted.check)) is not None:
        outcome.state, outcome.why = "check failed", said
        return
    _set_branch(root, branch, commit)
    outcome.branch = branch
    if wanted.push:
        _tried(lambda: _push(root, branch, commit))
        outcome.pushed = True
        if wanted.pull_requests:
            address = git(root, "remote", "get-url", "origin").strip()
            outcome.pull_request = _tried(
                lambda: open_pull_request(address, branch, upgrade.title, upgrade.description)
            )


@contextmanager
def _at_hand(repository: Repository, wanted: Wanted) -> Iterator[tuple[Path, str]]:
    """Yield a repository and the commit that an update follows."""
    root = Path(repository.place)
    if not repository.is_address:
        if asked(root, "rev-parse", "--git-dir") is None:
            raise UsageError(f"{root} is no git repository")
        if asked(root, "rev-parse", "--show-prefix"):
            raise UsageError(f"{root} is not the top folder of its git repository")
        base = "HEAD"
        if wanted.push:
            _tried(lambda: git(root, *SLOW, "fetch", "-q", "origin", "HEAD"))
            base = _text_of(root, "rev-parse", "FETCH_HEAD")
        yield root, base
        return
    if not (wanted.push or wanted.preview):
        raise UsageError("the branch of an address would be lost: add --push, or --preview")
    with TemporaryDirectory(prefix="fleet-") as temporary:
        root = Path(temporary) / "project.git"
        words = (*SLOW, "clone", "-q", "--bare", "--", repository.place, str(root))
        _tried(lambda: git(Path(temporary), *words))
        yield root, "HEAD"


def _set_branch(root: Path, branch: str, commit: str) -> None:
    """Make the branch, or move it where nobody has worked on it.

    Raises:
        UsageError: it has commits of somebody else, or is checked out.
    """
    old = _text_of(root, "rev-parse", "--verify", "-q", f"refs/heads/{branch}")
    if old == commit or (old and _is_above(root, commit, old)):
        return
    if old:
        _need_own(root, old, branch)
    if _text_of(root, "symbolic-ref", "-q", "HEAD") == f"refs/heads/{branch}":
        raise UsageError(f"the branch {branch} is checked out; switch to another one")
    git(root, "update-ref", f"refs/heads/{branch}", commit, old or "")


def _push(root: Path, branch: str, commit: str) -> None:
    """Push the branch, unless it is there; commits of somebody else on it are left alone.

    Raises:
        UsageError: there are such commits, or the server refuses.
    """
    listing = git(root, *SLOW, "ls-remote", "origin", f"refs/heads/{branch}").split()
    old = listing[0] if listing else ""
    if old == commit:
        return
    if old:
        git(root, *SLOW, "fetch", "-q", "origin", old)
        if _is_above(root, commit, old):
            return
        _need_own(root, old, branch)
    lease = f"--force-with-lease=refs/heads/{branch}:{old}"
    git(root, *SLOW, "push", "-q", lease, "origin", f"{commit}:refs/heads/{branch}")


def _is_above(root: Path, commit: str, later: str) -> bool:
    return asked(root, "merge-base", "--is-ancestor", commit, later) is not None


def _need_own(root: Path, commit: str, branch: str) -> None:
    if _text_of(root, "show", "-s", "--format=%ce", commit) != MAIL:
        raise UsageError(f"the branch {branch} has commits of somebody else; delete or rename it")


def _check(root: Path, commit: str, command: str) -> str | None:
    """Run a command in the updated project; return the end of what it said where it fails."""
    with TemporaryDirectory(prefix="fleet-check-") as temporary:
        folder = Path(temporary) / "project"
        git(Path(temporary), "clone", "-qsn", str(root.resolve()), str(folder))
        git(folder, "-c", "advice.detachedHead=false", "checkout", "-q", commit)
        done = subprocess.run(  # noqa: S602 (the command is the caller's own)
            command, shell=True, cwd=folder, capture_output=True, text=True, check=False
        )
    return (
        None if done.returncode == 0 else (done.stdout + done.stderr).strip()[-TAIL:] or "no output"
    )


def _tried(action: Callable[[], _T]) -> _T:
    """Do what needs a network, a few times."""
    for number in range(TRIES - 1):
        try:
            return action()
        except UsageError:
            time.sleep(PAUSE * 2**number)
    return action()


def _text_of(root: Path, *words: str) -> str:
    return asked(root, *words) or ""
