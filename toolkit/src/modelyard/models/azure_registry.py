"""Versions in an Azure ML workspace, which has no aliases: roles are numbered tags.

Giving a role to a version writes one tag on it, `champion_turn` or `challenger_turn`, with a number
higher than any before; the version with the highest number has the role. So a role changes with one
write, and at no moment do two versions have it or none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelyard.azure import credential, or_none
from modelyard.errors import UsageError
from modelyard.models.version import Version

if TYPE_CHECKING:
    from azure.ai.ml.entities import Model
    from mlflow.tracking import MlflowClient

_RUN = "mlops.run_id"  # a property, which unlike a tag is not edited
_WORKSPACE = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/([^/?]+)",
    re.IGNORECASE,
)
_ATTEMPTS = 5


class AzureModels:
    """One model of an Azure ML workspace."""

    def __init__(self, model: str, uri: str) -> None:
        place = _WORKSPACE.search(uri)
        if place is None:
            raise UsageError(
                "MLFLOW_TRACKING_URI begins with azureml: but names no workspace; expected what "
                "`az ml workspace show --query mlflow_tracking_uri` prints"
            )
        try:
            import azureml.mlflow  # noqa: F401 (found by MLflow; fails here, not later)
            from azure.ai.ml import MLClient
        except ImportError:
            raise UsageError(
                "MLFLOW_TRACKING_URI is an Azure ML workspace; the packages for it are in "
                "requirements/cloud.txt, which has an environment of its own"
            ) from None
        from mlflow.tracking import MlflowClient

        self.model = model
        self.client: MlflowClient = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.models = MLClient(credential(), *place.groups()).models

    def failed(self, error: Exception) -> bool:
        from azure.ai.ml.exceptions import MlException
        from azure.core.exceptions import AzureError
        from mlflow.exceptions import MlflowException

        # azureml-mlflow raises plain exceptions when an artifact cannot be written or read.
        plain = type(error) is Exception
        return plain or isinstance(error, MlException | AzureError | MlflowException | OSError)

    def versions(self) -> list[Version]:
        found = or_none(lambda: list(self.models.list(name=self.model))) or []
        return [_version(one) for one in found if str(one.version).isdecimal()]

    def version(self, number: str) -> Version | None:
        found = or_none(lambda: self.models.get(name=self.model, version=number))
        return None if found is None else _version(found)

    def source(self, run_id: str, artifact: str) -> str:
        return f"azureml://jobs/{run_id}/outputs/artifacts/paths/{artifact}/"

    def create(
        self, *, run_id: str, source: str, tags: Mapping[str, str], number: str | None = None
    ) -> Version:
        from azure.ai.ml.entities import Model
        from azure.ai.ml.exceptions import AssetPathException
        from azure.core.exceptions import HttpResponseError

        attempts = _ATTEMPTS
        while True:
            asked = Model(
                name=self.model,
                version=number,
                path=source,
                type="mlflow_model",
                tags=dict(tags),
                properties={_RUN: run_id},
            )
            try:
                return _version(self.models.create_or_update(asked))
            except (AssetPathException, HttpResponseError):
                # The SDK reads the next number, then uses it; another process may have been faster.
                attempts -= 1
                if (
                    number
                    or not attempts
                    or not asked.version
                    or self.version(str(asked.version)) is None
                ):
                    raise

    def tag(self, number: str, tags: Mapping[str, str]) -> None:
        model = self.models.get(name=self.model, version=number)
        model.tags = {**(model.tags or {}), **tags}
        self.models.create_or_update(model)

    def holder(self, role: str) -> Version | None:
        # Oldest first: of two with the same turn the later one counts.
        by_number = sorted(self.versions(), key=lambda version: int(version.number))
        turns = {_turn(version, role): version for version in by_number}
        highest = max(turns, default=0)
        if not highest or turns[highest].tags.get(_ended(role)) == str(highest):
            return None
        return turns[highest]

    def appoint(self, number: str, role: str) -> None:
        highest = max((_turn(version, role) for version in self.versions()), default=0)
        self.tag(number, {_tag(role): str(highest + 1)})

    def dismiss(self, number: str, role: str) -> None:
        turn = self.models.get(name=self.model, version=number).tags[_tag(role)]
        self.tag(number, {_ended(role): turn})


def _tag(role: str) -> str:
    return f"{role}_turn"


def _ended(role: str) -> str:
    """Name the tag with the last turn of a version that was dismissed."""
    return f"{_tag(role)}_ended"


def _turn(version: Version, role: str) -> int:
    text = version.tags.get(_tag(role), "")
    return int(text) if text.isdecimal() else 0


def _version(model: Model) -> Version:
    properties: Mapping[str, Any] = model.properties or {}
    return Version(
        name=str(model.name),
        number=str(model.version),
        run_id=str(properties.get(_RUN) or model.job_name or ""),
        source=str(model.path),
        tags=dict(model.tags or {}),
    )
