"""Measurement of drift and data quality in the windows of a plan.

Definitions: `drift`, and for data quality the component data_quality_compute_metrics of
github.com/Azure/azureml-assets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from modelyard.errors import UsageError
from modelyard.monitoring.drift import (
    CATEGORICAL,
    NUMERICAL,
    OTHER,
    Categories,
    Counts,
    Floats,
    Numbers,
    as_category,
    paired,
)
from modelyard.monitoring.groups import Grouped, Splits, split
from modelyard.monitoring.noise import (
    FALSE_ALARMS,
    bounds_noise,
    categorical_noise,
    new_categories_noise,
    numerical_noise,
    rate_noise,
    rate_quantile,
)
from modelyard.monitoring.plan import Comparison, Plan
from modelyard.monitoring.windows import (
    NUMERIC,
    Batch,
    Window,
    batches,
    numbers,
)

FEWEST_ROWS = 100  # of either window: with fewer, nothing is judged
# Azure ML takes a whole number for a category where few of its values differ (df_utils.py).
CATEGORY_SHARE = 0.05
MOST_BARS = 20
MOST_SHOWN = 8
RATE_DIGITS = 5  # as Azure ML rounds them

Measurement = dict[str, Any]


@dataclass
class Column:
    """Summary of a column of a window: of all rows, or of the rows complete in several columns.

    Attributes:
        all_rows: of the window, complete or not.
        present: of these, the rows with a value; for data quality also one of another type.
        values: of the rows, where they are kept.
    """

    kind: str
    rows: int = 0
    nulls: int = 0
    wrong: int = 0
    all_rows: int = 0
    present: int = 0
    summary: Numbers | Categories = field(init=False)
    values: list[pa.Array] | None = None

    def __post_init__(self) -> None:
        self.summary = Numbers() if self.kind in NUMERIC else Categories()

    def add(self, values: pa.Array) -> None:
        """Add values to the summary."""
        self.rows += len(values)
        self.nulls += values.null_count
        if self.values is not None:
            self.values.append(values)
        if isinstance(self.summary, Numbers):
            self.summary.add(numbers(values.drop_null()))
        else:
            self.summary.add(values)

    @property
    def numbers(self) -> Numbers:
        """Summary of a column of numbers."""
        if not isinstance(self.summary, Numbers):
            raise UsageError(f"a column of type {self.kind} cannot be compared as numbers.")
        return self.summary

    @property
    def categories(self) -> Categories:
        """Summary as of categories, whatever the type."""
        if isinstance(self.summary, Categories):
            return self.summary
        pairs = zip(self.summary.values, self.summary.counts, strict=True)
        return Categories({as_category(value): int(count) for value, count in pairs})


class Summaries:
    """Summaries of columns: each window is read once, for all signals that use it."""

    def __init__(self, plan: Plan) -> None:
        """Start without windows; the plan has the types of all columns."""
        self.types, self.readings, self.group = plan.types, plan.readings, plan.group
        self._wanted: dict[Window, dict[tuple[str, ...], bool]] = {}
        self._found: dict[tuple[Window, tuple[str, ...], bool], dict[str, Column]] = {}
        self._groups: dict[tuple[Window, tuple[str, ...], bool], list[pa.Array]] = {}

    def want(
        self, window: Window, names: Sequence[str], *, complete: bool, grouped: bool = False
    ) -> None:
        """Add columns of a window to those that `read` reads; `grouped`: keep their rows, with the groups."""
        self._wanted.setdefault(window, {})
        key = (window, tuple(names), complete)
        self._found[key] = {
            name: Column(self.types[name], values=[] if grouped else None) for name in names
        }
        if grouped:
            self._groups[key] = []

    def get(self, window: Window, names: Sequence[str], *, complete: bool) -> dict[str, Column]:
        """Return summaries that `read` has made, by column."""
        return self._found[window, tuple(names), complete]

    def splits(self, signal: Comparison, rows: Mapping[str, int]) -> Splits | None:
        """Split a signal's reference by its groups; None where its rows do not name any."""
        key = (signal.reference, tuple(signal.features), not signal.is_quality)
        return split(self._groups.get(key, []), rows["production"] / sum(rows.values()))

    def read(self) -> None:
        """Read all windows."""
        for window in self._wanted:
            groups = {key[1:]: found for key, found in self._found.items() if key[0] == window}
            names = list(dict.fromkeys(name for columns, _ in groups for name in columns))
            own = self.group if any(key[0] == window for key in self._groups) else {}
            types = {**{n: self.types[n] for n in names}, **own}
            for batch in batches(window, types, self.readings):
                for (columns, complete), found in groups.items():
                    values = _count(batch, columns, found, own, complete=complete)
                    if (key := (window, columns, complete)) in self._groups:
                        self._groups[key] += (values[name] for name in own)


