"""One thing that is wrong with a file, said so that it can be mended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: lines and columns count from 1."""

    file: Path
    line: int
    column: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What is wrong, where, and what to do about it."""

    place: Place
    what: str
    remedy: str
    check: str = ""  # the group it is shown in
