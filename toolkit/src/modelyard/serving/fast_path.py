"""A fitted model flattened into look-ups and arrays, for a request of one row or a few.

scikit-learn's way from a row to a prediction is made for tables: a data frame, an encoder per block
of columns, a call per tree. For one row that is milliseconds of overhead. Here a row is encoded
value by value, and every node of every tree is decided at once: for each node that sends the row to
the right, the leaves to its left are ruled out; the first leaf left over is the one the row is in
(QuickScorer: Lucchese et al., SIGIR 2015).

This knows the encoder of `features` and scikit-learn's histogram gradient boosting. Of another
learner it encodes the rows and asks the learner; of another encoder it knows nothing, and `flatten`
returns None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, TargetEncoder

# From so many rows on, asking the learner for all of them is faster than one by one.
FEW_ROWS = 24
WORD_BITS = 64
LARGEST = 3e38  # as in features.as_floats
EPOCH = datetime(1970, 1, 1)

Row = Sequence[Any]
Encode = Callable[[Row], tuple[float, ...]]


class FlatModel:
    """What a model's `predict_proba`, or `predict` of a regression, gives, from plain values.

    Attributes:
        forest: None where the learner is asked itself.
        words: known categories and texts of each column that has them.
    """

    def __init__(self, encoders: list[Encode], learner: Any, words: dict[str, list[str]]) -> None:
        self.learner = learner
        self.words = words
        self.forest = _forest(learner)
        self._encoders = encoders
        self._ask = getattr(learner, "predict_proba", None) or learner.predict

    def encode(self, row: Row) -> list[float]:
        """What the learner sees of a row (encoded,)."""
        return [value for encode in self._encoders for value in encode(row)]

    def scores(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Probabilities (rows, classes), or predicted values (rows,).

        Args:
            rows: of values in the order of the names that `flatten` was given.
        """
        encoded = [self.encode(row) for row in rows]
        if self.forest is not None and len(rows) <= FEW_ROWS:
            return self.forest.scores(encoded)
        answer: NDArray[np.float64] = self._ask(np.array(encoded, dtype=np.float64))
        return answer


def flatten(model: Any, names: Sequence[str]) -> FlatModel | None:
    """Flatten a fitted model; None where it is not of a kind that is known here.

    Args:
        model: as `model.assembled` makes them.
        names: of the columns, in the order in which rows will come.
    """
    pipeline = _pipeline(model)
    if pipeline is None:
        return None
    encoder, learner = (step for _, step in pipeline.steps)
    words: dict[str, list[str]] = {}
    try:
        encoders = _encoders(encoder, {name: place for place, name in enumerate(names)}, words)
        return FlatModel(encoders, learner, words)
    except (_UnknownError, AttributeError, KeyError, TypeError, ValueError, IndexError):
        return None


class _UnknownError(Exception):
    """A part that this module does not know."""


def _pipeline(model: Any) -> Pipeline | None:
    """The pipeline of an encoder and a learner inside a model with or without a threshold."""
    while isinstance(model, (FixedThresholdClassifier, FrozenEstimator)):
        model = model.estimator_ if isinstance(model, FixedThresholdClassifier) else model.estimator
    if not isinstance(model, Pipeline) or len(model.steps) != 2:
        return None
    return model if isinstance(model.steps[0][1], ColumnTransformer) else None


def _encoders(
    encoder: ColumnTransformer, places: dict[str, int], words: dict[str, list[str]]
) -> list[Encode]:
    """One function per block of the encoder, in the order of its output."""
    found: list[Encode] = []
    for _, block, names in encoder.transformers_:
        columns = [] if isinstance(block, str) else [places[name] for name in names]
        if block == "drop":
            continue
        if isinstance(block, FunctionTransformer) and block.func is not None:
            found.append(_function(block, columns))
        elif isinstance(block, Pipeline) and len(block.steps) == 2:
            first, second = (step for _, step in block.steps)
            if _called(first) != "as_words":
                raise _UnknownError
            words |= {name: _known(second, i) for i, name in enumerate(names)}
            found += [_table(second, i, column) for i, column in enumerate(columns)]
        else:
            raise _UnknownError
    return found


def _called(block: Any) -> str:
    return getattr(getattr(block, "func", None), "__name__", "")


