"""Metric of each segment: the rows that share one value of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard.reports import charts
from modelyard.reports.charts import Dot
from modelyard.reports.facts import Estimate, Facts, Section, as_estimate
from modelyard.reports.labels import metric_label
from modelyard.reports.reading import Rows, records
from modelyard.reports.wording import MISSING, estimate, finite, number, text


def segments(facts: Facts) -> Section | None:
    """Compare each segment with all rows, the worst of each column first."""
    given = records(facts.evaluation.get("segments"))
    if not given:
        return None
    metric = str(given[0].get("metric") or facts.primary)
    higher = facts.higher_is_better(metric)
    overall = facts.models().get("challenger", {}).get(metric)
    figures = [as_estimate(segment.get("value_metric")) for segment in given]
    domain = _domain(given, figures, overall)
    columns: dict[str, Rows] = {}
    worse = []
    for segment, found in zip(given, figures, strict=True):
        row = _row(facts, segment, found, overall, higher)
        reference = overall.value if overall is not None else None
        if found is not None:
            css = "baseline" if row["small"] else "challenger"
            row["strip"] = charts.strip([Dot("", css, *found)], domain, reference=reference)
        column = text(segment.get("column"), 80)
        columns.setdefault(column, []).append(row)
        if row["behind"]:
            worse.append((row["order"], f"{column} = {row['value']} ({row['metric']})"))
    sentence = "No segment of enough rows is clearly worse than all rows together."
    if worse:
        start = "1 segment is" if len(worse) == 1 else f"{len(worse)} segments are"
        sentence = f"{start} clearly worse than all rows together; the worst is {min(worse)[1]}."
    sensitive = {text(s.get("column"), 80) for s in given if s.get("sensitive") is True}
    return {
        "metric": metric_label(metric),
        "overall": estimate(*overall)[0] if overall is not None else "",
        "groups": [
            {
                "column": column,
                "sensitive": column in sensitive,
                "rows": sorted(rows, key=lambda row: row["order"]),
            }
            for column, rows in columns.items()
        ],
        "target_label": "Actual" if facts.kind == "regression" else "Actual share",
        "means": any(finite(segment.get("target")) is not None for segment in given),
        "sentence": sentence if overall is not None else "",
    }


def _row(
    facts: Facts,
    segment: Mapping[str, Any],
    found: Estimate | None,
    overall: Estimate | None,
    higher: bool,
) -> Section:
    small = segment.get("small") is True
    value, interval = estimate(*found) if found is not None else (MISSING, "")
    rank = 0.0 if found is None else found.value if higher else -found.value
    return {
        "value": text(segment.get("value"), 60),
        "rows": number(segment.get("rows")),
        "small": small,
        "behind": not small and is_worse(found, overall, higher),
        "undefined": found is None,
        "metric": value,
        "interval": interval,
        "target": facts.target_mean(segment.get("target")),
        "predicted": facts.target_mean(segment.get("predicted")),
        "strip": "",
        "order": (found is None, small, rank),
    }


def _domain(
    given: Rows, figures: Sequence[Estimate | None], overall: Estimate | None
) -> tuple[float, float]:
    """Return the range of the segments with enough rows; a small one would squeeze the others."""
    pairs = [(s, found) for s, found in zip(given, figures, strict=True) if found is not None]
    large = [found for segment, found in pairs if segment.get("small") is not True]
    ends = [end for found in large or [f for _, f in pairs] for end in found if end is not None]
    ends += [overall.value] if overall is not None else []
    return charts.padded(ends or [0.0], 0.08)


def is_worse(found: Estimate | None, overall: Estimate | None, higher: bool) -> bool:
    """Tell whether the whole interval lies on the worse side of the value for all rows."""
    if found is None or overall is None:
        return False
    if higher:
        return found.high is not None and found.high < overall.value
    return found.low is not None and found.low > overall.value
