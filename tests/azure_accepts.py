"""Loads every file below azureml/ with Azure's own SDK; prints those that it accepts. No account needed."""

from __future__ import annotations

import sys
from pathlib import Path

from azure.ai.ml import load_component, load_data, load_environment, load_job
from azure.ai.ml.entities._load_functions import load_schedule

LOADERS = {
    "pipelines": load_job,
    "components": load_component,
    "environments": load_environment,
    "data": load_data,
    "monitoring": load_schedule,
}

failed = False
for file in sorted(Path("azureml").rglob("*.yml")):
    try:
        loaded = LOADERS[file.parent.name](file)
        if file.parent.name in ("pipelines", "components"):
            problems = loaded._validate().error_messages
            if problems:
                raise ValueError(problems)
        if file.parent.name == "monitoring":
            loaded._to_rest_object()
        print(file.as_posix())
    except Exception as error:
        failed = True
        # A monitor's real message is on the context of an empty NotImplementedError.
        reason = error.__context__ if not str(error) else error
        print(f"{file}: {type(error).__name__}: {reason}", file=sys.stderr)
sys.exit(failed)
