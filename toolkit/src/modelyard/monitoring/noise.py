"""Noise of a drift metric: what two samples of one distribution reach by chance at the windows' sizes.

The rows of both windows are pooled and split at random into windows of the same sizes, as a permutation
test does (Pitman 1937, J. R. Stat. Soc. Suppl. 4:119), which allows for the reference being a sample as
well. Noise is a quantile of what the splits give. That of a distance is taken from a gamma distribution
with the mean and the variance of the drawn distances (Pearson's type III; Mielke & Berry 2007,
Permutation Methods, 2nd ed., ch. 2), because a quantile far out would take many more draws. Where rows of
the reference belong together, noise is as many times larger as splits of it by `groups` make it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from modelyard.monitoring.drift import (
    COUNTED,
    Categories,
    Counts,
    Floats,
    Numbers,
    bin_edges,
    norm,
)

# Of unchanged rows at most this share of the windows exceeds the noise of any metric of a signal.
FALSE_ALARMS = 0.01
DRAWS, FEWEST_DRAWS = 1_000, 20
# Draws x categories; with many categories their sum varies little between draws.
MOST_CELLS = 100_000
RATE_DRAWS = 20_000
# A gamma distribution of a smaller shape is nearly always 0, as the distances are where all that can
# differ is a category of a few rows; the draws themselves say how far the exceptions go.
SPARSE = 0.1
NODES, EXTREMES = 64, 16  # of a window's different numbers: quantiles, and the ends as they are
MOST_ROWS = 10**9 - 1  # that NumPy splits; larger windows are scaled down to it
SEED = 0

Sides = tuple[Floats, Floats]  # rows of the rest and of the window by category (draws, k)


def categorical_noise(
    metric: str, reference: Counts, production: Counts, alarms: float, sides: Sides | None = None
) -> float:
    """Return the noise of a metric of counts; NaN for a test, whose p-value allows for the sizes.

    Args:
        metric: of `drift.CATEGORICAL`.
        reference: rows of each category or bin (k,).
        production: likewise.
        alarms: share of splits that may exceed the noise.
        sides: of the reference, split by its groups, if it has any.
    """
    if metric not in COUNTED:
        return math.nan
    if metric == "jensen_shannon_distance":  # its square is a sum over categories, and nearly gamma

        def squared(first: Counts, second: Counts) -> Floats:
            return np.square(COUNTED[metric](first, second))

        return math.sqrt(_noise(squared, reference, production, alarms, sides))
    return _noise(COUNTED[metric], reference, production, alarms, sides)


def numerical_noise(
    metric: str,
    reference: Numbers,
    production: Numbers,
    alarms: float,
    split: Callable[[Floats], Sides] | None = None,
) -> float:
    """Return the noise of a metric of numbers; NaN for a test.

    `split` counts sides of the reference between edges, if it has groups.
    """
    if metric != "normalized_wasserstein_distance":
        edges = bin_edges(reference, production)
        before, now = (side.histogram(edges) for side in (reference, production))
        return categorical_noise(metric, before, now, alarms, split(edges) if split else None)
    nodes = np.union1d(_nodes(reference), _nodes(production))
    widths = np.nan_to_num(np.diff(nodes) / norm(reference), posinf=1e300)

    def distance(first: Counts | Floats, second: Counts | Floats) -> Floats:
        shares = [
            np.cumsum(side[:, :-1], axis=1) / side.sum(axis=1)[:, None] for side in (first, second)
        ]
        return np.abs(shares[0] - shares[1]) @ widths

    counts = [np.diff(np.append(side.below(nodes), side.rows)) for side in (reference, production)]
    sides = split(np.append(nodes, np.inf)) if split else None
    return _noise(distance, counts[0], counts[1], alarms, sides)


def rate_noise(
    reference: int, reference_rows: int, production: int, production_rows: int, alarms: float
) -> float:
    """Return the noise of the difference of two rates: of the rows of a kind in either window."""
    pooled = np.array([reference + production, 0])
    pooled[1] = reference_rows + production_rows - pooled[0]
    found = _splits(pooled, production_rows, RATE_DRAWS)[:, 0]
    apart = found / production_rows - (pooled[0] - found) / reference_rows
    return rate_quantile(apart, alarms)


def bounds_noise(reference: Numbers, production: Numbers, rows: int, alarms: float) -> float:
    """Return the noise of the share of `rows` beyond the reference's smallest and largest number.

    Of either end so many rows lie in the production window before the first of the reference: a
    geometric number, fewer where numbers are repeated.
    """
    share = production.rows / max(production.rows + reference.rows, 1)
    random = np.random.default_rng(SEED)
    beyond = random.geometric(1 - share, (2, RATE_DRAWS)).sum(axis=0) - 2
    return rate_quantile(np.minimum(beyond, production.rows) / rows, alarms)


def new_categories_noise(
    reference: Categories, production: Categories, rows: int, alarms: float
) -> float:
    """Return the noise of the share of `rows` whose category is not in the reference.

    A category of j rows is new where a split puts all of them into the production window.
    """
    share = production.rows / max(production.rows + reference.rows, 1)
    names = reference.counts.keys() | production.counts.keys()
    sizes = [reference.counts.get(n, 0) + production.counts.get(n, 0) for n in names]
    random = np.random.default_rng(SEED)
    new = np.zeros(RATE_DRAWS)
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        if (chance := share**size) * count > alarms / 100:
            new += size * random.binomial(count, chance, RATE_DRAWS)
    return rate_quantile(np.minimum(new, rows) / rows, alarms)


def _noise(
    metric: Callable[[Any, Any], Floats],
    reference: Counts,
    production: Counts,
    alarms: float,
    sides: Sides | None,
) -> float:
    level = gamma_quantile(_drawn(metric, reference + production, int(production.sum())), alarms)
    if sides is None:
        return level
    rest, window = sides
    pooled = np.rint(rest[0] + window[0]).astype(np.int64)
    by_row = gamma_quantile(_drawn(metric, pooled, int(np.median(window.sum(axis=1)))), alarms)
    by_group = gamma_quantile(metric(rest, window), alarms)
    return level * max(1.0, by_group / by_row) if by_row > 0 else level


def _drawn(metric: Callable[[Any, Any], Floats], pooled: Counts, rows: int) -> Floats:
    """Return the metric of windows of `rows` of the pooled rows against the others (draws,)."""
    draws = min(max(MOST_CELLS // len(pooled), FEWEST_DRAWS), DRAWS)
    found = _splits(pooled, rows, draws)
    return metric(pooled - found, found)


def _splits(pooled: Counts, rows: int, draws: int) -> Counts:
    """Draw how many of the pooled rows of each category are among `rows` of them (draws, k)."""
    shrink = -(-int(pooled.sum()) // MOST_ROWS)
    pooled, rows = pooled // shrink, rows // shrink
    random = np.random.default_rng(SEED)
    found: Counts = random.multivariate_hypergeometric(pooled, rows, draws, method="marginals")
    return found * shrink


def gamma_quantile(drawn: Floats, alarms: float) -> float:
    """Return what a share `alarms` of a gamma distribution with the moments of the draws exceeds.

    By the cube of a normal quantile (Wilson & Hilferty 1931, PNAS 17:684): SciPy's takes as long to
    import as the rest of the monitor takes to measure.
    """
    mean, deviation = float(drawn.mean()), float(drawn.std(ddof=1))
    if not mean > 0 or not deviation > 0:
        return mean
    # A distance is not negative, so its gamma distribution begins at 0 or, if more skewed, above.
    skewness = max(float((((drawn - mean) / deviation) ** 3).mean()), 2 * deviation / mean)
    shape = 4 / skewness**2
    if shape < SPARSE:
        return rate_quantile(drawn, alarms)
    reach = NormalDist().inv_cdf(1 - alarms) / (3 * math.sqrt(shape))
    cube = (1 - 1 / (9 * shape) + reach) ** 3
    return mean + deviation * math.sqrt(shape) * (cube - 1)


def rate_quantile(drawn: Floats, alarms: float) -> float:
    """Return what at most a share `alarms` of drawn rates exceeds, at least 0."""
    return max(float(np.quantile(drawn, 1 - alarms, method="higher")), 0.0)


def _nodes(numbers: Numbers) -> Floats:
    """Return the different numbers, or quantiles of them where there are many, with the ends."""
    values = numbers.values
    if len(values) <= NODES + 2 * EXTREMES:
        return values
    places = np.searchsorted(np.cumsum(numbers.counts), np.linspace(0, numbers.rows, NODES))
    inner = values[np.minimum(places, len(values) - 1)]
    return np.concatenate([values[:EXTREMES], inner, values[-EXTREMES:]])
