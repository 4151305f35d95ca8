"""Measurement of drift, data quality and performance in the windows of a plan.

Definitions: `drift`, and for data quality and model performance the components
data_quality_compute_metrics and model_performance_metrics of github.com/Azure/azureml-assets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelyard.errors import UsageError
from modelyard.monitoring.drift import (
    CATEGORICAL,
    NUMERICAL,
    OTHER,
    Categories,
    Counts,
    Floats,
    Numbers,
    chance_level,
    numerical_chance_level,
    paired,
)
from modelyard.monitoring.plan import Comparison, Performance, Plan
from modelyard.monitoring.windows import (
    CORRELATION_ID,
    KNOWN_AT,
    NUMERIC,
    STORED,
    Batch,
    Window,
    batches,
    canonical,
    known_columns,
    microseconds,
    within,
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
    """Summary of a column of a window: of all rows, or of the rows complete in several columns."""

    kind: str
    rows: int = 0
    nulls: int = 0
    wrong: int = 0
    summary: Numbers | Categories = field(init=False)

    def __post_init__(self) -> None:
        self.summary = Numbers() if self.kind in NUMERIC else Categories()

    def add(self, values: pa.Array) -> None:
        """Add values to the summary."""
        self.rows += len(values)
        self.nulls += values.null_count
        if isinstance(self.summary, Numbers):
            self.summary.add(values.drop_null().to_numpy())
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
        return Categories({f"{value:.15g}": int(count) for value, count in pairs})


class Summaries:
    """Summaries of columns: each window is read once, for all signals that use it."""

    def __init__(self, types: Mapping[str, str]) -> None:
        """Start without windows; `types` are those of all columns."""
        self.types = types
        self._wanted: dict[Window, dict[tuple[str, ...], bool]] = {}
        self._found: dict[tuple[Window, tuple[str, ...], bool], dict[str, Column]] = {}

    def want(self, window: Window, names: Sequence[str], *, complete: bool) -> None:
        """Add columns of a window to those that `read` reads."""
        self._wanted.setdefault(window, {})
        self._found[window, tuple(names), complete] = {
            name: Column(self.types[name]) for name in names
        }

    def get(self, window: Window, names: Sequence[str], *, complete: bool) -> dict[str, Column]:
        """Return summaries that `read` has made, by column."""
        return self._found[window, tuple(names), complete]

    def read(self) -> None:
        """Read all windows."""
        for window in self._wanted:
            groups = {key[1:]: found for key, found in self._found.items() if key[0] == window}
            names = list(dict.fromkeys(name for columns, _ in groups for name in columns))
            for batch in batches(window, {name: self.types[name] for name in names}):
                for (columns, complete), found in groups.items():
                    _count(batch, columns, found, complete=complete)


def _count(
    batch: Batch, names: Sequence[str], found: Mapping[str, Column], *, complete: bool
) -> None:
    values = batch.complete(names) if complete else batch.columns
    for name in names:
        found[name].add(values[name])
        if not complete and name in batch.wrong:
            bad = int(batch.wrong[name].sum())
            found[name].wrong += bad
            found[name].nulls -= bad


def measure(plan: Plan) -> dict[str, Measurement]:
    """Measure the comparisons and the performance of a plan; returns measurements by signal.

    Raises:
        UsageError: a file of a window is missing or damaged.
    """
    summaries = Summaries(plan.types)
    comparisons: dict[str, Comparison] = {}
    absent: dict[str, list[str]] = {}
    for name, signal in plan.signals.items():
        if isinstance(signal, Comparison):
            known = known_columns(signal.production)
            features = [n for n in signal.features if known is None or n in known]
            absent[name] = [n for n in signal.features if n not in features]
            comparisons[name] = signal = replace(signal, features=features)
            for window in (signal.production, signal.reference):
                summaries.want(window, features, complete=not signal.is_quality)
    summaries.read()
    found = {
        name: {**(_quality if one.is_quality else _drift)(one, summaries), "absent": absent[name]}
        for name, one in comparisons.items()
    }
    for name, signal in plan.signals.items():
        if isinstance(signal, Performance):
            found[name] = _performance(signal, plan.types)
    return found


def _drift(signal: Comparison, summaries: Summaries) -> Measurement:
    """Measure drift of each feature over the rows complete in all of them, as Azure ML does."""
    reference, production, result = _windows(signal, summaries)
    if "unmeasured" in result:
        return result
    for name in signal.features:
        kind = kind_of(name, reference[name], signal.override)
        compare = _numerical if kind == "numerical" else _categorical
        for metric in signal.metrics.get(kind, ()):
            found = compare(metric, reference[name], production[name])
            result["measures"].append({"feature": name, "kind": kind, "metric": metric, **found})
    return result


def _windows(
    signal: Comparison, summaries: Summaries
) -> tuple[Mapping[str, Column], Mapping[str, Column], Measurement]:
    """Return columns of both windows, and a result without measures: `unmeasured` if rows are too few."""
    reference, production = (
        summaries.get(window, signal.features, complete=not signal.is_quality)
        for window in (signal.reference, signal.production)
    )
    rows = {
        "reference": max((c.rows for c in reference.values()), default=0),
        "production": max((c.rows for c in production.values()), default=0),
    }
    result: Measurement = {"rows": rows, "measures": []}
    if min(rows.values()) < FEWEST_ROWS:
        result["unmeasured"] = _too_few(rows)
    return reference, production, result


def kind_of(name: str, reference: Column, override: Mapping[str, str]) -> str:
    """Decide whether a feature is compared as numbers or as categories."""
    if reference.kind not in NUMERIC:
        return "categorical"
    if name in override:
        return override[name]
    known = reference.numbers
    few = reference.kind == "integer" and len(known.values) < CATEGORY_SHARE * known.rows
    return "categorical" if few else "numerical"


def _numerical(metric: str, reference: Column, production: Column) -> dict[str, Any]:
    first, second = reference.numbers, production.numbers
    return {
        "value": NUMERICAL[metric](first, second),
        "chance": numerical_chance_level(metric, first, second),
        "distribution": bins(first, second),
    }


def _categorical(metric: str, reference: Column, production: Column) -> dict[str, Any]:
    categories, first, second = paired(reference.categories, production.categories)
    return {
        "value": CATEGORICAL[metric](first, second),
        "chance": chance_level(metric, first, second),
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
    for name in signal.features:
        kind = kind_of(name, reference[name], signal.override)
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
                        "examples": unknown(production[name], reference[name])
                        if metric == "out_of_bounds_rate"
                        else [],
                    }
                )
    return result


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


def _performance(signal: Performance, types: Mapping[str, str]) -> Measurement:
    """Measure predictions against the ground truth, joined by correlation id.

    Precision and recall are means over the classes, as Azure ML's (precision_score_macro and
    recall_score_macro in model_performance_metrics/compute_metrics.py).
    """
    kind = types[signal.target]
    made = _identified(signal.production, {"prediction": kind})
    truth = _truth(signal.reference, signal.target, kind)
    place = pc.index_in(made.column(CORRELATION_ID), value_set=truth.column(CORRELATION_ID))
    predicted = made.column("prediction").combine_chunks()
    actual = truth.column("truth").combine_chunks().take(place.combine_chunks())
    both = pc.and_(predicted.is_valid(), actual.is_valid())
    predicted, actual = predicted.filter(both), actual.filter(both)
    rows = {"predictions": len(made), "production": len(predicted), "reference": len(truth)}
    result: Measurement = {"rows": rows, "measures": []}
    if len(predicted) < FEWEST_ROWS:
        said = f"the truth of {len(predicted):,} of {len(made):,} predictions is known"
        return result | {"unmeasured": f"{said}; at least {FEWEST_ROWS} are needed"}
    if signal.kind == "regression":
        found = errors(predicted.to_numpy(), actual.to_numpy())
    else:
        found = hits(predicted, actual)
    for metric in signal.metrics:
        result["measures"].append(
            {"feature": "", "kind": "", "metric": metric, "value": found[metric]}
        )
    return result


def errors(predicted: Floats, actual: Floats) -> dict[str, float]:
    """Return mean absolute, mean squared and root mean squared error, in the target's unit."""
    apart = predicted - actual
    squared = float((apart**2).mean())
    return {"mae": float(np.abs(apart).mean()), "mse": squared, "rmse": math.sqrt(squared)}


