"""Traffic of a period: requests at the period's own dates, their collection, and the ground truth."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from modelyard.drills.record import PeriodRecord
from modelyard.releases.held_out_traffic import write_truth
from modelyard.serving.collect import OWN_ID
from modelyard.serving.receiver import EVENT, Receiver
from modelyard.serving.sample_rows import Rows


class DrillReceiver(Receiver):
    """Receiver of collected rows with the drill's clock; a caller can wait for rows.

    Attributes:
        now: time of collection of the rows that arrive.
    """

    def __init__(self, folder: Path, contract: Path) -> None:
        self.now = datetime.now(UTC)
        self._ids: dict[str, set[str]] = defaultdict(set)
        self._arrival = threading.Condition()
        super().__init__(folder, contract, clock=lambda: self.now)

    def take(self, headers: Mapping[str, str], body: bytes) -> None:
        super().take(headers, body)
        with self._arrival:
            collection = headers["ce-type"].removeprefix(EVENT)
            self._ids[collection].update(row.get(OWN_ID) for row in json.loads(body))
            self._arrival.notify_all()

    def wait_for(self, ids: Collection[str], timeout: float) -> int:
        """Wait until inputs and outputs of all these rows have arrived, and write them.

        Returns:
            How many rows have not arrived within `timeout` seconds.
        """

        def missing() -> set[str]:
            return set(ids) - (self._ids["model_inputs"] & self._ids["model_outputs"])

        with self._arrival:
            self._arrival.wait_for(lambda: not missing(), timeout)
            count = len(missing())
            self._ids.clear()
        self.flush()
        return count


def send_rows(
    url: str, record: PeriodRecord, rows: Rows, receiver: DrillReceiver, request_rows: int
) -> list[str]:
    """Send the rows of a period in requests, and count them in its record.

    The receiver's clock moves from the begin of the period to its end.

    Returns:
        The ids of the rows that were answered.
    """
    begin, end = moment(record.start), moment(record.end)
    answered: list[str] = []
    with httpx.Client(timeout=60, trust_env=False) as client:
        for start in range(0, len(rows.records), request_rows):
            receiver.now = begin + (end - begin) * (start / len(rows.records))
            records = rows.records[start : start + request_rows]
            ids = [f"{record.name}-{start + n}" for n in range(len(records))]
            payload = {"input_data": records, "correlation_ids": ids}
            answer = client.post(f"{url}/score", json=payload)
            record.requests += 1
            record.rows += len(records)
            if answer.status_code == 200:
                answered += ids
            else:
                record.failed += 1
    return answered


def write_ground_truth(record: PeriodRecord, rows: Rows, folder: Path) -> None:
    """Write the targets of a period's rows; they become known just before its end."""
    ids = [f"{record.name}-{n}" for n in range(len(rows.truth))]
    # The monitor runs at the end, and takes what was known before.
    at = moment(record.end) - timedelta(seconds=1)
    write_truth(folder / f"{record.name}.parquet", ids, {rows.target: rows.truth}, at)


def moment(text: str) -> datetime:
    """Read a time of a record, which is UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
