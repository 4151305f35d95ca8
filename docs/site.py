"""Brings the toolkit's documents into the site, as toolkit/."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

TOOLKIT = Path(__file__).resolve().parents[1] / "toolkit" / "docs"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each document of the toolkit."""
    for path in sorted(TOOLKIT.rglob("*")):
        if path.is_file():
            name = path.relative_to(TOOLKIT.parents[0]).as_posix().replace("docs/", "toolkit/", 1)
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files
