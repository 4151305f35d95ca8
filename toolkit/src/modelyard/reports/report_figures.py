"""Sections of the report that judge the model: metrics, curves, importance, segments."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from modelyard.reports import charts
from modelyard.reports.charts import Dot, Mark, Point, Series
from modelyard.reports.report_evidence import (
    METRICS,
    MODELS,
    Estimate,
    Facts,
    Rows,
    Section,
    as_estimate,
    direction,
    listed,
    lowered,
    mapping,
    metric_label,
    outcome,
    records,
    signed_estimate,
    words,
)
from modelyard.reports.wording import (
    MISSING,
    estimate,
    finite,
    fixed,
    number,
    percent,
    plural,
    precision,
    span,
    text,
)

MOST_FEATURES = 20


MOST_CLASSES = 60


MOST_PRINTED_CLASSES = 8


def hero(facts: Facts) -> Section | None:
    """Compare the models on the metric that decides."""
    dots = []
    for model, metrics in facts.models().items():
        found = metrics.get(facts.primary)
        if found is not None:
            dots.append(Dot(facts.model_label(model), model, *found, text=estimate(*found)[0]))
    label = metric_label(facts.primary)
    said = "; ".join(f"{dot.label} {dot.text}" for dot in dots)
    better = direction(facts.higher_is_better(facts.primary))
    chart = charts.dot_rows("hero", f"{label} of each model", f"{said}. {better}.", dots)
    return {"label": label, "direction": better, "chart": chart} if dots else None


def metrics(facts: Facts) -> Section | None:
    """Compare the models on every metric, and the challenger with each of the others."""
    models = facts.models()
    if not models:
        return None
    names = _metric_names(facts, (name for metrics in models.values() for name in metrics))
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
    }


def _compared(facts: Facts, model: str) -> Section | None:
    differences = facts.differences(model)
    table = []
    for name in _metric_names(facts, differences):
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
    return {"against": against, "table": table} if table else None


def learning(facts: Facts) -> Section | None:
    """Show how the loss fell during training."""
    series: list[Series] = []
    for name, values in sorted(
        mapping(facts.envelopes["training"], "series").items(),
        key=lambda p: "validation" not in p[0],
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
    drawn = [line._replace(points=_thinned(line.points, 240)) for line in series]
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
    """Hold predictions against what happened, in groups of rows."""
    given = mapping(facts.evaluation, "calibration")
    numeric = facts.kind == "regression"
    write = number if numeric else percent
    series, table = [], []
    for model in MODELS:
        points = []
        for group in records(given.get(model)):
            x, y = finite(group.get("predicted")), finite(group.get("observed"))
            if x is None or y is None:
                continue
            low, high = finite(group.get("low")), finite(group.get("high"))
            rows = number(group.get("rows"))
            note = f"predicted {write(x)}, observed {write(y)}; {rows} rows"
            points.append(Point(x, y, low, high, note))
            if model == "challenger":
                known = low is not None and high is not None
                spread = f"{write(low)} to {write(high)}" if known else MISSING
                table.append((write(x), write(y), spread, rows))
        if points:
            series.append(Series(facts.model_label(model), model, points))
    if not series:
        return None
    sentence = _calibration_sentence(series[0], records(given.get("challenger")), numeric)
    ends = [
        end
        for line in series
        for point in line.points
        for end in (point.x, point.y, point.low, point.high)
        if end is not None
    ]
    domain = charts.padded(ends, 0.05) if numeric else (0.0, _roof(max(ends)))
    x_label, y_label = {
        "regression": ("Predicted, mean of the group", "Actual, mean of the group"),
        "multiclass": ("Probability of the predicted class", "How often it was right"),
    }.get(facts.kind, ("Predicted share", "Observed share"))
    chart = charts.plot(
        "calibration",
        "Predicted against actual" if numeric else "Calibration",
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
        "title": "Predicted against actual" if numeric else "Calibration",
        "chart": chart,
        "sentence": sentence,
        "legend": [(line.label, charts.key(line.css)) for line in series],
        "table": table,
    }


def _calibration_sentence(series: Series, groups: Rows, numeric: bool) -> str:
    weights = [finite(group.get("rows")) for group in groups]
    if series.css != "challenger" or len(weights) != len(series.points) or None in weights:
        return ""
    total = sum(weight for weight in weights if weight)
    if not total:
        return ""
    off = sum(abs(p.x - p.y) * (w or 0) for p, w in zip(series.points, weights, strict=True))
    mean = off / total
    if numeric:
        return f"Averaged over groups of rows, predictions are off by {number(mean, 2)}."
    return (
        f"On average a predicted probability is off by {number(mean * 100, 2)} percentage points."
    )


def roc(facts: Facts) -> Section | None:
    """Show what finding more positives costs in false alarms."""
    given = mapping(facts.evaluation, "curves", "roc")
    series = []
    for model in MODELS:
        pairs = [pair for pair in listed(given.get(model)) if isinstance(pair, list)]
        points = [
            Point(x, y)
            for pair in pairs
            if len(pair) == 2
            and (x := finite(pair[0])) is not None
            and (y := finite(pair[1])) is not None
        ]
        if len(points) > 1:
            series.append(Series(facts.model_label(model), model, _thinned(points, 120)))
    if not series:
        return None
    found = {model: metrics.get("roc_auc") for model, metrics in facts.models().items()}
    areas = [f"{facts.model_label(m)} {estimate(*a)[0]}" for m, a in found.items() if a]
    chart = charts.plot(
        "roc",
        "ROC curve",
        f"Area under the curve: {', '.join(areas)}." if areas else "True against false positives.",
        series[::-1],
        x_label="False alarms: share of negatives flagged",
        y_label="Found: share of positives flagged",
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


def confusion(facts: Facts) -> Section | None:
    """Count which class is taken for which."""
    given = mapping(facts.evaluation, "confusion")
    labels = [text(label, 60) for label in listed(given.get("labels"))]
    matrix = [
        [finite(count) or 0.0 for count in listed(row)] for row in listed(given.get("matrix"))
    ]
    if len(labels) < 2 or [len(row) for row in matrix] != [len(labels)] * len(labels):
        return None
    totals = [sum(row) for row in matrix]
    kept = sorted(sorted(range(len(labels)), key=lambda i: (-totals[i], i))[:MOST_CLASSES])
    labels = [labels[i] for i in kept]
    matrix = [[matrix[i][j] for j in kept] for i in kept]
    totals = [totals[i] for i in kept]
    mistakes = sorted(
        (
            (count, labels[i], labels[j], count / totals[i])
            for i, row in enumerate(matrix)
            for j, count in enumerate(row)
            if i != j and count > 0 and totals[i] > 0
        ),
        key=lambda mistake: (-mistake[0], mistake[1], mistake[2]),
    )
    printed = len(labels) <= MOST_PRINTED_CLASSES
    sentence = _confusion_sentence(facts, labels, matrix)
    return {
        "labels": labels,
        "printed": printed,
        "left_out": len(listed(given.get("labels"))) - len(labels),
        "sentence": sentence,
        "table": [
            {
                "label": labels[i],
                "cells": [
                    {
                        "count": number(count),
                        "share": percent(count / totals[i]) if totals[i] else MISSING,
                        "shade": charts.shade(count / totals[i]) if totals[i] else 0,
                        "right": i == j,
                    }
                    for j, count in enumerate(row)
                ],
            }
            for i, row in enumerate(matrix)
        ]
        if printed
        else [],
        "chart": Markup("")
        if printed
        else charts.heatmap(
            "confusion",
            "Confusion matrix",
            sentence or "Rows are actual classes, columns predicted ones.",
            labels,
            matrix,
        ),
        "mistakes": [
            (actual, predicted, number(count), percent(share))
            for count, actual, predicted, share in mistakes[:8]
        ]
        if len(labels) > 2
        else [],
    }


def _confusion_sentence(facts: Facts, labels: Sequence[str], matrix: list[list[float]]) -> str:
    total, right = sum(map(sum, matrix)), sum(row[i] for i, row in enumerate(matrix))
    if not total:
        return ""
    if facts.kind == "binary" and facts.positive in labels and len(labels) == 2:
        at = labels.index(facts.positive)
        actual, flagged = sum(matrix[at]), sum(row[at] for row in matrix)
        found = percent(matrix[at][at] / actual) if actual else MISSING
        correct = percent(matrix[at][at] / flagged) if flagged else MISSING
        name = f"{facts.target} = {facts.positive}"
        threshold = finite(facts.training.get("threshold"))
        cut = f"With the threshold at {number(threshold)}, the" if threshold is not None else "The"
        return (
            f"{cut} model finds {found} of the {number(actual)} rows with {name}; "
            f"of the {number(flagged)} rows it flags, {correct} are."
        )
    return (
        f"{number(right)} of {plural(total, 'row')} are predicted right ({percent(right / total)})."
    )


def residuals(facts: Facts) -> Section | None:
    """Show how errors are spread."""
    given = mapping(facts.evaluation, "residuals")
    edges = [finite(edge) for edge in listed(given.get("edges"))]
    counts = [finite(count) or 0.0 for count in listed(given.get("counts"))]
    if None in edges:
        return None
    quantiles = _quantiles(given.get("quantiles"))
    middle = [quantiles.get(q) for q in (0.25, 0.75)]
    outer = [quantiles.get(q) for q in (0.05, 0.95)]
    said = []
    if middle[0] is not None and middle[1] is not None:
        said.append(f"Half of the errors lie from {span(middle[0], middle[1])}")
    if outer[0] is not None and outer[1] is not None:
        start = "nine in ten" if said else "Nine in ten errors lie"
        said.append(f"{start} from {span(outer[0], outer[1])}")
    sentence = ", ".join(said) + "." if said else ""
    median = quantiles.get(0.5)
    marks = [Mark(0.0, "no error")]
    if median is not None and edges and edges[-1] is not None and edges[0] is not None:
        width = edges[-1] - edges[0]
        if width and abs(median) / width > 0.12:
            marks.append(Mark(median, "median"))
    chart = charts.histogram(
        "residuals",
        "Errors",
        sentence or "How many rows have an error of which size.",
        [edge for edge in edges if edge is not None],
        counts,
        x_label="Actual minus predicted",
        y_label="Rows",
        marks=marks,
    )
    return {"chart": chart, "sentence": sentence} if chart else None


def _quantiles(given: Any) -> dict[float, float]:
    """Read quantiles written as {"0.05": value}, {"p05": value} or [[0.05, value]]."""
    pairs = given.items() if isinstance(given, dict) else listed(given)
    found = {}
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            continue
        level, value = re.sub(r"^[pq]", "", str(pair[0])), finite(pair[1])
        try:
            at = float(level)
        except ValueError:
            continue
        if value is not None and math.isfinite(at):
            found[round(at / 100 if at > 1 else at, 4)] = value
    return found


def importance(facts: Facts) -> Section | None:
    """Rank the columns by what shuffling them costs."""
    features = []
    for feature in records(facts.importance.get("features")):
        value = finite(feature.get("importance"))
        if value is not None:
            found = Estimate(value, finite(feature.get("low")), finite(feature.get("high")))
            features.append((text(feature.get("name"), 80), found))
    if not features:
        return None
    features.sort(key=lambda feature: (-feature[1].value, feature[0]))
    ends = [end for _, found in features for end in found if end is not None]
    domain = (min(*ends, 0.0), max(*ends, 0.0) * 1.02 or 1.0)
    decimals = precision(max(abs(found.value) for _, found in features), None, None)
    table = [
        {
            "name": name,
            "value": fixed(found.value, decimals),
            "interval": _range(found, decimals),
            "bar": charts.bar(found.value, domain, low=found.low, high=found.high),
        }
        for name, found in features
    ]
    idle = sum(found.low is not None and found.low <= 0 for _, found in features)
    sentence = f"What matters most is {features[0][0]}."
    if idle:
        sentence += f" {plural(idle, 'column makes', 'columns make')} no measurable difference."
    metric = facts.importance.get("metric") or facts.primary
    return {
        "table": table[:MOST_FEATURES],
        "rest": table[MOST_FEATURES:],
        "metric": lowered(metric_label(str(metric))) if metric else "the main metric",
        "sample": number(facts.importance.get("rows")),
        "sentence": sentence,
    }


def _range(found: Estimate, decimals: int) -> str:
    if found.low is None or found.high is None:
        return ""
    return f"{fixed(found.low, decimals)} to {fixed(found.high, decimals)}"


def segments(facts: Facts) -> Section | None:
    """Hold each segment against all rows, the worst of each column first."""
    given = records(facts.evaluation.get("segments"))
    if not given:
        return None
    metric = str(given[0].get("metric") or facts.primary)
    higher = facts.higher_is_better(metric)
    overall = facts.models().get("challenger", {}).get(metric)
    figures = [as_estimate(segment.get("value_metric")) for segment in given]
    domain = _segment_domain(given, figures, overall)
    groups: dict[str, Rows] = {}
    worse = []
    for segment, found in zip(given, figures, strict=True):
        row = _segment(facts, segment, found, overall, higher)
        reference = overall.value if overall is not None else None
        if found is not None:
            css = "baseline" if row["small"] else "challenger"
            row["strip"] = charts.strip([Dot("", css, *found)], domain, reference=reference)
        column = text(segment.get("column"), 80)
        groups.setdefault(column, []).append(row)
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
                "rows": sorted(found, key=lambda row: row["order"]),
            }
            for column, found in groups.items()
        ],
        "target_label": "Actual" if facts.kind == "regression" else "Actual share",
        "means": any(finite(segment.get("target")) is not None for segment in given),
        "sentence": sentence if overall is not None else "",
    }


def _segment(
    facts: Facts,
    segment: dict[str, Any],
    found: Estimate | None,
    overall: Estimate | None,
    higher: bool,
) -> Section:
    small = segment.get("small") is True
    value, interval = estimate(*found) if found is not None else (MISSING, "")
    ranked = 0.0 if found is None else found.value if higher else -found.value
    return {
        "value": text(segment.get("value"), 60),
        "rows": number(segment.get("rows")),
        "small": small,
        "behind": not small and _behind(found, overall, higher),
        "undefined": found is None,
        "metric": value,
        "interval": interval,
        "target": facts.amount(segment.get("target")),
        "predicted": facts.amount(segment.get("predicted")),
        "strip": "",
        "order": (found is None, small, ranked),
    }


def _segment_domain(
    given: Rows, figures: Sequence[Estimate | None], overall: Estimate | None
) -> tuple[float, float]:
    """Span what the segments of enough rows need: one small group may not squeeze the others."""
    pairs = [(s, found) for s, found in zip(given, figures, strict=True) if found is not None]
    judged = [found for segment, found in pairs if segment.get("small") is not True]
    ends = [end for found in judged or [f for _, f in pairs] for end in found if end is not None]
    ends += [overall.value] if overall is not None else []
    return charts.padded(ends or [0.0], 0.08)


def _behind(found: Estimate | None, overall: Estimate | None, higher: bool) -> bool:
    """Say whether the whole interval lies on the worse side of the value for all rows."""
    if found is None or overall is None:
        return False
    if higher:
        return found.high is not None and found.high < overall.value
    return found.low is not None and found.low > overall.value


def _metric_names(facts: Facts, names: Iterable[str]) -> list[str]:
    order = [facts.primary, *METRICS]
    return sorted(
        set(names), key=lambda name: (order.index(name) if name in order else len(order), name)
    )


def _thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Keep at most about `most` points, evenly, with the first and the last."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(index * step)] for index in range(most)]


def _roof(value: float) -> float:
    """Round a share up, so that the axis ends on a round number."""
    return min(max(math.ceil(value * 10) / 10, 0.1), 1.0)
