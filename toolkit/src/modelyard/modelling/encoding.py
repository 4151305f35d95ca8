"""Encoding of features as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, TargetEncoder

from modelyard.contract.model import Contract
from modelyard.data.cells import Type
from modelyard.errors import UsageError
from modelyard.modelling.word_scores import WordScores

# Histogram gradient boosting tells 255 values of a column apart, one of them "missing".
MOST_LEVELS = 254


# A part of a date is used only where the training rows cover its cycle twice: a model trained on
# January and February knows nothing about July.
CYCLE_DAYS = {"hour": 2, "weekday": 14, "month": 731}

# A text that hardly ever comes twice says nothing as a whole; its words may.
MOST_REPEATED = 0.5


@dataclass(frozen=True)
class Feature:
    """A feature and its encoding.

    Attributes:
        name: of the column.
        kind: the contract's type.
        encoding: in words.
        how: the block of the encoder that it belongs to.
        parts: of a datetime.
        since: the column a datetime's distance in days is measured to; None: 1970.
    """

    name: str
    kind: str
    encoding: str
    how: Literal["number", "date", "category", "text", "words"]
    parts: tuple[str, ...] = ()
    since: str | None = None


def choose_features(
    rows: pd.DataFrame, contract: Contract, *, trend: bool = False, category_rows: int = 0
) -> list[Feature]:
    """Choose the features that a model is trained on, and the encoding of each.

    Features are those of the contract, by the contract's types, and the columns of `rows` that the
    contract does not name, which `add_features` made, by what they hold.

    Args:
        rows: to train on (rows, columns), with the derived columns.
        contract: of the table.
        trend: count the days of the time by which rows are split, too. They only grow: their values are
            new in every later row, so whether that helps is for the validation rows to say.
        category_rows: of a column with fewer rows a category, on average, the target's means are taken, as
            of repeated texts.

    Raises:
        UsageError: no feature is left.
    """
    derived = [str(name) for name in rows.columns if name not in contract.columns]
    kinds = {name: contract.columns[name].type for name in contract.features}
    kinds |= {name: _kind_of(rows[name]) for name in derived}
    chosen = [_feature(n, kind, contract, rows, trend, category_rows) for n, kind in kinds.items()]
    features = [feature for feature in chosen if feature is not None]
    if not features and not trend:
        return choose_features(rows, contract, trend=True, category_rows=category_rows)
    if not features:
        raise UsageError("no feature is left: the only ones are datetimes without a value.")
    order = ("number", "date", "category", "text", "words")
    return sorted(features, key=lambda feature: order.index(feature.how))


def encoder(features: Sequence[Feature], contract: Contract, seed: int) -> ColumnTransformer:
    """Make the encoder of these features, unfitted.

    It turns a data frame of raw columns, in any order, into floats (rows, encoded). Missing values
    stay NaN. Categories that it was not fitted on become NaN, such texts the target's mean. Texts that
    hardly ever repeat are scored by their words.

    Args:
        features: see `choose_features`.
        contract: says the kind of problem, by which texts are encoded.
        seed: of the folds in which texts are encoded.
    """
    kind = contract.kind
    blocks: list[tuple[str, Any, list[str]]] = []
    names = {
        how: [f.name for f in features if f.how == how] for how in ("number", "category", "text")
    }
    if names["number"]:
        blocks.append(("number", FunctionTransformer(as_floats), names["number"]))
    for feature in features:
        if feature.how == "date":
            since = [feature.since] if feature.since else []
            settings = {"parts": feature.parts}
            blocks.append(
                (
                    f"date {feature.name}",
                    FunctionTransformer(date_parts, kw_args=settings),
                    [feature.name, *since],
                )
            )
    if names["category"]:
        ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
        blocks.append(("category", _worded(ordinal), names["category"]))
    if names["text"]:
        target_type: Any = "continuous" if kind == "regression" else kind
        # The mean of the target per text; of each text's own rows it sees only the others.
        folds = (KFold if kind == "regression" else StratifiedKFold)(
            5, shuffle=True, random_state=seed
        )
        means = TargetEncoder(target_type=target_type, cv=folds)
        blocks.append(("text", _worded(means), names["text"]))
    for feature in features:
        if feature.how == "words":
            scores = WordScores(kind=kind, seed=seed)
            blocks.append((f"words {feature.name}", _worded(scores), [feature.name]))
    return ColumnTransformer(blocks, sparse_threshold=0, verbose_feature_names_out=False)


def categorical_positions(features: Sequence[Feature]) -> list[int]:
    """Return the positions of encoded columns that hold codes of categories."""
    start = sum(f.how == "number" for f in features) + len(_date_parts(features))
    return list(range(start, start + sum(f.how == "category" for f in features)))


def cyclic_positions(features: Sequence[Feature]) -> list[int]:
    """Return the positions of encoded columns that hold hours, weekdays or months."""
    start = sum(f.how == "number" for f in features)
    return [start + i for i, part in enumerate(_date_parts(features)) if part != "days"]


def _date_parts(features: Sequence[Feature]) -> list[str]:
    return [part for f in features if f.how == "date" for part in f.parts]


def as_floats(columns: pd.DataFrame) -> NDArray[np.float64]:
    """Convert numbers and booleans to floats; missing and infinite ones to NaN."""
    if all(isinstance(kind, np.dtype) and kind.kind in "iuf" for kind in columns.dtypes):
        # Of many columns, ten times as fast; in the order of rows, as they are predicted.
        values = np.array(columns.to_numpy(), dtype=np.float64, order="C", copy=True)
    else:
        each = (c.to_numpy(dtype=np.float64, na_value=np.nan) for _, c in columns.items())
        values = np.column_stack([*each])
    values[~np.isfinite(values)] = np.nan
    # Decision trees compute in single precision.
    clipped: NDArray[np.float64] = np.clip(values, -3e38, 3e38)
    return clipped


def date_parts(columns: pd.DataFrame, parts: tuple[str, ...]) -> NDArray[np.float64]:
    """Compute parts of the first column's datetimes; "days" since the second column's, or since 1970."""
    times, *others = (_without_zone(column) for _, column in columns.items())
    found: list[Any] = []
    for part in parts:
        if part == "hour":
            found.append(times.dt.hour + times.dt.minute / 60)
        elif part == "weekday":
            found.append(times.dt.dayofweek)
        elif part == "month":
            found.append(times.dt.month)
        else:
            start = others[0] if others else pd.Timestamp(0)
            found.append((times - start).dt.total_seconds() / 86_400)
    return np.column_stack([part.to_numpy(dtype=np.float64) for part in found])


def as_words(columns: pd.DataFrame) -> NDArray[np.object_]:
    """Convert categories and texts to strings; missing ones to NaN."""
    words = np.empty(columns.shape, dtype=object)
    for i, (_, column) in enumerate(columns.items()):
        values = column.astype(object).to_numpy()
        missing = pd.isna(values)
        if pd.api.types.infer_dtype(values, skipna=True) not in ("string", "empty"):
            values = np.array([str(value) for value in values], dtype=object)
        words[:, i] = np.where(missing, np.nan, values)
    return words


def _without_zone(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind == "M":
        return column  # to_datetime would look through it first, which takes longer than all else
    return pd.to_datetime(column, utc=True).dt.tz_localize(None)


def _worded(encode: Any) -> Pipeline:
    return Pipeline([("words", FunctionTransformer(as_words)), ("encode", encode)])


def _kind_of(column: pd.Series) -> Type:
    """Return the type of a derived column, as the contract names it."""
    kinds: dict[str, Type] = {"b": "boolean", "i": "integer", "u": "integer", "f": "number"}
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "datetime"
    return kinds.get(getattr(column.dtype, "kind", "O"), "category")


def _feature(
    name: str, kind: Type, contract: Contract, rows: pd.DataFrame, trend: bool, category_rows: int
) -> Feature | None:
    if kind in ("number", "integer"):
        return Feature(name, kind, "as it is", "number")
    if kind == "boolean":
        return Feature(name, kind, "0 or 1", "number")
    if kind == "datetime":
        return _date_feature(name, contract, rows, trend)
    levels, present = rows[name].nunique(), rows[name].count()
    if kind == "category" and levels <= MOST_LEVELS and levels * category_rows <= present:
        return Feature(name, kind, f"{levels} categories", "category")
    if levels > MOST_REPEATED * present:
        return Feature(name, kind, f"words of {levels:,} texts", "words")
    return Feature(
        name,
        kind,
        f"target mean of {levels:,} {'categories' if kind == 'category' else 'texts'}",
        "text",
    )


def _date_feature(name: str, contract: Contract, rows: pd.DataFrame, trend: bool) -> Feature | None:
    times = rows[name].dropna()
    days = (times.max() - times.min()) / pd.Timedelta(days=1) if len(times) else 0.0
    parts = [part for part, needed in CYCLE_DAYS.items() if days >= needed]
    if (times == times.dt.normalize()).all():
        parts = [part for part in parts if part != "hour"]
    words, since = list(parts), None
    if name == contract.time and trend and len(times):
        parts.append("days")
        words.append("trend")
    elif name != contract.time:
        parts.append("days")
        if (
            contract.time in contract.features
            and contract.columns[contract.time].type == "datetime"
        ):
            since = contract.time
        words.append(f"days after {since}" if since else "days")
    return (
        Feature(name, "datetime", ", ".join(words), "date", tuple(parts), since) if parts else None
    )


def without_empty(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace encoded columns without any value by 0: boosting cannot bin them."""
    empty = np.isnan(inputs).all(axis=0)
    return np.where(empty, 0.0, inputs) if empty.any() else inputs


def fit_encoder(
    encode: ColumnTransformer, rows: pd.DataFrame, target: NDArray[Any]
) -> NDArray[np.float64]:
    """Fit an encoder, and encode the rows it is fitted on (rows, encoded).

    A text's mean of the target leaves out the row it is given to (cross-fitting), so these are other
    numbers than `encode.transform(rows)` gives.

    Args:
        encode: unfitted; see `encoder`.
        rows: to fit on (rows, columns).
        target: of the same rows (rows,); see `labels`.
    """
    return without_empty(encode.fit_transform(rows, target))


def labels(rows: pd.DataFrame, contract: Contract) -> NDArray[Any]:
    """Return the target as the model predicts it (rows,): classes, or floats."""
    column = rows[contract.target.column]
    return column.to_numpy(dtype=np.float64) if contract.kind == "regression" else column.to_numpy()
