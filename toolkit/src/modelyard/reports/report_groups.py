"""Sections of the report on groups of sensitive columns, and on what the model costs to serve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelyard.reports import charts
from modelyard.reports.charts import Dot
from modelyard.reports.report_evidence import (
    COSTS,
    GROUP_METRICS,
    Facts,
    Rows,
    Section,
    as_estimate,
    as_mapping,
    mapping,
    records,
    signed_estimate,
    words,
)
from modelyard.reports.wording import MISSING, estimate, finite, number, percent, plural, text

MOST_GROUPS = 24


def fairness(facts: Facts) -> Section | None:
    """Hold the groups of each sensitive column side by side."""
    if not facts.fairness:
        return None
    columns = [
        found
        for at, column in enumerate(records(facts.fairness.get("columns")))
        if (found := _column(facts, column, at)) is not None
    ]
    least = number(facts.fairness.get("group_rows"))
    if not columns:
        return {
            "sentence": "The contract names no sensitive column, so no groups were compared.",
            "columns": [],
        }
    few = sum(column["few"] for column in columns)
    sentence = "Every group has enough rows to be judged."
    if few:
        sentence = (
            f"{plural(few, 'group rests', 'groups rest')} on fewer than {least} rows in some figure "
            "and are shown, not judged."
        )
        sentence = sentence.replace("are shown", "is shown") if few == 1 else sentence
    return {"sentence": sentence, "columns": columns}


def footprint(facts: Facts) -> Section | None:
    """What the model costs, beside the champion."""
    models = mapping(facts.footprint, "models")
    own, other = as_mapping(models.get("challenger")), as_mapping(models.get("champion"))
    table = []
    for key, (label, unit, sign) in COSTS.items():
        value, rival = finite(own.get(key)), finite(other.get(key))
        if value is None and rival is None:
            continue
        times = None if value is None or not rival else value / rival
        table.append(
            {
                "label": label,
                "own": MISSING if value is None else f"{number(value * unit)} {sign}",
                "other": MISSING if rival is None else f"{number(rival * unit)} {sign}",
                "times": MISSING if times is None else f"{number(times, 2)} ×",
            }
        )
    machine = mapping(facts.footprint, "machine")
    cores = finite(machine.get("cores"))
    parts = [text(machine.get(key)) for key in ("system", "processor") if machine.get(key)]
    parts += [plural(cores, "core")] if cores else []
    return (
        {
            "table": table,
            "champion": facts.champion if other else "",
            "machine": ", ".join(parts),
        }
        if table
        else None
    )


def metrics_shown(facts: Facts) -> set[str]:
    """Names of the figures that the groups have."""
    return {
        name
        for column in records(facts.fairness.get("columns"))
        for name, apart in mapping(column, "disparities").items()
        if apart is not None
    }


def ordered(metrics: Iterable[str]) -> list[str]:
    """Figures of groups in the order in which they are explained."""
    order = list(GROUP_METRICS)
    return sorted(metrics, key=lambda n: (order.index(n) if n in order else len(order), n))


def group_label(metric: str) -> str:
    """Name a figure of a group as people do."""
    return GROUP_METRICS[metric][0] if metric in GROUP_METRICS else words(metric)


def written(metric: str, value: Any) -> str:
    """Write a figure of a group: shares as percent, errors as numbers."""
    return number(value) if metric in ("mae", "mean_error") else percent(value)


def _column(facts: Facts, column: dict[str, Any], at: int) -> Section | None:
    groups = records(column.get("groups"))
    names = ordered({name for group in groups for name in mapping(group, "metrics")})
    if not groups or not names:
        return None
    title = text(column.get("column"), 80)
    shown = groups[:MOST_GROUPS]
    disparities = mapping(column, "disparities")
    return {
        "name": title,
        "few": sum(_is_small(group) for group in groups),
        "figures": [
            figure for name in names if (figure := _figure(shown, name, f"{at}-{name}", title))
        ],
        "headings": [group_label(name) for name in names],
        "table": [_row(group, names) for group in shown],
        "left_out": len(groups) - len(shown),
        "apart": _apart(facts, disparities),
        "champion": any(as_mapping(d).get("over_champion") for d in disparities.values()),
    }


def _figure(groups: Rows, metric: str, name: str, column: str) -> Section | None:
    dots = []
    for group in groups:
        given = mapping(group, "metrics", metric)
        found = as_estimate(given)
        if found is None or not given.get("rows"):
            continue
        css = "challenger" if given.get("judged") is True else "baseline"
        dots.append(
            Dot(text(group.get("value"), 40), css, *found, text=written(metric, found.value))
        )
    label = group_label(metric)
    said = "; ".join(f"{dot.label} {dot.text}" for dot in dots)
    chart = charts.interval_rows(
        f"fair-{name}",
        f"{label} by {column}",
        f"{said}.",
        dots,
        reference=0.0 if metric == "mean_error" else None,
        shares=metric not in ("mae", "mean_error"),
    )
    said_of = GROUP_METRICS[metric][1] if metric in GROUP_METRICS else ""
    return {"title": label, "lead": said_of, "chart": chart} if dots else None


def _row(group: dict[str, Any], names: list[str]) -> Section:
    cells = []
    for name in names:
        given = mapping(group, "metrics", name)
        found = as_estimate(given) if given.get("rows") else None
        value, interval = (MISSING, "")
        if found is not None:
            value = written(name, found.value)
            interval = (
                f"{written(name, found.low)} to {written(name, found.high)}"
                if found.low is not None and found.high is not None
                else ""
            )
        cells.append({"value": value, "interval": interval})
    return {
        "name": text(group.get("value"), 60),
        "rows": number(group.get("rows")),
        "small": _is_small(group),
        "cells": cells,
    }


def _apart(facts: Facts, disparities: dict[str, Any]) -> Rows:
    """How far the groups lie apart, by figure."""
    scale = finite(facts.fairness.get("scale"))
    table = []
    for name in ordered(disparities):
        apart = as_mapping(disparities[name])
        difference = as_estimate(apart.get("difference"))
        if difference is None:
            table.append({"label": group_label(name), "judged": False})
            continue
        value, interval = estimate(*difference)
        in_spreads = f"{number(difference.value / scale, 2)} standard deviations" if scale else ""
        ratio = as_estimate(apart.get("ratio"))
        more = as_estimate(apart.get("over_champion"))
        table.append(
            {
                "label": group_label(name),
                "judged": True,
                "difference": value,
                "interval": ", ".join(part for part in (interval, in_spreads) if part),
                "ratio": MISSING if ratio is None else number(ratio.value),
                "more": MISSING if more is None else signed_estimate(more)[0],
                "more_interval": "" if more is None else signed_estimate(more)[1],
                "ends": f"{text(apart.get('lowest'), 40)} to {text(apart.get('highest'), 40)}",
            }
        )
    return table


def _is_small(group: dict[str, Any]) -> bool:
    return any(
        as_mapping(figure).get("judged") is False for figure in mapping(group, "metrics").values()
    )
