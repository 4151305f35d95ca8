"""Predictions of scikit-learn's histogram gradient boosting for single rows, in a few array operations.

Scikit-learn walks the trees one after the other, which for one row is mostly overhead. Here every node of
every tree is decided at once: a node that sends the row to the right rules out the leaves to its left, and
the first leaf left over is the row's (QuickScorer: Lucchese et al., SIGIR 2015).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

WORD_BITS = 64
MOST_MASKS = 200_000  # of trees that are larger or more, scikit-learn's own walk is as fast
_ALL = np.uint64(2**64 - 1)


def forest_of(learner: Any) -> Forest | None:
    """Make the forest of a fitted histogram gradient boosting; None of others, and of very large ones."""
    if not isinstance(learner, (HistGradientBoostingClassifier, HistGradientBoostingRegressor)):
        return None
    leaves = [tree.get_n_leaf_nodes() for stage in learner._predictors for tree in stage]
    masks = sum(leaves) * -(-max(leaves) // WORD_BITS)
    return Forest(learner) if masks <= MOST_MASKS else None


class Forest:
    """All trees of a fitted histogram gradient boosting.

    Nodes are grouped by how they are decided: first those that compare numbers, then those of each
    categorical column. `_order` puts the decisions back into the order of the trees.
    """

    def __init__(self, learner: Any) -> None:
        kinds, categories = _inputs(learner)
        predictors = learner._predictors
        trees = [_Tree(stage[k]) for k in range(len(predictors[0])) for stage in predictors]
        widest = max(-(-len(tree.leaves) // WORD_BITS) for tree in trees)

        nodes = np.concatenate([tree.nodes for tree in trees])
        self._masks = np.hstack([tree.masks(widest) for tree in trees])  # (words, nodes)
        self._starts = np.cumsum([0, *(len(tree.nodes) for tree in trees[:-1])])
        self._leaves = np.concatenate([tree.leaves for tree in trees])
        self._first_leaf = np.cumsum([0, *(len(tree.leaves) for tree in trees[:-1])])
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
        bits = np.concatenate([tree.left_categories for tree in trees])  # (nodes, 256)
        for column in np.unique(columns[~is_number]).tolist():
            own = np.flatnonzero(~is_number & (columns == column))
            groups.append(own)
            missing = nodes["missing_go_to_left"][own].astype(bool)
            table = {
                float(code): bits[own, place].copy() for code, place in categories[column].items()
            }
            self._categorical.append((column, table, missing))
        order = np.concatenate(groups)
        self._order = np.empty(len(order), dtype=np.intp)
        self._order[order] = np.arange(len(order))

    def scores(self, rows: list[list[float]]) -> NDArray[np.float64]:
        """Predict probabilities (rows, classes), or values (rows,), of encoded rows."""
        raw = np.array([self._raw(row) for row in rows]) + self._baseline
        if self._is_classifier:
            chances: NDArray[np.float64] = self._loss.predict_proba(raw)
            return chances
        values: NDArray[np.float64] = self._loss.link.inverse(raw.ravel())
        return values

    def _raw(self, row: list[float]) -> NDArray[np.float64]:
        """Sum the values of a row's leaves, per class (classes,)."""
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
        sums: NDArray[np.float64] = leaves.reshape(self._classes, -1).sum(axis=1)
        return sums


def _first_bit(words: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Find the number of the lowest bit that is set in each column of words (words, columns)."""
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
    """One tree: its inner nodes, its leaves from left to right, and the leaves each node rules out."""

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
        """Mark the leaves that remain when a node sends a row to the right, as bits (words, nodes)."""
        masks = np.full((words, len(self.nodes)), _ALL, dtype=np.uint64)
        for place, (first, end) in enumerate(self._spans):
            ruled_out = (1 << end) - (1 << first)
            for word in range(words):
                part = (ruled_out >> (word * WORD_BITS)) & int(_ALL)
                masks[word, place] = np.uint64(int(_ALL) ^ part)
        return masks


def _bits(bitsets: NDArray[np.uint32], nodes: Any) -> NDArray[np.bool_]:
    """Unpack the categories that each node sends to the left (nodes, 256)."""
    found = np.zeros((len(nodes), 256), dtype=bool)
    for place, node in enumerate(nodes):
        if node["is_categorical"]:
            words = np.ascontiguousarray(bitsets[node["bitset_idx"]], dtype="<u4")
            found[place] = np.unpackbits(words.view(np.uint8), bitorder="little").astype(bool)
    return found


def _inputs(learner: Any) -> tuple[list[int], dict[int, dict[float, int]]]:
    """Map the boosting's features to encoded columns, and the values of categorical ones to its numbers.

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
