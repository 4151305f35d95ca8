"""The batch endpoint of an environment, with the champion of its workspace."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from modelyard.azure import Workspace, azure_errors, or_none, patiently
from modelyard.delivery.share import SERVE
from modelyard.errors import UsageError
from modelyard.files import has_file
from modelyard.models.adoption import ENVIRONMENT
from modelyard.models.assets import Say, pin_environment
from modelyard.models.registry import Registry
from modelyard.models.version import CHAMPION
from modelyard.project import Project
from modelyard.releases.azure_endpoint import FOLDER, VERSION_TAG
from modelyard.yaml_files import read_mapping

_SUFFIX = "-b"  # as azureml/endpoints/batch-endpoint.yml has it: names are unique in a region


def deploy_batch(root: Path, project: Project, workspace: Workspace, say: Say) -> str:
    """Create or update the batch endpoint, so that it scores with the champion; return its number.

    Raises:
        UsageError: there is no champion, or the project has no batch endpoint.
        AzureFailed: Azure refuses it.
    """
    from azure.ai.ml import load_batch_endpoint
    from azure.ai.ml.entities._load_functions import load_model_batch_deployment

    files = root / FOLDER
    if not has_file(files / "batch-deployment.yml"):
        raise UsageError(
            f"{FOLDER / 'batch-deployment.yml'} does not exist: there is no batch endpoint"
        )
    champion = Registry(project.model, workspace.tracking_uri).holder(CHAMPION)
    if champion is None:
        raise UsageError(
            f"model `{project.model}` has no champion in {workspace.names.workspace}; a release or "
            "`mlops promote` makes one"
        )
    name = f"{workspace.names.endpoint}{_SUFFIX}"
    endpoints, deployments = workspace.client.batch_endpoints, workspace.client.batch_deployments
    endpoint = _there(endpoints, name)
    if endpoint is None:
        endpoint = load_batch_endpoint(
            files / "batch-endpoint.yml", params_override=[{"name": name}]
        )
        patiently(lambda: endpoints.begin_create_or_update(endpoint).result())
        say(f"batch endpoint {name} is created")
    file = files / "batch-deployment.yml"
    deployment = str(read_mapping(file)["name"])
    environment = champion.tags.get(ENVIRONMENT) or pin_environment(root, workspace, SERVE, say)
    known = _there(deployments, deployment, name)
    if known is None or (known.tags or {}).get(VERSION_TAG) != champion.number:
        wanted: Any = load_model_batch_deployment(
            file,
            params_override=[
                {"endpoint_name": name},
                {"model": f"azureml:{project.model}:{champion.number}"},
                {"environment": environment},
                {f"tags.{VERSION_TAG}": champion.number},
            ],
        )
        patiently(lambda: deployments.begin_create_or_update(wanted).result())
        say(f"{name}/{deployment} scores with v{champion.number}")
    endpoint = _there(endpoints, name)
    default = endpoint.defaults or {}
    if isinstance(default, dict):  # as it is loaded; from Azure it is an object
        default = SimpleNamespace(deployment_name=default.get("deployment_name"))
    if default.deployment_name != deployment:
        endpoint.defaults = {"deployment_name": deployment}
        patiently(lambda: endpoints.begin_create_or_update(endpoint).result())
    return champion.number


def _there(operations: Any, *names: str) -> Any:
    """Read an endpoint or a deployment; None: there is none."""
    with azure_errors():
        return or_none(lambda: operations.get(*names))
