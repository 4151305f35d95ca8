"""Receiving the rows that an endpoint's data collector sends, and writing them as Parquet.

On Azure ML the collector sends to a process beside the server, which writes JSON lines to blob storage:
<endpoint>/<deployment>/<collection>/<yyyy>/<MM>/<dd>/<HH>/. This module takes the place of that process
on a laptop; the folders are the same, and rows have the types of the contract.

`python -m modelyard.serving.receiver` receives in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import signal
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.contract.model import Contract, load_contract
from modelyard.files import write_json
from modelyard.serving.collect import COLLECTED_AT, ID, OWN_ID, collected_features, output_names
from modelyard.serving.collected_files import keep_contract, new_name

if TYPE_CHECKING:
    import pyarrow as pa

PATH = "/modeldata/log"
EVENT = "azureml.inference."
FLUSH_SECONDS = 0.5
FLUSH_ROWS = 10_000  # that wait in memory, of all collections, besides the last message
MOST_BYTES = 64 * 2**20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Place = tuple[str, str, str, datetime]  # endpoint, deployment, collection, hour


class Receiver:
    """An HTTP server on the loopback address that stores collected rows; a context manager.

    Attributes:
        address: "HOST:PORT".
        rows: number of rows received, per collection.
    """

    def __init__(
        self,
        folder: Path,
        contract: Path,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Start to listen.

        Args:
            folder: `.collected` of the project.
            contract: file with the contract of the model that is served, which has the types of rows.
            clock: gives the time of collection, with a zone; a replay passes its own.

        Raises:
            UsageError: the contract cannot be read.
        """
        self.folder = folder
        self.rows: Counter[str] = Counter()
        self._schemas = schemas(load_contract(contract))
        self._contract = keep_contract(folder, contract)
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Place, list[dict[str, Any]]] = {}
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._server.serve_forever, self._flush_regularly)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop to listen, and write the rows that wait."""
        self._server.shutdown()
        self._server.server_close()
        self._closing.set()
        self._threads[1].join()
        self.flush()

    def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Store one message of the collector.

        Raises:
            ValueError: it is no message of the collector.
            OSError: rows that wait cannot be written; this message is not stored.
        """
        collection = headers.get("ce-type", "").removeprefix(EVENT)
        schema = self._schemas.get(collection)
        if schema is None:
            raise ValueError(f"no collection {collection!r}")
        endpoint = headers.get("ce-endpoint-name", "local")
        deployment = headers.get("ce-deployment-name", "blue")
        if not NAME.fullmatch(endpoint) or not NAME.fullmatch(deployment):
            raise ValueError("not the name of an endpoint or a deployment")
        now = self._clock().astimezone(UTC)
        batch = headers.get("ce-x-request-id") or str(uuid.uuid4())
        records = json.loads(body)
        if not isinstance(records, list) or not all(isinstance(row, dict) for row in records):
            raise ValueError("expected a list of records")
        for place, row in enumerate(records):
            row[ID] = row.get(OWN_ID) or f"{batch}_{place}"
            row[COLLECTED_AT] = now
        table_of(records, schema)  # refuse what could not be written later
        hour = now.replace(minute=0, second=0, microsecond=0)
        with self._lock:
            if sum(map(len, self._waiting.values())) >= FLUSH_ROWS:
                self._write()
            self._waiting.setdefault((endpoint, deployment, collection, hour), []).extend(records)
            self.rows[collection] += len(records)

    def flush(self) -> None:
        """Write the rows that wait."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        """Write a file for each place that has rows. The caller holds the lock."""
        import pyarrow.parquet as pq

        while self._waiting:
            place, records = next(iter(self._waiting.items()))
            *names, hour = place
            folder = self.folder.joinpath(*map(str, names), *f"{hour:%Y %m %d %H}".split())
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f".{secrets.token_hex(8)}.part"
            try:
                pq.write_table(table_of(records, self._schemas[str(names[2])]), partial)
                partial.replace(folder / new_name(self._contract))
            finally:
                partial.unlink(missing_ok=True)
            del self._waiting[place]

    def _flush_regularly(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS):
            try:
                self.flush()
            except OSError as error:  # rows wait, and `take` refuses more once they are many
                print(f"warning: collected rows cannot be written: {error}", file=sys.stderr)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Store a message: 200; 400 for a wrong one, 500 where rows cannot be written, with the reason."""
        try:
            length = int(self.headers.get("Content-Length", ""))
            if self.path != PATH or not 0 <= length <= MOST_BYTES:
                raise ValueError("not a message of the data collector")
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.server.receiver.take(headers, self.rfile.read(length))
            status, text = 200, b"kept"
        except ValueError as error:
            status, text = 400, str(error).encode()
            self.close_connection = True
        except OSError as error:
            status, text = 500, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def schemas(contract: Contract) -> dict[str, pa.Schema]:
    """Make the schema of each collection: types of its columns."""
    import pyarrow as pa

    from modelyard.data.cells import ARROW

    features = [(name, ARROW[contract.columns[name].type]) for name in collected_features(contract)]
    prediction, *probabilities = output_names(contract)
    is_regression = contract.kind == "regression"
    label = contract.columns[contract.target.column].type
    outputs = [
        (prediction, pa.float64() if is_regression else ARROW[label]),
        *((name, pa.float64()) for name in probabilities),
    ]
    both = [(ID, pa.string()), (COLLECTED_AT, pa.timestamp("us", tz="UTC"))]
    return {
        "model_inputs": pa.schema([*features, *both]),
        "model_outputs": pa.schema([*outputs, *both]),
    }


def table_of(records: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Make a table of records, in which datetimes are ISO 8601 text."""
    import pyarrow as pa

    arrays = []
    for item in schema:
        values = [row.get(item.name) for row in records]
        if pa.types.is_timestamp(item.type) and item.name != COLLECTED_AT:
            times = [value and datetime.fromisoformat(value) for value in values]
            arrays.append(pa.array(times, pa.timestamp("us")).cast(item.type))
        else:
            arrays.append(pa.array(values, item.type))
    return pa.table(arrays, schema=schema)


def main(argv: list[str] | None = None) -> None:
    """Receive until SIGTERM or SIGINT, then write the rows that wait."""
    parser = argparse.ArgumentParser(
        prog="python -m modelyard.serving.receiver", description="Store what a deployment collects."
    )
    parser.add_argument("--folder", required=True, type=Path, help=".collected of the project")
    parser.add_argument("--contract", required=True, type=Path, help="of the model that is served")
    parser.add_argument(
        "--address", required=True, type=Path, help="file to write the receiver's address to"
    )
    arguments = parser.parse_args(argv)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Receiver(arguments.folder, arguments.contract) as receiver:
        write_json(arguments.address, {"address": receiver.address})
        ended.wait()


if __name__ == "__main__":
    main()
