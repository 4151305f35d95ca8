"""Early stopping on validation rows."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import log_loss

from modelyard.errors import UsageError
from modelyard.modelling.live_metrics import LiveMetrics

PROGRESS_SECONDS = 2.0
EXPLODED = 10.0  # times the loss of a constant

# Encoded rows (rows, encoded) and what is to be predicted of each (rows,).
Examples: TypeAlias = tuple[NDArray[np.float64], NDArray[Any]]


@dataclass(frozen=True)
class Learned:
    """The course of a training.

    Attributes:
        losses: on the validation rows, from a constant prediction on (iterations + 1,).
        training_losses: on a sample of the training rows, likewise.
        iterations: after which the loss was lowest.
        stopped: "early" because it stalled, "diverged" after a good start, "limit" at the limit of
            iterations, or "fitted" where the learner has no iterations to choose from.
        reason: the same in words.
    """

    losses: list[float]
    training_losses: list[float]
    iterations: int
    stopped: Literal["early", "diverged", "limit", "fitted"]
    reason: str

    def pairs(self) -> list[dict[str, float]]:
        """Return the losses of each iteration, as they are logged."""
        both = zip(self.losses, self.training_losses, strict=True)
        return [{"validation_loss": own, "training_loss": other} for own, other in both]


def early_stopping(
    learner: Any,
    train: Examples,
    validation: Examples,
    *,
    patience: int = 20,
    tolerance: float = 1e-5,
    log: LiveMetrics,
) -> Learned:
    """Fit a learner on training rows until the loss on the validation rows no longer falls.

    Scikit-learn's histogram gradient boosting is stopped while it is fitted. Any other learner is
    fitted once, and the loss is measured: log loss of classes, half the squared error of numbers.

    Args:
        learner: unfitted; boosting with `max_iter` as the limit.
        train: to fit on.
        validation: to measure on.
        patience: iterations that together have to lower the validation loss by more than
            `tolerance`, a share of the loss that a constant has.
        tolerance: see `patience`.
        log: takes the losses of every iteration.

    Raises:
        UsageError: as soon as the training diverges, unless an earlier iteration was better than a
            constant.
    """
    learned = learn(learner, train, validation, patience=patience, tolerance=tolerance, log=log)
    report(learned)
    return learned


def learn(
    learner: Any,
    train: Examples,
    validation: Examples,
    *,
    patience: int,
    tolerance: float,
    log: LiveMetrics,
) -> Learned:
    """Do the same as `early_stopping`, without printing how it went."""
    if is_boosting(learner):
        return _boosted(learner, train, validation, patience, tolerance, log)
    return _fitted_once(learner, train, validation, log)


def is_boosting(learner: Any) -> bool:
    """Return whether a learner has iterations that can be counted: scikit-learn's histogram boosting."""
    return isinstance(learner, HistGradientBoostingClassifier | HistGradientBoostingRegressor)


def predicts_classes(learner: Any) -> bool:
    """Return whether an unfitted learner is a classifier; some have `predict_proba` only once they are fitted."""
    return is_classifier(learner) or hasattr(learner, "predict_proba")


def with_iterations(learner: Any, iterations: int) -> Any:
    """Return an unfitted learner that trains for so many iterations; one without any, as it is."""
    learner = clone(learner)
    if is_boosting(learner):
        learner.set_params(max_iter=iterations, early_stopping=False, verbose=0)
    return learner


def first_iterations(learner: Any, iterations: int) -> Any:
    """Cut a learner that `learn` fitted back to its first iterations, so that it can be asked."""
    if is_boosting(learner):
        # Its `fit` was left by an exception: it believes that it is still inside.
        learner._in_fit = False
        del learner._predictors[iterations:]
    return learner


def ending(
    losses: list[float], *, patience: int, tolerance: float, learning_rate: float
) -> tuple[Literal["early", "diverged"], str] | None:
    """Decide whether training ends after these losses, and say why.

    Args:
        losses: on the validation rows, from a constant prediction on; all but the last were fine.
        patience: see `early_stopping`.
        tolerance: see `early_stopping`.
        learning_rate: for the message.

    Raises:
        UsageError: the training diverges: the loss is not finite, or it grows beyond ten times the
            loss of a constant before any iteration was better than that.
    """
    last, first = losses[-1], losses[0]
    if not np.isfinite(last) or last > EXPLODED * first > 0:
        at = len(losses) - 1
        if np.isfinite(last) and min(losses) < first:
            return "diverged", f"diverged at iteration {at}: a validation loss of {last:.3g}"
        shown = ", ".join(f"{loss:.3g}" for loss in losses[-4:])
        raise UsageError(
            f"training diverges, ended at iteration {at}: the validation loss goes "
            f"{'… ' if at > 3 else ''}{shown} with a learning rate of {learning_rate:g}. "
            "Lower --learning-rate (0.06 suits most tables); if it is low already, look for "
            "extreme values of the target."
        )
    if len(losses) > patience:
        *_, before = losses[:-patience]
        if min(losses[-patience:]) >= before - tolerance * abs(first):
            return "early", (
                f"no better by more than {tolerance:g} of a constant's loss for {patience} iterations"
            )
    return None


