"""A table as periods that go by, and how well a live model did in each of them.

`python -m <package>.replay split` cuts a table with a time column into the history a first model
learns from and the periods that follow; `python -m <package>.replay judge` joins what an endpoint
answered with what became known later.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds

from modelyard.contract.model import Contract, load_contract, read_table
from modelyard.errors import UsageError, guarded
from modelyard.evaluation.metrics import HIGHER_IS_BETTER, bootstrap, interval, measure
from modelyard.evidence import plain
from modelyard.files import write_text
from modelyard.modelling.predicting import Prediction
from modelyard.steps.prepare import arrow_schema, write_part

CALENDAR = {"month": "MS", "week": "W-MON", "day": "D"}  # pandas' names of a period's first day
FEWEST_PERIODS = 5
EQUAL_PERIODS = 12
FEWEST_ROWS = 50
CONFIDENCE, RESAMPLES = 0.95, 200


@dataclass(frozen=True)
class Period:
    """Rows from one moment to the next.

    Attributes:
        name: for people, such as 2013-04; also the file's name.
        start, end: datetimes, the end not included; made up where time is a number.
        positions: of the period's rows, in order of time.
    """

    name: str
    start: pd.Timestamp
    end: pd.Timestamp
    positions: np.ndarray


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="replay", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    cut = commands.add_parser("split", help="cut a table into periods")
    cut.add_argument("--data", type=Path, required=True, help="CSV or Parquet file")
    cut.add_argument("--contract", type=Path, required=True, help="conf/contract.yml")
    cut.add_argument("--output", type=Path, required=True, help="folder for the periods")
    look = commands.add_parser("judge", help="join answers with the truth")
    look.add_argument("--contract", type=Path, required=True, help="conf/contract.yml")
    look.add_argument("--answers", type=Path, required=True, help="folder of an endpoint's outputs")
    look.add_argument("--truth", type=Path, required=True, help="folder of the ground truth")
    look.add_argument("--metric", required=True, help="such as roc_auc")
    look.add_argument("--output", type=Path, required=True, help="JSON file to write")
    given = parser.parse_args(argv)
    if given.command == "split":
        return guarded(split, given.data, given.contract, given.output)
    return guarded(judge, given.contract, given.answers, given.truth, given.metric, given.output)


def split(data: Path, contract_path: Path, output: Path) -> None:
    """Write a Parquet file per period, and `periods.json` that lists them in order.

    Raises:
        UsageError: the contract has no time column, or the rows make too few periods.
    """
    contract = load_contract(contract_path)
    if contract.time is None:
        raise UsageError(
            f"{contract_path} names no time column: without one there is nothing to replay. Infer "
            "the contract again with --time, or add `time:`."
        )
    content = read_table(data, contract)
    # A row that no model could learn from or be judged by is no part of the story.
    usable = content.dropna(subset=[contract.time, contract.target.column]).drop_duplicates()
    usable = usable.sort_values(contract.time, kind="stable", ignore_index=True)
    unit, found = periods(usable[contract.time])
    schema = arrow_schema(usable, contract)
    for period in found:
        write_part(usable.iloc[period.positions], schema, output / f"{period.name}.parquet")
    index = {
        "unit": unit,
        "target": contract.target.column,
        "features": contract.features,
        "rows": len(usable),
        "periods": [
            {
                "name": period.name,
                "start": period.start.isoformat(),
                "end": period.end.isoformat(),
                "rows": len(period.positions),
            }
            for period in found
        ],
    }
    write_text(output / "periods.json", json.dumps(index, indent=1) + "\n")
    print(f"{len(found)} periods, one per {unit}: {found[0].name} to {found[-1].name}")


def periods(times: pd.Series) -> tuple[str, list[Period]]:
    """Months, weeks or days, the longest of which there are enough; else equal shares of the rows.

    Args:
        times: ascending, without gaps (rows,).

    Raises:
        UsageError: when there are too few rows.
    """
    if len(times) < FEWEST_PERIODS * FEWEST_ROWS:
        raise UsageError(
            f"{len(times):,} rows with a time are too few to replay: at least "
            f"{FEWEST_PERIODS * FEWEST_ROWS} are needed."
        )
    if times.dtype.kind == "M":
        for unit, first_day in CALENDAR.items():
            found = _calendar(times, unit, first_day)
            if len(found) >= FEWEST_PERIODS:
                return unit, found
    return "share", _equal(times)


def _calendar(times: pd.Series, unit: str, first_day: str) -> list[Period]:
    begin = times.iloc[0].normalize()
    span = times.iloc[-1] - begin
    if span / pd.Timedelta(days={"month": 28, "week": 7, "day": 1}[unit]) > 1_000:
        return []
    edges = pd.date_range(
        begin - pd.DateOffset(months=1, days=7),
        times.iloc[-1] + pd.DateOffset(months=2),
        freq=first_day,
    )
    places = np.searchsorted(times.to_numpy(), edges.to_numpy())
    form = "%Y-%m" if unit == "month" else "%Y-%m-%d"
    return [
        Period(start.strftime(form), start, end, np.arange(low, high))
        for start, end, low, high in zip(edges, edges[1:], places, places[1:], strict=False)
        if high - low >= FEWEST_ROWS
    ]


def _equal(times: pd.Series) -> list[Period]:
    count = min(EQUAL_PERIODS, len(times) // FEWEST_ROWS)
    places = np.linspace(0, len(times), count + 1).astype(int)
    # The clock of monitoring needs dates; a number has none, so every share gets a month.
    edges = pd.date_range("2001-01-01", periods=count + 1, freq="MS")
    return [
        Period(f"part-{i + 1:02}", edges[i], edges[i + 1], np.arange(places[i], places[i + 1]))
        for i in range(count)
    ]


def judge(contract_path: Path, answers: Path, truth: Path, metric: str, output: Path) -> None:
    """Write the metric with its interval for each deployment and period of the ground truth.

    Args:
        contract_path: conf/contract.yml.
        answers: `.collected/<endpoint>`.
        truth: a file per period: its name is the period's.
        metric: of `metrics.HIGHER_IS_BETTER`.
        output: a list of {period, deployment, rows, value, low, high}.

    Raises:
        UsageError: an unknown metric, or nothing to join.
    """
    contract = load_contract(contract_path)
    if metric not in HIGHER_IS_BETTER[contract.kind]:
        raise UsageError(
            f'{contract.kind} has no metric "{metric}"; it has: '
            f"{', '.join(HIGHER_IS_BETTER[contract.kind])}"
        )
    found = []
    outputs = {
        folder.parent.name: ds.dataset(folder, format="parquet").to_table().to_pandas()
        for folder in sorted(answers.glob("*/model_outputs"))
        if any(folder.rglob("*.parquet"))
    }
    if not outputs:
        raise UsageError(f"{answers} holds no collected answers: serve with collection on, first.")
    for file in sorted(truth.glob("*.parquet")):
        known = pd.read_parquet(file)
        for deployment, given in outputs.items():
            joined = known.merge(given, on="correlationid", how="inner")
            if len(joined):
                found.append(
                    {
                        "period": file.stem,
                        "deployment": deployment,
                        "rows": len(joined),
                        **_scored(joined, contract, metric),
                    }
                )
    write_text(output, json.dumps(plain(found), indent=1) + "\n")
    print(f"{len(found)} periods and deployments judged by {metric}")


def _scored(joined: pd.DataFrame, contract: Contract, metric: str) -> dict[str, Any]:
    truth, prediction = _as_judged(joined, contract)
    found = bootstrap(
        {"live": measure(contract.kind, truth, prediction, only=metric)},
        len(truth),
        resamples=RESAMPLES,
        seed=0,
    )
    return interval(found["live"][metric], CONFIDENCE).named("value")


def _as_judged(joined: pd.DataFrame, contract: Contract) -> tuple[np.ndarray, Prediction]:
    """The truth and the answers in the form that metrics take."""
    target = joined[contract.target.column]
    if contract.kind == "regression":
        score = joined["prediction"].to_numpy(dtype=np.float64)
        return target.to_numpy(dtype=np.float64), Prediction(score, score)
    if contract.kind == "binary":
        positive = contract.target.positive
        label = (joined["prediction"] == positive).to_numpy(dtype=bool)
        return (target == positive).to_numpy(dtype=bool), Prediction(
            joined["probability"].to_numpy(dtype=np.float64), label
        )
    classes = list(contract.target.classes or ())
    index = {value: i for i, value in enumerate(classes)}
    score = np.column_stack(
        [joined[f"probability_{name}"].to_numpy(dtype=np.float64) for name in classes]
    )
    named = joined["prediction"].map(index).to_numpy(dtype=np.int64)
    return target.map(index).to_numpy(dtype=np.int64), Prediction(score, named)


if __name__ == "__main__":
    sys.exit(main())
