"""Reading a CSV or Parquet file as columns of cells."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from modelyard.console import listed
from modelyard.data.cells import Cells
from modelyard.data.numbers import HIDDEN
from modelyard.errors import UsageError, shortened

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = ",;\t|"
PARQUET = b"PAR1"
INDEX_COLUMN = r"__index_level_\d+__"  # pandas writes its row labels under such names
BLOCK_BYTES = 1 << 23  # of a CSV, parsed at a time; no row may be longer
FORMATS_ELSEWHERE = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\x1f\x8b": "compressed with gzip",
    b"\x80": "a Python pickle",
    b"SQLite": "an SQLite database",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\xff\xfe\0\0": "UTF-32 text",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"ARROW1": "an Arrow file",
    b"ORC": "an ORC file",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstandard",
    b"%PDF": "a PDF document",
    b"Obj\x01": "an Avro file",
    b"$FL2": "an SPSS file",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
}


@dataclass(frozen=True)
class Table:
    """Columns of a file in their order, without types."""

    path: Path
    columns: dict[str, Cells]
    rows: int


def read_file(path: Path | str) -> Table:
    """Read a CSV (comma, semicolon, tab or bar; UTF-8) or Parquet file.

    Raises:
        UsageError: when it is missing, empty, a directory, or not a table.
    """
    path = Path(path)
    start = first_bytes(path)
    return _read_parquet(path) if start.startswith(PARQUET) else _read_csv(path, start)


def as_table(rows: pd.DataFrame, path: Path) -> Table:
    """Take a data frame for the content of a Parquet file called `path`.

    Raises:
        UsageError: it has no rows, or a name twice.
    """
    content = pa.Table.from_pandas(rows, preserve_index=False)
    return _table(path, column_names(content.column_names, path), content.columns, None)


def first_bytes(path: Path) -> bytes:
    """Read the first 64 KiB, or a longer first line, of a Parquet or text file, and refuse other files.

    Raises:
        UsageError: when it is missing, empty, a directory, or neither of the two.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory: name one CSV or Parquet file.")
    if not path.exists():
        raise UsageError(f"{path} does not exist: name a CSV or Parquet file.")
    with path.open("rb") as stream:
        start = stream.read(1 << 16)
        if b"\n" not in start:  # a header of thousands of names
            start += stream.readline(BLOCK_BYTES)
    if not start.strip():
        raise UsageError(f"{path} is empty: expected a table with a header and rows.")
    if start.startswith(PARQUET):
        return start
    if path.suffix.lower() in {".parquet", ".pq"}:
        raise UsageError(
            f"{path} is named as Parquet but is not: it starts with {start[:4]!r}. "
            "Write it again, or give a CSV its own suffix."
        )
    for magic, what in FORMATS_ELSEWHERE.items():
        if start.startswith(magic):
            raise UsageError(f"{path} is {what}: save the table as CSV (UTF-8) or Parquet.")
    if b"\0" in start:
        raise UsageError(f"{path} is a binary file: save the table as CSV (UTF-8) or Parquet.")
    return start


@contextmanager
def taken_for_parquet(path: Path) -> Iterator[None]:
    """Say that a file cannot be read as Parquet, and why."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path} is a damaged Parquet file ({error}): write it again.") from None


@contextmanager
def taken_for_csv(path: Path, start: bytes) -> Iterator[None]:
    """Say what a file may be that is no CSV, by its first bytes; else why it is none."""
    looks = {b"{": "JSON", b"[": "JSON", b"<": "HTML or XML"}.get(start.lstrip()[:1])
    try:
        yield
    except UsageError:
        if looks is None:
            raise
        raise UsageError(f"{path} looks like {looks}: save the table as CSV or Parquet.") from None


def _read_parquet(path: Path) -> Table:
    import pyarrow.parquet as pq

    # A data set stumbles over a name that is there twice.
    with taken_for_parquet(path), pq.ParquetFile(path) as file:
        content = file.read()
    keep = [i for i, n in enumerate(content.column_names) if not re.fullmatch(INDEX_COLUMN, n)]
    names = column_names([content.column_names[i] for i in keep], path)
    return _table(path, names, [content.column(i) for i in keep], None)


def _read_csv(path: Path, start: bytes) -> Table:
    first_line = start.partition(b"\n")[0].strip()
    if re.fullmatch(rb"(\xef\xbb\xbf)?sep=.", first_line, re.IGNORECASE):
        raise UsageError(
            f"{path} begins with {first_line.decode(errors='replace')[-5:]}, which only Excel reads: "
            "delete that line."
        )
    if first_line[:1] == b"{" and _is_json(first_line):
        raise UsageError(
            f"{path} looks like JSON, an object a line: save the table as CSV or Parquet."
        )
    with taken_for_csv(path, start):
        delimiter, width = sniff(path, start)
        content = _parse_csv(path, delimiter, width)
    check_last_quote(path, content.column(width - 1)[-1].as_py())
    header = [content.column(i)[0].as_py() for i in range(content.num_columns)]
    content = content.slice(1)
    return _table(path, column_names(header, path), content.columns, delimiter)


def _is_json(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _parse_csv(path: Path, delimiter: str, width: int) -> pa.Table:
    import pyarrow.csv as pacsv

    # The header is read as a row, so that no name can be mistaken for a type or a duplicate.
    options = {
        "parse_options": pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        "convert_options": pacsv.ConvertOptions(
            column_types={f"f{i}": pa.string() for i in range(width)}, strings_can_be_null=False
        ),
    }
    reading = {"autogenerate_column_names": True, "block_size": BLOCK_BYTES}
    try:
        return pacsv.read_csv(path, read_options=pacsv.ReadOptions(**reading), **options)
    except pa.ArrowInvalid as error:
        raise csv_error(path, str(error), delimiter, width) from None


def _table(
    path: Path, names: list[str], columns: list[pa.ChunkedArray], delimiter: str | None
) -> Table:
    rows = len(columns[0]) if columns else 0
    if rows == 0:
        raise UsageError(f"{path} has a header but no rows.")
    cells = [Cells(unpacked(column), delimiter) for column in columns]
    return Table(path, dict(zip(names, cells, strict=True)), rows)


def unpacked(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decode a column that a Parquet file keeps as codes, and write times of day as text."""
    kind = unpacked_type(column.type)
    return column if kind == column.type else column.cast(kind)


