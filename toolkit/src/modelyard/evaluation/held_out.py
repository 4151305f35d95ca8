"""The held-out rows, and what each model predicts for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from modelyard.contract.model import Contract, closest, load_contract
from modelyard.data.parts import read_part, target_of
from modelyard.errors import UsageError
from modelyard.evaluation.metrics import HIGHER_IS_BETTER
from modelyard.gates import Evaluation, Gates, load_gates
from modelyard.modelling.predicting import Prediction, predict, threads_for
from modelyard.modelling.saving import load_model


@dataclass(frozen=True)
class Champion:
    """The model in service: its name and version, or why it cannot score these rows."""

    name: str | None
    version: str | None
    error: str | None = None

    def evidence(self) -> dict[str, str | None]:
        """As evidence holds it."""
        return {"name": self.name, "version": self.version, "error": self.error}


@dataclass(frozen=True)
class HeldOut:
    """What every part of the assessment looks at.

    Attributes:
        contract: of the table.
        gates: conf/gates.yml.
        metric: the one that decides.
        rows: of the test part (rows, columns).
        truth: see `target_of` (rows,).
        model: the challenger.
        predictions: for these rows, of challenger, baseline and, where it can score them, champion.
        champion: which it is.
    """

    contract: Contract
    gates: Gates
    metric: str
    rows: pd.DataFrame
    truth: NDArray[Any]
    model: Any
    predictions: Mapping[str, Prediction]
    champion: Champion

    @property
    def evaluation(self) -> Evaluation:
        """How intervals are made."""
        return self.gates.evaluation


def held_out(
    contract: Path, gates: Path, prepared: Path, model: Path, baseline: Path, champion: Path
) -> HeldOut:
    """Load the test rows and ask all models.

    Args:
        contract: conf/contract.yml.
        gates: conf/gates.yml.
        prepared: folder written by `prepare`.
        model: folder of the challenger.
        baseline: folder of the baseline.
        champion: folder with champion.json and, where there is a champion, model/.

    Raises:
        UsageError: the data, a model or the gates do not fit the contract. A champion that cannot score
            these rows is no error: the evidence says so.
    """
    rules, limits = load_contract(contract), load_gates(gates)
    metric = deciding_metric(limits, rules, gates)
    rows = read_part(prepared, "test", rules)
    with threads_for(len(rows)):
        loaded = load_model(model)
        predictions = {
            "challenger": predict(loaded, rows, rules),
            "baseline": predict(load_model(baseline), rows, rules),
        }
        known = read_champion(champion)
        if known.version is not None:
            try:
                predictions["champion"] = predict(load_model(champion / "model"), rows, rules)
            except UsageError as error:
                known = Champion(known.name, known.version, str(error))
    truth = target_of(rows, rules)
    return HeldOut(rules, limits, metric, rows, truth, loaded, predictions, known)


def deciding_metric(gates: Gates, contract: Contract, path: Path) -> str:
    """The metric that the gates of this kind of problem are about.

    Raises:
        UsageError: the gates name none, or one that does not exist.
    """
    metric, known = gates.promotion_of(contract.kind).metric, HIGHER_IS_BETTER[contract.kind]
    if metric not in known:
        raise UsageError(
            f"{path}: promotion.{contract.kind}.metric: {metric} is not a metric of {contract.kind} "
            f"problems{closest(metric, known)}."
        )
    return metric


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
