"""Timing, fit for a machine that is shared and noisy."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """A measurement and its limit; `against` None means that the limit is in the unit itself."""

    name: str
    seconds: float
    limit: float
    against: float | None = None
    unit: str = "s"

    @property
    def value(self) -> float:
        """What is held against the limit: a ratio, or the measurement itself."""
        return self.seconds / self.against if self.against else self.seconds

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        return self.value <= self.limit


def alternate(
    first: Callable[[], object], second: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Median seconds of both, taken in turns so that noise meets both alike; one round warms up."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for function, kept in zip((first, second), times, strict=True):
            kept.append(timed(function))
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])


def timed(function: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def command(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a command that must succeed, in an environment without leftovers; what it printed."""
    dropped = {
        "MLFLOW_TRACKING_URI",
        "PYTHONDONTWRITEBYTECODE",
        "VIRTUAL_ENV",
        "MAKEFLAGS",
        "MAKELEVEL",
    }
    environment = {k: v for k, v in os.environ.items() if k not in dropped}
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
