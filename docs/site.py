"""Brings the toolkit's documents into the site, as toolkit/, and the pages that are made: the playbook and the deck."""

from pathlib import Path

from deck import deck
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from playbook import pages

TOOLKIT = Path(__file__).resolve().parents[1] / "toolkit" / "docs"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each document of the toolkit, and each page that is made."""
    for path in sorted(TOOLKIT.rglob("*")):
        if path.is_file():
            name = path.relative_to(TOOLKIT.parents[0]).as_posix().replace("docs/", "toolkit/", 1)
            files.append(File.generated(config, name, abs_src_path=str(path)))
    roles = (TOOLKIT / "roles.md").read_text(encoding="utf-8")
    for name, content in {**pages(roles), "deck.html": deck()}.items():
        files.append(File.generated(config, name, content=content))
    return files
