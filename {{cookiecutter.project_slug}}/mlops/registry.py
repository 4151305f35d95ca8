"""The model registry: versions, one champion, and the evidence each version came with.

The alias `champion` is the only truth about who serves, because setting it is one atomic write.
Tags tell people the same (role, previous champion, decision) and are brought in line afterwards.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from .errors import UsageError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER, RETIRED = "champion", "challenger", "retired"
_LOCK_PATIENCE = 120.0


@dataclass(frozen=True)
class Version:
    """A registered model version."""

    name: str
    number: str
    run_id: str
    source: str
    tags: Mapping[str, str]

    @property
    def previous_champion(self) -> str | None:
        """The version that served before this one was promoted."""
        return self.tags.get("previous_champion") or None


class Registry:
    """One registered model of an MLflow registry."""

    def __init__(self, model: str, uri: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow.tracking import MlflowClient

        self.model = model
        self.client: MlflowClient = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def version(self, number: str) -> Version:
        """A version by number.

        Raises:
            UsageError: it does not exist.
        """
        from mlflow.exceptions import MlflowException

        try:
            return _version(self.client.get_model_version(self.model, number))
        except MlflowException:
            known = ", ".join(v.number for v in self.versions()) or "none yet"
            raise UsageError(
                f"model `{self.model}` has no version {number}; versions: {known}"
            ) from None

    def versions(self) -> list[Version]:
        """All versions, newest first."""
        found = self.client.search_model_versions(f"name = '{self.model}'")
        return sorted(map(_version, found), key=lambda v: int(v.number), reverse=True)

    def holder(self, alias: str) -> Version | None:
        """The version that has an alias, if any."""
        from mlflow.exceptions import MlflowException

        try:
            return _version(self.client.get_model_version_by_alias(self.model, alias))
        except MlflowException:
            return None

    def register(self, *, run_id: str, source: str, tags: Mapping[str, str]) -> Version:
        """Register a model of a run as the challenger; again for the same run and key: the same version."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):
            self.client.create_registered_model(self.model)
        for known in self.versions():
            if known.run_id == run_id and known.tags.get("model_digest") == tags["model_digest"]:
                found = known
                break
        else:
            found = _version(
                self.client.create_model_version(
                    self.model, source, run_id, tags={**tags, "role": CHALLENGER}
                )
            )
        self.client.set_registered_model_alias(self.model, CHALLENGER, found.number)
        return found

    def crown(self, version: Version, previous: Version | None) -> None:
        """Make `version` the champion. What a crash interrupts, `reconcile` finishes."""
        if previous is not None:
            self.client.set_model_version_tag(
                self.model, version.number, "previous_champion", previous.number
            )
        self.client.set_registered_model_alias(self.model, CHAMPION, version.number)
        self.reconcile()

    def restore(self, version: Version) -> None:
        """Make an earlier champion the champion again."""
        self.client.set_registered_model_alias(self.model, CHAMPION, version.number)
        self.reconcile()

    def reconcile(self) -> None:
        """Bring the role tags in line with the alias."""
        champion = self.holder(CHAMPION)
        for version in self.versions():
            role = version.tags.get("role")
            if champion is not None and version.number == champion.number:
                wanted = CHAMPION
            elif role == CHAMPION:
                wanted = RETIRED
            else:
                continue
            if role != wanted:
                self.client.set_model_version_tag(self.model, version.number, "role", wanted)

    def tag(self, version: Version, key: str, value: str) -> None:
        """Set a tag."""
        self.client.set_model_version_tag(self.model, version.number, key, value)

    def fetch(self, version: Version, artifact: str, target: Path) -> Path:
        """Copy one of the artifacts that were registered with a version; returns where it is."""
        from mlflow.artifacts import download_artifacts

        target.mkdir(parents=True, exist_ok=True)
        return Path(
            download_artifacts(
                run_id=version.run_id,
                artifact_path=artifact,
                dst_path=str(target),
                tracking_uri=self.client.tracking_uri,
            )
        )


@contextlib.contextmanager
def promotion_lock(root: Path) -> Iterator[None]:
    """One promotion or rollback at a time.

    Raises:
        UsageError: another one has not ended within two minutes.
    """
    folder = root / ".mlflow"
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / "promotion.lock", timeout=_LOCK_PATIENCE):
            yield
    except Timeout:
        raise UsageError(
            "another promotion or rollback is still going on; try again when it has ended"
        ) from None


def champion_in_sqlite(uri: str, model: str) -> tuple[str, Path] | None:
    """Version number and model folder of the champion, read straight from the embedded store.

    A pipeline asks this at every start; importing MLflow for it would cost more than everything else
    in a run where nothing has changed. Only for the version of MLflow that is pinned; the answer is
    None where there is no champion.

    Raises:
        sqlite3.Error: the store is not of the expected shape; ask MLflow itself.
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.is_file():
        return None
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as store:
        row = store.execute(
            "SELECT v.version, COALESCE(v.storage_location, v.source)"
            " FROM registered_model_aliases a JOIN model_versions v"
            " ON v.name = a.name AND v.version = a.version WHERE a.name = ? AND a.alias = ?",
            (model, CHAMPION),
        ).fetchone()
    if row is None:
        return None
    return str(row[0]), _local_path(row[1])


def _local_path(source: str) -> Path:
    return Path(url2pathname(urlparse(source).path)) if source.startswith("file:") else Path(source)


def _version(entity: ModelVersion) -> Version:
    return Version(
        name=entity.name,
        number=str(entity.version),
        run_id=str(entity.run_id),
        source=str(entity.source),
        tags=dict(entity.tags),
    )