def _function(block: FunctionTransformer, columns: list[int]) -> Encode:
    if _called(block) == "as_floats":
        return lambda row: tuple(_as_float(row[column]) for column in columns)
    if _called(block) == "date_parts":
        time, since = columns[0], columns[1] if len(columns) > 1 else None
        makers = [DATE_PARTS[part] for part in block.kw_args["parts"]]
        missing = (math.nan,) * len(makers)

        def parts(row: Row) -> tuple[float, ...]:
            when, start = row[time], EPOCH if since is None else row[since]
            return missing if when is None else tuple(make(when, start) for make in makers)

        return parts
    raise _UnknownError


def _as_float(value: Any) -> float:
    if value is None:
        return math.nan
    number = float(value)
    if -LARGEST <= number <= LARGEST:
        return number
    return math.nan if not math.isfinite(number) else math.copysign(LARGEST, number)


DATE_PARTS: dict[str, Callable[[datetime, datetime | None], float]] = {
    "hour": lambda when, _: when.hour + when.minute / 60,
    "weekday": lambda when, _: float(when.weekday()),
    "month": lambda when, _: float(when.month),
    "days": lambda when, start: (
        math.nan if start is None else (when - start).total_seconds() / 86_400
    ),
}


def _known(encoder: Any, place: int) -> list[str]:
    return [word for word in encoder.categories_[place] if isinstance(word, str)]


def _table(encoder: Any, place: int, column: int) -> Encode:
    """A look-up of one column's words; the missing ones are under None."""
    values: dict[str | None, tuple[float, ...]]
    categories = [word if isinstance(word, str) else None for word in encoder.categories_[place]]
    if isinstance(encoder, OrdinalEncoder):
        values = {word: (float(code),) for code, word in enumerate(categories)}
        other = (float(encoder.unknown_value),)
        values[None] = (float(encoder.encoded_missing_value) if None in values else other[0],)
    elif isinstance(encoder, TargetEncoder):
        means = np.atleast_1d(encoder.target_mean_)
        columns = encoder.encodings_[place * len(means) : (place + 1) * len(means)]
        values = dict(
            zip(categories, zip(*(c.tolist() for c in columns), strict=True), strict=True)
        )
        other = tuple(means.tolist())
    else:
        raise _UnknownError
    return lambda row: values.get(row[column], other)


def _forest(learner: Any) -> Forest | None:
    if not isinstance(learner, (HistGradientBoostingClassifier, HistGradientBoostingRegressor)):
        return None
    return Forest(learner)


