"""Environments besides .venv, made with uv from requirements/ when they are first needed."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from modelyard.errors import UsageError

READY = ".ready"  # in an environment that is whole: the digest of what it was made from


def environment_python(root: Path, name: str, say: Callable[[str], object] = print) -> Path:
    """Python of the environment `.environments/<name>`, made from `requirements/<name>.txt`.

    It is made on the first call, and anew where its requirements or Python have changed. One
    process makes it while others wait; a half-made one is never used.

    Args:
        root: of the project.
        name: of the environment: serve, what endpoints run in; infra and checkov, which check the
            infrastructure.
        say: takes a line where this takes long.

    Raises:
        UsageError: uv cannot install it.
    """
    requirements = root / "requirements" / f"{name}.txt"
    try:
        wanted = _digest(requirements)
    except FileNotFoundError:
        raise UsageError(f"{requirements} does not exist; restore it from git") from None
    place = root / ".environments" / name
    if not _is_ready(place, wanted):
        place.parent.mkdir(exist_ok=True)
        with FileLock(place.with_name(f"{name}.lock")):
            if not _is_ready(place, wanted):
                pinned = re.findall(r"^[^\s#=]+==", requirements.read_text("utf-8"), re.MULTILINE)
                packages = f"{len(pinned)} package{'s' if len(pinned) > 1 else ''}"
                say(f"setting up .environments/{name}: {packages}, pinned by hash; only once")
                _make(place, requirements, wanted)
    return _python(place)


def _make(place: Path, requirements: Path, digest: str) -> None:
    """Make the environment beside `place`, then put it there. The caller has the lock."""
    for left in place.parent.glob(f".{place.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    new = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    try:
        # It moves once it is whole, so its scripts must not name the folder it was made in.
        _uv("venv", "--relocatable", "--python", sys.executable, str(new))
        words = ("pip", "sync", "--require-hashes", "--python", str(new), str(requirements))
        _uv(*words, quiet=not sys.stderr.isatty())
        (new / READY).write_text(digest, encoding="ascii")
        if place.exists():
            place.rename(place.with_name(f".{place.name}-old-{secrets.token_hex(4)}"))
        new.rename(place)
    finally:
        for left in place.parent.glob(f".{place.name}-*"):
            shutil.rmtree(left, ignore_errors=True)


def _uv(*words: str, quiet: bool = True) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise UsageError("uv is not installed beside this Python; `make setup` installs it")
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    command = [uv, *words, *(["--quiet"] if quiet else [])]
    done = subprocess.run(command, env=environment, stderr=_stderr(quiet), text=True, check=False)  # noqa: S603
    if done.returncode:
        raise UsageError(f"uv {words[0]} failed:\n{(done.stderr or '').strip()}")


def _stderr(quiet: bool) -> int | None:
    return subprocess.PIPE if quiet else None


def _digest(requirements: Path) -> str:
    content = requirements.read_bytes() + f"{sys.version} {platform.platform()}".encode()
    return hashlib.sha256(content).hexdigest()


def _is_ready(place: Path, digest: str) -> bool:
    try:
        return (place / READY).read_text(encoding="ascii") == digest and _python(place).exists()
    except OSError:
        return False


def _python(place: Path) -> Path:
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
