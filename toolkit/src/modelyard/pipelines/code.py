"""The files and libraries that a step can reach, found by following the imports in its source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import modelyard
from modelyard.files import digest_files
from modelyard.pipelines.snapshot import snapshot_digest

TOOLKIT = Path(modelyard.__file__).resolve().parents[1]


@dataclass(frozen=True)
class StepCode:
    """The code of one step.

    Attributes:
        digest: of the code that the step can reach.
        imports: libraries imported at module level, in order.
        later: libraries imported inside functions, in order.
    """

    digest: str
    imports: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


def step_code(
    folder: Path | None,
    module: str | None,
    named: Iterable[str] = (),
    includes: Sequence[Path] = (),
) -> StepCode:
    """Compute a digest of all that a step can read of its code, and the libraries it imports.

    All files of the snapshot count: a step can open, import by name or start any of them. Of this toolkit
    those modules count that imports lead to; all of them, where imports cannot be followed.

    Args:
        folder: the component's `code`; None where it has none.
        module: what `python -m` runs; None for any other command.
        named: words of the command; those that are modules of `folder` are followed too, such as that of
            `--metrics package.metrics`.
        includes: the component's `additional_includes`.
    """
    own = snapshot_digest(folder, includes)
    places = [place for place in (folder, TOOLKIT) if place is not None]
    start = _first_source(places, module.split(".")) if module else None
    if module is None or start is None:
        return StepCode(_digest(own, _whole(TOOLKIT / modelyard.__name__)))
    files: dict[Path, Path] = {}
    at_top: dict[str, None] = {}
    later: dict[str, None] = {}
    # Files that imports at module level lead to come first: what only functions import comes later.
    pending = [(*start, module)]
    pending_later: list[tuple[Path, Path, str]] = []
    for word in named:
        if folder and all(part.isidentifier() for part in word.split(".")):
            pending.extend(_sources([folder], word.split(".")))
    dynamic = False
    while pending or pending_later:
        at_start = bool(pending)
        place, file, name = (pending or pending_later).pop(0)
        if file in files:
            continue
        files[file] = place
        for imported, top, inside in _imports(file, name):
            root = imported[0]
            dynamic |= place == folder and root in {"importlib", "runpy", "subprocess"}
            found = list(_sources(places, imported))
            (pending if top and at_start else pending_later).extend(found)
            if not found and not inside and root not in sys.stdlib_module_names:
                (at_top if top and at_start else later)[".".join(imported)] = None
    reached = [file for file, place in files.items() if place == TOOLKIT]
    return StepCode(
        _digest(own, _whole(TOOLKIT / modelyard.__name__) if dynamic else _with_data(reached)),
        tuple(at_top),
        tuple(name for name in later if name not in at_top),
    )


def _digest(own: str, toolkit: list[Path]) -> str:
    return sha256(f"{own}\0{digest_files(toolkit, TOOLKIT)}".encode()).hexdigest()


def _with_data(modules: Iterable[Path]) -> list[Path]:
    """Modules, and the files beside them that are no modules."""
    beside = (p for f in {f.parent for f in modules} for p in f.iterdir())
    return sorted({*modules, *(p for p in beside if p.is_file() and p.suffix != ".py")})


@cache
def _whole(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and "__pycache__" not in p.relative_to(folder).parts
    )


def _source(folder: Path, parts: list[str]) -> Path | None:
    base = folder.joinpath(*parts)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _first_source(places: Sequence[Path], parts: list[str]) -> tuple[Path, Path] | None:
    """The first place that has a module, and its file."""
    for place in places:
        # The folder of an installed toolkit has the libraries too, which count by their version.
        if place == TOOLKIT and parts[0] != modelyard.__name__:
            continue
        if file := _source(place, parts):
            return place, file
    return None


def _sources(places: Sequence[Path], parts: list[str]) -> Iterator[tuple[Path, Path, str]]:
    """A module and the packages around it that are files of a place."""
    for length in range(1, len(parts) + 1):
        if found := _first_source(places, parts[:length]):
            yield *found, ".".join(parts[:length])


@cache
def _imports(file: Path, name: str) -> tuple[tuple[list[str], bool, bool], ...]:
    """Read what a file imports; kept, as steps share modules.

    Returns:
        Names, whether they are imported at module level, and whether they stand inside another module,
        of which they may be a part or a submodule.
    """
    try:
        return tuple(_imported_names(ast.parse(file.read_bytes()), file, name))
    except SyntaxError:
        return ()


def _imported_names(
    tree: ast.Module, file: Path, name: str
) -> Iterator[tuple[list[str], bool, bool]]:
    """Read the names from the syntax tree; `from a import b` gives a and a.b."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    top = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)}
    for block in ast.walk(tree):
        if isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef | ast.If):
            # `if TYPE_CHECKING:` is not executed; a function's imports come later.
            top -= {id(node) for node in ast.walk(block)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split("."), id(node) in top, False
        elif isinstance(node, ast.ImportFrom):
            outer = package[: len(package) - node.level + 1] if node.level else []
            base = outer + (node.module.split(".") if node.module else [])
            if base:
                yield base, id(node) in top, False
            for alias in node.names:
                yield [*base, alias.name], id(node) in top, bool(base)
