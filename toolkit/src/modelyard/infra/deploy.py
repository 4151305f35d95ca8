"""Deployment of infra/ with the Azure CLI; needs an Azure subscription and the permissions for it."""

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

TIMEOUT = 600  # seconds for a query; a deployment has no limit


def deploy(
    root: Path,
    environment: str,
    *,
    what_if: bool = False,
    as_administrator: bool = False,
    confirm: str | None = None,
    settings: Mapping[str, str] = os.environ,
) -> None:
    """Deploy one environment, or show what a deployment would change.

    Args:
        root: of the project.
        environment: one of conf/project.yml.
        what_if: change nothing.
        as_administrator: create the resource group if it is missing, and deploy roles, policies and
            locks as well.
        confirm: the resource group's name; an administrator has to give it for prod.
        settings: environment variables; CI=true in a CI pipeline.

    Raises:
        UsageError: the environment is unknown, prod is not confirmed, or the Azure CLI is not ready.
        CheckFailed: Azure refused the deployment.
    """
    target = _environment(root, environment)
    group = target.resource_group
    parameters = root / "infra" / f"{environment}.bicepparam"
    if not parameters.is_file():
        raise UsageError(f"{parameters} does not exist; restore it from git")
    if environment == "prod" and not what_if and settings.get("CI") != "true":
        _check_prod(group, as_administrator=as_administrator, confirm=confirm)
    azure = _azure()
    if as_administrator:
        _create_group(azure, root, environment, group, what_if=what_if)
    verb = "what-if" if what_if else "create"
    command = [azure, "deployment", "group", verb, "--name", f"infra-{environment}"]
    command += ["--resource-group", group, "--parameters", str(parameters)]
    command += ["--parameters", "asAdministrator=true"] if as_administrator else []
    command += [] if what_if else ["--query", "properties.outputs"]
    print(f"{'comparing with' if what_if else 'deploying to'} {group}", flush=True)
    done = subprocess.run(command, cwd=root, check=False)  # noqa: S603 (the installed Azure CLI)
    if done.returncode:
        raise CheckFailed(
            f"Azure refused the deployment (exit code {done.returncode}); its reason is above"
        )


def _environment(root: Path, name: str) -> Environment:
    known = load_project(root).environments
    if name not in known:
        raise UsageError(
            f"conf/project.yml has no environment {name!r}; it has: {', '.join(known)}"
        )
    return known[name]


def _check_prod(group: str, *, as_administrator: bool, confirm: str | None) -> None:
    if not as_administrator:
        raise UsageError(
            "prod is deployed by the pipeline (CI=true), not from a laptop; "
            "what-if shows what would change"
        )
    if confirm != group:
        raise UsageError(
            f"to deploy roles, policies and locks to prod, confirm with the resource group's name, {group}"
        )


def _azure() -> str:
    azure = shutil.which("az")
    if azure is None:
        raise UsageError("the Azure CLI is not installed: https://aka.ms/azure-cli, then az login")
    if _query(azure, "account", "show").returncode:
        raise UsageError("the Azure CLI is not signed in; az login, then az account set")
    return azure


def _create_group(azure: str, root: Path, environment: str, group: str, *, what_if: bool) -> None:
    exists = _query(azure, "group", "exists", "--name", group)
    if exists.returncode:
        raise CheckFailed(f"az group exists --name {group} failed: {exists.stderr.strip()}")
    if exists.stdout.strip() == "true":
        return
    if what_if:
        raise CheckFailed(f"{group} does not exist yet; a deployment as administrator creates it")
    given = read_yaml(root / "conf" / "project.yml")
    tags = _tags(given, environment)
    words = ["group", "create", "--name", group, "--location", given["region"], "--tags"]
    done = _query(azure, *words, *(f"{name}={value}" for name, value in tags.items()))
    if done.returncode:
        raise CheckFailed(f"{group} cannot be created: {done.stderr.strip()}")
    print(f"created {json.loads(done.stdout or '{}').get('id', group)}", flush=True)


def _tags(given: dict[str, Any], environment: str) -> dict[str, str]:
    """Return the tags that main.bicep gives every resource."""
    organization = str(given["organization"])
    return {"cost_center": organization} | dict(given["tags"]) | {"environment": environment}


def _query(azure: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (the installed Azure CLI)
        [azure, *words], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
