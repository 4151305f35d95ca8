"""Permutation importance of the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.console import console, table
from modelyard.contract.model import Contract
from modelyard.data.folds import Codes
from modelyard.data.parts import target_of
from modelyard.evaluation.bootstrap import Interval, bootstrap, interval
from modelyard.evaluation.held_out import HeldOut, drawn_together
from modelyard.evaluation.metrics import directions, measure
from modelyard.evaluation.own_metrics import Metric
from modelyard.evidence import write_evidence
from modelyard.gates import Evaluation
from modelyard.modelling.predicting import predict, threads_for

REPEATS = 5
MOST_ROWS = 10_000
FEWEST_ROWS = 1_000
SCORED_ROWS = 500_000  # in all: wide tables are explained on fewer rows
RESAMPLES = 100  # for intervals of a bar in a chart; gates do not read them
SHOWN = 15


def explain(held: HeldOut, evidence: Path) -> None:
    """Measure each column's importance, and write importance.json.

    Args:
        held: rows and the challenger.
        evidence: the folder to write to.
    """
    rows = sampled(held.rows, held.contract, held.evaluation.seed)
    with threads_for(len(rows) * REPEATS):
        found = importance(held.model, rows, held.contract, held.metric, held.evaluation, held.own)
    features = [
        {"name": name, **drop.named("importance")}
        for name, drop in sorted(found.items(), key=lambda pair: (-pair[1].value, pair[0]))
    ]
    write_evidence(
        evidence,
        "importance",
        params={
            "metric": held.metric,
            "rows": len(rows),
            "repeats": REPEATS,
            "resamples": RESAMPLES,
            "confidence": held.evaluation.confidence,
            "seed": held.evaluation.seed,
        },
        details={"metric": held.metric, "rows": len(rows), "features": features},
    )
    show(features, len(rows), held.metric, held.evaluation.confidence)


def sampled(rows: pd.DataFrame, contract: Contract, seed: int) -> pd.DataFrame:
    """Sample at most MOST_ROWS of the rows, fewer where there are many columns to shuffle."""
    affordable = SCORED_ROWS // (REPEATS * len(contract.features))
    most = min(MOST_ROWS, max(FEWEST_ROWS, affordable))
    if len(rows) <= most:
        return rows
    picked = np.random.default_rng(seed).choice(len(rows), most, replace=False)
    return rows.iloc[np.sort(picked)]


def importance(
    model: Any,
    rows: pd.DataFrame,
    contract: Contract,
    metric: str,
    evaluation: Evaluation,
    own: Mapping[str, Metric] | None = None,
) -> dict[str, Interval]:
    """Compute by how much the primary metric gets worse when a column is shuffled.

    Permutation importance (Breiman 2001, Machine Learning 45:5), the mean of REPEATS shuffles.
    Columns that hold the same share it: a model can use one while the other is shuffled. The interval
    is over resamples of the rows. Each column is shuffled in the same orders.

    Args:
        model: as loaded.
        rows: test rows with the contract's features and target.
        contract: names the features.
        metric: the one that decides.
        evaluation: confidence and seed.
        own: the project's metrics.
    """
    random = np.random.default_rng(evaluation.seed)
    orders = np.concatenate([random.permutation(len(rows)) for _ in range(REPEATS)])
    truth, together = target_of(rows, contract), drawn_together(rows, contract)
    whole = predict(model, rows, contract)
    repeated = pd.concat([rows] * REPEATS, ignore_index=True)
    sign = 1 if directions(contract.kind, own)[metric] else -1
    result = {}
    for name in contract.features:
        shuffled = repeated.copy(deep=False)  # a wide table takes long to be made anew
        shuffled[name] = rows[name].to_numpy()[orders]
        prediction = predict(model, shuffled, contract)
        parts = np.arange(len(shuffled)).reshape(REPEATS, len(rows))
        models = {f"shuffled {i}": prediction.at(part) for i, part in enumerate(parts)}
        drawn = _primary(
            {"whole": whole, **models}, truth, contract, metric, evaluation, own, together
        )
        worse = sign * (drawn[0] - np.mean(drawn[1:], axis=0))
        result[name] = interval(worse, evaluation.confidence)
    return result


def show(features: Sequence[Mapping[str, Any]], rows: int, metric: str, confidence: float) -> None:
    """Print the columns that matter most."""
    lines = [
        (f["name"], f"{f['importance']:z.4f}", f"{f['low']:z.4f} – {f['high']:z.4f}")
        for f in features[:SHOWN]
    ]
    title = f"{metric} lost when a column is shuffled, {rows:,} test rows"
    headings = ("column", "importance", f"[{confidence:.0%}]")
    console().print(table(title, headings, lines, right=headings[1:]))
    if len(features) > SHOWN:
        print(f"and {len(features) - SHOWN} more in the evidence")


def _primary(
    predictions: Mapping[str, Any],
    truth: NDArray[Any],
    contract: Contract,
    metric: str,
    evaluation: Evaluation,
    own: Mapping[str, Metric] | None,
    together: Codes | None,
) -> list[NDArray[np.float64]]:
    found = bootstrap(
        {
            name: measure(contract.kind, truth, made, only=metric, own=own)
            for name, made in predictions.items()
        },
        len(truth),
        resamples=RESAMPLES,
        seed=evaluation.seed,
        together=together,
    )
    return [metrics[metric] for metrics in found.values()]
