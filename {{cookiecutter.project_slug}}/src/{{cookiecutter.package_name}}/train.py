"""Train a model and a baseline: `python -m <package>.train --contract C --prepared DIR …`."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from .contract import Contract, load_contract
from .features import (
    Feature,
    categorical_positions,
    choose_features,
    encoder,
    read_part,
)
from .live import LiveMetrics
from .metrics import best_threshold
from .model import Settings, assembled, boosting, save_model, shallow_tree, threads_for
from .step import StepError, run, write_evidence

PROGRESS_SECONDS = 2.0
EXPLODED = 10.0  # times the loss of a constant
FOLDS = 3
THRESHOLD_ROWS = 50_000  # more say the same


@dataclass(frozen=True)
class Learned:
    """How boosting went.

    Attributes:
        losses: on the validation rows, from a constant prediction on (iterations + 1,).
        training_losses: on a sample of the training rows, likewise.
        iterations: after which the loss was lowest.
        stopped: early because it stalled, as it diverged after a good start, or at the limit of
            iterations.
        reason: the same in words.
        logged: whether MLflow has the losses already.
    """

    losses: list[float]
    training_losses: list[float]
    iterations: int
    stopped: Literal["early", "diverged", "limit"]
    reason: str
    logged: bool = False


@dataclass(frozen=True)
class Fitted:
    """What training makes; `threshold` is the challenger's, None unless there are two classes."""

    challenger: Any
    baseline: Any
    learned: Learned
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
        parser.add_argument(
            option, type=type(field.default), default=field.default, help="%(default)s"
        )
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
    features = choose_features(rules, pd.concat([rows, held_out]))
    print(
        f"{len(rows):,} rows to train, {len(held_out):,} to validate, {len(features)} features; "
        f"trees of at most {settings.max_leaf_nodes} leaves of at least "
        f"{settings.min_samples_leaf} rows",
        flush=True,
    )
    made = fit(rules, rows, held_out, features, settings)
    learned = made.learned
    example = rows[rules.features]
    save_model(made.challenger, model, example, rules)
    save_model(made.baseline, baseline, example, rules)
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
            "threshold": made.threshold,
            "iterations": learned.iterations,
            "stopped": learned.stopped,
            "reason": learned.reason,
        },
        series_logged=learned.logged,
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
            f"{_option(str(p['loc'][0]))} {p['input']}: {p['msg'][0].lower()}{p['msg'][1:]}"
            for p in error.errors()
        )
        raise StepError("\n".join(problems)) from None


def fit(
    contract: Contract,
    rows: pd.DataFrame,
    held_out: pd.DataFrame,
    features: list[Feature],
    settings: Settings,
) -> Fitted:
    """Learn from the training rows how long to boost; then from all rows, the model.

    The validation rows are often the latest: a model that never saw them is out of date on the
    day it is made. So the final model is fitted on both parts, for as many iterations as were
    best on the validation rows, and so is the baseline.
    """
    both = pd.concat([rows, held_out], ignore_index=True)
    target = _labels(both, contract)
    with _calm(), threads_for(len(both)):
        learned = rehearse(contract, rows, held_out, features, settings)
        encode = encoder(features, contract.kind, settings.seed)
        inputs = without_empty(encode.fit_transform(both, target))
        learner = boosting(
            contract.kind,
            settings,
            categorical_positions(features),
            max_iter=learned.iterations,
            early_stopping=False,
        )
        tree = shallow_tree(contract.kind, settings)
        thresholds = [choose_threshold(made, inputs, target, contract) for made in (learner, tree)]
        challenger, baseline = (
            assembled(encode, made.fit(inputs, target), contract, threshold)
            for made, threshold in zip((learner, tree), thresholds, strict=True)
        )
    print(f"fitted again on all {len(both):,} rows for {learned.iterations} iterations", flush=True)
    if thresholds[0] is not None:
        print(f"threshold {thresholds[0]:.3g}: highest f1 on rows held out in turn", flush=True)
    return Fitted(challenger, baseline, learned, thresholds[0])


def rehearse(
    contract: Contract,
    rows: pd.DataFrame,
    held_out: pd.DataFrame,
    features: list[Feature],
    settings: Settings,
) -> Learned:
    """Boost on training rows only, until the loss on the validation rows no longer falls.

    Raises:
        StepError: as soon as it diverges, unless earlier iterations were better than a constant.
    """
    target = _labels(rows, contract)
    encode = encoder(features, contract.kind, settings.seed)
    inputs = without_empty(encode.fit_transform(rows, target))
    learner = boosting(
        contract.kind,
        settings,
        categorical_positions(features),
        max_iter=settings.max_iterations,
        early_stopping=True,
        n_iter_no_change=settings.patience,
        tol=0,  # the tolerance is for `ending` to apply
        verbose=2,
    )
    validation = {
        "X_val": encode.transform(held_out),
        "y_val": _labels(held_out, contract),
    }
    with LiveMetrics() as live, np.errstate(all="ignore"):
        watch = _Watch(learner, settings, live, sys.stdout)
        with contextlib.redirect_stdout(watch), contextlib.suppress(_Enough):
            learner.fit(inputs, target, **validation)
    best = max(1, int(np.argmin(watch.losses)))
    stopped, reason = watch.verdict or ("limit", _limit(settings))
    learned = Learned(
        watch.losses, watch.training_losses, best, stopped, reason, logged=live.delivered
    )
    _tell(learned)
    return learned


