"""Metrics of drift between two samples of a column, as Azure ML's model monitoring defines them.

A column is summarised once, in batches and in bounded memory (`Numbers`, `Categories`); every metric is
then a function of the summary of the reference window and the summary of the production window.

The definitions are those of Microsoft's own components: github.com/Azure/azureml-assets,
assets/model_monitoring/components/src, files data_drift_compute_metrics/numerical_data_drift_metrics.py,
data_drift_compute_metrics/categorical_data_drift_metrics.py and shared_utilities/histogram_utils.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# A summary is exact up to so many different numbers. Beyond, neighbours are merged, so that no rank
# is off by more than one in half of that.
MOST_POINTS = 1 << 17
MOST_CATEGORIES = 1 << 20  # further ones are counted as OTHER
OTHER = "(other)"
EXACT_TEST_ROWS = (
    10_000  # up to here SciPy's Kolmogorov-Smirnov test is exact, and Azure ML runs it
)
SMALLEST_NORM = 0.001  # Azure ML's floor for a standard deviation to divide by


@dataclass
class Numbers:
    """A numerical column: its different values with their counts, and exact moments.

    Attributes:
        values: ascending (points,).
        counts: rows of each (points,).
        rows: all rows; NaN and infinities are not among them.
        mean: of all rows.
        squares: sum of squared distances from the mean.
    """

    values: Floats = field(default_factory=lambda: np.zeros(0))
    counts: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    rows: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, numbers: Floats) -> None:
        """Add rows (rows,); those that are not finite are left out."""
        numbers = np.sort(numbers[np.isfinite(numbers)])
        if not len(numbers):
            return
        starts = np.flatnonzero(np.append(True, np.diff(numbers) != 0))
        self._merge(
            Numbers(
                numbers[starts],
                np.diff(np.append(starts, len(numbers))),
                len(numbers),
                *_moments(numbers),
            )
        )

    @property
    def deviation(self) -> float:
        """Standard deviation of a sample (n - 1), as Spark's stddev; NaN below two rows."""
        return math.sqrt(self.squares / (self.rows - 1)) if self.rows > 1 else math.nan

    @property
    def low(self) -> float:
        """The smallest value; NaN without rows."""
        return float(self.values[0]) if self.rows else math.nan

    @property
    def high(self) -> float:
        """The largest value; NaN without rows."""
        return float(self.values[-1]) if self.rows else math.nan

    def below(self, edges: Floats) -> Counts:
        """Count the rows below each edge (edges,)."""
        total = np.append(0, np.cumsum(self.counts))
        return total[np.searchsorted(self.values, edges, side="left")]

    def histogram(self, edges: Floats) -> Counts:
        """Count the rows in each bin; a bin holds its left edge, the last one both."""
        cumulative = self.below(edges)
        cumulative[-1] = self.rows - int(self.counts[self.values > edges[-1]].sum())
        return np.diff(cumulative)

    def _merge(self, other: Numbers) -> None:
        rows = self.rows + other.rows
        shift = other.mean - self.mean
        self.squares += other.squares + shift * shift * self.rows * other.rows / rows
        self.mean += shift * other.rows / rows
        self.rows = rows
        if len(self.values):
            values = np.concatenate([self.values, other.values])
            order = np.argsort(values, kind="stable")
            values, counts = values[order], np.concatenate([self.counts, other.counts])[order]
            starts = np.flatnonzero(np.append(True, np.diff(values) != 0))
            self.values, self.counts = values[starts], np.add.reduceat(counts, starts)
        else:
            self.values, self.counts = other.values, other.counts
        if len(self.values) > MOST_POINTS:
            self._thin()

    def _thin(self) -> None:
        """Merge neighbours into their weighted mean; the two ends stay as they are."""
        inner, weights = self.values[1:-1], self.counts[1:-1]
        cumulative = np.cumsum(weights)
        groups = (cumulative - weights) * (MOST_POINTS // 2) // cumulative[-1]
        starts = np.flatnonzero(np.append(True, np.diff(groups) != 0))
        total = np.add.reduceat(weights, starts)
        # A weighted mean of shares, so that sums of large values do not overflow.
        shares = weights / np.repeat(total, np.diff(np.append(starts, len(weights))))
        means = np.add.reduceat(inner * shares, starts)
        self.values = np.concatenate([self.values[:1], means, self.values[-1:]])
        self.counts = np.concatenate([self.counts[:1], total, self.counts[-1:]])


@dataclass
class Categories:
    """A categorical column: rows of each category, without missing ones."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, categories: pa.Array | pa.ChunkedArray) -> None:
        """Add rows of a string or dictionary array; nulls are left out."""
        for chunk in categories.chunks if isinstance(categories, pa.ChunkedArray) else [categories]:
            found = pc.value_counts(chunk)
            values, counts = found.field(0), found.field(1)
            if pa.types.is_dictionary(values.type):
                values = values.dictionary_decode()
            for category, count in zip(values.to_pylist(), counts.to_pylist(), strict=True):
                if category is not None:
                    known = category in self.counts or len(self.counts) < MOST_CATEGORIES
                    name = category if known else OTHER
                    self.counts[name] = self.counts.get(name, 0) + count

    @property
    def rows(self) -> int:
        """Number of rows that are not missing."""
        return sum(self.counts.values())


def as_category(number: float) -> str:
    """Return the name of a number that is compared as a category."""
    return f"{number:.15g}"


def paired(reference: Categories, production: Categories) -> tuple[list[str], Counts, Counts]:
    """Return all categories of two windows, and the rows of each in both (categories,)."""
    categories = sorted(reference.counts.keys() | production.counts.keys())
    both = [
        np.array([side.counts.get(category, 0) for category in categories], dtype=np.int64)
        for side in (reference, production)
    ]
    return categories, both[0], both[1]


def bin_edges(reference: Numbers, production: Numbers) -> Floats:
    """Return the edges of equal bins over the range of both windows (bins + 1,).

    As many as Sturges' rule gives for the smaller window, ceil(log2(rows) + 1); a single one around
    a constant (histogram_utils.get_dual_histogram_bin_edges).
    """
    low, high = min(reference.low, production.low), max(reference.high, production.high)
    if low == high:
        reach = abs(low) * 0.005 or 0.005
        return np.array([low - reach, low + reach])
    bins = math.ceil(math.log2(min(reference.rows, production.rows)) + 1)
    # Halves, because the difference of two large numbers may be no float any more.
    steps = np.arange(bins + 1) / bins
    edges = 2 * (low / 2 + steps * (high / 2 - low / 2))
    edges[0], edges[-1] = low, high
    return edges


def jensen_shannon_distance(reference: Counts, production: Counts) -> Floats:
    """Square root of the Jensen-Shannon divergence with logarithms to base 2 (Lin 1991, IEEE Trans.
    Inf. Theory 37:145; Endres & Schindelin 2003): 0 for equal shares, 1 where nothing overlaps.

    Args:
        reference: rows of each bin or category (..., k); at least one row.
        production: likewise.
    """
    p, q = (side / side.sum(axis=-1, keepdims=True) for side in (reference, production))
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    found: Floats = np.sqrt(np.clip(divergence / math.log(2), 0.0, 1.0))
    return found


def population_stability_index(reference: Counts, production: Counts) -> Floats:
    """Sum of (q - p) ln(q / p), one row added to every bin or category so that none is empty.

    The symmetric relative entropy of Kullback & Leibler 1951, as credit scoring uses it.
    Args as for `jensen_shannon_distance`.
    """
    p, q = (
        (side + 1) / (side.sum(axis=-1, keepdims=True) + side.shape[-1])
        for side in (reference, production)
    )
    found: Floats = ((q - p) * np.log(q / p)).sum(axis=-1)
    return found


def pearsons_chi_squared_test(reference: Counts, production: Counts) -> float:
    """P-value of Pearson's goodness-of-fit test (1900, Phil. Mag. 50:157) of the production rows
    against the shares of the reference: small where they differ, 0 for a category that is new.

    Args as for `jensen_shannon_distance`. A single category gives 1.
    """
    if len(reference) < 2:
        return 1.0
    from scipy.special import chdtrc

    expected = reference / reference.sum() * production.sum()
    if (expected == 0).any():
        return 0.0
    statistic = float(((production - expected) ** 2 / expected).sum())
    return float(chdtrc(len(reference) - 1, statistic))


def normalized_wasserstein_distance(reference: Numbers, production: Numbers) -> float:
    """First Wasserstein distance (Vaserstein 1969), the area between the two distribution functions,
    in standard deviations of the reference, which count as at least 0.001.
    """
    points, widths = _between(reference, production)
    unit = norm(reference)
    apart = np.abs(
        reference.below(points) / reference.rows - production.below(points) / production.rows
    )
    moved = apart > 0  # numbers may lie further apart than a float can say; nothing times that is 0
    return float((apart[moved] * (widths[moved] / unit)).sum())


def two_sample_kolmogorov_smirnov_test(reference: Numbers, production: Numbers) -> float:
    """P-value of the two-sided test of the largest distance between the distribution functions
    (Smirnov 1939; Hodges 1958, Arkiv för Matematik 3:469): small where the windows differ.

    Exact while both windows have at most 10,000 rows, from there on asymptotic, as SciPy does it.
    Azure ML itself refuses larger windows.
    """
    from scipy import stats

    if max(reference.rows, production.rows) <= EXACT_TEST_ROWS:
        rows = [np.repeat(side.values, side.counts) for side in (reference, production)]
        return float(np.float64(stats.ks_2samp(*rows).pvalue))
    points = np.nextafter(np.union1d(reference.values, production.values), np.inf)
    apart = reference.below(points) / reference.rows - production.below(points) / production.rows
    effective = reference.rows * production.rows / (reference.rows + production.rows)
    chance: Floats = stats.kstwo.sf(np.abs(apart).max(), np.round(effective))
    return min(max(float(chance), 0.0), 1.0)


NUMERICAL: dict[str, Callable[[Numbers, Numbers], float]] = {
    "jensen_shannon_distance": lambda r, p: _binned(jensen_shannon_distance, r, p),
    "normalized_wasserstein_distance": normalized_wasserstein_distance,
    "population_stability_index": lambda r, p: _binned(population_stability_index, r, p),
    "two_sample_kolmogorov_smirnov_test": two_sample_kolmogorov_smirnov_test,
}
# Distances of counts, also of many pairs of windows at once.
COUNTED: dict[str, Callable[[Counts, Counts], Floats]] = {
    "jensen_shannon_distance": jensen_shannon_distance,
    "population_stability_index": population_stability_index,
}
CATEGORICAL: dict[str, Callable[[Counts, Counts], float]] = {
    "jensen_shannon_distance": lambda r, p: float(jensen_shannon_distance(r, p)),
    "population_stability_index": lambda r, p: float(population_stability_index(r, p)),
    "pearsons_chi_squared_test": pearsons_chi_squared_test,
}


def normalized_discounted_cumulative_gain(
    reference: Sequence[float], production: Sequence[float]
) -> float:
    """Compare the ranking of the features by two windows' attributions.

    The gain of a feature is its attribution in the reference, discounted by log2 of its place in the
    production window plus one; 1 for the same order (Järvelin & Kekäläinen 2002, ACM TOIS 20:422).
    Features that tie in production share the mean of their gains (McSherry & Najork 2008), as
    scikit-learn's ndcg_score, which Azure ML calls
    (feature_importance_metrics/compute_feature_attribution_drift.py).

    Args:
        reference: attribution of each feature, not negative.
        production: of the same features in the same order.

    Returns:
        Between 0 and 1; 1 where no feature has any attribution in the reference.
    """
    gains, scores = np.asarray(reference, dtype=float), np.asarray(production, dtype=float)
    discount = 1 / np.log2(np.arange(len(gains)) + 2)
    best = float(np.sort(gains)[::-1] @ discount)
    if best <= 0:
        return 1.0
    _, group, size = np.unique(-scores, return_inverse=True, return_counts=True)
    mean_gain = np.bincount(group, weights=gains) / size
    ends = np.cumsum(discount)[np.cumsum(size) - 1]
    return min(float(mean_gain @ np.diff(np.append(0, ends))) / best, 1.0)


def _moments(numbers: Floats) -> tuple[float, float]:
    """Return the mean, and the sum of squared distances from it; infinite beyond floats."""
    with np.errstate(over="ignore", invalid="ignore"):
        start = float(numbers[0])
        mean = start + float((numbers / len(numbers) - start / len(numbers)).sum())
        return mean, float(((numbers - mean) ** 2).sum())


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    found: Floats = (p * np.log(ratio)).sum(axis=-1)
    return found


def _binned(
    metric: Callable[[Counts, Counts], Floats], reference: Numbers, production: Numbers
) -> float:
    edges = bin_edges(reference, production)
    return float(metric(reference.histogram(edges), production.histogram(edges)))


def norm(reference: Numbers) -> float:
    """Return the standard deviation that a distance is divided by."""
    deviation = reference.deviation
    return max(deviation, SMALLEST_NORM) if not math.isnan(deviation) else SMALLEST_NORM


def _between(reference: Numbers, production: Numbers) -> tuple[Floats, Floats]:
    """Return right ends and widths of the intervals between all values of both windows."""
    points = np.union1d(reference.values, production.values)
    return points[1:], np.diff(points)
