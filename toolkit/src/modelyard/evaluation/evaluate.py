"""Metrics, curves and segments of the challenger on held-out rows, beside baseline and champion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.console import console, shown, table
from modelyard.contract.model import Contract, Kind
from modelyard.data.folds import Codes
from modelyard.data.parts import target_of
from modelyard.evaluation.bootstrap import bootstrap, difference, interval
from modelyard.evaluation.cohorts import cohorts
from modelyard.evaluation.curves import calibration, confusion, residuals, roc_curve
from modelyard.evaluation.groups import MOST_LEVELS, grouped
from modelyard.evaluation.held_out import HeldOut, class_counts, drawn_together
from modelyard.evaluation.metrics import directions, measure, values
from modelyard.evaluation.out_of_fold import Judged
from modelyard.evaluation.own_metrics import Metric
from modelyard.evidence import write_evidence
from modelyard.gates import Evaluation
from modelyard.modelling.predicting import Floats, Prediction

MOST_SEGMENTS = 30


@dataclass(frozen=True)
class Segment:
    """Test rows that share a value of a column."""

    column: str
    value: str
    rows: NDArray[np.int64]
    sensitive: bool


def evaluate(held: HeldOut, evidence: Path) -> None:
    """Measure challenger, baseline and champion on the same rows, and write evaluation.json."""
    contract, on = held.contract, held.judged
    judged = _judged_together(held, on)
    if held.out_of_fold is not None and "champion" in held.predictions:
        # The champion has learned from rows of the other folds; these it has not seen.
        both = _judged_together(held, held.test)
        judged["comparisons"]["champion"] = both["comparisons"]["champion"]
    labels = [] if contract.kind == "regression" else class_labels(contract, on.rows)
    details = {
        "problem": problem(contract),
        "rows": len(on.rows),
        "judged_on": {
            "method": on.method,
            "rows": len(on.rows),
            "held_out": len(held.rows),
            "classes": dict(zip(labels, class_counts(on.truth, contract), strict=True))
            if labels
            else None,
            "error": held.error,
        },
        "primary": held.metric,
        "higher_is_better": held.higher_is_better,
        **judged,
        "champion": held.champion.evidence(),
        **pictures(contract, on.rows, on.predictions, held.evaluation.confidence),
        "segments": judge_segments(held),
        "cohorts": cohorts(held),
    }
    write_evidence(
        evidence,
        "evaluation",
        params={**held.evaluation.model_dump(), "metric": held.metric},
        metrics={name: found["value"] for name, found in judged["models"]["challenger"].items()},
        details=details,
    )
    show(details, held.evaluation.confidence)


def judge(
    kind: Kind,
    truth: NDArray[Any],
    predictions: Mapping[str, Prediction],
    evaluation: Evaluation,
    own: Mapping[str, Metric] | None = None,
    together: Codes | None = None,
) -> dict[str, Any]:
    """Compute metrics with intervals, and differences of the challenger from the other models.

    Args:
        kind: of problem.
        truth: see `target_of`.
        predictions: of the challenger, the baseline and, where there is one, the champion.
        evaluation: resamples, seed and confidence.
        own: the project's metrics.
        together: see `bootstrap`.
    """
    found = bootstrap(
        {
            name: measure(kind, truth, prediction, own=own)
            for name, prediction in predictions.items()
        },
        len(truth),
        resamples=evaluation.resamples,
        seed=evaluation.seed,
        together=together,
    )
    confidence = evaluation.confidence
    higher = directions(kind, own)

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
    """Describe the target, for evidence."""
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
    """Compute calibration, and by kind of problem ROC curves, confusion matrix or residuals."""
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
    """Name the classes in the order of their indices; of two, the positive one is last."""
    if contract.kind == "multiclass":
        return [shown(name) for name in contract.target.classes or ()]
    positive = shown(contract.target.positive)
    found = map(shown, rows[contract.target.column].unique())
    return [next((name for name in found if name != positive), f"not {positive}"), positive]


def segments_of(rows: pd.DataFrame, contract: Contract) -> Iterator[Segment]:
    """Divide rows by sensitive columns, and by categories and booleans with few values."""
    others = [n for n in contract.columns_of("category", "boolean") if n not in contract.sensitive]
    for name in [*contract.sensitive, *others]:
        sensitive = name in contract.sensitive
        if not sensitive and rows[name].nunique() > MOST_LEVELS:
            continue
        groups = grouped(rows[name], contract.columns[name].type)
        if len(groups.names) > 1:
            for code, value in enumerate(groups.names):
                yield Segment(name, value, groups.rows(code), sensitive)


def judge_segments(held: HeldOut) -> list[dict[str, Any]]:
    """Compute the primary metric in each segment: sensitive columns first, then the worst first.

    Small segments follow the others, those in which the metric is not defined come last.
    """
    kind, metric = held.contract.kind, held.metric
    truth, prediction = held.judged.truth, held.judged.predictions["challenger"]
    sign = 1 if held.higher_is_better[metric] else -1
    own = {name: one for name, one in held.own.items() if name == metric}

    def rank(pair: tuple[Segment, float]) -> tuple[Any, ...]:
        segment, value = pair
        is_small = len(segment.rows) < held.evaluation.segment_rows
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
            values(kind, truth[segment.rows], prediction.at(segment.rows), own).get(metric, np.nan),
        )
        for segment in segments_of(held.judged.rows, held.contract)
    ]
    kept = sorted(valued, key=rank)[:MOST_SEGMENTS]
    return [_judged(segment, held) for segment, _ in kept]


def show(details: Mapping[str, Any], confidence: float) -> None:
    """Print the metrics of each model, the primary one first."""
    models, champion = details["models"], details["champion"]
    against = f"champion {champion['version']}" if models["champion"] else "champion"
    others = (models["baseline"], models["champion"] or {})
    lines = []
    for name in sorted(models["challenger"], key=lambda name: name != details["primary"]):
        found = models["challenger"][name]
        lines.append(
            (
                f"{name} *" if name == details["primary"] else name,
                "higher" if details["higher_is_better"][name] else "lower",
                _number(found["value"]),
                f"{_number(found['low'])} – {_number(found['high'])}",
                *(_number(other.get(name, {}).get("value")) for other in others),
            )
        )
    interval_text = f"[{confidence:.0%}]"
    headings = ("metric", "better", "challenger", interval_text, "baseline", against)
    out = console()
    out.print(
        table(
            f"{details['problem']['target']} on {details['rows']:,} {details['judged_on']['method']} "
            "rows (* decides)",
            headings,
            lines,
            right=headings[2:],
        )
    )
    for other in ("baseline", "champion"):
        compared = details["comparisons"][other]
        if compared:
            print(
                f"{details['primary']} against the {other}: {_gain(compared[details['primary']])}"
            )
    print(_worst_cohort(details["cohorts"]))
    if champion["error"]:
        print(f"champion {champion['version']} is not compared: {champion['error']}")
    elif former := champion.get("former"):
        print(f"champion {former['version']} is of another line of versions: {former['why']}")
    elif champion["version"] is None:
        print("there is no champion yet")


def _judged_together(held: HeldOut, on: Judged) -> dict[str, Any]:
    together = drawn_together(on.rows, held.contract)
    kind = held.contract.kind
    return judge(kind, on.truth, on.predictions, held.evaluation, held.own, together)


def _judged(segment: Segment, held: HeldOut) -> dict[str, Any]:
    kind = held.contract.kind
    actual = held.judged.truth[segment.rows]
    made = held.judged.predictions["challenger"].at(segment.rows)
    found = bootstrap(
        {"challenger": measure(kind, actual, made, only=held.metric, own=held.own)},
        len(actual),
        resamples=held.evaluation.resamples,
        seed=held.evaluation.seed,
        together=drawn_together(held.judged.rows.iloc[segment.rows], held.contract),
    )["challenger"]
    nothing = np.full(2, np.nan)
    result = {
        "column": segment.column,
        "value": segment.value,
        "rows": len(actual),
        "metric": held.metric,
        "value_metric": interval(found.get(held.metric, nothing), held.evaluation.confidence).named(
            "value"
        ),
        "small": len(actual) < held.evaluation.segment_rows,
        "sensitive": segment.sensitive,
        "target": None,
        "predicted": None,
    }
    if kind != "multiclass":
        result |= {"target": float(actual.mean()), "predicted": float(made.score.mean())}
    return result


def _worst_cohort(found: Mapping[str, Any]) -> str:
    if found["why"]:
        return f"no worst cohort is looked for: {found['why']}"
    if found["worst"] is None:
        return "no cohort is worse than its noise"
    worst = found["nodes"][found["worst"]]
    error = worst["error"]
    ends = f"{_number(error['low'])} – {_number(error['high'])}"
    return (
        f"worst cohort: {' and '.join(worst['rule'])}: {found['unit']} {_number(error['value'])} "
        f"({ends}) on {worst['rows']:,} rows, {_number(found['nodes'][0]['error']['value'])} on all"
    )


def _number(value: float | None) -> str:
    if value is None or np.isnan(value):
        return "–"
    return f"{value:z.4f}" if abs(value) < 10 else f"{value:z,.2f}"


def _gain(found: Mapping[str, float]) -> str:
    word = "no clear difference"
    if found["low"] > 0 or found["high"] < 0:
        word = "better" if found["low"] > 0 else "worse"
    ends = f"{found['low']:+z.4f} – {found['high']:+z.4f}"
    return f"{found['difference']:+z.4f}, {word} ({ends})"
