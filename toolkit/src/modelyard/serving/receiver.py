"""Receives what an endpoint's data collector sends, and keeps it as Parquet.

On Azure ML the collector sends to a process beside the server, which writes JSON lines to a blob
store: <endpoint>/<deployment>/<collection>/<yyyy>/<MM>/<dd>/<HH>/. This is that process here; the
folders are the same, and rows have the types of the contract.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from modelyard.errors import UsageError
from modelyard.yaml_files import read_yaml

if TYPE_CHECKING:
    import pyarrow as pa

PATH = "/modeldata/log"
EVENT = "azureml.inference."
ID, COLLECTED_AT = "correlationid", "collected_at"
# Where the sender of a request brought ids of its own, the endpoint puts them in this column.
OWN_ID = "client_correlation_id"
FLUSH_SECONDS = 0.5
FLUSH_ROWS = (
    10_000  # of all collections together: no more wait in memory, and the message that came last
)
MOST_BYTES = 64 * 2**20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

Place = tuple[str, str, str, datetime]  # endpoint, deployment, collection, hour


class Receiver:
    """A sink on this machine's own address; use it as a context manager.

    Attributes:
        address: "HOST:PORT".
        rows: how many rows came, per collection.
    """

    def __init__(
        self,
        folder: Path,
        contract: Path,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        port: int = 0,
    ) -> None:
        """Listen at once.

        Args:
            folder: `.collected` of the project.
            contract: of the model that is served; gives rows their types.
            clock: when rows were collected, with a zone; another one makes a replay's dates.
            port: 0 for any that is free.

        Raises:
            UsageError: the contract cannot be read.
        """
        self.folder = folder
        self.rows: Counter[str] = Counter()
        self._schemas = schemas(read_contract(contract))
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Place, list[dict[str, Any]]] = {}
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.receiver = self
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._server.serve_forever, self._flush_now_and_then)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take no more, and write what waits."""
        self._server.shutdown()
        self._server.server_close()
        self._closing.set()
        self._threads[1].join()
        self.flush()

    def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Take one message of the collector.

        Raises:
            ValueError: it is not what the collector sends.
            OSError: rows that wait cannot be written; this message is not kept.
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
        _table(records, schema)  # refuse what could not be written later
        hour = now.replace(minute=0, second=0, microsecond=0)
        with self._lock:
            if sum(map(len, self._waiting.values())) >= FLUSH_ROWS:
                self._write()
            self._waiting.setdefault((endpoint, deployment, collection, hour), []).extend(records)
            self.rows[collection] += len(records)

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        """Write a file for each place that has rows. The caller has the lock."""
        import pyarrow.parquet as pq

        while self._waiting:
            place, records = next(iter(self._waiting.items()))
            *names, hour = place
            folder = self.folder.joinpath(*map(str, names), *f"{hour:%Y %m %d %H}".split())
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f".{secrets.token_hex(8)}.part"
            try:
                pq.write_table(_table(records, self._schemas[str(names[2])]), partial)
                partial.replace(folder / f"{uuid.uuid4()}.parquet")
            finally:
                partial.unlink(missing_ok=True)
            del self._waiting[place]

    def _flush_now_and_then(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS):
            try:
                self.flush()
            except OSError as error:  # they wait, and `take` refuses more once they are many
                print(f"warning: collected rows cannot be written: {error}", file=sys.stderr)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Take a message: 200, or 400 with the reason."""
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
        """Say nothing."""


def read_contract(path: Path) -> dict[str, Any]:
    """A contract's content.

    Raises:
        UsageError: it is missing, or no contract.
    """
    content = read_yaml(path, "the model was saved without its contract")
    try:
        content["columns"][content["target"]["column"]]["type"]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a contract: {error}") from None
    return dict(content)


def schemas(contract: Mapping[str, Any]) -> dict[str, pa.Schema]:
    """Types of the collected columns, per collection."""
    import pyarrow as pa

    types = {
        "number": pa.float64(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "category": pa.string(),
        "text": pa.string(),
        "datetime": pa.timestamp("ns"),
    }
    columns, target = contract["columns"], contract["target"]
    features = [
        (name, types[rule["type"]])
        for name, rule in columns.items()
        if rule.get("role", "feature") == "feature" and name != target["column"]
    ]
    if target["kind"] == "regression":
        outputs = [("prediction", pa.float64())]
    else:
        outputs = [("prediction", types[columns[target["column"]]["type"]])]
        if target["kind"] == "binary":
            outputs.append(("probability", pa.float64()))
        classes = target.get("classes") or ()
        outputs += [(f"probability_{_shown(name)}", pa.float64()) for name in classes]
    both = [(ID, pa.string()), (COLLECTED_AT, pa.timestamp("us", tz="UTC"))]
    return {
        "model_inputs": pa.schema([*features, *both]),
        "model_outputs": pa.schema([*outputs, *both]),
    }


def _shown(value: Any) -> str:
    """A class as the endpoint writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(records: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Records as a table; datetimes are ISO 8601 text in them."""
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
