"""Batch scoring of files of any size into part files of predictions.

On Azure ML a batch endpoint calls `init` once and `run` with a few files at a time; on a laptop `mlops
score` runs `main`. Reading, prediction and writing run at the same time, each in its own thread, and
only a few chunks are in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from modelyard.data.stream import Chunk, Stream, open_stream
from modelyard.errors import CheckFailed, UsageError, guarded, readable
from modelyard.files import digest, write_text
from modelyard.modelling.predicting import threads_for
from modelyard.scoring.parts import (
    REJECTED,
    SUMMARY,
    Part,
    PartWriter,
    Source,
    claim_folder,
    finished_parts,
    part_path,
)
from modelyard.scoring.rows import ParsedRows, check_types, needed_columns, read_chunk, scored_rows
from modelyard.serving.deployed import Deployed, load_deployed
from modelyard.serving.distinct_words import by_distinct_words

PART_ROWS = 1_000_000
CHUNK_ROWS = 50_000  # per prediction: more is hardly faster, and takes more memory
LOCK_SECONDS = 10.0  # that a killed job may take to end and release its folder
SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")  # in a folder, where .txt may be anything

# First and last position of a chunk, and its content.
_Read = tuple[int, int, ParsedRows]
_Scored = tuple[int, int, pa.Table, pa.Table]
_Item = TypeVar("_Item")

_deployed: Deployed | None = None


@dataclass(frozen=True)
class Outcome:
    """Counts of a file's rows; `rows` is the sum of `scored` and `rejected`."""

    file: str
    rows: int
    scored: int
    rejected: int
    parts: int

    @property
    def share(self) -> float:
        """Share of rejected rows."""
        return self.rejected / max(self.rows, 1)


def init() -> None:
    """Load the model (Azure ML calls this once per process)."""
    global _deployed
    _settings()
    found = load_deployed()
    _deployed = replace(found, model=by_distinct_words(found.model))


def run(mini_batch: list[str]) -> pd.DataFrame:
    """Score files into part files below AZUREML_BI_OUTPUT_PATH.

    Azure ML counts a file that is missing in the result as failed (`error_threshold`): a file that is
    no table, lacks a column, or has a larger share of rejected rows than MAX_REJECTED (default 0).
    Its valid rows are scored nevertheless.

    Args:
        mini_batch: paths of CSV or Parquet files.

    Returns:
        file, rows, scored, rejected and parts of each file.
    """
    output = Path(os.environ["AZUREML_BI_OUTPUT_PATH"])
    limit, part_rows = _settings()
    outcomes = []
    for path in map(Path, mini_batch):
        try:
            # The mount point differs between machines, and files in different folders share names.
            source, stream = open_source(path, "/".join(path.parts[-2:]), part_rows)
            outcome = score_file(source, stream, output)
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            continue
        print(json.dumps(asdict(outcome)))
        if outcome.share > limit:
            print(f"error: {_too_many(outcome, limit)}", file=sys.stderr)
            continue
        outcomes.append(asdict(outcome))
    return pd.DataFrame(outcomes, columns=list(Outcome.__dataclass_fields__))


def main(argv: list[str] | None = None) -> int:
    """Score the tables of a command line, with the model in AZUREML_MODEL_DIR; return the exit code.

    Prints one JSON object per line: {"event": "reading" | "scoring" | "scored" | "finished", ...}.
    """
    parser = argparse.ArgumentParser(prog="batch_score.py", description="Score tables.")
    parser.add_argument("--data", type=Path, required=True, help="CSV or Parquet file, or a folder")
    parser.add_argument("--output", type=Path, required=True, help="folder for the part files")
    parser.add_argument("--part-rows", type=int, default=PART_ROWS, help="input rows per part")
    parser.add_argument(
        "--max-rejected", type=float, default=0.0, help="largest allowed share of rejected rows"
    )
    parser.add_argument("--overwrite", action="store_true", help="delete parts of another job")
    parser.add_argument(
        "--attached",
        action="store_true",
        help="end when standard input closes, which the parent's end does",
    )
    arguments = parser.parse_args(argv)
    if arguments.attached:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        return guarded(
            _score_all,
            arguments.data,
            arguments.output,
            arguments.part_rows,
            arguments.max_rejected,
            overwrite=arguments.overwrite,
        )
    except KeyboardInterrupt:
        return 130