def _count(
    batch: Batch,
    names: Sequence[str],
    found: Mapping[str, Column],
    also: Iterable[str],
    *,
    complete: bool,
) -> Mapping[str, pa.Array]:
    """Add a batch to the summaries; returns the values of its rows, in other columns too."""
    values = batch.complete(names, also) if complete else batch.columns
    with ThreadPoolExecutor() as threads:  # each column has a summary of its own
        list(threads.map(lambda name: found[name].add(values[name]), names))
    for name in names:
        found[name].all_rows += batch.rows
        found[name].present += batch.rows - batch.columns[name].null_count
        if not complete and name in batch.wrong:
            bad = int(batch.wrong[name].sum())
            found[name].wrong += bad
            found[name].nulls -= bad
            found[name].present += bad
    return values


def measure(plan: Plan) -> dict[str, Measurement]:
    """Measure the comparisons of a plan; returns measurements by signal.

    Raises:
        UsageError: a file of a window is missing or damaged.
    """
    comparisons = {n: s for n, s in plan.signals.items() if isinstance(s, Comparison)}
    summaries = _summarised(comparisons, plan)
    empty = {name: _without_values(one, summaries) for name, one in comparisons.items()}
    kept = {
        name: replace(one, features=[f for f in one.features if f not in empty[name]])
        for name, one in comparisons.items()
    }
    if any(empty.values()):  # else no row is complete in all columns of the signal
        summaries = _summarised(kept, plan)
    found = {}
    for name, one in kept.items():
        found[name] = (_quality if one.is_quality else _drift)(one, summaries)
        found[name]["measures"] += empty[name].values()
    return found


def _summarised(comparisons: Mapping[str, Comparison], plan: Plan) -> Summaries:
    summaries = Summaries(plan)
    for one in comparisons.values():
        for window in (one.production, one.reference):
            grouped = bool(plan.group) and window == one.reference
            summaries.want(window, one.features, complete=not one.is_quality, grouped=grouped)
    summaries.read()
    return summaries


def _without_values(signal: Comparison, summaries: Summaries) -> dict[str, dict[str, Any]]:
    """Return a measurement for each feature that has no value in one of the windows.

    `never` is the number of rows of the window in which it should have come: the reference has it
    so often that it is not missing by chance. Windows without rows say nothing about their columns.
    """
    reference, production = _columns(signal, summaries)
    found = {}
    for name in signal.features:
        before, now = reference[name], production[name]
        if not before.all_rows or not now.all_rows or (before.present and now.present):
            continue
        # One gap more than the reference has: that it has none does not say that none can be.
        missing = (before.all_rows - before.present + 1) / (before.all_rows + 1)
        never = not now.present and missing**now.all_rows < FALSE_ALARMS
        side = "reference" if not before.present else "production window"
        found[name] = {
            "feature": name,
            "kind": "categorical" if before.kind not in NUMERIC else "numerical",
            "metric": "null_value_rate",
            "value": 1.0 - now.present / now.all_rows,
            "reference": 1.0 - before.present / before.all_rows,
            "never": now.all_rows if never and before.present else None,
            "open": f"the {side} has no value of it",
        }
    return found


def _drift(signal: Comparison, summaries: Summaries) -> Measurement:
    """Measure drift of each feature over the rows complete in all of them, as Azure ML does."""
    reference, production, result = _windows(signal, summaries)
    if "unmeasured" in result:
        return result
    kinds = {name: kind_of(name, reference[name], signal.override) for name in signal.features}
    wanted = [(name, metric) for name, k in kinds.items() for metric in signal.metrics.get(k, ())]
    splits = summaries.splits(signal, result["rows"])

    def compared(one: tuple[str, str]) -> dict[str, Any]:
        name, metric = one
        compare = _numerical if kinds[name] == "numerical" else _categorical
        alarms = FALSE_ALARMS / len(wanted)
        grouped = _grouped(reference[name], splits)
        found = compare(metric, reference[name], production[name], alarms, grouped)
        return {"feature": name, "kind": kinds[name], "metric": metric, **found}

    with ThreadPoolExecutor() as threads:
        result["measures"] += threads.map(compared, wanted)
    # A p-value has no noise, and takes rows to be independent.
    result["grouped"] = splits is not None and not any(
        math.isnan(one["noise"]) for one in result["measures"]
    )
    return result


