"""Measurement of a model's performance: predictions of a window against the ground truth.

Definitions: the component model_performance_metrics of github.com/Azure/azureml-assets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import reduce
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from modelyard.errors import UsageError
from modelyard.monitoring.drift import Floats
from modelyard.monitoring.groups import Codes, numbered
from modelyard.monitoring.measure import FEWEST_ROWS, Measurement
from modelyard.monitoring.noise import FALSE_ALARMS
from modelyard.monitoring.plan import Performance
from modelyard.monitoring.windows import (
    STORED,
    Window,
    batches,
    canonical,
    microseconds,
    within,
)
from modelyard.serving.collect import ID, KNOWN_AT


class Estimate(NamedTuple):
    """A metric and the ends of its interval."""

    value: float
    low: float
    high: float


def measure(
    signal: Performance, types: Mapping[str, str], group: Mapping[str, str] | None = None
) -> Measurement:
    """Measure predictions against the ground truth, joined by correlation id.

    Precision and recall are means over the classes, as Azure ML's (precision_score_macro and
    recall_score_macro in model_performance_metrics/compute_metrics.py).

    Args:
        signal: what to compare.
        types: of the columns.
        group: name and type of the column whose rows belong together, if there is one.
    """
    kind = types[signal.target]
    made = _identified(signal.production, {"prediction": kind})
    truth = _truth(signal.reference, signal.target, kind, group or {})
    place = pc.index_in(made.column(ID), value_set=truth.column(ID))
    predicted = made.column("prediction").combine_chunks()
    place = place.combine_chunks()
    actual = truth.column("truth").combine_chunks().take(place)
    both = pc.and_(predicted.is_valid(), actual.is_valid())
    predicted, actual = predicted.filter(both), actual.filter(both)
    together = numbered([truth.column("group").combine_chunks().take(place).filter(both)])
    rows = {"predictions": len(made), "production": len(predicted), "reference": len(truth)}
    result: Measurement = {"rows": rows, "measures": [], "grouped": together is not None}
    if len(predicted) < FEWEST_ROWS:
        said = f"the truth of {len(predicted):,} of {len(made):,} predictions is known"
        return result | {"unmeasured": f"{said}; at least {FEWEST_ROWS} are needed"}
    alarms = FALSE_ALARMS / len(signal.metrics)
    if signal.kind == "regression":
        found = errors(predicted.to_numpy(), actual.to_numpy(), alarms, together)
    else:
        found = hits(predicted, actual, alarms, together)
    for metric in signal.metrics:
        value, *ends = found[metric]
        result["measures"].append(
            {"feature": "", "kind": "", "metric": metric, "value": value, "interval": ends}
        )
    return result


def errors(
    predicted: Floats, actual: Floats, alarms: float, together: Codes | None = None
) -> dict[str, Estimate]:
    """Return mean absolute, mean squared and root mean squared error, in the target's unit.

    Args:
        predicted: predictions (rows,).
        actual: the truth (rows,).
        alarms: chance that the true value lies beyond either end of an interval.
        together: number of what a row belongs to, see `numbered` (rows,); None: each row stands by itself.
    """
    apart = np.abs(predicted - actual)
    squared = _mean(apart**2, alarms, together)
    return {
        "mae": _mean(apart, alarms, together),
        "mse": squared,
        "rmse": Estimate(*map(math.sqrt, squared)),
    }


def hits(
    predicted: pa.Array, actual: pa.Array, alarms: float, together: Codes | None = None
) -> dict[str, Estimate]:
    """Return accuracy, and precision and recall averaged over all classes in either column.

    A class that is never predicted has precision 0, one that never happens recall 0; either may be anything
    as far as these rows tell, and its interval says so.
    """
    both = pa.chunked_array([predicted, actual]).combine_chunks().dictionary_encode()
    codes, size = both.indices.to_numpy().astype(np.int64), len(both.dictionary)
    made, was = codes[: len(predicted)], codes[len(predicted) :]
    confusion = np.bincount(was * size + made, minlength=size * size).reshape(size, size)
    right, by_actual, by_made = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    all_right, all_rows = np.array([right.sum()]), np.array([len(predicted)])

    def share(right: Codes, rows: Codes, of: Codes) -> Estimate:
        alike = 1.0 if together is None else _alike(made == was, of, together, alarms)
        return _mean_share(right, rows, alarms, alike)

    return {
        "accuracy": share(all_right, all_rows, np.zeros_like(made)),
        "precision": share(right, by_made, made),
        "recall": share(right, by_actual, was),
    }


def _alike(right: NDArray[np.bool_], of: Codes, together: Codes, alarms: float) -> float:
    """Compute how many rows say as much of a mean of shares as one would by itself, at least 1.

    The design effect (Kish 1965, Survey Sampling, ch. 8), with the wider reach that few groups need (Korn &
    Graubard 1998, Survey Methodol. 24:193). Where all rows of a class are alike, one of a group counts.

    Args:
        right: whether a row is (rows,).
        of: class of the row (rows,).
        together: number of the group of the row (rows,).
        alarms: as of `hits`.
    """
    groups = int(together.max()) + 1
    counted = np.maximum(np.bincount(of), 1)
    share = np.bincount(of, right) / counted
    alone = float((share * (1 - share) / counted).sum())
    if not alone > 0:
        return len(right) / groups
    apart = (right - share[of]) / counted[of]
    times = _of_groups(apart, together) / alone * _wider(groups, alarms) ** 2
    return min(max(times, 1.0), len(right))


def _of_groups(apart: Floats, together: Codes) -> float:
    """Estimate the variance of a sum of rows' parts, from the sums of groups (Liang & Zeger 1986, Biometrika 73:13)."""
    sums = np.bincount(together, apart)
    groups = len(sums)
    return float((sums**2).sum()) * groups / (groups - 1) if groups > 1 else math.inf


