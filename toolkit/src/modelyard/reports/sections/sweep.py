"""Trials of a sweep: parameters and results, the best so far, and the learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from modelyard.reports import charts
from modelyard.reports.charts import Dot, Point, Series
from modelyard.reports.facts import Section
from modelyard.reports.reading import Rows, listed, mapping, records
from modelyard.reports.wording import finite, lowered, number, plural, setting, text, words

MOST_TRIALS = 40
MOST_PARAMETERS = 8


def sweep(envelope: Mapping[str, Any]) -> Section | None:
    """List the trials of a sweep, the best first; None if there is none."""
    details, params = mapping(envelope, "details"), mapping(envelope, "params")
    trials = [t for t in records(details.get("trials")) if finite(t.get("number")) is not None]
    if not trials:
        return None
    maximised = params.get("goal") == "maximize"
    metric = words(text(params.get("primary_metric"), 60))
    best = finite(details.get("best"))
    ranked = sorted(trials, key=lambda trial: _rank(trial, maximised=maximised))
    names = list(dict.fromkeys(name for trial in trials for name in mapping(trial, "params")))
    scales = {
        name: _scale(name, trials, mapping(details, "sweep", "search_space"))
        for name in names[:MOST_PARAMETERS]
    }
    return {
        "metric": metric,
        "sentence": _sentence(params, trials, best, metric),
        "names": [words(name) for name in scales],
        "table": [_row(trial, scales, best) for trial in ranked[:MOST_TRIALS]],
        "more": max(len(ranked) - MOST_TRIALS, 0),
        "progress": _progress(envelope, trials, metric),
        "histories": _histories(trials, best, metric),
        "legend": [
            ("Best trial", charts.key("challenger", dot=False)),
            ("Other trials", charts.key("baseline", dot=False)),
        ],
    }


def _rank(trial: Mapping[str, Any], *, maximised: bool) -> tuple[bool, float, float]:
    """Return the key to sort trials by: the completed ones first, the best of them at the top."""
    value = finite(trial.get("best"))
    worth = math.inf if value is None else -value if maximised else value
    return trial.get("state") != "completed", worth, finite(trial.get("number")) or 0.0


def _sentence(params: Mapping[str, Any], trials: Rows, best: float | None, metric: str) -> str:
    drawn = {
        "random": "drawn at random",
        "grid": "of a grid",
        "bayesian": "drawn by Bayesian sampling",
    }.get(str(params.get("sampling_algorithm")), "")
    count = {
        state: sum(trial.get("state") == state for trial in trials)
        for state in ("completed", "stopped", "failed", "cancelled")
    }
    rule = words(text(params.get("early_termination"), 40)).lower()
    names = {"stopped": f"stopped early by the rule {rule}", "cancelled": "out of time"}
    parts = [f"{number(n)} {names.get(state, state)}" for state, n in count.items() if n]
    sentence = f"{plural(len(trials), 'trial')} {drawn}".strip()
    sentence += f": {', '.join(parts)}." if parts else "."
    found = next((t for t in trials if best is not None and t.get("number") == best), None)
    if found is not None and finite(found.get("best")) is not None:
        sentence += (
            f" Trial {number((best or 0) + 1)} has the best {lowered(metric)}, "
            f"{number(found['best'], 4)}; the next steps use its model."
        )
    return sentence


class _Scale(NamedTuple):
    """The range of a parameter over all trials; empty if a value is not a number."""

    logarithmic: bool
    low: float = 0.0
    high: float = 0.0

    def place(self, value: float) -> float:
        return math.log(value) if self.logarithmic and value > 0 else value


def _scale(name: str, trials: Rows, space: Mapping[str, Any]) -> _Scale:
    scale = _Scale("log" in str(mapping(space, name).get("type")))
    values = [finite(mapping(trial, "params").get(name)) for trial in trials]
    places = [scale.place(value) for value in values if value is not None]
    if len(places) < len(values) or not places:
        return scale
    return scale._replace(low=min(places), high=max(places))


def _row(trial: Mapping[str, Any], scales: Mapping[str, _Scale], best: float | None) -> Section:
    is_best = best is not None and trial.get("number") == best
    css = "challenger" if is_best else "baseline"
    cells = []
    for name, scale in scales.items():
        given = mapping(trial, "params").get(name)
        value = finite(given)
        strip = ""
        if value is not None and scale.high > scale.low:
            pad = (scale.high - scale.low) * 0.08
            domain = (scale.low - pad, scale.high + pad)
            strip = charts.strip([Dot("", css, scale.place(value))], domain)
        shown = number(value, 3) if value is not None else setting(given, 40)
        cells.append({"value": shown, "strip": strip})
    state = text(trial.get("state"), 20)
    at = finite(trial.get("stopped_at"))
    if state == "stopped":
        by = words(text(trial.get("stopped_by"), 30)).lower()
        state = f"stopped by {by}" + (f" at {number(at)}" if at is not None else "")
    return {
        "number": number((finite(trial.get("number")) or 0) + 1),
        "cells": cells,
        "value": number(trial.get("best"), 4),
        "state": state,
        "best": is_best,
        "aside": trial.get("state") != "completed",
    }


def _progress(envelope: Mapping[str, Any], trials: Rows, metric: str) -> Any:
    """Draw the result of each trial in their order, and the best so far."""
    so_far = [
        Point(place + 1, value)
        for place, given in enumerate(listed(mapping(envelope, "series").get("best_so_far")))
        if (value := finite(given)) is not None
    ]
    if len(so_far) < 2:
        return ""
    stairs = [so_far[0]]
    for point in so_far[1:]:
        stairs += [Point(point.x, stairs[-1].y), point]
    values = [
        Point((finite(trial.get("number")) or 0) + 1, value)
        for trial in trials
        if trial.get("state") == "completed" and (value := finite(trial.get("best"))) is not None
    ]
    dots = [Series("", "baseline", [point]) for point in values]
    return charts.plot(
        "sweep-progress",
        "Best so far",
        f"{metric} of each completed trial, and the best of those before it.",
        [*dots, Series("Best so far", "challenger", stairs, dotted=False)],
        x_label="Trials",
        y_label=metric,
    )


def _histories(trials: Rows, best: float | None, metric: str) -> Any:
    """Draw the values that each trial reported while it trained."""
    lines = []
    for trial in trials:
        points = [
            Point(x, y)
            for pair in listed(trial.get("history"))
            if isinstance(pair, list) and len(pair) == 2
            if (x := finite(pair[0])) is not None and (y := finite(pair[1])) is not None
        ]
        if len(points) > 1:
            is_best = best is not None and trial.get("number") == best
            lines.append(Series("", "challenger" if is_best else "baseline", points))
    lines = sorted(lines, key=lambda line: line.css == "challenger")[-MOST_TRIALS:]
    return charts.plot(
        "sweep-histories",
        "Learning curves of the trials",
        f"{metric} of every trial by iteration.",
        lines,
        x_label="Iterations",
        y_label=metric,
        dots=False,
    )
