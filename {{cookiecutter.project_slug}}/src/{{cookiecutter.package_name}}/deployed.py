"""The model that Azure ML has put on this machine, or `mlops` in its place."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .contract import Contract, load_contract
from .model import CONTRACT_FILE, load_model
from .step import StepError

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Deployed:
    """A loaded model, the contract it was trained on, and what the registry calls it."""

    folder: Path
    name: str
    version: str
    model: Any
    contract: Contract

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the names and bytes of the model's files."""
        total = hashlib.sha256()
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            total.update(f"{path.relative_to(self.folder).as_posix()}\0{content}\0".encode())
        return total.hexdigest()


def load_deployed() -> Deployed:
    """Load the model below AZUREML_MODEL_DIR.

    Name and version: MODEL_NAME and MODEL_VERSION, else the folders that Azure ML puts a
    registered model into (…/azureml-models/<name>/<version>), else "unknown".

    Raises:
        StepError: when there is none, or it cannot be loaded here.
    """
    place = os.environ.get("AZUREML_MODEL_DIR")
    if not place:
        raise StepError("AZUREML_MODEL_DIR is not set: expected the folder that holds the model.")
    folder = _model_folder(Path(place))
    contract = load_contract(folder / CONTRACT_FILE)
    parts = folder.absolute().parts
    at = parts.index("azureml-models") if "azureml-models" in parts else len(parts)
    name, version = (*parts[at + 1 : at + 3], UNKNOWN, UNKNOWN)[:2]
    return Deployed(
        folder,
        os.environ.get("MODEL_NAME") or name,
        os.environ.get("MODEL_VERSION") or version,
        load_model(folder),
        contract,
    )


def _model_folder(place: Path) -> Path:
    for pattern in ("MLmodel", "*/MLmodel", "*/*/MLmodel"):
        found = sorted(place.glob(pattern))
        if found:
            return found[0].parent
    raise StepError(f"{place} holds no MLflow model: expected a file MLmodel in it or below it.")
