"""What a project has to show for itself: files, the registry, and the champion's evidence; and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from modelyard.evidence import Evidence, read_anonymity
from modelyard.files import has_file, read_json, read_text
from modelyard.gates import Gates, load_gates
from modelyard.git import asked
from modelyard.models.registry import registered, versions_in_sqlite
from modelyard.models.version import Version
from modelyard.project import Project, load_project
from modelyard.tracking import tracking_uri


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        is_met: None where it is not known: nobody has answered, or there is no evidence yet.
        said: in words.
        remedy: a command, where it is another than the criterion's.
    """

    is_met: bool | None
    said: str
    remedy: str | None = None


def says_something(path: Path) -> bool:
    """Whether there is a file with more than blanks and comments in it."""
    lines = (line.strip() for line in read_text(path).splitlines()) if has_file(path) else ()
    return any(line and not line.startswith(("#", "//")) for line in lines)


class _Signal(BaseModel):
    verdict: str


class _Monitored(BaseModel):
    at: str
    signals: dict[str, _Signal]
    model: dict[str, Any] = {}


class Monitored(BaseModel):
    """What is read of monitor.json."""

    details: _Monitored


class Reproduced(BaseModel):
    """What is read of reproduction.json."""

    version: str
    at: str
    evidence: Annotated[dict[str, str], Field(min_length=1)]


class _Period(BaseModel):
    failed: int


class Rehearsed(BaseModel):
    """What is read of drill.json."""

    periods: Annotated[list[_Period], Field(min_length=1)]


@dataclass
class Seen:
    """A project as readiness sees it; everything is read once, when it is asked for.

    Attributes:
        uri: of an embedded store, which is read without MLflow; default: the registry that the project uses here.
    """

    root: Path
    uri: str | None = None

    @cached_property
    def project(self) -> Project:
        """conf/project.yml."""
        return load_project(self.root)

    @cached_property
    def gates(self) -> Gates:
        """conf/gates.yml."""
        return load_gates(self.root / "conf" / "gates.yml")

    @cached_property
    def has_remote(self) -> bool:
        """Whether the repository has a remote, where pipelines run."""
        return bool(asked(self.root, "remote"))

    def lacks(self, *paths: str) -> str | None:
        """Return the first of these files that is lacking, or says nothing; None where all are there."""
        return next((path for path in paths if not says_something(self.root / path)), None)

    def newest(self, pattern: str) -> Path | None:
        """Return the newest file of a pattern."""
        return max(self.root.glob(pattern), key=lambda one: one.stat().st_mtime, default=None)

    @cached_property
    def pipelines(self) -> Path | None:
        """The folder of the provider's pipelines."""
        folders = (self.root / ".github" / "workflows", self.root / ".azuredevops")
        return next((one for one in folders if one.is_dir()), None)

    @cached_property
    def registered(self) -> tuple[list[Version], Version | None]:
        """Registered versions, newest first, and the champion."""
        if self.uri:
            return versions_in_sqlite(self.uri, self.project.model)
        return registered(self.project.model, tracking_uri(self.root))

    @property
    def versions(self) -> list[Version]:
        """Registered versions, newest first."""
        return self.registered[0]

    @property
    def champion(self) -> Version | None:
        """The champion."""
        return self.registered[1]

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """Evidence of the champion and of the table, by kind; nothing where there is none here."""
        if self.champion is None:
            return {}
        folder = (
            self.root / ".mlflow" / "decisions" / f"{self.champion.name}-v{self.champion.number}"
        )
        found: dict[str, Any] = read_anonymity(self.root)
        for file in folder.glob("evidence/*.json"):
            found[file.stem] = read_json(file, Evidence)
        return found
