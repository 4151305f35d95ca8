"""Loads every file below azureml/ with Azure's own SDK; prints those that it accepts. No account needed."""

from __future__ import annotations

import sys
from pathlib import Path

from azure.ai.ml import load_component, load_data, load_environment, load_job

LOADERS = {
    "pipelines": load_job,
    "components": load_component,
    "environments": load_environment,
    "data": load_data,
}

failed = False
for file in sorted(Path("azureml").rglob("*.yml")):
    try:
        loaded = LOADERS[file.parent.name](file)
        if file.parent.name in ("pipelines", "components"):
            problems = loaded._validate().error_messages
            if problems:
                raise ValueError(problems)
        print(file.as_posix())
    except Exception as error:
        failed = True
        print(f"{file}: {type(error).__name__}: {error}", file=sys.stderr)
sys.exit(failed)
