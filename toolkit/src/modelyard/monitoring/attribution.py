"""Whether a model lives on the same columns as before: `python -m <package>.attribution --plan P …`.

Azure ML takes the mean absolute attribution of every feature in both windows and compares the two
rankings (feature_importance_metrics in github.com/Azure/azureml-assets). It fits a surrogate model to
each window first; here the model itself is asked, which needs no fit and cannot differ from it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from modelyard.contract.model import Contract, load_contract
from modelyard.data.cells import Cells, parse
from modelyard.errors import guarded
from modelyard.evidence import write_evidence
from modelyard.modelling.predicting import predict, threads_for
from modelyard.modelling.saving import CONTRACT_FILE, load_model
from modelyard.monitoring.drift import normalized_discounted_cumulative_gain
from modelyard.monitoring.measure import FEWEST_ROWS
from modelyard.monitoring.windows import Window, raw_tables

ROWS = 2_000  # of each window, drawn with equal chances
SEED = 0


def main(argv: list[str] | None = None) -> int:
    """Command line of the step."""
    parser = argparse.ArgumentParser(
        prog="attribution", description="Compare what a model lives on in two windows."
    )
    parser.add_argument("--plan", type=Path, required=True, help="plan.json of `mlops monitor`")
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    parser.add_argument("--output", type=Path, required=True, help="folder for attributed.json")
    arguments = parser.parse_args(argv)
    return guarded(attribute, arguments.plan, arguments.model, arguments.output)


def attribute(plan: Path, model: Path, output: Path) -> None:
    """Measure the plan's feature attribution drift, and write attributed.json.

    Raises:
        UsageError: a file is missing or damaged, or the model cannot score the rows.
    """
    content = json.loads(plan.read_text(encoding="utf-8"))
    signals = {
        name: signal
        for name, signal in content["signals"].items()
        if signal["type"] == "feature_attribution_drift"
    }
    rules = load_contract(model / CONTRACT_FILE)
    asked = load_model(model)
    found = {name: measure(signal, asked, rules) for name, signal in signals.items()}
    write_evidence(output, "attributed", details={"signals": found})


def measure(signal: Mapping[str, Any], model: Any, contract: Contract) -> dict[str, Any]:
    """NDCG of the production window's ranking of the features, and the attributions behind it."""
    sides, rows = {}, {}
    for side in ("reference", "production"):
        sample, rows[side] = sampled(Window.read(signal[side]), contract)
        if rows[side] >= FEWEST_ROWS:
            sides[side] = attributions(model, sample, contract)
    if len(sides) < 2:
        short = [f"the {s} window has {n:,} rows" for s, n in rows.items() if n < FEWEST_ROWS]
        said = f"{' and '.join(short)}; at least {FEWEST_ROWS} are needed"
        return {"rows": rows, "measures": [], "unmeasured": said}
    names = contract.features
    value = normalized_discounted_cumulative_gain(
        [sides["reference"][name] for name in names], [sides["production"][name] for name in names]
    )
    return {
        "rows": rows,
        "measures": [
            {
                "feature": "",
                "kind": "",
                "metric": "normalized_discounted_cumulative_gain",
                "value": value,
            }
        ],
        "attributions": sides,
        "sample": ROWS,
    }


def attributions(model: Any, rows: pd.DataFrame, contract: Contract) -> dict[str, float]:
    """By how much predictions change, on average, when a column takes another row's value.

    The mean absolute difference between a prediction and that for the same row with the column's
    value of a random other row of the window: the attribution of a single column by replacement
    from the background (Štrumbelj & Kononenko 2014, Knowl. Inf. Syst. 41:647, coalitions of all
    others). In the unit of the score: probability, or the target's unit.
    """
    order = np.random.default_rng(SEED).permutation(len(rows))
    changed = [rows.assign(**{name: rows[name].to_numpy()[order]}) for name in contract.features]
    with threads_for(len(rows) * (len(changed) + 1)):
        score = predict(model, pd.concat([rows, *changed], ignore_index=True), contract).score
    parts: NDArray[np.float64] = score.reshape(len(changed) + 1, len(rows), -1)
    apart = np.abs(parts[1:] - parts[0]).mean(axis=(1, 2))
    return {name: float(value) for name, value in zip(contract.features, apart, strict=True)}


def sampled(window: Window, contract: Contract) -> tuple[pd.DataFrame, int]:
    """At most ROWS rows with the contract's features, each row with the same chance, and how many
    rows there are. Values that are not of their column's type are missing ones.
    """
    random = np.random.default_rng(SEED)
    kept: pa.Table | None = None
    keys: NDArray[np.float64] = np.zeros(0)
    total = 0
    for table in raw_tables(window, contract.features):
        total += len(table)
        drawn = random.random(len(table))
        # The rows with the smallest of equal random keys are a sample without replacement.
        best = np.argpartition(drawn, min(ROWS, len(drawn) - 1))[:ROWS]
        part = _complete(table, contract).take(pa.array(best))
        kept = (
            part if kept is None else pa.concat_tables([kept, part], promote_options="permissive")
        )
        keys = np.append(keys, drawn[best])
        if len(keys) > ROWS:
            best = np.sort(np.argpartition(keys, ROWS)[:ROWS])
            kept, keys = kept.take(pa.array(best)), keys[best]
    columns = {}
    for name in contract.features:
        rule = contract.columns[name]
        array = pa.chunked_array([pa.array([])]) if kept is None else kept.column(name)
        columns[name] = parse(Cells(array, None), rule.type, format=rule.format).values
    return pd.DataFrame(columns, copy=False), total


def _complete(table: pa.Table, contract: Contract) -> pa.Table:
    """The features in their order; one that a file lacks is missing in every row."""
    arrays = [
        table.column(name) if name in table.column_names else pa.nulls(len(table))
        for name in contract.features
    ]
    return pa.table(dict(zip(contract.features, arrays, strict=True)))


if __name__ == "__main__":
    sys.exit(main())
