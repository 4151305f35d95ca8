"""From prepared rows to what a model learns from: which columns, and how each is encoded.

The encoder takes a data frame of the contract's columns as they are, so that whoever calls the
model later (an endpoint, a batch job, a notebook) needs nothing of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, TargetEncoder

from .contract import Contract, Kind, described
from .step import StepError

Part = Literal["train", "validation", "test"]
# Histogram gradient boosting tells 255 values of a column apart, one of them "missing".
MOST_LEVELS = 254
# A part of a date is used only where the rows to learn from cover its cycle twice: what a model saw
# of January and February tells it nothing about July.
CYCLE_DAYS = {"hour": 2, "weekday": 14, "month": 731}
DTYPES = {
    "number": "fiu",
    "integer": "fiu",
    "boolean": "bO",
    "category": "O",
    "text": "O",
    "datetime": "M",
}


@dataclass(frozen=True)
class Feature:
    """A column and how a model sees it.

    Attributes:
        name: of the column.
        kind: the contract's type.
        encoding: in words, for people.
        how: the block of the encoder it belongs to.
        parts: of a datetime.
        since: the column a datetime's distance in days is measured to; None: 1970.
    """

    name: str
    kind: str
    encoding: str
    how: Literal["number", "date", "category", "text"]
    parts: tuple[str, ...] = ()
    since: str | None = None


def read_part(prepared: Path, part: Part, contract: Contract) -> pd.DataFrame:
    """Read a part of the prepared data, with the columns of `contract.prepared`.

    Raises:
        StepError: when it is missing, or does not fit the contract.
    """
    path = prepared / f"{part}.parquet"
    advice = "Run prepare again, with this contract."
    try:
        rows = pd.read_parquet(path)
    except FileNotFoundError:
        raise StepError(f"{path} is missing. {advice}") from None
    except (OSError, ValueError) as error:
        raise StepError(f"{path} cannot be read ({error}). {advice}") from None
    missing = [f'"{name}"' for name in contract.prepared if name not in rows.columns]
    if missing:
        raise StepError(f"{path} lacks {', '.join(missing)} of the contract. {advice}")
    for name in contract.prepared:
        rule, found = contract.columns[name], rows[name].dtype
        if found.kind not in DTYPES[rule.type]:
            raise StepError(
                f'{path}, column "{name}": expected {described(rule)}, found {found}. {advice}'
            )
    if rows.empty:
        raise StepError(f"{path} has no rows. {advice}")
    _check_target(rows[contract.target.column], path, contract)
    return rows[contract.prepared]


def target_of(rows: pd.DataFrame, contract: Contract) -> NDArray[Any]:
    """The target as metrics need it (rows,).

    Binary: whether the class is the positive one (bool); multiclass: index in the contract's
    classes (int); regression: the value (float).
    """
    column = rows[contract.target.column]
    if contract.kind == "regression":
        return column.to_numpy(dtype=np.float64)
    if contract.kind == "binary":
        return (column == contract.target.positive).to_numpy(dtype=bool)
    index = {value: i for i, value in enumerate(contract.target.classes or ())}
    return column.map(index).to_numpy(dtype=np.int64)


def choose_features(contract: Contract, rows: pd.DataFrame) -> list[Feature]:
    """Decide how each feature of the contract is encoded, from the rows to learn from.

    Raises:
        StepError: when no column is left to learn from.
    """
    chosen = [_feature(name, contract, rows) for name in contract.features]
    features = [feature for feature in chosen if feature is not None]
    if not features:
        raise StepError(
            "no feature is left to learn from: the only ones are datetimes that cover too few days "
            "(an hour of the day needs 2, a weekday 14). Bring more rows, or other columns."
        )
    order = ("number", "date", "category", "text")
    return sorted(features, key=lambda feature: order.index(feature.how))


def encoder(features: Sequence[Feature], kind: Kind, seed: int) -> ColumnTransformer:
    """Unfitted; turns a data frame of raw columns, in any order, into floats (rows, encoded).

    Missing values stay NaN. Categories and texts never seen become NaN and the target's mean.
    """
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
    return ColumnTransformer(blocks, sparse_threshold=0, verbose_feature_names_out=False)


def categorical_positions(features: Sequence[Feature]) -> list[int]:
    """Which encoded columns hold codes of categories."""
    numbers = sum(f.how == "number" for f in features)
    dates = sum(len(f.parts) for f in features if f.how == "date")
    categories = sum(f.how == "category" for f in features)
    return list(range(numbers + dates, numbers + dates + categories))


def as_floats(columns: pd.DataFrame) -> NDArray[np.float64]:
    """Numbers and booleans as floats; missing and infinite ones as NaN."""
    floats = [column.to_numpy(dtype=np.float64, na_value=np.nan) for _, column in columns.items()]
    values = np.column_stack(floats)
    values[~np.isfinite(values)] = np.nan
    # Decision trees compute in single precision.
    clipped: NDArray[np.float64] = np.clip(values, -3e38, 3e38)
    return clipped


def date_parts(columns: pd.DataFrame, parts: tuple[str, ...]) -> NDArray[np.float64]:
    """Parts of the first column's datetimes; "days" since the second column's, or since 1970."""
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
    """Categories and texts as strings; missing ones as NaN."""
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


def _feature(name: str, contract: Contract, rows: pd.DataFrame) -> Feature | None:
    kind = contract.columns[name].type
    if kind in ("number", "integer"):
        return Feature(name, kind, "as it is", "number")
    if kind == "boolean":
        return Feature(name, kind, "0 or 1", "number")
    if kind == "datetime":
        return _date_feature(name, contract, rows)
    levels = rows[name].nunique()
    if kind == "category" and levels <= MOST_LEVELS:
        return Feature(name, kind, f"{levels} categories", "category")
    return Feature(name, kind, f"target mean of {levels:,} texts", "text")


def _date_feature(name: str, contract: Contract, rows: pd.DataFrame) -> Feature | None:
    times = rows[name].dropna()
    days = (times.max() - times.min()) / pd.Timedelta(days=1) if len(times) else 0.0
    parts = [part for part, needed in CYCLE_DAYS.items() if days >= needed]
    if (times == times.dt.normalize()).all():
        parts = [part for part in parts if part != "hour"]
    words, since = list(parts), None
    if name != contract.time:
        # The time of the split only grows: its distance from 1970 is new in every later row.
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


def _check_target(target: pd.Series, path: Path, contract: Contract) -> None:
    advice = "Run prepare again, with this contract."
    if target.isna().any():
        raise StepError(f'{path}: the target "{target.name}" has missing values. {advice}')
    if contract.kind == "multiclass":
        unknown = set(target.unique()) - set(contract.target.classes or ())
        if unknown:
            named = ", ".join(sorted(map(repr, unknown))[:5])
            raise StepError(f"{path}: the contract's target.classes lack {named}. {advice}")
    if contract.kind == "binary" and target.nunique() > 2:
        raise StepError(
            f'{path}: expected two values of "{target.name}", found {target.nunique()}. {advice}'
        )
