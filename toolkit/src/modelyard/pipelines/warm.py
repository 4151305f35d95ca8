"""Starts each step in a process, forked from a warm interpreter where that is safe.

Importing pandas, scikit-learn and MLflow takes longer than most steps compute. On Linux one server
process imports the libraries of the steps, in the order in which they are needed, and forks a child
per step as soon as that step's libraries are imported. Elsewhere (fork is unsafe with some system
libraries) and for commands that are not `python -m …`, a step is an ordinary process.

No step outlives the runner: the server kills its children when its input closes, and an ordinary process
has a shell beside it that does the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

# Parallel steps have more threads than there are cores. OpenMP's threads spin while they wait for each
# other, and so take the core from the thread they wait for: ten times slower was measured.
THREADS_YIELD = {"OMP_WAIT_POLICY": "PASSIVE"}
if sys.platform == "win32":
    KILL = signal.SIGTERM  # there, it ends a process at once
else:
    KILL = signal.SIGKILL


@dataclass(frozen=True)
class Job:
    """A process to start.

    Attributes:
        argv: the command, or the arguments of `python -m module`.
        imports: libraries that are imported before a fork.
    """

    argv: list[str]
    cwd: str
    env: dict[str, str]
    log: str
    module: str | None = None
    imports: tuple[str, ...] = ()


class Running(Protocol):
    """A started step."""

    def poll(self) -> int | None:
        """The exit code, or None while it runs (negative: killed by that signal)."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM to it and its children."""
        ...

    def kill(self) -> None:
        """Kill it and its children."""
        ...


class _Cold:
    """An ordinary process, in a session of its own so that its children are killed with it."""

    def __init__(self, job: Job) -> None:
        argv = [sys.executable, "-m", job.module, *job.argv] if job.module else job.argv
        with Path(job.log).open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 (the component's own command)
                argv,
                cwd=job.cwd,
                env=job.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard: subprocess.Popen[bytes] | None = None
        if sys.platform != "win32":
            self._guard = subprocess.Popen(  # noqa: S603 (a shell)
                ["/bin/sh", "-c", "read _; kill -s KILL -- -$0", str(self.process.pid)],
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        code = self.process.poll()
        if code is not None and self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        return code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(KILL)
        self.process.wait()
        self.poll()

    def _send(self, number: int) -> None:
        if sys.platform == "win32":
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


class _Forked:
    """A child of the warm server, which reports its exit code."""

    def __init__(self, server: WarmServer, number: int) -> None:
        self.server = server
        self.number = number

    def poll(self) -> int | None:
        if self.number not in self.server.exits and not self.server.alive():
            return -KILL
        return self.server.exits.get(self.number)

    def terminate(self) -> None:
        self.server.send({"kill": self.number, "signal": signal.SIGTERM})

    def kill(self) -> None:
        self.server.send({"kill": self.number, "signal": KILL})


class WarmServer:
    """The server process, as the runner sees it."""

    def __init__(self, preload: Sequence[str]) -> None:
        self.exits: dict[int, int] = {}
        self._count = 0
        self._process = subprocess.Popen(  # noqa: S603 (this module)
            [sys.executable, "-m", "modelyard.pipelines.warm_server", json.dumps(list(preload))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=THREADS_YIELD | os.environ,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, job: Job) -> Running:
        self._count += 1
        self.send({"start": self._count, "job": asdict(job)})
        return _Forked(self, self._count)

    def send(self, message: dict[str, object]) -> None:
        assert self._process.stdin is not None  # noqa: S101 (opened above)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the server and its children."""
        if self._count == len(self.exits):  # it has no child: an import need not end
            self._process.kill()
            self._process.wait()
            return
        assert self._process.stdin is not None  # noqa: S101 (opened above)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (opened above)
        for line in self._process.stdout:
            done = json.loads(line)
            self.exits[done["done"]] = done["code"]


class Launcher:
    """Starts jobs, warm where possible; a context manager that ends all of them.

    Attributes:
        preload: libraries that the server imports once the first job is started.
    """

    def __init__(
        self, preload: Sequence[str] = (), *, warm: bool = sys.platform == "linux"
    ) -> None:
        self.preload = preload
        self._warm = warm
        self._server: WarmServer | None = None
        self._running: list[Running] = []

    def __enter__(self) -> Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running:
            if running.poll() is None:
                running.kill()
        if self._server is not None:
            self._server.close()

    def start(self, job: Job, *, cold: bool = False) -> Running:
        """Start a job; with `cold` as an ordinary process, for one that is shorter than the imports."""
        running: Running
        if self._warm and job.module and not cold:
            if self._server is None:
                self._server = WarmServer(self.preload)
            running = self._server.start(job)
        else:
            running = _Cold(job)
        self._running.append(running)
        return running


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Build the environment of a step: this process's, without the run of an enclosing MLflow job."""
    kept = {k: v for k, v in os.environ.items() if k not in {"MLFLOW_RUN_ID", "PYTHONPATH"}}
    # Logs are read as UTF-8; a forked step writes it too.
    return THREADS_YIELD | kept | {"PYTHONIOENCODING": "utf-8:replace"} | dict(extra)
