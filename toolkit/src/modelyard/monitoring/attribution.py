"""Comparison of a model's feature attributions in two windows.

Azure ML takes the mean absolute attribution of every feature in both windows and compares the two
rankings (feature_importance_metrics in github.com/Azure/azureml-assets). It fits a surrogate model to
each window first; here the predictions are the model's own, which needs no fit and cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from modelyard.contract.model import Contract
from modelyard.data.cells import Cells, parse
from modelyard.modelling.predicting import predict, threads_for
from modelyard.monitoring.drift import Floats, normalized_discounted_cumulative_gain
from modelyard.monitoring.groups import Splits, split
from modelyard.monitoring.measure import FEWEST_ROWS
from modelyard.monitoring.noise import FALSE_ALARMS, gamma_quantile
from modelyard.monitoring.plan import Attribution
from modelyard.monitoring.windows import Window, raw_tables

ROWS = 2_000  # of each window, drawn with equal chances
DRAWS = 500  # splits of the sampled rows, for the noise
SEED = 0


def measure(signal: Attribution, model: Any, contract: Contract) -> dict[str, Any]:
    """Measure the NDCG of the production window's ranking of the features.

    Raises:
        UsageError: a file is missing or damaged, or the model cannot score the rows.
    """
    sides, rows, names = {}, {}, {}
    for side, window in (("reference", signal.reference), ("production", signal.production)):
        sample, rows[side] = sampled(window, contract)
        if rows[side] >= FEWEST_ROWS:
            sides[side] = attributions(model, sample[contract.features], contract)
            names[side] = [pa.array(sample.get(contract.group, []), from_pandas=True)]
    if len(sides) < 2:
        short = [f"the {s} window has {n:,} rows" for s, n in rows.items() if n < FEWEST_ROWS]
        said = f"{' and '.join(short)}; at least {FEWEST_ROWS} are needed"
        return {"rows": rows, "measures": [], "unmeasured": said}
    splits = split(names["reference"], rows["production"] / sum(rows.values()))
    before, now = (sides[side].mean(axis=1) for side in ("reference", "production"))
    return {
        "rows": rows,
        "grouped": splits is not None,
        "measures": [
            {
                "feature": "",
                "kind": "",
                "metric": "normalized_discounted_cumulative_gain",
                "value": normalized_discounted_cumulative_gain(before, now),
                "noise": ranking_noise(sides["reference"], sides["production"], splits),
            }
        ],
        "attributions": {
            side: dict(zip(contract.features, map(float, means), strict=True))
            for side, means in (("reference", before), ("production", now))
        },
        "sample": ROWS,
    }


def ranking_noise(reference: Floats, production: Floats, splits: Splits | None = None) -> float:
    """Return by how much the NDCG of unchanged rows falls below 1 by chance, as `noise` says.

    Args:
        reference: attribution of each feature in each row (features, rows).
        production: likewise.
        splits: of the reference's rows by their groups, if it has any.
    """
    pooled, rows = np.concatenate([reference, production], axis=1), production.shape[1]
    random = np.random.default_rng(SEED)
    total, drawn = pooled.sum(axis=1), np.empty(DRAWS)
    for number in range(DRAWS):
        there = pooled[:, random.permutation(pooled.shape[1])[:rows]].sum(axis=1)
        drawn[number] = 1 - normalized_discounted_cumulative_gain(
            (total - there) / reference.shape[1], there / rows
        )
    noise = gamma_quantile(drawn, FALSE_ALARMS)
    if splits is None:
        return noise
    window = np.stack([splits.sums(feature) for feature in reference], axis=1)
    size = splits.sums(np.ones(reference.shape[1]))[:, None]
    rest = (reference.sum(axis=1) - window) / (reference.shape[1] - size)
    gains = map(normalized_discounted_cumulative_gain, rest, window / size)
    return max(noise, gamma_quantile(1 - np.array(list(gains)), FALSE_ALARMS))


def attributions(model: Any, rows: pd.DataFrame, contract: Contract) -> Floats:
    """Return the change of each row's prediction when a column takes another row's value (features, rows).

    The absolute difference between a prediction and that for the same row with the column's
    value of a random other row of the window: the attribution of a single column by replacement
    from the background (Štrumbelj & Kononenko 2014, Knowl. Inf. Syst. 41:647, coalitions of all
    others). In the unit of the score: probability, or the target's unit.
    """
    order = np.random.default_rng(SEED).permutation(len(rows))
    changed = [
        pd.DataFrame({**rows, name: rows[name].to_numpy()[order]}) for name in contract.features
    ]
    with threads_for(len(rows) * (len(changed) + 1)):
        score = predict(model, pd.concat([rows, *changed], ignore_index=True), contract).score
    parts: NDArray[np.float64] = score.reshape(len(changed) + 1, len(rows), -1)
    return np.abs(parts[1:] - parts[0]).mean(axis=2)


def sampled(window: Window, contract: Contract) -> tuple[pd.DataFrame, int]:
    """Draw at most ROWS rows of the contract's features and group, all with the same chance; with them
    the number of rows in the window. Values of another type than their column's count as missing.
    """
    names = list(dict.fromkeys(filter(None, [*contract.features, contract.group])))
    random = np.random.default_rng(SEED)
    kept: pa.Table | None = None
    keys: NDArray[np.float64] = np.zeros(0)
    total = 0
    words = {name: contract.columns[name].not_missing for name in names}
    for table in raw_tables(window, names, words):
        total += len(table)
        drawn = random.random(len(table))
        # The rows with the smallest of equal random keys are a sample without replacement.
        best = np.argpartition(drawn, min(ROWS, len(drawn) - 1))[:ROWS]
        part = _complete(table, names).take(pa.array(best))
        kept = (
            part if kept is None else pa.concat_tables([kept, part], promote_options="permissive")
        )
        keys = np.append(keys, drawn[best])
        if len(keys) > ROWS:
            best = np.sort(np.argpartition(keys, ROWS)[:ROWS])
            kept, keys = kept.take(pa.array(best)), keys[best]
    columns = {}
    for name in names:
        rule = contract.columns[name]
        array = pa.chunked_array([pa.array([])]) if kept is None else kept.column(name)
        columns[name] = parse(Cells(array, None), rule).values
    return pd.DataFrame(columns, copy=False), total


def _complete(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return columns in this order; one that a file lacks is missing in every row."""
    arrays = [
        table.column(name) if name in table.column_names else pa.nulls(len(table)) for name in names
    ]
    return pa.table(dict(zip(names, arrays, strict=True)))
