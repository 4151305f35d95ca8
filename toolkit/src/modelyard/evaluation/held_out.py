"""The held-out rows, and the predictions of each model for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract.line import another_line
from modelyard.contract.model import Contract, load_contract
from modelyard.data.folds import Codes, belonging
from modelyard.data.parts import read_part, target_of
from modelyard.errors import UsageError
from modelyard.evaluation.metrics import directions, load_metrics, values
from modelyard.evaluation.out_of_fold import Judged, out_of_fold
from modelyard.evaluation.own_metrics import Metric
from modelyard.gates import Evaluation, Gates, load_gates
from modelyard.modelling.predicting import Prediction, predict, threads_for
from modelyard.modelling.saving import CONTRACT_FILE, load_model
from modelyard.yaml_files import did_you_mean


@dataclass(frozen=True)
class Champion:
    """The champion, or why there is none to compare with.

    Attributes:
        error: why it cannot score these rows.
        former: version of a champion of another line, and why it is one; `version` is None then.
    """

    name: str | None
    version: str | None
    error: str | None = None
    former: tuple[str, str] | None = None

    def evidence(self) -> dict[str, Any]:
        """Return the champion for evidence."""
        found: dict[str, Any] = {"name": self.name, "version": self.version, "error": self.error}
        if self.former is not None:
            found["former"] = {"version": self.former[0], "why": self.former[1]}
        return found


@dataclass(frozen=True)
class HeldOut:
    """The input of every part of the assessment.

    Attributes:
        contract: of the table.
        gates: conf/gates.yml.
        metric: the one that decides.
        rows: of the test part (rows, columns).
        truth: see `target_of` (rows,).
        model: the challenger.
        predictions: for these rows, of challenger, baseline and, where it can score them, champion.
        champion: its name and version.
        own: the project's metrics.
        out_of_fold: predictions for all rows, where the held-out ones are few.
        error: why there are none all the same.
    """

    contract: Contract
    gates: Gates
    metric: str
    rows: pd.DataFrame
    truth: NDArray[Any]
    model: Any
    predictions: Mapping[str, Prediction]
    champion: Champion
    own: Mapping[str, Metric] = field(default_factory=dict)
    out_of_fold: Judged | None = None
    error: str | None = None

    @property
    def judged(self) -> Judged:
        """The rows to judge challenger and baseline on: out of fold where the held-out ones are few."""
        return self.out_of_fold or self.test

    @property
    def test(self) -> Judged:
        """The held-out rows, of one split."""
        return Judged(self.rows, self.truth, dict(self.predictions), "held-out")

    @property
    def evaluation(self) -> Evaluation:
        """Settings of intervals and segments."""
        return self.gates.evaluation

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Whether more is better, by metric."""
        return directions(self.contract.kind, self.own)


def evaluate_model(model: Any, rows: pd.DataFrame, contract: Contract) -> dict[str, float]:
    """Compute all metrics of a model on rows whose target is known.

    Args:
        model: as `assemble` or `load_model` gives it.
        rows: with the contract's features and target (rows, columns).
        contract: of the table.

    Returns:
        Value by name of the metric; NaN where it is not defined on these rows.

    Raises:
        UsageError: the model cannot score the rows.
    """
    return values(contract.kind, target_of(rows, contract), predict(model, rows, contract))


