"""Files of a model card: Markdown and HTML of the same content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.files import write_text
from modelyard.principles import UNSAID, Principles
from modelyard.project import Project
from modelyard.reports.card.content import Card, card
from modelyard.reports.card.markdown import markdown
from modelyard.reports.pages import page


def write_card(
    folder: Path,
    evidence: Mapping[str, Mapping[str, Any] | None],
    project: Project,
    run: Mapping[str, Any],
    principles: Principles = UNSAID,
) -> list[Path]:
    """Write card.md and card.html; returns their paths."""
    content = card(evidence, project, run, principles)
    files = {folder / "card.md": markdown(content), folder / "card.html": html(content)}
    for path, made in files.items():
        write_text(path, made)
    return list(files)


def html(content: Card) -> str:
    """Write a card as an HTML page without scripts that loads nothing from elsewhere."""
    return page("card.html.j2", card=content)
