"""The files of a project that rules look at, each read once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError
from modelyard.files import has_file, read_text
from modelyard.yaml_files import LocatedMapping, line_of, read_mapping, read_yaml

_PARAMETER = re.compile(r"^[ \t]*param[ \t]+(\w+)[^\n=]*=[ \t]*(\[[^\]]*\]|[^\n]*)", re.MULTILINE)
_QUOTED = re.compile(r"'([^'\n]+)'")

Place = tuple[Path, int, str]


class Documents:
    """The files of the project at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def project(self) -> LocatedMapping:
        """conf/project.yml."""
        found = self._mapping("conf/project.yml", "tags", "environments")
        if environments := found.get("environments"):
            self._parts("conf/project.yml", environments, *environments)
        return found

    @cached_property
    def gates(self) -> LocatedMapping:
        """conf/gates.yml."""
        return self._mapping("conf/gates.yml", "release")

    @cached_property
    def contract(self) -> LocatedMapping:
        """conf/contract.yml."""
        return self._mapping("conf/contract.yml", "target")

    @cached_property
    def azureml(self) -> Mapping[Path, Any]:
        """The files of Azure ML."""
        found = sorted(p for p in (self.root / "azureml").rglob("*.y*ml") if has_file(p))
        return {path: read_yaml(path) for path in found if path.suffix in (".yml", ".yaml")}

    @cached_property
    def bicep(self) -> Mapping[Path, str]:
        """The files of infra/."""
        found = sorted((self.root / "infra").rglob("*.bicep*"))
        return {path: read_text(path) for path in found if path.suffix != ".json"}

    def parameters(self, name: str) -> Iterator[tuple[Path, int, str | None]]:
        """Yield a parameter as the parameter files have it; None where it is no number and no text."""
        for path, line, value in self._given(name):
            literal = re.fullmatch(r"(?:'([^'$]*)'|(\d+))\s*(?://.*)?", value.strip())
            yield path, line, literal and (literal[1] or literal[2])

    def parameter_lists(self, name: str) -> Iterator[tuple[Path, int, str | None]]:
        """Yield the texts of a parameter: its own, or those of its list; None where there is more than texts."""
        for path, line, value in self._given(name):
            for one in _QUOTED.finditer(value):
                yield path, line + value.count("\n", 0, one.start()), one[1]
            if re.sub(r"//[^\n]*|[\[\]',\s]", "", _QUOTED.sub("", value)):
                yield path, line, None

    def _given(self, name: str) -> Iterator[Place]:
        for path, text in self.bicep.items():
            for found in _PARAMETER.finditer(text) if path.suffix == ".bicepparam" else ():
                if found[1] == name:
                    yield path, _line(text, found.start(2)), found[2]

    def quoted(self, pattern: str) -> Iterator[Place]:
        """Yield the texts in infra/ that fit a pattern."""
        for path, text in self.bicep.items():
            for one in re.finditer(f"'({pattern})'", text, re.IGNORECASE):
                yield path, _line(text, one.start()), one[1]

    def values(self, *keys: str) -> Iterator[tuple[Path, int, Any]]:
        """Yield the values of some keys, wherever they are below azureml/ or in conf/project.yml."""
        files = {**self.azureml, self.root / "conf" / "project.yml": self.project}
        for path, content in files.items():
            for line, value in _below(content, keys):
                yield path, line, value

    def _mapping(self, name: str, *parts: str) -> LocatedMapping:
        found = read_mapping(self.root / name)
        self._parts(name, found, *(part for part in parts if found.get(part) is not None))
        return found

    def _parts(self, name: str, content: LocatedMapping, *parts: str) -> None:
        for part in parts:
            if not isinstance(content[part], LocatedMapping):
                place = f"{self.root / name}:{content.line_of(part)}"
                raise UsageError(
                    f"{place}: {part}: expected names with values, found {content[part]!r}"
                )


def _below(content: Any, keys: tuple[str, ...]) -> Iterator[tuple[int, Any]]:
    if isinstance(content, list):
        for one in content:
            yield from _below(one, keys)
    elif isinstance(content, LocatedMapping):
        for key, value in content.items():
            if key in keys:
                yield line_of(content, (key,)), value
            yield from _below(value, keys)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
