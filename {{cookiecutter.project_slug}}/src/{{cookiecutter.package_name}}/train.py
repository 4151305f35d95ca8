"""Train a model and a baseline: `python -m <package>.train --contract C --prepared DIR …`."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from .contract import Contract, load_contract
from .features import (
    Feature,
    categorical_positions,
    choose_features,
    encoder,
    read_part,
)
from .metrics import best_threshold
from .model import Settings, assembled, boosting, save_model, shallow_tree
from .step import StepError, run, write_evidence

PROGRESS_SECONDS = 2.0


@dataclass(frozen=True)
class Learned:
    """How boosting went.

    Attributes:
        losses: on the validation rows, from a constant prediction on (iterations + 1,).
        training_losses: on a sample of the training rows, likewise.
        iterations: after which the loss was lowest.
        stopped: early, or at the limit of iterations.
        threshold: of the positive class's probability; None unless there are two classes.
    """

    losses: list[float]
    training_losses: list[float]
    iterations: int
    stopped: Literal["early", "limit"]
    threshold: float | None


def main(argv: list[str] | None = None) -> int:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="train", description="Train a model and a baseline.")
    parser.add_argument("--contract", type=Path, required=True, help="conf/contract.yml")
    parser.add_argument("--prepared", type=Path, required=True, help="folder written by prepare")
    parser.add_argument("--model", type=Path, required=True, help="folder for the model")
    parser.add_argument("--baseline", type=Path, required=True, help="folder for the baseline")
    parser.add_argument("--evidence", type=Path, required=True, help="folder for training.json")
    for name, field in Settings.model_fields.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=field.annotation, default=field.default, help="%(default)s")
    arguments = vars(parser.parse_args(argv))
    given = {name: arguments.pop(name) for name in Settings.model_fields}
    return run(train, given=given, **arguments)


def train(
    contract: Path,
    prepared: Path,
    model: Path,
    baseline: Path,
    evidence: Path,
    given: dict[str, Any],
) -> None:
    """Fit, save both models, and write training.json.

    Raises:
        StepError: when the prepared data does not fit the contract, or training diverges.
    """
    rules = load_contract(contract)
    settings = checked(given)
    rows, held_out = read_part(prepared, "train", rules), read_part(prepared, "validation", rules)
    settings = settings.adapted(len(rows))
    features = choose_features(rules, rows)
    print(
        f"{len(rows):,} rows to train, {len(held_out):,} to validate, {len(features)} features; "
        f"trees of at most {settings.max_leaf_nodes} leaves of at least "
        f"{settings.min_samples_leaf} rows",
        flush=True,
    )
    challenger, learned, simple = fit(rules, rows, held_out, features, settings)
    example = rows[rules.features]
    save_model(challenger, model, example, rules)
    save_model(simple, baseline, example, rules)
    write_evidence(
        evidence,
        "training",
        params=settings.model_dump() | {"rows": len(rows) + len(held_out)},
        metrics={
            "iterations": learned.iterations,
            "validation_loss": learned.losses[learned.iterations],
            "validation_loss_of_constant": learned.losses[0],
        },
        series={"validation_loss": learned.losses, "training_loss": learned.training_losses},
        details={
            "features": [
                {"name": f.name, "kind": f.kind, "encoding": f.encoding} for f in features
            ],
            "left_out": sorted(set(rules.features) - {f.name for f in features}),
            "threshold": learned.threshold,
            "iterations": learned.iterations,
            "stopped": learned.stopped,
        },
    )


def checked(given: dict[str, Any]) -> Settings:
    """Settings, each within its bounds.

    Raises:
        StepError: naming every option that is not.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = (
            f"--{str(p['loc'][0]).replace('_', '-')} {p['input']}: {p['msg'][0].lower()}{p['msg'][1:]}"
            for p in error.errors()
        )
        raise StepError("\n".join(problems)) from None


def fit(
    contract: Contract,
    rows: pd.DataFrame,
    held_out: pd.DataFrame,
    features: list[Feature],
    settings: Settings,
) -> tuple[Any, Learned, Any]:
    """Learn from training rows how long to boost and where to cut; then from all rows, the model.

    The validation rows are often the latest: a model that never saw them is out of date on the
    day it is made. So the final model is fitted on both parts, for as many iterations as were
    best on the validation rows, and so is the baseline.

    Returns:
        The challenger, how boosting went, and the baseline.
    """
    both = pd.concat([rows, held_out], ignore_index=True)
    with _calm():
        learned, baseline_threshold = _rehearse(contract, rows, held_out, features, settings)
        encode = encoder(features, contract.kind, settings.seed)
        inputs, target = encode.fit_transform(both, _labels(both, contract)), _labels(both, contract)
        categorical = categorical_positions(features)
        final = boosting(
            contract.kind,
            settings,
            categorical,
            max_iter=learned.iterations,
            early_stopping=False,
        ).fit(inputs, target)
        tree = shallow_tree(contract.kind, settings).fit(inputs, target)
        challenger = assembled(encode, final, contract, learned.threshold)
        baseline = assembled(encode, tree, contract, baseline_threshold)
    print(f"fitted again on all {len(both):,} rows for {learned.iterations} iterations", flush=True)
    return challenger, learned, baseline


