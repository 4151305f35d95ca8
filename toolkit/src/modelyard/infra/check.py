"""All checks of the infrastructure, their findings together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from modelyard.infra import callers, compiler, deploy_time, intent, lint, names, scan, typed
from modelyard.infra.findings import Finding, Place
from modelyard.infra.infrastructure import Infrastructure, load
from modelyard.infra.schema import Types, load_types


@dataclass(frozen=True)
class Checked:
    """What was looked at, and what was found."""

    files: int
    resources: int
    findings: tuple[Finding, ...]
    untyped: tuple[tuple[Place, str], ...]  # resources whose bodies could not be compared

    def as_json(self, root: Path) -> dict[str, Any]:
        """The same for a machine; files relative to the project's root."""
        return {
            "passed": not self.findings,
            "files": self.files,
            "resources": self.resources,
            "findings": [
                {
                    "check": one.check,
                    "file": _inside(root, one.place.file),
                    "line": one.place.line,
                    "column": one.place.column,
                    "what": one.what,
                    "remedy": one.remedy,
                }
                for one in self.findings
            ],
            "not_compared": [
                {"file": _inside(root, place.file), "line": place.line, "why": why}
                for place, why in self.untyped
            ],
        }


def check(root: Path, say: Callable[[str], object] = lambda _: None) -> Checked:
    """Read, compare, scan and, where the compiler is here, compile all of infra/.

    Args:
        root: of the project.
        say: takes a line where something takes more than a second.

    Raises:
        UsageError: there is no infrastructure, or a tool cannot be installed.
    """
    all_files = load(root)
    named = {r.type for f in all_files.bicep for r in f.every_resource()}
    with ThreadPoolExecutor(1) as beside:
        scanned = beside.submit(lambda: list(scan.check(all_files, say)))
        types = load_types(root, named, say)
        found = [*compare(all_files, types), *compiler.check(all_files, say), *scanned.result()]
    unique = sorted(set(found), key=lambda f: (f.place, f.what))
    untyped = [note for file in all_files.bicep for note in typed.unchecked(file, types)]
    resources = sum(1 for f in all_files.bicep for _ in f.every_resource())
    return Checked(len(all_files.files), resources, tuple(unique), tuple(untyped))


def compare(all_files: Infrastructure, types: Types) -> list[Finding]:
    """What can be found without another program: everything but checkov and the compiler."""
    unread = [error for file in all_files.files.values() for error in file.errors]
    broken = {error.place.file for error in unread}
    found: list[Finding] = []
    for file in all_files.bicep:
        found += typed.check(file, types)
    found += callers.check(all_files)
    found += lint.check(all_files)
    found += deploy_time.check(all_files)
    found += names.check(all_files, types)
    found += names.missing_keys(all_files)
    found += intent.check(all_files, types)
    # What was made of a file that cannot be read would only hide why.
    return unread + [one for one in found if one.place.file not in broken]


def printed(checked: Checked) -> Iterator[str]:
    """Findings as lines `FILE:LINE: what; remedy`, by check, and one line that sums up."""
    here = Path.cwd()
    for title, group in groupby(sorted(checked.findings, key=lambda f: f.check), lambda f: f.check):
        yield f"{title}:"
        for one in group:
            yield f"{_inside(here, one.place.file)}:{one.place.line}: {one.what}; {one.remedy}"
    for place, why in checked.untyped:
        yield f"{_inside(here, place.file)}:{place.line}: not compared with Azure's types: {why}"
    looked = f"{checked.files} files, {checked.resources} resources"
    count = len(checked.findings)
    verdict = "1 finding" if count == 1 else f"{count} findings"
    yield f"{looked}: {verdict if count else 'fine'}"


def _inside(root: Path, file: Path) -> str:
    try:
        return file.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return str(file)
