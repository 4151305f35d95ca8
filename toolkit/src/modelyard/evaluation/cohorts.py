"""The cohorts in which the challenger errs most, found by a small tree.

The rows are divided in two. A tree is fitted on the error of one half's rows (Chung et al. 2020, IEEE TKDE
32:2284), so a cohort is what few conditions on the columns say. The other half, which the tree has not
seen, judges: a division stays where its sides differ there, and a cohort is worse where it differs from
all other rows. The intervals hold for all comparisons together (Bonferroni), so the cohorts of a model
that errs the same everywhere are worse by chance as rarely as the confidence says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.tree import DecisionTreeRegressor

from modelyard.console import shown
from modelyard.contract.model import Contract, Kind
from modelyard.data.folds import belonging
from modelyard.evaluation.bootstrap import Interval
from modelyard.evaluation.groups import grouped
from modelyard.evaluation.held_out import HeldOut
from modelyard.evaluation.largest_gap import of_shares
from modelyard.modelling.predicting import Floats, Prediction

DEPTH = 3
LEAST_SHARE = 0.02  # of the rows, in a cohort
BANDS = 32  # of a number or a datetime, between which the tree divides
MOST_CELLS = 500_000  # rows x columns that the tree is fitted on

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Axis:
    """A column as the tree takes it.

    Attributes:
        codes: place of each row's value, in an order; NaN where it is missing (rows,).
        names: of the places; of numbers, the largest value of each but the last.
        is_ordered: whether the places are numbers or datetimes, and not words.
    """

    codes: Floats
    names: tuple[str, ...]
    is_ordered: bool


@dataclass(frozen=True)
class Node:
    """A cohort: the rows of the judging half that keep a rule."""

    rule: tuple[str, ...]
    rows: Mask
    children: tuple[Node, ...] = ()


def cohorts(held: HeldOut) -> dict[str, Any]:
    """Find the cohorts with the largest error, for evidence; each has `segment_rows` rows of the half that finds it."""
    contract, judged, settings = held.contract, held.judged, held.evaluation
    error = row_errors(contract.kind, judged.truth, judged.predictions["challenger"])
    together = belonging(judged.rows.drop(columns=contract.target.column), contract.group)
    numbers = int(together.max()) + 1
    random = np.random.default_rng(settings.seed)
    finding = (random.permutation(numbers) < numbers / 2)[together]
    least = max(settings.segment_rows, int(LEAST_SHARE * finding.sum()))
    found: dict[str, Any] = {
        "unit": "absolute error" if contract.kind == "regression" else "share wrong",
        "found_on": int(finding.sum()),
        "judged_on": int((~finding).sum()),
        "least_rows": least,
        "depth": DEPTH,
        "confidence": settings.confidence,
        "comparisons": 0,
        "nodes": [],
        "worst": None,
        "why": None,
    }
    if min(found["found_on"], found["judged_on"]) < 2 * least:
        found["why"] = f"{len(error):,} rows are too few: each half needs {2 * least:,}"
        return found
    axes = dict(_axes(judged.rows, contract, error, finding))
    if not axes:
        found["why"] = "every column is text"
        return found
    root, comparisons = _fitted(axes, error, finding, least, settings.seed)
    judging = np.flatnonzero(~finding)
    quantile = 1 - (1 - settings.confidence) / 2 / max(comparisons, 1)
    errors = Errors(error[judging], together[judging], contract.kind != "regression", quantile)
    nodes = [_measured(node, errors) for node in _preorder(_kept(root, errors))]
    worse = [at for at, node in enumerate(nodes) if node["worse"]]
    worst = max(worse, key=lambda at: nodes[at]["error"]["low"], default=None)
    return found | {"comparisons": comparisons, "nodes": nodes, "worst": worst}


def row_errors(kind: Kind, truth: NDArray[Any], prediction: Prediction) -> Floats:
    """Compute each row's error (rows,): classes, 1 where the prediction is wrong; numbers, how far it is off."""
    if kind == "regression":
        return np.abs(truth - prediction.score)
    return (prediction.label != truth).astype(np.float64)


@dataclass(frozen=True)
class Errors:
    """Mean errors of rows, with intervals.

    Attributes:
        error: of each row (rows,).
        together: number of what a row belongs to, whose rows are not independent (rows,).
        is_share: the errors are 0 and 1.
        quantile: from which the ends of an interval are taken.
    """

    error: Floats
    together: NDArray[np.int64]
    is_share: bool
    quantile: float

    def mean(self, rows: Mask) -> Interval:
        """Compute the mean error of rows."""
        value, standard, independent = self._estimate(rows)
        half = self._half(standard, independent)
        return Interval(
            value, max(0.0, value - half), min(value + half, 1.0 if self.is_share else np.inf)
        )

    def difference(self, rows: Mask, others: Mask) -> Interval:
        """Compute by how much the mean error of rows is above that of others."""
        (value, standard, few), (other, noise, many) = map(self._estimate, (rows, others))
        half = self._half(float(np.hypot(standard, noise)), min(few, many))
        return Interval(value - other, value - other - half, value - other + half)

    def _half(self, standard: float, independent: int) -> float:
        if independent < 2:
            return float("inf")
        return standard * float(student.ppf(self.quantile, independent - 1))

    def _estimate(self, rows: Mask) -> tuple[float, float, int]:
        """Compute mean, its standard error, and the number of independent parts.

        Rows that belong together count as one part (Liang & Zeger 1986, Biometrika 73:13).
        """
        error = self.error[rows]
        parts, part = np.unique(self.together[rows], return_inverse=True)
        if len(parts) < 2:
            return (float(error.mean()) if len(error) else 0.0), 0.0, len(parts)
        mean = float(error.mean())
        sums = np.bincount(part, error - mean)
        standard = np.sqrt((sums**2).sum() * len(parts) / (len(parts) - 1)) / len(error)
        if self.is_share:  # where all rows are right, they are not so without doubt
            standard = max(standard, of_shares(np.array(mean), np.array(len(error))).errors)
        return mean, float(standard), len(parts)


