"""Environments and data assets of azureml/, registered once in a workspace: the version is the content's digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelyard.azure import Workspace, azure_errors, or_none
from modelyard.errors import UsageError
from modelyard.files import digest, digest_files
from modelyard.yaml_files import read_mapping

_LATEST = re.compile(r"(azureml:)?([A-Za-z0-9][\w.-]*)@latest")
VERSION_LENGTH = 16  # of a digest as a version; Azure ML takes 30 characters
BEFORE = "before"  # tag of a version of the data: the one that it follows
Say = Callable[[str], None]


def pin_environment(root: Path, workspace: Workspace, reference: str, say: Say) -> str:
    """Return an environment by version; one of azureml/environments is registered unless it is there.

    Args:
        root: the project.
        workspace: to register it in.
        reference: as files have it; `azureml:NAME@latest` is replaced.
        say: gets a line about what was registered.
    """
    match, file = _LATEST.fullmatch(reference), environment_file(root, reference)
    if match is None or file is None:
        return reference
    from azure.ai.ml import load_environment

    context = file.parent / str(read_mapping(file).get("build", {}).get("path", "."))
    both = f"{digest(file)}{context_digest(context)}"
    version = hashlib.sha256(both.encode()).hexdigest()[:VERSION_LENGTH]
    if not exists(workspace.client.environments, match[2], version):
        environment = load_environment(file, params_override=[{"version": version}])
        with azure_errors():
            workspace.client.environments.create_or_update(environment)
        say(f"environment {match[2]}:{version} is registered")
    return f"{match[1] or ''}{match[2]}:{version}"


def environment_file(root: Path, reference: str) -> Path | None:
    """Find the file in azureml/environments of `azureml:NAME@latest`; None for any other reference."""
    match = _LATEST.fullmatch(reference)
    return _file(root / "azureml" / "environments", match[2]) if match else None


def context_digest(folder: Path) -> str:
    """Compute the digest of the folder that an image is built from, without what Python compiled there."""
    base = folder.resolve()
    files = [
        one for one in sorted(base.rglob("*")) if one.is_file() and "__pycache__" not in one.parts
    ]
    return digest_files(files, base)


def pin_data(root: Path, workspace: Workspace, reference: str, say: Say) -> str:
    """Return a data asset by version; a table that is on this machine is registered unless it is there.

    Where rows have been added to that table since, in the workspace, the latest of those versions counts.

    Raises:
        UsageError: the asset is neither on this machine nor in the workspace.
    """
    match = _LATEST.fullmatch(reference)
    if match is None:
        return reference
    from azure.ai.ml import load_data

    name, data = match[2], workspace.client.data
    file = _file(root / "azureml" / "data", name)
    path = str(read_mapping(file)["path"]) if file is not None else ""
    here = (file.parent / path).resolve() if file is not None and "://" not in path else None
    if file is not None and here is not None and here.exists():
        version = digest(here)[:VERSION_LENGTH]
        if not exists(data, name, version):
            with azure_errors():
                data.create_or_update(load_data(file, params_override=[{"version": version}]))
            say(f"data {name}:{version} is registered")
        elif (newest := _follower(data, name, version)) is not None:
            say(
                f"data {name}:{newest} is {name}:{version} of this machine with rows that were added since"
            )
            version = newest
        return f"{match[1] or ''}{name}:{version}"
    with azure_errors():
        found: Any = or_none(lambda: data.get(name, label="latest"))
    if found is None:
        raise UsageError(
            f"{workspace.names.workspace} has no data asset {name}, and {here or path or 'azureml/data'} "
            "is not on this machine: register it there, or run this where the table is"
        )
    say(f"data {name}:{found.version} is the workspace's latest")
    return f"{match[1] or ''}{name}:{found.version}"


def _follower(operations: Any, name: str, version: str) -> str | None:
    """Return the latest version of a data asset where it follows this one; None where it does not."""
    with azure_errors():
        newest = one = operations.get(name, label="latest")
        while (before := (one.tags or {}).get(BEFORE)) not in (None, version):
            one = operations.get(name, version=before)
    return str(newest.version) if before == version else None


def _file(folder: Path, name: str) -> Path | None:
    """Find the file that describes an asset."""
    for file in sorted(folder.glob("*.yml")):
        if read_mapping(file).get("name") == name:
            return file
    return None


def exists(operations: Any, name: str, version: str) -> bool:
    """Whether an asset has this version."""
    with azure_errors():
        return or_none(lambda: operations.get(name=name, version=version)) is not None
