"""Cells of a column, and their values as one of six types."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    field_validator,
)

from modelyard.data.numbers import Written, cast_where, example, read_numbers
from modelyard.data.times import NANOSECOND_LIMIT, check_format, check_zone, read_times

if TYPE_CHECKING:  # who only reads a contract does not wait for pandas
    import pandas as pd

# How a contract's types are stored.
ARROW = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "text": pa.string(),
    "datetime": pa.timestamp("ns"),
}

Type = Literal["number", "integer", "boolean", "category", "text", "datetime"]
TYPES: tuple[Type, ...] = get_args(Type)

# Nothing to learn from.
INFINITE = frozenset({"inf", "-inf", "Inf", "-Inf", "Infinity", "-Infinity"})
# What a text file writes for "nothing here"; Parquet has real nulls and needs no such words.
MISSING = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "none"}
    | {"-NaN", "-nan", "1.#QNAN", "-1.#QNAN", "1.#IND", "-1.#IND", "NaT", "\\N", "(null)", "<NULL>"}
    | INFINITE
)
GAPS = MISSING - {""}  # words, which may be values
BOOLEANS = {
    **dict.fromkeys(("true", "yes", "y", "t", "on", "1", "1.0"), True),
    **dict.fromkeys(("false", "no", "n", "f", "off", "0", "0.0"), False),
}
WHOLE = r"^[+-]?[0-9]{1,18}$"
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # ticks of Arrow's units
EXACT = 2.0**53  # beyond this a float no longer tells neighbouring integers apart


def as_text(value: Any) -> Any:
    """Turn an unquoted 1 or true into the text that a CSV would hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


Word = Annotated[str, BeforeValidator(as_text)]


class Reading(BaseModel):
    """How the cells of a column become values.

    Attributes:
        type: number, integer, boolean, category, text or datetime.
        format: of datetimes, for strptime, or several that are tried in their order; epoch_s,
            epoch_ms, epoch_us and epoch_ns count from 1970, excel_days as a spreadsheet; None: ISO 8601.
        zone: of datetimes without an offset, such as Europe/Berlin; None: UTC.
        written: how numbers, or yes and no, are written; None: as programs do.
        missing: words and numbers that stand for a missing value, such as -999 and 9999-12-31.
        not_missing: words that are values, though in a CSV they stand for a missing one elsewhere, such as None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    type: Type
    format: str | tuple[str, ...] | None = None
    zone: Annotated[str, AfterValidator(check_zone)] | None = None
    written: Written | None = None
    missing: tuple[Word, ...] = ()
    not_missing: tuple[Word, ...] = ()

    @field_validator("not_missing")
    @classmethod
    def _is_missing_elsewhere(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if others := set(value) - GAPS:
            raise ValueError(
                f"{sorted(others)[0]!r} is a value anyway; expected {', '.join(sorted(GAPS))}"
            )
        return value

    @field_validator("format")
    @classmethod
    def _is_known(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for one in (value,) if isinstance(value, str) else value or ():
            check_format(one)
        return value

    @property
    def is_special(self) -> bool:
        """Whether cells are written in another way than programs write them."""
        return bool(self.format or self.zone or self.written or self.missing or self.not_missing)

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of datetimes; none for ISO 8601."""
        return (self.format,) if isinstance(self.format, str) else self.format or ()


def described(rule: Reading) -> str:
    """Name the expected kind of value, for messages."""
    if rule.type == "datetime":
        return f"a datetime ({' or '.join(rule.formats or ('ISO 8601',))})"
    names = {"number": "a number", "integer": "a whole number", "boolean": "true or false"}
    if rule.written and rule.written.words:
        return f"{rule.written.yes} or {rule.written.no}"
    like = f" written like {example(rule.written)}" if rule.written else ""
    return names.get(rule.type, "text") + like


@dataclass(frozen=True)
class Cells:
    """A column of a file, without a type; the cells of a CSV are text.

    `delimiter` is None for Parquet. `values` are words of a CSV that are no gaps here.
    """

    array: pa.ChunkedArray
    delimiter: str | None
    values: frozenset[str] = frozenset()

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
        missing = pa.array(sorted(MISSING - self.values) if self.delimiter else [""], words.type)
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

    @cached_property
    def gaps(self) -> list[str]:
        """Words of text cells, such as NA and none, that count as missing."""
        if not self.is_text or not self.delimiter:
            return []
        words = pc.unique(self.encoded[1])
        return pc.drop_null(
            words.filter(pc.is_in(words, pa.array(sorted(GAPS - self.values))))
        ).to_pylist()

    @property
    def infinite(self) -> int:
        """Number of infinite values, which count as missing."""
        if self.is_text and self.delimiter:
            return (
                pc.sum(pc.is_in(self.array, pa.array(sorted(INFINITE - self.values)))).as_py() or 0
            )
        if pa.types.is_floating(self.array.type):
            return int(np.isinf(np.asarray(self.array.cast(pa.float64()))).sum())
        return 0

    @property
    def digits(self) -> Cells:
        """The numbers of a Parquet column as text: 20200705, also where a gap made it a float."""
        column = self.array
        if pa.types.is_floating(column.type):
            numbers = np.asarray(column.cast(pa.float64()))
            finite = np.isfinite(numbers)
            column = pc.if_else(pa.array(finite), column, None)
            if (numbers[finite] == np.floor(numbers[finite])).all():
                column = column.cast(pa.int64(), safe=False)
        return Cells(column.cast(pa.string()), self.delimiter)

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


