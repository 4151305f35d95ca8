"""Metrics of the groups of each sensitive column, and the differences between groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard.reports import charts
from modelyard.reports.charts import Dot
from modelyard.reports.facts import Facts, Section, as_estimate, signed_estimate
from modelyard.reports.labels import (
    GROUP_METRICS,
    group_figure,
    group_metric_label,
    is_error,
    ordered_group_metrics,
)
from modelyard.reports.reading import Rows, as_mapping, mapping, records
from modelyard.reports.wording import MISSING, estimate, finite, number, plural, text

MOST_GROUPS = 24


def fairness(facts: Facts) -> Section | None:
    """Compare the groups of each sensitive column."""
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
            f"and {'is' if few == 1 else 'are'} shown, not judged."
        )
    return {"sentence": sentence, "columns": columns}


def _column(facts: Facts, column: Mapping[str, Any], at: int) -> Section | None:
    groups = records(column.get("groups"))
    names = ordered_group_metrics({name for group in groups for name in mapping(group, "metrics")})
    if not groups or not names:
        return None
    title = text(column.get("column"), 80)
    shown = groups[:MOST_GROUPS]
    disparities = mapping(column, "disparities")
    return {
        "name": title,
        "few": sum(is_small(group) for group in groups),
        "figures": [
            figure for name in names if (figure := _figure(shown, name, f"{at}-{name}", title))
        ],
        "headings": [group_metric_label(name) for name in names],
        "table": [_row(group, names) for group in shown],
        "left_out": len(groups) - len(shown),
        "apart": _differences(facts, disparities),
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
        value = group_figure(metric, found.value)
        dots.append(Dot(text(group.get("value"), 40), css, *found, text=value))
    label = group_metric_label(metric)
    values = "; ".join(f"{dot.label} {dot.text}" for dot in dots)
    chart = charts.interval_rows(
        f"fair-{name}",
        f"{label} by {column}",
        f"{values}.",
        dots,
        reference=0.0 if metric == "mean_error" else None,
        shares=not is_error(metric),
    )
    meaning = GROUP_METRICS[metric].meaning if metric in GROUP_METRICS else ""
    return {"title": label, "lead": meaning, "chart": chart} if dots else None


def _row(group: Mapping[str, Any], names: Sequence[str]) -> Section:
    cells = []
    for name in names:
        value, interval = group_estimate(name, mapping(group, "metrics", name))
        cells.append({"value": value, "interval": interval})
    return {
        "name": text(group.get("value"), 60),
        "rows": number(group.get("rows")),
        "small": is_small(group),
        "cells": cells,
    }


def group_estimate(metric: str, given: Mapping[str, Any]) -> tuple[str, str]:
    """Write a figure of a group and its interval; a dash if no rows have it."""
    found = as_estimate(given)
    if found is None or not given.get("rows"):
        return MISSING, ""
    value = group_figure(metric, found.value)
    if found.low is None or found.high is None:
        return value, ""
    return value, f"{group_figure(metric, found.low)} to {group_figure(metric, found.high)}"


def _differences(facts: Facts, disparities: Mapping[str, Any]) -> Rows:
    """Return the difference between the highest and the lowest group, by metric."""
    scale = finite(facts.fairness.get("scale"))
    table = []
    for name in ordered_group_metrics(disparities):
        disparity = as_mapping(disparities[name])
        difference = as_estimate(disparity.get("difference"))
        if difference is None:
            table.append({"label": group_metric_label(name), "judged": False})
            continue
        value, interval = estimate(*difference)
        in_spreads = f"{number(difference.value / scale, 2)} standard deviations" if scale else ""
        ratio = as_estimate(disparity.get("ratio"))
        more = as_estimate(disparity.get("over_champion"))
        lowest, highest = (text(disparity.get(end), 40) for end in ("lowest", "highest"))
        table.append(
            {
                "label": group_metric_label(name),
                "judged": True,
                "difference": value,
                "interval": ", ".join(part for part in (interval, in_spreads) if part),
                "ratio": MISSING if ratio is None else number(ratio.value),
                "more": MISSING if more is None else signed_estimate(more)[0],
                "more_interval": "" if more is None else signed_estimate(more)[1],
                "ends": f"{lowest} to {highest}",
            }
        )
    return table


def is_small(group: Mapping[str, Any]) -> bool:
    """Tell whether a group has too few rows for one of its metrics."""
    return any(
        as_mapping(figure).get("judged") is False for figure in mapping(group, "metrics").values()
    )
