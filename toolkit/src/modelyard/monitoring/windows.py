"""Reading windows of production or reference data: columns of many files, in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from modelyard.errors import UsageError
from modelyard.serving.collect import COLLECTED_AT

if TYPE_CHECKING:
    from modelyard.data.cells import Cells, Reading

ROWS_AT_ONCE = 1 << 17
FILES_AHEAD = 64  # that threads read while others are summarised
FEW_ROWS = 1 << 13
NUMERIC = ("number", "integer")
STORED = dict.fromkeys(NUMERIC, pa.float64())  # in a batch; all other types are strings there


@dataclass(frozen=True)
class Window:
    """Files, and the time in which their rows were collected.

    Attributes:
        files: of collected data; without times, tables of any kind.
        start: the window's begin (UTC); None: not limited.
        end: its end, not included; None: not limited.
    """

    files: tuple[str, ...]  # making thousands of Paths would take as long as reading the files
    start: datetime | None = None
    end: datetime | None = None

    @property
    def timed(self) -> bool:
        """Whether the time of collection counts."""
        return self.start is not None or self.end is not None


@dataclass(frozen=True)
class Batch:
    """Rows with canonical values: float64 for numbers and integers, text for everything else.

    Attributes:
        columns: null where a value is missing or `wrong`; NaN and infinities are null too.
        wrong: rows whose value is not of the column's type (rows,), where there are any.
    """

    rows: int
    columns: Mapping[str, pa.Array]
    wrong: Mapping[str, NDArray[np.bool_]]

    def complete(self, names: Sequence[str], also: Iterable[str] = ()) -> Mapping[str, pa.Array]:
        """Return the named columns, and others besides, of the rows that have all the named ones."""
        gaps = [self.columns[name] for name in names if self.columns[name].null_count]
        if not gaps:
            return self.columns
        keep = reduce(pc.and_, (column.is_valid() for column in gaps))
        return {name: self.columns[name].filter(keep) for name in (*names, *also)}


def batches(
    window: Window, types: Mapping[str, str], readings: Mapping[str, Reading] | None = None
) -> Iterator[Batch]:
    """Yield the rows of a window, about ROWS_AT_ONCE at a time.

    Args:
        window: what to read.
        types: the wanted columns and their types (of the contract). One that a file lacks is null.
        readings: how columns are read that are not written as programs write them.

    Raises:
        UsageError: a file is missing or damaged.
    """
    kept = {name: one.not_missing for name, one in (readings or {}).items()}
    for table in raw_tables(window, list(types), kept):
        columns, wrong = {}, {}
        for name, kind in types.items():
            values, bad = (
                canonical(table.column(name), kind, (readings or {}).get(name))
                if name in table.column_names
                else (
                    pa.nulls(len(table), STORED.get(kind, pa.string())),
                    None,
                )
            )
            columns[name] = values
            if bad is not None and bad.any():
                wrong[name] = bad
        yield Batch(len(table), columns, wrong)


def canonical(
    column: pa.ChunkedArray, kind: str, reading: Reading | None = None
) -> tuple[pa.Array, NDArray[np.bool_] | None]:
    """Return the values of a column as `Batch` has them, and a mask of those of another type, if any."""
    from modelyard.data.table import unpacked

    column = unpacked(column)
    if reading is not None and not pa.types.is_null(column.type):
        return _parsed(column, kind, reading)
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), STORED.get(kind, pa.string())), None
    if kind in NUMERIC:
        if not _is_number(column.type):
            return _parsed(column, kind)
        floats = column.cast(pa.float64(), safe=False).combine_chunks()
        finite = pc.is_finite(floats)
        if pc.all(finite, min_count=0).as_py():
            return floats, None
        return pc.if_else(finite, floats, pa.nulls(len(floats), pa.float64())), None
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        if kind in ("category", "text"):
            return _single(column.cast(pa.string())), None
        return _parsed(column, kind)
    if kind == "boolean" and not pa.types.is_boolean(column.type):
        return _parsed(column, kind)
    if kind == "datetime" and not pa.types.is_temporal(column.type):
        return _parsed(column, kind)
    if pa.types.is_floating(column.type):  # whole numbers beside missing ones, as names of classes
        column = pc.if_else(pc.is_finite(column), column, pa.nulls(len(column), column.type))
        if pc.all(pc.equal(column, pc.floor(column)), min_count=0).as_py():
            column = column.cast(pa.int64(), safe=False)
    if pa.types.is_nested(column.type):
        return _parsed(column, "text")
    return _single(column.cast(pa.string())), None


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _parsed(
    column: pa.ChunkedArray, kind: str, reading: Reading | None = None
) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Parse a column that is stored as another type than the contract's, or not as programs write it."""
    from modelyard.data.cells import Cells, Reading, parse

    rule = reading or Reading(type=kind)  # type: ignore[arg-type]
    parsed = parse(Cells(pa.chunked_array(column), None), rule)
    if kind in NUMERIC:
        values = pa.array(
            parsed.values.to_numpy(dtype=np.float64, na_value=np.nan), from_pandas=True
        )
    else:
        values = pa.array(parsed.values, from_pandas=True).cast(pa.string())
    return values, parsed.wrong


