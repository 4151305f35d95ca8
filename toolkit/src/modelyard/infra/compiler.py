"""The official Bicep compiler, its linter and its formatter, where they are on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.infra.findings import Finding, Place
from modelyard.infra.infrastructure import Infrastructure

CHECK = "Bicep compiler"
SECONDS = 300
_SAID = re.compile(
    r"^(?:\w+: )?(?P<file>.+?)\((?P<line>\d+),(?P<column>\d+)\) : "
    r"(?:Error|Warning|Info) (?P<code>[\w-]+): (?P<what>.*?)(?: \[(?P<link>https:[^\]]+)\])?$"
)


def compiler() -> list[str] | None:
    """The words that begin a call of the compiler; None where it is not here."""
    if alone := shutil.which("bicep"):
        return [alone]
    azure = shutil.which("az")
    if azure is None:
        return None
    # Asked for its version, `az bicep` installs nothing; asked to build, it would.
    done = subprocess.run(  # noqa: S603 (the Azure CLI of this machine)
        [azure, "bicep", "version"], capture_output=True, timeout=SECONDS, check=False
    )
    return [azure, "bicep"] if done.returncode == 0 else None


def check(all_files: Infrastructure, say: Callable[[str], object]) -> Iterator[Finding]:
    """What the compiler says of every file; nothing where there is no compiler.

    Args:
        all_files: of the project.
        say: takes a line: that this takes long, or that it is left out.

    Raises:
        UsageError: the compiler stops without a word that can be understood.
    """
    command = compiler()
    if command is None:
        say("the Bicep compiler is not here: not compiled (az bicep install)")
        return
    say(f"compiling {len(all_files.files)} files with {Path(command[0]).name}")
    called = {
        one.path
        for file in all_files.bicep
        for module in file.modules.values()
        if (one := all_files.called(file, module))
    }
    for file in all_files.bicep:
        if file.path not in called:
            yield from _said(command, "build", file.path)
            yield from _said(command, "lint", file.path)
    for file in all_files.parameters:
        yield from _said(command, "build-params", file.path)
    for file in all_files.files.values():
        formatted = _run(command, "format", file.path).stdout
        if formatted and formatted != file.path.read_bytes():
            words = " ".join([Path(command[0]).stem, *command[1:], "format"])
            remedy = f"run: {words} {_named(command)}{file.path.name}"
            what = "is not as the formatter writes it"
            yield Finding(Place(file.path, 1), what, remedy, CHECK)


def _said(command: list[str], verb: str, path: Path) -> Iterator[Finding]:
    """The compiler's words as findings: a warning is a fault here."""
    done = _run(command, verb, path)
    understood = False
    for line in (done.stderr + b"\n" + (done.stdout if verb == "lint" else b"")).splitlines():
        found = _SAID.match(line.decode(errors="replace").strip())
        if found:
            understood = True
            place = Place(Path(found["file"]).resolve(), int(found["line"]), int(found["column"]))
            remedy = f"see {found['link']}" if found["link"] else "mend it as the compiler says"
            yield Finding(place, f"{found['what'].rstrip('.')} ({found['code']})", remedy, CHECK)
    if done.returncode and not understood:
        said = done.stderr.decode(errors="replace").strip()
        raise UsageError(f"{Path(command[0]).name} {verb} {path.name} failed: {said[:2000]}")


def _run(command: list[str], verb: str, path: Path) -> subprocess.CompletedProcess[bytes]:
    words = [*command, verb, *_named(command).split(), str(path)]
    if verb != "lint":
        words.append("--stdout")
    return subprocess.run(  # noqa: S603 (the compiler of this machine)
        words,
        cwd=path.parent,
        env=os.environ | {"AZURE_CORE_ONLY_SHOW_ERRORS": "false"},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


def _named(command: list[str]) -> str:
    return "--file " if len(command) > 1 else ""
