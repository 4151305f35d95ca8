"""Reading of the files of Azure ML that are checked."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from modelyard.yaml_files import LocatedMapping


@dataclass(frozen=True)
class AzureFile:
    """A file below azureml/ that has been read."""

    path: Path
    kind: str
    content: LocatedMapping

    @property
    def name(self) -> str:
        """What it calls itself."""
        return str(self.content.get("name", ""))

    def below(self, *keys: str) -> LocatedMapping:
        """The mapping at a place; an empty one where there is none."""
        found: Any = self.content
        for key in keys:
            found = found.get(key) if isinstance(found, LocatedMapping) else None
        return found if isinstance(found, LocatedMapping) else empty()


def empty() -> LocatedMapping:
    """A mapping without keys."""
    result = LocatedMapping()
    result.lines, result.texts = {}, {}
    return result


def is_in(folder: Path, name: str) -> bool:
    """Whether a file is in a folder, which is all that Azure ML is sent."""
    return (folder / name).is_file() and not os.path.normpath(name).startswith("..")


def entry_file(folder: Path, name: str) -> str:
    """The file of a parallel job's entry script, which may be named as a module: package.main."""
    file = f"{name.replace('.', '/')}.py"
    is_module = "." in name and (folder / file).is_file() and not (folder / name).is_file()
    return file if is_module else name


@cache
def defined_in(script: Path) -> frozenset[str] | None:
    """The names that a Python script defines or imports; None where that cannot be told."""
    try:
        tree = ast.parse(script.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                if any(one.name == "*" for one in node.names):
                    return None
                names |= {one.asname or one.name for one in node.names}
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
    return frozenset(names)
