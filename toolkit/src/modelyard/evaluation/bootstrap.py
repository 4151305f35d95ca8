"""Bootstrap intervals of metrics, and of their differences between models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from modelyard.data.folds import Codes
from modelyard.modelling.predicting import Floats

# One row of weights per resample; counts of rows stay integers, which add up ten times faster.
Weights = NDArray[np.int64] | Floats
# Weights (resamples, rows) to the values of every metric (resamples,).
Measure = Callable[[Weights], dict[str, Floats]]

THREADS = min(4, os.cpu_count() or 1)
BATCH_CELLS = 2_000_000  # weights held at a time, resamples x rows


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def named(self, name: str) -> dict[str, float]:
        """Return value and ends for evidence, the value under this name."""
        return {name: self.value, "low": self.low, "high": self.high}


def bootstrap(
    measures: Mapping[str, Measure],
    rows: int,
    *,
    resamples: int,
    seed: int,
    together: Codes | None = None,
) -> dict[str, dict[str, Floats]]:
    """Compute the metrics of each model on the rows as they are, and on resamples of them.

    Rows are drawn with replacement (Efron & Tibshirani 1993, An Introduction to the Bootstrap), and
    rows that belong together as one: ten rows of one person say less than ten people (Field & Welsh
    2007, J. R. Stat. Soc. B 69:369). All models see the same draws, so that differences are paired.

    Args:
        measures: by model.
        rows: how many there are.
        resamples: how many to draw.
        seed: of the draws.
        together: rows that belong together have the same number (rows,); None: each row by itself.

    Returns:
        model, metric, values (1 + resamples,); the first is on the rows as they are.
    """
    random = np.random.default_rng(seed)
    batch = max(1, BATCH_CELLS // max(rows, 1))
    found: dict[str, list[dict[str, Floats]]] = {model: [] for model in measures}
    as_they_are = np.ones((1, rows), dtype=np.int64)
    unit = None if together is None else np.unique(together, return_inverse=True)[1]
    draws = (
        _drawn(min(batch, resamples - start), rows, unit, random)
        for start in range(0, resamples, batch)
    )
    # Sums over a few columns are too short for the threads of BLAS, which would mostly wait for each other.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(THREADS) as threads:
        started: list[tuple[str, Iterator[dict[str, Floats]]]] = []
        for weights in chain([as_they_are], draws):
            parts = np.array_split(weights, min(THREADS, len(weights)))
            # The next rows are drawn while the threads compute on these.
            computed, started = started, [(m, threads.map(f, parts)) for m, f in measures.items()]
            for model, results in computed:
                found[model] += results
        for model, results in started:
            found[model] += results
    return {
        model: {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}
        for model, parts in found.items()
    }


def interval(found: Floats, confidence: float) -> Interval:
    """Compute the percentile interval (Efron & Tibshirani 1993, ch. 13) of bootstrap values.

    Resamples on which the metric is not defined do not count; the value always lies inside.
    """
    value, drawn = float(found[0]), found[1:][~np.isnan(found[1:])]
    if not len(drawn) or np.isnan(value):
        return Interval(value, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, min(float(low), value), max(float(high), value))


def difference(
    challenger: Floats, other: Floats, confidence: float, *, higher_is_better: bool
) -> Interval:
    """Compute by how much the challenger is better than another model on the same resamples.

    Positive means better, whatever the metric's direction; identical predictions give exactly 0.
    """
    gain = challenger - other if higher_is_better else other - challenger
    return interval(gain, confidence)


def _drawn(resamples: int, rows: int, unit: Codes | None, random: np.random.Generator) -> Codes:
    """Draw rows, or units of them; returns how often each row is drawn (resamples, rows)."""
    units = rows if unit is None else int(unit.max(initial=-1)) + 1
    counts = np.empty((resamples, rows), dtype=np.int64)
    for row in counts:
        drawn = np.bincount(random.integers(0, units, units), minlength=units)
        row[:] = drawn if unit is None else drawn[unit]
    return counts
