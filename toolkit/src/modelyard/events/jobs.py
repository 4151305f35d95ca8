"""Jobs in the Azure ML workspace, started from the project's pipeline files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.azure import WHERE, or_none

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Job
    from azure.core.credentials import TokenCredential

    from modelyard.events.settings import Settings


class AzureJobs:
    """Jobs of an Azure ML workspace."""

    def __init__(self, settings: Settings, credential: TokenCredential) -> None:
        self._settings = settings
        self._credential = credential

    @cached_property
    def _client(self) -> MLClient:
        from azure.ai.ml import MLClient  # notices need no client, and its import takes seconds

        at = self._settings
        return MLClient(self._credential, at.subscription_id, at.resource_group, at.workspace)

    def exists(self, name: str) -> bool:
        """Whether there is a job of this name, in any state."""
        return or_none(lambda: self._client.jobs.get(name)) is not None

    def submit(
        self, pipeline: str, name: str, inputs: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        """Start a pipeline unless there is a job of this name.

        Args:
            pipeline: name of the file in azureml/jobs or azureml/pipelines, without its suffix.
            name: of the job; names are unique in a workspace.
            inputs: paths that replace those of the file, by name of the input.
            tags: added to those of the file.
        """
        from azure.core.exceptions import HttpResponseError

        if self.exists(name):
            return
        job = load_pipeline(self._settings.project, pipeline, name, inputs, tags)
        steps: Any = getattr(job, "jobs", {})
        for step in steps.values():
            if WHERE in (step.environment_variables or {}):
                step.environment_variables[WHERE] = self._settings.environment
        try:
            self._client.jobs.create_or_update(job)
        except HttpResponseError:
            if not self.exists(name):  # else another process has started it
                raise


def load_pipeline(
    project: Path, pipeline: str, name: str, inputs: Mapping[str, str], tags: Mapping[str, str]
) -> Job:
    """Load the job of a pipeline file; see `AzureJobs.submit`."""
    from azure.ai.ml import load_job

    changes: list[dict[str, Any]] = [{"name": name}]
    changes += [{f"inputs.{key}.path": path} for key, path in inputs.items()]
    changes += [{f"tags.{key}": value} for key, value in tags.items()]
    folders = (project / "azureml" / folder for folder in ("jobs", "pipelines"))
    files = [folder / f"{pipeline}.yml" for folder in folders]
    return load_job(next((f for f in files if f.is_file()), files[-1]), params_override=changes)
