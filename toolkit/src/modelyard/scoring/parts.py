"""Part files of a batch job, which are written whole and identify the job that they belong to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from modelyard.errors import UsageError
from modelyard.files import replacing

FORMAT = 1  # to be raised when the content of a part changes
REJECTED = "_rejected"  # readers of Parquet folders ignore names with an underscore
SUMMARY = "_summary.json"
_ABOUT = b"batch_score"


@dataclass(frozen=True)
class Source:
    """The inputs that the parts of one file depend on.

    Attributes:
        file: name of the input file in the job.
        content: SHA-256 of its bytes.
        model: name of the registered model.
        version: of the model.
        model_digest: SHA-256 of the model's files.
        part_rows: rows of the input per part.
    """

    file: str
    content: str
    model: str
    version: str
    model_digest: str
    part_rows: int
    format: int = FORMAT

    @property
    def stem(self) -> str:
        """The beginning of the names of this source's parts, and of no other's."""
        words = "\0".join(str(value) for value in asdict(self).values())
        key = hashlib.sha256(words.encode("utf-8", errors="surrogateescape")).hexdigest()
        return f"{Path(self.file).stem}-{key[:10]}"


@dataclass(frozen=True)
class Part:
    """A finished part: input rows from `start` to `stop`, exclusive, and the number of rejected ones."""

    start: int
    stop: int
    rejected: int


def part_path(folder: Path, source: Source, number: int) -> Path:
    """Return the path of a part."""
    return folder / f"{source.stem}-{number:05d}.parquet"


def rejected_path(part: Path) -> Path:
    """Return the path of a part's rejected rows."""
    return part.parent / REJECTED / part.name


def finished_parts(folder: Path, source: Source) -> list[Part]:
    """List the complete parts from the first on; parts after a gap do not count."""
    found: list[Part] = []
    while (part := _finished(part_path(folder, source, len(found)), source)) is not None:
        found.append(part)
    return found


def _finished(path: Path, source: Source) -> Part | None:
    about, rows = _description(path)
    if about is None or about.get("source") != asdict(source):
        return None
    part = Part(**about["part"])
    complete = rows == part.stop - part.start - part.rejected
    if part.rejected:
        complete &= _description(rejected_path(path)) == (about, part.rejected)
    return part if complete else None


def _description(path: Path) -> tuple[dict[str, Any] | None, int]:
    """Read a part's description and number of rows; None: the file is damaged or no part."""
    try:
        footer = pq.read_metadata(path)
        return json.loads(footer.metadata[_ABOUT]), footer.num_rows
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None, 0


class PartWriter:
    """Writes one part and its rejected rows; only `finish` makes the files appear."""

    def __init__(self, path: Path, source: Source, start: int) -> None:
        self._path, self._source, self._start = path, source, start
        self._files = ExitStack()
        self._scored: pq.ParquetWriter | None = None
        self._rejects: pq.ParquetWriter | None = None
        self._rejected = 0

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in (self._scored, self._rejects):
            if writer is not None:
                writer.close()
        self._files.__exit__(kind or InterruptedError, error or InterruptedError(), trace)

    def add(self, scored: pa.Table, rejected: pa.Table) -> None:
        """Append rows."""
        if self._scored is None:
            self._scored = self._open(self._path, scored.schema)
        self._scored.write_table(scored)
        if len(rejected):
            if self._rejects is None:
                self._rejects = self._open(rejected_path(self._path), rejected.schema)
            self._rejects.write_table(rejected)
            self._rejected += len(rejected)

    def finish(self, stop: int) -> Part:
        """Close the files and rename them to their final names, the rejected rows first."""
        part = Part(self._start, stop, self._rejected)
        about = {"source": asdict(self._source), "part": asdict(part)}
        for writer in (self._scored, self._rejects):
            if writer is not None:
                writer.add_key_value_metadata({_ABOUT.decode(): json.dumps(about)})
                writer.close()
        self._scored = self._rejects = None
        self._files.close()
        return part

    def _open(self, path: Path, schema: pa.Schema) -> pq.ParquetWriter:
        partial = self._files.enter_context(replacing(path))
        return pq.ParquetWriter(partial, schema)


def claim_folder(folder: Path, sources: list[Source], *, overwrite: bool) -> None:
    """Check that a folder holds parts of these sources only, and delete unfinished files.

    Args:
        folder: of one job, and locked by it.
        sources: all input files of the job.
        overwrite: delete all parts, of these sources too.

    Raises:
        UsageError: there are other Parquet files.
    """
    for path in [*folder.glob(".*.part"), *folder.glob(f"{REJECTED}/.*.part")]:
        path.unlink()
    own = {source.stem: source for source in sources}
    foreign = list(_foreign(folder, own))
    unknown = [path for path, about in foreign if about is None]
    if unknown:
        raise UsageError(
            f"{unknown[0]} was not written by a batch job, or is damaged; name another output folder, "
            "or move the file away, since readers of the folder take it for a part"
        )
    if overwrite:
        parts = [path for path in folder.glob("*.parquet") if _is_part(path)]
        for path in [*parts, *folder.glob(f"{REJECTED}/*.parquet"), folder / SUMMARY]:
            path.unlink(missing_ok=True)
    elif foreign:
        path, about = foreign[0]
        raise UsageError(
            f"{path} belongs to another job: {_difference(about or {}, sources)}; name another output "
            "folder, or delete the parts of the other job with --overwrite"
        )


def _foreign(folder: Path, own: dict[str, Source]) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """Yield Parquet files that are no parts of this job, with their descriptions."""
    for path in sorted([*folder.glob("*.parquet"), *folder.glob(f"{REJECTED}/*.parquet")]):
        if path.name.rpartition("-")[0] not in own or not _is_part(path):
            yield path, _description(path)[0]


def _is_part(path: Path) -> bool:
    return bool(re.search(r"-[0-9a-f]{10}-\d{5,}\.parquet$", path.name))


def _difference(about: dict[str, Any], sources: list[Source]) -> str:
    """Explain why a part belongs to none of these sources."""
    other = about["source"]
    same = next((source for source in sources if source.file == other["file"]), None)
    if same is None:
        return f"it was made from {other['file']}, which is not in the data now"
    if (other["model"], other["version"]) != (same.model, same.version):
        return (
            f"it was scored by {other['model']} v{other['version']}, "
            f"now it is {same.model} v{same.version}"
        )
    if other["model_digest"] != same.model_digest:
        return f"the files of {same.model} v{same.version} have changed since"
    if other["content"] != same.content:
        return f"{same.file} has changed since"
    return f"it was made with --part-rows {other['part_rows']}, now it is {same.part_rows}"
