"""Random splits of a reference whose rows belong together in groups, such as those of one person.

Whole groups change sides, as rows do in `noise`: ten rows of one person say less than ten people (Field &
Welsh 2007, J. R. Stat. Soc. B 69:369). Collected rows do not name their groups, so the reference alone is
split, and a window's rows are taken to come in groups as the reference's do. A side of b of its R rows and
the rest of it differ by chance as a window of P rows and the reference do, where 1/b + 1/(R - b) is
1/P + 1/R; of a window of more than a third of R rows, as halves do at least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelyard.monitoring.drift import Floats, as_category
from modelyard.monitoring.noise import DRAWS, FEWEST_DRAWS, MOST_CELLS, SEED, Sides

Codes = NDArray[np.int64]

MOST_PLACES = 1_000_000  # draws x groups; of many groups fewer draws say as much


@dataclass(frozen=True)
class Splits:
    """Random splits of groups into a window and the rest.

    Attributes:
        group: number of each row's group (rows,).
        inside: 1 for the groups in the window, else 0 (draws, groups).
    """

    group: Codes
    inside: Floats

    def sums(self, values: Floats) -> Floats:
        """Add up the values of the rows (rows,) in the window (draws,)."""
        found: Floats = self.inside @ np.bincount(self.group, values, self.inside.shape[1])
        return found


def numbered(names: Sequence[pa.Array]) -> Codes | None:
    """Number the groups that rows name, in parts; None where no row names one. A missing one stands by itself."""
    if all(part.null_count == len(part) for part in names):
        return None
    from modelyard.data.folds import belonging  # pandas, which nothing else here needs

    return belonging(pa.table({"group": pa.chunked_array(names)}).to_pandas(), "group")


def split(names: Sequence[pa.Array], share: float) -> Splits | None:
    """Split the groups that rows name; None where they do not, or all name one.

    Args:
        names: the group of each row, in parts.
        share: rows of the window, of those of window and reference together.
    """
    group = numbered(names)
    sizes = np.bincount([] if group is None else group)
    if group is None or len(sizes) < 2:
        return None
    wanted = len(group) / 2 * (1 - math.sqrt(max(0.0, 1 - 4 * share)))
    random = np.random.default_rng(SEED)
    draws = min(max(MOST_PLACES // len(sizes), FEWEST_DRAWS), DRAWS)
    inside = np.zeros((draws, len(sizes)))
    for row in inside:
        order = random.permutation(len(sizes))
        middles = np.cumsum(sizes[order]) - sizes[order] / 2
        count = int(np.searchsorted(middles, wanted))  # nearest to the wanted rows
        row[order[: min(max(count, 1), len(sizes) - 1)]] = 1
    return Splits(group, inside)


@dataclass(frozen=True)
class Grouped:
    """A column of the reference with splits of its groups.

    Attributes:
        values: of the rows, as `windows.Batch` has them (rows,).
    """

    splits: Splits
    values: pa.ChunkedArray

    def by_bin(self, edges: Floats) -> Sides:
        """Count the rows in bins that hold their left edge, the last one all above."""
        numbers = self.values.to_numpy().astype(np.float64)
        place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
        return self._counted(np.where(np.isnan(numbers), -1, place), len(edges) - 1)

    def by_category(self, categories: list[str]) -> Sides:
        """Count the rows in categories, by name."""
        encoded = self.values.combine_chunks().dictionary_encode()
        names = [
            as_category(v) if isinstance(v, float) else v for v in encoded.dictionary.to_pylist()
        ]
        places = pc.index_in(pa.array(names, pa.string()), value_set=pa.array(categories))
        known = np.append(places.fill_null(-1).to_numpy(), -1)
        return self._counted(known[encoded.indices.fill_null(-1).to_numpy()], len(categories))

    def gaps_together(self) -> float:
        """Return how many times the noise of the share of missing values grows, at least 1.

        The root of the design effect (Kish 1965, Survey Sampling, ch. 8). Where the reference misses none or
        all of them, those of a group are taken to be missing together.
        """
        gaps = self.values.is_null().to_numpy()
        rows, groups, share = len(gaps), self.splits.inside.shape[1], gaps.mean()
        if not 0 < share < 1:
            return math.sqrt(rows / groups)
        sums = np.bincount(self.splits.group, gaps - share)
        effect = (sums**2).sum() * groups / (groups - 1) / (rows * share * (1 - share))
        return max(1.0, math.sqrt(effect))

    def beyond(self) -> Floats:
        """Return the share of the window's rows beyond the rest's smallest and largest number (draws,)."""
        numbers, splits = self.values.to_numpy().astype(np.float64), self.splits
        groups = splits.inside.shape[1]
        ends = []
        for sign in (1, -1):
            lowest = np.full(groups, np.inf)
            np.fmin.at(lowest, splits.group, sign * numbers)
            start = np.where(splits.inside > 0, np.inf, lowest).min(axis=1)
            known = np.sort(sign * numbers[~np.isnan(numbers)])
            ends.append(np.searchsorted(known, start))
        found: Floats = (ends[0] + ends[1]) / splits.sums(np.ones(len(numbers)))
        return np.minimum(found, 1.0)

    def new(self) -> Floats:
        """Return the share of the window's rows whose category the rest lacks (draws,)."""
        rest, window = self.by_category(self.values.unique().drop_null().to_pylist())
        rows = self.splits.sums(np.ones(len(self.values)))[: len(window)]
        found: Floats = np.where(rest == 0, window, 0).sum(axis=1) / rows
        return found

    def _counted(self, place: NDArray[np.integer], size: int) -> Sides:
        """Count the rows of both sides by place; those at -1 are left out."""
        from scipy.sparse import coo_array

        known = place >= 0
        cells = (place[known], self.splits.group[known])
        shape = (size, self.splits.inside.shape[1])
        table = coo_array((np.ones(int(known.sum())), cells), shape).tocsr()
        draws = max(MOST_CELLS // size, FEWEST_DRAWS)
        window = (table @ self.splits.inside[:draws].T).T
        return table.sum(axis=1) - window, window
