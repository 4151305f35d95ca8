"""Answering requests with a loaded model: the online endpoint without its web server."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modelyard.console import shown
from modelyard.contract.model import Contract, load_contract
from modelyard.errors import UsageError, first_line
from modelyard.modelling.saving import CONTRACT_FILE, load_model
from modelyard.serving.fast_path import FastPath, build_fast_path
from modelyard.serving.payload import BadRequest, Limits, Problem, Reader, Rows, frame

EXAMPLE_FILE = "input_example.json"
TRIALS = 200  # made-up rows on which the fast path has to agree with the model
ALONE = 20  # of them that the fast path is asked about one by one
SINGLY = 60  # rows that the model is asked about one by one, where it refuses some
TOLERANCE = 1e-6
FAST_PATH, OWN_PREDICTION = "fast path", "model's own prediction"

log = logging.getLogger("azmlinfsrv.service")


@dataclass(frozen=True)
class Predicted:
    """Predictions for rows as JSON values; `probabilities` is None for a regression."""

    predictions: list[Any]
    probabilities: list[Any] | None


class Collects(Protocol):
    """Stores rows with their predictions."""

    def add(self, rows: Rows, predicted: Predicted) -> list[str]:
        """Store rows; returns an id for each."""


class Service:
    """A model and its contract, which turn request bodies into answers.

    Attributes:
        contract: the one that the model was trained on.
        fast: the fast path; None where the model's own prediction is used.
        path: which of the two it is, in words.
        example: rows that the model was saved with.
    """

    def __init__(self, folder: Path, *, name: str, version: str, limits: Limits) -> None:
        """Load the model, compare its fast path with it, and answer once as a warm-up.

        Raises:
            UsageError: the folder holds no model, no contract, or a model that cannot answer the rows
                it was saved with.
        """
        self.contract = load_contract(folder / CONTRACT_FILE)
        self.model = load_model(folder)
        self.about = {"name": name, "version": version}
        self.reader = Reader(self.contract, limits)
        self.example = read_example(folder, self.reader)
        self.fast = self._proven(build_fast_path(self.model, self.contract))
        self.path = FAST_PATH if self.fast else OWN_PREDICTION
        self.collect: Collects | None = None
        self._label = _labels(self.model, self.contract)
        self._warm_up()

    def answer(self, body: bytes | None) -> tuple[int, dict[str, Any]]:
        """Answer a request body with HTTP status and JSON content; None is a body too long to read."""
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
        """Predict rows, through the fast path where there is one.

        Args:
            rows: values as `payload` reads them, in the order of the contract's features.

        Raises:
            BadRequest: the model fails on these rows, or predicts no finite number.
        """
        try:
            scores = self.fast.scores(rows) if self.fast else self._ask(rows)
        except Exception as error:
            log.warning("the model cannot answer: %s: %s", type(error).__name__, error)
            raise _no_answer(first_line(error)) from None
        if not np.isfinite(scores).all():
            raise _no_answer("it gives no finite number")
        return self._label(scores)

    def _warm_up(self) -> None:
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

    def _proven(self, fast: FastPath | None) -> FastPath | None:
        """Return the fast path if it agrees with the model on the example and made-up rows."""
        if fast is None:
            log.info(
                "answers come from the %s: a model of this kind has no fast path", OWN_PREDICTION
            )
            return None
        rows = [*self.example, *trial_rows(self.contract, self.example, fast.words)]
        try:
            rows, expected = self._answered(rows)
            singly = len(self.example) + ALONE
            found = [fast.scores([row]) for row in rows[:singly]]
            if len(rows) > singly:
                found.append(fast.scores(rows[singly:]))
            difference = float(np.abs(np.concatenate(found) - expected).max())
        except Exception as error:
            difference = np.inf
            log.info("the fast path fails: %s: %s", type(error).__name__, error)
        if not difference <= TOLERANCE:
            log.warning(
                "answers come from the %s: the fast path differs by %g", OWN_PREDICTION, difference
            )
            return None
        log.info(
            "answers come from the %s, which agrees with the model on %d rows", FAST_PATH, len(rows)
        )
        return fast

    def _answered(self, rows: list[list[Any]]) -> tuple[list[list[Any]], NDArray[np.float64]]:
        """Keep the rows that the model itself can predict, with its scores."""
        try:
            return rows, self._ask(rows)
        except Exception:  # a made-up row may be one that derived features or the learner refuse
            kept, scores = [], []
            for row in rows[:SINGLY]:
                with suppress(Exception):
                    scores.append(self._ask([row]))
                    kept.append(row)
            return kept, np.concatenate(scores)


def read_limits() -> Limits:
    """Read the limits from the variables MAX_REQUEST_ROWS and MAX_REQUEST_BYTES.

    Raises:
        UsageError: one of them is not a whole number above zero.
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
    """Make ids as Azure ML does for collected data: one id, an underscore, the position of the row."""
    one = str(uuid.uuid4())
    return [f"{one}_{place}" for place in range(count)]


def read_example(folder: Path, reader: Reader) -> list[list[Any]]:
    """Read the rows that the model was saved with; none where they are missing or break the contract."""
    try:
        content = json.loads((folder / EXAMPLE_FILE).read_text(encoding="utf-8"))
        return reader.read(json.dumps({"input_data": content}).encode()).values
    except (OSError, ValueError, BadRequest):
        return []


def trial_rows(
    contract: Contract, example: Sequence[Sequence[Any]], words: dict[str, list[str]]
) -> Iterator[list[Any]]:
    """Make up rows of known and unknown words, missing values, numbers at the limits and elsewhere."""
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
    """Make the function that turns scores of the model into predictions and probabilities."""
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
    return BadRequest([Problem(None, "model", None, f"the model cannot answer: {why[:200]}")])
