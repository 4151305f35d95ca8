"""A model server for tests, which answers as behaviour.json of its model folder says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class StubServer:
    url: str
    pid: int

    def wait_ready(self) -> None:
        """Do nothing: it listened before it was returned."""


def start_stub(
    root: Path,
    model_folder: Path,
    *,
    name: str,
    version: str,
    log: Path,
    environment: Mapping[str, str],
    **rest: Any,
) -> StubServer:
    """Start a stub in a background process; see modelyard.serving.server.start_server."""
    place = log.with_name(f"{log.stem}-{os.getpid()}-{time.monotonic_ns()}.port")
    command = [sys.executable, __file__, str(model_folder), name, version, str(place)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **environment},
        )
    while not place.is_file():
        if process.poll() is not None:
            said = log.read_text(encoding="utf-8")
            raise RuntimeError(f"ended with code {process.returncode}:\n{said}")
        time.sleep(0.01)
    return StubServer(f"http://127.0.0.1:{place.read_text(encoding='utf-8')}", process.pid)


def main(folder: str, name: str, version: str, place: str) -> None:
    behaviour = json.loads((Path(folder) / "behaviour.json").read_text(encoding="utf-8"))
    if behaviour.get("does not start"):
        sys.exit("the model cannot be loaded")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.answer(200, {"healthy": True})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                rows = json.loads(body)["input_data"]
            except ValueError:
                self.answer(400, {"error": {"message": "not JSON"}})
                return
            if behaviour.get("dies"):
                os._exit(1)
            time.sleep(behaviour.get("seconds", 0))
            if behaviour.get("fails live") and "correlation_ids" in json.loads(body):
                self.answer(500, {"error": {"message": "broken"}})
                return
            predictions = [row["x"] * behaviour.get("factor", 1) for row in rows]
            model = {"name": name, "version": version}
            self.answer(200, {"predictions": predictions, "model": model})

        def answer(self, status: int, content: Any) -> None:
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    partial = Path(f"{place}.part")
    partial.write_text(str(server.server_port), encoding="utf-8")
    partial.replace(place)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
