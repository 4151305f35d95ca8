"""Judge a model on the test rows: `python -m <package>.evaluate --contract C --prepared DIR …`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .console import console, shown, table
from .contract import Contract, Kind, closest, load_contract, parse_yaml
from .features import read_part, target_of
from .groups import MOST_LEVELS, grouped
from .metrics import (
    HIGHER_IS_BETTER,
    Floats,
    Prediction,
    bootstrap,
    calibration,
    confusion,
    difference,
    interval,
    measure,
    residuals,
    roc_curve,
    values,
)
from .model import load_model, predict, threads_for
from .step import StepError, add_paths, run, write_evidence

MOST_SEGMENTS = 30


class Evaluation(BaseModel):
    """How intervals are computed, and which segments are too small to judge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidence: float = Field(default=0.95, gt=0, lt=1)
    resamples: int = Field(default=500, ge=10)
    segment_rows: int = Field(default=50, ge=1)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class Gates:
    """What the steps need of conf/gates.yml: how to measure, and the metric that decides."""

    evaluation: Evaluation
    metric: str


@dataclass(frozen=True)
class Champion:
    """The model in service: its name and version, what it predicts here, or why it cannot."""

    name: str | None
    version: str | None
    prediction: Prediction | None = None
    error: str | None = None


@dataclass(frozen=True)
class Segment:
    """Test rows that share a value of a column."""

    column: str
    value: str
    rows: NDArray[np.int64]
    sensitive: bool


def main(argv: list[str] | None = None) -> int:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="evaluate", description="Judge a model on the test rows.")
    add_paths(parser, "contract", "prepared", "model", "baseline", "champion", "gates")
    parser.add_argument("--evidence", type=Path, required=True, help="folder for evaluation.json")
    return run(evaluate, **vars(parser.parse_args(argv)))


def evaluate(
    contract: Path,
    prepared: Path,
    model: Path,
    baseline: Path,
    champion: Path,
    gates: Path,
    evidence: Path,
) -> None:
    """Measure challenger, baseline and champion on the same rows, and write evaluation.json.

    Raises:
        StepError: when the data, a model or the gates do not fit the contract. A champion that
            cannot score these rows is no error: the evidence says so.
    """
    rules = load_contract(contract)
    chosen = load_gates(gates, rules.kind)
    rows = read_part(prepared, "test", rules)
    truth = target_of(rows, rules)
    with threads_for(len(rows)):
        reigning = ask_champion(champion, rows, rules)
        predictions = {
            "challenger": predict(load_model(model), rows, rules),
            "baseline": predict(load_model(baseline), rows, rules),
        }
    if reigning.prediction is not None:
        predictions["champion"] = reigning.prediction
    judged = judge(rules.kind, truth, predictions, chosen.evaluation)
    segments = judge_segments(rows, truth, predictions["challenger"], rules, chosen)
    details = {
        "problem": problem(rules),
        "rows": len(rows),
        "primary": chosen.metric,
        "higher_is_better": HIGHER_IS_BETTER[rules.kind],
        **judged,
        "champion": {
            "name": reigning.name,
            "version": reigning.version,
            "error": reigning.error,
        },
        **pictures(rules, rows, predictions, chosen.evaluation.confidence),
        "segments": segments,
    }
    write_evidence(
        evidence,
        "evaluation",
        params={**chosen.evaluation.model_dump(), "metric": chosen.metric},
        metrics={name: found["value"] for name, found in judged["models"]["challenger"].items()},
        details=details,
    )
    show(details, chosen)


def load_gates(path: Path, kind: Kind) -> Gates:
    """Read how to measure a kind of problem.

    Raises:
        StepError: when the file is missing or broken, or names a metric there is not.
    """
    content = read_gates(path)
    try:
        evaluation = Evaluation.model_validate(content.get("evaluation") or {})
    except ValidationError as error:
        problems = (
            f"{path}: evaluation.{p['loc'][0]}: {p['msg'][0].lower()}{p['msg'][1:]}, "
            f"found {p['input']!r}"
            for p in error.errors()
        )
        raise StepError("\n".join(problems)) from None
    promotion = content.get("promotion")
    rules = promotion.get(kind) if isinstance(promotion, dict) else None
    metric = rules.get("metric") if isinstance(rules, dict) else None
    if not isinstance(metric, str):
        raise StepError(f"{path} names no metric for {kind}: expected promotion.{kind}.metric.")
    if metric not in HIGHER_IS_BETTER[kind]:
        known = HIGHER_IS_BETTER[kind]
        raise StepError(
            f"{path}: promotion.{kind}.metric: {metric} is not a metric of {kind} problems"
            f"{closest(metric, known)}."
        )
    return Gates(evaluation, metric)


