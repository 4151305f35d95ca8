"""Glossary of the terms and metrics that a report uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.reports.facts import Facts
from modelyard.reports.labels import GROUP_METRICS, METRICS
from modelyard.reports.reading import mapping, records

TERMS = {
    "Challenger": "The model this run trained.",
    "Champion": "The model in use, which a challenger has to match.",
    "Baseline": "A simple model of the same data, for comparison.",
    "Held-out rows": "Rows set aside before training; every figure here is measured on them.",
    "Interval": "Where a figure would land if other rows like these had been drawn. An interval "
    "of a difference that contains zero means that there may be no difference.",
    "Gate": "A condition a model must meet before it may be promoted.",
    "Calibration": "Whether a predicted 30% happens 30% of the time.",
    "Importance": "How much the main metric drops when one column is shuffled.",
    "Segment": "The rows that share one value of a column.",
    "Cohort": "The rows that up to three conditions describe, found where the model errs most.",
    "Group": "The rows that share one value, or range of values, of a sensitive column.",
    "Footprint": "What a model costs to serve: bytes, seconds to load, memory, time per answer.",
    "Digest": "A fingerprint of the rows: the same digest means the same data.",
}


def glossary(facts: Facts, sections: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the terms of the sections and the metrics shown, each with its meaning."""
    models = facts.models()
    used = {
        "Challenger": bool(models),
        "Champion": "champion" in models,
        "Baseline": "baseline" in models,
        "Held-out rows": bool(models),
        "Interval": bool(models),
        "Gate": bool(facts.decision),
        "Calibration": sections["calibration"] is not None and facts.kind != "regression",
        "Importance": sections["importance"] is not None,
        "Segment": sections["segments"] is not None,
        "Cohort": sections["cohorts"] is not None,
        "Group": sections["fairness"] is not None,
        "Footprint": sections["footprint"] is not None,
        "Digest": facts.data.get("digest") is not None,
    }
    terms = [(term, TERMS[term]) for term, wanted in used.items() if wanted]
    shown = {name for metrics in models.values() for name in metrics}
    terms += [(metric.label, metric.meaning) for name, metric in METRICS.items() if name in shown]
    labels = dict(terms)
    compared = {
        name
        for column in records(facts.fairness.get("columns"))
        for name, disparity in mapping(column, "disparities").items()
        if disparity is not None
    }
    return terms + [
        (metric.label, metric.meaning)
        for name, metric in GROUP_METRICS.items()
        if name in compared and metric.label not in labels
    ]