def held_out(
    contract: Path,
    gates: Path,
    prepared: Path,
    model: Path,
    baseline: Path,
    champion: Path,
    metrics: str | None = None,
    training: str | None = None,
) -> HeldOut:
    """Load the test rows and predict them with all models.

    Args:
        contract: conf/contract.yml.
        gates: conf/gates.yml.
        prepared: folder written by `prepare`.
        model: folder of the challenger.
        baseline: folder of the baseline.
        champion: folder with champion.json and, where there is a champion, model/.
        metrics: the project's module of metrics, if any.
        training: the project's module with `fit` and `Settings`, for predictions out of fold.

    Raises:
        UsageError: the data, a model, a metric or the gates do not fit the contract. A champion that cannot score
            these rows is no error: the evidence says so.
    """
    rules, limits = load_contract(contract), load_gates(gates)
    own = load_metrics(metrics, rules.kind)
    metric = deciding_metric(limits, rules, gates, own)
    rows = read_part(prepared, "test", rules)
    with threads_for(len(rows)):
        loaded = load_model(model)
        predictions = {
            "challenger": predict(loaded, rows, rules),
            "baseline": predict(load_model(baseline), rows, rules),
        }
        known = _rival(read_champion(champion), champion / "model", rules)
        if known.version is not None:
            try:
                predictions["champion"] = predict(load_model(champion / "model"), rows, rules)
            except UsageError as error:
                known = Champion(known.name, known.version, str(error))
    truth = target_of(rows, rules)
    folded, unfolded = None, None
    if is_small(rows, truth, rules, limits.evaluation):
        try:
            if training is None:
                raise UsageError("the step was given no module that trains")
            print(
                "few held-out rows: models are fitted again for predictions out of fold", flush=True
            )
            folded = out_of_fold(prepared, model, training, rules, limits.threshold)
        except UsageError as failed:
            unfolded = str(failed)
            print(f"no predictions out of fold: {unfolded}")
    return HeldOut(
        rules, limits, metric, rows, truth, loaded, predictions, known, own, folded, unfolded
    )


def is_small(
    rows: pd.DataFrame, truth: NDArray[Any], contract: Contract, limits: Evaluation
) -> bool:
    """Tell whether the held-out rows are few: copies and the rows of a group count once, and so do the rows of the rarest class."""
    if not limits.out_of_fold_below:
        return False
    some = rows.head(20 * limits.out_of_fold_below)  # enough to see whether there are so many
    distinct = len(np.unique(belonging(some.drop(columns=contract.target.column), contract.group)))
    if contract.kind == "regression":
        return distinct < limits.out_of_fold_below
    rarest = min(class_counts(truth, contract))
    return distinct < limits.out_of_fold_below or rarest < limits.class_rows


def drawn_together(rows: pd.DataFrame, contract: Contract) -> Codes | None:
    """Number the rows of each group of the contract, for `bootstrap`; None without one."""
    return belonging(rows, contract.group) if contract.group else None


def class_counts(truth: NDArray[Any], contract: Contract) -> list[int]:
    """Count the rows of each class: of two, the positive one is last."""
    classes = 2 if contract.kind == "binary" else len(contract.target.classes or ())
    return np.bincount(truth.astype(np.int64), minlength=classes).tolist()


def deciding_metric(
    gates: Gates, contract: Contract, path: Path, own: Mapping[str, Metric] | None = None
) -> str:
    """Return the metric that decides on promotion, by the gates of this kind of problem.

    Raises:
        UsageError: the gates name none, or one that does not exist.
    """
    metric, known = gates.promotion_of(contract.kind).metric, directions(contract.kind, own)
    if metric not in known:
        raise UsageError(
            f"{path}: promotion.{contract.kind}.metric: {metric} is not a metric of {contract.kind} "
            f"problems{did_you_mean(metric, known)}"
        )
    return metric


def _rival(champion: Champion, model: Path, contract: Contract) -> Champion:
    """Take a champion of another line of versions out of the comparison."""
    if champion.version is None or not (model / CONTRACT_FILE).is_file():
        return champion
    why = another_line(load_contract(model / CONTRACT_FILE), contract)
    return Champion(champion.name, None, former=(champion.version, why)) if why else champion


def read_champion(folder: Path) -> Champion:
    """Read champion.json.

    Raises:
        UsageError: it is missing or says something else.
    """
    path = folder / "champion.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["version"]
        return Champion(content.get("name"), None if version is None else str(version))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f'{path}: expected an object with name and version; without champion {{"name": …, '
            '"version": null}.'
        ) from None
