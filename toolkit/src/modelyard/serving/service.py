"""A loaded model that answers requests: what the online endpoint does, without a web server."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.console import shown
from modelyard.contract.model import Contract, load_contract
from modelyard.errors import UsageError
from modelyard.modelling.saving import CONTRACT_FILE, load_model
from modelyard.serving.fast_path import FlatModel, flatten
from modelyard.serving.payload import BadRequest, Limits, Problem, Reader, Rows

EXAMPLE_FILE = "input_example.json"
TRIALS = 200  # rows on which the flattened model must agree with the model itself
TOLERANCE = 1e-6

log = logging.getLogger("azmlinfsrv.service")


@dataclass(frozen=True)
class Predicted:
    """Answers to rows: JSON values; `probabilities` is None for a regression."""

    predictions: list[Any]
    probabilities: list[Any] | None


class Collects(Protocol):
    """Takes note of rows and answers; gives the rows their ids."""

    def add(self, rows: Rows, predicted: Predicted) -> list[str]: ...


class Service:
    """A model, its contract, and how requests become answers."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        version: str,
        limits: Limits,
        collect: Collects | None = None,
    ) -> None:
        """Load the model, prove the fast path equal to it, and answer once to be warm.

        Raises:
            UsageError: when the folder holds no model, no contract, or a model that cannot answer
                the rows it was saved with.
        """
        self.contract = load_contract(folder / CONTRACT_FILE)
        self.model = load_model(folder)
        self.about = {"name": name, "version": version}
        self.reader = Reader(self.contract, limits)
        self.example = read_example(folder, self.reader)
        self.flat = self._proven(flatten(self.model, self.contract.features))
        self.collect = collect
        self._label = _labels(self.model, self.contract)
        self._warm()

    def answer(self, body: bytes | None) -> tuple[int, dict[str, Any]]:
        """HTTP status and JSON content for the body of a request; None is a body too long to read."""
        try:
            rows = self.reader.read(body)
            predicted = self.predict(rows.values)
        except BadRequest as refusal:
            return 400, refusal.content()
        ids = self.collect.add(rows, predicted) if self.collect else rows.ids
        content: dict[str, Any] = {"predictions": predicted.predictions}
        if predicted.probabilities is not None:
            content["probabilities"] = predicted.probabilities
        content["model"] = self.about
        content["correlation_ids"] = ids or row_ids(len(rows.values))
        return 200, content

    def predict(self, rows: Sequence[Sequence[Any]]) -> Predicted:
        """Ask the model.

        Args:
            rows: values as `payload` makes them, in the order of the contract's features.

        Raises:
            BadRequest: when the model has no answer, or none that is a finite number.
        """
        try:
            scores = self.flat.scores(rows) if self.flat else self._ask(rows)
        except Exception as error:
            log.warning("the model cannot answer: %s: %s", type(error).__name__, error)
            raise _no_answer(str(error)) from None
        if not np.isfinite(scores).all():
            raise _no_answer("it gives no finite number")
        return self._label(scores)

    def _warm(self) -> None:
        try:
            for rows in (self.example[:1], self.example):
                if rows:
                    self.predict(rows)
        except BadRequest as refusal:
            raise UsageError(f"of the rows it was saved with, {refusal}.") from None

    def _ask(self, rows: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        given = frame(rows, self.contract)
        ask = self.model.predict if self.contract.kind == "regression" else self.model.predict_proba
        return np.asarray(ask(given), dtype=np.float64)

    def _proven(self, flat: FlatModel | None) -> FlatModel | None:
        """The flattened model if it gives what the model gives, on its example and made-up rows."""
        if flat is None:
            log.info("this model is asked through its own pipeline: it is of an unknown kind")
            return None
        trials = [*self.example, *trial_rows(self.contract, self.example, flat.words)]
        try:
            expected = self._ask(trials)
            alone = [flat.scores([row]) for row in trials[: len(self.example) + 20]]
            found = np.concatenate([*alone, flat.scores(trials[len(alone) :])])
            difference = float(np.abs(found - expected).max())
        except Exception as error:
            difference = np.inf
            log.info("comparing the fast path failed: %s: %s", type(error).__name__, error)
        if not difference <= TOLERANCE:
            log.warning(
                "this model is asked through its own pipeline: the fast path differs by %g",
                difference,
            )
            return None
        log.info("fast path: %d rows answered as the pipeline does", len(trials))
        return flat


def read_limits() -> Limits:
    """Limits from MAX_REQUEST_ROWS and MAX_REQUEST_BYTES of the environment.

    Raises:
        UsageError: when one of them is not a whole number above zero.
    """
    found: dict[str, int] = {}
    for name in ("rows", "bytes"):
        variable = f"MAX_REQUEST_{name.upper()}"
        text = os.environ.get(variable, "")
        if text and not (text.isascii() and text.isdigit() and int(text)):
            raise UsageError(f"{variable}: expected a whole number above zero, found {text!r}.")
        found |= {name: int(text)} if text else {}
    return Limits(**found)


def row_ids(count: int) -> list[str]:
    """Ids as Azure ML makes them of collected data: one id, an underscore, the row's place."""
    one = str(uuid.uuid4())
    return [f"{one}_{place}" for place in range(count)]


def frame(rows: Sequence[Sequence[Any]], contract: Contract) -> pd.DataFrame:
    """Rows as a data frame of canonical columns, as `contract.read_table` makes them."""
    columns = {}
    for name, values in zip(contract.features, zip(*rows, strict=True), strict=True):
        kind = contract.columns[name].type
        has_gaps = None in values
        dtype: Any = {
            "number": np.float64,
            "integer": np.float64 if has_gaps else np.int64,
            "boolean": object if has_gaps else bool,
            "datetime": "datetime64[ns]",
        }.get(kind, object)
        columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)


