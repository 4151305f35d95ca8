"""Azure ML data assets, read from the files in azureml/data/."""

from __future__ import annotations

from pathlib import Path

from modelyard.yaml_files import read_yaml


def described_path(folder: Path, name: str) -> tuple[str, Path] | None:
    """Find the `path` of a data asset, and the folder that it is relative to.

    Args:
        folder: of the YAML files.
        name: of the asset.

    Returns:
        None where no file describes it.
    """
    for file in sorted(folder.glob("*.yml")):
        content = read_yaml(file)
        if isinstance(content, dict) and content.get("name") == name:
            return str(content.get("path", "")), file.parent
    return None


def local_path(folder: Path, name: str) -> Path | None:
    """Find a data asset on this machine; None where it is elsewhere or not described."""
    described = described_path(folder, name)
    if described is None or "://" in described[0]:
        return None
    path, base = described
    return (base / path).resolve()
