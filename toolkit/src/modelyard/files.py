"""Atomic writing of files, and digests."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError, readable

ID_TIME = "%Y%m%d-%H%M%S"  # in UTC; begins an id, so that ids are in order


def new_id() -> str:
    """Make an id of the present second that nothing else of it has: `20261130-150013-1a2b`."""
    return f"{datetime.now(UTC):{ID_TIME}}-{secrets.token_hex(2)}"


def project_root(start: Path | None = None) -> Path:
    """Find the nearest folder at or above `start` (default: the working folder) with conf/project.yml.

    Raises:
        UsageError: there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if has_file(folder / "conf" / "project.yml"):
            return folder
    raise UsageError(f"{here} is not inside a project: no conf/project.yml here or above")


@contextmanager
def locked(file: Path, other: str, patience: float = -1) -> Iterator[None]:
    """Hold a lock, which ends with the process; who has to wait for it is told so on standard error.

    Args:
        file: the lock's, which stays.
        other: who may hold it, for the message.
        patience: seconds to wait; default: as long as it takes.

    Raises:
        UsageError: it was not free in that time.
    """
    from filelock import FileLock, Timeout  # what an endpoint runs has no such package

    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting until {other} has ended", file=sys.stderr, flush=True)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise UsageError(
                f"{other} has not ended in {patience:g} s; try again when it has"
            ) from None
    try:
        yield
    finally:
        lock.release()


def editing(root: Path) -> AbstractContextManager[None]:
    """Hold the lock of commands that read a file of the project, and write it with a change."""
    return locked(root / ".runs" / "edit.lock", "another command that edits this project", 120)


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place only if the block succeeds.

    A reader sees the old file or the new one, never a part; permissions are those of a new file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 file with Unix line ends, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def has_file(path: Path) -> bool:
    """Tell whether there is a file.

    Raises:
        UsageError: in its place there is a folder, or a link that leads nowhere.
    """
    if (is_folder := path.is_dir()) or (path.is_symlink() and not path.exists()):
        found = "a folder" if is_folder else f"a link to {path.readlink()}, which does not exist"
        raise UsageError(
            f"{path}: expected a file, found {found}; move it away, or restore the file"
        )
    return path.exists()


def read_text(path: Path, missing: str = "restore it from git") -> str:
    """Read a UTF-8 file, with a byte order mark or without one.

    Raises:
        UsageError: there is none, it cannot be read, or it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from None
    except OSError as error:
        said = readable(error) if has_file(path) else f"{path} does not exist; {missing}"
        raise UsageError(said) from None


class MissingKey(UsageError, KeyError):
    """A JSON file has no such field."""

    __str__ = Exception.__str__


class Read(dict[str, Any]):
    """A mapping of a JSON file; a field that it does not have is an error which names the file."""

    path: Path | str

    def __missing__(self, key: str) -> Any:
        raise MissingKey(f"{self.path} has no field {key!r}: {_MADE}")


_MADE = "it is damaged; restore it, or delete it and run again what writes it"


def read_json(path: Path, kind: Any = dict) -> Any:
    """Read a JSON file.

    Args:
        path: of the file.
        kind: what its content has to be, such as a model of pydantic; `object`: anything. A dataclass is made of it.

    Raises:
        UsageError: the file is missing, is not JSON, is of another type, or has a field twice.
    """
    return parse_json(read_text(path, "run again what writes it"), path, kind)


def parse_json(text: str, path: Path | str, kind: Any = dict, remedy: str = _MADE) -> Any:
    """Parse the text of a JSON file, as of `read_json`; `remedy`: what to do where it is damaged."""
    from pydantic import TypeAdapter, ValidationError

    def mapping(pairs: list[tuple[str, Any]]) -> Read:
        found = Read(pairs)
        found.path = path
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the field {twice!r} is given twice")
        return found

    try:
        content = json.loads(text, object_pairs_hook=mapping)
        found = TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the content"
        said = first["msg"].removeprefix("Input ").removeprefix("String ")
        said += f", found {type(first['input']).__name__}"
        said = "is missing" if first["type"] == "missing" else said
        raise UsageError(f"{path}: {where} {said}: {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not readable as JSON: {error}; {remedy}") from None
    return found if is_dataclass(kind) else content


def parse_answer(text: str, *command: str) -> Any:
    """Parse what a command printed as JSON; None where it printed nothing.

    Raises:
        UsageError: it is not JSON.
    """
    said = f"what `{' '.join(command)}` printed"
    return parse_json(text or "null", said, object, "run it by hand, and see what stands around it")


def relative(path: Path, folder: Path | None = None) -> Path:
    """Return a path relative to a folder where it is inside; default: the working folder."""
    try:
        return path.resolve().relative_to((folder or Path.cwd()).resolve())
    except ValueError:
        return path


def digest(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, or of the names and bytes of all files below a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return digest_files(sorted(p for p in path.rglob("*") if p.is_file()), path)


def digest_files(paths: Iterable[Path], base: Path) -> str:
    """Compute the SHA-256 over the given files' names relative to `base` and their bytes."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.relative_to(base).as_posix().encode() + b"\0" + digest(path).encode())
    return total.hexdigest()


def link_tree(source: Path, target: Path) -> None:
    """Link the files of `source` into `target`, or copy them where the disk has no hard links."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=link)


def tail(log: Path, lines: int = 25) -> str:
    """Return the last lines of a log, indented."""
    if not log.is_file():
        return "    (no output)"
    text = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
    return "\n".join(f"    {line}" for line in text[-lines:]) or "    (no output)"
