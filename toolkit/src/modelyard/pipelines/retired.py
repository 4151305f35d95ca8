"""Files of Azure ML that name what Azure has retired, or will."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelyard.pipelines.azure_files import AzureFile
from modelyard.retirements import Retirement, retirements
from modelyard.yaml_files import LocatedMapping, Problem


def retired_in(
    file: AzureFile, today: datetime.date, rows: Sequence[Retirement] = ()
) -> tuple[list[Problem], list[Problem]]:
    """Find what a file names that is retired, and what will be.

    Args:
        file: of Azure ML.
        today: the day that the dates are compared with.
        rows: to look for; default: those of the toolkit.
    """
    gone: list[Problem] = []
    going: list[Problem] = []
    places = [*values(file, file.content), *_beside(file)]
    for path, line, keys, text in dict.fromkeys(places):
        for row in rows or retirements():
            if keys & set(row.keys) and row.pattern.fullmatch(text):
                problem = Problem(path, line, row.message(today))
                (gone if row.date <= today else going).append(problem)
    return gone, going


Place = tuple[Path, int, frozenset[str], str]


def values(file: AzureFile, content: Any) -> Iterator[Place]:
    """Yield each value of a file with its line and key."""
    if isinstance(content, list):
        for one in content:
            yield from values(file, one)
    if not isinstance(content, LocatedMapping):
        return
    for key, value in content.items():
        if isinstance(value, (dict, list)):
            if key == "conda_file" and isinstance(value, LocatedMapping):
                for name in _packages(value.get("dependencies")):
                    yield (
                        file.path,
                        value.line_of("dependencies"),
                        frozenset({"conda"}),
                        f"- {name}",
                    )
            yield from values(file, value)
        elif value is not None:
            text = content.text_of(key) or str(value)
            yield file.path, content.line_of(key), frozenset({str(key)}), text


def _packages(content: Any) -> Iterator[str]:
    for one in content if isinstance(content, list) else ():
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            yield from _packages(one.get("pip"))


def _beside(file: AzureFile) -> Iterator[Place]:
    """The lines of the conda file, Dockerfile and requirements that an environment is made of."""
    for section in (
        file.content,
        *(one for one in file.content.values() if isinstance(one, LocatedMapping)),
    ):
        conda = section.get("conda_file")
        if isinstance(conda, str):
            yield from _lines(file.path.parent / conda.removeprefix("file:"), "conda")
        build = section.get("build")
        if isinstance(build, LocatedMapping) and "://" not in str(build.get("path")):
            folder = file.path.parent / str(build.get("path", ""))
            name = str(build.get("dockerfile_path", "Dockerfile"))
            yield from _lines(folder / name, "dockerfile")


def _lines(path: Path, kind: str) -> Iterator[Place]:
    if not path.is_file():
        return
    path = path.resolve()
    for number, line in enumerate(
        path.read_text(encoding="utf-8", errors="replace").splitlines(), 1
    ):
        text = line.partition("#")[0].strip()
        if text:
            yield path, number, frozenset({kind}), text
        named = re.search(r"(?:-r|--requirement|COPY|ADD)\s+(\S*requirements\S*\.txt)", text)
        if named and kind in ("dockerfile", "conda"):
            yield from _lines(path.parent / named[1], "requirements")
