"""Batch scoring: files of any size in, part files of predictions out.

On Azure ML a batch endpoint calls `init` once and `run` with a few files at a time; on a laptop
`main` does. Reading and parsing the next rows and writing the last ones go on while a model is
asked: each has a thread of its own, and only a few chunks are in memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from modelyard.data.stream import Chunk, Stream, open_stream
from modelyard.errors import CheckFailed, UsageError, guarded
from modelyard.files import write_text
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
from modelyard.scoring.rows import Readable, check_types, needed_columns, read_chunk, scored_rows
from modelyard.serving.deployed import Deployed, load_deployed
from modelyard.serving.distinct_words import by_distinct_words

PART_ROWS = 1_000_000
CHUNK_ROWS = 50_000  # asked at once: more is hardly faster, and takes more memory
PATIENCE = 3.0  # seconds; so long may a killed job take to let its folder go
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")

# First and last position, and what was made of the rows between.
_Read = tuple[int, int, Readable]
_Scored = tuple[int, int, pa.Table, pa.Table]
_Item = TypeVar("_Item")

_deployed: Deployed | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a file's rows: `rows` is `scored` and `rejected` together."""

    file: str
    rows: int
    scored: int
    rejected: int
    parts: int

    @property
    def share(self) -> float:
        """Rejected rows among all."""
        return self.rejected / max(self.rows, 1)


def init() -> None:
    """Load the model (Azure ML calls this once per process)."""
    global _deployed
    _settings()
    found = load_deployed()
    _deployed = replace(found, model=by_distinct_words(found.model))