def _boosted(
    learner: Any,
    train: Examples,
    validation: Examples,
    patience: int,
    tolerance: float,
    log: LiveMetrics,
) -> Learned:
    # The tolerance of scikit-learn's own rule is 0: `ending` decides.
    learner.set_params(early_stopping=True, n_iter_no_change=patience, tol=0, verbose=2)
    observer = _Observer(learner, patience, tolerance, log, sys.stdout)
    with (
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(observer),
        contextlib.suppress(_Stop),
    ):
        learner.fit(*train, X_val=validation[0], y_val=validation[1])
    best = max(1, int(np.argmin(observer.losses)))
    stopped, reason = observer.verdict or (
        "limit",
        f"the limit of {learner.max_iter} iterations was reached, more may help",
    )
    return Learned(observer.losses, observer.training_losses, best, stopped, reason)


def _fitted_once(learner: Any, train: Examples, validation: Examples, log: LiveMetrics) -> Learned:
    has_classes = predicts_classes(learner)
    constant = DummyClassifier(strategy="prior") if has_classes else DummyRegressor()
    losses: list[tuple[float, float]] = []
    for model in (constant, learner):
        try:
            model.fit(*train)
        except ValueError as error:
            if "Invalid classes" not in str(error):
                raise
            raise UsageError(
                f"{type(learner).__name__}: {error}: it takes codes for classes; wrap it, modelyard.modelling.Coded(…)"
            ) from None
        if has_classes and not hasattr(model, "predict_proba"):
            raise UsageError(
                f"{learner} gives no probabilities, which metrics and gates are computed from: wrap it in "
                "sklearn.calibration.CalibratedClassifierCV, or choose another learner"
            )
        losses.append((_loss(model, validation), _loss(model, train)))
    log.log(1, {"validation_loss": losses[1][0], "training_loss": losses[1][1]})
    on_validation, on_train = (list(column) for column in zip(*losses, strict=True))
    return Learned(on_validation, on_train, 1, "fitted", "the learner is fitted in one go")


def _loss(model: Any, rows: Examples) -> float:
    inputs, target = rows
    if hasattr(model, "predict_proba"):
        return float(log_loss(target, model.predict_proba(inputs), labels=model.classes_))
    return float(np.mean((np.asarray(model.predict(inputs)).ravel() - target) ** 2) / 2)


def report(learned: Learned) -> None:
    """Print how a training went."""
    first, best = learned.losses[0], learned.losses[learned.iterations]
    words = {"early": "stopped early", "diverged": "stopped early", "limit": "stopped"}
    if learned.stopped == "fitted":
        print(f"validation loss {best:.5g} (a constant has {first:.5g})", flush=True)
    else:
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


class _Stop(Exception):
    """Raised inside the learner's `fit` to end it."""


class _Observer(io.TextIOBase):
    """Reads boosting's scores after every iteration, logs them, and stops the training.

    Scikit-learn's boosting has no callback, but prints a line per iteration; its public lists of
    scores hold the exact values by then. One of these lines is shown every few seconds.
    """

    def __init__(
        self, learner: Any, patience: int, tolerance: float, log: LiveMetrics, out: Any
    ) -> None:
        self.learner, self.log, self.out = learner, log, out
        self.patience, self.tolerance = patience, tolerance
        self.losses: list[float] = []
        self.training_losses: list[float] = []
        self.verdict: tuple[Literal["early", "diverged"], str] | None = None
        self.last = time.monotonic()

    def write(self, text: str) -> int:
        if "\n" in text:
            scores = getattr(self.learner, "validation_score_", ())
            for position in range(len(self.losses), len(scores)):
                self._take(position, -float(scores[position]))
        return len(text)

    def _take(self, iteration: int, loss: float) -> None:
        training_loss = -float(self.learner.train_score_[iteration])
        self.losses.append(loss)
        self.training_losses.append(training_loss)
        if iteration:  # what a constant has is the same in every training on these rows
            self.log.log(iteration, {"validation_loss": loss, "training_loss": training_loss})
        self.verdict = ending(
            self.losses,
            patience=self.patience,
            tolerance=self.tolerance,
            learning_rate=self.learner.learning_rate,
        )
        if self.verdict:
            raise _Stop
        if iteration and time.monotonic() - self.last > PROGRESS_SECONDS:
            print(f"iteration {iteration}: validation loss {loss:.5g}", file=self.out, flush=True)
            self.last = time.monotonic()
