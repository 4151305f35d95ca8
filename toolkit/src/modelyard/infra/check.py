"""All checks of the infrastructure: the compiler's, our promises over what it predicts, and checkov's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from modelyard.console import counted
from modelyard.errors import UsageError
from modelyard.files import relative
from modelyard.infra import compiler, promises, scan
from modelyard.infra.findings import NOTE, Finding, Place


@dataclass(frozen=True)
class Checked:
    """How much was checked, and the findings.

    Attributes:
        left_out: the checks that were not made and why; empty where all were.
    """

    files: int
    findings: tuple[Finding, ...]
    left_out: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether everything was checked and is fine; None where nothing was found and not all was checked."""
        if any(one.check != NOTE for one in self.findings):
            return False
        return None if self.left_out else True

    def as_json(self, root: Path) -> dict[str, Any]:
        """Return it as JSON data; paths are relative to the project's root."""
        return {
            "passed": self.passed,
            "files": self.files,
            "left_out": self.left_out,
            "findings": [
                {
                    "check": one.check,
                    "file": relative(one.place.file, root).as_posix(),
                    "line": one.place.line,
                    "column": one.place.column,
                    "what": one.what,
                    "remedy": one.remedy,
                }
                for one in self.findings
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
    bicep, parameters = compiler.sources(root / "infra")
    with ThreadPoolExecutor(1) as beside:
        scanned = beside.submit(lambda: list(scan.check(root, say)))
        found, left_out = _compiled(bicep, parameters, say)
        found += scanned.result()
    unique = sorted(set(found), key=lambda one: (one.place, one.what))
    return Checked(len(bicep) + len(parameters), tuple(unique), left_out)


def _compiled(
    bicep: Sequence[Path], parameters: Sequence[Path], say: Callable[[str], object]
) -> tuple[list[Finding], str]:
    """Return the findings of the compiler and of the promises, and what was left out and why."""
    program = compiler.compiler()
    if program is None:
        return [], (
            "build, lint, format, evaluation, promises, service and names of resources, since the "
            f"Bicep compiler is not installed: {compiler.INSTALL}"
        )
    say(f"compiling {counted(len(bicep) + len(parameters), 'file')} with {program.name}")
    found = list(compiler.check(program, bicep, parameters))
    unread: list[str] = []
    with ThreadPoolExecutor(compiler.AT_ONCE) as threads:
        for path, result in zip(parameters, threads.map(_promised, parameters), strict=True):
            if not isinstance(result, UsageError):
                found += result
            else:
                unread.append(path.name)
                remedy = "correct the value, or the rule that refuses it"
                found.append(Finding(Place(path, 1), str(result), remedy, compiler.CHECK))
    return found, f"promises of {', '.join(unread)}" if unread else ""


def _promised(parameters: Path) -> list[Finding] | UsageError:
    """Return what is wrong with what a parameter file deploys, or why it cannot be evaluated."""
    try:
        if wrong := list(promises.identifiers(parameters)):
            return wrong
        plan = compiler.planned(parameters, {"asAdministrator": True})
        by_ci = None
        if "asAdministrator" in compiler.declared(parameters):
            by_ci = compiler.planned(parameters, {"asAdministrator": False})
        return list(promises.check(parameters, plan, by_ci))
    except UsageError as error:
        return error


def printed(checked: Checked) -> Iterator[str]:
    """Yield a line `FILE:LINE: what; remedy` per finding, grouped by check, and a summary."""
    for title, group in groupby(sorted(checked.findings, key=lambda f: f.check), lambda f: f.check):
        yield f"{title}:"
        for one in group:
            yield f"{relative(one.place.file)}:{one.place.line}: {one.what}; {one.remedy}"
    count = sum(one.check != NOTE for one in checked.findings)
    verdict = "1 finding" if count == 1 else f"{count} findings" if count else ""
    if checked.left_out:
        verdict = ", ".join(filter(None, (verdict, f"not judged: {checked.left_out}")))
    looked = counted(checked.files, "file")
    yield f"{looked}: {verdict or 'fine'}"
