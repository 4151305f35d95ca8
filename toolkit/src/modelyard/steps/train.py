"""Pipeline step: train a model and a baseline by the project's `fit`."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from modelyard.contract.model import Contract, load_contract
from modelyard.data.parts import read_part
from modelyard.errors import UsageError, guarded
from modelyard.evidence import write_evidence
from modelyard.files import write_json
from modelyard.gates import Threshold, load_gates
from modelyard.modelling.calibrating import Calibrating
from modelyard.modelling.comparing import Choice
from modelyard.modelling.describing import described
from modelyard.modelling.encoding import Feature
from modelyard.modelling.live_metrics import LiveMetrics
from modelyard.modelling.predicting import threads_for
from modelyard.modelling.saving import SETTINGS_FILE, save_model
from modelyard.modelling.stopping import Learned
from modelyard.steps.command import add_paths

_Settings = TypeVar("_Settings", bound=BaseModel)


@dataclass(frozen=True)
class Fitted:
    """The result of a training.

    Attributes:
        model: the challenger; see `assemble`.
        baseline: a cheap model on the same features, which the challenger has to beat.
        settings: as they were used.
        features: that the models are trained on.
        learned: the course of the training.
        threshold: the challenger's, None unless there are two classes.
        choice: among candidates, where some were compared.
        calibrating: of the challenger's probabilities, where it was looked at.
    """

    model: Any
    baseline: Any
    settings: BaseModel
    features: Sequence[Feature]
    learned: Learned
    threshold: float | None
    choice: Choice | None = None
    calibrating: Calibrating | None = None


Fit = Callable[
    [Contract, pd.DataFrame, pd.DataFrame, _Settings, LiveMetrics, Threshold | None], Fitted
]


def training_step(
    settings: type[_Settings], fit: Fit[_Settings], argv: list[str] | None = None
) -> int:
    """Run the step that trains, with one option for each of the settings.

    Args:
        settings: the hyperparameters, with defaults and bounds; numbers, booleans or texts.
        fit: takes the contract, training rows, validation rows, settings, what logs live metrics, and
            the purpose of the threshold.
        argv: words of the command line; default: this process's.

    Returns:
        The exit code: 0, or 2 where options or data cannot be used.
    """
    parser = argparse.ArgumentParser(prog="train", description="Train a model and a baseline.")
    add_paths(parser, "contract", "gates", "prepared")
    parser.add_argument("--model", type=Path, required=True, help="folder for the model")
    parser.add_argument("--baseline", type=Path, required=True, help="folder for the baseline")
    parser.add_argument("--evidence", type=Path, required=True, help="folder for training.json")
    for name, field in settings.model_fields.items():
        required = field.is_required()
        parser.add_argument(
            _option(name),
            default=argparse.SUPPRESS,  # what is not given is the settings' own default
            required=required,
            help=field.description or ("required" if required else f"default: {field.default}"),
        )
    arguments = vars(parser.parse_args(argv))
    given = {name: arguments.pop(name) for name in settings.model_fields if name in arguments}
    return guarded(_train, settings, fit, given, **arguments)


def _train(
    settings: type[_Settings],
    fit: Fit[_Settings],
    given: dict[str, Any],
    *,
    contract: Path,
    gates: Path,
    prepared: Path,
    model: Path,
    baseline: Path,
    evidence: Path,
) -> None:
    """Fit, save both models, and write training.json."""
    rules, purpose = load_contract(contract), load_gates(gates).threshold
    chosen = _validated(settings, given)
    rows, held_out = read_part(prepared, "train", rules), read_part(prepared, "validation", rules)
    total = len(rows) + len(held_out)
    print(f"{len(rows):,} rows to train, {len(held_out):,} to validate", flush=True)
    with warnings.catch_warnings(), threads_for(total), LiveMetrics() as log:
        warnings.simplefilter("ignore")  # what they advise is followed, or shown by the evidence
        made = fit(rules, rows, held_out, chosen, log, purpose)
    learned = made.learned
    if made.threshold is not None:
        print(
            f"threshold {made.threshold:.3g}: {purpose.words} on rows held out in turn", flush=True
        )
    example = rows[rules.features]
    package = package_of(settings)
    save_model(made.model, model, example, rules, by_value=[package])
    write_json(model / SETTINGS_FILE, made.settings.model_dump(mode="json"))
    save_model(made.baseline, baseline, example, rules, by_value=[package])
    seen = {feature.name for feature in made.features}
    write_evidence(
        evidence,
        "training",
        params=made.settings.model_dump() | {"rows": total},
        metrics={
            "iterations": learned.iterations,
            "validation_loss": learned.losses[learned.iterations],
            "validation_loss_of_constant": learned.losses[0],
        },
        series={"validation_loss": learned.losses, "training_loss": learned.training_losses},
        details={
            "algorithm": described(made.model),
            "baseline": described(made.baseline),
            "features": [
                {"name": f.name, "kind": f.kind, "encoding": f.encoding} for f in made.features
            ],
            "left_out": sorted(set(rules.features) - seen),
            "threshold": made.threshold,
            "purpose": None if made.threshold is None else purpose.words,
            **_choices(made),
            "iterations": learned.iterations,
            "stopped": learned.stopped,
            "reason": learned.reason,
        },
        series_logged=log.delivered,
    )


def _choices(made: Fitted) -> dict[str, Any]:
    """Return what was compared, and what was chosen, for evidence."""
    found: dict[str, Any] = {}
    if made.choice is not None:
        found["learner"] = made.choice.name
        found["compared_on"] = made.choice.how
        found["candidates"] = [
            {"name": name, "chosen": name == made.choice.name, **values}
            for name, values in made.choice.compared.items()
        ]
    if made.calibrating is not None and made.calibrating.compared:
        method = made.calibrating.calibration.method
        found["calibration"] = [
            {"method": name, "chosen": name == method, **values}
            for name, values in made.calibrating.compared.items()
        ]
    return found


def package_of(settings: type[BaseModel]) -> ModuleType:
    """The project's package, in which its settings stand."""
    return sys.modules[settings.__module__.rpartition(".")[0] or settings.__module__]


def _validated(settings: type[_Settings], given: dict[str, Any]) -> _Settings:
    """Make settings, each within its bounds.

    Raises:
        UsageError: naming every option that is not.
    """
    try:
        return settings(**given)
    except ValidationError as error:
        problems = (
            f"{_option(str(p['loc'][0]))} {p['input']}: {p['msg'][0].lower()}{p['msg'][1:]}"
            for p in error.errors()
        )
        raise UsageError("\n".join(problems)) from None


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
