"""Collecting model inputs and outputs through Azure ML's data collector.

The collector makes one HTTP request per call, over a new connection, which takes longer than an answer.
Rows of several requests are therefore passed to it as one batch, by a thread of their own. Azure ML
calls the row at position n of a batch `<id of the batch>_<n>`; the client is told this id.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import queue
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modelyard.console import shown
from modelyard.contract.model import Contract

if TYPE_CHECKING:
    import pandas as pd

    from modelyard.serving.payload import Rows
    from modelyard.serving.service import Predicted

BATCH_ROWS = 200
BATCH_SECONDS = 0.5
MOST_BATCHES = 250  # in the queue; more are dropped, and counted
# Ids that a client sent with its rows are in this column, of inputs and outputs.
OWN_ID = "client_correlation_id"
# Columns that collected data has of its own, and the time of ground truth.
ID, COLLECTED_AT, KNOWN_AT = "correlationid", "collected_at", "known_at"

log = logging.getLogger("azmlinfsrv.collect")


def is_enabled() -> bool:
    """Whether the deployment has a data collector, by the variables that Azure ML sets."""
    enabled = os.environ.get("AZUREML_MDC_ENABLED", "").lower() == "true"
    return enabled or bool(os.environ.get("AZUREML_MDC_CONFIG_PATH"))


@dataclass
class _Batch:
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: float = field(default_factory=time.monotonic)
    inputs: list[list[Any]] = field(default_factory=list)
    outputs: list[tuple[Any, Any]] = field(default_factory=list)
    own_ids: dict[int, str] = field(default_factory=dict)


class Collection:
    """Queues rows without blocking, and sends them to the collector in the background."""

    def __init__(self, contract: Contract) -> None:
        """Start the thread; at the end of the process, queued rows are sent first."""
        from azureml.ai.monitoring import Collector

        self._columns = contract.features
        self._own = {*contract.features} - {*collected_features(contract)}
        self._output_names = output_names(contract)
        self._headers = {
            name.lower().replace("_", "-"): os.environ[name]
            for name in ("ENDPOINT_NAME", "DEPLOYMENT_NAME")
            if name in os.environ
        }
        self._inputs = Collector(name="model_inputs", on_error=self._failed)
        self._outputs = Collector(name="model_outputs", on_error=self._failed)
        self._lock = threading.Lock()
        self._open = _Batch()
        self._waiting: queue.Queue[_Batch | None] = queue.Queue(MOST_BATCHES)
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, daemon=True, name="collect")
        self._thread.start()
        atexit.register(self.close)

    def add(self, rows: Rows, predicted: Predicted) -> list[str]:
        """Queue rows with their predictions; returns the ids of the rows, the client's own if it sent some."""
        count = len(rows.values)
        chances = predicted.probabilities or [None] * count
        answers = zip(predicted.predictions, chances, strict=True)
        with self._lock:
            batch = self._open
            start = len(batch.inputs)
            batch.inputs += rows.values
            batch.outputs += answers
            if rows.ids:
                batch.own_ids |= dict(enumerate(rows.ids, start))
            if len(batch.inputs) >= BATCH_ROWS:
                self._enqueue()
        return rows.ids or [f"{batch.id}_{place}" for place in range(start, start + count)]

    def close(self) -> None:
        """Send the queued rows, and stop the thread."""
        if not self._thread.is_alive():
            return
        with self._lock:
            self._enqueue()
        self._waiting.put(None)
        self._thread.join(timeout=10)
        from azureml.ai.monitoring.init import teardown

        teardown(wait_for_flush=True)

    def _enqueue(self) -> None:
        """Close the open batch and queue it. The caller holds the lock."""
        batch, self._open = self._open, _Batch()
        if not batch.inputs:
            return
        try:
            self._waiting.put_nowait(batch)
        except queue.Full:
            self._count_dropped(len(batch.inputs))

    def _count_dropped(self, rows: int) -> None:
        before, self.dropped = self.dropped, self.dropped + rows
        if before == 0 or before // 10_000 < self.dropped // 10_000:
            log.warning("data collection cannot keep up: %d rows dropped so far", self.dropped)

    def _failed(self, error: Exception) -> None:
        log.warning("data collection: %s", error)

    def _work(self) -> None:
        while True:
            try:
                batch = self._waiting.get(timeout=BATCH_SECONDS / 2)
            except queue.Empty:
                with self._lock:
                    if time.monotonic() - self._open.began >= BATCH_SECONDS:
                        self._enqueue()
                continue
            if batch is None:
                return
            try:
                self._send(batch)
            except Exception as error:
                self._failed(error)
                self._count_dropped(len(batch.inputs))

    def _send(self, batch: _Batch) -> None:
        from azureml.ai.monitoring.context import BasicCorrelationContext

        inputs = [dict(zip(self._columns, row, strict=True)) for row in batch.inputs]
        for record in inputs if self._own else ():
            for name in self._own:
                del record[name]
        outputs = [
            dict(zip(self._output_names, _flattened(*answer), strict=True))
            for answer in batch.outputs
        ]
        if batch.own_ids:
            for place, pair in enumerate(zip(inputs, outputs, strict=True)):
                for record in pair:
                    record[OWN_ID] = batch.own_ids.get(place)
        context = BasicCorrelationContext(id=batch.id, headers=self._headers)
        for collector, records in ((self._inputs, inputs), (self._outputs, outputs)):
            # The collector samples by one random number per call. Both calls have to draw the same one,
            # or there would be inputs without outputs.
            random.seed(batch.id)
            collector.collect(_frame(records), context)


def _frame(records: list[dict[str, Any]]) -> pd.DataFrame:
    """Make a data frame for the collector, which takes nothing else and calls its `to_json`."""
    import pandas as pd

    frame = pd.DataFrame(records, dtype=object)
    # pandas would round every number to ten decimals.
    text = json.dumps(records, default=_json)
    object.__setattr__(frame, "to_json", lambda **_: text)
    return frame


def _json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def collected_features(contract: Contract) -> list[str]:
    """Names of the features that are collected: all but those called like the collector's own columns."""
    return [name for name in contract.features if name not in (ID, COLLECTED_AT, OWN_ID)]


def output_names(contract: Contract) -> list[str]:
    """Names of the columns of collected outputs."""
    if contract.kind == "regression":
        return ["prediction"]
    if contract.kind == "binary":
        return ["prediction", "probability"]
    classes = contract.target.classes or ()
    return ["prediction", *(f"probability_{shown(value)}" for value in classes)]


def _flattened(prediction: Any, chance: Any) -> list[Any]:
    if isinstance(chance, dict):
        return [prediction, *chance.values()]
    return [prediction] if chance is None else [prediction, chance]