def unpacked_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that `unpacked` gives a column of a Parquet file."""
    if pa.types.is_time(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return unpacked_type(kind.value_type) if pa.types.is_dictionary(kind) else kind


def sniff(path: Path, start: bytes) -> tuple[str, int]:
    """Find the delimiter and the number of columns: the most on which all rows agree.

    Raises:
        UsageError: there is one column only, or a blank before a quote, which then opens no value.
    """
    text = start.decode("utf-8-sig", errors="replace")
    if len(start) >= 1 << 16:
        text = text[: text.rfind("\n") + 1] or text
    found: dict[str, tuple[bool, int]] = {}
    begins: dict[str, list[list[str]]] = {}
    for delimiter in DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            rows = [row for row, _ in zip(reader, range(200), strict=False) if row]
        except csv.Error:
            continue
        begins[delimiter], widths = rows, [len(row) for row in rows]
        agree = len(set(widths[:-1] or widths)) == 1  # the last row may be cut off
        found[delimiter] = (agree, widths[0])
    wide = {delimiter: score for delimiter, score in found.items() if score[1] > 1}
    if not wide:
        raise UsageError(
            f"{path} has one column, no delimiter that this step knows (comma, semicolon, tab, bar), "
            "or lines above its header: a table needs a target and at least one feature."
        )
    best = max(wide, key=lambda delimiter: wide[delimiter])
    cells = (cell for row in begins[best] for cell in row if cell.startswith(" "))
    if cell := next((cell for cell in cells if cell.lstrip().startswith('"')), None):
        raise UsageError(
            f"{path} has a blank before a quote ({shortened(cell, 40)}), which therefore opens no value: "
            f"write {shortened(cell.lstrip(), 40)} without it."
        )
    return best, wide[best][1]


def column_names(names: list[str], path: Path) -> list[str]:
    """Strip blanks from names, and number columns without a name."""
    stripped = [
        re.sub(HIDDEN, "", name).strip() or f"column_{i}" for i, name in enumerate(names, start=1)
    ]
    counts = Counter(stripped)
    twice = [f'"{name}"' for name, count in counts.items() if count > 1]
    if twice:
        raise UsageError(
            f"{path} has more than one column named {listed(twice)}: give each its own name."
        )
    return stripped


def check_last_quote(path: Path, value: str) -> None:
    """Refuse a CSV whose last quote is never closed, which pyarrow accepts.

    Raises:
        UsageError: when the quote before the value is never closed.
    """
    if "\n" not in value:
        return
    open_ended = b'"' + value.replace('"', '""').encode()
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - len(open_ended)))
        if stream.read() == open_ended:
            lines = value.count("\n")
            raise UsageError(
                f"{path} has a quote that is never closed; the last {lines:,} lines are one value."
            )


def csv_error(path: Path, message: str, delimiter: str, width: int) -> UsageError:
    """Turn pyarrow's message about a CSV into one with line, cause and remedy."""
    if "UTF8" in message or "UTF-8" in message:
        return _encoding_error(path)
    ragged = re.search(r"Expected (\d+) columns, got (\d+)", message)
    if ragged:
        line, fields = _first_ragged(path, delimiter, width)
        name = {"\t": "tab"}.get(delimiter, delimiter)
        return UsageError(
            f"{path}, line {line}: expected {width} fields as in the header, found {fields} "
            f'(delimiter "{name}"). Quote values that contain it, and close every quote.'
        )
    if "straddling" in message:
        return UsageError(
            f"{path} has a row longer than {BLOCK_BYTES >> 20} MiB, or a quote that is never closed."
        )
    return UsageError(f"{path} cannot be read as CSV: {message.splitlines()[0]}")


def _encoding_error(path: Path) -> UsageError:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return UsageError(
                    f"{path}, line {number}: expected UTF-8 text, found the byte "
                    f"0x{line[error.start]:02x}. Save the file as UTF-8."
                )
    return UsageError(f"{path} is not UTF-8 text. Save the file as UTF-8.")


def _first_ragged(path: Path, delimiter: str, width: int) -> tuple[int, int]:
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        for row in reader:
            if row and len(row) != width:
                return reader.line_num, len(row)
    return 1, width