def choose_threshold(
    learner: Any, inputs: NDArray[Any], target: NDArray[Any], contract: Contract
) -> float | None:
    """The probability from which to predict the positive class, so that f1 is highest.

    It is chosen on probabilities of models that did not see the row: a model's own rows look too
    easy, and the validation rows alone are few, or of a season with its own share of positives.

    Args:
        learner: unfitted, and stays so.
        inputs: encoded rows (rows, encoded).
        target: their classes (rows,).
        contract: names the positive class.

    Returns:
        None unless there are two classes.
    """
    if contract.kind != "binary":
        return None
    if len(target) > THRESHOLD_ROWS:
        picked = np.random.default_rng(0).choice(len(target), THRESHOLD_ROWS, replace=False)
        inputs, target = inputs[picked], target[picked]
    is_positive = target == contract.target.positive
    if min(is_positive.sum(), (~is_positive).sum()) < FOLDS:
        return 0.5
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    chances = np.empty(len(target))
    for others, asked in folds.split(inputs, target):
        made = clone(learner).fit(without_empty(inputs[others]), target[others])
        at = list(made.classes_).index(contract.target.positive)
        chances[asked] = made.predict_proba(inputs[asked])[:, at]
    return best_threshold(is_positive, chances)


def without_empty(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Encoded rows in which columns without any value are constant: boosting cannot bin them."""
    empty = np.isnan(inputs).all(axis=0)
    return np.where(empty, 0.0, inputs) if empty.any() else inputs


def ending(
    losses: list[float], settings: Settings
) -> tuple[Literal["early", "diverged"], str] | None:
    """Say whether training ought to end after these losses, and why.

    Args:
        losses: on the validation rows, from a constant prediction on; all but the last were fine.
        settings: patience, tolerance and the learning rate.

    Raises:
        StepError: when it diverges: the loss is not finite, or it grows beyond ten times the loss
            of a constant before any iteration was better than that.
    """
    last, first = losses[-1], losses[0]
    if not np.isfinite(last) or last > EXPLODED * first > 0:
        at = len(losses) - 1
        if np.isfinite(last) and min(losses) < first:
            return "diverged", f"diverged at iteration {at}: a validation loss of {last:.3g}"
        shown = ", ".join(f"{loss:.3g}" for loss in losses[-4:])
        raise StepError(
            f"training diverges, ended at iteration {at}: the validation loss goes "
            f"{'… ' if at > 3 else ''}{shown} with a learning rate of {settings.learning_rate:g}. "
            "Lower --learning-rate (0.06 suits most tables); if it is low already, look for "
            "extreme values of the target."
        )
    if len(losses) > settings.patience:
        *_, before = losses[: -settings.patience]
        if min(losses[-settings.patience :]) >= before - settings.tolerance * abs(first):
            return "early", _stalled(settings)
    return None


def _stalled(settings: Settings) -> str:
    return (
        f"no better by more than {settings.tolerance:g} of a constant's loss for "
        f"{settings.patience} iterations"
    )


def _limit(settings: Settings) -> str:
    return f"the limit of {settings.max_iterations} iterations was reached, more may help"


def _tell(learned: Learned) -> None:
    first, best = learned.losses[0], learned.losses[learned.iterations]
    words = {"early": "stopped early", "diverged": "stopped early", "limit": "stopped"}
    print(
        f"{len(learned.losses) - 1} iterations, best {learned.iterations}: validation loss "
        f"{best:.5g} (a constant has {first:.5g}); {words[learned.stopped]}: {learned.reason}",
        flush=True,
    )
    if best >= first:
        print(
            "warning: no iteration was better than a constant on the validation rows: the features "
            "say nothing about the target there, or its level has changed since the training rows",
            flush=True,
        )
    if learned.stopped == "diverged":
        print("warning: a lower --learning-rate may train longer and better", flush=True)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


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


class _Enough(Exception):
    """Ends boosting from within."""


class _Watch(io.TextIOBase):
    """Looks at boosting after every iteration: passes the losses on, and ends what leads nowhere.

    Scikit-learn's boosting calls nobody back, but prints a line per iteration; its public lists
    of scores hold the exact values by then. Of the lines, one every few seconds is shown.
    """

    def __init__(self, learner: Any, settings: Settings, live: LiveMetrics, out: Any) -> None:
        self.learner, self.settings, self.live, self.out = learner, settings, live, out
        self.losses: list[float] = []
        self.training_losses: list[float] = []
        self.verdict: tuple[Literal["early", "diverged"], str] | None = None
        self.last = time.monotonic()

    def write(self, text: str) -> int:
        if "\n" in text:
            scores = getattr(self.learner, "validation_score_", ())
            for position in range(len(self.losses), len(scores)):
                self._look(position, -float(scores[position]))
        return len(text)

    def _look(self, iteration: int, loss: float) -> None:
        training_loss = -float(self.learner.train_score_[iteration])
        self.losses.append(loss)
        self.training_losses.append(training_loss)
        if iteration:  # what a constant has is the same in every training on these rows
            self.live.log(iteration, {"validation_loss": loss, "training_loss": training_loss})
        self.verdict = ending(self.losses, self.settings)
        if self.verdict:
            raise _Enough
        if iteration and time.monotonic() - self.last > PROGRESS_SECONDS:
            print(f"iteration {iteration}: validation loss {loss:.5g}", file=self.out, flush=True)
            self.last = time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
