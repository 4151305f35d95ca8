"""What a deployment on Azure ML tells its scoring script: which model, and where it is."""

from __future__ import annotations

import os
from pathlib import Path

from .step import StepError

DESCRIPTION = "MLmodel"
UNKNOWN = "unknown"


def model_folder() -> Path:
    """The folder of the MLflow model at or below AZUREML_MODEL_DIR, at most two levels down.

    Raises:
        StepError: when there is none, or more than one.
    """
    given = os.environ.get("AZUREML_MODEL_DIR")
    if not given:
        raise StepError("AZUREML_MODEL_DIR is not set: name the folder of the model.")
    top = Path(given)
    for pattern in (DESCRIPTION, f"*/{DESCRIPTION}", f"*/*/{DESCRIPTION}"):
        found = sorted(top.glob(pattern))
        if len(found) > 1:
            raise StepError(f"{top} holds {len(found)} models: name the folder of one.")
        if found:
            return found[0].parent
    raise StepError(f"{top} holds no MLflow model: expected a file {DESCRIPTION} in or below it.")


def model_identity() -> tuple[str, str]:
    """Name and version: MODEL_NAME and MODEL_VERSION, else Azure's path of the model."""
    parts = Path(os.environ.get("AZUREML_MODEL_DIR", "")).parts
    name = version = UNKNOWN
    if "azureml-models" in parts:
        below = parts[parts.index("azureml-models") + 1 :]
        name, version = (*below, UNKNOWN, UNKNOWN)[:2]
    return os.environ.get("MODEL_NAME") or name, os.environ.get("MODEL_VERSION") or version
