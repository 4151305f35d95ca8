"""Where the .bicep files declare the resources of a type, for the places of findings."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import zip_longest
from pathlib import Path

from modelyard.files import read_text
from modelyard.infra.findings import Place

_RESOURCE = re.compile(r"^([ \t]*)resource \w+ '([^'@]+)(?:@[^']*)?' = ", re.MULTILINE)
_SKIP = re.compile(r"mlops:skip=([a-z]+):[ \t]*\S")


class Declarations:
    """The declarations in the .bicep files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _all(self) -> dict[str, list[tuple[Place, str]]]:
        """Place and text of the declarations, by the type as it is written, in lower case."""
        found: dict[str, list[tuple[Place, str]]] = {}
        for path in sorted(self.folder.rglob("*.bicep")):
            text = read_text(path)
            declared = list(_RESOURCE.finditer(text))
            for one, following in zip_longest(declared, declared[1:]):
                line = text.count("\n", 0, one.start()) + 1
                # What is declared inside comes last, and has comments of its own.
                body = text[one.start() : following.start() if following else len(text)]
                found.setdefault(one[2].lower(), []).append((Place(path.resolve(), line), body))
        return found

    def _of(self, kind: str) -> list[tuple[Place, str]]:
        """Return the declarations of a type; one inside its parent is written by its last part."""
        whole = self._all.get(kind.lower(), [])
        return whole or self._all.get(kind.lower().rpartition("/")[2], [])

    def place(self, kind: str, otherwise: Path) -> Place:
        """Return where the resources of a type are declared; `otherwise` where that is not one place."""
        found = self._of(kind)
        return found[0][0] if len(found) == 1 else Place(otherwise.resolve(), 1)

    def exceptions(self, kind: str) -> set[str]:
        """Return the rules that comments in the declarations of a type make exceptions of, with a reason."""
        return {rule for _, body in self._of(kind) for rule in _SKIP.findall(body)}

    @staticmethod
    def line(file: Path, beginning: str) -> Place:
        """Return the first line of a file that begins so; its first line where there is none."""
        lines = read_text(file).splitlines()
        numbers = (n for n, line in enumerate(lines, 1) if line.startswith(beginning))
        return Place(file.resolve(), next(numbers, 1))
