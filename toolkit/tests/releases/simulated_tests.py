"""A/B tests of models whose true difference is known: coverage of the interval, and the stated rows.

`python -m tests.releases.simulated_tests EXPERIMENTS` prints all cases as JSON.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
from modelyard.contract.model import Contract
from modelyard.evaluation.metrics import directions, measure
from modelyard.gates import Evaluation
from modelyard.modelling.predicting import Prediction
from modelyard.releases.ab_report import differ, rows_lacking
from modelyard.releases.collected_answers import Joined
from modelyard.releases.sequential_test import Verdict, decide

ALPHA = 0.05
SETTINGS = Evaluation(resamples=200)
CHECKS = (200, 300, 500, 900, 1_600, 3_000)  # rows of both sides together, or pairs
SHARES = np.array([0.5, 0.35, 0.15])


@dataclass(frozen=True)
class Case:
    """A kind of problem, a metric, and whether both models answer the same rows."""

    kind: str
    metric: str
    paired: bool

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.metric}, {'pairs' if self.paired else 'split traffic'}"

    @property
    def contract(self) -> Contract:
        positive = {"positive": True} if self.kind == "binary" else {}
        classes = {"classes": ["a", "b", "c"]} if self.kind == "multiclass" else {}
        stored = {"binary": "boolean", "multiclass": "category", "regression": "number"}[self.kind]
        return Contract.model_validate(
            {
                "version": 1,
                "target": {"column": "y", "kind": self.kind, **positive, **classes},
                "columns": {"x": {"type": "number"}, "y": {"type": stored, "role": "target"}},
            }
        )


CASES = [
    Case("binary", "roc_auc", False),
    Case("binary", "accuracy", True),
    Case("multiclass", "balanced_accuracy", False),
    Case("multiclass", "log_loss", True),
    Case("regression", "mae", False),
    Case("regression", "rmse", True),
]


@dataclass(frozen=True)
class Found:
    """Shares of the experiments.

    Attributes:
        missed: the interval misses the true difference at any check.
        undecided: the better model is not found after the rows that were stated at an early check.
        unfinished: the test has not ended after the rows that were stated as the latest.
        rows: stated, median.
    """

    missed: float
    undecided: float
    unfinished: float
    rows: float


def answers(case: Case, rows: int, random: np.random.Generator) -> dict[str, Joined]:
    """Rows of a model A and of a better one B, whose errors are alike in part; halved if not paired."""
    errors = random.normal(size=(3, rows, 3))  # of A alone, of B alone, of both
    truth = random.normal(size=rows)
    if case.kind != "regression":
        shares = [0.7] if case.kind == "binary" else SHARES[:2]
        truth = np.searchsorted(np.cumsum(shares), random.random(rows))
    sides = {}
    for label, own, noise in (("A", 0, 1.25), ("B", 1, 1.0)):
        apart = noise * (0.6 * errors[own] + 0.8 * errors[2])
        if case.kind == "regression":  # errors with long tails
            score = truth + apart[:, 0] * (1 + 0.5 * np.abs(apart[:, 1]))
            prediction = Prediction(score, score)
        elif case.kind == "binary":
            score = 1 / (1 + np.exp(-(1.5 * truth + apart[:, 0] - 1)))
            prediction = Prediction(score, score >= 0.5)
        else:
            weights = np.exp(apart + 1.5 * np.eye(3)[truth])
            score = weights / weights.sum(axis=1, keepdims=True)
            prediction = Prediction(score, score.argmax(axis=1))
        real = truth.astype(bool) if case.kind == "binary" else truth
        half = (
            slice(None) if case.paired else slice(0, None, 2) if label == "A" else slice(1, None, 2)
        )
        ids = np.arange(rows)[half]
        sides[label] = Joined(ids, real[half], prediction.at(ids), ids, rows)
    return sides


@cache
def true_difference(case: Case) -> float:
    """By how much B is better, on many rows."""
    sides = answers(case, 300_000, np.random.default_rng(99))
    ends = {}
    for label, side in sides.items():
        at = measure(case.kind, side.truth, side.prediction, only=case.metric)
        ends[label] = float(at(np.ones((1, len(side.ids)), dtype=np.int64))[case.metric][0])
    gain = ends["B"] - ends["A"]
    return gain if directions(case.kind, None)[case.metric] else -gain


def first(sides: dict[str, Joined], rows: int) -> dict[str, Joined]:
    """The first rows of both sides together."""
    return {label: side.at(np.flatnonzero(side.ids < rows)) for label, side in sides.items()}


def compared(case: Case, contract: Contract, sides: dict[str, Joined], rows: int) -> Verdict:
    """The verdict on the first rows, where the true difference is the smallest that matters."""
    seen = first(sides, rows)
    found = differ(contract, seen, case.metric, case.paired, SETTINGS)
    lacking = rows_lacking(contract, seen, rows, case.metric)
    return decide(found.value, found.error, rows, true_difference(case), ALPHA, lacking=lacking)


def simulate(case: Case, experiments: int, *, seed: int = 0) -> Found:
    """Run tests: each is checked several times, and once more after the rows that were stated."""
    random = np.random.default_rng(seed)
    contract, real = case.contract, true_difference(case)
    missed, undecided, unfinished, stated = 0, 0, 0, []
    for _ in range(experiments):
        sides = answers(case, CHECKS[-1], random)
        verdicts = [compared(case, contract, sides, rows) for rows in CHECKS]
        missed += any(not verdict.low <= real <= verdict.high for verdict in verdicts)
        said = next(v for v in verdicts if v.needed is not None and math.isfinite(v.low))
        stated.append(said.needed)
        later = answers(case, said.latest, random)
        undecided += compared(case, contract, later, said.needed).choice != "B"
        unfinished += compared(case, contract, later, said.latest).choice == "wait"
    shares = [count / experiments for count in (missed, undecided, unfinished)]
    return Found(*shares, rows=float(np.median(stated)))


if __name__ == "__main__":
    print(json.dumps({case.name: asdict(simulate(case, int(sys.argv[1]))) for case in CASES}))
