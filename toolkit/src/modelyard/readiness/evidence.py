"""What a project has to show for itself: files, the registry, and the champion's evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError
from modelyard.evaluation.anonymity import kept
from modelyard.files import read_json
from modelyard.gates import Gates, load_gates
from modelyard.models.registry import Registry
from modelyard.models.version import CHAMPION, Version
from modelyard.project import Project, load_project
from modelyard.tracking import local_store, tracking_uri


@dataclass
class Seen:
    """A project as readiness sees it; what is slow is read once, when it is asked for."""

    root: Path
    project: Project = field(init=False)
    gates: Gates = field(init=False)

    def __post_init__(self) -> None:
        self.project = load_project(self.root)
        self.gates = load_gates(self.root / "conf" / "gates.yml")

    def has(self, *paths: str) -> str | None:
        """Return the first of these paths that is lacking, None where all are there."""
        return next((path for path in paths if not (self.root / path).exists()), None)

    def newest(self, pattern: str) -> Path | None:
        """Return the newest file of a pattern."""
        return max(self.root.glob(pattern), key=lambda one: one.stat().st_mtime, default=None)

    @cached_property
    def pipelines(self) -> Path | None:
        """The folder of the provider's pipelines."""
        folders = (self.root / ".github" / "workflows", self.root / ".azuredevops")
        return next((one for one in folders if one.is_dir()), None)

    @cached_property
    def registry(self) -> Registry | None:
        """The registry; None where nothing was ever trained here."""
        uri = tracking_uri(self.root)
        if uri.startswith("sqlite:") and not local_store(self.root).is_file():
            return None
        return Registry(self.project.model, uri)

    @cached_property
    def versions(self) -> list[Version]:
        """Registered versions, newest first."""
        return list(self.registry.versions()) if self.registry else []

    @cached_property
    def champion(self) -> Version | None:
        """The champion."""
        return self.registry.holder(CHAMPION) if self.registry else None

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """Evidence of the champion and of the table, by kind; nothing where there is none here."""
        if self.champion is None:
            return {}
        folder = (
            self.root / ".mlflow" / "decisions" / f"{self.champion.name}-v{self.champion.number}"
        )
        found: dict[str, Any] = dict(kept(self.root))
        for file in folder.glob("evidence/*.json"):
            try:
                found[file.stem] = read_json(file)
            except UsageError:
                continue  # damaged: as good as missing
        return found
