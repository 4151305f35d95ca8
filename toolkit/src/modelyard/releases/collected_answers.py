"""Collected predictions of a deployment, joined with ground truth by correlation id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from modelyard.console import shown
from modelyard.contract.model import Contract
from modelyard.data.folds import Codes, belonging
from modelyard.data.parts import target_of
from modelyard.errors import UsageError, first_line
from modelyard.modelling.predicting import Prediction
from modelyard.serving.collect import COLLECTED_AT, ID, KNOWN_AT

PAIRED_SHARE = 0.5  # of the smaller side, that both must have answered


@dataclass(frozen=True)
class Side:
    """A deployment in a period of time.

    Attributes:
        since: beginning; None: the first answer. `until`: end, exclusive; None: the last answer.
    """

    deployment: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Joined:
    """Answers with ground truth.

    Attributes:
        ids: correlation ids (rows,).
        together: rows of one group have the same number (rows,).
        collected: number of answers, with and without ground truth.
    """

    ids: NDArray[Any]
    truth: NDArray[Any]
    prediction: Prediction
    together: Codes
    collected: int

    def at(self, rows: NDArray[Any]) -> Joined:
        """Select rows by index."""
        return Joined(
            self.ids[rows],
            self.truth[rows],
            self.prediction.at(rows),
            self.together[rows],
            self.collected,
        )


def read_side(word: str) -> Side:
    """Parse DEPLOYMENT or DEPLOYMENT@SINCE/UNTIL.

    Raises:
        UsageError: it has another form.
    """
    deployment, at, period = word.partition("@")
    since, slash, until = period.partition("/")
    if not deployment or (at and not slash):
        raise UsageError(f"expected DEPLOYMENT or DEPLOYMENT@SINCE/UNTIL, found {word!r}")
    return Side(deployment, _moment(since, word), _moment(until, word))


def read_truth(folder: Path, contract: Contract) -> pd.DataFrame:
    """Read ground truth: correlation id, target and, where all files have it, the contract's group.

    Of several rows of an id, the latest counts.

    Raises:
        UsageError: there is none.
    """
    target = contract.target.column
    files = sorted(str(file) for file in folder.glob("*.parquet"))
    if not files:
        raise UsageError(f"{folder} holds no ground truth; collect some, then compare")
    columns = [ID, target, KNOWN_AT]
    if contract.group and all(contract.group in _names(file) for file in files):
        columns.append(contract.group)
    content = _read(files, columns).to_pandas()
    content = content.dropna(subset=[ID, target]).sort_values(KNOWN_AT, kind="stable")
    known: pd.DataFrame = content.drop_duplicates(ID, keep="last").drop(columns=KNOWN_AT)
    return known


def join(sides: list[Side], endpoint: Path, truth: pd.DataFrame, contract: Contract) -> Joined:
    """Join a side's answers with ground truth; of several answers of an id, the first counts.

    Raises:
        UsageError: no answers were collected.
    """
    outputs = pd.concat([read_outputs(side, endpoint, contract) for side in sides])
    outputs = outputs.drop_duplicates(ID)
    rows = outputs.merge(truth, on=ID, how="inner")
    if contract.kind != "regression" and contract.target.classes:
        rows = rows[rows[contract.target.column].isin(contract.target.classes)]
    prediction = predictions_of(rows, contract)
    together = belonging(rows, contract.group if contract.group in rows else ID)
    return Joined(
        rows[ID].to_numpy(), target_of(rows, contract), prediction, together, len(outputs)
    )


def predictions_of(rows: pd.DataFrame, contract: Contract) -> Prediction:
    """Return collected answers as metrics take them."""
    if contract.kind == "regression":
        score = rows["prediction"].to_numpy(dtype=np.float64)
        return Prediction(score, score)
    if contract.kind == "binary":
        score = rows["probability"].to_numpy(dtype=np.float64)
        return Prediction(
            score, (rows["prediction"] == contract.target.positive).to_numpy(dtype=bool)
        )
    classes = list(contract.target.classes or ())
    columns = [f"probability_{shown(value)}" for value in classes]
    index = {value: i for i, value in enumerate(classes)}
    label = rows["prediction"].map(index).fillna(-1).to_numpy(dtype=np.int64)
    return Prediction(rows[columns].to_numpy(dtype=np.float64), label)


def read_outputs(side: Side, endpoint: Path, contract: Contract) -> pd.DataFrame:
    """Read a deployment's answers: correlation id, prediction and probabilities.

    Raises:
        UsageError: it has none.
    """
    folder = endpoint / side.deployment / "model_outputs"
    files = sorted(str(file) for file in folder.rglob("[!.]*.parquet"))
    if not files:
        known = sorted(path.name for path in endpoint.glob("*") if path.is_dir())
        raise UsageError(
            f"{folder} holds no answers; deployments with collected data: {', '.join(known) or 'none'}"
        )
    columns = [ID, COLLECTED_AT, "prediction"]
    if contract.kind == "binary":
        columns.append("probability")
    elif contract.kind == "multiclass":
        columns += [f"probability_{shown(value)}" for value in contract.target.classes or ()]
    kept: Any = None
    for moment, compared in ((side.since, pc.greater_equal), (side.until, pc.less)):
        if moment is not None:
            rule = compared(pc.field(COLLECTED_AT), pa.scalar(moment, pa.timestamp("us", "UTC")))
            kept = rule if kept is None else kept & rule
    content = _read(files, columns, kept)
    found: pd.DataFrame = content.to_pandas().drop(columns=COLLECTED_AT)
    return found


def pair(sides: dict[str, Joined]) -> tuple[bool, dict[str, Joined]]:
    """Return whether both sides answered most rows (mirrored traffic), and the rows to compare.

    Paired sides keep the rows that both have answered.
    """
    a, b = sides["A"], sides["B"]
    in_a, in_b = np.intersect1d(a.ids, b.ids, return_indices=True)[1:]
    if not len(in_a) or len(in_a) < PAIRED_SHARE * min(len(a.ids), len(b.ids)):
        return False, sides
    return True, {"A": a.at(in_a), "B": b.at(in_b)}


def _names(file: str) -> list[str]:
    try:
        names: list[str] = pq.read_schema(file).names
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{file}: {first_line(error)}") from None
    return names


def _read(files: list[str], columns: list[str], kept: Any = None) -> pa.Table:
    try:
        return ds.dataset(files, format="parquet").to_table(columns=columns, filter=kept)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UsageError(f"{files[0]} and files next to it: {first_line(error)}") from None


def _moment(text: str, word: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{word}: expected times such as 2024-03-01T12:00, found {text!r}"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
