"""Runs `mlops` for a story: each command in a process of its own, forked from one that has Azure's packages loaded.

Every request of those processes goes to the server of azure_cloud.py, and so does every second that one sleeps.
Run with the packages of requirements/cloud.txt: `azure_processes.py SOCKET`. Its client stands in the place of `mlops`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import socket
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import requests
from azure_fake import _answer, without_warnings

# Where the server is, and when the story begins; with ORDINARY a process has the time of this machine.
SERVER, BEGIN, ORDINARY = "STORY_SERVER", "STORY_BEGIN", "STORY_ORDINARY_TIME"
LOADED = (
    "mlflow",
    "azureml.mlflow",
    "azure.ai.ml",
    "azure.storage.blob",
    "sklearn.ensemble",
    "skops.io",
    "modelyard.cli.azure",
    "modelyard.delivery.share",
    "modelyard.models.azure_registry",
    "modelyard.releases.azure_endpoint",
    "modelyard.releases.promote",
    "modelyard.releases.release",
)
CLIENT = """#!{python} -IS
import json, os, socket, sys
words = sys.argv[1:]
if sys.argv[0].endswith("python"):
    if words[:2] != ["-m", "modelyard"]:
        os.execv("{azure_python}", ["{azure_python}", *words])
    words = words[2:]
elif "{record}":
    with open("{record}", "a") as record:
        record.write(os.environ["IDENTITY"] + "\\tmlops " + " ".join(words) + "\\n")
    if words[:2] in {recorded}:
        sys.exit()
asked = dict(words=words, cwd=os.getcwd(), env=dict(os.environ), python="{client_python}")
with socket.socket(socket.AF_UNIX) as server:
    server.connect("{socket}")
    socket.send_fds(server, [json.dumps(asked).encode() + b"\\n"], [1, 2])
    sys.exit(int(server.recv(9) or b"137"))
"""
_real = time.sleep, time.time, time.perf_counter
_clock = 0.0


def ask(method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, Any, bytes]:
    """Ask the server; it knows the address that was meant by a header."""
    global _clock
    host = os.environ[SERVER]
    connection = HTTPConnection(host, timeout=300)
    try:
        connection.request(method, "/azure", body, {**headers, "X-Meant": url})
        answer = connection.getresponse()
        content = answer.read()
        _clock = float(answer.headers["X-Clock"])
        return answer.status, dict(answer.headers), content
    finally:
        connection.close()


def _send(_: Any, request: requests.PreparedRequest, **__: Any) -> Any:
    body: Any = request.body or b""
    body = body.read() if hasattr(body, "read") else body
    if not isinstance(body, (str, bytes, bytearray)):
        body = b"".join(body)
    content = body.encode() if isinstance(body, str) else bytes(body)
    headers = {
        name: value if isinstance(value, str) else value.decode()
        for name, value in request.headers.items()
        if name.lower() not in ("content-length", "host", "transfer-encoding")
    }
    status, told, text = ask(str(request.method), str(request.url), headers, content)
    if status == 599:
        raise requests.ConnectionError(text.decode())
    return _answer(request, status, text, told)


def _sleep(seconds: float) -> None:
    if ORDINARY in os.environ:
        _real[0](seconds)
    else:
        _real[0](0.005)  # other threads have work to do
        ask("POST", f"sleep:{seconds}", {}, b"")


def _time() -> float:
    return _real[1]() if ORDINARY in os.environ else float(os.environ[BEGIN]) + _clock


def _elapsed() -> float:
    return _real[2]() if ORDINARY in os.environ else _clock


def redirect() -> None:
    """Send every request of this process to the server, and take the time from it."""
    requests.adapters.HTTPAdapter.send = _send  # type: ignore[method-assign, assignment]
    time.sleep, time.time, time.perf_counter = _sleep, _time, _elapsed  # type: ignore[assignment]


def _run(asked: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv, sys.executable = ["mlops", *asked["words"]], asked["python"]
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if ORDINARY not in os.environ:
        ask("POST", "sleep:0", {}, b"")  # what time it is
    try:
        runpy.run_module("modelyard", run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


@contextlib.contextmanager
def _connected(place: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        yield listener


def main(place: str) -> None:
    """Load the packages, then fork for each command."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", ORDINARY: "1"}
    redirect()
    for name in LOADED:
        importlib.import_module(name)
    without_warnings()
    with _connected(place) as listener:
        while True:
            connection, _ = listener.accept()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if os.fork():
                connection.close()
                continue
            text, outputs, *_ = socket.recv_fds(connection, 2**20, 2)
            while not text.endswith(b"\n"):
                text += connection.recv(2**20)
            for target, given in zip((1, 2), outputs, strict=True):
                os.dup2(given, target)
            code = 70
            try:
                code = _run(json.loads(text))
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                connection.sendall(str(code).encode())
                os._exit(code)


if __name__ == "__main__":
    sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "toolkit" / "src"))
    main(sys.argv[1])
