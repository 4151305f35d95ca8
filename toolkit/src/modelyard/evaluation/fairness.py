"""Fairness: metrics of groups of rows, and disparities between groups.

For each sensitive column of the contract: the figures of every group with intervals, and how far the
groups lie apart, which conf/gates.yml limits (see `largest_gap`). Figures are fairlearn's (Bird et al.
2020, Microsoft MSR-TR-2020-32): the selection rate, whose equality is demographic parity; true and false
positive rates, whose joint equality is equalized odds (Hardt et al. 2016, NeurIPS).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.console import console, table
from modelyard.contract.model import Contract, Kind
from modelyard.evaluation.bootstrap import Measure, Weights, bootstrap, interval
from modelyard.evaluation.groups import Groups, grouped
from modelyard.evaluation.held_out import HeldOut, drawn_together
from modelyard.evaluation.largest_gap import (
    Estimates,
    largest_gap,
    logarithms,
    logarithms_of_shares,
    of_shares,
    smallest_ratio,
)
from modelyard.evaluation.metrics import divided
from modelyard.evidence import write_evidence
from modelyard.gates import Evaluation, FairnessGate
from modelyard.modelling.predicting import Floats, Prediction

# Metric of a group: what its rows are, for the reader of the evidence.
MEASURED_ON: dict[Kind, dict[str, str]] = {
    "binary": {
        "selection_rate": "rows",
        "true_positive_rate": "positive rows",
        "false_positive_rate": "negative rows",
        "accuracy": "rows",
    },
    "multiclass": {"accuracy": "rows"},
    "regression": {"mae": "rows", "mean_error": "rows"},
}
COMBINED = {"equalized_odds": ("true_positive_rate", "false_positive_rate")}
ERRORS = frozenset({"mae", "mean_error"})  # in the target's unit; others are shares of rows
WITHOUT_RATIO = frozenset({"mean_error"})  # it may have either sign
SHOWN = 20

# Of every group (resamples, groups): the mean by metric.
Means = dict[str, Floats]


def fairness(held: HeldOut, evidence: Path) -> None:
    """Compare the groups of each sensitive column, and write fairness.json."""
    contract, evaluation = held.contract, held.evaluation
    group_rows = (held.gates.fairness or FairnessGate()).group_rows
    details: dict[str, Any] = {
        "kind": contract.kind,
        "rows": len(held.judged.rows),
        "method": held.judged.method,
        "sensitive": list(contract.sensitive),
        "group_rows": group_rows,
        "measured_on": MEASURED_ON[contract.kind],
        "champion": {"name": None, "version": None, "error": None},
        "scale": None,
        "columns": [],
    }
    if contract.sensitive:
        details |= {
            "champion": held.champion.evidence(),
            # Errors are held against the target's own spread: limits then fit every unit.
            "scale": float(held.judged.truth.std()) if contract.kind == "regression" else None,
            "columns": _columns(held, group_rows),
        }
    write_evidence(
        evidence,
        "fairness",
        params={
            "group_rows": group_rows,
            "confidence": evaluation.confidence,
            "resamples": evaluation.resamples,
            "seed": evaluation.seed,
        },
        metrics=_largest(details["columns"]),
        details=details,
    )
    show(details)


def _columns(held: HeldOut, group_rows: int) -> list[dict[str, Any]]:
    """Compare the groups of each column, and with the champion on the held-out rows, which it has not seen."""
    compared = {m: held.predictions[m] for m in ("challenger", "champion") if m in held.predictions}
    contract, evaluation = held.contract, held.evaluation
    on_held_out = (
        compare(held.rows, held.truth, compared, contract, evaluation, group_rows)
        if held.out_of_fold is None or "champion" in compared
        else []
    )
    if held.out_of_fold is None:
        return on_held_out
    on = held.out_of_fold
    own = {"challenger": on.predictions["challenger"]}
    columns = compare(on.rows, on.truth, own, contract, evaluation, group_rows)
    for column, beside in zip(columns, on_held_out, strict=False):
        for metric, apart in column["disparities"].items():
            if apart is not None:
                unknown = dict.fromkeys(("value", "low", "high"))
                apart["over_champion"] = (beside["disparities"][metric] or {}).get(
                    "over_champion", unknown
                )
    return columns


def compare(
    rows: pd.DataFrame,
    truth: NDArray[Any],
    predictions: Mapping[str, Prediction],
    contract: Contract,
    evaluation: Evaluation,
    group_rows: int,
) -> list[dict[str, Any]]:
    """Compute groups and disparities of each sensitive column, for evidence.

    Args:
        rows: the test rows.
        truth: see `target_of`.
        predictions: of the challenger and, where there is one, the champion.
        contract: names the sensitive columns.
        evaluation: resamples, seed and confidence.
        group_rows: a group whose metric rests on fewer rows is shown, not judged.
    """
    kind = contract.kind
    columns = {n: grouped(rows[n], contract.columns[n].type) for n in contract.sensitive}
    measures: dict[str, Measure] = {
        f"{model} {at}": means(kind, truth, prediction, groups)
        for model, prediction in predictions.items()
        for at, groups in enumerate(columns.values())
    }
    # The same draws for all: differences between models are paired.
    together = drawn_together(rows, contract)
    found = bootstrap(
        measures,
        len(truth),
        resamples=evaluation.resamples,
        seed=evaluation.seed,
        together=together,
    )
    return [
        _column(
            name,
            groups,
            {model: found[f"{model} {at}"] for model in predictions},
            _framed(kind, truth, predictions["challenger"], groups),
            _support(kind, truth, groups),
            evaluation.confidence,
            group_rows,
            is_clustered=together is not None,
        )
        for at, (name, groups) in enumerate(columns.items())
    ]


def means(kind: Kind, truth: NDArray[Any], prediction: Prediction, groups: Groups) -> Measure:
    """Make the function that gives metrics of each group (resamples, groups) for row weights.

    selection_rate is the share predicted positive, true_positive_rate that share among positive
    rows, false_positive_rate among negative ones; mean_error is predicted minus actual.
    """
    size = len(groups.names)
    if kind == "regression":
        error = prediction.score - truth

        def of_errors(weights: Weights) -> Means:
            total = _counts(groups.codes, weights, size)
            absolute, signed = (
                np.stack([np.bincount(groups.codes, row * part, size) for row in weights])
                for part in (np.abs(error), error)
            )
            # A signed sum divided where there are rows, whatever its sign.
            return {"mae": divided(absolute, total), "mean_error": divided(signed, total)}

        return of_errors
    if kind == "multiclass":
        cell = groups.codes * 2 + (prediction.label == truth)

        def of_classes(weights: Weights) -> Means:
            wrong, right = np.moveaxis(_counts(cell, weights, size * 2).reshape(-1, size, 2), 2, 0)
            return {"accuracy": divided(right, wrong + right)}

        return of_classes
    outcome = groups.codes * 4 + truth.astype(np.int64) * 2 + prediction.label.astype(np.int64)

    def of_outcomes(weights: Weights) -> Means:
        counts = _counts(outcome, weights, size * 4).reshape(-1, size, 4)
        passes, alarms, misses, hits = np.moveaxis(counts, 2, 0)
        total = counts.sum(axis=2)
        return {
            "selection_rate": divided(alarms + hits, total),
            "true_positive_rate": divided(hits, hits + misses),
            "false_positive_rate": divided(alarms, alarms + passes),
            "accuracy": divided(passes + hits, total),
        }

    return of_outcomes


def show(details: Mapping[str, Any]) -> None:
    """Print the groups of each sensitive column."""
    if not details["columns"]:
        print("the contract names no sensitive column: there are no groups to compare")
    for column in details["columns"]:
        names = list(details["measured_on"])
        lines = [
            (group["value"], f"{group['rows']:,}", *(_cell(group["metrics"][n]) for n in names))
            for group in column["groups"][:SHOWN]
        ]
        title = f'groups of "{column["column"]}" (in brackets: too few rows to judge)'
        headings = ("group", "rows", *names)
        console().print(table(title, headings, lines, right=headings[1:]))
        if len(column["groups"]) > SHOWN:
            print(f"and {len(column['groups']) - SHOWN} more in the evidence")
        for name, apart in column["disparities"].items():
            print(f"{name}: {_apart(apart)}")
    champion = details["champion"]
    if champion["error"]:
        print(f"champion {champion['version']} is not compared: {champion['error']}")


def _column(
    name: str,
    groups: Groups,
    found: Mapping[str, Means],
    framed: pd.DataFrame,
    support: Mapping[str, NDArray[np.int64]],
    confidence: float,
    group_rows: int,
    *,
    is_clustered: bool,
) -> dict[str, Any]:
    own = found["challenger"]
    described = []
    for code, value in enumerate(groups.names):
        figures: dict[str, Any] = {}
        for metric, drawn in own.items():
            ends = interval(drawn[:, code], confidence).named("value")
            if support[metric][code]:
                ends["value"] = float(framed[metric].iloc[code])
            rows = int(support[metric][code])
            figures[metric] = {**ends, "rows": rows, "judged": rows >= group_rows}
        described.append({"value": value, "rows": len(groups.rows(code)), "metrics": figures})
    judged = {metric: np.flatnonzero(support[metric] >= group_rows) for metric in own}
    counts = {
        metric: _effective(own[metric], rows) if is_clustered and metric not in ERRORS else rows
        for metric, rows in support.items()
    }
    wanted: dict[str, tuple[str, ...]] = {metric: (metric,) for metric in own}
    wanted |= {m: parts for m, parts in COMBINED.items() if all(part in own for part in parts)}
    disparities = {
        metric: _disparity(found, parts, judged, support, counts, groups, confidence)
        for metric, parts in wanted.items()
    }
    return {
        "column": name,
        "groups": described
        if groups.is_ordered
        else sorted(described, key=lambda group: (-group["rows"], group["value"])),
        "disparities": disparities,
    }


def _disparity(
    found: Mapping[str, Means],
    metrics: Sequence[str],
    judged: Mapping[str, NDArray[np.int64]],
    support: Mapping[str, NDArray[np.int64]],
    counts: Mapping[str, NDArray[Any]],
    groups: Groups,
    confidence: float,
) -> dict[str, Any] | None:
    """Compute the disparity of the judged groups in the worst metric; None below two groups.

    `counts` are the independent rows by metric and group, which make the intervals.
    """
    if any(len(judged[metric]) < 2 for metric in metrics):
        return None
    own = found["challenger"]
    figures = [_estimates(own[m][:, judged[m]], counts[m][judged[m]], m) for m in metrics]
    worst = metrics[int(np.argmax([np.ptp(one.values) for one in figures]))]
    at = own[worst][0, judged[worst]]
    difference = largest_gap(figures, confidence)
    if not ERRORS.intersection(metrics):  # shares differ by 1 at most
        difference = replace(difference, high=min(difference.high, 1.0))
    result: dict[str, Any] = {
        "groups": int(min(len(judged[metric]) for metric in metrics)),
        "highest": groups.names[judged[worst][int(at.argmax())]],
        "lowest": groups.names[judged[worst][int(at.argmin())]],
        "difference": difference.named("value"),
        "ratio": None,
        "small": _small(metrics, judged, support, groups),
        "over_champion": None,
    }
    if not WITHOUT_RATIO.intersection(metrics):
        logs = [
            logarithms(one)
            if m in ERRORS
            else logarithms_of_shares(one.values, counts[m][judged[m]].astype(np.float64))
            for m, one in zip(metrics, figures, strict=True)
        ]
        result["ratio"] = smallest_ratio([one.values for one in figures], logs, confidence).named(
            "value"
        )
    if "champion" in found:
        apart = {
            model: np.max([np.ptp(made[m][:, judged[m]], axis=1) for m in metrics], axis=0)
            for model, made in found.items()
        }
        more = apart["challenger"] - apart["champion"]
        result["over_champion"] = interval(more, confidence).named("value")
    return result


def _effective(drawn: Floats, rows: NDArray[np.int64]) -> Floats:
    """Compute how many independent rows say as much of a share (Kish 1965, Survey Sampling, ch. 8)."""
    error = of_shares(drawn[0], rows.astype(np.float64)).errors
    found = np.maximum(np.nanstd(drawn[1:], axis=0), np.finfo(np.float64).tiny)
    return rows * np.minimum(1.0, (error / found) ** 2)


def _estimates(drawn: Floats, rows: NDArray[Any], metric: str) -> Estimates:
    """Estimate a metric of groups from its values on the rows and on resamples (1 + resamples, groups)."""
    if metric in ERRORS:
        return Estimates(drawn[0], np.nanstd(drawn[1:], axis=0))
    return of_shares(drawn[0], rows.astype(np.float64))


def _small(
    metrics: Sequence[str],
    judged: Mapping[str, NDArray[np.int64]],
    support: Mapping[str, NDArray[np.int64]],
    groups: Groups,
) -> dict[str, Any]:
    """Name the groups that are too small to be judged, and the share of the rows that they have."""
    names: dict[str, None] = {}
    share = 0.0
    for metric in metrics:
        left = np.setdiff1d(np.arange(len(groups.names)), judged[metric])
        names |= dict.fromkeys(groups.names[code] for code in left)
        share = max(share, float(support[metric][left].sum() / support[metric].sum()))
    return {"groups": list(names), "share": share}


def _framed(
    kind: Kind, truth: NDArray[Any], prediction: Prediction, groups: Groups
) -> pd.DataFrame:
    """Compute the metrics of each group by fairlearn (a row per group, in their order)."""
    from fairlearn.metrics import (
        MetricFrame,
        false_positive_rate,
        selection_rate,
        true_positive_rate,
    )
    from sklearn.metrics import accuracy_score, mean_absolute_error

    known: dict[str, Callable[..., float]] = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
        "accuracy": accuracy_score,
        "mae": mean_absolute_error,
        "mean_error": _mean_error,
    }
    actual, predicted, codes, weights = _distinct(kind, truth, prediction, groups)
    names = list(MEASURED_ON[kind])
    frame = MetricFrame(
        metrics={name: known[name] for name in names},
        y_true=actual,
        y_pred=predicted,
        sensitive_features=codes,
        sample_params={name: {"sample_weight": weights} for name in names},
    )
    return frame.by_group.sort_index()


def _distinct(
    kind: Kind, truth: NDArray[Any], prediction: Prediction, groups: Groups
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64], NDArray[Any]]:
    """Merge equal rows into actual, predicted, group and weight: fairlearn handles rows one by one."""
    if kind == "regression":
        return truth, prediction.score, groups.codes, np.ones(len(truth))
    actual, predicted = truth.astype(np.int64), prediction.label.astype(np.int64)
    if kind == "multiclass":  # all that accuracy asks
        actual, predicted = np.ones(len(truth), dtype=np.int64), (actual == predicted).astype(int)
    cell, counts = np.unique(groups.codes * 4 + actual * 2 + predicted, return_counts=True)
    return cell // 2 % 2, cell % 2, cell // 4, counts


def _mean_error(
    actual: NDArray[Any], predicted: NDArray[Any], sample_weight: NDArray[Any] | None = None
) -> float:
    return float(np.average(predicted - actual, weights=sample_weight))


def _support(kind: Kind, truth: NDArray[Any], groups: Groups) -> dict[str, NDArray[np.int64]]:
    """Count the rows of each group that a metric is the mean of."""
    size = len(groups.names)
    chosen: dict[str, NDArray[Any]] = {"rows": np.ones(len(truth), dtype=bool)}
    if kind == "binary":
        chosen |= {"positive rows": truth, "negative rows": ~truth}
    counts = {
        name: np.bincount(groups.codes[rows], minlength=size) for name, rows in chosen.items()
    }
    return {metric: counts[rows] for metric, rows in MEASURED_ON[kind].items()}


def _counts(cell: NDArray[np.int64], weights: Weights, size: int) -> Floats:
    return np.stack([np.bincount(cell, row, size) for row in weights])


def _largest(columns: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the largest difference of each metric over the sensitive columns, to compare runs."""
    result: dict[str, float] = {}
    for column in columns:
        for metric, apart in column["disparities"].items():
            if apart is not None:
                name = f"{metric}_difference"
                result[name] = max(result.get(name, 0.0), apart["difference"]["value"])
    return result


def _cell(figure: Mapping[str, Any]) -> str:
    if not figure["rows"]:
        return "–"
    text = f"{figure['value']:z.4g}"
    return text if figure["judged"] else f"({text})"


def _apart(apart: Mapping[str, Any] | None) -> str:
    if apart is None:
        return "not judged, fewer than two groups have enough rows"
    value = apart["difference"]
    text = f"{value['value']:.4g} apart ({value['low']:.4g} – {value['high']:.4g})"
    return f"{text}, highest {apart['highest']}, lowest {apart['lowest']}"
