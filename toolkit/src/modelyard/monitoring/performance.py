"""Measurement of a model's performance: predictions of a window against the ground truth.

Definitions: the component model_performance_metrics of github.com/Azure/azureml-assets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modelyard.errors import UsageError
from modelyard.monitoring.drift import Floats
from modelyard.monitoring.measure import FEWEST_ROWS, Measurement
from modelyard.monitoring.plan import Performance
from modelyard.monitoring.windows import (
    STORED,
    Window,
    batches,
    canonical,
    microseconds,
    within,
)

CORRELATION_ID = "correlationid"
KNOWN_AT = "known_at"


def measure(signal: Performance, types: Mapping[str, str]) -> Measurement:
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
