"""A model of conf/project.yml."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from modelyard.errors import UsageError
from modelyard.git import asked
from modelyard.yaml_files import Problem, did_you_mean, read_mapping, read_model

GIVEN = ("dev", "test", "prod")  # the environments that the template makes
# What only the infrastructure reads.
_OTHERS = {"organization", "tags"}
_RESOURCES = {"storage_account", "key_vault", "container_registry"}


class Environment(BaseModel):
    """An environment on Azure.

    Attributes:
        scoring_identity: name of the identity that its endpoint runs as; None: one of its own.
        region: where it is, if not where the others are.
        instance_type: of its online deployments, and `instance_count`, instead of those of the file.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    resource_group: str
    workspace: str
    endpoint: str
    scoring_identity: str | None = None
    region: str | None = None
    instance_type: str | None = None
    instance_count: int | None = None

    @property
    def base(self) -> str:
        """What the names of its resources have in common, as `base` in infra/main.bicep."""
        return self.workspace.removeprefix("mlw-")

    @property
    def function_app(self) -> str:
        """Name of the function app, as in infra/modules/events.bicep."""
        return f"func-{self.base}"


class Project(BaseModel):
    """The fields of conf/project.yml that `mlops` reads; others are for infrastructure."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str
    name: str
    package: str
    description: str = ""
    owner: str
    model: str
    region: str = ""
    registry: str | None = None
    environments: Mapping[str, Environment] = {}

    def environment(self, name: str) -> Environment:
        """Return an environment.

        Raises:
            UsageError: there is none of the name.
        """
        if name not in self.environments:
            known = ", ".join(self.environments) or "none"
            raise UsageError(f"conf/project.yml has no environment {name!r}; it has: {known}")
        return self.environments[name]

    def region_of(self, environment: str) -> str:
        """Return the region of an environment: its own, or that of the project."""
        return self.environments[environment].region or self.region


def unknown_keys(root: Path) -> list[Problem]:
    """Find keys of conf/project.yml that neither `mlops` nor the infrastructure reads.

    Raises:
        UsageError: as of `read_project`.
    """
    path = root / "conf" / "project.yml"
    environments = read_project(path).environments
    content = read_mapping(path)
    places = [(content, Project.model_fields.keys() | _OTHERS)]
    known = Environment.model_fields.keys() | _RESOURCES
    places += [(content["environments"][name], known) for name in environments]
    return [
        Problem(path, place.line_of(key), f"{key}: no such field{did_you_mean(str(key), fields)}")
        for place, fields in places
        for key in place
        if key not in fields
    ]


def load_project(root: Path) -> Project:
    """Read conf/project.yml of the project at `root`."""
    return read_project(root / "conf" / "project.yml")


def read_project(path: Path) -> Project:
    """Read a project file.

    Raises:
        UsageError: the file is missing, is not YAML, or lacks a field.
    """
    return read_model(path, Project)


def endpoint_folder(root: Path, endpoint: str) -> Path:
    """Return the folder with the state of an online endpoint and its releases."""
    return root / ".endpoints" / endpoint


def author(root: Path) -> str:
    """Return who acts: the actor of the CI run, else the author in git's settings, else the user."""
    for name in ("GITHUB_ACTOR", "BUILD_REQUESTEDFOR"):
        if os.environ.get(name):
            return os.environ[name]
    if known := asked(root, "config", "user.name"):
        return known
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"


def pull_request(given: Mapping[str, str] = os.environ) -> str | None:
    """Return the number of the pull request that this CI job belongs to; None for any other process."""
    kind, _, rest = given.get("GITHUB_REF", "").removeprefix("refs/").partition("/")
    if kind == "pull":
        return rest.partition("/")[0]
    return given.get("SYSTEM_PULLREQUEST_PULLREQUESTID") or None


def origin() -> str:
    """Return where this process runs: the address of the CI run, else the name of the machine."""
    given = os.environ.get
    if given("GITHUB_RUN_ID"):
        place = f"{given('GITHUB_SERVER_URL')}/{given('GITHUB_REPOSITORY')}"
        return f"{place}/actions/runs/{given('GITHUB_RUN_ID')}"
    if given("BUILD_BUILDID"):
        place = f"{given('SYSTEM_COLLECTIONURI')}{given('SYSTEM_TEAMPROJECT')}"
        return f"{place}/_build/results?buildId={given('BUILD_BUILDID')}"
    return platform.node() or "an unnamed machine"
