"""Import of a project's own metrics and cleaning."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError, first_line
from modelyard.project import load_project


def load_attribute(module: str, name: str) -> Any:
    """Import a module of the project, and return one of its names.

    Raises:
        UsageError: there is no such module, it cannot be imported, or lacks the name.
    """
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise UsageError(f"{module} cannot be imported: {first_line(error)}") from None
        raise UsageError(
            f"there is no module {module}: write the file, and let `code` of the component name the "
            "folder that holds its package"
        ) from None
    except Exception as error:
        raise UsageError(
            f"{module} cannot be imported: {type(error).__name__}: {first_line(error)}"
        ) from error
    if not hasattr(loaded, name):
        raise UsageError(f"{module} has no `{name}`: add it to {loaded.__file__}")
    return getattr(loaded, name)


def own_module(root: Path, name: str) -> str | None:
    """Name a module of the project's package, and make it importable; None where there is none."""
    if not (root / "conf" / "project.yml").is_file():
        return None
    package, source = load_project(root).package, root / "src"
    if not (source / package / f"{name}.py").is_file():
        return None
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))
    return f"{package}.{name}"
