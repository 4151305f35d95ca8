"""What a project imports of this toolkit: its public packages, and the entry points that Azure calls."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from modelyard.yaml_files import Problem

PUBLIC = ("contract", "errors", "evaluation", "evidence", "modelling", "steps", "testing")
ENTRY_POINTS = {
    "src/score.py": "modelyard.serving.online",
    "src/batch_score.py": "modelyard.scoring.batch",
    "events/function_app.py": "modelyard.events.triggers",
}
CHECKED = ("src", "tests", "notebooks", "events")


def check_imports(root: Path) -> list[Problem]:
    """Find imports of modules of the toolkit that may change without notice."""
    return [
        Problem(file, line, f"imports `{module}`, which is not public: use {_public(module)}")
        for folder in CHECKED
        for file in sorted((root / folder).rglob("*"))
        if file.suffix in (".py", ".ipynb")
        for line, module in _modules(file)
        if module != ENTRY_POINTS.get(file.relative_to(root).as_posix()) and not _is_public(module)
    ]


def _is_public(module: str) -> bool:
    parts = module.split(".")
    return parts[0] != "modelyard" or len(parts) == 1 or (len(parts) == 2 and parts[1] in PUBLIC)


def _public(module: str) -> str:
    """The public package that a module stands in, or all of them."""
    part = module.split(".")[1]
    return f"`modelyard.{part}`" if part in PUBLIC else "modelyard." + ", ".join(PUBLIC)


def _modules(file: Path) -> Iterator[tuple[int, str]]:
    """The modules that a file imports, with their lines; what cannot be parsed is left to other checks."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "modelyard":
                yield from ((node.lineno, f"modelyard.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module
