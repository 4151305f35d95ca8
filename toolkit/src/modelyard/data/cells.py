"""Cells of a column, and their values as one of six types."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Type = Literal["number", "integer", "boolean", "category", "text", "datetime"]
TYPES: tuple[Type, ...] = get_args(Type)

# What a text file writes for "nothing here"; Parquet has real nulls and needs no such words.
MISSING = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "none"}
    | {"inf", "-inf", "Inf", "-Inf", "Infinity", "-Infinity"}  # no numbers to learn from
)
BOOLEANS = {
    **dict.fromkeys(("true", "yes", "y", "t", "on", "1", "1.0"), True),
    **dict.fromkeys(("false", "no", "n", "f", "off", "0", "0.0"), False),
}
WHOLE = r"^[+-]?[0-9]{1,18}$"
DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
THOUSANDS = r"^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?$"
ISO_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$"
)
EXACT = 2.0**53  # beyond this a float no longer tells neighbouring integers apart
NANOSECOND_LIMIT = 9_223_372_036  # seconds from 1970 that datetime64[ns] can hold


@dataclass(frozen=True)
class Cells:
    """A column of a file, without a type; the cells of a CSV are text.

    `delimiter` tells how a CSV writes its numbers; None for Parquet.
    """

    array: pa.ChunkedArray
    delimiter: str | None

    @property
    def is_text(self) -> bool:
        """Whether the cells are strings."""
        return bool(
            pa.types.is_string(self.array.type) or pa.types.is_large_string(self.array.type)
        )

    @cached_property
    def encoded(self) -> tuple[np.ndarray, pa.Array]:
        """Codes (int64 per row, -1 missing) and distinct stripped words of text cells."""
        joined = self.array.combine_chunks()
        encoded = joined.dictionary_encode()
        # Text beyond 2 GB stays in chunks; these share one dictionary.
        chunks = encoded.chunks if isinstance(encoded, pa.ChunkedArray) else [encoded]
        indices = np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in chunks])
        words = pc.utf8_trim_whitespace(chunks[0].dictionary)
        # Parquet has real nulls: there only blank text is missing, and NA is a word.
        missing = pa.array(sorted(MISSING) if self.delimiter else [""], words.type)
        is_missing = _flags(pc.is_in(words, missing))
        codes = np.append(np.where(is_missing, -1, np.arange(len(words))), -1)
        return codes[indices], words

    @cached_property
    def words(self) -> pa.Array:
        """Distinct words of text cells, without missing ones, in order of appearance."""
        codes, words = self.encoded
        present = np.zeros(len(words), dtype=bool)
        present[codes[codes >= 0]] = True
        return pc.unique(words.filter(pa.array(present)))

    def at(self, row: int) -> str:
        """Return a cell as text, for messages."""
        return str(self.array[row].as_py())


@dataclass(frozen=True)
class Parsed:
    """A column read as a type: values, missing ones, and cells of another type.

    `wrong` marks the rows (bool, same length) whose value does not fit; they are null in
    `values`. `nulls` marks the rows that are missing in the file.
    """

    values: pd.Series
    wrong: np.ndarray
    nulls: np.ndarray


def parse(cells: Cells, kind: Type, *, format: str | None = None) -> Parsed:
    """Read a column as a type.

    Canonical values: number float64; integer int64, float64 where something is missing;
    boolean bool, object of True, False and None where something is missing; category and
    text object of str and None; datetime datetime64[ns], UTC without a zone.
    Infinite numbers and blank text count as missing.

    Args:
        cells: the column.
        kind: one of TYPES.
        format: of datetimes (strptime); None for ISO 8601.
    """
    if cells.is_text:
        codes, words = cells.encoded
        nulls = codes < 0
        values, fits = parse_words(words, kind, cells.delimiter, format=format)
        wrong = ~nulls & ~np.append(fits, True)[codes]
    else:
        codes = np.arange(len(cells.array))
        values, nulls, fits = _from_native(cells.array, kind)
        wrong = ~nulls & ~fits
    return Parsed(_canonical(_spread(values, codes, ~nulls & ~wrong), kind), wrong, nulls)


def parse_words(
    words: pa.Array, kind: Type, delimiter: str | None, *, format: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Parse stripped words; returns values, and whether each fits the type (same length)."""
    if kind in ("category", "text"):
        return words.to_numpy(zero_copy_only=False), np.ones(len(words), dtype=bool)
    if kind == "boolean":
        found = pc.index_in(pc.utf8_lower(words), pa.array(BOOLEANS, words.type))
        places = found.fill_null(-1).to_numpy()
        return np.array([*BOOLEANS.values(), None], dtype=object)[places], places >= 0
    if kind == "datetime":
        times = _read_times(words, format)
        return times, ~np.isnat(times)
    plain, numbers, fits = _read_numbers(words, delimiter)
    if kind == "number":
        return numbers, fits
    from_float = fits & (np.abs(numbers) <= EXACT) & (numbers == np.floor(numbers))
    whole = _flags(pc.match_substring_regex(plain, WHOLE))
    exact = _cast_where(whole, plain, pa.int64(), 0)
    values = np.where(whole, exact, np.where(from_float, numbers, 0).astype(np.int64))
    return values, from_float | whole


