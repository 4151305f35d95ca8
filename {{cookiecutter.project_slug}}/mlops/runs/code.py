"""Which files a step's code consists of, and which libraries it imports, read from its source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..files import digest_files


@dataclass(frozen=True)
class StepCode:
    """The code of one step.

    Attributes:
        digest: changes when, and only when, code that the step can reach changes.
        imports: libraries imported at module level, in order.
        later: libraries imported inside functions, in order.
    """

    digest: str
    imports: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


def step_code(folder: Path | None, module: str | None) -> StepCode:
    """Follow a module's imports inside its code folder.

    A module that imports by name at run time (importlib, __import__) could reach anything, and a
    command that is not `python -m` too: then the whole folder counts, as it does on Azure ML.
    """
    if folder is None:
        return StepCode(digest="")
    start = _source(folder, module.split(".")) if module else None
    if module is None or start is None:
        return StepCode(digest_files(_whole(folder), folder))
    files: dict[Path, None] = {}
    at_top: dict[str, None] = {}
    later: dict[str, None] = {}
    pending = [(start, module)]
    dynamic = False
    while pending:
        file, name = pending.pop(0)
        if file in files:
            continue
        files[file] = None
        for imported, top in _imports(file, name):
            root = imported[0]
            dynamic |= root in {"importlib", "runpy"}
            found = list(_sources(folder, imported))
            pending.extend(found)
            if not found and root not in sys.stdlib_module_names:
                (at_top if top else later)[".".join(imported)] = None
    beside = [
        p
        for f in {f.parent for f in files}
        for p in f.iterdir()
        if p.is_file() and p.suffix != ".py"
    ]
    counted = _whole(folder) if dynamic else sorted({*files, *beside})
    return StepCode(
        digest_files(counted, folder),
        tuple(at_top),
        tuple(name for name in later if name not in at_top),
    )


def _whole(folder: Path) -> list[Path]:
    skipped = {"__pycache__", "node_modules"}
    return sorted(
        p
        for p in folder.rglob("*")
        if p.is_file()
        and not any(
            part in skipped or part.startswith(".") or part.endswith(".egg-info")
            for part in p.relative_to(folder).parts
        )
    )


def _source(folder: Path, parts: list[str]) -> Path | None:
    base = folder.joinpath(*parts)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _sources(folder: Path, parts: list[str]) -> Iterator[tuple[Path, str]]:
    """The module and the packages it stands in, as far as they are files of `folder`."""
    for length in range(1, len(parts) + 1):
        file = _source(folder, parts[:length])
        if file is not None:
            yield file, ".".join(parts[:length])


@cache
def _imports(file: Path, name: str) -> tuple[tuple[list[str], bool], ...]:
    """Names that `file` imports, and whether at module level; steps share most of their modules."""
    try:
        return tuple(_imported_names(ast.parse(file.read_bytes()), file, name))
    except SyntaxError:
        return ()


def _imported_names(tree: ast.Module, file: Path, name: str) -> Iterator[tuple[list[str], bool]]:
    """See `_imports`; `from .a import b` gives a and a.b."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    top = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)}
    for block in ast.walk(tree):
        if isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef | ast.If):
            # `if TYPE_CHECKING:` is not executed; a function's imports come later.
            top -= {id(node) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split("."), id(node) in top
        elif isinstance(node, ast.ImportFrom):
            outer = package[: len(package) - node.level + 1] if node.level else []
            base = outer + (node.module.split(".") if node.module else [])
            if base:
                yield base, id(node) in top
            if node.level:
                for alias in node.names:
                    yield [*base, alias.name], id(node) in top