def _axes(
    rows: pd.DataFrame, contract: Contract, error: Floats, finding: Mask
) -> Iterator[tuple[str, Axis]]:
    """Yield features and sensitive columns: words ordered by their error, numbers in bands; texts are left out."""
    mean = float(error[finding].mean())
    for name in dict.fromkeys([*contract.features, *contract.sensitive]):
        kind, column = contract.columns[name].type, rows[name]
        if kind == "text":
            continue
        if kind in ("category", "boolean"):
            groups = grouped(column, kind)
            size = len(groups.names)
            count = np.bincount(groups.codes[finding], minlength=size)
            total = np.bincount(groups.codes[finding], error[finding], size)
            order = np.argsort(
                np.divide(total, count, out=np.full(size, mean), where=count > 0), kind="stable"
            )
            place = np.argsort(order).astype(np.float64)
            yield name, Axis(place[groups.codes], tuple(groups.names[at] for at in order), False)
            continue
        edges = column[finding].quantile(np.linspace(0, 1, BANDS + 1)[1:-1], interpolation="lower")
        bands = edges.dropna().unique()
        codes = np.searchsorted(bands, column.to_numpy(), side="left").astype(np.float64)
        codes[column.isna().to_numpy()] = np.nan
        yield name, Axis(codes, tuple(map(_edge, bands)), True)


def _measured(node: Node, errors: Errors) -> dict[str, Any]:
    more = errors.difference(node.rows, ~node.rows) if node.rule else None
    return {
        "rule": list(node.rule),
        "rows": int(node.rows.sum()),
        "error": errors.mean(node.rows).named("value"),
        "more": more.named("difference") if more else None,
        "worse": more is not None and more.low > 0,
    }


def _edge(value: Any) -> str:
    return str(pd.Timestamp(value)) if isinstance(value, np.datetime64) else shown(value)


def _fitted(
    axes: Mapping[str, Axis], error: Floats, finding: Mask, least: int, seed: int
) -> tuple[Node, int]:
    """Fit the tree on one half; returns it with the rows of the other half, and how many cohorts it has."""
    names = list(axes)
    values = np.column_stack([axis.codes for axis in axes.values()]).astype(np.float32)
    rows = np.flatnonzero(finding)
    most = max(MOST_CELLS // len(names), 2 * least)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    model = DecisionTreeRegressor(max_depth=DEPTH, min_samples_leaf=least, random_state=seed)
    model.fit(values[rows], error[rows])
    tree = model.tree_
    inside = model.decision_path(values[~finding]).toarray().astype(bool)

    def made(at: int, rule: tuple[str, ...], left: Mapping[str, frozenset[int]]) -> Node:
        """Make a node; `left` holds the places of words that the conditions so far leave."""
        if tree.children_left[at] < 0:
            return Node(rule, inside[:, at])
        name = names[tree.feature[at]]
        axis, threshold = axes[name], tree.threshold[at]
        places = left.get(name, frozenset(range(len(axis.names))))
        low = frozenset(place for place in places if place <= threshold)
        children = []
        for child, is_low in ((tree.children_left[at], True), (tree.children_right[at], False)):
            kept = low if is_low else places - low
            if not axis.is_ordered:
                said = _among(name, axis, places, kept)
            elif np.isinf(threshold):
                said = f"{name} is {'not ' if is_low else ''}missing"
            else:
                said = f"{name} {'≤' if is_low else '>'} {axis.names[int(threshold)]}"
                if np.isnan(axis.codes).any() and bool(tree.missing_go_to_left[at]) == is_low:
                    said += " or missing"
            children.append(made(child, (*rule, said), {**left, name: kept}))
        return Node(rule, inside[:, at], tuple(children))

    return made(0, (), {}), tree.node_count - 1


def _among(name: str, axis: Axis, places: frozenset[int], kept: frozenset[int]) -> str:
    """Name the words of a side, or where they are fewer those of the other."""
    verb, named = ("is", kept) if 2 * len(kept) <= len(places) else ("is not", places - kept)
    return f"{name} {verb} {' or '.join(sorted(axis.names[place] for place in named))}"


def _kept(node: Node, errors: Errors) -> Node:
    """Take away the divisions whose sides do not differ on the judging rows, and below which none does."""
    children = tuple(_kept(child, errors) for child in node.children)
    if not any(child.children for child in children) and children:
        found = errors.difference(*(child.rows for child in children))
        if found.low <= 0 <= found.high:
            children = ()
    return replace(node, children=children)


def _preorder(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _preorder(child)
