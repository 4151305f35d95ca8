"""Processes for the commands of components."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.pipelines.references import module_of, shell_line, words
from modelyard.pipelines.warm import Job


def component_job(
    command: str,
    *,
    code: Path | None,
    imports: tuple[str, ...],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    env: Mapping[str, str],
    attempt: Path,
) -> Job:
    """Build the job that runs a component's command, with every reference replaced.

    Args:
        command: of the component.
        code: the working folder; default: the attempt.
        imports: libraries that the warm interpreter imports before it forks the job.
        inputs: value or path by name.
        outputs: path by name.
        env: environment variables.
        attempt: folder for the log.

    Raises:
        UsageError: the command needs a shell, and there is none.
    """
    if code is None:  # a job of Azure ML finds these two folders
        for name in {"outputs", "logs"} - outputs.keys():
            (attempt / name).mkdir(exist_ok=True)
    log, cwd = str(attempt / "log.txt"), str(code or attempt)
    if module_of(command) is not None:
        _, _, module, *argv = words(command, inputs, outputs)
        return Job(argv, cwd, dict(env), log, module=module, imports=imports)
    line = shell_line(command, inputs, outputs)
    shell = shutil.which("bash") or shutil.which("sh")
    if shell is None:
        raise UsageError(f"a shell (bash) is needed for: {line}")
    return Job([shell, "-c", line], cwd, dict(env) | _python_first(), log)


def make_outputs(attempt: Path, types: Mapping[str, str]) -> dict[str, str]:
    """Create the folders of an attempt's outputs; returns the path of each output.

    Args:
        attempt: its folder.
        types: name → type; a `uri_file` is written by the command.
    """
    for name, kind in types.items():
        if kind != "uri_file":
            (attempt / name).mkdir()
    return {name: str(attempt / name) for name in types}


def _python_first() -> dict[str, str]:
    """A PATH on which `python` is this interpreter."""
    return {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