def parse(cells: Cells, rule: Reading) -> Parsed:
    """Read a column as a type.

    Canonical values: number float64; integer int64, float64 where something is missing;
    boolean bool, object of True, False and None where something is missing; category and
    text object of str and None; datetime datetime64[ns], UTC without a zone.
    Infinite numbers and blank text count as missing.
    """
    if not cells.values.issuperset(rule.not_missing):
        cells = replace(cells, values=frozenset(rule.not_missing))
    is_time = rule.type == "datetime"
    if is_time and rule.format and not cells.is_text and is_number(cells.array.type):
        cells = cells.digits
    if cells.is_text:
        codes, words = cells.encoded
        values, fits = parse_words(words, rule)
        gaps = np.append(_stand_ins(words, values, rule), True)[codes]
        nulls = (codes < 0) | gaps
        wrong = ~nulls & ~np.append(fits, True)[codes]
    else:
        codes = np.arange(len(cells.array))
        values, nulls, fits = _from_native(cells.array, rule)
        wrong = ~nulls & ~fits
    return Parsed(_canonical(_spread(values, codes, ~nulls & ~wrong), rule.type), wrong, nulls)


def parse_words(words: pa.Array, rule: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Parse stripped words; returns values, and whether each fits the type (same length)."""
    if rule.type in ("category", "text"):
        return words.to_numpy(zero_copy_only=False), np.ones(len(words), dtype=bool)
    if rule.type == "boolean":
        known = BOOLEANS | (rule.written.words if rule.written else {})
        places = pc.index_in(pc.utf8_lower(words), pa.array(known, words.type))
        places = places.fill_null(-1).to_numpy()
        return np.array([*known.values(), None], dtype=object)[places], places >= 0
    if rule.type == "datetime":
        times = read_times(words, rule.formats, rule.zone)
        return times, ~np.isnat(times)
    plain, numbers, fits = read_numbers(words, rule.written)
    if rule.type == "number":
        return numbers, fits
    from_float = fits & (np.abs(numbers) <= EXACT) & (numbers == np.floor(numbers))
    whole = _flags(pc.match_substring_regex(plain, WHOLE).fill_null(False))
    exact = cast_where(whole, plain, pa.int64(), 0)
    values = np.where(whole, exact, np.where(from_float, numbers, 0).astype(np.int64))
    return values, from_float | whole


def parse_word(word: str, rule: Reading) -> tuple[Any, bool]:
    """Parse one stripped word; returns its value, None where it is missing, and whether it fits."""
    try:
        words = pa.array([word])
    except UnicodeEncodeError:  # JSON can escape half of a surrogate pair
        return None, False
    values, fits = parse_words(words, rule)
    if not word or _stand_ins(words, values, rule)[0]:
        return None, True
    return values[0], bool(fits[0])


def _stand_ins(words: pa.Array, values: np.ndarray, rule: Reading) -> np.ndarray:
    """Mark words that stand for a missing value, numbers by what they amount to."""
    if not rule.missing:
        return np.zeros(len(words), dtype=bool)
    found = _flags(pc.is_in(words, pa.array(rule.missing, words.type)))
    return found | np.isin(values, missing_numbers(rule)) if values.dtype.kind in "if" else found


def missing_numbers(rule: Reading) -> np.ndarray:
    """List the numbers that stand for a missing value."""
    if rule.type not in ("number", "integer") or not rule.missing:
        return np.zeros(0)
    words = pa.array(rule.missing, pa.string())
    found = [read_numbers(words, written) for written in (None, rule.written)]
    return np.concatenate([numbers[fits] for _, numbers, fits in found])


def _flags(array: Any) -> np.ndarray:
    return np.asarray(array, dtype=bool)


def is_number(kind: pa.DataType) -> bool:
    """Whether Arrow stores a column as numbers, as yes and no, which are 1 and 0, or as durations."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_duration(kind)
    )


def _from_native(
    column: pa.ChunkedArray, rule: Reading
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert typed cells; returns values (rows,), which are missing, and which fit the type."""
    nulls, kind = _nulls(column), rule.type
    if kind in ("category", "text"):
        words = _as_words(column, nulls)
        nulls |= np.isin(words.astype(str), rule.missing) if rule.missing else False
        return words, nulls, ~nulls
    if kind == "datetime":
        return _as_times(column, nulls, rule.missing)
    if not is_number(column.type):
        return np.zeros(len(column)), nulls, np.zeros(len(column), dtype=bool)
    if pa.types.is_duration(column.type):
        ticks = column.cast(pa.int64()).cast(pa.float64(), safe=False)
        column = pc.divide(ticks, float(PER_SECOND[column.type.unit]))
    numbers = column.cast(pa.float64(), safe=False).to_numpy()
    nulls |= np.isin(numbers, missing_numbers(rule)) if rule.missing else False
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
    column: pa.ChunkedArray, nulls: np.ndarray, missing: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if not pa.types.is_timestamp(column.type):
        return np.zeros(len(column), "datetime64[ns]"), nulls, np.zeros(len(column), dtype=bool)
    per_second = PER_SECOND[column.type.unit]
    ticks = column.cast(pa.int64()).fill_null(0).to_numpy()
    for word in missing:
        with suppress(ValueError):
            nulls = nulls | (ticks == np.datetime64(word, column.type.unit).astype(np.int64))
    fits = ~nulls & (np.abs(ticks // per_second) < NANOSECOND_LIMIT)
    nanoseconds = np.where(fits, ticks, 0) * (10**9 // per_second)
    return nanoseconds.view("datetime64[ns]"), nulls, fits


def _as_words(column: pa.ChunkedArray, nulls: np.ndarray) -> np.ndarray:
    if pa.types.is_nested(column.type):
        found = column.to_pylist()
    else:
        found = column.to_pandas(timestamp_as_object=True, integer_object_nulls=True)
    values = np.array(found, dtype=object)
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
    import pandas as pd

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
