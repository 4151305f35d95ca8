"""Loads every file below azureml/ with Azure's own SDK; prints those that it accepts. No account needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure.ai.ml import (
    load_batch_endpoint,
    load_component,
    load_data,
    load_environment,
    load_job,
    load_online_deployment,
    load_online_endpoint,
)
from azure.ai.ml.entities._load_functions import load_model_batch_deployment, load_schedule

REGION = "westeurope"


def load_validated(load: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Also what the SDK itself checks before it submits."""

    def check(file: Path) -> None:
        problems = load(file)._validate().error_messages
        if problems:
            raise ValueError(problems)

    return check


# By folder, or by file where files of one folder differ.
LOADERS: dict[str, Callable[[Path], Any]] = {
    "pipelines": load_validated(load_job),
    "components": load_validated(load_component),
    "jobs": load_validated(load_job),
    "schedules": lambda file: load_schedule(file)._to_rest_object(),
    "environments": load_environment,
    "data": load_data,
    "monitoring": lambda file: load_schedule(file)._to_rest_object(),
    "batch-endpoint.yml": lambda file: load_batch_endpoint(file)._to_rest_batch_endpoint(REGION),
    "batch-deployment.yml": lambda file: load_model_batch_deployment(file)._to_rest_object(REGION),
    "online-endpoint.yml": lambda file: load_online_endpoint(file)._to_rest_online_endpoint(REGION),
    "online-deployment.yml": lambda file: load_online_deployment(file)._to_rest_object(REGION),
}

failed = False
for file in sorted(Path("azureml").rglob("*.yml")):
    try:
        (LOADERS.get(file.name) or LOADERS[file.parent.name])(file)
        print(file.as_posix())
    except Exception as error:
        failed = True
        # A monitor's real message is on the context of an empty NotImplementedError.
        reason = error.__context__ if not str(error) else error
        print(f"{file}: {type(error).__name__}: {reason}", file=sys.stderr)
sys.exit(failed)
