"""The files that Azure ML would upload of a component's code, and a copy of them for a step."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from modelyard.files import digest, read_text

# What tools write beside the code; no step depends on it.
CACHES = {
    ".environments",
    ".git",
    ".ipynb_checkpoints",
    ".mlflow",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".runs",
    ".venv",
    "__pycache__",
    "node_modules",
}
IGNORE_FILES = (".amlignore", ".gitignore")  # the first that exists counts, as on Azure ML


def is_changed_by_upload(code: Path | None, includes: Sequence[Path]) -> bool:
    """Whether what a step finds on Azure ML differs from the code folder itself."""
    if code is not None and code.is_file():
        return True
    return bool(includes) or (code is not None and any((code / n).is_file() for n in IGNORE_FILES))


def snapshot(code: Path | None, includes: Sequence[Path]) -> dict[str, Path]:
    """The files of a snapshot, by their path in it; an included file takes the place of another."""
    found = dict(_files(code)) if code else {}
    for path in includes:
        if path.is_dir():
            found |= {f"{path.name}/{name}": file for name, file in _files(path)}
        else:
            found[path.name] = path
    return found


def copy_snapshot(code: Path | None, includes: Sequence[Path], target: Path) -> Path:
    """Write the files of a snapshot below a folder."""
    target.mkdir(parents=True, exist_ok=True)
    for name, file in snapshot(code, includes).items():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, place)
    return target


def snapshot_digest(code: Path | None, includes: Sequence[Path]) -> str:
    """A text that changes with every name and byte of a snapshot."""
    files = sorted(snapshot(code, includes).items())
    return "\0".join(f"{name}\0{digest(file)}" for name, file in files)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    if folder.is_file():
        yield folder.name, folder
        return
    rules = _rules(folder)
    for place, folders, names in os.walk(folder, followlinks=True):
        at = Path(place).relative_to(folder)
        folders[:] = sorted(
            name
            for name in folders
            if name not in CACHES
            and not name.endswith(".egg-info")
            and not is_ignored((at / name).as_posix(), rules, folder=True)
        )
        for name in sorted(names):
            path = (at / name).as_posix()
            if not name.endswith(".pyc") and not is_ignored(path, rules):
                yield path, Path(place) / name


def _rules(folder: Path) -> list[tuple[bool, bool, re.Pattern[str]]]:
    for name in IGNORE_FILES:
        if (folder / name).is_file():
            lines = read_text(folder / name).splitlines()
            return [rule for line in lines if (rule := _rule(line))]
    return []


def is_ignored(
    path: str, rules: list[tuple[bool, bool, re.Pattern[str]]], *, folder: bool = False
) -> bool:
    """Whether the last rule that matches a path excludes it, as gitignore has it."""
    ignored = False
    for excludes, folders_only, pattern in rules:
        if (folder or not folders_only) and pattern.fullmatch(path):
            ignored = excludes
    return ignored


@cache
def _rule(line: str) -> tuple[bool, bool, re.Pattern[str]] | None:
    """A line of an ignore file: whether it excludes, whether folders only, and its pattern."""
    line = line.rstrip()
    if not line or line.startswith("#"):
        return None
    excludes = not line.startswith("!")
    line = line.removeprefix("!").removeprefix("\\")
    folders_only = line.endswith("/")
    line = line.rstrip("/")
    anchored = "/" in line
    parts = re.split(r"(\*\*/|/\*\*|\*|\?|\[[^\]]+\])", line.lstrip("/"))
    meaning = {"**/": "(?:.*/)?", "/**": "/.*", "*": "[^/]*", "?": "[^/]"}
    pattern = "".join(
        meaning.get(part) or (part.replace("[!", "[^") if part[:1] == "[" else re.escape(part))
        for part in parts
    )
    return excludes, folders_only, re.compile(pattern if anchored else f"(?:.*/)?{pattern}")
