"""Live traffic for a rehearsal: held-out rows of the model, as a client would send them."""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from .errors import UsageError

MOST_ROWS = 20_000
CLIENTS = 2
_REST = 0.05  # seconds, after a request that failed


@dataclass(frozen=True)
class Rows:
    """Rows that no model was trained on.

    Attributes:
        records: the features of each, as JSON takes them.
        truth: the target of each.
    """

    records: Sequence[Mapping[str, Any]]
    truth: Sequence[Any]
    target: str


def read_rows(parquet: Path, model_folder: Path, most: int = MOST_ROWS) -> Rows:
    """Rows of a prepared part, spread evenly over it, with the columns that a model takes.

    Raises:
        UsageError: the model folder or the part lacks something.
    """
    import pyarrow.parquet as pq

    contract_file = model_folder / "contract.yml"
    if not contract_file.is_file():
        raise UsageError(f"{model_folder} has no contract.yml; register the model again")
    contract = yaml.safe_load(contract_file.read_text(encoding="utf-8"))
    description = yaml.safe_load((model_folder / "MLmodel").read_text(encoding="utf-8"))
    features = [one["name"] for one in yaml.safe_load(description["signature"]["inputs"])]
    target = contract["target"]["column"]
    file = pq.ParquetFile(parquet)
    missing = sorted({*features, target} - set(file.schema_arrow.names))
    if missing:
        raise UsageError(f"{parquet} lacks {', '.join(missing)}; run the training pipeline again")
    table = file.read(columns=[*features, target])
    step = max(1, len(table) // most)
    content = table.take(list(range(0, len(table), step))[:most]).to_pylist()
    types = {name: rule["type"] for name, rule in contract["columns"].items()}
    return Rows(
        [{name: as_json(row[name], types[name]) for name in features} for row in content],
        [as_json(row[target], types[target]) for row in content],
        target,
    )


def as_json(value: Any, kind: str) -> Any:
    """A cell as JSON has it; an integer column with gaps comes as floats."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if kind == "integer":
        return int(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


class Rehearsal:
    """Sends rows to an endpoint, one at a time and over and over, while the block lasts.

    Afterwards what really happened to the rows is in the ground truth, so that the two deployments
    can be compared by it.
    """

    def __init__(self, url: str, rows: Rows, *, ground_truth: Path | None = None) -> None:
        self._url, self._rows, self._ground_truth = url, rows, ground_truth
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sent: list[tuple[str, Any]] = []
        self.name = secrets.token_hex(4)

    def __enter__(self) -> Rehearsal:
        for number in range(CLIENTS):
            thread = threading.Thread(target=self._send, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._ground_truth is not None and self._sent:
            self._write_truth(self._ground_truth)

    def _send(self, number: int) -> None:
        at = number
        with httpx.Client(timeout=60, trust_env=False) as client:
            while not self._stop.is_set():
                row = at % len(self._rows.records)
                id = f"rehearsal-{self.name}-{at}"
                payload = {"input_data": [self._rows.records[row]], "correlation_ids": [id]}
                try:
                    answer = client.post(f"{self._url}/score", json=payload)
                except httpx.HTTPError:
                    time.sleep(_REST)
                    continue
                if answer.status_code == 200 and at < len(
                    self._rows.records
                ):  # once is a fact, twice none
                    self._sent.append((id, self._rows.truth[row]))
                at += CLIENTS

    def _write_truth(self, folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        ids, truth = zip(*self._sent, strict=True)
        now = [datetime.now(UTC)] * len(ids)
        table = pa.table(
            {
                "correlationid": pa.array(ids, pa.string()),
                self._rows.target: pa.array(truth),
                "known_at": pa.array(now, pa.timestamp("us", "UTC")),
            }
        )
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".rehearsal-{self.name}.part"
        pq.write_table(table, partial)
        partial.replace(folder / f"rehearsal-{self.name}.parquet")
