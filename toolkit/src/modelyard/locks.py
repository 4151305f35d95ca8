"""What a project's locks pin, moved to the newest versions."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.files import read_text, write_text


@dataclass(frozen=True)
class Move:
    """A package whose pin changed in a lock; None where it came or went."""

    lock: str
    package: str
    before: str | None
    after: str | None


def upgrade_locks(root: Path) -> list[Move]:
    """Run `make upgrade-locks`; return what moved.

    Raises:
        UsageError: it failed; every lock is as it was before.
    """
    before = {file: read_text(file) for file in _locks(root)}
    try:
        subprocess.run(["make", "upgrade-locks"], cwd=root, stdout=sys.stderr, check=True)  # noqa: S607
    except FileNotFoundError:
        raise UsageError("`make` was not found: install it, then try again") from None
    except BaseException as error:
        for file, text in before.items():
            write_text(file, text)
        if not isinstance(error, subprocess.CalledProcessError):
            raise  # interrupted
        raise UsageError(
            "`make upgrade-locks` failed, see above: the locks are as they were before"
        ) from None
    moves = []
    for file in _locks(root):
        old, new = _pins(before.get(file, "")), _pins(read_text(file))
        moves += [
            Move(file.stem, name, old.get(name), new.get(name))
            for name in sorted(old | new)
            if old.get(name) != new.get(name)
        ]
    return moves


def _locks(root: Path) -> list[Path]:
    return sorted((root / "requirements").glob("*.txt"))


def _pins(text: str) -> dict[str, str]:
    """Versions by package; of one that is pinned for several platforms, all of them."""
    pins: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE):
        pins.setdefault(name, []).append(version)
    return {name: ", ".join(versions) for name, versions in pins.items()}
