"""Measures a served model in a process of its own: `python -m modelyard.serving.probe MODEL ROWS`.

`footprint` starts it and sends commands on standard input, one per line; each answer is a line of JSON on
standard output. The model is loaded and asked as the online endpoint does, without the web server.

    load        load the model from its folder: {"seconds": s, "path": "fast path" or another}
    memory      {"bytes": n}, or null where the system does not report it
    ask N       answer N requests of one row each: {"seconds": [s, …]}
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from modelyard.errors import UsageError
from modelyard.modelling.predicting import threads_for
from modelyard.serving.payload import BadRequest, Limits
from modelyard.serving.sample_rows import record
from modelyard.serving.service import Service

STATUS = Path("/proc/self/status")


def main(argv: list[str]) -> int:
    """Arguments: the model's folder, and a Parquet file of rows to ask about."""
    # What a model prints while it is loaded must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    folder, rows = map(Path, argv)
    try:
        with threads_for(1):
            _measure(folder, pq.read_table(rows), say)
    except UsageError as error:
        say({"error": str(error)})
    return 0


def resident_bytes() -> int | None:
    """Memory of this process in RAM; its peak where the system reports only that."""
    if STATUS.is_file():
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    else:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def bodies_of(table: pa.Table, service: Service) -> list[bytes]:
    """Make a request body of each row, and keep those that the model's own contract accepts.

    Raises:
        UsageError: there is none.
    """
    contract = service.contract
    names = [name for name in contract.features if name in table.column_names]
    bodies, refusal = [], "no rows were given"
    for row in table.select(names).to_pylist():
        body = json.dumps([record(row, contract, names)]).encode()
        try:
            service.reader.read(body)
            bodies.append(body)
        except BadRequest as error:
            refusal = str(error.content()["message"])
    if not bodies:
        raise UsageError(f"the model's contract accepts none of these rows: {refusal}")
    return bodies


def _measure(folder: Path, table: pa.Table, say: Callable[[dict[str, Any]], None]) -> None:
    say({"ready": True})
    service: Service | None = None
    bodies: list[bytes] = []
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "load":
            start = time.perf_counter()
            service = Service(folder, name="model", version="", limits=Limits())
            say({"seconds": time.perf_counter() - start, "path": service.path})
        elif verb == "memory":
            say({"bytes": resident_bytes()})
        elif verb == "ask" and service is not None:
            bodies = bodies or bodies_of(table, service)
            say(
                {
                    "seconds": [
                        _seconds(service, body) for body in islice(cycle(bodies), int(words[0]))
                    ]
                }
            )


def _seconds(service: Service, body: bytes) -> float:
    """Time one answer.

    Raises:
        UsageError: the model cannot answer.
    """
    start = time.perf_counter()
    status, content = service.answer(body)
    seconds = time.perf_counter() - start
    if status != 200:
        raise UsageError(content["message"])
    return seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
