"""What the function app is told by its settings (infra/modules/events.bicep) and by the project."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelyard.yaml_files import read_yaml

PREFIX = "EVENTS_"


class SettingsError(Exception):
    """A setting is missing or wrong."""


class Settings(BaseModel):
    """The app's settings, `EVENTS_` and the name in capitals.

    Attributes:
        client_id: of the identity to act as.
        subscription_id: of the workspace.
        resource_group: of the workspace.
        workspace: its name.
        environment: dev, test or prod.
        state: address of the container with the ledger.
        cool_down_days: days after a retraining was started in which no other breach starts one.
        project: folder with azureml/, conf/, mlops/ and src/.
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
        """How long after a retraining no other is started."""
        return timedelta(days=self.cool_down_days)

    @property
    def model(self) -> str:
        """Name of the project's registered model.

        Raises:
            SettingsError: conf/project.yml is missing or says none.
        """
        path = self.project / "conf" / "project.yml"
        try:
            return str(read_yaml(path)["model"])
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise SettingsError(f"{path} does not name the model: {error}") from None


def read_settings(environment: Mapping[str, str], project: Path) -> Settings:
    """Read the settings of the function app.

    Args:
        environment: environment variables.
        project: where the project is, unless EVENTS_PROJECT says.

    Raises:
        SettingsError: with every one that is missing or wrong.
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
        raise SettingsError("; ".join(lines)) from None
