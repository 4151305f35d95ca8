"""Learning curve, calibration and ROC curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from modelyard.reports import charts
from modelyard.reports.charts import Mark, Point, Series
from modelyard.reports.facts import MODELS, Facts, Section
from modelyard.reports.reading import Rows, listed, mapping, records
from modelyard.reports.wording import (
    MISSING,
    estimate,
    finite,
    number,
    percent,
    plural,
    thinned,
    words,
)


def learning(facts: Facts) -> Section | None:
    """Draw the loss of each iteration of the training, where it has some."""
    if facts.training.get("stopped") == "fitted":
        return None
    series: list[Series] = []
    for name, values in sorted(
        mapping(facts.envelopes["training"], "series").items(),
        key=lambda pair: "validation" not in pair[0],
    ):
        numbers = [finite(value) for value in listed(values)]
        points = [Point(i, value) for i, value in enumerate(numbers) if value is not None]
        if len(points) > 1:
            css = "challenger" if not series else "baseline"
            series.append(Series(words(name), css, points))
    if not series:
        return None
    main = series[0]
    best = min(main.points, key=lambda point: point.y)
    sentence = f"{main.label} was lowest after {plural(best.x, 'iteration')} ({number(best.y)})."
    stopped = {
        "early": "Training then stopped early, because it no longer improved.",
        "diverged": "Training then diverged and was ended; its best iteration is the model's.",
        "limit": "Training ran to its limit: more iterations might still help.",
    }.get(str(facts.training.get("stopped")), "")
    drawn = [line._replace(points=thinned(line.points, 240)) for line in series]
    chart = charts.plot(
        "learning",
        "Learning curve",
        sentence,
        drawn[::-1],
        x_label="Iterations",
        y_label="Loss, lower is better",
        marks=[Mark(best.x, f"lowest: {number(best.x)}")],
        dots=False,
    )
    keys = [(line.label, charts.key(line.css, dot=False)) for line in series]
    return {
        "chart": chart,
        "sentence": f"{sentence} {stopped}".strip(),
        "legend": keys if len(keys) > 1 else [],
    }


def calibration(facts: Facts) -> Section | None:
    """Compare predicted and observed values in groups of rows."""
    given = mapping(facts.evaluation, "calibration")
    numeric = facts.kind == "regression"
    write = number if numeric else percent
    groups = {model: _groups(given.get(model)) for model in MODELS}
    series = [
        Series(
            facts.model_label(model),
            model,
            [
                point._replace(
                    note=f"predicted {write(point.x)}, observed {write(point.y)}; {point.note} rows"
                )
                for point in points
            ],
        )
        for model, points in groups.items()
        if points
    ]
    if not series:
        return None
    ends = [
        end
        for line in series
        for point in line.points
        for end in (point.x, point.y, point.low, point.high)
        if end is not None
    ]
    domain = charts.padded(ends, 0.05) if numeric else (0.0, _up_to_a_tenth(max(ends)))
    x_label, y_label = {
        "regression": ("Predicted, mean of the group", "Actual, mean of the group"),
        "multiclass": ("Probability of the predicted class", "How often it was right"),
    }.get(facts.kind, ("Predicted share", "Observed share"))
    title = "Predicted against actual" if numeric else "Calibration"
    sentence = _mean_deviation(groups["challenger"], records(given.get("challenger")), numeric)
    chart = charts.plot(
        "calibration",
        title,
        sentence or "Predicted against observed, in groups of rows.",
        series[::-1],
        x_label=x_label,
        y_label=y_label,
        x_range=domain,
        y_range=domain,
        diagonal=True,
        shares=not numeric,
    )
    return {
        "title": title,
        "chart": chart,
        "sentence": sentence,
        "legend": [(line.label, charts.key(line.css)) for line in series],
        "table": [
            (
                write(point.x),
                write(point.y),
                MISSING
                if point.low is None or point.high is None
                else f"{write(point.low)} to {write(point.high)}",
                point.note,
            )
            for point in groups["challenger"]
        ],
    }


def _groups(given: Any) -> list[Point]:
    """Read groups of rows: predicted and observed value, its interval, and the rows as note."""
    return [
        Point(x, y, finite(g.get("low")), finite(g.get("high")), number(g.get("rows")))
        for g in records(given)
        if (x := finite(g.get("predicted"))) is not None
        and (y := finite(g.get("observed"))) is not None
    ]


def _mean_deviation(points: Sequence[Point], groups: Rows, numeric: bool) -> str:
    """Write how far predictions are off, averaged over rows; empty if a number is missing."""
    weights = [weight for group in groups if (weight := finite(group.get("rows"))) is not None]
    total = sum(weights)
    if not points or not total or not len(points) == len(weights) == len(groups):
        return ""
    off = sum(abs(p.x - p.y) * w for p, w in zip(points, weights, strict=True))
    mean = off / total
    if numeric:
        return f"Averaged over groups of rows, predictions are off by {number(mean, 2)}."
    return (
        f"On average a predicted probability is off by {number(mean * 100, 2)} percentage points."
    )


def roc(facts: Facts) -> Section | None:
    """Draw the true positive rate over the false positive rate."""
    given = mapping(facts.evaluation, "curves", "roc")
    series = []
    for model in MODELS:
        points = [
            Point(x, y)
            for pair in listed(given.get(model))
            if isinstance(pair, list) and len(pair) == 2
            if (x := finite(pair[0])) is not None and (y := finite(pair[1])) is not None
        ]
        if len(points) > 1:
            series.append(Series(facts.model_label(model), model, thinned(points, 120)))
    if not series:
        return None
    found = {model: metrics.get("roc_auc") for model, metrics in facts.models().items()}
    areas = [f"{facts.model_label(m)} {estimate(*a)[0]}" for m, a in found.items() if a]
    chart = charts.plot(
        "roc",
        "ROC curve",
        f"Area under the curve: {', '.join(areas)}." if areas else "True against false positives.",
        series[::-1],
        x_label="False positive rate",
        y_label="True positive rate",
        x_range=(0, 1),
        y_range=(0, 1),
        diagonal=True,
        dots=False,
        shares=True,
    )
    return {
        "chart": chart,
        "legend": [(line.label, charts.key(line.css, dot=False)) for line in series],
        "sentence": "The further a curve bends to the upper left, the better it ranks; "
        "the dashed line is guessing.",
    }


def _up_to_a_tenth(share: float) -> float:
    """Round a share up to a tenth, so that the axis ends on a round number."""
    return min(max(math.ceil(share * 10) / 10, 0.1), 1.0)
