"""The readiness of a project as an HTML page that loads nothing from elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from modelyard.files import write_text
from modelyard.readiness.readiness import LEVELS, Readiness
from modelyard.reports.pages import page

PAGE = Path("build") / "readiness.html"
TONES = {"met": "good", "not met": "bad", "open": "warn"}


def write_page(root: Path, found: Readiness) -> Path:
    """Write build/readiness.html; return its path."""
    write_text(root / PAGE, render(found))
    return root / PAGE


def render(found: Readiness) -> str:
    """Return the page."""
    parts = [(f"Level {level}: {LEVELS[level]}", found.of(level)) for level in range(1, 5)]
    others = found.of(None)
    for area, title in (("principles", "Principles"), ("responsibility", "Responsibility")):
        parts.append((title, [one for one in others if one.area == area]))
    return page(
        "readiness.html.j2",
        found=found,
        name=LEVELS[found.level],
        parts=parts,
        tones=TONES,
        today=datetime.now(UTC).date().isoformat(),
    )
