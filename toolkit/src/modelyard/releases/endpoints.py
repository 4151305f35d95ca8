"""Opening an endpoint by name: a local one, or that of an environment of conf/project.yml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.models.registry import registry_of
from modelyard.project import load_project
from modelyard.releases.endpoint import Endpoint

if TYPE_CHECKING:
    from modelyard.releases.local_endpoint import LocalEndpoint

LOCAL = "local"


def open_endpoint(root: Path, name: str) -> Endpoint:
    """Return the endpoint of an environment of conf/project.yml, else a local one; start nothing."""
    if name in load_project(root).environments:
        from modelyard.releases.azure_endpoint import AzureEndpoint

        return AzureEndpoint.of_environment(root, name)
    return open_local(root, name)


def open_local(root: Path, name: str = LOCAL) -> LocalEndpoint:
    """Return a local endpoint; start nothing."""
    from modelyard.releases.local_endpoint import LocalEndpoint
    from modelyard.serving.server import start_server

    def download(version: str, target: Path) -> Path:
        registry = registry_of(root)
        return registry.download(registry.version(version), "model", target)

    return LocalEndpoint(
        root, name, model=load_project(root).model, start=start_server, download=download
    )