def _columns(
    signal: Comparison, summaries: Summaries
) -> tuple[Mapping[str, Column], Mapping[str, Column]]:
    """Return the summaries of reference and production."""
    complete = not signal.is_quality
    return (
        summaries.get(signal.reference, signal.features, complete=complete),
        summaries.get(signal.production, signal.features, complete=complete),
    )


def _windows(
    signal: Comparison, summaries: Summaries
) -> tuple[Mapping[str, Column], Mapping[str, Column], Measurement]:
    """Return columns of both windows, and a result without measures: `unmeasured` if rows are too few."""
    reference, production = _columns(signal, summaries)
    rows = {
        "reference": max((c.rows for c in reference.values()), default=0),
        "production": max((c.rows for c in production.values()), default=0),
    }
    result: Measurement = {"rows": rows, "measures": []}
    if min(rows.values()) < FEWEST_ROWS:
        result["unmeasured"] = _too_few(rows) + _sparse(reference, production)
    return reference, production, result


def _grouped(column: Column, splits: Splits | None) -> Grouped | None:
    return Grouped(splits, pa.chunked_array(column.values or [])) if splits else None


def kind_of(name: str, reference: Column, override: Mapping[str, str]) -> str:
    """Decide whether a feature is compared as numbers or as categories."""
    if reference.kind not in NUMERIC:
        return "categorical"
    if name in override:
        return override[name]
    known = reference.numbers
    few = reference.kind == "integer" and len(known.values) < CATEGORY_SHARE * known.rows
    return "categorical" if few else "numerical"


def _numerical(
    metric: str,
    reference: Column,
    production: Column,
    alarms: float,
    grouped: Grouped | None = None,
) -> dict[str, Any]:
    first, second = reference.numbers, production.numbers
    return {
        "value": NUMERICAL[metric](first, second),
        "noise": numerical_noise(
            metric, first, second, alarms, grouped.by_bin if grouped else None
        ),
        "distribution": bins(first, second),
    }


def _categorical(
    metric: str,
    reference: Column,
    production: Column,
    alarms: float,
    grouped: Grouped | None,
) -> dict[str, Any]:
    categories, first, second = paired(reference.categories, production.categories)
    sides = grouped.by_category(categories) if grouped else None
    return {
        "value": CATEGORICAL[metric](first, second),
        "noise": categorical_noise(metric, first, second, alarms, sides),
        "distribution": top_categories(categories, first, second),
    }


def _quality(signal: Comparison, summaries: Summaries) -> Measurement:
    """Measure rates of missing, mistyped and out-of-bounds values in both windows.

    Bounds are the reference's smallest and largest value, and its categories where a column holds text.
    A missing value is neither mistyped nor out of bounds. Azure ML judges the production rate
    against the reference's rate plus the threshold (data_quality_metrics_joiner).
    """
    reference, production, result = _windows(signal, summaries)
    if "unmeasured" in result:
        return result
    judged = sum(
        len(signal.metrics.get(kind_of(name, reference[name], signal.override), ()))
        for name in signal.features
    )
    splits = summaries.splits(signal, result["rows"])
    result["grouped"] = splits is not None
    for name in signal.features:
        kind = kind_of(name, reference[name], signal.override)
        grouped = _grouped(reference[name], splits)
        first, second = (
            rates(column, reference[name]) for column in (reference[name], production[name])
        )
        for metric in signal.metrics.get(kind, ()):
            if metric in second:
                result["measures"].append(
                    {
                        "feature": name,
                        "kind": kind,
                        "metric": metric,
                        "value": second[metric],
                        "reference": first[metric],
                        "noise": _quality_noise(
                            metric,
                            reference[name],
                            production[name],
                            FALSE_ALARMS / judged,
                            grouped,
                        ),
                        "examples": unknown(production[name], reference[name])
                        if metric == "out_of_bounds_rate"
                        else [],
                    }
                )
    return result


def _quality_noise(
    metric: str, reference: Column, production: Column, alarms: float, grouped: Grouped | None
) -> float:
    """Return the noise of a rate above the reference's; a mistyped value is a fault at any size."""
    if metric == "null_value_rate":
        counts = (reference.nulls, reference.rows, production.nulls, production.rows)
        return rate_noise(*counts, alarms) * (grouped.gaps_together() if grouped else 1.0)
    if metric == "data_type_error_rate":
        return 0.0
    if reference.kind in NUMERIC:
        level = bounds_noise(reference.numbers, production.numbers, production.rows, alarms)
        drawn = Grouped.beyond
    else:
        known, found = reference.categories, production.categories
        level = new_categories_noise(known, found, production.rows, alarms)
        drawn = Grouped.new
    return max(level, rate_quantile(drawn(grouped), alarms)) if grouped else level