def _read_numbers(
    words: pa.Array, delimiter: str | None
) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Parse numbers; returns words with a decimal point, numbers, and which are numbers.

    A comma is a decimal sign in files delimited by semicolons, and groups thousands in
    files delimited by commas; anywhere else it is not part of a number.
    """
    if delimiter == ";":
        has_point = pc.match_substring(words, ".")
        words = pc.if_else(has_point, words, pc.replace_substring(words, ",", "."))
    elif delimiter == ",":
        grouped = pc.match_substring_regex(words, THOUSANDS)
        words = pc.if_else(grouped, pc.replace_substring(words, ",", ""), words)
    words = pc.utf8_ltrim(words, "+")
    fits = _flags(pc.match_substring_regex(words, DECIMAL))
    numbers = _cast_where(fits, words, pa.float64(), np.nan)
    return words, numbers, fits & np.isfinite(numbers)


def _cast_where(chosen: np.ndarray, words: pa.Array, kind: pa.DataType, other: Any) -> np.ndarray:
    """Cast the chosen words to numbers; `other` in place of the rest."""
    return np.asarray(pc.if_else(pa.array(chosen), words, None).cast(kind).fill_null(other))


def _read_times(words: pa.Array, format: str | None) -> np.ndarray:
    """Parse datetimes (datetime64[ns], UTC; NaT where a word does not fit the format)."""
    if format is None:
        words = pc.if_else(pc.match_substring_regex(words, ISO_TIME), words, None)
        format = "ISO8601"
    texts = pd.Series(words.to_numpy(zero_copy_only=False), dtype=object)
    times = pd.to_datetime(texts, format=format, utc=True, errors="coerce")
    return times.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def _flags(array: Any) -> np.ndarray:
    return np.asarray(array, dtype=bool)


def _from_native(column: pa.ChunkedArray, kind: Type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert typed cells; returns values (rows,), which are missing, and which fit the type."""
    nulls = _nulls(column)
    if kind in ("category", "text"):
        return _as_words(column, nulls), nulls, ~nulls
    if kind == "datetime":
        return (*_as_times(column, nulls),)
    is_number = (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_boolean(column.type)
        or pa.types.is_decimal(column.type)
    )
    if not is_number:
        return np.zeros(len(column)), nulls, np.zeros(len(column), dtype=bool)
    numbers = column.cast(pa.float64(), safe=False).to_numpy()
    if kind == "number":
        return numbers, nulls, ~nulls
    if kind == "boolean":
        return (numbers == 1).astype(object), nulls, np.isin(numbers, (0, 1))
    if pa.types.is_integer(column.type):
        if pa.types.is_uint64(column.type):
            small = pc.less_equal(column, pa.scalar(2**63 - 1, pa.uint64()))
            fits = _flags(small.fill_null(False))
        else:
            fits = ~nulls
        whole = column.fill_null(pa.scalar(0, column.type)).cast(pa.int64(), safe=False).to_numpy()
        return whole, nulls, fits
    fits = ~nulls & (np.abs(numbers) <= EXACT) & (numbers == np.floor(numbers))
    return np.where(fits, numbers, 0).astype(np.int64), nulls, fits


def _nulls(column: pa.ChunkedArray) -> np.ndarray:
    nulls = _flags(column.is_null())
    if pa.types.is_floating(column.type):
        nulls |= ~np.isfinite(np.asarray(column.cast(pa.float64())))
    return nulls


def _as_times(
    column: pa.ChunkedArray, nulls: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if not pa.types.is_timestamp(column.type):
        return np.zeros(len(column), "datetime64[ns]"), nulls, np.zeros(len(column), dtype=bool)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    ticks = column.cast(pa.int64()).fill_null(0).to_numpy()
    fits = ~nulls & (np.abs(ticks // per_second) < NANOSECOND_LIMIT)
    nanoseconds = np.where(fits, ticks, 0) * (10**9 // per_second)
    return nanoseconds.view("datetime64[ns]"), nulls, fits


def _as_words(column: pa.ChunkedArray, nulls: np.ndarray) -> np.ndarray:
    values = np.array(column.to_pylist(), dtype=object) if _is_nested(column.type) else None
    if values is None:
        values = np.asarray(column.to_pandas(timestamp_as_object=True), dtype=object)
    words = np.full(len(values), None, dtype=object)
    present = np.flatnonzero(~nulls)
    known: dict[Any, str] = {}
    for i in present:
        value = values[i]
        try:
            words[i] = known[value]
        except KeyError:
            words[i] = known.setdefault(value, _word(value))
        except TypeError:  # lists and structs
            words[i] = _word(value)
    return words


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind))


def _word(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)


def _spread(values: np.ndarray, codes: np.ndarray, present: np.ndarray) -> pd.Series:
    """Expand to one value per row; missing rows become None, NaN or NaT, int64 then float64."""
    if present.all():
        return pd.Series(values[codes], copy=False)
    padding: Any = None
    if values.dtype.kind == "M":
        padding = np.datetime64("NaT")
    elif values.dtype.kind in "iuf":
        values, padding = values.astype(np.float64), np.nan
    extended = np.append(values, np.array([padding], dtype=values.dtype))
    return pd.Series(extended[np.where(present, codes, len(values))], copy=False)


def _canonical(values: pd.Series, kind: Type) -> pd.Series:
    if kind == "number":
        return values.astype(np.float64)
    if kind == "boolean" and not values.isna().any():
        return values.astype(bool)
    if kind in ("category", "text"):
        return values.astype(object)
    return values
