"""Trials of a sweep, and the metrics they report while they train."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from modelyard.files import has_file, read_json, write_json
from modelyard.pipelines.jobs import TRACKED
from modelyard.sweeps.model import Sweep
from modelyard.sweeps.search_space import Value

METRICS_FILE = "metrics.jsonl"
State = Literal["running", "completed", "stopped", "failed", "cancelled"]


@dataclass
class Trial:
    """One trial.

    Attributes:
        stopped_by: type of the early termination policy that stopped it.
        stopped_at: the interval at which it was stopped, from 1.
        reused_from: the run that the result was taken from.
        started, finished: seconds since the epoch.
        steps, losses: of each report of the primary metric; lower losses are better.
        other_metrics: names of what it has reported besides.
    """

    number: int
    params: dict[str, Value]
    state: State = "running"
    id: str = ""
    folder: Path | None = None
    key: str = ""
    stopped_by: str | None = None
    stopped_at: int | None = None
    exit_code: int | None = None
    reused_from: str | None = None
    started: float = 0.0
    finished: float | None = None
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    other_metrics: set[str] = field(default_factory=set)

    @property
    def best(self) -> float:
        """The lowest loss so far."""
        return min(self.losses, default=math.inf)

    def cut(self) -> None:
        """Drop reports that came after the trial was stopped."""
        if self.stopped_at is not None:
            del self.losses[self.stopped_at :], self.steps[self.stopped_at :]

    def read(self, sweep: Sweep, folder: Path, offset: int) -> int:
        """Read the lines that were added to the trial's metrics after an offset in bytes.

        Returns:
            Where the last whole line ends.
        """
        _copy_tracked(folder)
        whole = added_lines(folder / METRICS_FILE, offset)
        metric = sweep.objective.primary_metric
        for step, metrics in _reports(whole):
            if metric in metrics:
                self.steps.append(step)
                self.losses.append(sweep.loss(metrics[metric]))
            self.other_metrics.update(metrics.keys() - {metric})
        return offset + len(whole)

    def as_json(self) -> dict[str, Any]:
        """The trial's entry in trials.json."""
        return {
            "id": self.id,
            "number": self.number,
            "params": self.params,
            "state": self.state,
            "folder": self.folder.name if self.folder else None,
            "stopped_by": self.stopped_by,
            "stopped_at": self.stopped_at,
            "reused_from": self.reused_from,
            "started": self.started,
            "finished": self.finished,
        }


def _copy_tracked(folder: Path) -> None:
    """Add what a trial has logged with MLflow since the last call to its metrics."""
    places = sorted((folder / TRACKED).glob("*/*/metrics"))
    files = [
        (file.relative_to(place).as_posix(), file) for place in places for file in place.rglob("*")
    ]
    seen_file = folder / f"{TRACKED}.json"
    seen = read_json(seen_file) if has_file(seen_file) else {}
    for name, file in files:
        key = file.relative_to(folder).as_posix()
        if not file.is_file() or not (lines := added_lines(file, seen.get(key, 0))):
            continue
        seen[key] = seen.get(key, 0) + len(lines)
        with (folder / METRICS_FILE).open("a", encoding="utf-8") as target:
            for line in lines.decode().splitlines():  # time, value, step
                _, value, step = line.split()[:3]
                target.write(
                    json.dumps({"step": int(step), "metrics": {name: float(value)}}) + "\n"
                )
        write_json(seen_file, seen)


def added_lines(file: Path, offset: int) -> bytes:
    """Whole lines from an offset on; none where the file is missing or just being moved."""
    try:
        with file.open("rb") as stream:
            stream.seek(offset)
            added = stream.read()
    except OSError:
        return b""
    return added[: added.rfind(b"\n") + 1]


def _reports(lines: bytes) -> Iterator[tuple[int, dict[str, float | None]]]:
    for line in lines.splitlines():
        try:
            report = json.loads(line)
            yield int(report["step"]), dict(report["metrics"])
        except (ValueError, TypeError, KeyError):
            continue  # written by the trial's own code
