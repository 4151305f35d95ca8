"""All checks of the infrastructure: the reader's, checkov's and, where it is installed, the compiler's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from modelyard.infra import compiler, scan
from modelyard.infra.azure_types import azure_types
from modelyard.infra.reader import Finding, Place, read_infrastructure


@dataclass(frozen=True)
class Checked:
    """How much was checked, and the findings.

    Attributes:
        not_compared: resources whose bodies were not compared with Azure's types, and why.
    """

    files: int
    resources: int
    findings: tuple[Finding, ...]
    not_compared: tuple[tuple[Place, str], ...]

    def as_json(self, root: Path) -> dict[str, Any]:
        """Return it as JSON data; paths are relative to the project's root."""
        return {
            "passed": not self.findings,
            "files": self.files,
            "resources": self.resources,
            "findings": [
                {
                    "check": one.check,
                    "file": _relative(one.place.file, root),
                    "line": one.place.line,
                    "column": one.place.column,
                    "what": one.what,
                    "remedy": one.remedy,
                }
                for one in self.findings
            ],
            "not_compared": [
                {"file": _relative(place.file, root), "line": place.line, "why": why}
                for place, why in self.not_compared
            ],
        }


def check(root: Path, say: Callable[[str], object] = lambda _: None) -> Checked:
    """Check all files of infra/.

    Args:
        root: of the project.
        say: takes a line before something that takes more than a second.

    Raises:
        UsageError: there is no infrastructure, or a tool cannot be installed.
    """
    with ThreadPoolExecutor(1) as beside:
        scanned = beside.submit(lambda: list(scan.check(root, say)))
        read = read_infrastructure(root / "infra", lambda names: azure_types(root, names, say))
        found = [*read.findings, *compiler.check(read, say), *scanned.result()]
    unique = sorted(set(found), key=lambda one: (one.place, one.what))
    resources = sum(len(file.resources) for file in read.files.values())
    return Checked(len(read.files), resources, tuple(unique), read.not_compared)


def printed(checked: Checked) -> Iterator[str]:
    """Yield a line `FILE:LINE: what; remedy` per finding, grouped by check, and a summary."""
    here = Path.cwd()
    for title, group in groupby(sorted(checked.findings, key=lambda f: f.check), lambda f: f.check):
        yield f"{title}:"
        for one in group:
            yield f"{_relative(one.place.file, here)}:{one.place.line}: {one.what}; {one.remedy}"
    for place, why in checked.not_compared:
        yield f"{_relative(place.file, here)}:{place.line}: not compared with Azure's types: {why}"
    looked = f"{checked.files} files, {checked.resources} resources"
    count = len(checked.findings)
    verdict = "1 finding" if count == 1 else f"{count} findings"
    yield f"{looked}: {verdict if count else 'fine'}"


def _relative(file: Path, folder: Path) -> str:
    try:
        return file.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return str(file)
