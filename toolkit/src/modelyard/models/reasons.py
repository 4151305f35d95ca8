"""The reasons of a decision, one per gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.console import listed
from modelyard.gates import Budget, Disparity, FairnessGate, FootprintGate, Gates

MEGABYTE = 1e6
# Field of the gate: label, key in the evidence, bytes or seconds per unit, unit.
COSTS: dict[str, tuple[str, str, float, str]] = {
    "model_megabytes": ("model on disk", "model_bytes", MEGABYTE, "MB"),
    "load_seconds": ("time to load", "load_seconds", 1.0, "s"),
    "memory_megabytes": ("memory", "memory_bytes", MEGABYTE, "MB"),
    "latency_milliseconds": ("latency of one row", "latency_p95", 1.0, "ms"),
}
ENDS = ("value", "low", "high")
RUN_AGAIN = "run the pipeline again: this version was registered without it"
MORE_ROWS = "too few rows to tell: bring more"


@dataclass(frozen=True)
class Reason:
    """The result of one gate.

    Attributes:
        passed: None where it could not be judged: the gate is open.
        advice: what to do where it has not passed.
    """

    gate: str
    expected: str
    found: str
    passed: bool | None
    advice: str = ""


def at_least(figure: Mapping[str, Any], limit: float, *, strictly: bool = False) -> bool | None:
    """Compare an interval with a lower limit: True where all of it holds, False where nothing does.

    Args:
        figure: `value` or `difference`, with `low` and `high`; without ends the value alone decides.
        limit: the least that holds.
        strictly: the limit itself does not hold.

    Returns:
        None where the limit lies inside the interval, or the figure is not defined.
    """
    value = _value(figure)
    if value is None:
        return None
    low = value if figure["low"] is None else figure["low"]
    high = value if figure["high"] is None else figure["high"]
    if low > limit or (low == limit and not strictly):
        return True
    return False if high < limit or (high == limit and strictly) else None


def at_most(figure: Mapping[str, Any], limit: float) -> bool | None:
    """Compare an interval with an upper limit; see `at_least`."""
    exceeds = at_least(figure, limit, strictly=True)
    return None if exceeds is None else not exceeds


def every(outcomes: Iterable[bool | None]) -> bool | None:
    """Combine outcomes: failed if one is, open if one is, else passed."""
    found = set(outcomes)
    return False if False in found else None if None in found else True


def fairness_reasons(gate: FairnessGate, evidence: Mapping[str, Any] | None) -> Iterator[Reason]:
    """Compare every sensitive column with its limits; without one there is nothing to judge."""
    name = "fair between groups"
    if evidence is None:
        yield Reason(name, "fairness.json", "no evidence", passed=False, advice=RUN_AGAIN)
        return
    details = evidence["details"]
    version = (details.get("champion") or {}).get("version")
    for column in details["columns"]:
        for metric, limit in gate.limits(column["column"], details["kind"]).items():
            apart = column["disparities"].get(metric)
            yield _apart(column, metric, limit, apart, gate.small_groups, details.get("scale"))
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


def number(value: float) -> str:
    """A figure as a decision prints it."""
    return f"{value:.4g}"


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"{value:+.4f}" if abs(value) < 10 else f"{value:+.5g}"


def figure_text(
    figure: Mapping[str, Any], write: Callable[[float], str], undefined: str = "nothing"
) -> str:
    """A figure with its interval, where it has one; `undefined` where it has no value."""
    value, low, high = _value(figure), figure["low"], figure["high"]
    if value is None:
        return undefined
    if low is None or high is None:
        return write(value)
    return f"{write(value)} [{write(low)}, {write(high)}]"


def _apart(
    column: Mapping[str, Any],
    metric: str,
    limit: Disparity,
    apart: Mapping[str, Any] | None,
    small_groups: float,
    scale: float | None,
) -> Reason:
    gate = f'fair by "{column["column"]}": {metric}'
    unit = " standard deviations" if scale is not None else ""
    limits = [f"difference ≤ {limit.difference:g}{unit}"] if limit.difference is not None else []
    limits += [f"ratio ≥ {limit.ratio:g}"] if limit.ratio is not None else []
    if limit.ratio is not None and limit.negligible:
        limits[-1] += f" (or difference ≤ {limit.negligible:g}{unit})"
    expected = ", ".join(limits) or "nothing"
    few = f"{MORE_ROWS}, or judge by other groups"
    if apart is None:
        found = f"not judged: fewer than two of {len(column['groups'])} groups have enough rows"
        return Reason(gate, expected, found, None, few)
    difference = {end: _scaled(apart["difference"][end], scale) for end in ENDS}
    outcomes, said = [], []
    if limit.difference is not None:
        said.append(f"difference {figure_text(difference, number)}")
        outcomes.append(at_most(difference, limit.difference))
    if limit.ratio is not None:
        ratio = apart.get("ratio") or dict.fromkeys(ENDS)
        said.append(f"ratio {figure_text(ratio, number)}")
        outcomes.append(at_least(ratio, limit.ratio))
        negligible = at_most(difference, limit.negligible) if limit.negligible else False
        if outcomes[-1] is not True and negligible is not False:
            outcomes[-1] = negligible
            if negligible and difference["value"] is not None:
                said[-1] += f", of figures {number(difference['value'])}{unit} apart"
    low, high = apart["lowest"], apart["highest"]
    between = f"{low} to {high}, " if low != high else ""
    found = f"{', '.join(said)} ({between}{apart['groups']} groups)"
    small = apart.get("small") or {}
    if small.get("groups"):
        found += (
            f"; not judged in full: {listed(small['groups'])}, {small['share']:.1%} of the rows"
        )
        if small["share"] > small_groups:
            outcomes.append(None)
    passed = every(outcomes)
    advice = {
        True: "",
        False: "find out why the groups differ before anything else: data, target or features; another "
        "limit for this column needs a reason in conf/gates.yml",
        None: few,
    }[passed]
    return Reason(gate, expected, found, passed, advice)


def _more_apart(
    column: Mapping[str, Any],
    metric: str,
    more: Mapping[str, Any],
    margin: float,
    version: str | None,
    scale: float | None,
) -> Reason:
    scaled = {end: _scaled(more[end], scale) for end in ENDS}
    passed = None if scaled["low"] is None else scaled["low"] <= margin
    return Reason(
        gate=f'fair by "{column["column"]}", against champion v{version}: {metric}',
        expected=f"difference not clearly larger by more than {margin:g}",
        found=figure_text(scaled, signed, "not judged: too few held-out rows"),
        passed=passed,
        advice={
            True: "",
            False: "the groups lie further apart than before: keep the champion",
            None: MORE_ROWS,
        }[passed],
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
        return Reason(label, expected, found, None, "run the pipeline on a system that does")
    found = f"{own:.3g} {sign}"
    fits = own <= budget.most
    if not fits:
        advice = "a smaller model, or a larger budget in conf/gates.yml"
        return Reason(label, expected, found, passed=False, advice=advice)
    if not growth_asked or budget.growth is None:
        return Reason(label, expected, found, passed=True)
    if other is None:
        found += "; the champion was not measured"
        passed = True if own <= budget.negligible else None
        advice = "" if passed else "measure the champion, or leave growth out in conf/gates.yml"
        return Reason(label, expected, found, passed, advice)
    times = own / other if other > 0 else float("inf")
    found += f", {times:.3g} ×"
    if times <= budget.growth:
        return Reason(label, expected, found, passed=True)
    if own <= budget.negligible:
        found += f", which does not matter below {budget.negligible:g} {sign}"
        return Reason(label, expected, found, passed=True)
    advice = "it grew beyond the champion: a smaller model, or more growth in conf/gates.yml"
    return Reason(label, expected, found, passed=False, advice=advice)


def _value(figure: Mapping[str, Any]) -> float | None:
    return figure["difference"] if "difference" in figure else figure["value"]


def _figure(model: Mapping[str, Any] | None, key: str, unit: float) -> float | None:
    value = (model or {}).get(key)
    return None if value is None else float(value) / unit


def _scaled(value: float | None, scale: float | None) -> float | None:
    return value if value is None or not scale else value / scale
