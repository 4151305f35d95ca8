"""Limits of a model that its evidence shows, as sentences for the model card."""

from __future__ import annotations

from collections.abc import Iterator

from modelyard import console
from modelyard.reports.facts import Facts, as_estimate
from modelyard.reports.labels import metric_label
from modelyard.reports.reading import listed, mapping, records
from modelyard.reports.sections.cohorts import worst_cohort
from modelyard.reports.sections.fairness import is_small
from modelyard.reports.sections.segments import is_worse
from modelyard.reports.wording import date, estimate, finite, number, percent, plural, text

MOST_NAMED = 8
MANY_NULLS = 0.1
WIDE_SHARE = 0.1  # of a metric between 0 and 1
WIDE_ERROR = 0.25  # of an error in the target's unit, as a share of it
MOVED_SHARE = 0.02
MOVED_MEAN = 0.1  # of the training rows' mean
OFF_CALIBRATION = 0.05
IN_UNITS = frozenset({"mae", "rmse", "median_absolute_error", "log_loss"})


def limits(facts: Facts) -> list[str]:
    """Return the limits, the most general first; one sentence if there is none."""
    found = [
        *_open(facts),
        *_precision(facts),
        *_time(facts),
        *_moved(facts),
        *_groups(facts),
        *_segments(facts),
        *_cohorts(facts),
        *_calibration(facts),
        *_columns(facts),
        *_training(facts),
        *_machine(facts),
    ]
    return found or ["The evidence names none; that is no proof that there are none."]


def _open(facts: Facts) -> Iterator[str]:
    unjudged = [text(gate, 120) for gate in listed(facts.decision.get("open"))]
    if unjudged:
        yield f"Not every gate could be judged: {console.listed(unjudged, MOST_NAMED)}."


def _precision(facts: Facts) -> Iterator[str]:
    found = facts.result()
    rows = facts.judged_rows()
    if found is not None and found.low is not None and found.high is not None:
        width = found.high - found.low
        wide = WIDE_ERROR * abs(found.value) if facts.primary in IN_UNITS else WIDE_SHARE
        if width > wide:
            interval = estimate(*found)[1]
            on = f", on only {rows}" if rows else ""
            yield f"{metric_label(facts.primary)} is known only roughly: {interval}{on}."
    for name, difference in facts.primary_differences():
        if difference.low is None or difference.high is None:
            continue
        if difference.low <= 0 <= difference.high:
            yield (
                f"Whether it is better than {name} cannot be told from these rows: the interval of "
                "the difference contains zero."
            )
    champion = mapping(facts.evaluation, "champion")
    if champion.get("error"):
        yield f"It was not compared with the champion, which could not score the same rows: {text(champion['error'], 300)}"


def _time(facts: Facts) -> Iterator[str]:
    split = mapping(facts.data, "split")
    method, end = split.get("method"), mapping(split, "test").get("to")
    if method == "time" and end is not None:
        yield f"Nothing is known of rows after {date(end)}: the model was neither trained nor judged on them."
    elif method is not None and method != "time":
        yield (
            "Rows were divided at random, not by time: how the model holds up on later rows was not "
            "measured."
        )


def _moved(facts: Facts) -> Iterator[str]:
    """Compare the target of the training rows with that of the held-out ones."""
    before, after = (mapping(facts.data, "split", part) for part in ("train", "test"))
    old, new = finite(before.get("target_mean")), finite(after.get("target_mean"))
    if old is not None and new is not None:
        if abs(new - old) > MOVED_MEAN * abs(old):
            yield (
                f"The mean of {facts.target} went from {number(old)} in the training rows to "
                f"{number(new)} in the held-out ones: the data may be drifting."
            )
        return
    shares, later = mapping(before, "class_shares"), mapping(after, "class_shares")
    moves = sorted(
        (
            (abs(there - here), text(name, 60), here, there)
            for name, share in shares.items()
            if (here := finite(share)) is not None
            and (there := finite(later.get(name, 0.0))) is not None
        ),
        reverse=True,
    )
    if facts.kind == "binary":
        moves = [move for move in moves if move[1] == facts.positive] or moves
    if moves and moves[0][0] > MOVED_SHARE:
        _, name, here, there = moves[0]
        yield (
            f"The share of {facts.target} = {name} went from {percent(here)} in the training rows to "
            f"{percent(there)} in the held-out ones: the data may be drifting."
        )


def _groups(facts: Facts) -> Iterator[str]:
    if not facts.fairness:
        return
    columns = records(facts.fairness.get("columns"))
    if not columns:
        yield "Groups of people were not compared: the data contract names no sensitive column."
    for column in columns:
        few = [
            text(group.get("value"), 40)
            for group in records(column.get("groups"))
            if is_small(group)
        ]
        name = text(column.get("column"), 80)
        if few:
            yield (
                f"Too few rows to judge some figures of {plural(len(few), 'group')} of {name}: "
                f"{console.listed(few, MOST_NAMED)}."
            )
        unjudged = [m for m, found in mapping(column, "disparities").items() if found is None]
        if unjudged:
            yield f"Groups of {name} could not be compared by {', '.join(unjudged)}."


def _segments(facts: Facts) -> Iterator[str]:
    overall = facts.result()
    if overall is None:
        return
    higher = facts.higher_is_better(facts.primary)
    behind = []
    for segment in records(facts.evaluation.get("segments")):
        found = as_estimate(segment.get("value_metric"))
        if found is None or segment.get("small") is True:
            continue
        if is_worse(found, overall, higher):
            value = estimate(*found)[0]
            behind.append(
                f"{text(segment.get('column'), 60)} = {text(segment.get('value'), 40)} ({value})"
            )
    if behind:
        yield (
            f"{metric_label(facts.primary)} is clearly worse than on all rows "
            f"({estimate(*overall)[0]}) where {console.listed(behind, MOST_NAMED)}."
        )


def _cohorts(facts: Facts) -> Iterator[str]:
    if mapping(facts.evaluation, "cohorts").get("worst") is not None:
        yield f"Some rows are clearly harder. {worst_cohort(facts)}"


def _calibration(facts: Facts) -> Iterator[str]:
    if facts.kind == "regression":
        return
    off = total = 0.0
    for group in records(mapping(facts.evaluation, "calibration").get("challenger")):
        predicted, observed, rows = (
            finite(group.get(key)) for key in ("predicted", "observed", "rows")
        )
        if predicted is not None and observed is not None and rows:
            off, total = off + abs(predicted - observed) * rows, total + rows
    if total and off / total > OFF_CALIBRATION:
        yield (
            f"Probabilities are off by {number(off / total * 100, 2)} percentage points on average: "
            "they rank rows, and should not be read as chances."
        )


def _columns(facts: Facts) -> Iterator[str]:
    gaps = sorted(
        (
            (nulls, text(column.get("name"), 60))
            for column in records(facts.quality.get("columns"))
            if column.get("role") == "feature"
            and (nulls := finite(column.get("nulls"))) is not None
            and nulls > MANY_NULLS
        ),
        key=lambda pair: (-pair[0], pair[1]),
    )
    if gaps:
        named = console.listed([f"{name} ({percent(nulls)})" for nulls, name in gaps], MOST_NAMED)
        yield f"Values are missing often in {named}."


def _training(facts: Facts) -> Iterator[str]:
    if facts.training.get("stopped") == "limit":
        yield "Training ran to its limit of iterations: it may not be finished."


def _machine(facts: Facts) -> Iterator[str]:
    if facts.footprint:
        yield "Memory and latency were measured where the pipeline ran, not on the endpoint."
