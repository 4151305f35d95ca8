"""Metrics of a running training, by which a sweep may stop it.

On Azure ML (MLFLOW_RUN_ID) they go to the run, where a sweep's stopping rule reads them. Here
(MLOPS_METRICS) they go to a file, one JSON object per line and iteration, which `mlops` reads.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

METRICS_FILE = "MLOPS_METRICS"
FLUSH_SECONDS = 1.0
FINAL_SEND_SECONDS = 30.0
LARGEST_BATCH = 100


class LiveMetrics:
    """Logs metrics of each iteration; a failure costs a warning, and logging does not block.

    Attributes:
        delivered: whether the MLflow run has all of them, known when the block has ended.
    """

    def __init__(self) -> None:
        self.delivered = False
        self._file: TextIO | None = None
        self._run_id = os.environ.get("MLFLOW_RUN_ID")
        self._pending: list[tuple[str, float, int, int]] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> LiveMetrics:
        if path := os.environ.get(METRICS_FILE):
            try:
                self._file = Path(path).open("a", encoding="utf-8")
            except OSError as error:
                _warn(error)
        if self._run_id:
            self._thread = threading.Thread(target=self._send, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._thread is not None:
            self._ended.set()
            self._thread.join(FINAL_SEND_SECONDS)
            self.delivered = not self._thread.is_alive() and not self._pending

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of an iteration.

        Args:
            step: the iteration.
            metrics: value by name; values that are not finite are written too.
        """
        now = time.time()
        if self._file is not None:
            line = json.dumps({"step": step, "time": round(now, 3), "metrics": metrics})
            try:
                self._file.write(line + "\n")
                self._file.flush()
            except OSError as error:
                _warn(error)
                self._file = None
        if self._thread is not None:
            at = int(now * 1000)
            self._pending += [(name, value, at, step) for name, value in metrics.items()]

    def _send(self) -> None:
        """Send pending metrics every second, and once more at the end."""
        warned = False
        client: Any = None
        while True:
            is_last = self._ended.wait(FLUSH_SECONDS)
            try:
                client = client or _client()
                self._send_pending(client)
            except Exception as error:
                if not warned:
                    warned = True
                    _warn(error)
            if is_last:
                return

    def _send_pending(self, client: Any) -> None:
        from mlflow.entities import Metric

        while batch := self._pending[:LARGEST_BATCH]:
            client.log_batch(self._run_id, metrics=[Metric(*one) for one in batch])
            del self._pending[: len(batch)]


def _client() -> Any:
    import mlflow

    return mlflow.MlflowClient()


def _warn(error: Exception) -> None:
    print(f"warning: metrics are not passed on while training: {error}", file=sys.stderr)
