"""Background processes of a local endpoint, which run on after the command that started them.

Each carries a mark, the endpoint's folder and the process's role, in an environment variable. Only
processes with the mark are stopped: never another one that got a process id of ours, but also one whose
start was interrupted. The mark is for processes of earlier commands. A process that this command has
started is observed by its handle, since the mark appears some time after the start.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from modelyard.files import tail
from modelyard.releases.endpoint import EndpointError

MARK = "MLOPS_ENDPOINT_PROCESS"
# For imports and a port on a heavily loaded machine; a process that ends is seen at once.
START_SECONDS = 300.0
STOP_SECONDS = 30.0  # to answer requests in flight and to write collected rows
_POLL = 0.05


class Processes:
    """The processes of one endpoint, by role."""

    def __init__(self, folder: Path) -> None:
        """Use the folder of an endpoint; logs are below it."""
        self._folder = folder

    def mark(self, role: str) -> str:
        """Return the value of `MARK` for a role."""
        return f"{self._folder.resolve()}#{role}"

    def log(self, role: str) -> Path:
        """Return the log file of a role, in a folder that exists."""
        file = self._folder / "logs" / f"{role}.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def log_tail(self, role: str) -> str:
        """Return the last lines of a role's log, and its path."""
        file = self.log(role)
        return f"\n{tail(file, 10)}\nthe whole log: {file}"

    def start(self, role: str, module: str, *arguments: object, ready: Path, cwd: Path) -> None:
        """Start `python -m module` and wait until it has written the file `ready`.

        Raises:
            EndpointError: it ended before, or did not write the file in START_SECONDS; with its log.
        """
        ready.unlink(missing_ok=True)
        with self.log(role).open("ab") as output:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=cwd,
                env={**os.environ, MARK: self.mark(role)},
            )
        try:
            self._wait(process, role, ready)
        except BaseException:
            process.kill()
            process.wait()
            raise

    def _wait(self, process: subprocess.Popen[bytes], role: str, ready: Path) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            code = process.poll()
            if code is not None:
                raise EndpointError(
                    f"the {role} ended with code {code} while it started{self.log_tail(role)}"
                )
            if ready.is_file():
                return
            if time.monotonic() > until:
                raise EndpointError(
                    f"the {role} did not start within {START_SECONDS:g} s{self.log_tail(role)}"
                )
            time.sleep(_POLL)

    def is_running(self, role: str, pid: int | None) -> bool:
        """Whether a process of an earlier command runs, and is of this role."""
        if pid is None:
            return False
        try:
            return _has_mark(psutil.Process(pid), self.mark(role))
        except psutil.NoSuchProcess:
            return False

    def stop(self, role: str) -> None:
        """Terminate the processes of a role, and kill them after STOP_SECONDS.

        Only parents get the signal: they end their workers.
        """
        running = self._of(role)
        pids = {one.pid for one in running}
        for process in running:
            with contextlib.suppress(psutil.Error):
                if process.ppid() not in pids:
                    process.terminate()
        psutil.wait_procs(running, timeout=STOP_SECONDS)
        left = self._of(role)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)

    def _of(self, role: str) -> list[psutil.Process]:
        mark = self.mark(role)
        return [one for one in psutil.process_iter() if _has_mark(one, mark)]


def _has_mark(process: psutil.Process, mark: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False
