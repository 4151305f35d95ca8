"""The command that shows the toolkit's documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import modelyard
from modelyard.errors import UsageError

HERE = Path(modelyard.__file__).resolve().parent
# In the wheel, and beside the sources.
PLACES = (HERE / "docs", HERE.parents[1] / "docs")


def docs(
    name: Annotated[str | None, typer.Argument(help="A page; default: list them.")] = None,
) -> None:
    """Show a page of the toolkit's documents."""
    folder = next(place for place in PLACES if place.is_dir())
    pages = {path.stem: path for path in sorted(folder.glob("*.md")) if path.stem != "index"}
    if name is None:
        for page, path in pages.items():
            title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
            print(f"{page:<12} {title}")
    elif name in pages:
        print(pages[name].read_text(encoding="utf-8"), end="")
    else:
        from modelyard.yaml_files import did_you_mean

        raise UsageError(f"there is no page `{name}`{did_you_mean(name, pages)}")
