"""The warm server: imports the libraries of the steps, and forks a child for each job on its standard input."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
import time
import warnings
from collections.abc import Sequence

from modelyard.pipelines.warm import Job

assert sys.platform != "win32"  # noqa: S101 (the rest is not for Windows, which cannot fork)


def serve(preload: Sequence[str]) -> None:
    """Run the server: import one module at a time, and fork a child for each job that is ready."""
    gc.disable()  # it takes a fifth of the imports, and finds nothing in them
    to_import, imported = list(preload), set[str]()
    waiting: list[tuple[int, Job]] = []
    children: dict[int, int] = {}
    buffer = b""
    while True:
        idle = 0.005 if children else None
        readable, _, _ = select.select([0], [], [], 0 if to_import or waiting else idle)
        if readable:
            received = os.read(0, 1 << 20)
            if not received:
                for pid in children:
                    _kill(pid, signal.SIGKILL)
                return
            *lines, buffer = (buffer + received).split(b"\n")
            for message in map(json.loads, lines):
                if "kill" in message:
                    for pid, number in children.items():
                        if number == message["kill"]:
                            _kill(pid, message["signal"])
                else:
                    waiting.append((message["start"], Job(**message["job"])))
        for number, job in list(waiting):
            if not to_import or imported.issuperset(job.imports):
                waiting.remove((number, job))
                children[_fork(job)] = number
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                print(json.dumps({"done": children.pop(pid), "code": code}), flush=True)
        if to_import:
            name = to_import.pop(0)
            # A module that is missing or broken is reported by the step that imports it.
            with contextlib.suppress(Exception):
                importlib.import_module(name)
            imported.add(name)


def _fork(job: Job) -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of threads at a fork; these are BLAS workers, which start again after it.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    gc.freeze()
    gc.enable()
    code = 70
    try:
        os.setsid()
        log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="replace", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="replace", closefd=False)
        code = _run_module(job)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _run_module(job: Job) -> int:
    """Do the same as `python -m module argv`, in this process."""
    import traceback

    os.chdir(job.cwd)
    os.environ.clear()
    os.environ.update(job.env)
    time.tzset()
    sys.argv = [job.module or "", *job.argv]
    # As with `python -m`, the working folder comes first, in place of the server's entry.
    sys.path[0] = job.cwd
    importlib.invalidate_caches()
    try:
        runpy.run_module(job.module or "", run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        print(leaving.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _kill(pid: int, how: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
