"""Cohorts: the small tree of the rows in which the challenger errs most."""

from __future__ import annotations

from typing import Any, NamedTuple

from modelyard.reports import charts
from modelyard.reports.charts import Dot
from modelyard.reports.facts import Facts, Section, as_estimate
from modelyard.reports.reading import listed, mapping, records
from modelyard.reports.wording import MISSING, estimate, finite, number, percent, plural, text

NONE_WORSE = "No cohort is worse than its noise."


def cohorts(facts: Facts) -> Section | None:
    """Draw the tree, and say which cohort is worst."""
    given = mapping(facts.evaluation, "cohorts")
    nodes = records(given.get("nodes"))
    if not given:
        return None
    is_share = given.get("unit") == "share wrong"
    figures = [as_estimate(node.get("error")) for node in nodes]
    ends = [end for found in figures if found is not None for end in found if end is not None]
    domain = charts.padded(ends or [0.0], 0.08)
    everyone = figures[0].value if figures and figures[0] is not None else None
    rows = []
    for node, found in zip(nodes, figures, strict=True):
        rule = _rule(node)
        css = "bad" if node.get("worse") is True else "baseline"
        value, interval = written(found, is_share)
        rows.append(
            {
                "said": rule[-1] if rule else "all rows",
                "depth": min(len(rule), 3),
                "worse": node.get("worse") is True,
                "rows": number(node.get("rows")),
                "value": value,
                "interval": interval,
                "strip": charts.strip([Dot("", css, *found)], domain, reference=everyone)
                if found is not None
                else "",
            }
        )
    return {
        "sentence": worst_cohort(facts),
        "label": "Share wrong" if is_share else "Mean absolute error",
        "found_on": number(given.get("found_on")),
        "judged_on": number(given.get("judged_on")),
        "interval": facts.interval,
        "table": rows if len(rows) > 1 else [],
    }


class Worst(NamedTuple):
    """The worst cohort, as text."""

    rule: str
    value: str
    interval: str
    rows: str
    everyone: str
    is_share: bool


def worst_of(facts: Facts) -> Worst | None:
    """Return the worst cohort; None if there is none."""
    given = mapping(facts.evaluation, "cohorts")
    nodes, at = records(given.get("nodes")), finite(given.get("worst"))
    if at is None or not 0 <= at < len(nodes):
        return None
    worst, is_share = nodes[int(at)], given.get("unit") == "share wrong"
    value, interval = written(as_estimate(worst.get("error")), is_share)
    everyone, _ = written(as_estimate(nodes[0].get("error")), is_share)
    rows = plural(finite(worst.get("rows")) or 0, "row")
    rule = " and ".join(_rule(worst)) or MISSING
    return Worst(rule, value, interval, rows, everyone, is_share)


def worst_cohort(facts: Facts) -> str:
    """Name the worst cohort in a sentence; empty where the evidence says nothing."""
    given = mapping(facts.evaluation, "cohorts")
    if not records(given.get("nodes")):
        return f"Not looked for: {text(given['why'], 200)}." if given.get("why") else ""
    worst = worst_of(facts)
    if worst is None:
        return NONE_WORSE
    error = f"{worst.value} ({worst.interval})" if worst.interval else worst.value
    said = (
        f"{error} of {worst.rows} are predicted wrong; of all rows {worst.everyone}."
        if worst.is_share
        else f"off by {error} on average, on {worst.rows}; on all rows by {worst.everyone}."
    )
    return f"Worst where {worst.rule}: {said}"


def written(found: Any, is_share: bool) -> tuple[str, str]:
    """Write an error and its interval: a share as percent."""
    if found is None:
        return MISSING, ""
    if not is_share:
        return estimate(*found)
    ends = [percent(end) for end in (found.low, found.high) if end is not None]
    return percent(found.value), " to ".join(ends) if len(ends) == 2 else ""


def _rule(node: dict[str, Any]) -> list[str]:
    return [text(part, 160) for part in listed(node.get("rule"))]
