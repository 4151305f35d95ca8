"""The files and libraries that a step can reach, found by following the imports in its source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import modelyard
from modelyard.files import digest_files
from modelyard.pipelines.snapshot import snapshot_digest

# MLflow imports these, and SQLAlchemy with them, only at the first request.
EMBEDDED_STORE = [
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
]
TOOLKIT = Path(modelyard.__file__).resolve().parents[1]


@dataclass(frozen=True)
class StepCode:
    """The code of one step.

    Attributes:
        digest: of the code that the step can reach.
        imports: libraries imported at module level, in order.
        later: libraries imported inside functions, in order.
        uses_toolkit: whether it imports this toolkit.
    """

    digest: str
    imports: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    uses_toolkit: bool = False


def preload(codes: Sequence[StepCode], store: str, *, record: bool) -> list[str]:
    """Libraries in the order in which steps need them; those imported inside functions come last.

    Args:
        codes: of the steps, in their order.
        store: address of MLflow's.
        record: whether the run is logged to it.
    """
    first, rest = (
        [name for code in some for name in code.imports] for some in (codes[:1], codes[1:])
    )
    later = [name for code in codes for name in code.later]
    if not store.startswith("azureml:"):
        later = [name for name in later if not name.startswith("azure")]
    # MLflow while the first step runs: later ones, which log and save models, have it then.
    recorder = recorder_imports(store) if record else ()
    return list(dict.fromkeys([*first, *recorder[:1], *rest, *recorder, *later]))


def recorder_imports(store: str) -> tuple[str, ...]:
    """Libraries with which a run is logged to MLflow."""
    return ("mlflow", *(EMBEDDED_STORE if store.startswith("sqlite:") else ()))


def step_code(
    folder: Path | None,
    module: str | None,
    named: Iterable[str] = (),
    includes: Sequence[Path] = (),
    digest_of: Callable[[Path | None, Sequence[Path]], str] = snapshot_digest,
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
        digest_of: computes the digest of the snapshot; one that remembers, where steps share their code.
    """
    own = digest_of(folder, includes)
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
        bool(reached),
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


def _source(folder: Path, parts: Sequence[str]) -> Path | None:
    base = folder.joinpath(*parts)
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _source_of_toolkit(toolkit: Path, parts: tuple[str, ...]) -> Path | None:
    """Kept, as an installed toolkit does not change, and most of its modules import each other."""
    # Its folder has the libraries too, which count by their version.
    return _source(toolkit, parts) if parts[0] == modelyard.__name__ else None


def _first_source(places: Sequence[Path], parts: list[str]) -> tuple[Path, Path] | None:
    """The first place that has a module, and its file."""
    for place in places:
        find = _source_of_toolkit if place == TOOLKIT else _source
        if file := find(place, tuple(parts)):
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
    for node, top in _import_statements(tree.body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split("."), top, False
            continue
        outer = package[: len(package) - node.level + 1] if node.level else []
        base = outer + (node.module.split(".") if node.module else [])
        if base:
            yield base, top, False
        for alias in node.names:
            yield [*base, alias.name], top, bool(base)


def _import_statements(
    body: Iterable[Any], top: bool = True
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Imports among statements and in their blocks, and whether they are executed at module level.

    Expressions hold none and are most of a tree, which `ast.walk` would go through.
    """
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, top
        # `if TYPE_CHECKING:` is not executed; a function's imports come later.
        within = top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
        for block in ("body", "handlers", "orelse", "finalbody", "cases"):
            yield from _import_statements(getattr(node, block, ()), within)
