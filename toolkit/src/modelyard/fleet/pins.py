"""A merge of pinned versions, each for itself: of those that both the team and the template have moved, the newer one.

Git sees a conflict in lines that touch, as packages of a lock do. Only lines that are equal but for the pin are
merged here, wherever the file has them. Where both have moved a pin and it cannot be told which version is newer, or one
moved it back, or a file has several versions, nothing is, and the conflict stays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# What is pinned, its name, and the version: that of a digest is in the comment behind it. A digest alone is no version.
_TAG = r"(?P<version>v\d[\w.+-]*|\d+\.[\w.+-]*)"
_ACTION = re.compile(
    rf"\buses:\s*['\"]?(?P<name>[\w.-]+/[\w./-]+)@(?P<pin>(?:[0-9a-f]{{40}}\s+#\s*)?{_TAG})"
)
_REVISION = re.compile(
    rf"^\s*rev:\s*['\"]?(?P<pin>(?:[0-9a-f]{{40}}['\"]?\s+#\s*frozen:\s*)?{_TAG})"
)
_REPOSITORY = re.compile(r"^\s*(?:-\s+)?repo:\s*['\"]?([^\s'\"]+)")
_IMAGE = re.compile(
    r"^FROM\s+(?:--\S+\s+)*(?P<name>[^\s:@]+(?::\d+/[^\s:@]+)?):"
    r"(?P<pin>(?P<version>\d[\d.]*)(?P<kind>[\w.-]*)(?:@sha256:[0-9a-f]{64})?)(?=\s|$)",
    re.IGNORECASE,
)
_PACKAGE = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)\s*==\s*"
    r"(?P<pin>(?P<version>\d[\w.!+-]*))(?=[\s;,\\]|$)"
)
_HASHES = re.compile(r"(?:[ \t]*\\\r?\n)?[ \t]*--hash=\S+")
_DIGEST = re.compile(r"[0-9a-f]{40}")
_FILES = (
    (re.compile(r"(^|/)\.github/.*\.ya?ml"), _ACTION),
    (re.compile(r"(^|/)\.pre-commit-config\.ya?ml"), _REVISION),
    (re.compile(r"(^|.*[/.])dockerfile(\..*)?", re.IGNORECASE), _IMAGE),
    (re.compile(r".*\.(txt|in)"), _PACKAGE),
)


@dataclass(frozen=True)
class Settled:
    """A pin that both sides have moved.

    Attributes:
        version: the newer one, which is taken.
        other: the one that is left.
        is_team: whether the newer one is the team's.
    """

    name: str
    version: str
    other: str
    is_team: bool

    def __str__(self) -> str:
        if self.is_team:
            return f"pin of {self.name}: the team's {self.version} kept, newer than the template's {self.other}"
        return f"pin of {self.name}: the template's {self.version} taken, newer than the team's {self.other}"


@dataclass(frozen=True)
class _Line:
    """A line, or a package with its hashes.

    Attributes:
        key: what has to be equal: all but the pin.
        name: of what is pinned; empty where nothing is.
    """

    text: str
    key: tuple[str, ...]
    name: str = ""
    version: str = ""


def settle(
    path: str, base: str, ours: str, theirs: str
) -> tuple[tuple[str, str, str], list[Settled]]:
    """Merge the pins of three texts; each is the same in all of them afterwards, so that a merge finds no conflict in it.

    Args:
        path: of the file; only where such pins are known to stand, they are looked for.
        base: text that both sides come from.
        ours: the team's.
        theirs: the template's.

    Returns:
        The three texts to merge, and the pins that both sides have moved.
    """
    pattern = next((known for names, known in _FILES if names.fullmatch(path)), None)
    if pattern is None:
        return (base, ours, theirs), []
    sides = [_lines(text, pattern) for text in (base, ours, theirs)]
    pins = [_one_version(side) for side in sides]
    taken: dict[tuple[str, ...], _Line] = {}
    settled: dict[Settled, None] = {}
    for key, old in pins[0].items():
        team, template = (side.get(key) for side in pins[1:])
        if not (old and team and template):
            continue
        if team in (old, template):
            taken[key] = template
        elif template == old:
            taken[key] = team
        elif newer := _newer(old.version, team.version, template.version, pattern is _PACKAGE):
            is_team = newer == team.version
            taken[key], left = (team, template) if is_team else (template, team)
            settled[Settled(old.name, newer, left.version, is_team)] = None
    texts = ["".join(taken.get(one.key, one).text for one in side) for side in sides]
    return (texts[0], texts[1], texts[2]), list(settled)


def _one_version(lines: Sequence[_Line]) -> dict[tuple[str, ...], _Line | None]:
    """Return the line of each pin; None where a file has several versions of it."""
    found: dict[tuple[str, ...], _Line | None] = {}
    for line in lines:
        if line.name:
            found[line.key] = line if found.get(line.key, line) == line else None
    return found


def _lines(text: str, pattern: re.Pattern[str]) -> list[_Line]:
    """Take a text apart into lines; a package's hashes belong to its line."""
    lines: list[_Line] = []
    repository = ""  # that a revision is of
    for part in re.findall(r"[^\n]*\n|[^\n]+", text):
        if pattern is _PACKAGE and lines and lines[-1].text.rstrip().endswith("\\"):
            part = lines.pop().text + part
        found = pattern.search(part)
        if found is None:
            repository = named[1] if (named := _REPOSITORY.match(part)) else repository
            lines.append(_Line(part, (part,)))
            continue
        start, end = found.span("pin")
        about = found.groupdict()
        name = about.get("name") or repository
        digest = "digest" if _DIGEST.search(part, start) else ""
        key = (name, part[:start], about.get("kind", ""), digest, _HASHES.sub("", part[end:]))
        lines.append(_Line(part, key, name, found["version"]))
    return lines


def _newer(base: str, ours: str, theirs: str, is_exact: bool) -> str | None:
    """Return the newer one of two versions; None where it is not known, or one moved back.

    Where it is not exact, v4 is not v4.0.0 but whichever 4 is newest.
    """
    from packaging.version import InvalidVersion, Version

    try:
        versions = [Version(one) for one in (base, ours, theirs)]
    except InvalidVersion:
        return None
    old, team, template = versions
    if len({one.local for one in versions}) > 1:  # as cpu and cu126
        return None
    if not is_exact and len({len(one.release) for one in versions}) > 1:
        return None
    if not old < min(team, template) < max(team, template):
        return None
    return ours if team > template else theirs