def rates(column: Column, reference: Column) -> dict[str, float]:
    """Return the data quality of a column by Azure ML's names, with the bounds of the reference."""
    found = {"null_value_rate": column.nulls, "data_type_error_rate": column.wrong}
    if reference.kind in NUMERIC:
        low, high = reference.numbers.low, reference.numbers.high
        inside = (column.numbers.values >= low) & (column.numbers.values <= high)
        found["out_of_bounds_rate"] = int(column.numbers.counts[~inside].sum())
    elif reference.kind in ("category", "text") and OTHER not in reference.categories.counts:
        known = reference.categories.counts
        found["out_of_bounds_rate"] = sum(
            count for category, count in column.categories.counts.items() if category not in known
        )
    return {name: round(count / column.rows, RATE_DIGITS) for name, count in found.items()}


def unknown(column: Column, reference: Column, most: int = 3) -> list[str]:
    """Return a few values out of the reference's bounds, the furthest or most frequent first."""
    if reference.kind in NUMERIC:
        numbers, known = column.numbers, reference.numbers
        ends = [(known.low - numbers.low, numbers.low), (numbers.high - known.high, numbers.high)]
        return [f"{value:.6g}" for distance, value in sorted(ends, reverse=True) if distance > 0]
    categories = reference.categories.counts
    new = [
        (count, category)
        for category, count in column.categories.counts.items()
        if category not in categories
    ]
    return [category for _, category in sorted(new, key=lambda pair: (-pair[0], pair[1]))[:most]]


def top_categories(
    categories: Sequence[str], reference: Counts, production: Counts
) -> dict[str, Any]:
    """Return both distributions for a chart: shares of the most frequent categories."""
    shares = np.stack([reference / reference.sum(), production / production.sum()])
    order = np.argsort(-shares.max(axis=0), kind="stable")
    top, rest = order[:MOST_SHOWN], order[MOST_SHOWN:]
    return {
        "words": [categories[i] for i in top],
        "reference": shares[0, top].tolist(),
        "production": shares[1, top].tolist(),
        "others": len(rest),
        "other_shares": shares[:, rest].sum(axis=1).tolist(),
    }


def bins(reference: Numbers, production: Numbers) -> dict[str, Any]:
    """Return both distributions for a chart: shares of bins, means and medians."""
    edges = _chart_edges(reference, production)
    shares = [
        np.diff(np.concatenate([[0], side.below(edges[1:-1]), [side.rows]])) / side.rows
        for side in (reference, production)
    ]
    return {
        "edges": edges.tolist(),
        "reference": shares[0].tolist(),
        "production": shares[1].tolist(),
        "means": [reference.mean, production.mean],
        "medians": [_quantile(reference, 0.5), _quantile(production, 0.5)],
    }


def _chart_edges(reference: Numbers, production: Numbers) -> Floats:
    """Choose bins for a chart: the outermost hold all beyond the middle 99% of both windows."""
    low = min(_quantile(side, 0.005) for side in (reference, production))
    high = max(_quantile(side, 0.995) for side in (reference, production))
    if not low < high:
        reach = abs(low) * 0.5 or 0.5
        low, high = low - reach, high + reach
    values = np.union1d(reference.values, production.values)
    inside = values[(values >= low) & (values <= high)]
    whole = bool((inside == np.floor(inside)).all()) and high - low < MOST_BARS
    if whole:  # a bar per whole number
        return np.arange(math.floor(low), math.floor(high) + 2, dtype=np.float64) - 0.5
    edges: Floats = np.linspace(low, high, MOST_BARS + 1)
    return edges


def _quantile(numbers: Numbers, share: float) -> float:
    place = int(np.searchsorted(np.cumsum(numbers.counts), share * numbers.rows, side="left"))
    return float(numbers.values[min(place, len(numbers.values) - 1)])


def _too_few(rows: Mapping[str, int]) -> str:
    short: Iterable[str] = (
        f"the {side} window has {count:,}" for side, count in rows.items() if count < FEWEST_ROWS
    )
    return f"{' and '.join(short)} complete rows; at least {FEWEST_ROWS} are needed"


def _sparse(*sides: Mapping[str, Column]) -> str:
    """Name the column that leaves most rows of a window incomplete."""
    shares = [
        (1 - column.present / column.all_rows, name)
        for side in sides
        for name, column in side.items()
        if column.all_rows >= FEWEST_ROWS
    ]
    share, name = max(shares, default=(0.0, ""))
    return f'; in {share:.0%} of all rows "{name}" is missing' if share >= 0.05 else ""