class Forest:
    """All trees of a histogram gradient boosting.

    Nodes stand grouped by how they are decided: all that compare numbers, then those of each
    categorical column. `_order` puts the decisions into the order of the trees.
    """

    def __init__(self, learner: Any) -> None:
        kinds, categories = _inputs(learner)
        predictors = learner._predictors
        trees = [stage[k] for k in range(len(predictors[0])) for stage in predictors]
        flat = [_Tree(tree) for tree in trees]
        widest = max(-(-len(tree.leaves) // WORD_BITS) for tree in flat)

        nodes = np.concatenate([tree.nodes for tree in flat])
        self._masks = np.hstack([tree.masks(widest) for tree in flat])  # (words, nodes)
        self._starts = np.cumsum([0, *(len(tree.nodes) for tree in flat[:-1])])
        self._leaves = np.concatenate([tree.leaves for tree in flat])
        self._first_leaf = np.cumsum([0, *(len(tree.leaves) for tree in flat[:-1])])
        self._classes = len(predictors[0])
        self._baseline = np.array(learner._baseline_prediction, dtype=np.float64).ravel()
        self._loss = learner._loss
        self._is_classifier = hasattr(learner, "predict_proba")

        columns = np.array([kinds[i] for i in nodes["feature_idx"]])
        is_number = nodes["is_categorical"] == 0
        groups = [np.flatnonzero(is_number)]
        self._columns = columns[groups[0]]
        self._thresholds = nodes["num_threshold"][groups[0]]
        self._missing_left = nodes["missing_go_to_left"][groups[0]].astype(bool)
        self._categorical: list[tuple[int, dict[float, NDArray[np.bool_]], NDArray[np.bool_]]] = []
        bits = np.concatenate([tree.left_categories for tree in flat])  # (nodes, 256)
        for column in np.unique(columns[~is_number]).tolist():
            mine = np.flatnonzero(~is_number & (columns == column))
            groups.append(mine)
            missing = nodes["missing_go_to_left"][mine].astype(bool)
            table = {
                float(code): bits[mine, place].copy() for code, place in categories[column].items()
            }
            self._categorical.append((column, table, missing))
        order = np.concatenate(groups)
        self._order = np.empty(len(order), dtype=np.intp)
        self._order[order] = np.arange(len(order))

    def scores(self, rows: list[list[float]]) -> NDArray[np.float64]:
        """Probabilities (rows, classes), or predicted values (rows,)."""
        raw = np.array([self._raw(row) for row in rows]) + self._baseline
        if self._is_classifier:
            chances: NDArray[np.float64] = self._loss.predict_proba(raw)
            return chances
        values: NDArray[np.float64] = self._loss.link.inverse(raw.ravel())
        return values

    def _raw(self, row: list[float]) -> NDArray[np.float64]:
        """Sum of the leaves that a row is in, per class (classes,)."""
        values = np.array(row)[self._columns]
        left = values <= self._thresholds
        if any(value != value for value in row):
            left |= np.isnan(values) & self._missing_left
        decided = [left]
        for column, table, missing in self._categorical:
            decided.append(table.get(row[column], missing))
        goes_left = np.concatenate(decided)[self._order]
        alive = np.where(goes_left, _ALL, self._masks)
        alive = np.bitwise_and.reduceat(alive, self._starts, axis=1)
        leaves = self._leaves[self._first_leaf + _first_bit(alive)]
        return leaves.reshape(self._classes, -1).sum(axis=1)


_ALL = np.uint64(2**64 - 1)


def _first_bit(words: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Number of the lowest bit that is set in each column of words (words, columns)."""
    if len(words) == 1:
        word, offset = words[0], 0
    else:
        place = (words != 0).argmax(axis=0)
        word, offset = words[place, np.arange(words.shape[1])], place * WORD_BITS
    lowest = word & (~word + np.uint64(1))
    # A power of two is exact as a float, and its exponent is the bit's number.
    bit: NDArray[np.intp] = np.frexp(lowest.astype(np.float64))[1] - 1 + offset
    return bit


class _Tree:
    """One tree: its inner nodes, the leaves from left to right, what each node rules out."""

    def __init__(self, predictor: Any) -> None:
        nodes = predictor.nodes
        inner: list[int] = []
        leaves: list[float] = []
        self._spans: list[tuple[int, int]] = []  # the leaves to the left of each inner node

        def walk(at: int) -> None:
            node = nodes[at]
            if node["is_leaf"]:
                leaves.append(float(node["value"]))
                return
            place, first = len(inner), len(leaves)
            inner.append(at)
            self._spans.append((first, first))
            walk(int(node["left"]))
            self._spans[place] = (first, len(leaves))
            walk(int(node["right"]))

        walk(0)
        if not inner:  # a tree of one leaf gets a node that rules nothing out
            inner.append(0)
            self._spans.append((0, 0))
        self.nodes = nodes[inner].copy()
        self.leaves = np.array(leaves)
        self.left_categories = _bits(predictor.raw_left_cat_bitsets, self.nodes)

    def masks(self, words: int) -> NDArray[np.uint64]:
        """Bits of the leaves that remain when a node sends a row to the right (words, nodes)."""
        masks = np.full((words, len(self.nodes)), _ALL, dtype=np.uint64)
        for place, (first, end) in enumerate(self._spans):
            ruled_out = (1 << end) - (1 << first)
            for word in range(words):
                part = (ruled_out >> (word * WORD_BITS)) & int(_ALL)
                masks[word, place] = np.uint64(int(_ALL) ^ part)
        return masks


def _bits(bitsets: NDArray[np.uint32], nodes: Any) -> NDArray[np.bool_]:
    """Which categories each node sends to the left (nodes, 256)."""
    found = np.zeros((len(nodes), 256), dtype=bool)
    for place, node in enumerate(nodes):
        if node["is_categorical"]:
            words = np.ascontiguousarray(bitsets[node["bitset_idx"]], dtype="<u4")
            found[place] = np.unpackbits(words.view(np.uint8), bitorder="little").astype(bool)
    return found


def _inputs(learner: Any) -> tuple[list[int], dict[int, dict[float, int]]]:
    """The encoded column behind each of the boosting's features; its categories' numbers.

    The boosting puts categorical columns first, and numbers their values in order.
    """
    count = int(learner.n_features_in_)
    if learner.is_categorical_ is None:
        return list(range(count)), {}
    chosen = np.flatnonzero(learner.is_categorical_).tolist()
    kinds = [*chosen, *(i for i in range(count) if i not in set(chosen))]
    encoder = learner._preprocessor.named_transformers_["encoder"]
    categories = {
        column: {value: n for n, value in enumerate(values.tolist()) if value == value}
        for column, values in zip(chosen, encoder.categories_, strict=True)
    }
    return kinds, categories
