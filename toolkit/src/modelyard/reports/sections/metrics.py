"""Metrics of the models, and the challenger's differences to champion and baseline."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard.reports import charts
from modelyard.reports.charts import Dot
from modelyard.reports.facts import Facts, Section, outcome, signed_estimate
from modelyard.reports.labels import METRICS, direction, metric_label
from modelyard.reports.wording import MISSING, estimate, lowered


def primary_metric(facts: Facts) -> Section | None:
    """Compare the models on the metric that decides."""
    dots = []
    for model, metrics in facts.models().items():
        found = metrics.get(facts.primary)
        if found is not None:
            dots.append(Dot(facts.model_label(model), model, *found, text=estimate(*found)[0]))
    label = metric_label(facts.primary)
    values = "; ".join(f"{dot.label} {dot.text}" for dot in dots)
    better = direction(facts.higher_is_better(facts.primary))
    chart = charts.dot_rows("hero", f"{label} of each model", f"{values}. {better}.", dots)
    return {"label": label, "direction": better, "chart": chart} if dots else None


def metrics(facts: Facts) -> Section | None:
    """Compare the models on every metric, and the challenger with each of the others."""
    models = facts.models()
    if not models:
        return None
    names = _in_order(facts, (name for metrics in models.values() for name in metrics))
    table = []
    for name in names:
        found = {model: metrics[name] for model, metrics in models.items() if name in metrics}
        dots = [Dot("", model, *figures) for model, figures in found.items()]
        ends = [end for figures in found.values() for end in figures if end is not None]
        cells = []
        for model in models:
            value, interval = estimate(*found[model]) if model in found else (MISSING, "")
            cells.append({"model": facts.model_label(model), "value": value, "interval": interval})
        table.append(
            {
                "label": metric_label(name),
                "direction": direction(facts.higher_is_better(name)),
                "arrow": "↑" if facts.higher_is_better(name) else "↓",
                "primary": name == facts.primary,
                "strip": charts.strip(dots, charts.padded(ends, 0.1)),
                "cells": cells,
            }
        )
    return {
        "models": [(facts.model_label(model), model) for model in models],
        "table": table,
        "comparisons": [c for model in ("champion", "baseline") if (c := _compared(facts, model))],
        "interval": facts.interval,
        "on": facts.judged_rows(),
    }


def _compared(facts: Facts, model: str) -> Section | None:
    differences = facts.differences(model)
    table = []
    for name in _in_order(facts, differences):
        found = differences[name]
        value, interval = signed_estimate(found)
        word, tone = outcome(found)
        reach = max((abs(end) for end in found if end is not None), default=0.0) * 1.12 or 1.0
        table.append(
            {
                "label": metric_label(name),
                "value": value,
                "interval": interval,
                "word": word,
                "tone": tone,
                "strip": charts.strip([Dot("", tone, *found)], (-reach, reach), reference=0.0),
            }
        )
    against = lowered(facts.champion) if model == "champion" else "the baseline"
    if model == "champion" and facts.is_out_of_fold:
        against += ", on the held-out rows"
    return {"against": against, "table": table} if table else None


def _in_order(facts: Facts, names: Iterable[str]) -> list[str]:
    """Sort metrics: the primary one, then as in `METRICS`, then by name."""
    order = [facts.primary, *METRICS]
    return sorted(
        set(names), key=lambda name: (order.index(name) if name in order else len(order), name)
    )
