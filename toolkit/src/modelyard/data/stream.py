"""Reading a CSV or Parquet file in chunks: the same cells as `table.read_file`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelyard.contract.reading import missing_columns
from modelyard.data.cells import Cells
from modelyard.data.table import (
    BLOCK_BYTES,
    INDEX_COLUMN,
    PARQUET,
    check_last_quote,
    column_names,
    csv_error,
    first_bytes,
    sniff,
    taken_for_csv,
    taken_for_parquet,
    unpacked,
    unpacked_type,
)
from modelyard.errors import UsageError, shortened

BATCH_ROWS = 1 << 16
READ_BYTES = 1 << 20  # of a Parquet column at a time, however long its row groups are
OPEN_QUOTE = "a quote that is never closed"
SHOWN = 120  # characters of a row that is no row

Positions = NDArray[np.int64]
# Rows with their positions in the file; of the rows that a CSV parser refuses, only the place.
_Rows = tuple[Positions, pa.RecordBatch]
_Refused = tuple[int, str]


@dataclass(frozen=True)
class Chunk:
    """Rows of a file from position `start` up to `stop`; the first row is 0.

    Attributes:
        start: position of the first row.
        stop: position after the last.
        positions: of the rows in `columns` (rows,); those between them are in `refused`.
        columns: cells of the columns that were asked for.
        refused: position and reason of rows with too few or too many fields.
    """

    start: int
    stop: int
    positions: Positions
    columns: dict[str, Cells]
    refused: tuple[_Refused, ...]


@dataclass(frozen=True)
class Stream:
    """An open file, of which the header was read.

    Attributes:
        path: of the file.
        columns: the columns to read, and what the file calls them.
        rows: how many there are; None where only reading tells (CSV).
        types: Arrow's, of the columns, as `unpacked` gives them; empty for a CSV.
        layout: a CSV's delimiter and number of columns; None for Parquet.
        stamp: size and time of the last change.
    """

    path: Path
    columns: dict[str, str]
    rows: int | None
    types: dict[str, pa.DataType]
    layout: tuple[str, int] | None
    stamp: tuple[int, int]

    def check_unchanged(self) -> None:
        """Raise UsageError if the file has changed since it was opened.

        Raises:
            UsageError: when somebody has.
        """
        if _stamp(self.path) != self.stamp:
            raise UsageError(f"{self.path} has changed while it was read: start again.")

    def chunks(self, end_of: Callable[[int], int], start: int = 0) -> Iterator[Chunk]:
        """Read from position `start`; `end_of(position)` says where the chunk with it ends.

        Raises:
            UsageError: when the file turns out to be damaged further on.
        """
        refused: deque[_Refused] = deque()
        batches = (
            _parquet_rows(self, start)
            if self.layout is None
            else _csv_rows(self, self.layout, refused)
        )
        delimiter = self.layout[0] if self.layout else None
        for first, stop, held, places in _cut(batches, refused, start, end_of):
            positions = [positions for positions, _ in held]
            none = np.zeros(0, dtype=np.int64)
            rows = [batch for _, batch in held]
            cells = {
                name: Cells(unpacked(pa.chunked_array([batch[of] for batch in rows])), delimiter)
                for name, of in self.columns.items()
                if rows
            }
            yield Chunk(first, stop, np.concatenate([none, *positions]), cells, tuple(places))


def open_stream(path: Path, columns: Sequence[str]) -> Stream:
    """Find out the format of a file, and check that it has the columns.

    Raises:
        UsageError: when it is no table, or a column is missing.
    """
    start = first_bytes(path)
    if start.startswith(PARQUET):
        return _open_parquet(path, columns)
    return _open_csv(path, start, columns)


def read_columns(path: Path) -> dict[str, str]:
    """Read the names of a table's columns, with Arrow's types; those of a CSV are `untyped`.

    Raises:
        UsageError: when it is no table.
    """
    start = first_bytes(path)
    if start.startswith(PARQUET):
        fields = [one for one in _read_schema(path)[1] if not re.fullmatch(INDEX_COLUMN, one.name)]
        return {one.name: str(one.type) for one in fields}
    return dict.fromkeys(_header(path, sniff(path, start)), "untyped")


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _open_parquet(path: Path, columns: Sequence[str]) -> Stream:
    stamp = _stamp(path)
    rows, schema = _read_schema(path)
    given = [name for name in schema.names if not re.fullmatch(INDEX_COLUMN, name)]
    found = dict(zip(column_names(given, path), given, strict=True))
    _check_columns(path, columns, found)
    types = {name: unpacked_type(schema.field(found[name]).type) for name in columns}
    return Stream(path, {name: found[name] for name in columns}, rows, types, None, stamp)


def _read_schema(path: Path) -> tuple[int, pa.Schema]:
    import pyarrow.parquet as pq

    with taken_for_parquet(path), pq.ParquetFile(path) as file:
        return file.metadata.num_rows, file.schema_arrow


def _open_csv(path: Path, start: bytes, columns: Sequence[str]) -> Stream:
    stamp = _stamp(path)
    header = start.decode("utf-8-sig", errors="replace").partition("\n")[0].strip()
    with taken_for_csv(path, start):
        if [header.strip('"')] == list(columns):  # nothing to delimit
            layout = (",", 1)
            names = {columns[0]: "f0"}
        else:
            layout = sniff(path, start)
            names = _header(path, layout)
        _check_columns(path, columns, names)
    return Stream(path, {name: names[name] for name in columns}, None, {}, layout, stamp)


def _header(path: Path, layout: tuple[str, int]) -> dict[str, str]:
    """Read the names in the first row, with pyarrow's names of the columns."""
    with _csv_reader(path, layout, [f"f{i}" for i in range(layout[1])], []) as reader:
        first = reader.read_next_batch().slice(0, 1).to_pylist()[0]
    names = column_names([first[f"f{i}"] for i in range(layout[1])], path)
    return {name: f"f{i}" for i, name in enumerate(names)}


