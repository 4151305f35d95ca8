"""Comparison of candidates on rows that they have not learnt from."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from modelyard.contract.model import Contract
from modelyard.data.folds import belonging, copies
from modelyard.errors import UsageError
from modelyard.modelling.encoding import MOST_LEVELS, Feature, encoder, fit_encoder
from modelyard.modelling.live_metrics import LiveMetrics
from modelyard.modelling.predicting import Floats, threads_for
from modelyard.modelling.stopping import (
    Learned,
    first_iterations,
    is_boosting,
    learn,
    predicts_classes,
    report,
    with_iterations,
)

# With fewer to learn from, all rows are held out in turn; not where that takes minutes, as with dozens of
# columns and ten classes. By time, one stretch of validation rows says little of the next, however long it is.
SMALL_ROWS = 3_000
TIMED_ROWS = 20_000
SMALL_WORK = 500_000  # rows x columns x classes
FOLDS = 5
FEWEST_NEW = 0.2  # share of the rows of which no copy was learnt, to compare on these alone
TINY = 1e-15  # a probability, so that its logarithm is a number
# To fit on while candidates are compared; boosting, slower, gets all rows after.
SAMPLE_ROWS = 20_000

# Rows with derived columns (rows, columns), in the order of time where there is one, and their target.
Rows: TypeAlias = tuple[pd.DataFrame, NDArray[Any]]
Fold: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Candidate:
    """A way to learn.

    Attributes:
        learner: unfitted; boosting with `max_iter` as the limit of its iterations.
        features: that it sees.
    """

    learner: Any
    features: Sequence[Feature]


@dataclass(frozen=True)
class Choice:
    """The candidate that does best on held-out rows.

    Attributes:
        name: of the candidate.
        learner: unfitted, with the iterations that were best.
        features: that it sees.
        learned: the course of its training; the mean of the folds where there are some.
        truth: of the held-out rows (held out,).
        scores: probabilities (held out, classes), or values (held out,), by models that have not seen them.
        compared: by candidate: loss on the held-out rows, by how much it is above the lowest and the
            standard error of that, likewise without rows far out, iterations, and rows that it learnt from.
        how: rows are held out, in words.
        in_folds: whether that is in turn, all of them or the latest.
    """

    name: str
    learner: Any
    features: Sequence[Feature]
    learned: Learned
    truth: NDArray[Any]
    scores: Floats
    compared: Mapping[str, Mapping[str, float]]
    how: str
    in_folds: bool = False


def compare(
    candidates: Mapping[str, Candidate],
    train: Rows,
    validation: Rows,
    contract: Contract,
    *,
    seed: int = 0,
    patience: int = 20,
    tolerance: float = 1e-5,
    log: LiveMetrics,
    groups: pd.Series | None = None,
) -> Choice:
    """Fit candidates, and choose one by its loss on rows that it has not learnt from.

    Chosen is the first whose loss is within a standard error of the lowest, and within two without the
    twentieth of the rows where the two differ most, either way: name the simplest first. The
    loss is the log loss of classes, and half the squared error of numbers. Small tables are compared out of
    fold: each of five parts is held out once, or, where rows are split by time, each of the four latest
    sixths is predicted from the rows before it. Larger ones are compared on the validation rows. Candidates
    then learn from a sample of the training rows; the best boosting among them is fitted on all, and takes
    part with the loss that it has then. A single candidate learns from all.

    Args:
        candidates: by name.
        train: to fit on.
        validation: to measure on.
        contract: of the table.
        seed: of folds and samples.
        patience: see `early_stopping`.
        tolerance: see `early_stopping`.
        log: takes the losses of the iterations.
        groups: the column `group` of the contract, of the rows to fit on and then those to measure on; a part
            has all rows of one. Without it, rows that belong together are compared on the validation rows.

    Raises:
        UsageError: there is no candidate, or one is no estimator; one predicts numbers where the target has
            classes, or the other way around; a classifier has no probabilities; or a training diverges.
    """
    _require_kind(candidates, contract)
    rows = pd.concat([train[0], validation[0]], ignore_index=True)
    target = np.concatenate([train[1], validation[1]])
    given = np.arange(len(train[1])), np.arange(len(train[1]), len(target))
    trials = _Trials(rows, target, contract, seed, patience, tolerance)
    in_folds = _is_small(candidates, target, contract)
    in_folds = in_folds and (contract.group is None or groups is not None)
    folds = _folds(rows, target, contract, seed, groups) if in_folds else []
    how = "the validation rows"
    if folds:
        others = "those before" if contract.time else "the others"
        how = f"{len(folds)} parts, each predicted from {others}"
    sample = _sample(train[1], seed)
    if folds or len(sample) == len(train[1]):
        tried = {name: trials.run(one, folds or [given]) for name, one in candidates.items()}
        best = _first_of_the_best(tried)
        for step, losses in enumerate(tried[best].learned.pairs()[1:], 1):
            log.log(step, losses)
    elif len(candidates) == 1:
        tried = {name: trials.run(one, [given], log) for name, one in candidates.items()}
        (best,) = tried
    else:
        asked = _sample(validation[1], seed)
        fold = sample, given[1][asked]
        tried = {name: trials.run(one, [fold]) for name, one in candidates.items()}
        boosted = {name: tried[name] for name in tried if is_boosting(candidates[name].learner)}
        if boosted:
            leader = min(boosted, key=lambda name: boosted[name].loss)
            tried[leader] = trials.run(candidates[leader], [given], log).at(asked)
        best = _first_of_the_best(tried)
    chosen, found = candidates[best], tried[best]
    report(found.learned)
    if len(tried) > 1:
        listed = ", ".join(f"{name} {one.loss:.5g}" for name, one in tried.items())
        print(f"loss on {how}: {listed}; chosen: {best}", flush=True)
    return Choice(
        best,
        with_iterations(chosen.learner, found.learned.iterations),
        chosen.features,
        found.learned,
        found.truth,
        found.scores,
        {
            name: {
                "loss": one.loss,
                **_above(one, tried),
                "iterations": one.learned.iterations,
                "rows": one.rows,
            }
            for name, one in tried.items()
        },
        how,
        bool(folds),
    )


@dataclass(frozen=True)
class _Trial:
    """A candidate on held-out rows."""

    learned: Learned
    truth: NDArray[Any]
    scores: Floats
    losses: Floats
    rows: int

    @property
    def loss(self) -> float:
        return float(self.losses.mean())

    def at(self, held: NDArray[np.int64]) -> _Trial:
        """Select held-out rows."""
        return replace(
            self, truth=self.truth[held], scores=self.scores[held], losses=self.losses[held]
        )


def _above(one: _Trial, tried: Mapping[str, _Trial]) -> dict[str, float]:
    """Compute by how much a loss is above the lowest, and the standard error of that, in pairs of rows.

    Likewise without the twentieth of the pairs at either end: a row that is far out makes the standard
    error so large that any candidate would be within it.
    """
    lowest = min(tried.values(), key=lambda other: other.loss)
    above = np.sort(one.losses - lowest.losses)
    cut = len(above) // 20
    inner = above[cut : len(above) - cut]
    clipped = np.clip(above, inner[0], inner[-1])  # winsorised, as the error of a trimmed mean is
    return {
        "above_lowest": float(above.mean()),
        "standard_error": float(above.std() / np.sqrt(len(above))),
        "trimmed_above": float(inner.mean()),
        "trimmed_error": float(clipped.std() / np.sqrt(len(above)) / 0.9),
    }


def _require_kind(candidates: Mapping[str, Candidate], contract: Contract) -> None:
    """Check that there are candidates, and that all predict numbers, or all classes, as the target has them."""
    if not candidates:
        raise UsageError(
            "there is no candidate to train: `build_candidates` in model.py names none"
        )
    is_regression = contract.kind == "regression"
    found, wanted = ("classes", "numbers") if is_regression else ("numbers", "classes")
    for name, one in candidates.items():
        steps = [step for _, step in one.learner.steps] if hasattr(one.learner, "steps") else []
        for part in (one.learner, *steps):
            if part not in (None, "passthrough") and not hasattr(part, "__sklearn_tags__"):
                raise UsageError(
                    f"the candidate `{name}`: {type(part).__name__} is no estimator of scikit-learn; let it inherit "
                    "from sklearn.base.BaseEstimator, a learner from ClassifierMixin or RegressorMixin before it"
                )
        if predicts_classes(one.learner) == is_regression:
            raise UsageError(
                f"the candidate `{name}`, {one.learner}, predicts {found}; the target "
                f"`{contract.target.column}` has {wanted}: choose another learner in model.py"
            )


def _first_of_the_best(tried: Mapping[str, _Trial]) -> str:
    above = {name: _above(one, tried) for name, one in tried.items()}
    return next(
        name
        for name, one in above.items()
        if one["above_lowest"] <= one["standard_error"]
        and one["trimmed_above"] <= 2 * one["trimmed_error"]
    )


@dataclass
class _Trials:
    """Runs candidates; rows of a fold are encoded once for candidates with the same features."""

    rows: pd.DataFrame
    target: NDArray[Any]
    contract: Contract
    seed: int
    patience: int
    tolerance: float
    _encoded: dict[Any, tuple[Floats, Floats]] = field(default_factory=dict)

    def run(
        self, candidate: Candidate, folds: Sequence[Fold], log: LiveMetrics | None = None
    ) -> _Trial:
        fitted, courses = [], []
        for fold in folds:
            known, held = self._encode(candidate.features, fold)
            learner = clone(candidate.learner)
            with threads_for(len(known)):
                course = learn(
                    learner,
                    (known, self.target[fold[0]]),
                    (held, self.target[fold[1]]),
                    patience=self.patience,
                    tolerance=self.tolerance,
                    log=log or LiveMetrics(),
                )
            courses.append(course)
            fitted.append((learner, held))
        learned = courses[0] if len(courses) == 1 else _mean(courses)
        classes = None if self.contract.kind == "regression" else np.unique(self.target)
        scores = np.concatenate(
            [
                _scores(first_iterations(learner, learned.iterations), held, classes)
                for learner, held in fitted
            ]
        )
        truth = self.target[np.concatenate([held for _, held in folds])]
        rows = round(np.mean([len(known) for known, _ in folds]))
        return _Trial(learned, truth, scores, losses_of(truth, scores, classes), rows)

    def _encode(self, features: Sequence[Feature], fold: Fold) -> tuple[Floats, Floats]:
        key = (tuple(features), fold[0].tobytes())
        if key not in self._encoded:
            encode = encoder(features, self.contract, self.seed)
            known = fit_encoder(encode, self.rows.iloc[fold[0]], self.target[fold[0]])
            self._encoded[key] = known, encode.transform(self.rows.iloc[fold[1]])
        return self._encoded[key]


def losses_of(
    truth: NDArray[Any], scores: Floats, classes: NDArray[Any] | None, least: float = TINY
) -> Floats:
    """Compute each row's log loss of probabilities (rows, classes), or half the squared error of values.

    A probability below `least` counts as that.
    """
    if classes is None:
        return np.asarray((scores - truth) ** 2 / 2)
    own = scores[np.arange(len(truth)), np.searchsorted(classes, truth)]
    return np.asarray(-np.log(np.clip(own, least, 1)))


def _scores(learner: Any, inputs: Floats, classes: NDArray[Any] | None) -> Floats:
    if classes is None:
        return np.asarray(learner.predict(inputs), dtype=np.float64).ravel()
    scores = np.zeros((len(inputs), len(classes)))
    scores[:, np.searchsorted(classes, learner.classes_)] = learner.predict_proba(inputs)
    return scores


def _mean(courses: Sequence[Learned]) -> Learned:
    """Average the courses of folds; one that ended early goes on with its last loss."""
    longest = max(len(one.losses) for one in courses)

    def mean(lists: Sequence[list[float]]) -> list[float]:
        filled = [[*losses, *[losses[-1]] * (longest - len(losses))] for losses in lists]
        return [float(value) for value in np.mean(filled, axis=0)]

    losses = mean([one.losses for one in courses])
    last = max(courses, key=lambda one: len(one.losses))
    best = max(1, int(np.argmin(losses)))
    training = mean([one.training_losses for one in courses])
    return Learned(losses, training, best, last.stopped, last.reason)


def group_folds(
    target: NDArray[Any], groups: pd.Series, parts: int, seed: int, *, is_class: bool
) -> Iterator[Fold]:
    """Divide rows so that those of one group stand in one part, each class as even as that allows."""
    codes = belonging(groups.to_frame("group"), "group")
    parts = min(parts, int(codes.max()) + 1)
    if parts < 2:
        return
    kind = StratifiedGroupKFold if is_class else GroupKFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a rare class is in few groups
        yield from kind(parts, shuffle=True, random_state=seed).split(codes, target, codes)


def _folds(
    rows: pd.DataFrame,
    target: NDArray[Any],
    contract: Contract,
    seed: int,
    groups: pd.Series | None = None,
) -> list[Fold]:
    """Divide rows; a class that a fold cannot learn is not asked there.

    Copies of a row stay together where a column of measurements makes it unlikely that two rows agree by
    chance. Without such a column they are frequencies, unless many rows have no copy: then only those are asked,
    since a model that remembers what became of a copy need not know more than that.
    """
    count, is_class = len(rows), contract.kind != "regression"
    pairs: Iterable[Fold]
    if groups is not None:
        pairs = group_folds(target, groups, FOLDS, seed, is_class=is_class)
    elif contract.time is not None:
        pairs = TimeSeriesSplit(4, test_size=max(1, count // 6)).split(rows)
    elif _are_measured(rows) and rows.duplicated().any():
        pairs = group_folds(target, pd.Series(copies(rows)), FOLDS, seed, is_class=False)
    else:
        is_even = is_class and np.unique(target, return_counts=True)[1].max() >= FOLDS
        kind = StratifiedKFold if is_even else KFold
        pairs = list(kind(FOLDS, shuffle=True, random_state=seed).split(rows, target))
        same = copies(rows)
        new = [(known, held[~np.isin(same[held], same[known])]) for known, held in pairs]
        asked = np.concatenate([held for _, held in new])
        is_complete = not is_class or np.isin(target, target[asked]).all()
        if is_complete and len(asked) >= FEWEST_NEW * count:
            pairs = new
    folds = []
    for known, held in pairs:
        if is_class:
            classes = np.unique(target[known])
            if len(classes) < 2:
                continue
            held = held[np.isin(target[held], classes)]
        if len(held):
            folds.append((known, held))
    return folds


def _are_measured(rows: pd.DataFrame) -> bool:
    numbers = rows.select_dtypes("number")
    return any(numbers.iloc[:, at].nunique() > MOST_LEVELS for at in range(numbers.shape[1]))


def _is_small(
    candidates: Mapping[str, Candidate], target: NDArray[Any], contract: Contract
) -> bool:
    columns = max(len(one.features) for one in candidates.values())
    classes = len(np.unique(target)) if contract.kind == "multiclass" else 1
    most = TIMED_ROWS if contract.time and not contract.group else SMALL_ROWS
    return len(target) < most and len(target) * columns * classes <= SMALL_WORK


def _sample(target: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """Draw rows to fit on, in their order."""
    count = len(target)
    if count <= SAMPLE_ROWS:
        return np.arange(count)
    picked = np.random.default_rng(seed).choice(count, SAMPLE_ROWS, replace=False)
    # Each class, however rare, is learnt.
    first = np.unique(target, return_index=True)[1] if target.dtype.kind != "f" else picked[:0]
    return np.unique(np.concatenate([picked, first]))
