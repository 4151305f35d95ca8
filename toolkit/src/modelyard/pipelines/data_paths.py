"""Data of a pipeline's inputs on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from modelyard.pipelines.data_assets import described_path
from modelyard.pipelines.model import Data


def local_data(place: str, base: Path, kind: Any, data_assets: Path | None, how: str) -> Data:
    """Find data on this machine.

    Args:
        place: path, address, or `azureml:name@version`.
        base: folder that a path is relative to.
        kind: type of the input.
        data_assets: folder of data asset YAML.
        how: to give a local path instead.

    Raises:
        ValueError: why there is none.
    """
    hint = f"give a local one with {how}"
    if place.startswith("azureml:") and "://" not in place:
        asset = described_path(data_assets, re.split(r"[:@]", place)[1]) if data_assets else None
        if asset is None:
            raise ValueError(f"{place} is not described in {data_assets}; {hint}")
        place, base = asset
    if "://" in place:
        raise ValueError(f"{place} is not on this machine; {hint}")
    path = (base / place.removeprefix("file:")).resolve()
    shown = relative(path)
    if not path.exists():
        sample = ", or write the sample with `make data`" if path.parent.name == "data" else ""
        raise ValueError(f"{shown} does not exist; {hint}{sample}")
    if kind == "uri_file" and path.is_dir():
        raise ValueError(f"expected a file, {shown} is a folder; {hint}")
    if kind == "uri_folder" and path.is_file():
        raise ValueError(f"expected a folder, {shown} is a file; {hint}")
    return Data(path)


def relative(path: Path) -> Path:
    """The path relative to the working folder where that is shorter to read."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
