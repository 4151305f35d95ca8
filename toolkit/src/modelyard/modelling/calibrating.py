"""Calibration of probabilities, where held-out rows say that it helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import KFold

from modelyard.contract.model import Contract
from modelyard.modelling.calibrated import TINY, Calibrated, Calibration, Method
from modelyard.modelling.comparing import Choice, losses_of
from modelyard.modelling.predicting import Floats

FEWEST_ROWS = 50  # held out; fewer say little about probabilities
ISOTONIC_ROWS = 1_000  # a curve of steps follows the noise of fewer rows
FOLDS = 5
GROUPS = 10  # of about as many rows, in a calibration error


@dataclass(frozen=True)
class Calibrating:
    """The calibration that was chosen, with what each method does on held-out rows.

    Attributes:
        calibration: method "none" unless another is clearly better.
        rows: held out.
        compared: by method: log loss, and expected calibration error.
        in_turn: the class (held out,) and corrected probabilities (held out, classes) of rows that were held
            out in turn; None where the validation rows are all that was.
    """

    calibration: Calibration
    rows: int
    compared: Mapping[Method, Mapping[str, float]]
    in_turn: tuple[NDArray[Any], Floats] | None = None

    def of(self, learner: Any) -> Any:
        """Return the unfitted learner, with corrected probabilities where there is a correction."""
        return (
            learner if self.calibration.method == "none" else Calibrated(learner, self.calibration)
        )


def calibrate(choice: Choice, contract: Contract) -> Calibrating:
    """Choose how probabilities are corrected, by cross-validation among the held-out rows.

    A correction has to lower the log loss by more than a standard error of the gain; then the one
    with the lowest is learnt from all held-out rows. Where rows are split by time there is none: held-out
    rows are the latest, and what is off there is also the share that a class has in their season.

    Args:
        choice: with the scores of rows that the models had not learnt from.
        contract: of the table.
    """
    calibration, compared = _chosen(choice, contract)
    in_turn = None
    if choice.in_folds and contract.kind != "regression":
        in_turn = choice.truth, calibration.apply(choice.scores)
    return Calibrating(calibration, len(choice.truth), compared, in_turn)


def _chosen(
    choice: Choice, contract: Contract
) -> tuple[Calibration, dict[Method, dict[str, float]]]:
    truth, scores = choice.truth, choice.scores
    nothing = Calibration("none")
    if contract.kind == "regression" or len(truth) < FEWEST_ROWS:
        return nothing, {}
    codes = np.unique(truth, return_inverse=True)[1]
    if codes.max() + 1 != scores.shape[1]:  # a class is not among the held-out rows
        return nothing, {}
    made: dict[Method, Floats] = {"none": scores}
    for method in _methods(contract, len(truth)):
        made[method] = np.empty_like(scores)
        for known, held in KFold(FOLDS, shuffle=True, random_state=0).split(scores):
            correction = _learnt(method, codes[known], scores[known])
            made[method][held] = correction.apply(scores[held])
    known = np.arange(scores.shape[1])
    losses = {method: losses_of(codes, one, known, TINY) for method, one in made.items()}
    compared = {
        method: {
            "log_loss": float(losses[method].mean()),
            "calibration_error": calibration_error(codes, one),
        }
        for method, one in made.items()
    }
    best = min(losses, key=lambda method: losses[method].mean())
    gain = losses["none"] - losses[best]
    if gain.mean() <= gain.std() / np.sqrt(len(gain)):
        return nothing, compared
    return _learnt(best, codes, scores), compared


def calibration_error(codes: NDArray[Any], scores: Floats) -> float:
    """Compute the expected calibration error (Naeini et al. 2015), in groups of equally many rows.

    Of two classes the probability of the second is compared with its share; of more, the probability of
    the predicted class with how often it is right.

    Args:
        codes: index of each row's class (rows,).
        scores: probabilities (rows, classes).
    """
    if scores.shape[1] == 2:
        predicted, observed = scores[:, 1], codes == 1
    else:
        predicted, observed = scores.max(axis=1), scores.argmax(axis=1) == codes
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(GROUPS, len(codes)))
    off = [abs(predicted[part].mean() - observed[part].mean()) * len(part) for part in parts]
    return float(sum(off) / len(codes))


def _methods(contract: Contract, rows: int) -> list[Method]:
    if contract.time is not None:
        return []
    if contract.kind == "multiclass":
        return ["temperature"]
    return ["sigmoid", "isotonic"] if rows >= ISOTONIC_ROWS else ["sigmoid"]


def _learnt(method: Method, codes: NDArray[Any], scores: Floats) -> Calibration:
    if method == "isotonic":
        steps = IsotonicRegression(out_of_bounds="clip").fit(scores[:, 1], codes)
        # No row makes anything certain.
        least = 1 / (2 * len(codes))
        y = np.clip(steps.y_thresholds_, least, 1 - least)
        return Calibration(method, tuple(map(float, steps.X_thresholds_)), tuple(map(float, y)))

    def loss(x: Floats) -> float:
        corrected = Calibration(method, tuple(map(float, x))).apply(scores)
        return float(losses_of(codes, corrected, np.arange(scores.shape[1]), TINY).mean())

    start = [1.0, 0.0] if method == "sigmoid" else [1.0]
    bounds = [(0.05, 20.0), (-20.0, 20.0)][: len(start)]
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds)
    return Calibration(method, tuple(map(float, found.x)))
