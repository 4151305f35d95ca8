"""Settings of the function app (infra/modules/events.bicep)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelyard.errors import UsageError
from modelyard.project import load_project

PREFIX = "EVENTS_"


class Settings(BaseModel):
    """The app's settings; the variables are `EVENTS_` and the name in capitals.

    Attributes:
        client_id: of the app's identity.
        subscription_id: of the workspace.
        resource_group: of the workspace.
        workspace: its name.
        environment: dev, test or prod.
        state: address of the blob container with the ledger.
        cool_down_days: days after the start of a retraining in which a breach starts no other.
        project: folder with azureml/, conf/ and src/.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    client_id: str
    subscription_id: str
    resource_group: str
    workspace: str
    environment: str
    state: Annotated[str, Field(pattern="^https://")]
    cool_down_days: Annotated[float, Field(ge=0, le=365)] = 7
    project: Path

    @property
    def cool_down(self) -> timedelta:
        """The time after the start of a retraining in which a breach starts no other."""
        return timedelta(days=self.cool_down_days)

    @property
    def model(self) -> str:
        """Name of the project's registered model.

        Raises:
            UsageError: conf/project.yml is missing or does not name it.
        """
        return load_project(self.project).model


def read_settings(environment: Mapping[str, str], project: Path) -> Settings:
    """Read the settings of the function app.

    Args:
        environment: environment variables.
        project: folder of the project, unless EVENTS_PROJECT is set.

    Raises:
        UsageError: naming every setting that is missing or wrong.
    """
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX)
    }
    try:
        return Settings.model_validate({"project": project} | given)
    except ValidationError as error:
        lines = (
            f"{PREFIX}{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        )
        raise UsageError("; ".join(lines)) from None
