"""Data of a pipeline's inputs on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.files import relative
from modelyard.pipelines.data_assets import LOCAL, described, mapped, parts_of
from modelyard.pipelines.model import Data


def local_data(place: str, base: Path, kind: Any, data_assets: Path | None, how: str) -> Data:
    """Find data on this machine.

    Args:
        place: path, address, or reference of a data asset or a model.
        base: folder that a path is relative to.
        kind: type of the input.
        data_assets: folder of data asset YAML.
        how: to give a local path instead.

    Raises:
        ValueError: why there is none.
    """
    hint = f"give a local one with {how}"
    root = data_assets.parents[1] if data_assets else None
    path = mapped(root, place) if root else None
    if path is None and parts_of(place):
        folders = [data_assets, data_assets.with_name("models")] if data_assets else []
        try:
            content, file = described([*folders, base], place)
        except ValueError as error:
            raise ValueError(f"{error}; {hint}, or name one in {LOCAL}") from None
        place, base = str(content.get("path", "")), file.parent
        path = mapped(root, place) if root else None
    if path is None and "://" in place:
        raise ValueError(f"{place} is not on this machine; {hint}, or name one in {LOCAL}")
    path = path or (base / place.removeprefix("file:")).resolve()
    shown = relative(path)
    if not path.exists():
        sample = ", or write the sample with `make data`" if path.parent.name == "data" else ""
        raise ValueError(f"{shown} does not exist; {hint}{sample}")
    if kind == "uri_file" and path.is_dir():
        raise ValueError(f"expected a file, {shown} is a folder; {hint}")
    if kind == "uri_folder" and path.is_file():
        raise ValueError(f"expected a folder, {shown} is a file; {hint}")
    if kind == "mltable" and not (path / "MLTable").is_file():
        raise ValueError(f"expected a folder with a file MLTable, {shown} is none; {hint}")
    return Data(path)
