"""Data of the run: violated rules, split, source, and a profile of each column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard import console
from modelyard.reports import charts
from modelyard.reports.facts import SPLITS, Facts, Section
from modelyard.reports.reading import Rows, listed, mapping, records
from modelyard.reports.wording import MISSING, date, finite, number, percent, plural, text, words

MOST_COLUMNS = 120
DROPPED = {
    "cleaning": "By cleaning",
    "no_target": "Without target",
    "no_time": "Without time",
    "duplicates": "Repeated rows",
}


def violations(facts: Facts) -> Rows | None:
    """Return the violated rules of the data contract."""
    return [
        {
            "column": text(violation.get("column")) if violation.get("column") else "whole table",
            "rule": text(violation.get("rule")),
            "expected": text(violation.get("expected")),
            "found": text(violation.get("found")),
            "rows": number(violation.get("rows")),
            "share": percent(violation.get("share")),
            "examples": text(violation.get("examples"), 120),
            "first_rows": text(violation.get("first_rows"), 80),
        }
        for violation in facts.violations
    ] or None


def data(facts: Facts) -> Section | None:
    """Describe the table: its columns, source and split, and the rows left out."""
    if not facts.quality and not facts.data:
        return None
    columns = records(facts.quality.get("columns"))
    source = mapping(facts.data, "source")
    origin = [
        ("File", text(source.get("file"))),
        ("SHA-256 of the file", text(source.get("sha256"))),
        ("Digest of the rows", text(facts.data.get("digest"))),
    ]
    dropped = [
        (DROPPED.get(name, words(name)), number(count))
        for name, count in mapping(facts.data, "dropped").items()
        if finite(count) is not None
    ]
    return {
        "columns": [_column(column) for column in columns[:MOST_COLUMNS]],
        "more_columns": max(len(columns) - MOST_COLUMNS, 0),
        "many": len(columns) > 25,
        "rows": number(facts.quality.get("rows")),
        "splits": _splits(facts),
        "source": [(label, value) for label, value in origin if value != MISSING],
        "dropped": dropped,
        "repeated": repeated(facts),
    }


def repeated(facts: Facts) -> str:
    """Say how many rows repeat another, and what became of them; empty where none does."""
    found = mapping(facts.data, "repeated")
    rows, distinct = finite(found.get("rows")), finite(found.get("distinct"))
    if not rows:
        return ""
    if group := mapping(facts.data, "split").get("group"):
        return f"The rows of each of the {number(distinct)} {text(group, 80)} stand in one part."
    return (
        f"{plural(rows, 'row repeats', 'rows repeat')} another in all columns but the target: all are kept, "
        f"and copies of each of the {number(distinct)} distinct rows stand in one part."
    )


def _column(column: Mapping[str, Any]) -> Section:
    nulls = finite(column.get("nulls"))
    low, mean, high = (finite(column.get(end)) for end in ("min", "mean", "max"))
    top = [
        (text(pair[0], 40), share)
        for pair in listed(column.get("top"))
        if isinstance(pair, list) and len(pair) == 2 and (share := finite(pair[1])) is not None
    ]
    found: Section = {
        "name": text(column.get("name"), 80),
        "type": text(column.get("type")),
        "role": text(column.get("role")) if column.get("role") else "feature",
        "why": text(column.get("why"), 120) if column.get("why") else "",
        "nulls": percent(nulls),
        "nulls_bar": charts.share_bar(nulls, "warn") if nulls else "",
        "distinct": number(column.get("distinct")),
        "top": [],
        "range": "",
        "range_bar": "",
        "mean": "",
    }
    if low is not None and high is not None:
        # Whole numbers like these may be years, which have no thousands separators.
        years = column.get("type") == "integer" and low >= 1000 and high < 3000
        write = "{:.0f}".format if years else number
        found["range"] = f"{write(low)} to {write(high)}"
        if mean is not None:
            found["mean"] = f"mean {write(mean)}"
            found["range_bar"] = charts.range_bar(low, mean, high) if high > low else ""
    elif top:
        found["top"] = [
            {"value": value, "share": percent(share), "bar": charts.share_bar(share)}
            for value, share in top[:3]
        ]
    elif column.get("min") is not None and column.get("max") is not None:
        found["range"] = f"{date(column['min'])} to {date(column['max'])}"
    return found


def _splits(facts: Facts) -> Section | None:
    split = mapping(facts.data, "split")
    sizes = {name: finite(mapping(split, name).get("rows")) for name in SPLITS}
    total = sum(size for size in sizes.values() if size)
    if not total:
        return None
    parts = [(name, mapping(split, name), sizes[name] or 0.0) for name in SPLITS if name in split]
    return {
        "title": {
            "time": "Split by time",
            "stratified": "Stratified split",
            "group": "Split by group",
        }.get(str(split.get("method")), "Split at random" if split.get("method") else "Split"),
        "bar": charts.stack((name, size / total) for name, _, size in parts),
        "timed": any(part.get("from") is not None for _, part, _ in parts),
        "target_label": _target_label(facts),
        "parts": [
            {
                "name": name,
                "rows": number(sizes[name]),
                "share": percent(size / total),
                "from": date(part.get("from")),
                "to": date(part.get("to")),
                "target": _target_summary(facts, part),
            }
            for name, part, size in parts
        ],
    }


def _target_label(facts: Facts) -> str:
    if facts.kind == "regression":
        return f"Mean of {facts.target}"
    if facts.kind == "binary" and facts.positive:
        return f"{facts.target} = {facts.positive}"
    return "Target"


def positive_share_or_mean(facts: Facts, part: Mapping[str, Any]) -> float | None:
    """Return the target's mean in a part of the split; of a class, the positive class's share."""
    mean = finite(part.get("target_mean"))
    if mean is None and facts.positive:
        shares = {text(label, 60): share for label, share in mapping(part, "class_shares").items()}
        mean = finite(shares.get(facts.positive))
    return mean


def _target_summary(facts: Facts, part: Mapping[str, Any]) -> str:
    mean = positive_share_or_mean(facts, part)
    if mean is not None:
        return facts.target_mean(mean) if facts.kind else number(mean)
    shares = [(text(k, 40), finite(v) or 0.0) for k, v in mapping(part, "class_shares").items()]
    shares.sort(key=lambda pair: (-pair[1], pair[0]))
    return console.listed((f"{label} {percent(share)}" for label, share in shares), 4) or MISSING