def _score_all(data: Path, output: Path, part_rows: int, limit: float, *, overwrite: bool) -> None:
    if part_rows < 1:
        raise UsageError(f"--part-rows: expected at least 1, found {part_rows}")
    files, passed_over = input_files(data, output)
    output.mkdir(parents=True, exist_ok=True)
    with _locked(output):
        init()
        opened = []
        for path, name in files:
            _report("reading", file=name, bytes=path.stat().st_size)
            opened.append(open_source(path, name, part_rows))
        claim_folder(output, [source for source, _ in opened], overwrite=overwrite)
        known = [stream.rows for _, stream in opened]
        done = [finished_parts(output, source) for source, _ in opened]
        _report(
            "scoring",
            model=opened[0][0].model,
            version=opened[0][0].version,
            files=len(files),
            rows=None if None in known else sum(rows or 0 for rows in known),
            done=sum(part.stop - part.start for parts in done for part in parts),
        )
        outcomes = [
            score_file(*one, output, lambda rows: _report("scored", rows=rows)) for one in opened
        ]
        source = opened[0][0]
        total = Outcome(
            str(data),
            *(
                sum(getattr(one, of) for one in outcomes)
                for of in ("rows", "scored", "rejected", "parts")
            ),
        )
        summary = {
            "model": {
                "name": source.model,
                "version": source.version,
                "digest": source.model_digest,
            },
            "part_rows": part_rows,
            **{name: value for name, value in asdict(total).items() if name != "file"},
            "files": [asdict(outcome) for outcome in outcomes],
            "passed_over": passed_over,
        }
        write_text(output / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        _report("finished", **summary)
    if total.share > limit:
        raise CheckFailed(_too_many(total, limit))


def input_files(data: Path, output: Path) -> tuple[list[tuple[Path, str]], list[str]]:
    """List the files to score with their names: one file, or all tables below a folder.

    Returns:
        The files, and the names of what is passed over: other files, links to folders, and names that
        begin with a dot or an underscore, as other readers of folders do.

    Raises:
        UsageError: there is none, the output is inside the folder, a link leads nowhere, or a folder
            cannot be read.
    """
    if not data.exists():
        raise UsageError(
            f"{data} does not exist; expected a CSV or Parquet file, or a folder of them"
        )
    if not data.is_dir():
        return [(data, data.name)], []
    if output.resolve().is_relative_to(data.resolve()):
        raise UsageError(
            f"{output} is inside {data}; name a folder outside of it, so that no job scores results"
        )
    found, passed_over = [], []
    for folder, folders, names in os.walk(data, onerror=_unreadable):
        entered = []
        for name in sorted([*folders, *names]):
            path = Path(folder, name)
            hidden = name.startswith((".", "_"))
            if not hidden and not path.exists():
                raise UsageError(f"{path} is a link to nothing: mend it, or take it away")
            if not hidden and path.is_dir() and not path.is_symlink():
                entered.append(name)
            elif not hidden and path.is_file() and path.suffix.lower() in SUFFIXES:
                found.append((path, path.relative_to(data).as_posix()))
            else:
                passed_over.append(path.relative_to(data).as_posix())
        folders[:] = entered
    if not found:
        raise UsageError(
            f"{data} holds no table; expected files with the suffixes {', '.join(SUFFIXES)}"
        )
    return sorted(found), passed_over


def _unreadable(error: OSError) -> None:
    raise UsageError(f"{readable(error)}: its tables would be missing")


def open_source(path: Path, name: str, part_rows: int) -> tuple[Source, Stream]:
    """Open a file, check its columns, and identify its parts.

    Raises:
        UsageError: it is no table, or a column is missing or of another type.
    """
    deployed = _loaded()
    stream = open_stream(path, needed_columns(deployed.contract))
    check_types(stream, deployed.contract)
    model = deployed.name, deployed.version, deployed.digest
    return Source(name, digest(path), *model, part_rows), stream


def score_file(
    source: Source, stream: Stream, output: Path, progress: Callable[[int], None] | None = None
) -> Outcome:
    """Score the rows of a file that have no finished part yet; `progress` gets the number of rows of each chunk.

    Raises:
        UsageError: a later part of the file is damaged, or the model cannot score it.
    """
    parts = finished_parts(output, source)
    # A part with fewer rows than a whole one is the last.
    if not parts or parts[-1].stop % source.part_rows == 0:
        for part in _new_parts(source, stream, output, len(parts), progress or (lambda rows: None)):
            parts.append(part)
    rows, rejected = parts[-1].stop, sum(part.rejected for part in parts)
    return Outcome(source.file, rows, rows - rejected, rejected, len(parts))


def _new_parts(
    source: Source, stream: Stream, output: Path, number: int, progress: Callable[[int], None]
) -> Iterator[Part]:
    deployed, size = _loaded(), source.part_rows

    def end_of(position: int) -> int:
        start = position - position % size
        return min(start + ((position - start) // CHUNK_ROWS + 1) * CHUNK_ROWS, start + size)

    def read() -> Iterator[_Read]:
        for chunk in stream.chunks(end_of, number * size):
            yield chunk.start, chunk.stop, read_chunk(chunk, deployed.contract)

    def score(chunks: Iterator[_Read]) -> Iterator[_Scored]:
        with threads_for(CHUNK_ROWS):  # applies to the calling thread
            for start, stop, parsed in chunks:
                yield start, stop, scored_rows(parsed, deployed), parsed.rejected

    with (
        _prefetched(read()) as chunks,
        _prefetched(score(chunks)) as scored,
        ExitStack() as open_part,
    ):
        writer: PartWriter | None = None
        stop = 0
        for start, stop, rows, rejected in scored:
            if writer is None:
                path = part_path(output, source, number)
                writer = open_part.enter_context(PartWriter(path, source, start))
            writer.add(rows, rejected)
            if stop % size == 0:
                stream.check_unchanged()
                yield writer.finish(stop)
                writer, number = None, number + 1
            progress(stop - start)
        stream.check_unchanged()
        if writer is not None:
            yield writer.finish(stop)
    if stop == 0 and number == 0:  # a table without rows has a part without rows
        empty = read_chunk(Chunk(0, 0, np.zeros(0, dtype=np.int64), {}, ()), deployed.contract)
        with PartWriter(part_path(output, source, 0), source, 0) as writer:
            writer.add(scored_rows(empty, deployed), empty.rejected)
            yield writer.finish(0)


@contextmanager
def _prefetched(items: Iterator[_Item]) -> Iterator[Iterator[_Item]]:
    """Make the next item in a thread while the last one is used."""
    end = object()
    with ThreadPoolExecutor(1) as thread:

        def results() -> Iterator[_Item]:
            following: Future[Any] = thread.submit(next, items, end)
            while (item := following.result()) is not end:
                following = thread.submit(next, items, end)
                yield item

        yield results()


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Lock a folder for one job; the lock ends with the process.

    On Azure ML the processes of one job share a folder, and `run` takes no lock.

    Raises:
        UsageError: another process holds the lock.
    """
    with (output / ".lock").open("ab") as file:
        until = time.monotonic() + LOCK_SECONDS
        while not _try_lock(file):
            if time.monotonic() > until:
                raise UsageError(
                    f"another job is writing into {output}; wait for it, or name another folder"
                )
            time.sleep(0.1)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    """Lock a file without waiting. The endpoint's environment has no package for it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock would be held when the interpreter ends
        pass
    os._exit(2)  # unfinished parts do not count


def _settings() -> tuple[float, int]:
    """Read MAX_REJECTED and PART_ROWS from the deployment's environment variables."""
    share = os.environ.get("MAX_REJECTED") or "0"
    rows = os.environ.get("PART_ROWS") or str(PART_ROWS)
    try:
        limit, part_rows = float(share), int(rows)
    except ValueError:
        limit, part_rows = -1.0, 0
    if not 0 <= limit <= 1 or part_rows < 1:
        raise UsageError(
            f"expected MAX_REJECTED from 0 to 1 and PART_ROWS from 1, found {share!r} and {rows!r}"
        )
    return limit, part_rows


def _loaded() -> Deployed:
    if _deployed is None:
        raise UsageError("no model is loaded; call init first")
    return _deployed


def _too_many(outcome: Outcome, limit: float) -> str:
    return (
        f"{outcome.file}: {outcome.rejected:,} of {outcome.rows:,} rows are rejected "
        f"({outcome.share:.2%}), at most {limit:.2%} may be; the reasons are in {REJECTED}, all other "
        "rows are scored"
    )


def _report(event: str, **details: Any) -> None:
    print(json.dumps({"event": event, **details}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
