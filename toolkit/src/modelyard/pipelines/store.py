"""Runs on disk, `.runs/<id>/<step>/`, and the index of results that can be reused.

A step writes into the folder of an attempt. Only after it has succeeded is the folder renamed to
`<step>/` and its key written to the index. So no crash leaves a partial result, and a process that
outlives a killed run cannot write into a later one.
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

from modelyard.files import ID_TIME, digest, link_tree, new_id, read_json, write_json

Status = Literal["waiting", "running", "completed", "reused", "failed", "skipped", "interrupted"]
_FORMAT = 1  # increased with each change to the meaning of a key or of `done.json`


@dataclass
class StepState:
    """A step in run.json; times are seconds since the epoch."""

    status: Status = "waiting"
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    key: str | None = None
    reused_from: str | None = None

    @property
    def ending(self) -> str:
        """How its process ended."""
        code = self.exit_code
        if code is not None and code < 0:
            return f"signal {-code} (killed; out of memory?)" if code == -9 else f"signal {-code}"
        return f"exit code {code}"


PIPELINE_TAG = "mlops.runs.pipeline"
INPUT_TAG = "mlops.input."  # before the name of an input that was given instead of the file's


@dataclass
class RunState:
    """The content of run.json."""

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
    """The folder of a run, and its lock."""

    def __init__(self, path: Path, state: RunState) -> None:
        self.path = path
        self.state = state
        self._lock = FileLock(path / ".lock")

    def acquire(self) -> bool:
        """Lock the run and read it again; False if another process has locked it, or deleted it."""
        if not (self.path / "run.json").is_file():
            return False
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        if (now := open_run(self.path)) is None:
            self.release()
            return False
        self.state = now.state
        return True

    def release(self) -> None:
        """Unlock the run."""
        self._lock.release()

    def save(self) -> None:
        """Write run.json."""
        write_json(self.path / "run.json", asdict(self.state))

    def attempt(self, step: str) -> Path:
        """Create an empty folder for one attempt at a step."""
        return new_attempt(self.path / step)

    def keep(self, step: str, attempt: Path, *, key: str | None, outputs: dict[str, str]) -> None:
        """Make an attempt the result of the step; with a key it can be reused."""
        keep_result(self.path.parent, self.path / step, attempt, key=key, outputs=outputs)

    def keep_failed(self, step: str, attempt: Path) -> None:
        """Keep the log and the files of a failed attempt, which is never reused."""
        (attempt / "done.json").unlink(missing_ok=True)
        replace_folder(self.path / step, attempt)

    def reuse(self, step: str, key: str, outputs: list[str]) -> tuple[Path, dict[str, str]] | None:
        """Use the result of another run; see `reuse_result`."""
        return reuse_result(self.path.parent, self.path / step, key, outputs)

    def forget_trials(self, step: str) -> None:
        """Let no later run use the results of a sweep's trials."""
        for file in trials_folder(self.path, step).glob("*/done.json"):
            key = read_json(file)["key"]
            (self.path.parent / "index" / f"{key}.json").unlink(missing_ok=True)

    def clear_attempts(self) -> None:
        """Remove the folders of killed attempts."""
        for folder in self.path.glob(".*-??????"):
            shutil.rmtree(folder, ignore_errors=True)


def trials_folder(run: Path, step: str) -> Path:
    """The folder of a sweep's trials, one folder each; unlike an attempt it survives a kill."""
    return run / f"{step}.trials"


def new_attempt(target: Path) -> Path:
    """Create an empty folder beside `target`, to take its place later."""
    folder = target.parent / f".{target.name}-{secrets.token_hex(3)}"
    folder.mkdir()
    return folder


def keep_result(
    runs: Path, target: Path, attempt: Path, *, key: str | None, outputs: dict[str, str]
) -> None:
    """Make an attempt the result at `target`; with a key `reuse_result` finds it."""
    write_json(attempt / "done.json", {"key": key, "outputs": outputs, "format": _FORMAT})
    replace_folder(target, attempt)
    if key is not None:
        folder = target.relative_to(runs).as_posix()
        write_json(runs / "index" / f"{key}.json", {"folder": folder})