def hits(predicted: pa.Array, actual: pa.Array) -> dict[str, float]:
    """Return accuracy, and precision and recall averaged over all classes in either column.

    A class that is never predicted has precision 0, one that never happens recall 0.
    """
    both = pa.chunked_array([predicted, actual]).combine_chunks().dictionary_encode()
    codes, size = both.indices.to_numpy().astype(np.int64), len(both.dictionary)
    made, was = codes[: len(predicted)], codes[len(predicted) :]
    confusion = np.bincount(was * size + made, minlength=size * size).reshape(size, size)
    right, by_actual, by_made = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "accuracy": float(right.sum() / confusion.sum()),
        "precision": float(np.mean(right / np.maximum(by_made, 1))),
        "recall": float(np.mean(right / np.maximum(by_actual, 1))),
    }


def _identified(window: Window, types: Mapping[str, str]) -> pa.Table:
    """Read columns with their correlation ids; rows without one are left out."""
    wanted = {CORRELATION_ID: "text", **types}
    parts = [pa.table(dict(batch.columns)) for batch in batches(window, wanted)]
    none = {name: pa.nulls(0, STORED.get(kind, pa.string())) for name, kind in wanted.items()}
    table = pa.concat_tables([pa.table(none), *parts])
    return table.filter(pc.is_valid(table.column(CORRELATION_ID)))


def _truth(window: Window, target: str, kind: str) -> pa.Table:
    """Read the ground truth known before a window's end; of an id, the latest comes first."""
    parts = []
    for file in window.files:
        try:
            part = pq.ParquetFile(file).read()
        except (pa.ArrowException, OSError) as error:
            raise UsageError(
                f"{file} cannot be read as Parquet ({error}): write it again."
            ) from None
        lacking = {CORRELATION_ID, target, KNOWN_AT} - set(part.column_names)
        if lacking:
            raise UsageError(
                f"{file}: ground truth needs the columns {CORRELATION_ID}, {target} and {KNOWN_AT}; "
                f"found {', '.join(part.column_names)}."
            )
        times = part.column(KNOWN_AT)
        if not pa.types.is_timestamp(times.type):
            raise UsageError(
                f'{file}, column "{KNOWN_AT}": expected timestamps, found {times.type}.'
            )
        table = pa.table(
            {
                CORRELATION_ID: part.column(CORRELATION_ID).cast(pa.string()),
                "truth": canonical(part.column(target), kind)[0],
                KNOWN_AT: times.cast(pa.timestamp("us"), safe=False),
            }
        )
        known = within(times, None, window.end)
        parts.append(table if known is None else table.filter(known))
    none = {
        CORRELATION_ID: pa.nulls(0, pa.string()),
        "truth": pa.nulls(0, STORED.get(kind, pa.string())),
        KNOWN_AT: pa.nulls(0, pa.timestamp("us")),
    }
    known = pa.concat_tables([pa.table(none), *parts]).drop_null()
    order = np.argsort(-microseconds(known.column(KNOWN_AT)), kind="stable")
    return known if (np.diff(order) == 1).all() else known.take(order)


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
