"""The reasons of a decision, one per gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.gates import Budget, Disparity, FairnessGate, FootprintGate, Gates

MEGABYTE = 1e6
# Field of the gate: label, key in the evidence, bytes or seconds per unit, unit.
COSTS: dict[str, tuple[str, str, float, str]] = {
    "model_megabytes": ("model on disk", "model_bytes", MEGABYTE, "MB"),
    "load_seconds": ("time to load", "load_seconds", 1.0, "s"),
    "memory_megabytes": ("memory", "memory_bytes", MEGABYTE, "MB"),
    "latency_milliseconds": ("latency of one row", "latency_p95", 1.0, "ms"),
}
RUN_AGAIN = "run the pipeline again: this version was registered without it"


@dataclass(frozen=True)
class Reason:
    """The result of one gate; `advice` says what to do where it has not passed."""

    gate: str
    expected: str
    found: str
    passed: bool
    advice: str = ""


def fairness_reasons(gate: FairnessGate, evidence: Mapping[str, Any] | None) -> Iterator[Reason]:
    """Compare every sensitive column with its limits.

    Groups with fewer rows than the limit are not judged, which is reported and passes.
    """
    name = "fair between groups"
    if evidence is None:
        yield Reason(name, "fairness.json", "no evidence", passed=False, advice=RUN_AGAIN)
        return
    details = evidence["details"]
    if not details["columns"]:
        found = "not asked: the contract names no sensitive column"
        yield Reason(name, "limits hold for every sensitive column", found, passed=True)
        return
    version = (details.get("champion") or {}).get("version")
    for column in details["columns"]:
        for metric, limit in gate.limits(column["column"], details["kind"]).items():
            apart = column["disparities"].get(metric)
            yield _apart(column, metric, limit, apart, details.get("scale"))
            more = (apart or {}).get("over_champion")
            if gate.over_champion is not None and more is not None:
                yield _more_apart(
                    column, metric, more, gate.over_champion, version, details.get("scale")
                )


def exceptions(gates: Gates, evidence: Mapping[str, Any] | None) -> Iterator[str]:
    """The reasons for limits of single columns."""
    if gates.fairness is None or evidence is None:
        return
    for column in evidence["details"]["columns"]:
        own = gates.fairness.columns.get(column["column"])
        if own is not None and own.of(evidence["details"]["kind"]):
            yield f'"{column["column"]}" has limits of its own: {own.why}'


def footprint_reasons(gate: FootprintGate, evidence: Mapping[str, Any] | None) -> Iterator[Reason]:
    """Compare every figure with its budget, and with the champion's."""
    if evidence is None:
        yield Reason(
            "small and fast enough", "footprint.json", "no evidence", passed=False, advice=RUN_AGAIN
        )
        return
    details = evidence["details"]
    champion = details.get("champion") or {}
    for field, (label, key, unit, sign) in COSTS.items():
        budget: Budget | None = getattr(gate, field)
        if budget is None:
            continue
        own, other = (
            _figure(details["models"].get(model), key, unit) for model in ("challenger", "champion")
        )
        yield _cost(label, sign, budget, own, other, champion.get("version"))


def number(value: float | None) -> str:
    """A figure as a decision prints it."""
    return "nothing" if value is None else f"{value:.4g}"


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"{value:+.4f}" if abs(value) < 10 else f"{value:+.5g}"


def _apart(
    column: Mapping[str, Any],
    metric: str,
    limit: Disparity,
    apart: Mapping[str, Any] | None,
    scale: float | None,
) -> Reason:
    gate = f'fair by "{column["column"]}": {metric}'
    unit = " standard deviations" if scale is not None else ""
    limits = [f"difference ≤ {limit.difference:g}{unit}"] if limit.difference is not None else []
    limits += [f"ratio ≥ {limit.ratio:g}"] if limit.ratio is not None else []
    expected = ", ".join(limits) or "nothing"
    if apart is None:
        found = f"not judged: fewer than two of {len(column['groups'])} groups have enough rows"
        return Reason(gate, expected, found, passed=True)
    difference = _scaled(apart["difference"]["value"], scale)
    ratio = (apart.get("ratio") or {}).get("value")
    said = []
    passed = True
    if limit.difference is not None:
        said.append(f"difference {number(difference)}")
        passed = difference is not None and difference <= limit.difference
    if limit.ratio is not None:
        said.append(f"ratio {number(ratio)}")
        passed = passed and ratio is not None and ratio >= limit.ratio
    found = f"{', '.join(said)} ({apart['lowest']} to {apart['highest']}, {apart['groups']} groups)"
    advice = (
        ""
        if passed
        else "find out why the groups differ before anything else: data, target or features; another "
        "limit for this column needs a reason in conf/gates.yml"
    )
    return Reason(gate, expected, found, passed, advice)


def _more_apart(
    column: Mapping[str, Any],
    metric: str,
    more: Mapping[str, Any],
    margin: float,
    version: str | None,
    scale: float | None,
) -> Reason:
    value, low, high = (_scaled(more[key], scale) for key in ("value", "low", "high"))
    passed = low is None or low <= margin
    found = "nothing" if value is None else signed(value)
    if value is not None and low is not None and high is not None:
        found += f" [{signed(low)}, {signed(high)}]"
    return Reason(
        gate=f'fair by "{column["column"]}", against champion v{version}: {metric}',
        expected=f"difference not larger by more than {margin:g}, with confidence",
        found=found,
        passed=passed,
        advice="" if passed else "the groups lie further apart than before: keep the champion",
    )


def _cost(
    label: str,
    sign: str,
    budget: Budget,
    own: float | None,
    other: float | None,
    version: str | None,
) -> Reason:
    expected = f"≤ {budget.most:g} {sign}"
    growth_asked = version is not None and budget.growth is not None
    if growth_asked:
        expected += f", ≤ {budget.growth:g} × champion v{version}"
    if own is None:
        found = "not measured: this system does not tell"
        return Reason(label, expected, found, passed=True)
    found = f"{own:.3g} {sign}"
    fits = own <= budget.most
    if not fits:
        advice = "a smaller model, or a larger budget in conf/gates.yml"
        return Reason(label, expected, found, passed=False, advice=advice)
    if not growth_asked or budget.growth is None:
        return Reason(label, expected, found, passed=True)
    if other is None:
        return Reason(label, expected, f"{found}; the champion was not measured", passed=True)
    times = own / other if other > 0 else float("inf")
    found += f", {times:.3g} ×"
    if times <= budget.growth:
        return Reason(label, expected, found, passed=True)
    if own <= budget.negligible:
        found += f", which does not matter below {budget.negligible:g} {sign}"
        return Reason(label, expected, found, passed=True)
    advice = "it grew beyond the champion: a smaller model, or more growth in conf/gates.yml"
    return Reason(label, expected, found, passed=False, advice=advice)


def _figure(model: Mapping[str, Any] | None, key: str, unit: float) -> float | None:
    value = (model or {}).get(key)
    return None if value is None else float(value) / unit


def _scaled(value: float | None, scale: float | None) -> float | None:
    return value if value is None or not scale else value / scale