def _wider(groups: int, alarms: float) -> float:
    """Return Student's quantile for a variance from so many groups, in normal ones."""
    from scipy.special import stdtrit

    return float(stdtrit(max(groups - 1, 1), 1 - alarms)) / NormalDist().inv_cdf(1 - alarms)


def _mean_share(right: Codes, rows: Codes, alarms: float, alike: float) -> Estimate:
    """Return the mean of independent shares, of `rows` of each class, `alike` of which count as one.

    Wilson's interval of each share (Brown, Cai & DasGupta 2001, Statist. Sci. 16:101), combined by the
    method of variance estimates recovery (Zou & Donner 2008, Statist. Med. 27:1693).
    """
    reach = NormalDist().inv_cdf(1 - alarms)
    share = right / np.maximum(rows, 1)
    counted = np.maximum(rows, 1) / alike
    centre = (share + reach**2 / (2 * counted)) / (1 + reach**2 / counted)
    spread = np.sqrt(share * (1 - share) / counted + reach**2 / (4 * counted**2))
    half = reach / (1 + reach**2 / counted) * spread
    low = np.where(rows > 0, centre - half, 0)
    high = np.where(rows > 0, centre + half, 1)
    value, classes = float(share.mean()), len(share)
    below, above = (math.sqrt(((share - end) ** 2).sum()) / classes for end in (low, high))
    return Estimate(value, value - below, value + above)


def _mean(sizes: Floats, alarms: float, together: Codes | None) -> Estimate:
    """Return the mean of positive numbers with long tails; its logarithm is nearer to normal."""
    value = float(sizes.mean())
    error = float(sizes.std(ddof=1)) / math.sqrt(len(sizes)) if len(sizes) > 1 else math.inf
    if together is not None:
        groups = int(together.max()) + 1
        error = math.sqrt(_of_groups(sizes - value, together)) / len(sizes) * _wider(groups, alarms)
    if not value > 0:
        return Estimate(value, value, value)
    factor = math.exp(min(NormalDist().inv_cdf(1 - alarms) * error / value, 700))
    return Estimate(value, value / factor, value * factor)


def _identified(window: Window, types: Mapping[str, str]) -> pa.Table:
    """Read columns with their correlation ids; rows without one are left out."""
    wanted = {ID: "text", **types}
    parts = [pa.table(dict(batch.columns)) for batch in batches(window, wanted)]
    none = {name: pa.nulls(0, STORED.get(kind, pa.string())) for name, kind in wanted.items()}
    table = pa.concat_tables([pa.table(none), *parts])
    return table.filter(pc.is_valid(table.column(ID)))


def _truth(window: Window, target: str, kind: str, group: Mapping[str, str]) -> pa.Table:
    """Read the ground truth known before a window's end; of an id, the latest comes first.

    The groups of its rows are null unless all files have them.
    """
    parts, named = [], bool(group)
    for file in window.files:
        try:
            part = pq.ParquetFile(file).read()
        except (pa.ArrowException, OSError) as error:
            raise UsageError(
                f"{file} cannot be read as Parquet ({error}): write it again."
            ) from None
        lacking = {ID, target, KNOWN_AT} - set(part.column_names)
        if lacking:
            raise UsageError(
                f"{file}: ground truth needs the columns {ID}, {target} and {KNOWN_AT}; "
                f"found {', '.join(part.column_names)}."
            )
        times = part.column(KNOWN_AT)
        if not pa.types.is_timestamp(times.type):
            raise UsageError(
                f'{file}, column "{KNOWN_AT}": expected timestamps, found {times.type}.'
            )
        table = pa.table(
            {
                ID: part.column(ID).cast(pa.string()),
                "truth": canonical(part.column(target), kind)[0],
                KNOWN_AT: times.cast(pa.timestamp("us"), safe=False),
                "group": pa.nulls(len(part), pa.string()),
            }
        )
        named = named and group.keys() <= set(part.column_names)
        for name, of in group.items() if named else ():
            values = canonical(part.column(name), of)[0].cast(pa.string())
            table = table.set_column(3, "group", values)
        known = within(times, None, window.end)
        parts.append(table if known is None else table.filter(known))
    none = {
        ID: pa.nulls(0, pa.string()),
        "truth": pa.nulls(0, STORED.get(kind, pa.string())),
        KNOWN_AT: pa.nulls(0, pa.timestamp("us")),
        "group": pa.nulls(0, pa.string()),
    }
    known = pa.concat_tables([pa.table(none), *parts])
    if not named:
        known = known.set_column(3, "group", pa.nulls(len(known), pa.string()))
    whole = (pc.is_valid(known.column(name)) for name in (ID, "truth", KNOWN_AT))
    known = known.filter(reduce(pc.and_, whole))
    order = np.argsort(-microseconds(known.column(KNOWN_AT)), kind="stable")
    return known if (np.diff(order) == 1).all() else known.take(order)