def _check_columns(path: Path, wanted: Iterable[str], found: Iterable[str]) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UsageError(missing_columns(path, missing, found))


def _parquet_rows(stream: Stream, start: int) -> Iterator[_Rows]:
    """Read rows, from the row group that holds position `start`."""
    import pyarrow.parquet as pq

    # Piece by piece, because a row group may hold the whole file; and one group after the
    # other, because an iterator over several keeps what it has read of all of them.
    with (
        taken_for_parquet(stream.path),
        pq.ParquetFile(stream.path, buffer_size=READ_BYTES, pre_buffer=False) as file,
    ):
        position = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if position + rows <= start:
                position += rows
                continue
            columns = list(stream.columns.values())
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                yield np.arange(position, position + len(batch), dtype=np.int64), batch
                position += len(batch)


def _csv_rows(stream: Stream, layout: tuple[str, int], refused: deque[_Refused]) -> Iterator[_Rows]:
    """Read all rows but the header; those with a wrong number of fields go to `refused`."""
    position = -1  # of the header
    passed: deque[_Refused] = deque()
    wanted = list(stream.columns.values())
    last_column, last_value = f"f{layout[1] - 1}", ""
    columns = [*wanted, *({last_column} - set(wanted))]
    with _csv_reader(stream.path, layout, columns, passed) as reader:
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                break
            except pa.ArrowException as error:
                raise csv_error(stream.path, str(error), *layout) from None
            if not len(batch):
                continue
            # The parser is at least as far as the batch: it has refused all that lies between.
            places = np.array([place for place, _ in passed], dtype=np.int64)
            ordinals = np.arange(position, position + len(batch), dtype=np.int64)
            before = np.searchsorted(places - np.arange(len(places)), ordinals, side="right")
            positions = ordinals + before
            refused.extend(passed.popleft() for _ in range(int(before[-1])))
            position = int(positions[-1]) + 1
            last_value = batch[last_column][-1].as_py()
            skip = int(positions[0] == -1)
            yield positions[skip:], batch.slice(skip)
    check_last_quote(stream.path, last_value)
    if passed and passed[-1][1] == OPEN_QUOTE:  # all further lines are in this row
        raise UsageError(f"{stream.path} has {OPEN_QUOTE} in row {passed[-1][0] + 1:,}.")
    refused.extend(passed)


def _csv_reader(path: Path, layout: tuple[str, int], columns: list[str], refused: Any) -> Any:
    import pyarrow.csv as pacsv

    delimiter, width = layout

    def keep_place(row: Any) -> str:
        text = shortened(row.text, SHOWN)
        is_open = "\n" in row.text and row.text.count('"') % 2
        what = (
            OPEN_QUOTE
            if is_open
            else f"expected {row.expected_columns} fields, found {row.actual_columns}: {text}"
        )
        refused.append((row.number - 2, what))  # rows count from 1, and the header is one
        return "skip"

    try:
        return pacsv.open_csv(
            path,
            # Only without threads does the parser know the numbers of the rows it refuses.
            read_options=pacsv.ReadOptions(
                autogenerate_column_names=True, block_size=BLOCK_BYTES, use_threads=False
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                ignore_empty_lines=width > 1,
                invalid_row_handler=keep_place,
            ),
            convert_options=pacsv.ConvertOptions(
                include_columns=columns,
                column_types={name: pa.string() for name in columns},
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowException as error:
        raise csv_error(path, str(error), delimiter, width) from None


def _cut(
    batches: Iterable[_Rows],
    refused: deque[_Refused],
    start: int,
    end_of: Callable[[int], int],
) -> Iterator[tuple[int, int, list[_Rows], list[_Refused]]]:
    """Regroup rows from `start` on, so that each group ends where `end_of` says."""
    end = end_of(start)
    held: list[_Rows] = []
    seen = start

    def group(stop: int) -> tuple[int, int, list[_Rows], list[_Refused]]:
        places = []
        while refused and refused[0][0] < stop:
            place = refused.popleft()
            places += [place] if place[0] >= start else []
        return start, stop, held, places

    for positions, batch in batches:
        at = int(np.searchsorted(positions, start))
        while at < len(positions):
            take = int(np.searchsorted(positions, end)) - at
            if take:
                held.append((positions[at : at + take], batch.slice(at, take)))
                at += take
                seen = int(positions[at - 1]) + 1
            if at < len(positions) or seen == end:
                yield group(end)
                start, end, held = end, end_of(end), []
    total = max(seen, refused[-1][0] + 1 if refused else 0)
    while start < total:
        yield group(min(end, total))
        start, end, held = end, end_of(end), []
