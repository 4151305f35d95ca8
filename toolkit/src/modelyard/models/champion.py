"""The champion's files, for the comparison with a challenger."""

from __future__ import annotations

import tempfile
from pathlib import Path

from modelyard.files import link_tree, write_json
from modelyard.models.registry import locate


def fetch_champion(model: str, uri: str, folder: Path) -> str | None:
    """Write champion.json and, where there is a champion, model/ to a folder.

    Returns:
        The champion's version, None where there is none.
    """
    with tempfile.TemporaryDirectory(prefix="champion-") as temporary:
        found = locate(model, uri, None, ["model"], Path(temporary))
        if found is not None:
            link_tree(found.paths["model"], folder / "model")
    number = found.number if found else None
    write_json(folder / "champion.json", {"name": model, "version": number})
    return number
