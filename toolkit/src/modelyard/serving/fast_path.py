"""Predictions for single rows from look-ups and arrays, without scikit-learn's machinery for tables.

Scikit-learn's way from a row to a prediction is made for tables: a data frame, an encoder per block of
columns, a call per tree. For one row that is milliseconds of overhead. Here each value is encoded by a
look-up, and all trees are evaluated at once (see `forest`), or all weights are added up (see `linear`).

A model that `assemble` made of the encoder of `modelling.encoding` has a fast path: histogram gradient
boosting and the template's linear model are evaluated here, any other learner is asked about the encoded
rows, and a correction of probabilities is applied to either. A project's derived features are computed by
its own function on a frame of the rows. Any other model has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, TargetEncoder

from modelyard.contract.model import Contract
from modelyard.modelling.calibrated import Calibrated
from modelyard.modelling.derived import DerivedFeatures, check_derived
from modelyard.modelling.encoding import as_floats, as_words, date_parts
from modelyard.modelling.word_scores import WordScores
from modelyard.serving.forest import Forest, forest_of
from modelyard.serving.linear import Linear, linear_of
from modelyard.serving.payload import frame

# From so many rows on, asking the learner about all of them is faster than one by one.
FEW_ROWS = 24
LARGEST = 3e38  # as in encoding.as_floats
EPOCH = datetime(1970, 1, 1)

Row = Sequence[Any]
Encode = Callable[[Row], tuple[float, ...]]
Derive = Callable[[Sequence[Row]], Sequence[Row]]


class FastPath:
    """Computes what a model's `predict_proba`, or a regression's `predict`, gives.

    Attributes:
        direct: evaluates the learner; None where the learner itself is asked.
        words: known categories and texts of each column that has them.
    """

    def __init__(
        self,
        derive: Derive | None,
        encoders: Sequence[Encode],
        learner: Any,
        words: dict[str, list[str]],
    ) -> None:
        """Take the parts of a model; `derive` adds its derived features to rows."""
        self.learner = learner
        self.words = words
        # By name: a saved model brings its own copy of the class.
        is_corrected = type(learner).__name__ == Calibrated.__name__
        inner = learner.learner_ if is_corrected else learner
        self.direct: Forest | Linear | None = forest_of(inner) or linear_of(inner)
        self._correct = learner.calibration.apply if is_corrected else None
        self._derive = derive
        self._encoders = encoders
        self._ask = getattr(learner, "predict_proba", None) or learner.predict

    def scores(self, rows: Sequence[Row]) -> NDArray[np.float64]:
        """Predict probabilities (rows, classes), or values (rows,).

        Args:
            rows: of values in the order of the contract's features.
        """
        if self._derive is not None:
            rows = self._derive(rows)
        encoded = [[value for encode in self._encoders for value in encode(row)] for row in rows]
        if self.direct is not None and len(rows) <= FEW_ROWS:
            scores = self.direct.scores(encoded)
            return scores if self._correct is None else self._correct(scores)
        answer: NDArray[np.float64] = self._ask(np.array(encoded, dtype=np.float64))
        return answer


def build_fast_path(model: Any, contract: Contract) -> FastPath | None:
    """Build the fast path of a fitted model; None for a model of another kind."""
    parts = parts_of(model)
    if parts is None:
        return None
    derived, encoder, learner = parts
    words: dict[str, list[str]] = {}
    try:
        names = contract.features if derived is None else _columns(encoder)
        encoders = _encoders(encoder, {name: place for place, name in enumerate(names)}, words)
        derive = None if derived is None else _derivation(derived, names, words)
        return FastPath(derive, encoders, learner, words)
    except (
        _UnknownError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        RecursionError,
    ):
        return None


def parts_of(model: Any) -> tuple[Any, ColumnTransformer, Any] | None:
    """Split a model into derived features (None where it has none), encoder and learner.

    Returns:
        None for a model that `assemble` did not make.
    """
    while isinstance(model, (FixedThresholdClassifier, FrozenEstimator)):
        model = model.estimator_ if isinstance(model, FixedThresholdClassifier) else model.estimator
    if not isinstance(model, Pipeline):
        return None
    first, *others = (step for _, step in model.steps)
    # By name: a saved model brings its own copy of the class.
    has_derived = type(first).__name__ == DerivedFeatures.__name__
    derived, steps = (first, others) if has_derived else (None, [first, *others])
    if len(steps) != 2 or not isinstance(steps[0], ColumnTransformer):
        return None
    return derived, steps[0], steps[1]


def is_called(block: Any, function: Callable[..., Any]) -> bool:
    """Whether a block of the encoder applies this function, or a saved model's own copy of it."""
    found = getattr(block, "func", None)
    return getattr(found, "__name__", None) == function.__name__


class _UnknownError(Exception):
    """A part that this module does not know."""


def _columns(encoder: ColumnTransformer) -> list[str]:
    """Names of the columns that the encoder takes, each once."""
    blocks = (names for _, block, names in encoder.transformers_ if not isinstance(block, str))
    return list(dict.fromkeys(name for names in blocks for name in names))


def _derivation(derived: Any, names: Sequence[str], words: dict[str, list[str]]) -> Derive:
    """Make the function that computes derived features and returns values of the named columns."""
    contract = Contract.model_validate(derived.contract)
    add_features = derived.add_features

    def derive(rows: Sequence[Row]) -> list[Row]:
        given = frame(rows, contract)
        table = add_features(given, contract)
        check_derived(given, table)
        columns = (_values(table[name], as_text=name in words) for name in names)
        return list(zip(*columns, strict=True))

    return derive


def _values(column: pd.Series, *, as_text: bool) -> list[Any]:
    """Values of a column as those of a request are: None where missing, datetimes in UTC."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert(None)
    values = column.tolist()
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf" and not as_text:
        return values
    gaps = column.isna().tolist()
    return [
        None if gap else str(value) if as_text else value
        for value, gap in zip(values, gaps, strict=True)
    ]


def _encoders(
    encoder: ColumnTransformer, places: dict[str, int], words: dict[str, list[str]]
) -> list[Encode]:
    """Make a function per block of the encoder, in the order of its output; fills in `words`."""
    found: list[Encode] = []
    for _, block, names in encoder.transformers_:
        columns = [] if isinstance(block, str) else [places[name] for name in names]
        if block == "drop":
            continue
        if isinstance(block, FunctionTransformer) and block.func is not None:
            found.append(_function(block, columns))
        elif isinstance(block, Pipeline) and len(block.steps) == 2:
            first, second = (step for _, step in block.steps)
            if not is_called(first, as_words):
                raise _UnknownError
            if type(second).__name__ == WordScores.__name__:
                found.append(_scored(second, columns[0]))
                continue
            words |= {name: _known(second, i) for i, name in enumerate(names)}
            found += [_table(second, i, column) for i, column in enumerate(columns)]
        else:
            raise _UnknownError
    return found


def _function(block: FunctionTransformer, columns: list[int]) -> Encode:
    if is_called(block, as_floats):
        return lambda row: tuple(_as_float(row[column]) for column in columns)
    if is_called(block, date_parts):
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


def _scored(encoder: Any, column: int) -> Encode:
    """Make the function that scores one column's texts by their words."""
    return lambda row: tuple(encoder.transform(np.array([[row[column]]], dtype=object))[0].tolist())


def _known(encoder: Any, place: int) -> list[str]:
    return [word for word in encoder.categories_[place] if isinstance(word, str)]


def _table(encoder: Any, place: int, column: int) -> Encode:
    """Make the look-up of one column's words; missing ones are under None."""
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
