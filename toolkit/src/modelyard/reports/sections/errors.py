"""Errors of the model: confusion matrix of a classifier, residuals of a regression."""

from __future__ import annotations

from collections.abc import Sequence

from modelyard.reports import charts
from modelyard.reports.charts import Mark
from modelyard.reports.facts import Facts, Section
from modelyard.reports.reading import listed, mapping
from modelyard.reports.wording import MISSING, finite, number, percent, plural, span, text

MOST_CLASSES = 60
MOST_PRINTED_CLASSES = 8

Matrix = list[list[float]]


def confusion(facts: Facts) -> Section | None:
    """Count the rows by actual and predicted class: a table, or a heat map of many classes."""
    given = mapping(facts.evaluation, "confusion")
    labels = [text(label, 60) for label in listed(given.get("labels"))]
    matrix = [
        [finite(count) or 0.0 for count in listed(row)] for row in listed(given.get("matrix"))
    ]
    if len(labels) < 2 or [len(row) for row in matrix] != [len(labels)] * len(labels):
        return None
    sizes = [sum(row) for row in matrix]
    kept = sorted(sorted(range(len(labels)), key=lambda i: (-sizes[i], i))[:MOST_CLASSES])
    left_out = len(labels) - len(kept)
    labels = [labels[i] for i in kept]
    matrix = [[matrix[i][j] for j in kept] for i in kept]
    sizes = [sizes[i] for i in kept]
    printed = len(labels) <= MOST_PRINTED_CLASSES
    sentence = _confusion_sentence(facts, labels, matrix)
    return {
        "labels": labels,
        "printed": printed,
        "left_out": left_out,
        "sentence": sentence,
        "table": _confusion_table(labels, matrix, sizes) if printed else [],
        "chart": ""
        if printed
        else charts.heatmap(
            sentence or "Rows are actual classes, columns predicted ones.", labels, matrix
        ),
        "mistakes": _mistakes(labels, matrix, sizes) if len(labels) > 2 else [],
    }


def _confusion_table(
    labels: Sequence[str], matrix: Matrix, sizes: Sequence[float]
) -> list[Section]:
    return [
        {
            "label": label,
            "cells": [
                {
                    "count": number(count),
                    "share": percent(count / size) if size else MISSING,
                    "shade": charts.shade(count / size) if size else 0,
                    "right": i == j,
                }
                for j, count in enumerate(row)
            ],
        }
        for i, (label, row, size) in enumerate(zip(labels, matrix, sizes, strict=True))
    ]


def _mistakes(
    labels: Sequence[str], matrix: Matrix, sizes: Sequence[float]
) -> list[tuple[str, str, str, str]]:
    """Return the most frequent confusions: actual and predicted class, rows, share of the class."""
    found = sorted(
        (
            (count, labels[i], labels[j], count / sizes[i])
            for i, row in enumerate(matrix)
            for j, count in enumerate(row)
            if i != j and count > 0 and sizes[i] > 0
        ),
        key=lambda mistake: (-mistake[0], mistake[1], mistake[2]),
    )
    return [
        (actual, predicted, number(count), percent(share))
        for count, actual, predicted, share in found[:8]
    ]


def _confusion_sentence(facts: Facts, labels: Sequence[str], matrix: Matrix) -> str:
    total, right = sum(map(sum, matrix)), sum(row[i] for i, row in enumerate(matrix))
    if not total:
        return ""
    if facts.kind == "binary" and facts.positive in labels and len(labels) == 2:
        at = labels.index(facts.positive)
        actual, flagged = sum(matrix[at]), sum(row[at] for row in matrix)
        recall = percent(matrix[at][at] / actual) if actual else MISSING
        precision = percent(matrix[at][at] / flagged) if flagged else MISSING
        name = f"{facts.target} = {facts.positive}"
        threshold = finite(facts.training.get("threshold"))
        start = (
            f"With the threshold at {number(threshold)}, the" if threshold is not None else "The"
        )
        return (
            f"{start} model finds {recall} of the {number(actual)} rows with {name}; "
            f"of the {number(flagged)} rows it flags, {precision} are."
        )
    return (
        f"{number(right)} of {plural(total, 'row')} are predicted right ({percent(right / total)})."
    )


def residuals(facts: Facts) -> Section | None:
    """Draw the histogram of the errors, with their quantiles in words."""
    given = mapping(facts.evaluation, "residuals")
    edges = [finite(edge) for edge in listed(given.get("edges"))]
    known = [edge for edge in edges if edge is not None]
    if len(known) < len(edges):
        return None
    quantiles = mapping(given, "quantiles")
    p05, p25, median, p75, p95 = (
        finite(quantiles.get(level)) for level in ("0.05", "0.25", "0.5", "0.75", "0.95")
    )
    ranges = []
    if p25 is not None and p75 is not None:
        ranges.append(f"Half of the errors lie from {span(p25, p75)}")
    if p05 is not None and p95 is not None:
        start = "nine in ten" if ranges else "Nine in ten errors lie"
        ranges.append(f"{start} from {span(p05, p95)}")
    sentence = ", ".join(ranges) + "." if ranges else ""
    marks = [Mark(0.0, "no error")]
    width = known[-1] - known[0] if known else 0.0
    # Closer to zero, the texts of the two marks would overlap.
    if median is not None and width and abs(median) / width > 0.12:
        marks.append(Mark(median, "median"))
    chart = charts.histogram(
        "residuals",
        "Errors",
        sentence or "How many rows have an error of which size.",
        known,
        [finite(count) or 0.0 for count in listed(given.get("counts"))],
        x_label="Actual minus predicted",
        y_label="Rows",
        marks=marks,
    )
    return {"chart": chart, "sentence": sentence} if chart else None
