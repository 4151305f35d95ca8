"""Permutation importance of the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.console import console, listed, table
from modelyard.contract.model import Contract
from modelyard.data.parts import target_of
from modelyard.evaluation.bootstrap import Interval, bootstrap, interval
from modelyard.evaluation.held_out import HeldOut, drawn_together
from modelyard.evaluation.metrics import directions, measure
from modelyard.evaluation.own_metrics import Metric
from modelyard.evidence import write_evidence
from modelyard.gates import Evaluation
from modelyard.modelling.predicting import Prediction, predict, threads_for

REPEATS = 5
MOST_ROWS = 10_000
FEWEST_ROWS = 1_000
SCORED_ROWS = 500_000  # in all: wide tables are explained on fewer rows
MOST_COLUMNS = 200  # of more, those that a first screening puts in front
SCREENED_ROWS = (100, 1_000)
SCREENED_CELLS = 400_000_000
AT_ONCE = 50  # columns that are screened in one prediction
RESAMPLES = 100  # for intervals of a bar in a chart; gates do not read them
SHOWN = 15


def explain(held: HeldOut, evidence: Path) -> None:
    """Measure each column's importance, and write importance.json."""
    rows = sampled(held.rows, held.contract, held.evaluation.seed)
    with threads_for(len(rows) * REPEATS):
        names = foremost(held.model, rows, held.contract, held.evaluation.seed)
        found = importance(
            held.model, rows, held.contract, names, held.metric, held.evaluation, held.own
        )
    rest = [name for name in held.contract.features if name not in found]
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
        details={"metric": held.metric, "rows": len(rows), "features": features}
        | ({"not_computed": rest} if rest else {}),
    )
    show(features, len(rows), held.metric, held.evaluation.confidence)
    if rest:
        print(f"not computed, since shuffling them changes predictions less: {listed(rest)}")


def sampled(rows: pd.DataFrame, contract: Contract, seed: int) -> pd.DataFrame:
    """Sample at most MOST_ROWS of the rows, fewer where there are many columns to shuffle."""
    affordable = SCORED_ROWS // (REPEATS * len(contract.features))
    most = min(MOST_ROWS, max(FEWEST_ROWS, affordable))
    if len(rows) <= most:
        return rows
    picked = np.random.default_rng(seed).choice(len(rows), most, replace=False)
    return rows.iloc[np.sort(picked)]


def foremost(model: Any, rows: pd.DataFrame, contract: Contract, seed: int) -> list[str]:
    """Choose the columns to measure: all, or of more than MOST_COLUMNS those that change predictions most.

    In this screening each column is shuffled once, on few rows; the mean change of the predictions decides.
    """
    names = contract.features
    if len(names) <= MOST_COLUMNS:
        return names
    random, (least, most) = np.random.default_rng(seed), SCREENED_ROWS
    count = min(len(rows), max(least, min(most, SCREENED_CELLS // len(names) ** 2)))
    few = rows.iloc[np.sort(random.choice(len(rows), count, replace=False))]
    before = predict(model, few, contract).score
    repeated = pd.concat([few] * AT_ONCE, ignore_index=True)
    changes: list[float] = []
    for start in range(0, len(names), AT_ONCE):
        block = names[start : start + AT_ONCE]
        shuffled = repeated.iloc[: len(block) * count].copy(deep=False)
        for at, name in enumerate(block):
            order = np.tile(np.arange(count), len(block))
            order[at * count : (at + 1) * count] = random.permutation(count)
            shuffled[name] = few[name].to_numpy()[order]
        score = predict(model, shuffled, contract).score.reshape(len(block), *before.shape)
        changes += np.abs(score - before).reshape(len(block), -1).mean(axis=1).tolist()
    chosen = set(np.argsort(-np.array(changes), kind="stable")[:MOST_COLUMNS].tolist())
    return [name for at, name in enumerate(names) if at in chosen]


def importance(
    model: Any,
    rows: pd.DataFrame,
    contract: Contract,
    names: Sequence[str],
    metric: str,
    evaluation: Evaluation,
    own: Mapping[str, Metric],
) -> dict[str, Interval]:
    """Compute by how much the primary metric gets worse when a column is shuffled.

    Permutation importance (Breiman 2001, Machine Learning 45:5), the mean of REPEATS shuffles.
    Columns that hold the same share it: a model can use one while the other is shuffled. The interval
    is over resamples of the rows. Each column is shuffled in the same orders.
    """
    random = np.random.default_rng(evaluation.seed)
    orders = np.concatenate([random.permutation(len(rows)) for _ in range(REPEATS)])
    truth, together = target_of(rows, contract), drawn_together(rows, contract)
    whole = predict(model, rows, contract)
    repeated = pd.concat([rows] * REPEATS, ignore_index=True)
    sign = 1 if directions(contract.kind, own)[metric] else -1

    def drawn(models: Mapping[str, Prediction]) -> dict[str, NDArray[np.float64]]:
        measures = {
            name: measure(contract.kind, truth, made, only=metric, own=own)
            for name, made in models.items()
        }
        settings = {"resamples": RESAMPLES, "seed": evaluation.seed}
        found = bootstrap(measures, len(truth), **settings, together=together) if measures else {}
        return {name: metrics[metric] for name, metrics in found.items()}

    before = drawn({"whole": whole})["whole"]
    result = {}
    for name in names:
        shuffled = repeated.copy(deep=False)  # a wide table takes long to be made anew
        shuffled[name] = rows[name].to_numpy()[orders]
        prediction = predict(model, shuffled, contract)
        parts = np.arange(len(shuffled)).reshape(REPEATS, len(rows))
        models = {f"shuffled {i}": prediction.at(part) for i, part in enumerate(parts)}
        # What changes no prediction, as a column that the model does not use, changes no metric.
        changed = drawn({i: one for i, one in models.items() if not _same(one, whole)})
        after = [changed.get(i, before) for i in models]
        result[name] = interval(sign * (before - np.mean(after, axis=0)), evaluation.confidence)
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


def _same(one: Prediction, other: Prediction) -> bool:
    return np.array_equal(one.score, other.score) and np.array_equal(one.label, other.label)
