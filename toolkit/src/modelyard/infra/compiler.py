"""The official Bicep compiler: its messages, its linter, its formatter, and its evaluation of parameter files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modelyard.errors import UsageError
from modelyard.files import read_text
from modelyard.infra.findings import NOTE, Finding, Place
from modelyard.infra.snapshot import Planned, read_snapshot

CHECK = "Bicep compiler"
VERSION = "0.49.2"  # what the pipelines install; `snapshot` is there since 0.41
INSTALL = f"az bicep install --version v{VERSION}"
TIMEOUT = 300  # seconds
AT_ONCE = 4  # compilers
NOBODY = "00000000-0000-0000-0000-000000000000"
_USING = re.compile(r"^using '([^']+)'", re.MULTILINE)
_MODULE = re.compile(r"^module \w+ '([^']+)'", re.MULTILINE)
_PARAMETER = re.compile(r"^param (\w+) ", re.MULTILINE)
_ASSIGNED = re.compile(r"param (\w+) =")
# Texts and comments. The last line of a value that takes several begins with its bracket, or has the end of a verbatim text.
_NO_CODE = re.compile(r"'(?:\\.|[^'\\])*'|//.*")
_LAST_LINE, _VERBATIM = re.compile(r"^[\])}]"), re.compile("'''")
_MESSAGE = re.compile(
    r"^(?:\w+: )?(?P<file>.+?)\((?P<line>\d+),(?P<column>\d+)\) : "
    r"(?P<level>Error|Warning|Info) (?P<code>[\w-]+): (?P<what>.*?)(?: \[(?P<link>https:[^\]]+)\])?$"
)


@dataclass(frozen=True)
class Target:
    """Where a parameter file is evaluated for: what names are made of. By default nowhere."""

    group: str = "rg-none"
    location: str = "westeurope"
    subscription: str = NOBODY
    tenant: str = NOBODY


NOWHERE = Target()


def compiler() -> Path | None:
    """Return the compiler: the one that `az bicep install` has put down, or a `bicep` on the path; None without one."""
    folders = (os.environ.get("AZURE_CONFIG_DIR"), Path.home() / ".azure")
    for folder in folders:
        for name in ("bicep", "bicep.exe"):
            if folder and (file := Path(folder) / "bin" / name).is_file():
                return file
    found = shutil.which("bicep")
    return Path(found) if found else None


def required() -> Path:
    """Return the compiler.

    Raises:
        UsageError: it is not installed.
    """
    found = compiler()
    if found is None:
        raise UsageError(f"the Bicep compiler is not installed: {INSTALL}")
    return found


def sources(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the .bicep and the .bicepparam files below a folder.

    Raises:
        UsageError: there is none.
    """
    folder = folder.resolve()
    bicep, parameters = (sorted(folder.rglob(kind)) for kind in ("*.bicep", "*.bicepparam"))
    if not bicep:
        raise UsageError(f"{folder} has no .bicep file; restore it from git")
    return bicep, parameters


def used(parameters: Path) -> Path:
    """Return the .bicep file of a parameter file.

    Raises:
        UsageError: the parameter file does not exist, or names none.
    """
    if not parameters.is_file():
        raise UsageError(f"{parameters} does not exist; restore it from git")
    found = _USING.search(read_text(parameters))
    file = parameters.parent / found[1] if found else parameters
    if not found or not file.is_file():
        raise UsageError(f"{parameters}: expected `using './main.bicep'`, or another file there is")
    return file


def declared(parameters: Path) -> set[str]:
    """Return the names of the parameters that a parameter file can give."""
    return set(_PARAMETER.findall(read_text(used(parameters))))


def check(program: Path, bicep: Sequence[Path], parameters: Sequence[Path]) -> Iterator[Finding]:
    """Compile, lint and format every file.

    Raises:
        UsageError: the compiler fails without a message in its usual format.
    """
    modules = {
        (file.parent / path).resolve()
        for file in bicep
        for path in _MODULE.findall(read_text(file))
    }
    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked = [("build-params", path) for path in parameters]
        for path in bicep:
            if path not in modules:  # a module is compiled with its callers
                asked += [("build", path), ("lint", path)]
        for found in threads.map(lambda one: [*_messages(program, *one)], asked):
            yield from found
        files = [*bicep, *parameters]
        formatted = threads.map(lambda path: _run(program, "format", path).stdout, files)
        for path, text in zip(files, formatted, strict=True):
            if text and text != path.read_bytes():
                remedy = f"run: {program.stem} format {path.name}"
                yield Finding(Place(path, 1), "is not as the formatter writes it", remedy, CHECK)