def reuse_result(
    runs: Path, target: Path, key: str, outputs: list[str]
) -> tuple[Path, dict[str, str]] | None:
    """Find an earlier result by its key, and use it at `target`, by hard links where the disk allows.

    It is compared after it was linked: another process may delete it, or replace it, meanwhile.

    Returns:
        Its folder and its outputs' digests; None where there is none, or an output has changed since.
    """
    attempt = target.parent / f".{target.name}-{secrets.token_hex(3)}"
    with contextlib.suppress(Exception):  # an entry that cannot be read counts as none
        folder = runs / read_json(runs / "index" / f"{key}.json")["folder"]
        if folder != target:
            link_tree(folder, attempt)
        place = target if folder == target else attempt
        done = read_json(place / "done.json")
        found = {name: digest(place / name) for name in outputs if (place / name).exists()}
        if (done["key"], done["format"], done["outputs"]) == (key, _FORMAT, found):
            if place == attempt:
                replace_folder(target, attempt)
            return folder, found
    shutil.rmtree(attempt, ignore_errors=True)
    return None


def replace_folder(target: Path, attempt: Path) -> None:
    """Replace the folder `target` by `attempt`."""
    if target.exists():
        shutil.rmtree(target)
    os.replace(attempt, target)


def new_run(runs: Path, pipeline: str, experiment: str, tags: dict[str, str]) -> RunFolder:
    """Create `.runs/<id>/`, locked."""
    while True:
        run_id = new_id()
        with contextlib.suppress(FileExistsError):
            (runs / run_id).mkdir(parents=True)
            break
    state = RunState(run_id, pipeline, experiment, started=time.time(), tags=tags)
    folder = RunFolder(runs / run_id, state)
    folder._lock.acquire()
    folder.save()
    return folder


def open_run(path: Path) -> RunFolder | None:
    """Read a run from its folder; None where run.json is missing or from another version."""
    with contextlib.suppress(Exception):
        content: dict[str, Any] = read_json(path / "run.json")
        content["steps"] = {name: StepState(**step) for name, step in content["steps"].items()}
        return RunFolder(path, RunState(**content))
    return None


def all_runs(runs: Path) -> list[RunFolder]:
    """Every run, newest first."""
    folders = sorted((p.parent for p in runs.glob("*/run.json")), reverse=True)
    return [run for run in map(open_run, folders) if run is not None]


def half_made(runs: Path) -> list[RunFolder]:
    """Find and lock the folders of runs whose command was killed while it made the folder, or deleted it."""
    found = []
    # One of the last minute may be on its way: it has its folder, and neither lock nor run.json yet.
    begun = time.strftime(ID_TIME, time.gmtime(time.time() - 60))
    for path in runs.glob("[0-9]*-[0-9]*-*"):
        run = RunFolder(path, RunState(path.name, "", ""))
        if path.name < begun and not (path / "run.json").exists():
            with contextlib.suppress(Timeout):
                run._lock.acquire(timeout=0)
                found.append(run)
    return found


def interrupted_run(runs: Path, pipeline: str, experiment: str) -> RunFolder | None:
    """Find and lock the newest run of a pipeline if it was killed before it ended."""
    for run in all_runs(runs):
        if (run.state.pipeline, run.state.experiment) != (pipeline, experiment):
            continue
        if run.state.status not in ("running", "interrupted") or not run.acquire():
            return None
        if run.state.status in ("running", "interrupted"):
            return run
        run.release()  # it has ended just now
        return None
    return None


def step_key(
    *,
    command: str,
    code: str,
    environment: str,
    inputs: dict[str, str],
    outputs: list[str],
    store: str,
    libraries: str = "",
) -> str:
    """Compute a digest of everything that a step's result depends on.

    `libraries` is of its own environment; by default they are those of this process.
    """
    libraries = libraries or installed()
    parts = [str(_FORMAT), command, code, environment, store, libraries, *sorted(outputs)]
    parts += [f"{name}={value}" for name, value in sorted(inputs.items())]
    return sha256("\0".join(parts).encode()).hexdigest()


@cache
def installed(python: Path | None = None) -> str:
    """Compute a digest of the interpreter and of the names and versions of installed libraries.

    This toolkit is left out: its modules count by their content, see `step_code`.

    Args:
        python: of another environment than that of this process.
    """
    if python is None:
        places = [Path(sysconfig.get_paths()["purelib"])]
    else:
        places = sorted(python.parents[1].glob("[lL]ib/**/site-packages"))
    found = [p for place in places for p in place.glob("*.dist-info")]
    names = sorted(p.name for p in found if not p.name.startswith("modelyard-"))
    names += [place.parent.name for place in places if python is not None]
    return sha256("\0".join([sys.version, sys.platform, *names]).encode()).hexdigest()
