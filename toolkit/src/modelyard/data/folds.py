"""Division of rows into parts in which copies of a row stay together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Codes = NDArray[np.int64]


def copies(rows: pd.DataFrame) -> Codes:
    """Number the distinct rows: equal rows have the same number (rows,)."""
    repeated = rows.duplicated(keep=False).to_numpy() if len(rows.columns) else True
    numbers = np.arange(len(rows), dtype=np.int64)
    if not np.any(repeated):
        return numbers
    if not len(rows.columns):
        return np.zeros_like(numbers)
    same = rows[repeated].groupby(list(rows.columns), dropna=False, sort=False).ngroup()
    numbers[repeated] = len(rows) + same.to_numpy()
    return pd.factorize(numbers)[0].astype(np.int64)


def divide(
    strata: Codes, same: Codes, wanted: NDArray[np.int64], generator: np.random.Generator
) -> Codes:
    """Divide rows into parts; copies of a row go to one part.

    Copies are placed first, the most frequent row first, each where it brings the parts nearest to what
    is wanted (the rule of scikit-learn's StratifiedGroupKFold, for parts of any size). Rows without a copy
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
    total = np.maximum(wanted.sum(axis=0), 1.0)
    if is_repeated.any():
        numbers, at = np.unique(same[is_repeated], return_inverse=True)
        counts = np.zeros((len(numbers), wanted.shape[1]))
        np.add.at(counts, (at, strata[is_repeated]), 1)
        chosen = np.zeros(len(numbers), dtype=np.int64)
        shuffled = generator.permutation(len(numbers))
        for one in shuffled[np.argsort(-sizes[numbers[shuffled]], kind="stable")]:
            nearer = counts[one] * (counts[one] + 2 * (have - wanted)) / total**2
            chosen[one] = nearer.sum(axis=1).argmin()
            have[chosen[one]] += counts[one]
        part[is_repeated] = chosen[at]
    for code in range(wanted.shape[1]):
        single = generator.permutation(np.flatnonzero((strata == code) & ~is_repeated))
        for number in range(wanted.shape[0] - 1, 0, -1):
            missing = max(0, int(wanted[number, code] - have[number, code]))
            part[single[:missing]] = number
            single = single[missing:]
    return part
