"""A project made from the template, for the tests to look at."""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from cookiecutter.main import cookiecutter

ROOT = Path(__file__).resolve().parents[1]
# What tools leave behind where the template is worked on. A clone has none of it.
LEAVINGS = ("__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv")


def copy_template(into: Path) -> None:
    """Copy what Cookiecutter reads of this repository, as a clone would have it."""
    shutil.copy(ROOT / "cookiecutter.json", into)
    for source in (ROOT / "hooks", *ROOT.glob("{{*}}")):
        shutil.copytree(source, into / source.name, ignore=shutil.ignore_patterns(*LEAVINGS))


REPOSITORY = Path(tempfile.mkdtemp(prefix="template-"))
atexit.register(shutil.rmtree, REPOSITORY, ignore_errors=True)
copy_template(REPOSITORY)
TEMPLATE = next(REPOSITORY.glob("{{*}}"))  # what becomes the project
SETTINGS: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
QUESTIONS = [name for name in SETTINGS if not name.startswith("_")]
CHOICES: dict[str, list[str]] = {
    name: value for name, value in SETTINGS.items() if name in QUESTIONS and type(value) is list
}
LATER = "none"  # leaves a part out
# `profile` decides other answers and `release_approval` one word of conf/gates.yml: each has tests of its own.
VARIED = {
    name: [value for value in values if value != LATER]
    for name, values in CHOICES.items()
    if name not in ("profile", "release_approval")
}
# Every combination of the others, under a name that a person can read; then what leaves parts out.
COMBINATIONS = {
    ", ".join(values): dict(zip(VARIED, values, strict=True))
    for values in itertools.product(*VARIED.values())
}
LEFT_OUT = {
    f"network {network}, pipelines {provider}": next(iter(COMBINATIONS.values()))
    | {"network": network, "ci_provider": provider}
    for network, provider in itertools.product(("none", "public"), CHOICES["ci_provider"])
    if LATER in (network, provider)
}
BOTH_ENDS = [next(iter(COMBINATIONS)), list(COMBINATIONS)[-1]]  # every value but those
COMBINATIONS |= LEFT_OUT


def files_below(folder: Path) -> list[str]:
    """Every file below a folder, relative and sorted."""
    paths = (path for path in folder.rglob("*") if not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


@dataclass(frozen=True)
class BakedProject:
    """A generated project."""

    path: Path

    @property
    def files(self) -> list[str]:
        """Every file, relative and sorted."""
        return files_below(self.path)

    @property
    def content(self) -> dict[str, tuple[bytes, int]]:
        """Every file with its bytes and its permissions."""
        return {
            name: ((self.path / name).read_bytes(), (self.path / name).stat().st_mode & 0o777)
            for name in self.files
        }

    def has(self, name: str) -> bool:
        """Whether the project has a file or folder of that name."""
        return (self.path / name).exists()

    def text(self, name: str) -> str:
        """Content of a text file."""
        return (self.path / name).read_text(encoding="utf-8")

    def yaml(self, name: str) -> Any:
        """Content of a YAML file."""
        return yaml.safe_load(self.text(name))

    def toml(self, name: str) -> dict[str, Any]:
        """Content of a TOML file."""
        return tomllib.loads(self.text(name))

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project."""
        return subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=False)


def bake(into: Path, **answers: object) -> BakedProject:
    """Make a project in the folder `into`, within this process.

    Raises:
        FailedHookException: the answers were refused; the reasons are on standard error.
    """
    return BakedProject(
        Path(
            cookiecutter(
                str(REPOSITORY), no_input=True, extra_context=answers, output_dir=str(into)
            )
        )
    )


def cookiecutter_command(
    into: Path, *arguments: str, typed: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in the folder `into`, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(REPOSITORY), *arguments],
        cwd=into,
        input=typed,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def hook(name: str) -> ModuleType:
    """A hook as a module, unrendered, so that its functions can be called."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
