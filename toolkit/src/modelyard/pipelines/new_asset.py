"""Files of an environment and of a schedule that a project does not have yet."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.pipelines.azure_triggers import cron_mismatch
from modelyard.project import load_project
from modelyard.yaml_files import did_you_mean, read_yaml

NAME = r"[a-z][a-z0-9_-]{0,63}"
PINNED = r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?(\[[\w,-]+\])?==[\w.!+-]+"

ENVIRONMENT = """\
# A step names it `environment: azureml:{name}@latest`. On a laptop its pip packages are installed in an environment of their
# own, without the image. A step that imports modelyard stays in `train`, whose packages requirements/ pins.
$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
name: {name}
description: For steps that need packages of their own.
image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04
conda_file:
  dependencies:
    - python=3.11
    - pip
    - pip:
{packages}
"""

SCHEDULE = """\
# `mlops schedules --environment {environment}` creates it; without the tag it runs in every environment.
$schema: https://azuremlschemas.azureedge.net/latest/schedule.schema.json
name: {name}
display_name: {name}
description: Runs {job}.
tags:
  environments: {environment}
trigger:
  type: cron
  expression: {cron}
  time_zone: UTC
create_job:
  type: pipeline
  job: {reference}
"""


def environment_files(root: Path, name: str, packages: Sequence[str]) -> dict[Path, bytes]:
    """Describe an Azure ML environment with pip packages, each of one version.

    Raises:
        UsageError: the name cannot be used, or a package has no version.
    """
    _check_name(name, "an environment")
    if not packages or (loose := [one for one in packages if not re.fullmatch(PINNED, one)]):
        found = ", ".join(map(repr, loose)) if packages else "none"
        raise UsageError(
            f"each package is given with its version, such as --package lightgbm==4.6.0, found {found}"
        )
    lines = "\n".join(f"        - {json.dumps(one)}" for one in packages)
    path = root / "azureml" / "environments" / f"{name}.yml"
    return {path: ENVIRONMENT.format(name=name, packages=lines).encode()}


def schedule_files(
    root: Path, name: str, job: Path, cron: str, environment: str
) -> dict[Path, bytes]:
    """Describe a schedule that runs a pipeline by the clock, in UTC.

    Raises:
        UsageError: name, pipeline, expression or environment cannot be used.
    """
    _check_name(name, "a schedule")
    if message := cron_mismatch(cron):
        raise UsageError(f"--cron: {message}; every Monday at 3 is '0 3 * * 1'")
    known = load_project(root).environments
    if environment not in known:
        raise UsageError(
            f"conf/project.yml has no environment {environment}{did_you_mean(environment, known)}"
        )
    below = root / "azureml"
    place = job.resolve()
    if not place.is_relative_to(below) or place.suffix not in (".yml", ".yaml"):
        raise UsageError(f"{job} is no YAML file below {below}, where pipelines and jobs are")
    content = read_yaml(place, "name one of azureml/pipelines or azureml/jobs")
    if not isinstance(content, dict) or content.get("type", "pipeline") != "pipeline":
        raise UsageError(f"{job} is no pipeline; a schedule runs one of azureml/pipelines")
    text = SCHEDULE.format(
        name=name,
        environment=environment,
        cron=json.dumps(cron),
        job=place.relative_to(root).as_posix(),
        reference=f"../{place.relative_to(below).as_posix()}",
    )
    return {below / "schedules" / f"{name}.yml": text.encode()}


def _check_name(name: str, what: str) -> None:
    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"{what}'s name is lower-case letters, digits, hyphens and underscores, and begins with a letter, found {name!r}"
        )
