"""Groups of rows by the value of a column, for segments and for fairness."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.console import shown
from modelyard.data.cells import Type

MOST_LEVELS = 20  # groups of a column
BANDS = 4  # of a number or a datetime with more values
MISSING = "(missing)"
OTHER = "(other)"


@dataclass(frozen=True)
class Groups:
    """The group of each row.

    Attributes:
        codes: index into `names` (rows,).
        names: of the groups; `MISSING`, where values are missing, is the last.
        is_ordered: the groups are numbers or dates, and stand in their order.
    """

    codes: NDArray[np.int64]
    names: tuple[str, ...]
    is_ordered: bool = False

    def rows(self, code: int) -> NDArray[np.int64]:
        """Return the indices of a group's rows."""
        return np.flatnonzero(self.codes == code)


def grouped(column: pd.Series, kind: Type) -> Groups:
    """Divide rows by value; missing values are a group of their own.

    Numbers and datetimes with many values are cut into bands of about as many rows; of words with
    many values, the rarest are taken together.
    """
    is_ordered = kind in ("number", "integer", "datetime")
    if is_ordered and column.nunique() > MOST_LEVELS:
        codes, names = _banded(column)
    else:
        if column.nunique() > MOST_LEVELS:
            common = column.value_counts().index[: MOST_LEVELS - 1]
            column = column.where(column.isna() | column.isin(common), OTHER)
        codes, distinct = pd.factorize(column, sort=is_ordered)
        names = [shown(value) for value in distinct]
    if (codes < 0).any():
        codes = np.where(codes < 0, len(names), codes)
        names = [*names, MISSING]
    return Groups(codes.astype(np.int64), tuple(names), is_ordered)


def _banded(column: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Cut values into bands of about as many rows; returns the band of each (-1 missing) and names."""
    edges = np.unique(column.quantile(np.linspace(0, 1, BANDS + 1)).to_numpy())
    band = np.clip(np.searchsorted(edges, column.to_numpy(), side="right") - 1, 0, len(edges) - 2)
    names = [f"{_edge(low)} – {_edge(high)}" for low, high in pairwise(edges)]
    return np.where(column.isna(), -1, band), names


def _edge(value: Any) -> str:
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[D]"))
    return shown(float(value) + 0.0)  # no -0
