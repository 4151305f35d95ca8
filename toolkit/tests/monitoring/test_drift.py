"""Metrics of drift: against SciPy, scikit-learn and published examples, and what must hold for any data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from modelyard.monitoring import drift
from scipy import stats
from scipy.spatial import distance
from sklearn.metrics import ndcg_score

SYMMETRIC_COUNTS = ("jensen_shannon_distance", "population_stability_index")
counts = arrays.arrays(np.int64, st.integers(1, 12), elements=st.integers(0, 10_000)).filter(
    lambda found: found.sum() > 0
)
pairs = (
    st.integers(1, 12)
    .flatmap(
        lambda size: st.tuples(
            *[
                arrays.arrays(np.int64, size, elements=st.integers(0, 10_000)).filter(
                    lambda a: a.sum() > 0
                )
                for _ in range(2)
            ]
        )
    )
    .filter(lambda pair: bool(((pair[0] + pair[1]) > 0).all()))
)
moderate = st.floats(-1e6, 1e6, allow_subnormal=False)
samples = arrays.arrays(np.float64, st.integers(1, 60), elements=moderate)
any_floats = arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(allow_nan=True))


def numbers_of(values: Sequence[float] | np.ndarray) -> drift.Numbers:
    """A summary of numbers."""
    numbers = drift.Numbers()
    numbers.add(np.asarray(values, dtype=np.float64))
    return numbers


def categories_of(values: Sequence[str | None]) -> drift.Categories:
    """A summary of categories."""
    categories = drift.Categories()
    categories.add(pa.array(values, pa.string()))
    return categories


def test_jensen_shannon_of_published_examples() -> None:
    # SciPy's documentation of scipy.spatial.distance.jensenshannon.
    assert drift.jensen_shannon_distance(np.array([1, 0, 0]), np.array([0, 1, 0])) == 1.0
    apart = distance.jensenshannon([1.0, 0.0], [0.5, 0.5], 2)
    assert drift.jensen_shannon_distance(np.array([2, 0]), np.array([1, 1])) == pytest.approx(apart)


@given(pairs)
def test_jensen_shannon_is_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    expected = distance.jensenshannon(*pair, base=2)
    found = drift.jensen_shannon_distance(*pair)
    assert found == pytest.approx(np.nan_to_num(expected), abs=1e-6)


def test_chi_squared_of_mendels_peas() -> None:
    # Mendel 1866: 556 peas expected as 9:3:3:1; chi-squared 0.470, p 0.925 with 3 degrees of freedom.
    found = drift.pearsons_chi_squared_test(np.array([9, 3, 3, 1]), np.array([315, 108, 101, 32]))
    assert found == pytest.approx(0.925, abs=5e-4)


@given(pairs)
def test_chi_squared_is_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    reference, production = pair
    found = drift.pearsons_chi_squared_test(reference, production)
    if len(reference) == 1:
        assert found == 1.0
    elif (reference == 0).any():
        assert found == 0.0
    else:
        expected = reference / reference.sum() * production.sum()
        assert found == pytest.approx(stats.chisquare(production, expected).pvalue, abs=1e-9)


def test_population_stability_index_by_hand() -> None:
    # Two bins, 98 rows each, one added to every bin: shares 0.5, 0.5 against 0.8, 0.2.
    reference, production = np.array([49, 49]), np.array([79, 19])
    expected = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert drift.population_stability_index(reference, production) == pytest.approx(expected)


@given(samples, samples)
def test_wasserstein_is_scipys_in_standard_deviations(one: np.ndarray, other: np.ndarray) -> None:
    norm = max(np.std(one, ddof=1), 0.001) if len(one) > 1 else 0.001
    expected = stats.wasserstein_distance(one, other) / norm
    found = drift.normalized_wasserstein_distance(numbers_of(one), numbers_of(other))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@settings(max_examples=30)
@given(samples, samples)
def test_kolmogorov_smirnov_is_scipys(one: np.ndarray, other: np.ndarray) -> None:
    found = drift.two_sample_kolmogorov_smirnov_test(numbers_of(one), numbers_of(other))
    assert found == pytest.approx(stats.ks_2samp(one, other).pvalue, abs=1e-9)


def test_kolmogorov_smirnov_of_many_rows_is_scipys() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=12_000), random.normal(0.02, size=11_000)
    found = drift.two_sample_kolmogorov_smirnov_test(numbers_of(one), numbers_of(other))
    expected = stats.ks_2samp(one, other, method="asymp").pvalue
    assert 0.001 < expected < 0.999
    assert found == pytest.approx(expected, rel=1e-6)


def test_ndcg_of_the_published_example() -> None:
    # scikit-learn's documentation of sklearn.metrics.ndcg_score.
    found = drift.normalized_discounted_cumulative_gain([10, 0, 0, 1, 5], [0.1, 0.2, 0.3, 4, 70])
    assert found == pytest.approx(0.69569, abs=1e-5)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12),
)
def test_ndcg_is_scikit_learns_also_with_ties(rows: list[tuple[int, int]]) -> None:
    gains, scores = zip(*rows, strict=True)
    found = drift.normalized_discounted_cumulative_gain(gains, scores)
    expected = ndcg_score([gains], [scores]) if any(gains) else 1.0
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("metric", SYMMETRIC_COUNTS)
@given(pair=pairs)
def test_distances_of_counts_are_symmetric(
    metric: str, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    compare = drift.CATEGORICAL[metric]
    if metric == "population_stability_index":  # its smoothing weighs windows of unlike sizes
        pair = (pair[0], np.roll(pair[0], 1))
    assert compare(*pair) == pytest.approx(compare(*reversed(pair)))


@pytest.mark.parametrize("metric", drift.CATEGORICAL)
@given(found=counts)
def test_equal_counts_have_not_moved(metric: str, found: np.ndarray) -> None:
    found = found[found > 0]
    assert drift.CATEGORICAL[metric](found, found) == pytest.approx(
        1.0 if metric == "pearsons_chi_squared_test" else 0.0, abs=1e-6
    )


@pytest.mark.parametrize("metric", drift.NUMERICAL)
@given(values=any_floats)
def test_equal_numbers_have_not_moved(metric: str, values: np.ndarray) -> None:
    numbers = numbers_of(values)
    if numbers.rows:
        found = drift.NUMERICAL[metric](numbers, numbers)
        expected = 1.0 if metric == "two_sample_kolmogorov_smirnov_test" else 0.0
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", drift.NUMERICAL)
@given(one=samples, other=samples, scale=st.sampled_from([0.5, 4.0, 1024.0]))
@settings(max_examples=30)
def test_another_unit_changes_nothing(
    metric: str, one: np.ndarray, other: np.ndarray, scale: float
) -> None:
    # A power of two keeps bins and ties as they are; small deviations have a floor.
    if metric == "normalized_wasserstein_distance" and np.std(one) < 0.01:
        return
    found = drift.NUMERICAL[metric](numbers_of(one), numbers_of(other))
    scaled = drift.NUMERICAL[metric](numbers_of(one * scale), numbers_of(other * scale))
    assert scaled == pytest.approx(found, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("metric", drift.NUMERICAL)
@given(one=any_floats, other=any_floats)
def test_any_numbers_give_a_value_in_range(metric: str, one: np.ndarray, other: np.ndarray) -> None:
    first, second = numbers_of(one), numbers_of(other)
    if not first.rows or not second.rows:
        return
    with np.errstate(all="ignore"):
        found = drift.NUMERICAL[metric](first, second)
    assert found >= 0 or math.isnan(found)
    if metric in ("jensen_shannon_distance", "two_sample_kolmogorov_smirnov_test"):
        assert found <= 1


def test_what_is_not_finite_is_left_out() -> None:
    numbers = numbers_of([1.0, math.nan, math.inf, -math.inf, 3.0])
    assert (numbers.rows, numbers.low, numbers.high, numbers.mean) == (2, 1.0, 3.0, 2.0)


@given(samples, st.integers(1, 7))
def test_batches_give_the_same_summary_as_the_whole(values: np.ndarray, batches: int) -> None:
    whole, parts = numbers_of(values), drift.Numbers()
    for part in np.array_split(values, batches):
        parts.add(part)
    assert np.array_equal(whole.values, parts.values)
    assert np.array_equal(whole.counts, parts.counts)
    assert parts.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9)
    assert parts.squares == pytest.approx(whole.squares, rel=1e-6, abs=1e-6)


@given(samples, samples)
def test_bins_hold_every_row_once(one: np.ndarray, other: np.ndarray) -> None:
    first, second = numbers_of(one), numbers_of(other)
    edges = drift.bin_edges(first, second)
    for values, side in ((one, first), (other, second)):
        found = side.histogram(edges)
        assert found.sum() == len(values)
        assert np.array_equal(found, np.histogram(values, edges)[0])


@pytest.mark.parametrize(("rows", "bins"), [(100, 8), (64, 7), (1, 1)])
def test_there_are_as_many_bins_as_sturges_says(rows: int, bins: int) -> None:
    smaller, larger = numbers_of(np.arange(rows)), numbers_of(np.arange(500))
    assert len(drift.bin_edges(smaller, larger)) == bins + 1


def test_a_constant_has_one_bin_around_it() -> None:
    constant = numbers_of([4.0, 4.0])
    assert drift.bin_edges(constant, constant).tolist() == [3.98, 4.02]


def test_many_different_numbers_are_summarised_in_bounded_memory() -> None:
    random = np.random.default_rng(3)
    one, other = random.normal(size=300_000), random.normal(0.1, 1.2, size=300_000)
    summaries = []
    for values in (one, other):
        numbers = drift.Numbers()
        for part in np.array_split(values, 6):
            numbers.add(part)
        assert len(numbers.values) <= 2 * drift.MOST_POINTS
        assert (numbers.rows, numbers.low, numbers.high) == (300_000, values.min(), values.max())
        summaries.append(numbers)
    found = drift.normalized_wasserstein_distance(*summaries)
    expected = stats.wasserstein_distance(one, other) / np.std(one, ddof=1)
    assert found == pytest.approx(expected, rel=1e-3)
    edges = drift.bin_edges(*summaries)
    assert np.abs(summaries[0].histogram(edges) - np.histogram(one, edges)[0]).max() < 30


def test_categories_are_counted_without_nulls_and_unseen_ones_count_for_one_side() -> None:
    reference, production = categories_of(["a", "a", None, "b"]), categories_of(["b", "new", None])
    categories, before, now = drift.paired(reference, production)
    assert (categories, before.tolist(), now.tolist()) == (["a", "b", "new"], [2, 1, 0], [0, 1, 1])
    assert reference.rows == 3
    encoded = drift.Categories()
    encoded.add(pa.array(["a", "a", None, "b"]).dictionary_encode())
    assert encoded == reference


def test_more_categories_than_fit_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MOST_CATEGORIES", 2)
    assert categories_of(["a", "b", "c", "d", "a"]).counts == {"a": 2, "b": 1, drift.OTHER: 2}
