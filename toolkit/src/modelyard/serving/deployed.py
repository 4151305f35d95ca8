"""The deployed model: its folder, name and version, from the variables that Azure ML sets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from modelyard.contract.model import Contract, load_contract
from modelyard.errors import UsageError
from modelyard.files import digest
from modelyard.modelling.saving import CONTRACT_FILE, load_model

DESCRIPTION = "MLmodel"
UNKNOWN = "unknown"


def model_folder() -> Path:
    """Find the folder of the MLflow model in AZUREML_MODEL_DIR, or at most two levels below.

    Raises:
        UsageError: there is none, or more than one.
    """
    given = os.environ.get("AZUREML_MODEL_DIR")
    if not given:
        raise UsageError("AZUREML_MODEL_DIR is not set: name the folder of the model.")
    top = Path(given)
    for pattern in (DESCRIPTION, f"*/{DESCRIPTION}", f"*/*/{DESCRIPTION}"):
        found = sorted(top.glob(pattern))
        if len(found) > 1:
            raise UsageError(f"{top} holds {len(found)} models: name the folder of one.")
        if found:
            return found[0].parent
    raise UsageError(f"{top} holds no MLflow model: expected a file {DESCRIPTION} in or below it.")


def model_identity() -> tuple[str, str]:
    """Read name and version from MODEL_NAME and MODEL_VERSION, or else from Azure ML's path of the model."""
    parts = Path(os.environ.get("AZUREML_MODEL_DIR", "")).parts
    name = version = UNKNOWN
    if "azureml-models" in parts:
        below = parts[parts.index("azureml-models") + 1 :]
        name, version = (*below, UNKNOWN, UNKNOWN)[:2]
    return os.environ.get("MODEL_NAME") or name, os.environ.get("MODEL_VERSION") or version


@dataclass(frozen=True)
class Deployed:
    """A loaded model with the contract it was trained on, and its registered name and version."""

    folder: Path
    name: str
    version: str
    model: Any
    contract: Contract

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the names and contents of the model's files, as the registry has it."""
        return digest(self.folder)


def load_deployed() -> Deployed:
    """Load the model that AZUREML_MODEL_DIR names.

    Raises:
        UsageError: there is none, or it cannot be loaded here.
    """
    folder = model_folder()
    contract = load_contract(folder / CONTRACT_FILE)
    return Deployed(folder, *model_identity(), load_model(folder), contract)