def read_example(folder: Path, reader: Reader) -> list[list[Any]]:
    """The rows that the model was saved with; none where they are missing or outdated."""
    try:
        return reader.read(json.dumps({"input_data": example_of(folder)}).encode()).values
    except (OSError, ValueError, BadRequest):
        return []


def example_of(folder: Path) -> Any:
    """What the model's example file holds."""
    return json.loads((folder / EXAMPLE_FILE).read_text(encoding="utf-8"))


def trial_rows(
    contract: Contract, example: Sequence[Sequence[Any]], words: dict[str, list[str]]
) -> Iterator[list[Any]]:
    """Made-up rows: known and unknown words, missing values, numbers at and beyond the limits."""
    random = np.random.default_rng(0)
    choices: list[list[Any]] = []
    for place, name in enumerate(contract.features):
        rule = contract.columns[name]
        seen = [row[place] for row in example if row[place] is not None]
        choices.append([None, *seen, *_more(rule.type, rule.min, rule.max, seen)])
        choices[-1] += [*words.get(name, ())[:30], "never seen"] if name in words else []
    for _ in range(TRIALS):
        yield [several[random.integers(len(several))] for several in choices]


def _more(kind: str, low: Any, high: Any, seen: list[Any]) -> list[Any]:
    limits = [value for value in (low, high) if value is not None]
    if kind == "boolean":
        return [True, False]
    if kind == "integer":
        return [int(value) for value in limits] + [0, 7, *(value // 2 for value in seen)]
    if kind == "number":
        return [float(value) for value in limits] + [0.0, -1.5, *(value / 3 for value in seen)]
    if kind == "datetime":
        return limits + [value + timedelta(days=40, hours=5) for value in seen]
    return []


def _labels(model: Any, contract: Contract) -> Callable[[NDArray[np.float64]], Predicted]:
    """How scores of the model become predictions and probabilities."""
    if contract.kind == "regression":
        return lambda scores: Predicted(scores.ravel().tolist(), None)
    classes = [value.item() if hasattr(value, "item") else value for value in model.classes_]
    if contract.kind == "binary":
        positive = contract.target.positive
        at = classes.index(positive)
        threshold = getattr(model, "threshold", 0.5)
        limit = 0.5 if threshold == "auto" else float(threshold)
        negative = classes[1 - at]

        def binary(scores: NDArray[np.float64]) -> Predicted:
            chances = scores[:, at].tolist()
            return Predicted([positive if p >= limit else negative for p in chances], chances)

        return binary
    named = [(shown(value), classes.index(value)) for value in contract.target.classes or ()]

    def multiclass(scores: NDArray[np.float64]) -> Predicted:
        best = scores.argmax(axis=1).tolist()
        chances = [{name: row[place] for name, place in named} for row in scores.tolist()]
        return Predicted([classes[place] for place in best], chances)

    return multiclass


def _no_answer(why: str) -> BadRequest:
    reason = (why.strip() or "no reason given").splitlines()[0][:200]
    return BadRequest([Problem(None, "model", None, f"the model cannot answer: {reason}")])
