"""All Bicep files of a project, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.infra.syntax import read
from modelyard.infra.tree import BicepFile, Module


@dataclass(frozen=True)
class Infrastructure:
    """The files below a project's infra/, by path."""

    root: Path
    files: dict[Path, BicepFile]

    @property
    def bicep(self) -> list[BicepFile]:
        """The .bicep files."""
        return [f for f in self.files.values() if f.path.suffix == ".bicep"]

    @property
    def parameters(self) -> list[BicepFile]:
        """The .bicepparam files."""
        return [f for f in self.files.values() if f.path.suffix == ".bicepparam"]

    def called(self, file: BicepFile, module: Module) -> BicepFile | None:
        """The file that a module is."""
        return self.files.get((file.path.parent / module.path).resolve())

    def used(self, parameters: BicepFile) -> BicepFile | None:
        """The file that a parameter file is for."""
        if parameters.using is None:
            return None
        return self.files.get((parameters.path.parent / str(parameters.using.value)).resolve())


def load(root: Path) -> Infrastructure:
    """Read every .bicep and .bicepparam file below infra/.

    Raises:
        UsageError: there is none, or one cannot be opened.
    """
    folder = (root / "infra").resolve()
    paths = sorted(p for kind in ("*.bicep", "*.bicepparam") for p in folder.rglob(kind))
    if not paths:
        raise UsageError(f"{folder} has no .bicep file; restore it from git")
    try:
        return Infrastructure(root.resolve(), {path: read(path) for path in paths})
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from None
