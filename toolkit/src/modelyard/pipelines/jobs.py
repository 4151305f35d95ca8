"""Processes for the commands of components."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.files import link_tree
from modelyard.pipelines.references import module_of, references, shell_line, words
from modelyard.pipelines.warm import Job

CODE = ".code"  # in an attempt: the copy of the code that the step started in
# In an attempt: the environment of its command, with what that has installed.
INSTALLED = ".installed"
_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'
TRACKED = "mlruns"  # in an attempt: what it logs with an MLflow that is not this one
# A job of Azure ML finds these folders, and what it leaves there is kept.
ARTIFACTS = ("outputs", "logs")


def component_job(
    command: str,
    *,
    code: Path | None,
    imports: tuple[str, ...],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    env: Mapping[str, str],
    attempt: Path,
    python: str | None = None,
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
        python: of the step's own environment; default: this one.

    Raises:
        UsageError: the command needs a shell, and there is none.
    """
    if code is None or code.is_relative_to(attempt):
        for name in ARTIFACTS if code else {*ARTIFACTS} - outputs.keys():
            ((code or attempt) / name).mkdir(exist_ok=True)
    log, cwd = str(attempt / "log.txt"), str(code or attempt)
    if module_of(command) is not None:
        _, _, module, *argv = words(command, inputs, outputs)
        if python is not None:
            return Job([python, "-m", module, *argv], cwd, dict(env) | _first(python), log)
        return Job(argv, cwd, dict(env), log, module=module, imports=imports)
    line = shell_line(command, inputs, outputs)
    shell = shutil.which("bash") or shutil.which("sh")
    if shell is None:
        raise UsageError(f"a shell (bash) is needed for: {line}")
    apart = _over(python or sys.executable, attempt / INSTALLED)
    return Job([shell, "-c", line], cwd, dict(env) | apart, log)


def _over(python: str, folder: Path) -> dict[str, str]:
    """Make an environment over that of a Python; returns the variables with which a command runs in it.

    It has all packages of the other one, and what a command installs with pip goes into it: the project's
    environment stays as it is.
    """
    if os.name != "posix":
        return _first(python) | {"PIP_TARGET": str(folder), "PYTHONPATH": str(folder)}
    home = Path(python).parents[1]
    config, version = (
        home / "pyvenv.cfg",
        f"python{sys.version_info.major}.{sys.version_info.minor}",
    )
    below = next(home.glob("lib/python*/site-packages"), None) if config.is_file() else None
    site = folder / "lib" / (below.parent.name if below else version) / "site-packages"
    site.mkdir(parents=True)
    if below:
        shutil.copy(config, folder)
        (site / "below.pth").write_text(f"import site; site.addsitedir({str(below)!r})\n", "utf-8")
    else:
        text = f"home = {Path(python).resolve().parent}\ninclude-system-site-packages = true\n"
        (folder / "pyvenv.cfg").write_text(text, "utf-8")
    (folder / "bin").mkdir()
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(python)
    for name in ("pip", "pip3"):
        (folder / "bin" / name).write_text(_PIP, "ascii")
        (folder / "bin" / name).chmod(0o755)
    return _first(python, folder / "bin") | {"VIRTUAL_ENV": str(folder)}


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


def tracked_apart(attempt: Path) -> dict[str, str]:
    """Environment variables with which MLflow logs into a folder of the attempt.

    Any version of MLflow can write there, and what is logged can be read while the step runs.
    """
    place = (attempt / TRACKED).resolve().as_uri()
    return {"MLFLOW_TRACKING_URI": place, "MLFLOW_ALLOW_FILE_STORE": "true"}


def keep_artifacts(attempt: Path, command: str, outputs: Collection[str]) -> None:
    """Keep what a step that has ended left in the folders of `ARTIFACTS`.

    An output `artifacts` that the command does not name is these folders, as on Azure ML.
    """
    for name in ARTIFACTS:
        left = attempt / CODE / name
        if name not in outputs and left.is_dir() and any(left.iterdir()):
            shutil.move(left, attempt / name)
    for name in (CODE, INSTALLED):
        shutil.rmtree(attempt / name, ignore_errors=True)
    if "artifacts" in outputs and "outputs.artifacts" not in references(command):
        for name in ARTIFACTS:
            if (attempt / name).is_dir():
                link_tree(attempt / name, attempt / "artifacts" / name)


def _first(python: str, *before: Path) -> dict[str, str]:
    """A PATH on which `python` is this one."""
    folders = [*map(str, before), str(Path(python).parent), os.environ.get("PATH", "")]
    return {"PATH": os.pathsep.join(folders)}