def planned(parameters: Path, given: Mapping[str, Any], target: Target = NOWHERE) -> list[Planned]:
    """Return what a parameter file deploys, with the values `given` instead of its own.

    Values of parameters that its .bicep file does not have are left out.

    Raises:
        UsageError: there is no compiler, or it cannot evaluate the file.
    """
    root, known = parameters.resolve().parents[1], declared(parameters)
    with TemporaryDirectory() as folder:
        copied = copy(root, Path(folder)) / parameters.resolve().relative_to(root)
        text = read_text(copied)
        values = {name: value for name, value in given.items() if name in known}
        copied.write_text(with_values(text, values), encoding="utf-8")
        done = snapshot(required(), copied, "overwrite", target)
        if done.returncode:
            raise UsageError(f"{parameters} cannot be evaluated: {refusal(done)}")
        written = list(copied.parent.glob("*.snapshot.json"))
        if not written:
            raise UsageError(
                f"{parameters} cannot be evaluated: no snapshot was written; {INSTALL}"
            )
        return read_snapshot(read_text(written[0]), parameters.name)


def snapshot(
    program: Path, parameters: Path, mode: str, target: Target = NOWHERE
) -> subprocess.CompletedProcess[str]:
    """Run `bicep snapshot`, which writes beside the parameter file, or compares with what is written there."""
    words = [str(program), "snapshot", str(parameters), "--mode", mode]
    words += ["--subscription-id", target.subscription, "--tenant-id", target.tenant]
    words += ["--location", target.location]
    if "targetScope = 'subscription'" not in read_text(used(parameters)):
        words += ["--resource-group", target.group]
    return subprocess.run(  # noqa: S603 (the installed compiler)
        words, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of what the compiler says of a parameter file."""
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    last = said[-1] if said else f"exit code {done.returncode}"
    if "snapshot" in last and "ecogni" in last:
        return f"this compiler is older than `snapshot`; {INSTALL}"
    return last


def copy(root: Path, into: Path) -> Path:
    """Copy what an evaluation reads, beside which it writes: infra/ and conf/."""
    for part in ("conf", "infra"):
        if (root / part).is_dir():
            shutil.copytree(
                root / part, into / part, ignore=shutil.ignore_patterns("*.snapshot.json")
            )
    return into


def with_values(text: str, given: Mapping[str, Any]) -> str:
    """Return the text of a parameter file with other values, as the formatter writes such a file."""
    kept, ends = [], None
    for line in text.removesuffix("\n").split("\n"):
        if ends is not None:
            ends = None if ends.search(line) else ends
        elif (found := _ASSIGNED.match(line)) and found[1] in given:
            code = _NO_CODE.sub("", line)
            opened = sum(map(code.count, "[{(")) > sum(map(code.count, ")}]"))
            ends = _LAST_LINE if opened else None
            ends = _VERBATIM if line.count("'''") == 1 else ends
        else:
            kept.append(line)
    more = [f"param {name} = {_bicep(value)}" for name, value in given.items()]
    return "\n".join([*kept, *more, ""])


def _bicep(value: Any) -> str:
    match value:
        case str():
            return "'" + "".join(map(_escaped, value)).replace("${", "\\${") + "'"
        case list():
            return f"[{', '.join(map(_bicep, value))}]"
        case dict():
            return "{ " + ", ".join(f"{_bicep(k)}: {_bicep(v)}" for k, v in value.items()) + " }"
        case _:
            return json.dumps(value)


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def _messages(program: Path, verb: str, path: Path) -> Iterator[Finding]:
    """Yield the compiler's messages as findings; those of the level Info as notes."""
    done = _run(program, verb, path)
    understood = False
    for line in (done.stderr + b"\n" + (done.stdout if verb == "lint" else b"")).splitlines():
        found = _MESSAGE.match(line.decode(errors="replace").strip())
        if found:
            understood = True
            place = Place(Path(found["file"]).resolve(), int(found["line"]), int(found["column"]))
            remedy = f"see {found['link']}" if found["link"] else "correct it as the compiler says"
            check = NOTE if found["level"] == "Info" else CHECK
            yield Finding(place, f"{found['what'].rstrip('.')} ({found['code']})", remedy, check)
    if done.returncode and not understood:
        output = done.stderr.decode(errors="replace").strip()
        raise UsageError(f"{program.name} {verb} {path.name} failed: {output[:2000]}")


def _run(program: Path, verb: str, path: Path) -> subprocess.CompletedProcess[bytes]:
    words = [str(program), verb, str(path)]
    if verb != "lint":
        words.append("--stdout")
    return subprocess.run(  # noqa: S603 (the installed compiler)
        words, cwd=path.parent, capture_output=True, timeout=TIMEOUT, check=False
    )