def read_gates(path: Path) -> dict[str, Any]:
    """What a gates file holds, unchecked.

    Raises:
        StepError: when it is missing or is not YAML.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise StepError(f"{path} is missing: it says which metric decides.") from None
    except ValueError as error:
        raise StepError(f"{path}{error}") from None
    return content if isinstance(content, dict) else {}


def ask_champion(folder: Path, rows: pd.DataFrame, contract: Contract) -> Champion:
    """Predictions of the champion for these rows, if there is one and it can make them."""
    path = folder / "champion.json"
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepError(
            f'{path} is missing: where there is no champion, expected {{"version": null}} in it.'
        ) from None
    except ValueError as error:
        raise StepError(f"{path} cannot be read as JSON: {error}.") from None
    if not isinstance(said, dict):
        raise StepError(f"{path}: expected an object with name and version.")
    name, version = said.get("name"), said.get("version")
    if version is None:
        return Champion(name, None)
    try:
        prediction = predict(load_model(folder / "model"), rows, contract)
    except StepError as error:
        return Champion(name, str(version), error=str(error))
    return Champion(name, str(version), prediction)


def judge(
    kind: Kind,
    truth: NDArray[Any],
    predictions: Mapping[str, Prediction],
    evaluation: Evaluation,
) -> dict[str, Any]:
    """Metrics of each model with intervals, and how much better the challenger is than the others.

    Args:
        kind: of problem.
        truth: see `target_of`.
        predictions: of the challenger, the baseline and, where there is one, the champion.
        evaluation: resamples, seed and confidence.
    """
    found = bootstrap(
        {name: measure(kind, truth, prediction) for name, prediction in predictions.items()},
        len(truth),
        resamples=evaluation.resamples,
        seed=evaluation.seed,
    )
    confidence = evaluation.confidence
    higher = HIGHER_IS_BETTER[kind]

    def compared(other: str) -> dict[str, dict[str, float]]:
        return {
            metric: difference(
                own, found[other][metric], confidence, higher_is_better=higher[metric]
            ).named("difference")
            for metric, own in found["challenger"].items()
        }

    def measured(metrics: Mapping[str, Floats]) -> dict[str, dict[str, float]]:
        return {name: interval(drawn, confidence).named("value") for name, drawn in metrics.items()}

    return {
        "models": {"champion": None} | {name: measured(m) for name, m in found.items()},
        "comparisons": {"champion": None}
        | {name: compared(name) for name in found if name != "challenger"},
    }


def problem(contract: Contract) -> dict[str, Any]:
    """What is predicted, in words."""
    target = contract.target
    return {
        "kind": target.kind,
        "target": target.column,
        "positive": None if target.positive is None else shown(target.positive),
        "classes": None if target.classes is None else [shown(name) for name in target.classes],
    }


def pictures(
    contract: Contract,
    rows: pd.DataFrame,
    predictions: Mapping[str, Prediction],
    confidence: float,
) -> dict[str, Any]:
    """What the report draws: calibration, and by kind the ROC curve, confusion or residuals."""
    kind, challenger, truth = contract.kind, predictions["challenger"], target_of(rows, contract)
    result: dict[str, Any] = {
        "calibration": {
            name: calibration(kind, truth, prediction, confidence)
            for name, prediction in predictions.items()
        }
    }
    if kind == "regression":
        return result | {"residuals": residuals(truth, challenger.score)}
    if kind == "binary":
        result["curves"] = {
            "roc": {name: roc_curve(truth, made.score) for name, made in predictions.items()}
        }
    labels = class_labels(contract, rows)
    result["confusion"] = {
        "labels": labels,
        "matrix": confusion(truth, challenger.label, len(labels)),
    }
    return result


def class_labels(contract: Contract, rows: pd.DataFrame) -> list[str]:
    """Names of the classes, in the order of their indices; for two, the positive one is last."""
    if contract.kind == "multiclass":
        return [shown(name) for name in contract.target.classes or ()]
    positive = shown(contract.target.positive)
    found = map(shown, rows[contract.target.column].unique())
    return [next((name for name in found if name != positive), f"not {positive}"), positive]


def segments_of(rows: pd.DataFrame, contract: Contract) -> Iterator[Segment]:
    """Rows by value: of every sensitive column, and of categories and booleans with few values."""
    others = [n for n in contract.columns_of("category", "boolean") if n not in contract.sensitive]
    for name in [*contract.sensitive, *others]:
        sensitive = name in contract.sensitive
        if not sensitive and rows[name].nunique() > MOST_LEVELS:
            continue
        groups = grouped(rows[name], contract.columns[name].type)
        if len(groups.names) > 1:
            for code, value in enumerate(groups.names):
                yield Segment(name, value, groups.rows(code), sensitive)


def judge_segments(
    rows: pd.DataFrame,
    truth: NDArray[Any],
    prediction: Prediction,
    contract: Contract,
    gates: Gates,
) -> list[dict[str, Any]]:
    """The primary metric within each segment: sensitive columns first, then the worst first.

    Small segments follow the others, those in which the metric is not defined come last.
    """
    kind, metric = contract.kind, gates.metric
    sign = 1 if HIGHER_IS_BETTER[kind][metric] else -1

    def rank(pair: tuple[Segment, float]) -> tuple[Any, ...]:
        segment, value = pair
        is_small = len(segment.rows) < gates.evaluation.segment_rows
        unknown = bool(np.isnan(value))
        return (
            not segment.sensitive,
            unknown,
            is_small,
            0.0 if unknown else sign * value,
            segment.column,
            segment.value,
        )

    valued = [
        (
            segment,
            values(kind, truth[segment.rows], prediction.at(segment.rows)).get(metric, np.nan),
        )
        for segment in segments_of(rows, contract)
    ]
    kept = sorted(valued, key=rank)[:MOST_SEGMENTS]
    return [_judged(segment, truth, prediction, kind, gates) for segment, _ in kept]


def show(details: Mapping[str, Any], gates: Gates) -> None:
    """Print the metrics of each model, the primary one first."""
    models, champion = details["models"], details["champion"]
    against = f"champion {champion['version']}" if models["champion"] else "champion"
    others = (models["baseline"], models["champion"] or {})
    lines = []
    for name in sorted(models["challenger"], key=lambda name: name != gates.metric):
        found = models["challenger"][name]
        lines.append(
            (
                f"{name} *" if name == gates.metric else name,
                "higher" if details["higher_is_better"][name] else "lower",
                _number(found["value"]),
                f"{_number(found['low'])} – {_number(found['high'])}",
                *(_number(other.get(name, {}).get("value")) for other in others),
            )
        )
    interval_text = f"[{gates.evaluation.confidence:.0%}]"
    headings = ("metric", "better", "challenger", interval_text, "baseline", against)
    out = console()
    out.print(
        table(
            f"{details['problem']['target']} on {details['rows']:,} test rows (* decides)",
            headings,
            lines,
            right=headings[2:],
        )
    )
    for other in ("baseline", "champion"):
        compared = details["comparisons"][other]
        if compared:
            print(f"{gates.metric} against the {other}: {_gain(compared[gates.metric])}")
    if champion["error"]:
        print(f"champion {champion['version']} is not compared: {champion['error']}")
    elif champion["version"] is None:
        print("there is no champion yet")


def _judged(
    segment: Segment, truth: NDArray[Any], prediction: Prediction, kind: Kind, gates: Gates
) -> dict[str, Any]:
    actual, made = truth[segment.rows], prediction.at(segment.rows)
    found = bootstrap(
        {"challenger": measure(kind, actual, made, only=gates.metric)},
        len(actual),
        resamples=gates.evaluation.resamples,
        seed=gates.evaluation.seed,
    )["challenger"]
    nothing = np.full(2, np.nan)
    result = {
        "column": segment.column,
        "value": segment.value,
        "rows": len(actual),
        "metric": gates.metric,
        "value_metric": interval(
            found.get(gates.metric, nothing), gates.evaluation.confidence
        ).named("value"),
        "small": len(actual) < gates.evaluation.segment_rows,
        "sensitive": segment.sensitive,
        "target": None,
        "predicted": None,
    }
    if kind != "multiclass":
        result |= {"target": float(actual.mean()), "predicted": float(made.score.mean())}
    return result


def _number(value: float | None) -> str:
    if value is None or np.isnan(value):
        return "–"
    return f"{value:z.4f}" if abs(value) < 10 else f"{value:z,.2f}"


def _gain(found: Mapping[str, float]) -> str:
    word = "better" if found["difference"] >= 0 else "worse"
    ends = f"{found['low']:+z.4f} – {found['high']:+z.4f}"
    return f"{abs(found['difference']):.4f} {word} ({ends})"


if __name__ == "__main__":
    sys.exit(main())
