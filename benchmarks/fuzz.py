"""Ten thousand broken requests to the endpoint: none is answered with a 5xx, and memory stays as it is."""

from __future__ import annotations

import json
import os
import random
import socket
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, command
from benchmarks.project import prepared_project
from benchmarks.serving import BODIES, champion_of, free_port, running

REQUESTS = 10_000
WARM = 1_000  # requests before memory is looked at first
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1e308, -1e308, 2**63, 10**400, 1.5, "", " ", "null", "\x00"),
    *("\ud800", "💥" * 50, "x" * 5_000, [], {}, [[]], [None] * 50, {"a": {"b": [{}]}}),
    *("2013-02-30", "9999-12-31T23:59:59+23:59", "0001-01-01", "24:00", "now", "1e999"),
]
TOKENS = [
    *(b"NaN", b"-Infinity", b"[" * 3_000, b'{"a":' * 3_000, b"1" * 6_000, b"1e99999", b"\xff\xfe"),
    *(b"\\ud83d", b"\x00", b"}", b"]]", b'"', b",", b"\xef\xbb\xbf", b'"correlation_ids":[1],'),
]
HEADERS = [
    *("x-request-id: " + "x" * 101, "x-request-id: \x01", "x-ms-request-id: ü", "TraceId: é"),
    *("Content-Type: text/csv", "Content-Type: multipart/form-data; boundary=x", "Expect: never"),
    *("Content-Encoding: gzip", "Accept: nothing/at-all", "Connection: close", "X: " + "y" * 9_000),
]


def measure() -> list[Figure]:
    """A server of the sample's champion, fuzzed."""
    project = prepared_project()
    champion_of(project)
    return measure_project(project)


def measure_project(project: Path, requests: int = REQUESTS) -> list[Figure]:
    """The same of a project that has a champion."""
    place = project / "build"
    place.mkdir(exist_ok=True)
    command(project / ".venv/bin/python", "-c", BODIES, place, cwd=project)
    records = [json.loads(line)[0] for line in (place / "records.txt").read_text().splitlines()]
    chance, port = random.Random(0), free_port()
    statuses: Counter[str] = Counter()
    words = [project / ".venv/bin/mlops", "serve", "--no-collect", "--port", port]
    with running(words, project, f"http://127.0.0.1:{port}/") as process:
        workers = leaves(process.pid)
        resident = []
        for n in range(requests):
            if n in (min(WARM, requests // 2), requests - 1):
                resident.append(sum(map(memory, workers)))
            statuses[ask(port, message(chance, records))] += 1
        good = ask(port, posted(json.dumps(records[:1]).encode()))
        same = workers == leaves(process.pid)
    print(f"  {dict(sorted(statuses.items()))}; {[f'{size / 2**20:.0f} MB' for size in resident]}")
    wrong = sum(count for status, count in statuses.items() if status.startswith("5"))
    return [
        Figure(f"{requests:,} fuzzed requests: answers of 5xx", wrong, 0),
        Figure("the same: workers that died, good requests refused", 2 - same - (good == "200"), 0),
        Figure("the same: bytes resident at the end / at the start", resident[1], 1.1, resident[0]),
    ]


def message(chance: random.Random, records: list[dict[str, Any]]) -> bytes:
    """One request, broken in one of many ways, or not at all."""
    rows = [dict(record) for record in chance.sample(records, chance.choice((1, 1, 2, 5, 30)))]
    kind = chance.random()
    if kind < 0.35:
        for _ in range(chance.choice((1, 1, 3))):
            row = chance.choice(rows)
            name = chance.choice(list(row) or ["x"])
            what = chance.random()
            if what < 0.6:
                row[name] = chance.choice(ODD)
            elif what < 0.8:
                row.pop(name, None)
            else:
                row[chance.choice(["zz", "", name * 300, "late"])] = chance.choice(ODD)
    content: Any = rows
    form = chance.random()
    if form < 0.2:
        content = {"input_data": rows}
    elif form < 0.4:
        names = list(rows[0])
        data = [[row.get(name) for name in names] for row in rows]
        content = {"input_data": {"columns": names, "index": [0], "data": data}}
    elif form < 0.5:
        content = {"data": rows, "correlation_ids": chance.choice([["a"], ["a"] * 2, 3, [[]]])}
    elif form < 0.55:
        content = {"input_data": {name: chance.choice(ODD) for name in rows[0]}}
    elif form < 0.6:
        content = chance.choice(ODD)
    body = json.dumps(content).encode()
    if 0.35 < kind < 0.6:
        body = broken(chance, body)
    if kind > 0.9:
        return odd_http(chance, body)
    return posted(body)


def broken(chance: random.Random, body: bytes) -> bytes:
    """Bytes cut, turned round, doubled or put in."""
    at = chance.randrange(len(body) + 1)
    return chance.choice(
        [
            body[:at],
            body[at:],
            body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :],
            body[:at] + chance.choice(TOKENS) + body[at:],
            body + body,
            chance.randbytes(chance.randrange(200)),
            body.decode().encode("utf-16"),
        ]
    )


def odd_http(chance: random.Random, body: bytes) -> bytes:
    """A request that is odd as HTTP."""
    method = chance.choice(["GET", "HEAD", "PUT", "OPTIONS", "TRACE", "post", "POST", "NO-SUCH"])
    path = chance.choice(
        ["/score", "/score?x=%00", "/", "/nothing", "/swagger.json?version=9", "/%"]
    )
    length = chance.choice([len(body), len(body), len(body) - 1, 0, -1, 10**12, "x", ""])
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{chance.choice(HEADERS)}\r\n"
    if chance.random() < 0.3:
        chunk = chance.choice([b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), b"zz\r\n", b"5\r\nab"])
        return head.encode("latin-1") + b"Transfer-Encoding: chunked\r\n\r\n" + chunk
    return head.encode("latin-1") + f"Content-Length: {length}\r\n\r\n".encode() + body


def posted(body: bytes) -> bytes:
    """An ordinary request."""
    head = f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def ask(port: int, request: bytes) -> str:
    """Status of the answer; "none" where the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            start = connection.recv(1 << 16)
        except ConnectionError:
            return "none"
    return start[9:12].decode("latin-1") if start.startswith(b"HTTP/1.1 ") else "none"


def leaves(pid: int) -> list[int]:
    """Processes below one that have no children of their own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = [leaf for child in children for leaf in leaves(int(child))]
    return found or [pid]


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
