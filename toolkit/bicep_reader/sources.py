"""The Bicep files of a folder as syntax trees, and the references between them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelyard.errors import UsageError

from bicep_reader.syntax import read
from bicep_reader.tree import BicepFile, Module


@dataclass(frozen=True)
class Sources:
    """The files below a folder, by absolute path."""

    folder: Path
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
        """Return the file of a module; None where it does not exist."""
        return self.files.get((file.path.parent / module.path).resolve())

    def used(self, parameters: BicepFile) -> BicepFile | None:
        """Return the file that a parameter file names in `using`; None where it does not exist."""
        if parameters.using is None:
            return None
        return self.files.get((parameters.path.parent / str(parameters.using.value)).resolve())


def load(folder: Path) -> Sources:
    """Parse every .bicep and .bicepparam file below a folder.

    Raises:
        UsageError: there is none, or one cannot be opened.
    """
    folder = folder.resolve()
    paths = sorted(p for kind in ("*.bicep", "*.bicepparam") for p in folder.rglob(kind))
    if not paths:
        raise UsageError(f"{folder} has no .bicep file; restore it from git")
    try:
        return Sources(folder, {path: read(path) for path in paths})
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from None
