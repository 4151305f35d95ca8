"""Encoding of texts that hardly ever repeat: a score by their words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.model_selection import KFold, StratifiedKFold

FOLDS = 5
MOST_WORDS = 20_000
FEWEST_WORDS = 2  # of a text, typically; below, its characters are counted


class WordScores(TransformerMixin, BaseEstimator):
    """Scores texts by a ridge regression of the target on their counted words (TF-IDF).

    A text becomes one number, or one per class where there are more than two, whatever the number of
    words. Rows that the encoder is fitted on get the scores of a regression on other rows
    (cross-fitting), as with scikit-learn's `TargetEncoder`. Texts of single words, or of a script
    without blanks, are counted by their characters, up to four in a row.
    """

    def __init__(self, kind: str = "regression", seed: int = 0) -> None:
        self.kind = kind
        self.seed = seed

    def fit(self, columns: NDArray[np.object_], target: NDArray[Any]) -> WordScores:
        """Count words, and learn a weight for each."""
        self._learn(_texts(columns), self._goals(target))
        return self

    def _learn(self, texts: list[str], goals: NDArray[np.float64]) -> Any:
        """Count words, learn a weight for each, and return the counts (rows, words); None without words."""
        # Imported here: an endpoint without texts would wait for it in vain.
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import Ridge

        lengths = [len(text.split()) for text in texts if text]
        if lengths and np.median(lengths) < FEWEST_WORDS:
            counted: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (1, 4)}
        else:
            counted = {"analyzer": "word", "token_pattern": r"(?u)\b\w+\b"}
        self.vectorizer_ = TfidfVectorizer(
            **counted, max_features=MOST_WORDS, sublinear_tf=True, dtype=np.float64
        )
        try:
            counts = self.vectorizer_.fit_transform(texts)
        except ValueError:  # no text has a word: all get the same score
            self.ridge_, self.mean_ = None, goals.mean(axis=0)
            return None
        self.ridge_ = Ridge(solver="sparse_cg").fit(counts, goals)
        return counts

    def fit_transform(
        self, columns: NDArray[np.object_], target: NDArray[Any], **_: Any
    ) -> NDArray[np.float64]:
        """Fit, and score each text by what the other folds say (rows, scores)."""
        goals = self._goals(target)
        counts = self._learn(_texts(columns), goals)
        if counts is None or len(goals) < 2 * FOLDS:
            return self.transform(columns)
        scores = np.empty(goals.shape)
        for others, held_out in self._folds(target):
            ridge = clone(self.ridge_).fit(counts[others], goals[others])
            scores[held_out] = ridge.predict(counts[held_out]).reshape(len(held_out), -1)
        return scores

    def transform(self, columns: NDArray[np.object_]) -> NDArray[np.float64]:
        """Score texts (rows, scores)."""
        if self.ridge_ is None:
            return np.tile(self.mean_, (len(columns), 1))
        scores = self.ridge_.predict(self.vectorizer_.transform(_texts(columns)))
        return np.asarray(scores, dtype=np.float64).reshape(len(columns), -1)

    def _goals(self, target: NDArray[Any]) -> NDArray[np.float64]:
        """Return what the regression predicts (rows, scores): numbers, or 1 for a class and 0 for others."""
        if self.kind == "regression":
            return target.astype(np.float64).reshape(-1, 1)
        classes = np.unique(target)
        is_class = (target[:, None] == classes[None, :]).astype(np.float64)
        return is_class[:, 1:] if len(classes) == 2 else is_class

    def _folds(self, target: NDArray[Any]) -> Any:
        if self.kind == "regression" or np.unique(target, return_counts=True)[1].max() < FOLDS:
            return KFold(FOLDS, shuffle=True, random_state=self.seed).split(target)
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=self.seed)
        return folds.split(target, target)


def _texts(columns: NDArray[np.object_]) -> list[str]:
    return [text if isinstance(text, str) else "" for text in columns[:, 0]]
