"""Runs on disk: `.runs/<id>/<step>/`, what finished there, and what can be used again.

A step writes into an attempt folder of its own. Only when it has ended well is the folder renamed to
`<step>/` and its key written to the index, so whatever a crash leaves behind is never taken for a
result, and a left-over process of a killed run cannot write into a later one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import sysconfig
import time
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from modelyard.files import digest, link_tree, read_json, write_json

Status = Literal["waiting", "running", "completed", "reused", "failed", "skipped", "interrupted"]
_FORMAT = 1  # raise it when what a key or `done.json` means changes


@dataclass
class StepState:
    """One step of a run, as run.json has it. Times in seconds since the epoch."""

    status: Status = "waiting"
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    key: str | None = None
    reused_from: str | None = None


@dataclass
class RunState:
    """A run, as run.json has it."""

    id: str
    pipeline: str
    experiment: str
    status: Literal["running", "completed", "failed", "interrupted"] = "running"
    started: float = 0.0
    finished: float | None = None
    steps: dict[str, StepState] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    git_commit: str | None = None


class RunFolder:
    """One run's folder; holds its lock while it is open."""

    def __init__(self, path: Path, state: RunState) -> None:
        self.path = path
        self.state = state
        self._lock = FileLock(path / ".lock")

    def acquire(self) -> bool:
        """Take the run; False if another process works on it."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Let the run go."""
        self._lock.release()

    def save(self) -> None:
        """Write run.json."""
        write_json(self.path / "run.json", asdict(self.state))

    def attempt(self, step: str) -> Path:
        """A new empty folder for one attempt at a step."""
        return new_attempt(self.path / step)

    def keep(self, step: str, attempt: Path, *, key: str | None, outputs: dict[str, str]) -> None:
        """Make an attempt the step's result; with a key it can be reused."""
        keep_result(self.path.parent, self.path / step, attempt, key=key, outputs=outputs)

    def keep_failed(self, step: str, attempt: Path) -> None:
        """Keep a failed attempt's log and files for a person to read; never for reuse."""
        (attempt / "done.json").unlink(missing_ok=True)
        replace_folder(self.path / step, attempt)

    def reuse(self, step: str, source: Path) -> None:
        """Make another run's result this run's, without copying bytes where the disk allows."""
        link_result(source, self.path / step)

    def clear_attempts(self) -> None:
        """Remove what killed attempts left."""
        for folder in self.path.glob(".*-??????"):
            shutil.rmtree(folder, ignore_errors=True)


def trials_folder(run: Path, step: str) -> Path:
    """Where the trials of a sweep are kept, one folder each; unlike attempts they outlive a kill."""
    return run / f"{step}.trials"


def new_attempt(target: Path) -> Path:
    """A new empty folder beside `target`, which it may become."""
    folder = target.parent / f".{target.name}-{secrets.token_hex(3)}"
    folder.mkdir()
    return folder


def keep_result(
    runs: Path, target: Path, attempt: Path, *, key: str | None, outputs: dict[str, str]
) -> None:
    """Make an attempt the result at `target`; with a key it is found by `reusable`."""
    write_json(attempt / "done.json", {"key": key, "outputs": outputs, "format": _FORMAT})
    replace_folder(target, attempt)
    if key is not None:
        folder = target.relative_to(runs).as_posix()
        write_json(runs / "index" / f"{key}.json", {"folder": folder})


def link_result(source: Path, target: Path) -> None:
    """Make another result this one, without copying bytes where the disk allows."""
    if source == target:
        return
    attempt = target.parent / f".{target.name}-{secrets.token_hex(3)}"
    link_tree(source, attempt)
    replace_folder(target, attempt)


def replace_folder(target: Path, attempt: Path) -> None:
    """Put `attempt` where `target` is."""
    if target.exists():
        shutil.rmtree(target)
    os.replace(attempt, target)


def new_run(runs: Path, pipeline: str, experiment: str, tags: dict[str, str]) -> RunFolder:
    """Create `.runs/<id>/`, locked."""
    while True:
        run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        with contextlib.suppress(FileExistsError):
            (runs / run_id).mkdir(parents=True)
            break
    state = RunState(run_id, pipeline, experiment, started=time.time(), tags=tags)
    folder = RunFolder(runs / run_id, state)
    folder.acquire()
    folder.save()
    return folder


def open_run(path: Path) -> RunFolder | None:
    """A run from its folder; None where run.json is missing or from another version."""
    with contextlib.suppress(Exception):
        content: dict[str, Any] = read_json(path / "run.json")
        content["steps"] = {name: StepState(**step) for name, step in content["steps"].items()}
        return RunFolder(path, RunState(**content))
    return None


def all_runs(runs: Path) -> list[RunFolder]:
    """Every run, newest first."""
    folders = sorted((p.parent for p in runs.glob("*/run.json")), reverse=True)
    return [run for run in map(open_run, folders) if run is not None]


def interrupted_run(runs: Path, pipeline: str, experiment: str) -> RunFolder | None:
    """The newest run of this pipeline, locked, if it was killed before it ended."""
    for run in all_runs(runs):
        if (run.state.pipeline, run.state.experiment) != (pipeline, experiment):
            continue
        if run.state.status in ("running", "interrupted") and run.acquire():
            return run
        return None
    return None


def reusable(runs: Path, key: str, outputs: list[str]) -> tuple[Path, dict[str, str]] | None:
    """An earlier result for `key`, with its outputs' digests, if every byte is still there."""
    try:
        folder = runs / read_json(runs / "index" / f"{key}.json")["folder"]
        done = read_json(folder / "done.json")
    except Exception:  # an index that cannot be read is an index that has no entry
        return None
    if (
        done.get("key") != key
        or done.get("format") != _FORMAT
        or set(done["outputs"]) != set(outputs)
    ):
        return None
    for name, expected in done["outputs"].items():
        if not (folder / name).exists() or digest(folder / name) != expected:
            return None
    return folder, done["outputs"]


def step_key(
    *,
    command: str,
    code: str,
    environment: str,
    inputs: dict[str, str],
    outputs: list[str],
    store: str,
) -> str:
    """What a step's result depends on, as one digest."""
    parts = [str(_FORMAT), command, code, environment, store, installed(), *sorted(outputs)]
    parts += [f"{name}={value}" for name, value in sorted(inputs.items())]
    return sha256("\0".join(parts).encode()).hexdigest()


@cache
def installed() -> str:
    """The interpreter and every installed distribution with its version.

    This toolkit is left out: a step's key has the content of the modules that it reaches.
    """
    site = Path(sysconfig.get_paths()["purelib"])
    names = sorted(p.name for p in site.glob("*.dist-info") if not p.name.startswith("modelyard-"))
    return sha256("\0".join([sys.version, sys.platform, *names]).encode()).hexdigest()
