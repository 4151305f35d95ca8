"""From a CSV or Parquet file to columns, and from a column to values of one of six types."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .step import StepError

Type = Literal["number", "integer", "boolean", "category", "text", "datetime"]
TYPES: tuple[Type, ...] = get_args(Type)

DELIMITERS = ",;\t|"
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
ISO_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)
EXACT = 2.0**53  # beyond this a float no longer tells neighbouring integers apart
NANOSECOND_LIMIT = 9_223_372_036  # seconds from 1970 that datetime64[ns] can hold
FORMATS_ELSEWHERE = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\x1f\x8b": "compressed with gzip",
    b"\x80": "a Python pickle",
    b"SQLite": "an SQLite database",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"ARROW1": "an Arrow file",
    b"ORC": "an ORC file",
}


@dataclass(frozen=True)
class Table:
    """A file's columns before any type was decided. A CSV's columns are all text."""

    path: Path
    columns: dict[str, pa.ChunkedArray]
    rows: int
    delimiter: str | None  # None: Parquet

    @property
    def is_text(self) -> bool:
        """Whether it came from CSV, where words such as NA mean "missing"."""
        return self.delimiter is not None


@dataclass(frozen=True)
class Parsed:
    """A column read as a type: canonical values, and where the file has something else.

    `wrong` marks the rows (bool, same length) whose value does not fit; they are null in
    `values`. `nulls` marks the rows that are missing in the file.
    """

    values: pd.Series
    wrong: np.ndarray
    nulls: np.ndarray


def read_file(path: Path | str) -> Table:
    """Read a CSV (comma, semicolon, tab or bar; UTF-8) or Parquet file.

    Raises:
        StepError: when it is missing, empty, a directory, or not a table.
    """
    path = Path(path)
    if path.is_dir():
        raise StepError(f"{path} is a directory: name one CSV or Parquet file.")
    if not path.exists():
        raise StepError(f"{path} does not exist: name a CSV or Parquet file.")
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
    if not start.strip():
        raise StepError(f"{path} is empty: expected a table with a header and rows.")
    if start.startswith(b"PAR1"):
        return _read_parquet(path)
    if path.suffix.lower() in {".parquet", ".pq"}:
        raise StepError(
            f"{path} is named as Parquet but is not: it starts with {start[:4]!r}. "
            "Write it again, or give a CSV its own suffix."
        )
    for magic, what in FORMATS_ELSEWHERE.items():
        if start.startswith(magic):
            raise StepError(f"{path} is {what}: save the table as CSV (UTF-8) or Parquet.")
    if b"\0" in start:
        raise StepError(f"{path} is a binary file: save the table as CSV (UTF-8) or Parquet.")
    return _read_csv(path, start)


def parse(
    column: pa.ChunkedArray, kind: Type, table: Table, *, format: str | None = None
) -> Parsed:
    """Read one column as a type.

    Canonical values: number float64; integer int64, float64 where something is missing;
    boolean bool, object of True, False and None where something is missing; category and
    text object of str and None; datetime datetime64[ns], UTC without a zone.
    Infinite numbers and blank text count as missing.

    Args:
        column: a column of `table`.
        kind: one of TYPES.
        table: tells how numbers and missing values are written.
        format: of datetimes (strptime); None for ISO 8601.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _is_string(column.type):
        codes, words = _distinct(column, table)
        nulls = codes < 0
        values, fits = _from_words(words, kind, table.delimiter, format)
        wrong = ~nulls & ~np.append(fits, True)[codes]
        return Parsed(_canonical(_spread(values, codes, ~nulls & ~wrong), kind), wrong, nulls)
    values, nulls, fits = _from_native(column, kind)
    wrong = ~nulls & ~fits
    codes = np.where(nulls | wrong, -1, np.arange(len(column)))
    return Parsed(_canonical(_spread(values, codes, codes >= 0), kind), wrong, nulls)


def words(column: pa.ChunkedArray, table: Table) -> np.ndarray:
    """Distinct non-missing values of a text column, stripped (object array of str)."""
    return _distinct(column, table)[1]


