"""Deploys infra/ with the Azure CLI. Everything here needs Azure, and the rights for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.errors import CheckFailed, UsageError
from modelyard.project import Environment, load_project
from modelyard.yaml_files import read_yaml

AT_ONCE = 600  # seconds for a question; a deployment itself takes as long as it takes


def deploy(
    root: Path,
    environment: str,
    *,
    what_if: bool = False,
    as_administrator: bool = False,
    confirm: str | None = None,
    settings: Mapping[str, str] = os.environ,
) -> None:
    """Deploy one environment, or show what that would change.

    Args:
        root: of the project.
        environment: one of conf/project.yml.
        what_if: change nothing.
        as_administrator: make the resource group where it is missing, and deploy roles, policies and
            locks as well.
        confirm: the resource group's name: an administrator's word that prod is meant.
        settings: environment variables; CI=true where a pipeline runs.

    Raises:
        UsageError: the environment is unknown, prod is not meant, or the Azure CLI is not ready.
        CheckFailed: Azure refused.
    """
    target = _environment(root, environment)
    group = target.resource_group
    parameters = root / "infra" / f"{environment}.bicepparam"
    if not parameters.is_file():
        raise UsageError(f"{parameters} does not exist; restore it from git")
    if environment == "prod" and not what_if and settings.get("CI") != "true":
        _may_touch_prod(group, as_administrator=as_administrator, confirm=confirm)
    azure = _azure()
    if as_administrator:
        _make_group(azure, root, environment, group, what_if=what_if)
    verb = "what-if" if what_if else "create"
    command = [azure, "deployment", "group", verb, "--name", f"infra-{environment}"]
    command += ["--resource-group", group, "--parameters", str(parameters)]
    command += ["--parameters", "asAdministrator=true"] if as_administrator else []
    command += [] if what_if else ["--query", "properties.outputs"]
    print(f"{'looking at' if what_if else 'deploying to'} {group}", flush=True)
    done = subprocess.run(command, cwd=root, check=False)  # noqa: S603 (the Azure CLI of this machine)
    if done.returncode:
        raise CheckFailed(f"Azure refused (exit code {done.returncode}); its reason is above")


def _environment(root: Path, name: str) -> Environment:
    known = load_project(root).environments
    if name not in known:
        raise UsageError(
            f"conf/project.yml has no environment {name!r}; it has: {', '.join(known)}"
        )
    return known[name]


def _may_touch_prod(group: str, *, as_administrator: bool, confirm: str | None) -> None:
    if not as_administrator:
        raise UsageError(
            "prod is deployed by the pipeline (CI=true), not from a laptop; "
            "what-if shows what would change"
        )
    if confirm != group:
        raise UsageError(
            f"roles, policies and locks of prod: confirm with the resource group's name, {group}"
        )


def _azure() -> str:
    azure = shutil.which("az")
    if azure is None:
        raise UsageError("this needs Azure and its CLI: https://aka.ms/azure-cli, then az login")
    if _asked(azure, "account", "show").returncode:
        raise UsageError("the Azure CLI is not signed in; az login, then az account set")
    return azure


def _make_group(azure: str, root: Path, environment: str, group: str, *, what_if: bool) -> None:
    said = _asked(azure, "group", "exists", "--name", group)
    if said.returncode:
        raise CheckFailed(f"Azure does not say whether {group} is there: {said.stderr.strip()}")
    if said.stdout.strip() == "true":
        return
    if what_if:
        raise CheckFailed(f"{group} is not there yet; deploying as administrator makes it")
    given = read_yaml((root / "conf" / "project.yml"))
    tags = _tags(given, environment)
    words = ["group", "create", "--name", group, "--location", given["region"], "--tags"]
    done = _asked(azure, *words, *(f"{name}={value}" for name, value in tags.items()))
    if done.returncode:
        raise CheckFailed(f"{group} cannot be made: {done.stderr.strip()}")
    print(f"made {json.loads(done.stdout or '{}').get('id', group)}", flush=True)


def _tags(given: dict[str, Any], environment: str) -> dict[str, str]:
    """The tags that main.bicep gives every resource."""
    organization = str(given["organization"])
    return {"cost_center": organization} | dict(given["tags"]) | {"environment": environment}


def _asked(azure: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (the Azure CLI of this machine)
        [azure, *words], capture_output=True, text=True, timeout=AT_ONCE, check=False
    )