def run(mini_batch: list[str]) -> pd.DataFrame:
    """Score files into part files below AZUREML_BI_OUTPUT_PATH.

    Azure ML counts a file that is not in the result as failed (`error_threshold`): one that is no
    table, lacks a column, or has a larger share of rejected rows than MAX_REJECTED (default 0).
    Its good rows are scored all the same.

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
            # Where a folder is mounted differs between machines, and files below it share names.
            source, stream = look_at(path, "/".join(path.parts[-2:]), part_rows)
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
    """Command line: `mlops score` runs this, with the model as AZUREML_MODEL_DIR.

    Prints a JSON object a line: {"event": "reading"|"scoring"|"scored"|"finished", …}.
    """
    parser = argparse.ArgumentParser(prog="batch_score.py", description="Score tables.")
    parser.add_argument("--data", type=Path, required=True, help="CSV or Parquet file, or a folder")
    parser.add_argument("--output", type=Path, required=True, help="folder for the part files")
    parser.add_argument("--part-rows", type=int, default=PART_ROWS, help="input rows per part")
    parser.add_argument(
        "--max-rejected", type=float, default=0.0, help="share of rejected rows that is still fine"
    )
    parser.add_argument("--overwrite", action="store_true", help="delete another job's parts")
    parser.add_argument(
        "--attached", action="store_true", help="end when standard input does: its owner is gone"
    )
    arguments = parser.parse_args(argv)
    if arguments.attached:
        threading.Thread(target=_end_with_owner, daemon=True).start()
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
        raise UsageError(f"--part-rows {part_rows}: a part holds at least one row.")
    files = input_files(data, output)
    output.mkdir(parents=True, exist_ok=True)
    with _alone_in(output):
        init()
        looked_at = []
        for path, name in files:
            _tell("reading", file=name, bytes=path.stat().st_size)
            looked_at.append(look_at(path, name, part_rows))
        claim_folder(output, [source for source, _ in looked_at], overwrite=overwrite)
        known = [stream.rows for _, stream in looked_at]
        done = [finished_parts(output, source) for source, _ in looked_at]
        _tell(
            "scoring",
            model=looked_at[0][0].model,
            version=looked_at[0][0].version,
            files=len(files),
            rows=None if None in known else sum(rows or 0 for rows in known),
            done=sum(part.stop - part.start for parts in done for part in parts),
        )
        outcomes = [
            score_file(*one, output, lambda rows: _tell("scored", rows=rows)) for one in looked_at
        ]
        source = looked_at[0][0]
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
        }
        write_text(output / SUMMARY, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        _tell("finished", **summary)
    if total.share > limit:
        raise CheckFailed(_too_many(total, limit))


def input_files(data: Path, output: Path) -> list[tuple[Path, str]]:
    """The files to score, and what to call them: a file, or all tables below a folder.

    Names that begin with a dot or an underscore are passed over, as by other readers of folders.

    Raises:
        UsageError: when there is none, or the output would be among them.
    """
    if not data.exists():
        raise UsageError(f"{data} does not exist: name a CSV or Parquet file, or a folder of such.")
    if not data.is_dir():
        return [(data, data.name)]
    if output.resolve().is_relative_to(data.resolve()):
        raise UsageError(
            f"{output} is inside {data}: name a folder outside of it, or the next job scores this "
            "one's results."
        )
    found = [
        (path, path.relative_to(data).as_posix())
        for path in sorted(data.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith((".", "_")) for part in path.relative_to(data).parts)
    ]
    if not found:
        raise UsageError(f"{data} holds no table: expected files named {', '.join(SUFFIXES)}.")
    return found


def look_at(path: Path, name: str, part_rows: int = PART_ROWS) -> tuple[Source, Stream]:
    """Check a file's columns, and find out which parts are its own.

    Raises:
        UsageError: when it is no table, or a column is missing or of another type.
    """
    deployed = _loaded()
    stream = open_stream(path, needed_columns(deployed.contract))
    check_types(stream, deployed.contract)
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    source = Source(name, content, deployed.name, deployed.version, deployed.digest, part_rows)
    return source, stream


def score_file(
    source: Source, stream: Stream, output: Path, watch: Callable[[int], None] | None = None
) -> Outcome:
    """Score what is not scored yet.

    Args:
        source: see `look_at`.
        stream: see `look_at`.
        output: folder for the parts.
        watch: told how many rows were written, chunk by chunk.

    Raises:
        UsageError: when the file is damaged further on, or the model cannot score it.
    """
    parts = finished_parts(output, source)
    # A part with room for more rows is the last one.
    if not parts or parts[-1].stop % source.part_rows == 0:
        for part in _new_parts(source, stream, output, len(parts), watch or (lambda rows: None)):
            parts.append(part)
    rows, rejected = parts[-1].stop, sum(part.rejected for part in parts)
    return Outcome(source.file, rows, rows - rejected, rejected, len(parts))


def _new_parts(
    source: Source, stream: Stream, output: Path, number: int, watch: Callable[[int], None]
) -> Iterator[Part]:
    deployed, size = _loaded(), source.part_rows

    def end_of(position: int) -> int:
        start = position - position % size
        return min(start + ((position - start) // CHUNK_ROWS + 1) * CHUNK_ROWS, start + size)

    def read() -> Iterator[_Read]:
        for chunk in stream.chunks(end_of, number * size):
            yield chunk.start, chunk.stop, read_chunk(chunk, deployed.contract)

    def score(chunks: Iterator[_Read]) -> Iterator[_Scored]:
        with threads_for(CHUNK_ROWS):  # holds for the thread that it is called in
            for start, stop, readable in chunks:
                yield start, stop, scored_rows(readable, deployed), readable.rejected

    with _ahead(read()) as chunks, _ahead(score(chunks)) as scored, ExitStack() as open_part:
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
            watch(stop - start)
        stream.check_unchanged()
        if writer is not None:
            yield writer.finish(stop)
    if stop == 0 and number == 0:  # a table without rows is scored, too
        empty = read_chunk(Chunk(0, 0, np.zeros(0, dtype=np.int64), {}, ()), deployed.contract)
        with PartWriter(part_path(output, source, 0), source, 0) as writer:
            writer.add(scored_rows(empty, deployed), empty.rejected)
            yield writer.finish(0)


@contextmanager
def _ahead(items: Iterator[_Item]) -> Iterator[Iterator[_Item]]:
    """Let a thread of its own make the next item while the last one is used."""
    end = object()
    with ThreadPoolExecutor(1) as thread:

        def taken() -> Iterator[_Item]:
            coming: Future[Any] = thread.submit(next, items, end)
            while (item := coming.result()) is not end:
                coming = thread.submit(next, items, end)
                yield item

        yield taken()


@contextmanager
def _alone_in(output: Path) -> Iterator[None]:
    """One job per folder; on Azure ML the processes of one job share theirs.

    Raises:
        UsageError: another process is at it.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(output / ".lock", timeout=PATIENCE):
            yield
    except Timeout:
        raise UsageError(
            f"another job is writing into {output}: wait for it, or name another folder."
        ) from None


def _end_with_owner() -> None:
    while os.read(0, 1):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os._exit(2)  # whatever is half written does not count


def _settings() -> tuple[float, int]:
    """MAX_REJECTED and PART_ROWS, from the deployment's environment variables."""
    share = os.environ.get("MAX_REJECTED") or "0"
    rows = os.environ.get("PART_ROWS") or str(PART_ROWS)
    try:
        limit, part_rows = float(share), int(rows)
    except ValueError:
        limit, part_rows = -1.0, 0
    if not 0 <= limit <= 1 or part_rows < 1:
        raise UsageError(
            f"expected MAX_REJECTED from 0 to 1 and PART_ROWS from 1, found {share!r} and {rows!r}."
        )
    return limit, part_rows


def _loaded() -> Deployed:
    if _deployed is None:
        raise UsageError("no model is loaded: call init first.")
    return _deployed


def _too_many(outcome: Outcome, limit: float) -> str:
    return (
        f"{outcome.file}: {outcome.rejected:,} of {outcome.rows:,} rows are rejected "
        f"({outcome.share:.2%}), at most {limit:.2%} may be. The reasons are in {REJECTED}; all "
        "other rows are scored."
    )


def _tell(event: str, **what: Any) -> None:
    print(json.dumps({"event": event, **what}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