def _single(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Join chunks; text beyond 2 GB would not fit, a batch never has that much."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def raw_tables(
    window: Window, names: list[str], kept: Mapping[str, Sequence[str]]
) -> Iterator[pa.Table]:
    """Yield columns as the files have them, about ROWS_AT_ONCE rows at a time; small files are joined.

    `kept`: words of columns that are values in a CSV, though they mostly stand for missing ones.
    """
    waiting: list[pa.Table] = []
    rows = 0
    for part in _parts(window, names, kept):
        if waiting and (rows + len(part) > ROWS_AT_ONCE or part.schema != waiting[0].schema):
            yield _in_time(pa.concat_tables(waiting), window)
            waiting, rows = [], 0
        waiting.append(part)
        rows += len(part)
    if waiting:
        yield _in_time(pa.concat_tables(waiting), window)


def _parts(
    window: Window, names: list[str], kept: Mapping[str, Sequence[str]]
) -> Iterator[pa.Table]:
    tables = partial(_tables, names=names, kept=kept, timed=window.timed)
    ahead = deque[Future[Iterable[pa.Table]]]()
    with ThreadPoolExecutor(pa.cpu_count()) as threads:
        for path in window.files:
            ahead.append(threads.submit(tables, path))
            if len(ahead) > FILES_AHEAD:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def _tables(
    path: str, names: Sequence[str], kept: Mapping[str, Sequence[str]], timed: bool
) -> Iterable[pa.Table]:
    """Return the tables of a file: a small one is read, any other as its tables are asked for."""
    if not path.lower().endswith((".parquet", ".pq")):
        return _csv(Path(path), names, kept)
    with _opened(path) as file:
        known = set(file.schema_arrow.names)
        if timed and COLLECTED_AT not in known:
            raise UsageError(f'{path} has no column "{COLLECTED_AT}": not collected data.')
        columns = dict.fromkeys([*names, COLLECTED_AT] if timed else names)
        wanted = [name for name in columns if name in known]
        if file.metadata.num_rows <= FEW_ROWS:
            return [file.read(wanted, use_threads=False).replace_schema_metadata(None)]
    return _large(path, wanted)


def _large(path: str, names: list[str]) -> Iterator[pa.Table]:
    with _opened(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=names):
            yield pa.Table.from_batches([batch]).replace_schema_metadata(None)


@contextmanager
def _opened(path: str) -> Iterator[pq.ParquetFile]:
    try:
        with pa.memory_map(path) as source, pq.ParquetFile(source, pre_buffer=False) as file:
            yield file
    except FileNotFoundError:
        raise UsageError(f"{path} is gone: run the monitor again.") from None
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path} is a damaged Parquet file ({error}): move it away.") from None


def _in_time(part: pa.Table, window: Window) -> pa.Table:
    """Return the rows that were collected within the window."""
    if not window.timed:
        return part
    times = part.column(COLLECTED_AT)
    if not pa.types.is_timestamp(times.type):
        raise UsageError(
            f'the collected column "{COLLECTED_AT}" holds {times.type}, not timestamps.'
        )
    inside = within(times, window.start, window.end)
    return part if inside is None else part.filter(inside)


def within(times: pa.ChunkedArray, start: datetime | None, end: datetime | None) -> pa.Array | None:
    """Return a mask of the times from start to before end; None where all are.

    Times without a zone are UTC; a missing time is at no time.
    """
    micro = microseconds(times.fill_null(0)) if times.null_count else microseconds(times)
    inside = np.asarray(times.is_valid()) if times.null_count else np.ones(len(micro), dtype=bool)
    if start is not None:
        inside &= micro >= round(start.timestamp() * 1e6)
    if end is not None:
        inside &= micro < round(end.timestamp() * 1e6)
    return None if inside.all() else pa.array(inside)


def microseconds(times: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return microseconds since 1970 (rows,); no time may be null."""
    micro = times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64())
    return numbers(micro.combine_chunks())


def numbers(values: pa.Array) -> NDArray[Any]:
    """Return numbers without nulls; Arrow's `to_numpy` imports pandas first."""
    return np.from_dlpack(values)


def _csv(path: Path, names: Iterable[str], kept: Mapping[str, Sequence[str]]) -> Iterator[pa.Table]:
    from modelyard.data.table import read_file

    cells = read_file(path).columns
    columns = {
        name: _without_gaps(replace(cells[name], values=frozenset(kept.get(name, ()))))
        for name in names
        if name in cells
    }
    if columns:
        yield pa.table(columns)


def _without_gaps(cells: Cells) -> pa.Array:
    """Return stripped words, null where a cell says that nothing is there, as the contract reads them."""
    if not cells.is_text:
        return cells.array
    codes, words = cells.encoded
    return words.take(pa.array(codes, mask=codes < 0))