def is_text_column(column: pa.ChunkedArray) -> bool:
    """Whether values are strings, plain or dictionary-encoded."""
    kind = column.type
    return _is_string(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _read_parquet(path: Path) -> Table:
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise StepError(f"{path} is a damaged Parquet file ({error}): write it again.") from None
    keep = [
        i for i, n in enumerate(content.column_names) if not re.fullmatch(r"__index_level_\d+__", n)
    ]
    names = _names([content.column_names[i] for i in keep], path)
    columns = {name: content.column(i) for name, i in zip(names, keep, strict=True)}
    return _checked(Table(path, columns, content.num_rows, None))


def _read_csv(path: Path, start: bytes) -> Table:
    looks = {b"{": "JSON", b"[": "JSON", b"<": "HTML or XML"}.get(start.lstrip()[:1])
    try:
        delimiter, width = _sniff(path, start)
        content = _parse_csv(path, delimiter, width)
    except StepError:
        if looks is None:
            raise
        raise StepError(f"{path} looks like {looks}: save the table as CSV or Parquet.") from None
    header = [content.column(i)[0].as_py() for i in range(content.num_columns)]
    content = content.slice(1)
    columns = dict(zip(_names(header, path), content.columns, strict=True))
    return _checked(Table(path, columns, content.num_rows, delimiter))


def _parse_csv(path: Path, delimiter: str, width: int) -> pa.Table:
    import pyarrow.csv as pacsv

    # The header is read as a row, so that no name can be mistaken for a type or a duplicate.
    options = {
        "parse_options": pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        "convert_options": pacsv.ConvertOptions(
            column_types={f"f{i}": pa.string() for i in range(width)}, strings_can_be_null=False
        ),
    }
    reading = {"autogenerate_column_names": True, "block_size": 1 << 23}
    try:
        return pacsv.read_csv(path, read_options=pacsv.ReadOptions(**reading), **options)
    except pa.ArrowInvalid as error:
        raise _csv_error(path, str(error), delimiter, width) from None


def _checked(table: Table) -> Table:
    if table.rows == 0:
        raise StepError(f"{table.path} has a header but no rows.")
    return table


def _sniff(path: Path, start: bytes) -> tuple[str, int]:
    """Delimiter, and number of columns: of those every row agrees on, the one with most columns."""
    text = start.decode("utf-8-sig", errors="replace")
    if len(start) == 1 << 16:
        text = text[: text.rfind("\n") + 1] or text
    found: dict[str, tuple[bool, int]] = {}
    for delimiter in DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            widths = [len(row) for row, _ in zip(reader, range(200), strict=False) if row]
        except csv.Error:
            continue
        agree = len(set(widths[:-1] or widths)) == 1  # the last row may be cut off
        found[delimiter] = (agree, widths[0])
    wide = {delimiter: score for delimiter, score in found.items() if score[1] > 1}
    if not wide:
        raise StepError(
            f"{path} has one column, or no delimiter that this step knows (comma, semicolon, tab, "
            "bar): a table needs a target and at least one feature."
        )
    best = max(wide, key=lambda delimiter: wide[delimiter])
    return best, wide[best][1]


def _names(names: list[str], path: Path) -> list[str]:
    stripped = [name.strip() or f"column_{i}" for i, name in enumerate(names, start=1)]
    twice = sorted({name for name in stripped if stripped.count(name) > 1})
    if twice:
        listed = ", ".join(f'"{name}"' for name in twice[:5])
        raise StepError(f"{path} has more than one column named {listed}: give each its own name.")
    return stripped


def _csv_error(path: Path, message: str, delimiter: str, width: int) -> StepError:
    if "UTF8" in message or "UTF-8" in message:
        return _encoding_error(path)
    ragged = re.search(r"Expected (\d+) columns, got (\d+)", message)
    if ragged:
        line, fields = _first_ragged(path, delimiter, width)
        name = {"\t": "tab"}.get(delimiter, delimiter)
        return StepError(
            f"{path}, line {line}: expected {width} fields as in the header, found {fields} "
            f'(delimiter "{name}"). Quote values that contain it, and close every quote.'
        )
    return StepError(f"{path} cannot be read as CSV: {message.splitlines()[0]}")


def _encoding_error(path: Path) -> StepError:
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return StepError(
            f"{path}, line {line}: expected UTF-8 text, found the byte "
            f"0x{content[error.start]:02x}. Save the file as UTF-8."
        )
    return StepError(f"{path} is not UTF-8 text. Save the file as UTF-8.")


def _first_ragged(path: Path, delimiter: str, width: int) -> tuple[int, int]:
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        for row in reader:
            if row and len(row) != width:
                return reader.line_num, len(row)
    return 1, width


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _distinct(column: pa.ChunkedArray, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Codes (int64 per row, -1 missing) into distinct stripped values (object array of str)."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.dictionary_encode().unify_dictionaries()
    if not encoded.num_chunks:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=object)
    # Chunks already share one dictionary: read the indices, not the values.
    indices = [chunk.indices.fill_null(-1).to_numpy() for chunk in encoded.chunks]
    codes = np.concatenate(indices).astype(np.int64)
    raw = pc.utf8_trim_whitespace(encoded.chunk(0).dictionary).to_numpy(zero_copy_only=False)
    missing = MISSING if table.is_text else {""}
    present = np.array([None if word in missing else word for word in raw], dtype=object)
    renumbered, distinct = pd.factorize(present)
    return np.append(renumbered, -1)[codes], distinct


def _from_words(
    texts: np.ndarray, kind: Type, delimiter: str | None, format: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Values of distinct texts, and which of them fit the type."""
    if kind in ("category", "text"):
        return texts, np.ones(len(texts), dtype=bool)
    if kind == "boolean":
        found = [BOOLEANS.get(text.lower()) for text in texts]
        return np.array(found, dtype=object), np.array([v is not None for v in found], dtype=bool)
    if kind == "datetime":
        times = read_times(texts, format)
        return times, ~np.isnat(times)
    numbers, whole, fits = _read_numbers(texts, delimiter)
    if kind == "number":
        return numbers, fits
    from_float = fits & (np.abs(numbers) <= EXACT) & (numbers == np.floor(numbers))
    exact = np.where(from_float, numbers, 0).astype(np.int64)
    is_whole = pc.match_substring_regex(pa.array(whole, pa.string()), WHOLE).to_numpy(
        zero_copy_only=False
    )
    if is_whole.any():
        exact[is_whole] = pa.array(whole[is_whole], pa.string()).cast(pa.int64()).to_numpy()
    return exact, from_float | is_whole


def _read_numbers(
    texts: np.ndarray, delimiter: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers (float64, NaN where not one), their texts with a plain point, and which are numbers.

    A comma is a decimal sign in files delimited by semicolons, and groups thousands in
    files delimited by commas; anywhere else it is not part of a number.
    """
    array = pa.array(texts, pa.string())
    if delimiter == ";":
        array = pc.if_else(
            pc.match_substring(array, "."), array, pc.replace_substring(array, ",", ".")
        )
    elif delimiter == ",":
        grouped = pc.match_substring_regex(array, THOUSANDS)
        array = pc.if_else(grouped, pc.replace_substring(array, ",", ""), array)
    array = pc.utf8_ltrim(array, "+")
    fits = pc.match_substring_regex(array, DECIMAL).to_numpy(zero_copy_only=False).astype(bool)
    numbers = np.full(len(texts), np.nan)
    plain = array.to_numpy(zero_copy_only=False)
    if fits.any():
        numbers[fits] = pa.array(plain[fits], pa.string()).cast(pa.float64()).to_numpy()
    return numbers, plain, fits & np.isfinite(numbers)


def read_times(texts: np.ndarray, format: str | None) -> np.ndarray:
    """Datetimes of texts (datetime64[ns], UTC; NaT where a text does not fit the format)."""
    if format is None:
        texts = np.array([t if ISO_TIME.fullmatch(t) else None for t in texts], dtype=object)
        format = "ISO8601"
    times = pd.to_datetime(pd.Series(texts, dtype=object), format=format, utc=True, errors="coerce")
    return times.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")


def _from_native(column: pa.ChunkedArray, kind: Type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (one per row), which rows are missing, and which fit the type."""
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
            fits = small.fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
        else:
            fits = ~nulls
        whole = column.fill_null(pa.scalar(0, column.type)).cast(pa.int64(), safe=False).to_numpy()
        return whole, nulls, fits
    fits = ~nulls & (np.abs(numbers) <= EXACT) & (numbers == np.floor(numbers))
    return np.where(fits, numbers, 0).astype(np.int64), nulls, fits


def _nulls(column: pa.ChunkedArray) -> np.ndarray:
    nulls = np.asarray(column.is_null(), dtype=bool)
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
    """One value per row; missing rows become None, NaN or NaT, and int64 then float64."""
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
