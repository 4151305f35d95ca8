"""What azure-ai-ml has against files, asked offline in an environment that has it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from modelyard.errors import ModelyardError, UsageError
from modelyard.pipelines import azure_sdk_worker
from modelyard.yaml_files import Problem, line_of, read_yaml

FOLDER = ".venv-cloud"


def azure_python(root: Path) -> Path:
    """Find a Python with azure-ai-ml: this one, or that of the project's cloud environment.

    Raises:
        UsageError: there is none; says how to make it.
    """
    if importlib.util.find_spec("azure") and importlib.util.find_spec("azure.ai.ml"):
        return Path(sys.executable)
    for place in ("bin/python", "Scripts/python.exe"):
        if (python := root / FOLDER / place).exists():
            return python
    raise UsageError(
        f"--azure needs azure-ai-ml, which is neither in this environment nor in {FOLDER}. Make it, then again:\n"
        f"  .venv/bin/uv venv --python .venv/bin/python {FOLDER}\n"
        f"  .venv/bin/uv pip sync --python {FOLDER} --require-hashes requirements/cloud.txt"
    )


def ask_azure_sdk(root: Path, files: Mapping[Path, str]) -> list[Problem]:
    """Load files with azure-ai-ml, without Azure; returns what it refuses, with lines.

    Raises:
        UsageError: there is no environment with azure-ai-ml.
        ModelyardError: azure-ai-ml does not start there.
    """
    python = azure_python(root)
    asked = [[str(path.resolve()), kind] for path, kind in files.items()]
    done = subprocess.run(  # noqa: S603 (a Python of the project)
        [str(python), "-I", str(azure_sdk_worker.__file__)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "AZURE_ML_CLI_PRIVATE_FEATURES_ENABLED": "false"},
        check=False,
    )
    if done.returncode:
        raise ModelyardError(
            f"azure-ai-ml does not start in {python}:\n{done.stderr.strip()[-2000:]}"
        )
    problems = []
    for name, where, message in json.loads(done.stdout):
        path = Path(name)
        place = ".".join(map(str, where))
        text = f"azure-ai-ml: {place}: {message}" if place else f"azure-ai-ml: {message}"
        problems.append(Problem(path, line_of(read_yaml(path), where), text))
    return problems
