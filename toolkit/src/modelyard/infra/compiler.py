"""The official Bicep compiler, its linter and its formatter, where they are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.infra.reader import Finding, Infrastructure, Place

CHECK = "Bicep compiler"
TIMEOUT = 300  # seconds
_MESSAGE = re.compile(
    r"^(?:\w+: )?(?P<file>.+?)\((?P<line>\d+),(?P<column>\d+)\) : "
    r"(?:Error|Warning|Info) (?P<code>[\w-]+): (?P<what>.*?)(?: \[(?P<link>https:[^\]]+)\])?$"
)


def compiler() -> list[str] | None:
    """Return the command of the compiler; None where it is not installed."""
    if alone := shutil.which("bicep"):
        return [alone]
    azure = shutil.which("az")
    if azure is None:
        return None
    # `az bicep version` fails where there is no compiler; `az bicep build` would install one.
    done = subprocess.run(  # noqa: S603 (the installed Azure CLI)
        [azure, "bicep", "version"], capture_output=True, timeout=TIMEOUT, check=False
    )
    return [azure, "bicep"] if done.returncode == 0 else None


def check(infrastructure: Infrastructure, say: Callable[[str], object]) -> Iterator[Finding]:
    """Compile, lint and format every file; yields nothing where there is no compiler.

    Args:
        infrastructure: what the reader returned.
        say: takes a line before the compiler is started, or where it is missing.

    Raises:
        UsageError: the compiler fails without a message in its usual format.
    """
    command = compiler()
    if command is None:
        say("the Bicep compiler is not installed: not compiled (az bicep install)")
        return
    say(f"compiling {len(infrastructure.files)} files with {Path(command[0]).name}")
    modules = {one.file for file in infrastructure.files.values() for one in file.modules}
    for path in infrastructure.files:
        if path.suffix == ".bicepparam":
            yield from _messages(command, "build-params", path)
        elif path not in modules:  # a module is compiled with its callers
            yield from _messages(command, "build", path)
            yield from _messages(command, "lint", path)
    for path in infrastructure.files:
        formatted = _run(command, "format", path).stdout
        if formatted and formatted != path.read_bytes():
            words = " ".join([Path(command[0]).stem, *command[1:], "format"])
            remedy = f"run: {words} {_named(command)}{path.name}"
            yield Finding(Place(path, 1), "is not as the formatter writes it", remedy, CHECK)


def _messages(command: list[str], verb: str, path: Path) -> Iterator[Finding]:
    """Yield the compiler's errors and warnings as findings."""
    done = _run(command, verb, path)
    understood = False
    for line in (done.stderr + b"\n" + (done.stdout if verb == "lint" else b"")).splitlines():
        found = _MESSAGE.match(line.decode(errors="replace").strip())
        if found:
            understood = True
            place = Place(Path(found["file"]).resolve(), int(found["line"]), int(found["column"]))
            remedy = f"see {found['link']}" if found["link"] else "correct it as the compiler says"
            yield Finding(place, f"{found['what'].rstrip('.')} ({found['code']})", remedy, CHECK)
    if done.returncode and not understood:
        output = done.stderr.decode(errors="replace").strip()
        raise UsageError(f"{Path(command[0]).name} {verb} {path.name} failed: {output[:2000]}")


def _run(command: list[str], verb: str, path: Path) -> subprocess.CompletedProcess[bytes]:
    words = [*command, verb, *_named(command).split(), str(path)]
    if verb != "lint":
        words.append("--stdout")
    return subprocess.run(  # noqa: S603 (the installed compiler)
        words,
        cwd=path.parent,
        env=os.environ | {"AZURE_CORE_ONLY_SHOW_ERRORS": "false"},
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )


def _named(command: list[str]) -> str:
    return "--file " if len(command) > 1 else ""
