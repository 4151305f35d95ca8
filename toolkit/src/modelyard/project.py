"""A model of conf/project.yml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from modelyard.files import project_root
from modelyard.yaml_files import read_model


class Environment(BaseModel):
    """An environment on Azure."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    resource_group: str
    workspace: str
    endpoint: str


class Project(BaseModel):
    """The fields of conf/project.yml that `mlops` reads; others are for infrastructure."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str
    name: str
    package: str
    description: str = ""
    owner: str
    model: str
    environments: Mapping[str, Environment] = {}


def load_project(root: Path | None = None) -> Project:
    """Read conf/project.yml of the project at `root` (default: the one around the working folder)."""
    return read_project((root or project_root()) / "conf" / "project.yml")


def read_project(path: Path) -> Project:
    """Read a project file.

    Raises:
        UsageError: the file is missing, is not YAML, or lacks a field.
    """
    return read_model(path, Project)


def endpoint_folder(root: Path, endpoint: str) -> Path:
    """Return the folder with the state of an online endpoint and its releases."""
    return root / ".endpoints" / endpoint
