"""Sends requests over plain sockets and times them: `python load.py URL BODIES SECONDS CLIENTS`.

A process of its own with one thread that waits on all connections, so that it is never the
bottleneck: it writes bytes that stand ready and looks only at an answer's first line and length.
BODIES is a file with one JSON body per line. Prints one JSON object.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


class Client:
    """One connection, kept open where the server keeps it."""

    def __init__(self, address: tuple[str, int], selector: selectors.BaseSelector) -> None:
        self.address = address
        self.selector = selector
        self.socket: socket.socket | None = None
        self.received = b""
        self.started = 0.0

    def send(self, request: bytes) -> None:
        """Send a request, on a new connection if need be."""
        self.started = time.perf_counter()
        if self.socket is None:
            self.socket = socket.create_connection(self.address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(self.socket, selectors.EVENT_READ, self)
        self.received = b""
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """The status of the answer once it is whole; 0 where the connection broke."""
        assert self.socket is not None
        try:
            part = self.socket.recv(1 << 16)
        except ConnectionError:
            part = b""
        self.received += part
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            if not part:
                self.close()
                return 0
            return None
        lowered = head.lower()
        length = lowered.find(b"content-length:")
        if length < 0:
            raise RuntimeError(f"no content-length: {head.decode()}")
        if len(body) < int(lowered[length + 15 :].split(b"\r\n", 1)[0]):
            if not part:
                self.close()
                return 0
            return None
        if b"connection: close" in lowered:
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        """Close the connection."""
        if self.socket is not None:
            self.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None


def run(url: str, bodies: list[bytes], seconds: float, clients: int) -> dict[str, object]:
    """Send as many requests as come back, one at a time per client."""
    parts = urlsplit(url)
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    requests = [
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
        for body in bodies
    ]
    selector = selectors.DefaultSelector()
    everyone = [Client(address, selector) for _ in range(clients)]
    times: list[float] = []
    statuses: dict[int, int] = {}
    sent = 0
    start = time.perf_counter()
    end = start + seconds
    for client in everyone:
        client.send(requests[sent % len(requests)])
        sent += 1
    waiting = clients
    while waiting:
        for key, _ in selector.select(timeout=10):
            client = key.data
            status = client.receive()
            if status is None:
                continue
            now = time.perf_counter()
            times.append(now - client.started)
            statuses[status] = statuses.get(status, 0) + 1
            if now < end:
                client.send(requests[sent % len(requests)])
                sent += 1
            else:
                waiting -= 1
    took = time.perf_counter() - start
    for client in everyone:
        client.close()
    times.sort()
    return {
        "per_second": len(times) / took,
        "p50": times[len(times) // 2],
        "p99": times[min(len(times) - 1, int(len(times) * 0.99))],
        "statuses": statuses,
    }


if __name__ == "__main__":
    url, bodies, seconds, clients = sys.argv[1:]
    lines = Path(bodies).read_bytes().splitlines()
    print(json.dumps(run(url, lines, float(seconds), int(clients))))