def _rehearse(
    contract: Contract,
    rows: pd.DataFrame,
    held_out: pd.DataFrame,
    features: list[Feature],
    settings: Settings,
) -> tuple[Learned, float | None]:
    """Fit on training rows only; what the validation rows say of it, and the baseline's threshold."""
    target, truth = _labels(rows, contract), _labels(held_out, contract)
    encode = encoder(features, contract.kind, settings.seed)
    inputs = encode.fit_transform(rows, target)
    checks = encode.transform(held_out)
    learner = boosting(
        contract.kind,
        settings,
        categorical_positions(features),
        max_iter=settings.max_iterations,
        early_stopping=True,
        n_iter_no_change=settings.patience,
        verbose=1,
    )
    with _progress(), np.errstate(all="ignore"):
        learner.fit(inputs, target, X_val=checks, y_val=truth)
    losses = [-float(score) for score in learner.validation_score_]
    iterations = _best_iteration(losses, settings)
    stopped: Literal["early", "limit"] = (
        "early" if learner.n_iter_ < settings.max_iterations else "limit"
    )
    _tell(losses, iterations, stopped, settings)
    threshold = tree_threshold = None
    if contract.kind == "binary":
        at = list(learner.classes_).index(contract.target.positive)
        staged = learner.staged_predict_proba(checks)
        chances = next(islice(staged, iterations - 1, None))[:, at]
        is_positive = truth == contract.target.positive
        threshold = best_threshold(is_positive, chances)
        tree = shallow_tree(contract.kind, settings).fit(inputs, target)
        tree_threshold = best_threshold(is_positive, tree.predict_proba(checks)[:, at])
        print(f"threshold {threshold:.3g}: highest f1 on the validation rows", flush=True)
    training = [-float(score) for score in learner.train_score_]
    return Learned(losses, training, iterations, stopped, threshold), tree_threshold


def _best_iteration(losses: list[float], settings: Settings) -> int:
    """The iteration of the lowest loss, at least 1.

    Raises:
        StepError: when the loss is not finite, or grows from the start.
    """
    best = int(np.nanargmin(losses)) if np.isfinite(losses).any() else 0
    grows = best == 0 and losses[-1] > 10 * losses[0] > 0
    if not np.isfinite(losses).all() or grows:
        shown = ", ".join(f"{loss:.3g}" for loss in losses[:4])
        raise StepError(
            f"training diverges: the validation loss goes {shown}, … with a learning rate of "
            f"{settings.learning_rate:g}. Lower --learning-rate (0.06 suits most tables); if it is "
            "low already, look for extreme values of the target."
        )
    return max(1, best)


def _tell(losses: list[float], iterations: int, stopped: str, settings: Settings) -> None:
    why = (
        f"stopped early: no better for {settings.patience} iterations"
        if stopped == "early"
        else f"stopped at the limit of {settings.max_iterations} iterations, more may help"
    )
    print(
        f"{len(losses) - 1} iterations, best {iterations}: validation loss {losses[iterations]:.5g} "
        f"(a constant has {losses[0]:.5g}); {why}",
        flush=True,
    )
    if losses[iterations] >= losses[0]:
        print(
            "warning: no iteration was better than a constant on the validation rows: the features "
            "say nothing about the target there, or its level has changed since the training rows",
            flush=True,
        )


def _labels(rows: pd.DataFrame, contract: Contract) -> NDArray[Any]:
    """The target as the model shall predict it."""
    column = rows[contract.target.column]
    return column.to_numpy(dtype=np.float64) if contract.kind == "regression" else column.to_numpy()


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    """Leave out advice of scikit-learn that is followed, or that the evidence shows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _progress() -> Iterator[None]:
    """Turn boosting's line per iteration into one every few seconds."""
    with contextlib.redirect_stdout(_Thinned(sys.stdout)):
        yield


class _Thinned(io.TextIOBase):
    """Takes scikit-learn's progress, and writes a short line of it when some time has passed."""

    def __init__(self, out: Any) -> None:
        self.out = out
        self.last = time.monotonic()

    def write(self, text: str) -> int:
        found = re.search(r"\[(\d+)/\d+\].*val loss: ([^,\s]+)", text)
        if found and time.monotonic() - self.last > PROGRESS_SECONDS:
            print(f"iteration {found[1]}: validation loss {found[2]}", file=self.out, flush=True)
            self.last = time.monotonic()
        return len(text)


if __name__ == "__main__":
    sys.exit(main())
