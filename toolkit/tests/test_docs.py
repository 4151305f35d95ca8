"""The documents of the toolkit, and the playbook and the deck of the site, name commands and options that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from modelyard.cli import app

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SITE = [DOCS.parents[1] / "docs" / name for name in ("playbook.yml", "deck.md")]


def options() -> dict[str, set[str]]:
    """The options of each command, by its words after `mlops`."""
    found: dict[str, set[str]] = {}

    def add(words: str, command: object) -> None:
        for name, one in getattr(command, "commands", {}).items():
            add(f"{words} {name}".strip(), one)
        found[words] = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}

    add("", typer.main.get_command(app))
    return found


@pytest.mark.parametrize("page", [*PAGES, *SITE], ids=lambda page: page.stem)
def test_the_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    known = options()
    for line in re.findall(r"mlops ([a-z][^`\n#]*)", page.read_text(encoding="utf-8")):
        words = line.split()
        command = next(" ".join(words[:n]) for n in (2, 1, 0) if " ".join(words[:n]) in known)
        assert command, f"{page.name}: mlops {line}"
        used = {word.rstrip(",.;:)") for word in words if word.startswith("--")}
        assert used <= known[command], f"{page.name}: mlops {line}"


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"({page.name})" not in index] == ["index.md"]
