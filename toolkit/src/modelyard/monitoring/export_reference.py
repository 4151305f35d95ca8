"""Export of the champion's table as the reference of Azure ML's monitor."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.files import link_tree, write_text
from modelyard.monitoring.run import locate_champion
from modelyard.monitoring.sources import PARTS
from modelyard.project import load_project


def export_reference(root: Path) -> Path:
    """Write the champion's table to data/reference, an MLTable for `az ml data create`.

    Raises:
        UsageError: there is no champion.
    """
    with tempfile.TemporaryDirectory(prefix="monitor-") as temporary:
        champion = locate_champion(root, load_project(root), Path(temporary))
        if champion is None:
            raise UsageError(
                "there is no champion whose table could be the reference; train one first"
            )
        folder = root / "data" / "reference"
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".reference-", dir=folder.parent) as made:
            new = Path(made) / "new"
            link_tree(champion.paths["prepared"], new)
            lines = [
                "$schema: https://azuremlschemas.azureedge.net/latest/MLTable.schema.json",
                "type: mltable",
                "paths:",
                *(f"  - file: ./{part}.parquet" for part in PARTS),
                "transformations:",
                "  - read_parquet",
            ]
            write_text(new / "MLTable", "\n".join(lines) + "\n")
            if folder.exists():
                shutil.move(folder, Path(made) / "old")
            os.replace(new, folder)
    return folder
