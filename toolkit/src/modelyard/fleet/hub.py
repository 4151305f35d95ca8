"""The table and the page of a fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from modelyard.console import counted, listed
from modelyard.fleet.status import Row
from modelyard.reports.pages import page

HEADINGS = (
    "project", "owner", "template", "toolkit", "changed", "level", "champion", "policy", "retiring",
)  # fmt: skip
TONES = {"promote": "good", "promoted": "good", "open": "warn", "refuse": "bad"}


def cells(row: Row) -> list[str]:
    """Return a row of the table."""
    changed = f"{row.changed} + {row.deleted} deleted" if row.deleted else str(row.changed)
    return [
        row.name or row.repository,
        row.owner,
        row.template,
        row.toolkit,
        "not judged" if row.changed is None else changed,
        "not judged" if row.level is None else _level(row),
        _champion(row) if row.champion else "none here" if row.name else "not judged",
        "not judged" if row.breaches is None else counted(len(row.breaches), "breach", "breaches"),
        _retiring(row),
    ]


def below(rows: Iterable[Row]) -> Iterable[str]:
    """Yield what the table has no room for."""
    for row in rows:
        yield from (f"{row.repository}: {one}" for one in row.problems)
        yield from (f"{row.repository}: {one}" for one in row.breaches or ())
        yield from (f"{row.repository}: {one}" for one in row.retired or ())


def render(rows: Sequence[Row], today: date) -> str:
    """Return one HTML page about all repositories; those that need somebody come first."""
    ordered = sorted(rows, key=lambda row: (not row.problems, not row.breaches, not row.retired))
    unread = sum(bool(row.problems) for row in rows)
    breaching = sum(bool(row.breaches) for row in rows)
    retired = sum(bool(row.retired) for row in rows)
    soon = f"{sum(bool(row.retiring) for row in rows)} with some that will be"
    tiles = [
        ("repositories", f"{len(rows):,}", f"{unread} not read whole" if unread else "all read"),
        ("with breaches of the policy", _share(breaching, [row.breaches for row in rows]), ""),
        ("with retired features", _share(retired, [row.retired for row in rows]), soon),
        (
            "at level 3 or 4 of readiness",
            str(sum((row.level or 0) > 2 for row in rows)),
            _levels(rows),
        ),
        (
            "without a champion here",
            str(sum(bool(row.name) and row.champion is None for row in rows)),
            "",
        ),
    ]
    versions = Counter(row.template.partition(" ")[0] or "unknown" for row in rows)
    return page(
        "fleet.html.j2",
        today=today.isoformat(),
        tiles=tiles,
        versions=sorted(versions.items()),
        rows=[_shown(row) for row in ordered],
    )


def _shown(row: Row) -> dict[str, Any]:
    name, owner, template, toolkit, changed, level, champion, policy, retiring = cells(row)
    tone = (
        "bad" if row.problems or row.breaches or row.retired else "warn" if row.retiring else "good"
    )
    word = {"bad": "needs somebody", "warn": "soon", "good": "fine"}[tone]
    if row.problems:
        word = "not read whole"
    return {
        "name": name,
        "repository": row.repository,
        "link": _link(row),
        "tone": tone,
        "word": word,
        "owner": owner,
        "template": template,
        "toolkit": toolkit,
        "changed": changed,
        "unjudged": row.unjudged,
        "level": level if row.level is None else f"level: {level}",
        "lacking": listed(row.lacking, 2),
        "verdict": (row.champion or {}).get("verdict", champion),
        "age": champion.rpartition(", ")[0],
        "champion_tone": TONES.get((row.champion or {}).get("verdict", ""), "calm"),
        "pages": [(Path(one).stem, Path(row.folder or "/", one).as_uri()) for one in row.pages],
        "policy": policy,
        "retiring": retiring,
        "tags": ", ".join(f"{k}: {v}" for k, v in row.cost_tags.items()),
        "endpoints": row.endpoints,
        "details": [
            *row.problems,
            *(row.breaches or ()),
            *(row.retired or ()),
            *(row.retiring or ()),
        ],
    }


def _link(row: Row) -> str | None:
    if row.folder:
        return Path(row.folder).as_uri()
    return row.repository if row.repository.startswith("https://") else None


def _level(row: Row) -> str:
    # Runs, models and monitors are no files of a repository, so a clone shows none of them.
    return str(row.level) if row.folder else f"at least {row.level}"


def _champion(row: Row) -> str:
    known = row.champion or {}
    return f"v{known['version']}, {counted(known['age_days'], 'day')}, {known['verdict']}"


def _retiring(row: Row) -> str:
    if row.retired is None:
        return "not judged"
    parts = [f"{len(row.retired)} retired"] if row.retired else []
    parts += [f"{len(row.retiring)} soon"] if row.retiring else []
    return listed(parts) or "0"


def _share(count: int, judged: Sequence[object]) -> str:
    return "not judged" if all(one is None for one in judged) else str(count)


def _levels(rows: Sequence[Row]) -> str:
    counts = Counter(row.level for row in rows if row.level is not None)
    return ", ".join(f"level {level}: {counts[level]:,}" for level in sorted(counts))
