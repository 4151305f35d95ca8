"""Division of rows into parts in which copies of a row stay together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Codes = NDArray[np.int64]
FEW = 200  # distinct rows that are repeated, in as many
ORDERS = 100


def copies(rows: pd.DataFrame) -> Codes:
    """Number the distinct rows: equal rows have the same number (rows,)."""
    repeated = rows.duplicated(keep=False).to_numpy() if len(rows.columns) else True
    numbers = np.arange(len(rows), dtype=np.int64)
    if not np.any(repeated):
        return numbers
    if not len(rows.columns):
        return np.zeros_like(numbers)
    columns = list(rows.columns)
    same = rows[repeated].groupby(columns, dropna=False, sort=False, observed=True).ngroup()
    numbers[repeated] = len(rows) + same.to_numpy()
    return pd.factorize(numbers)[0].astype(np.int64)


def belonging(rows: pd.DataFrame, group: str | None) -> Codes:
    """Number the rows that belong together: those of one group, or equal ones; a missing group is one of its own."""
    if group is None:
        return copies(rows)
    codes, names = pd.factorize(rows[group])
    alone = codes < 0
    codes[alone] = len(names) + np.arange(int(alone.sum()))
    return codes.astype(np.int64)


def divide(
    strata: Codes, same: Codes, wanted: NDArray[np.int64], generator: np.random.Generator
) -> Codes:
    """Divide rows into parts; copies of a row go to one part.

    Copies are placed first, the most frequent row first, each where it brings the parts nearest to what is wanted
    by the chi-square distance: for one class the method of Webster and Sainte-Laguë, which gives each part its share
    of the frequent rows as of the rare ones. Of few distinct rows, in the best of many orders. Rows without a copy
    then fill what is missing.

    Args:
        strata: class of each row, from 0 (rows,).
        same: number of the distinct row, see `copies` (rows,).
        wanted: rows of each part by class (parts, classes); the first part takes what is left over.
        generator: decides among equals.

    Returns:
        The part of each row (rows,).
    """
    part = np.zeros(len(strata), dtype=np.int64)
    have = np.zeros(wanted.shape)
    sizes = np.bincount(same)
    is_repeated = sizes[same] > 1
    scale = np.maximum(wanted, 0.5)
    if is_repeated.any():
        numbers, at = np.unique(same[is_repeated], return_inverse=True)
        counts = np.zeros((len(numbers), wanted.shape[1]))
        np.add.at(counts, (at, strata[is_repeated]), 1)
        shuffled = generator.permutation(len(numbers))
        orders = [shuffled[np.argsort(-sizes[numbers[shuffled]], kind="stable")]]
        if len(numbers) <= FEW:
            orders += [generator.permutation(len(numbers)) for _ in range(ORDERS)]
        tried = [_placed(counts, wanted, scale, order) for order in orders]
        chosen, have = min(tried, key=lambda one: float(((one[1] - wanted) ** 2 / scale).sum()))
        part[is_repeated] = chosen[at]
    for code in range(wanted.shape[1]):
        single = generator.permutation(np.flatnonzero((strata == code) & ~is_repeated))
        for number in range(wanted.shape[0] - 1, 0, -1):
            missing = max(0, int(wanted[number, code] - have[number, code]))
            part[single[:missing]] = number
            single = single[missing:]
    return part


def _placed(
    counts: NDArray[np.float64], wanted: NDArray[np.int64], scale: NDArray[np.float64], order: Codes
) -> tuple[Codes, NDArray[np.float64]]:
    """Place distinct rows one after the other; returns the part of each, and the rows of each part."""
    have = np.zeros(wanted.shape)
    chosen = np.zeros(len(counts), dtype=np.int64)
    for one in order:
        nearer = counts[one] * (counts[one] + 2 * (have - wanted)) / scale
        chosen[one] = nearer.sum(axis=1).argmin()
        have[chosen[one]] += counts[one]
    return chosen, have
