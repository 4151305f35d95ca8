"""Requests with held-out rows of a model, for a release without live traffic."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard.files import replacing
from modelyard.releases.endpoint import Answer, EndpointError
from modelyard.serving.sample_rows import Rows

CLIENTS = 2
_RETRY = 0.05  # seconds, after a request that failed


class HeldOutTraffic:
    """Sends rows to an endpoint, one per request and repeatedly, while the block runs.

    Afterwards the targets of the rows are written to the ground truth, so that an A/B test can compare
    the two deployments.
    """

    def __init__(
        self, ask: Callable[[Any], Answer], rows: Rows, *, ground_truth: Path | None = None
    ) -> None:
        self._ask, self._rows, self._ground_truth = ask, rows, ground_truth
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sent: list[tuple[str, int]] = []
        self.name = secrets.token_hex(4)

    def __enter__(self) -> HeldOutTraffic:
        for number in range(CLIENTS):
            thread = threading.Thread(target=self._send, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._ground_truth is not None and self._sent:
            ids, sent = zip(*self._sent, strict=True)
            columns = {self._rows.target: self._rows.truth, **self._rows.groups}
            file = self._ground_truth / f"rehearsal-{self.name}.parquet"
            known = {name: [values[row] for row in sent] for name, values in columns.items()}
            write_truth(file, ids, known, datetime.now(UTC))

    def _send(self, number: int) -> None:
        at = number
        while not self._stop.is_set():
            row = at % len(self._rows.records)
            id = f"rehearsal-{self.name}-{at}"
            payload = {"input_data": [self._rows.records[row]], "correlation_ids": [id]}
            try:
                answer = self._ask(payload)
            except EndpointError:
                time.sleep(_RETRY)
                continue
            # Ground truth for the first request of each row only: later ones repeat it.
            if answer.status == 200 and at < len(self._rows.records):
                self._sent.append((id, row))
            at += CLIENTS


def write_truth(
    file: Path, ids: Sequence[str], columns: Mapping[str, Sequence[Any]], known_at: datetime
) -> None:
    """Write ground truth by correlation id, as the monitor and the A/B test read it; whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "correlationid": pa.array(ids, pa.string()),
            **{name: pa.array(values) for name, values in columns.items()},
            "known_at": pa.array([known_at] * len(ids), pa.timestamp("us", "UTC")),
        }
    )
    with replacing(file) as partial:
        pq.write_table(table, partial)
