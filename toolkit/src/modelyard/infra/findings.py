"""The finding of a check: what is wrong, where, and how to correct it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NOTE = "notes, which fail nothing"  # the group of what is no fault


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file; lines and columns count from 1."""

    file: Path
    line: int
    column: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A fault, its place and its remedy; `check` is the group it is printed in."""

    place: Place
    what: str
    remedy: str
    check: str = ""
