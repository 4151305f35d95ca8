"""Verdicts on what was measured: thresholds, breaches, and how long they have lasted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError
from modelyard.files import read_json
from modelyard.monitoring.metrics import METRICS
from modelyard.monitoring.monitor_file import Monitor
from modelyard.monitoring.plan import Performance, Plan
from modelyard.monitoring.schedule import AttributionDrift, Signal

FINE, BREACH, NOT_JUDGED = "fine", "breach", "not judged"
MOST_PAST_RESULTS = 24


@dataclass(frozen=True)
class Breach:
    """A metric beyond its threshold.

    Attributes:
        feature: empty for a metric of the whole model.
        since: end of the first window of the unbroken series of breaches up to this one.
    """

    signal: str
    feature: str
    metric: str
    value: float
    threshold: float
    since: datetime


def judge_signal(
    name: str, signal: Signal, plan: Plan, measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a signal's measurements with thresholds and verdicts, as evidence holds them.

    Args:
        name: of the signal.
        signal: of the monitor's file.
        plan: says which windows were measured.
        measured: of this signal; empty where it was skipped.
    """
    planned = plan.signals.get(name)
    result: dict[str, Any] = {
        "type": signal.type,
        "alert": signal.alert_enabled,
        "windows": {},
        "rows": measured.get("rows", {}),
        "absent": measured.get("absent", []),
        "measures": [],
        "verdict": NOT_JUDGED,
        "reason": plan.skipped.get(name) or measured.get("unmeasured"),
    }
    if planned is not None:
        sides = {"production": planned.production, "reference": planned.reference}
        result["windows"] = {
            side: {
                "from": window.start.isoformat() if window.start else None,
                "to": window.end.isoformat() if window.end else None,
            }
            for side, window in sides.items()
        }
    result |= {key: measured[key] for key in ("attributions", "sample") if key in measured}
    for measure in measured.get("measures", []):
        kind = planned.kind if isinstance(planned, Performance) else measure["kind"]
        result["measures"].append(_judged(measure, _threshold(signal, kind, measure["metric"])))
    verdicts = {measure["verdict"] for measure in result["measures"]}
    result["verdict"] = next((v for v in (BREACH, FINE) if v in verdicts), NOT_JUDGED)
    if result["verdict"] == NOT_JUDGED and not result["reason"]:
        reasons = [m["reason"] for m in result["measures"] if m["reason"]]
        result["reason"] = reasons[0] if reasons else "nothing to measure"
    return result


def breaches_of(signals: Mapping[str, Any]) -> tuple[Breach, ...]:
    """Return the breaches of signals with `alert_enabled`, which alone decide."""
    return tuple(
        Breach(
            name,
            measure["feature"],
            measure["metric"],
            measure["value"],
            measure["limit"],
            datetime.fromisoformat(measure["since"]),
        )
        for name, signal in signals.items()
        if signal["alert"]
        for measure in signal["measures"]
        if measure["verdict"] == BREACH
    )


def _threshold(signal: Signal, kind: str, metric: str) -> float:
    if isinstance(signal, AttributionDrift):
        return signal.metric_thresholds.normalized_discounted_cumulative_gain
    return signal.metric_thresholds.thresholds()[kind][metric]


def _judged(measure: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """Return a measurement with its verdict.

    Data quality is judged against the reference's own rate plus the threshold. A distance that
    samples of these sizes would have without any drift is not judged.
    """
    value, is_worse_below = measure["value"], METRICS[measure["metric"]].is_worse_below
    limit = threshold + (measure.get("reference") or 0.0)
    chance = measure.get("chance")
    reason = None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        verdict, reason = NOT_JUDGED, "it is not defined on these rows"
    elif chance is not None and not is_worse_below and chance >= threshold:
        verdict = NOT_JUDGED
        reason = f"too few rows: chance alone gives about {chance:.2g}"
    else:
        is_beyond = value < limit if is_worse_below else value > limit
        verdict = BREACH if is_beyond else FINE
    return {**measure, "threshold": threshold, "limit": limit, "verdict": verdict, "reason": reason}


def past_results(folder: Path, monitor: Monitor, at: datetime) -> list[dict[str, Any]]:
    """Read earlier results of the same monitor and endpoint beside a result's folder, oldest first.

    Files that are damaged or something else are left out.
    """
    found = {}
    for file in folder.parent.glob("*/monitor.json"):
        with suppress(UsageError, KeyError, TypeError, ValueError):
            content = read_json(file)
            details = content["details"]
            is_same = (details["monitor"], details["endpoint"]) == (monitor.name, monitor.endpoint)
            when = datetime.fromisoformat(details["at"])
            if content["evidence"] == "monitor" and is_same and when < at:
                found[when] = details
    return [found[when] for when in sorted(found)][-MOST_PAST_RESULTS:]


def add_trends(signals: Mapping[str, Any], past: Sequence[Mapping[str, Any]], at: datetime) -> None:
    """Give every measurement its past values, and every breach the time since when it has lasted."""
    earlier: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for details in past:
        for name, signal in details["signals"].items():
            for measure in signal["measures"]:
                point = {key: measure[key] for key in ("value", "limit", "verdict")}
                key = (name, measure["feature"], measure["metric"])
                earlier.setdefault(key, []).append({"at": details["at"], **point})
    for name, signal in signals.items():
        for measure in signal["measures"]:
            trend = earlier.get((name, measure["feature"], measure["metric"]), [])
            measure["trend"] = trend
            if measure["verdict"] == BREACH:
                since = at.isoformat()
                for point in reversed(trend):
                    if point["verdict"] != BREACH:
                        break
                    since = point["at"]
                measure["since"] = since
