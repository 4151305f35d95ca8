"""The environment that a step names, as far as it can be made here: its pip packages."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from modelyard.environments import packages_python
from modelyard.errors import UsageError
from modelyard.pipelines.data_assets import described, parts_of
from modelyard.pipelines.documents import Problems
from modelyard.pipelines.model import Packages, Pipeline
from modelyard.yaml_files import LocatedMapping, parse

OWN = "azureml:train@latest"  # made from the project's own lock, which `mlops` is installed from
HERE = "the step runs in the environment that `mlops` is installed in"


def read_environment(
    content: LocatedMapping, file: Path, problems: Problems
) -> tuple[str, Packages | None]:
    """Read the environment of a component or a job.

    Args:
        content: the component.
        file: it is part of.
        problems: takes notes of what is not made here, and what is wrong.

    Returns:
        The environment as one text, and its pip packages; None where it has none that are known here.
    """
    given = content.get("environment")
    if given is None or given == OWN:
        return str(given or ""), None
    line = content.line_of("environment")
    text = given if isinstance(given, str) else json.dumps(given, sort_keys=True)
    definition, base = given, file
    if isinstance(given, str) and given.startswith("file:"):
        base = (file.parent / given.removeprefix("file:")).resolve()
        definition = problems.mapping(base)
        if definition is None:
            return text, None
    elif isinstance(given, str) and parts_of(given):
        folders = [file.parent, file.parent / "environments", file.parent.parent / "environments"]
        try:
            definition, base = described(folders, given)
        except ValueError:
            definition = None
    if not isinstance(definition, dict) or "conda_file" not in definition:
        problems.note(file, line, f"`environment` is not made here: {HERE}")
        return text, None
    try:
        packages, left = _packages(definition["conda_file"], base.parent)
    except ValueError as error:
        problems.add(file, line, f"conda_file: {error}")
        return text, None
    if "image" in definition:
        left.append(f"the image {definition['image']}")
    if left:
        what = "its pip packages are installed" if packages else HERE
        problems.note(file, line, f"`environment`: {what}; not here: {', '.join(left)}")
    if packages is None:
        return text, None
    return json.dumps([text, packages.requirements]), Packages(
        packages.requirements, packages.python, f"{file}:{line}"
    )


def step_pythons(root: Path, pipeline: Pipeline) -> dict[str, Path]:
    """The Python of each step that has an environment of its own, which is made where it is missing.

    Raises:
        UsageError: one cannot be made; names file and line.
    """
    found, say = {}, partial(print, file=sys.stderr)
    for step in pipeline.steps:
        if (packages := step.component.packages) is None:
            continue
        try:
            found[step.name] = packages_python(root, packages.requirements, packages.python, say)
        except UsageError as error:
            raise UsageError(
                f"{packages.place}: the environment of step `{step.name}` cannot be made; "
                f"`mlops run --here` runs it without. {error}"
            ) from None
    return found


def _packages(conda: Any, base: Path) -> tuple[Packages | None, list[str]]:
    """The pip packages of a conda file, and what it has besides."""
    if isinstance(conda, str):
        path = base / conda
        if not path.is_file():
            raise ValueError(f"{conda} does not exist")
        base = path.parent
        try:
            conda = parse(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}{error}") from None
    dependencies = conda.get("dependencies") if isinstance(conda, dict) else None
    if not isinstance(dependencies, list):
        raise ValueError("expected a mapping with a list `dependencies`")
    requirements: list[str] = []
    left: list[str] = []
    version = None
    for one in dependencies:
        if isinstance(one, dict):
            for line in one.get("pip") or []:
                for requirement in _requirements(str(line).strip(), base):
                    local = requirement.startswith((".", "/", "-e", "--editable"))
                    (left if local else requirements).append(requirement)
            continue
        name, _, wanted = str(one).partition("=")
        name, wanted = name.strip(), wanted.strip("= ")
        if name == "python":
            version = ".".join(wanted.split(".")[:2]) if wanted[:1].isdigit() else None
        elif name != "pip" and not name.startswith("pip>") and not name.startswith("pip<"):
            left.append(str(one))
    if version and version != f"{sys.version_info.major}.{sys.version_info.minor}":
        left.append(f"python {version}, unless uv finds it")
    return (Packages(tuple(requirements), version, "") if requirements else None), left


def _requirements(line: str, base: Path) -> Iterator[str]:
    """A line of requirements; in place of `-r FILE` those of the file."""
    option, _, name = line.partition(" ")
    if option not in ("-r", "--requirement"):
        yield line
        return
    path = base / name.strip()
    if not path.is_file():
        raise ValueError(f"{line}: the file does not exist")
    for one in path.read_text(encoding="utf-8").splitlines():
        text = one.partition(" #")[0].strip()
        if text and not text.startswith("#"):
            yield from _requirements(text, path.parent)
