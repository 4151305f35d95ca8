"""Environments besides .venv, made with uv when they are first needed."""

from __future__ import annotations

import ensurepip
import hashlib
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.files import has_file, locked, read_text, write_text

TOOLKIT = "modelyard"  # requirements/modelyard.txt pins it for the project's own environments
READY = ".ready"  # file of a complete environment: the digest of what it was made from
LINES_SHOWN = 20  # of uv's errors; that of a package that is built is longer
_OWN = Path(__file__).with_name("requirements")  # checkov, sample: the same in every project


def requirements_file(root: Path, name: str) -> Path:
    """Return requirements/<name>.txt of the project or, where it has none, of the toolkit.

    Raises:
        UsageError: neither has one.
    """
    for file in (root / "requirements" / f"{name}.txt", _OWN / f"{name}.txt"):
        if has_file(file):
            return file
    missing = root / "requirements" / f"{name}.txt"
    raise UsageError(f"{missing} does not exist; restore it from git")


def environment_python(root: Path, name: str, say: Callable[[str], object] = print) -> Path:
    """Return the Python of the environment `.environments/<name>`.

    The first call makes it, and a later one makes it anew if its requirements, the toolkit's wheel or
    Python have changed. One process makes it while others wait; an incomplete one is never used.

    Args:
        root: of the project.
        name: serve, which endpoints run in, with the toolkit; checkov, which checks the
            infrastructure; sample, with the sample's data.
        say: takes a line before packages are installed.

    Raises:
        UsageError: requirements are missing, or uv cannot install them.
    """
    requirements = [requirements_file(root, name)]
    if requirements[0].parent != _OWN:
        requirements.append(requirements_file(root, TOOLKIT))
    wanted = _digest(requirements)
    # uv's cache knows a package by its version: without `--reinstall-package`, an earlier wheel of the
    # same version would be installed.
    options = ("--require-hashes", "--reinstall-package", TOOLKIT)
    words = ["sync", *options, *map(str, requirements)]
    count = f"{_count(requirements)}, pinned by hash"
    return _made(root, name, wanted, words, None, lambda: say(_setting_up(name, count)))


def packages_python(
    root: Path,
    requirements: Sequence[str],
    version: str | None = None,
    say: Callable[[str], object] = print,
) -> Path:
    """Return the Python of an environment with pip packages.

    Each list of packages has one environment, which is made once; see `environment_python`.

    Args:
        root: of the project.
        requirements: lines for pip.
        version: of Python, such as 3.10; where this machine has none, it is that of this process.
        say: takes a line before packages are installed.

    Raises:
        UsageError: uv cannot install them.
    """
    text = "\n".join(requirements)
    about = f"{sys.version} {platform.platform()} {version} {text}"
    wanted = hashlib.sha256(about.encode()).hexdigest()
    name = f"step-{wanted[:16]}"
    file = root / ".environments" / f"{name}.txt"
    file.parent.mkdir(exist_ok=True)

    def begin() -> None:
        write_text(file, text + "\n")
        say(_setting_up(name, f"{len(requirements)} lines of requirements"))

    words = ["install", "--requirement", str(file), *_bundled_pip(requirements)]
    return _made(root, name, wanted, words, version, begin)


def _bundled_pip(requirements: Sequence[str]) -> list[str]:
    """The wheel of pip that Python, or its Linux distribution, brings: a conda environment has pip, one of uv has none."""
    folder = (
        sysconfig.get_config_var("WHEEL_PKG_DIR") or Path(ensurepip.__file__).parent / "_bundled"
    )
    wheels = sorted(Path(folder).glob("pip-*.whl"))
    is_named = any(re.match(r"pip\b(?!-)", line) for line in requirements)
    return [] if is_named else [str(wheel) for wheel in wheels[-1:]]


def _setting_up(name: str, what: str) -> str:
    return f"setting up .environments/{name}: {what}; only once"


def _made(
    root: Path,
    name: str,
    wanted: str,
    words: list[str],
    version: str | None,
    begin: Callable[[], object],
) -> Path:
    """Make an environment unless it is there; one process makes it while others wait."""
    place = root / ".environments" / name
    if not _is_ready(place, wanted):
        other = f"another command that sets up .environments/{name}"
        with locked(place.with_name(f"{name}.lock"), other):
            if not _is_ready(place, wanted):
                begin()
                _make(place, words, wanted, _interpreter(version))
    return _python(place)


def _interpreter(version: str | None) -> str:
    """The path of a Python of a version on this machine; this process's where there is none."""
    if version is None:
        return sys.executable
    command = [find_uv(), "python", "find", "--no-python-downloads", version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else sys.executable


def find_uv() -> str:
    """Return the path of uv, from the environment of this Python or from the PATH.

    Raises:
        UsageError: it is not installed.
    """
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise UsageError("uv is not installed beside this Python; `make setup` installs it")
    return uv


def _make(place: Path, words: list[str], digest: str, python: str) -> None:
    """Make the environment beside `place`, then move it there. The caller holds the lock."""
    for left in place.parent.glob(f".{place.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    new = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    try:
        # It is moved when it is complete, so its scripts must not contain the path of this folder.
        _uv("venv", "--relocatable", "--python", python, str(new))
        _uv("pip", words[0], "--python", str(new), *words[1:], quiet=not sys.stderr.isatty())
        (new / READY).write_text(digest, encoding="ascii")
        if place.exists():
            place.rename(place.with_name(f".{place.name}-old-{secrets.token_hex(4)}"))
        new.rename(place)
    finally:
        for left in place.parent.glob(f".{place.name}-*"):
            shutil.rmtree(left, ignore_errors=True)


def _uv(*words: str, quiet: bool = True) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    command = [find_uv(), *words, *(["--quiet"] if quiet else [])]
    stderr = subprocess.PIPE if quiet else None
    done = subprocess.run(command, env=environment, stderr=stderr, text=True, check=False)  # noqa: S603
    if done.returncode:
        lines = (done.stderr or "").strip().splitlines()
        raise UsageError(f"uv {words[0]} failed:\n" + "\n".join(lines[-LINES_SHOWN:]))


def _count(requirements: list[Path]) -> str:
    text = "\n".join(read_text(file) for file in requirements)
    pinned = re.findall(r"^[^\s#=]+==", text, re.MULTILINE)
    return f"{len(pinned)} package{'s' if len(pinned) > 1 else ''}"


def _digest(requirements: list[Path]) -> str:
    """Digest the requirements, the wheels beside them, Python and the platform."""
    total = hashlib.sha256(f"{sys.version} {platform.platform()}".encode())
    for file in requirements:
        for part in (file, *(sorted(file.parent.glob(f"wheels/{TOOLKIT}-*.whl")))):
            total.update(hashlib.sha256(part.read_bytes()).digest())
    return total.hexdigest()


def _is_ready(place: Path, digest: str) -> bool:
    try:
        return (place / READY).read_text(encoding="ascii") == digest and _python(place).exists()
    except OSError:
        return False


def _python(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
