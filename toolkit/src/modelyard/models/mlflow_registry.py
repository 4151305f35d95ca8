"""Versions in an MLflow registry, where a role is an alias, which is set by one write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelyard.models.version import Version
from modelyard.tracking import ensure_store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient


class MlflowModels:
    """One registered model of an MLflow registry."""

    def __init__(self, model: str, uri: str) -> None:
        from mlflow.tracking import MlflowClient

        self.model = model
        ensure_store(uri)
        self.client: MlflowClient = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def failed(self, error: Exception) -> bool:
        from mlflow.exceptions import MlflowException

        # Clients of artifact stores raise OSError, as requests does.
        return isinstance(error, MlflowException | OSError)

    def versions(self) -> list[Version]:
        return list(map(_version, self.client.search_model_versions(f"name = '{self.model}'")))

    def version(self, number: str) -> Version | None:
        from mlflow.exceptions import MlflowException

        try:
            return _version(self.client.get_model_version(self.model, number))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def source(self, run_id: str, artifact: str) -> str:
        return f"{self.client.get_run(run_id).info.artifact_uri}/{artifact}"

    def create(
        self, *, run_id: str, source: str, tags: Mapping[str, str], number: str | None = None
    ) -> Version:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(self.model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return _version(
            self.client.create_model_version(self.model, source, run_id, tags=dict(tags))
        )

    def tag(self, number: str, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self.client.set_model_version_tag(self.model, number, key, value)

    def holder(self, role: str) -> Version | None:
        from mlflow.exceptions import MlflowException

        try:
            aliases = self.client.get_registered_model(self.model).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return self.version(str(aliases[role])) if role in aliases else None

    def appoint(self, number: str, role: str) -> None:
        self.client.set_registered_model_alias(self.model, role, number)

    def dismiss(self, number: str, role: str) -> None:
        self.client.delete_registered_model_alias(self.model, role)


def _version(entity: ModelVersion) -> Version:
    return Version(
        name=entity.name,
        number=str(entity.version),
        run_id=str(entity.run_id),
        source=str(entity.source),
        tags=dict(entity.tags),
    )
