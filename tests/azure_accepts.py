"""Loads every file below azureml/ with Azure's own SDK; prints those that it accepts. No account needed."""

from __future__ import annotations

import sys
from pathlib import Path

from azure.ai.ml import (
    load_component,
    load_data,
    load_environment,
    load_job,
    load_online_deployment,
    load_online_endpoint,
)

# By the folder's name, or the file's where a folder holds several kinds.
LOADERS = {
    "pipelines": load_job,
    "components": load_component,
    "environments": load_environment,
    "data": load_data,
    "online-endpoint": load_online_endpoint,
    "online-deployment": load_online_deployment,
}
# Endpoints and deployments have no check of their own: what would be sent is made instead.
TO_REST = {
    "online-endpoint": lambda loaded: loaded._to_rest_online_endpoint("westeurope"),
    "online-deployment": lambda loaded: loaded._to_rest_object("westeurope"),
}

failed = False
for file in sorted(Path("azureml").rglob("*.yml")):
    try:
        kind = file.stem if file.parent.name == "endpoints" else file.parent.name
        loaded = LOADERS[kind](file)
        if kind in TO_REST:
            TO_REST[kind](loaded)
        if file.parent.name in ("pipelines", "components"):
            problems = loaded._validate().error_messages
            if problems:
                raise ValueError(problems)
        print(file.as_posix())
    except Exception as error:
        failed = True
        print(f"{file}: {type(error).__name__}: {error}", file=sys.stderr)
sys.exit(failed)
