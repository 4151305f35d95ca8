"""Versions of a registered model, and the roles that they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CHAMPION, CHALLENGER, RETIRED = "champion", "challenger", "retired"
PULL_REQUEST = "pull request"  # and its number: a version of what is not merged, which nobody promotes by default
DATA_FILE = "dataset_sha256"  # a version's tag: digest of the file that it was trained on


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Attributes:
        number: as text, as registries have it.
        run_id: of the MLflow run that it comes from.
        source: address of the model's files.
    """

    name: str
    number: str
    run_id: str
    source: str
    tags: Mapping[str, str]

    @property
    def previous_champion(self) -> str | None:
        """The version that was champion before this one was promoted."""
        return self.tags.get("previous_champion") or None
