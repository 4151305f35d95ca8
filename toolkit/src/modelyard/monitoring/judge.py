"""Verdicts on what was measured: thresholds, breaches, and how long they have lasted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modelyard.console import listed
from modelyard.errors import UsageError
from modelyard.files import read_json
from modelyard.monitoring.metrics import METRICS
from modelyard.monitoring.plan import Performance, Plan
from modelyard.monitoring.schedule import AttributionDrift, Signal
from modelyard.monitoring.sources import Sources

FINE, BREACH, NOT_JUDGED = "fine", "breach", "not judged"
MOST_PAST_RESULTS = 24
TOO_FEW = "too few rows, their noise is above the threshold"
INSIDE = "too few rows, the threshold is inside the interval"


@dataclass(frozen=True)
class Breach:
    """A metric beyond its threshold.

    Attributes:
        feature: empty for a metric of the whole model.
        noise: by how much `value` may by chance exceed the reference's own rate, or fall below 1 where that
            is the best; None: nothing is drawn.
        interval: the ends of that of `value`, where it has one.
        since: end of the first window of the unbroken series of breaches up to this one.
    """

    signal: str
    feature: str
    metric: str
    value: float
    threshold: float
    noise: float | None
    interval: tuple[float, float] | None
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
        if "never" in measure:
            result["measures"].append(_without_values(measure))
            continue
        kind = planned.kind if isinstance(planned, Performance) else measure["kind"]
        result["measures"].append(_judged(measure, _threshold(signal, kind, measure["metric"])))
    verdicts = {measure["verdict"] for measure in result["measures"]}
    if not result["reason"]:
        unjudged = [m for m in result["measures"] if m["verdict"] == NOT_JUDGED]
        result["reason"] = _reasons(unjudged) if verdicts else "nothing to measure"
    if BREACH in verdicts:
        result["verdict"] = BREACH
    elif not result["reason"]:
        result["verdict"] = FINE
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
            measure.get("noise"),
            tuple(measure["interval"]) if measure.get("interval") else None,
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
    """Return a measurement with its verdict; that of data quality adds the reference's own rate to the limit."""
    limit = threshold + (measure.get("reference") or 0.0)
    verdict, reason = _verdict(measure, threshold, limit)
    return {**measure, "threshold": threshold, "limit": limit, "verdict": verdict, "reason": reason}


def _verdict(measure: Mapping[str, Any], threshold: float, limit: float) -> tuple[str, str | None]:
    """Return the verdict on a measurement, with the reason where it is not judged.

    An interval is a breach where all of it is beyond the limit, and is not judged where the limit lies
    inside. A value with noise is a breach beyond both. Where the noise alone exceeds the threshold, a smaller
    value is not judged: on so few rows it says nothing about a change of the threshold's size.
    """
    value, noise, ends = measure["value"], measure.get("noise"), measure.get("interval") or []
    if any(one is None or math.isnan(one) for one in (value, *ends)):
        return NOT_JUDGED, "it is not defined on these rows"
    sign = -1 if METRICS[measure["metric"]].is_worse_below else 1
    if ends:
        low, high = sorted(sign * end for end in ends)
        if low <= sign * limit < high:
            return NOT_JUDGED, INSIDE
        return (BREACH if low > sign * limit else FINE), None
    is_beyond = sign * value > sign * limit
    if noise is None:
        return (BREACH if is_beyond else FINE), None
    # Distances from the reference's own rate, or from 1, the best ranking.
    apart, room = value - (measure.get("reference") or 0.0), threshold
    if sign < 0:
        apart, room = 1 - value, 1 - threshold
    if is_beyond and apart > noise:
        return BREACH, None
    return (NOT_JUDGED, TOO_FEW) if noise > room else (FINE, None)


def _without_values(measure: Mapping[str, Any]) -> dict[str, Any]:
    """Return the measurement of a feature without values: a breach if it never came, else not judged."""
    found = {key: value for key, value in measure.items() if key not in ("never", "open")}
    rows = measure["never"]
    return {
        **found,
        "threshold": 0.0,
        "limit": measure["reference"],
        "verdict": NOT_JUDGED if rows is None else BREACH,
        "reason": measure["open"]
        if rows is None
        else f"it never came: none of {rows:,} rows has a value of it",
    }


def _reasons(unjudged: Sequence[Mapping[str, Any]]) -> str | None:
    """Name the measurements that are not judged, by reason; None without any."""
    by_reason: dict[str, list[str]] = {}
    for measure in unjudged:
        name = measure["feature"] or METRICS[measure["metric"]].label
        if measure["reason"] == TOO_FEW:
            noise = f"noise {measure['noise']:.2g}"
            if METRICS[measure["metric"]].is_worse_below:
                noise = f"{1 - measure['noise']:.2g} by chance"
            name += f" ({noise}, threshold {measure['threshold']:.2g})"
        if measure["reason"] == INSIDE:
            low, high = measure["interval"]
            name += f" ({low:.3g} to {high:.3g}, threshold {measure['threshold']:.3g})"
        by_reason.setdefault(measure["reason"], []).append(name)
    said = (f"{listed(dict.fromkeys(names))}: {reason}" for reason, names in by_reason.items())
    return "; ".join(said) or None


def past_results(folder: Path, sources: Sources) -> list[dict[str, Any]]:
    """Read earlier results of the same monitor, endpoint and line of versions, oldest first.

    They are beside the folder of the result.
    Files that are damaged or something else are left out.
    """
    found, monitor = {}, sources.monitor
    for file in folder.parent.glob("*/monitor.json"):
        with suppress(UsageError, KeyError, TypeError, ValueError):
            content = read_json(file)
            details = content["details"]
            is_same = (details["monitor"], details["endpoint"]) == (monitor.name, monitor.endpoint)
            when = datetime.fromisoformat(details["at"])
            if (
                content["evidence"] == "monitor"
                and is_same
                and when < sources.at
                and not sources.why_other(details["contract"])
            ):
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
