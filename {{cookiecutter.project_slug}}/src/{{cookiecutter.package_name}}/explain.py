"""Which columns a model lives on: `python -m <package>.explain --contract C --prepared DIR …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .console import console, table
from .contract import Contract, load_contract
from .evaluate import Gates, load_gates
from .features import read_part, target_of
from .metrics import HIGHER_IS_BETTER, Interval, bootstrap, interval, measure
from .model import load_model, predict, threads_for
from .step import run, write_evidence

REPEATS = 5
MOST_ROWS = 10_000
FEWEST_ROWS = 1_000
SCORED_ROWS = 500_000  # in all: wide tables are explained on fewer rows
RESAMPLES = 100  # for intervals of a bar in a chart; gates do not read them
SHOWN = 15


def main(argv: list[str] | None = None) -> int:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="explain", description="Measure what each column adds.")
    parser.add_argument("--contract", type=Path, required=True, help="conf/contract.yml")
    parser.add_argument("--prepared", type=Path, required=True, help="folder written by prepare")
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    parser.add_argument("--gates", type=Path, required=True, help="conf/gates.yml")
    parser.add_argument("--evidence", type=Path, required=True, help="folder for importance.json")
    return run(explain, **vars(parser.parse_args(argv)))


def explain(contract: Path, prepared: Path, model: Path, gates: Path, evidence: Path) -> None:
    """Measure each column's importance, and write importance.json.

    Raises:
        StepError: when the data, the model or the gates do not fit the contract.
    """
    rules = load_contract(contract)
    chosen = load_gates(gates, rules.kind)
    rows = sampled(read_part(prepared, "test", rules), rules, chosen.evaluation.seed)
    with threads_for(len(rows) * REPEATS):
        found = importance(load_model(model), rows, rules, chosen)
    features = [
        {"name": name, **drop.named("importance")}
        for name, drop in sorted(found.items(), key=lambda pair: (-pair[1].value, pair[0]))
    ]
    write_evidence(
        evidence,
        "importance",
        params={
            "metric": chosen.metric,
            "rows": len(rows),
            "repeats": REPEATS,
            "resamples": RESAMPLES,
            "confidence": chosen.evaluation.confidence,
            "seed": chosen.evaluation.seed,
        },
        details={"metric": chosen.metric, "rows": len(rows), "features": features},
    )
    show(features, len(rows), chosen)


def sampled(rows: pd.DataFrame, contract: Contract, seed: int) -> pd.DataFrame:
    """At most MOST_ROWS of the rows, fewer where there are many columns to shuffle."""
    affordable = SCORED_ROWS // (REPEATS * len(contract.features))
    most = min(MOST_ROWS, max(FEWEST_ROWS, affordable))
    if len(rows) <= most:
        return rows
    picked = np.random.default_rng(seed).choice(len(rows), most, replace=False)
    return rows.iloc[np.sort(picked)]


def importance(
    model: Any, rows: pd.DataFrame, contract: Contract, gates: Gates
) -> dict[str, Interval]:
    """How much worse the primary metric gets when a column's values are shuffled among the rows.

    Permutation importance (Breiman 2001, Machine Learning 45:5), the mean of REPEATS shuffles.
    Columns that say the same share it: each looks idle while the other is there. The interval
    is over resamples of the rows. Each column is shuffled in the same orders.

    Args:
        model: as loaded.
        rows: test rows with the contract's features and target.
        contract: names the features.
        gates: the metric, confidence and seed.
    """
    random = np.random.default_rng(gates.evaluation.seed)
    orders = np.concatenate([random.permutation(len(rows)) for _ in range(REPEATS)])
    truth = target_of(rows, contract)
    whole = predict(model, rows, contract)
    repeated = pd.concat([rows] * REPEATS, ignore_index=True)
    sign = 1 if HIGHER_IS_BETTER[contract.kind][gates.metric] else -1
    result = {}
    for name in contract.features:
        shuffled = repeated.assign(**{name: rows[name].to_numpy()[orders]})
        prediction = predict(model, shuffled, contract)
        parts = np.arange(len(shuffled)).reshape(REPEATS, len(rows))
        models = {f"shuffled {i}": prediction.at(part) for i, part in enumerate(parts)}
        drawn = _primary({"whole": whole, **models}, truth, contract, gates)
        worse = sign * (drawn[0] - np.mean(drawn[1:], axis=0))
        result[name] = interval(worse, gates.evaluation.confidence)
    return result


def show(features: Sequence[Mapping[str, Any]], rows: int, gates: Gates) -> None:
    """Print the columns that matter most."""
    lines = [
        (f["name"], f"{f['importance']:z.4f}", f"{f['low']:z.4f} – {f['high']:z.4f}")
        for f in features[:SHOWN]
    ]
    title = f"{gates.metric} lost when a column is shuffled, {rows:,} test rows"
    headings = ("column", "importance", f"[{gates.evaluation.confidence:.0%}]")
    console().print(table(title, headings, lines, right=headings[1:]))
    if len(features) > SHOWN:
        print(f"and {len(features) - SHOWN} more in the evidence")


def _primary(
    predictions: Mapping[str, Any], truth: NDArray[Any], contract: Contract, gates: Gates
) -> list[NDArray[np.float64]]:
    found = bootstrap(
        {
            name: measure(contract.kind, truth, made, only=gates.metric)
            for name, made in predictions.items()
        },
        len(truth),
        resamples=RESAMPLES,
        seed=gates.evaluation.seed,
    )
    return [metrics[gates.metric] for metrics in found.values()]


if __name__ == "__main__":
    sys.exit(main())
