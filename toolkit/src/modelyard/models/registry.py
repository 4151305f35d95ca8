"""The model registry: versions, one champion, and the evidence of each version.

Which version is champion is decided by one atomic write: an alias where the registry has aliases, else
a tag (see `azure_registry`). Further tags (role, previous champion, decision) are for people, and are
updated afterwards.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import urlparse
from urllib.request import url2pathname

from modelyard.errors import ModelyardError, UsageError
from modelyard.files import has_file, locked
from modelyard.models.version import CHALLENGER, CHAMPION, RETIRED, Version
from modelyard.project import load_project
from modelyard.relocation import opened
from modelyard.tracking import MLFLOW_SETTINGS, reason, shown_uri, store_file, tracking_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_P = ParamSpec("_P")
_T = TypeVar("_T")


class RegistryError(UsageError):
    """The registry cannot be reached, or refuses a request."""


class Backend(Protocol):
    """A registry's versions of one model; each write is atomic.

    Attributes:
        client: for runs and their artifacts.
    """

    client: MlflowClient

    def failed(self, error: Exception) -> bool:
        """Whether an exception comes from the registry, and not from a fault of this code."""
        ...

    def versions(self) -> list[Version]:
        """All versions, in any order."""
        ...

    def version(self, number: str) -> Version | None:
        """A version by number; None where there is none."""
        ...

    def source(self, run_id: str, artifact: str) -> str:
        """The address of a run's artifact, as `create` takes it."""
        ...

    def create(
        self, *, run_id: str, source: str, tags: Mapping[str, str], number: str | None = None
    ) -> Version:
        """Create a version; with a number of its own only in a workspace of Azure ML."""
        ...

    def tag(self, number: str, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        ...

    def holder(self, role: str) -> Version | None:
        """The version that has a role, if any; one has it at a time."""
        ...

    def appoint(self, number: str, role: str) -> None:
        """Give a role to a version, and take it from another one with the same write."""
        ...

    def dismiss(self, number: str, role: str) -> None:
        """Take a role from the version that has it; nobody has it then."""
        ...


def _request(
    method: Callable[Concatenate[Registry, _P], _T],
) -> Callable[Concatenate[Registry, _P], _T]:
    """Raise RegistryError for whatever the registry's client raises."""

    @functools.wraps(method)
    def requested(self: Registry, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(self, *args, **kwargs)
        except ModelyardError:
            raise
        except Exception as error:
            if not self.backend.failed(error):
                raise
            raise _failure(error, self.uri) from error

    return requested


class Registry:
    """One registered model: of an MLflow registry, or of an Azure ML workspace (`azureml://…`)."""

    def __init__(self, model: str, uri: str) -> None:
        for name, value in MLFLOW_SETTINGS.items():
            os.environ.setdefault(name, value)
        self.model = model
        self.uri = uri
        try:
            self.backend = _open(model, uri)
        except ModelyardError:
            raise
        except Exception as error:  # a driver raises what it likes for a wrong address
            raise _failure(error, uri) from error
        self.client = self.backend.client

    @_request
    def version(self, number: str) -> Version:
        """A version by number.

        Raises:
            UsageError: it does not exist.
        """
        found = self.backend.version(number) if number.isdecimal() else None
        if found is None:
            known = ", ".join(v.number for v in self.versions()) or "none yet"
            raise UsageError(f"model `{self.model}` has no version {number}; versions: {known}")
        return found

    @_request
    def versions(self) -> list[Version]:
        """All versions, newest first."""
        return sorted(self.backend.versions(), key=lambda v: int(v.number), reverse=True)

    @_request
    def holder(self, role: str) -> Version | None:
        """The champion, or the version that was registered last (CHALLENGER), if any."""
        return self.backend.holder(role)

    @_request
    def source(self, run_id: str, artifact: str) -> str:
        """The address of a run's artifact, as `register` takes it."""
        return self.backend.source(run_id, artifact)

    @_request
    def register(
        self, *, run_id: str, source: str, tags: Mapping[str, str], role: str = CHALLENGER
    ) -> Version:
        """Register a model of a run, as the challenger or without a role of the registry's own.

        The same run and model give the same version.
        """
        for known in self.versions():
            if known.run_id == run_id and known.tags.get("model_digest") == tags["model_digest"]:
                found = known
                break
        else:
            found = self.backend.create(run_id=run_id, source=source, tags={**tags, "role": role})
        if role == CHALLENGER:
            self.backend.appoint(found.number, CHALLENGER)
        return found

    @_request
    def set_champion(self, version: Version, previous: Version | None = None) -> None:
        """Make `version` the champion. After a crash, `reconcile` updates the other tags.

        Args:
            version: the new champion.
            previous: the champion before, which `rollback` goes back to; None leaves it as it is.

        Raises:
            RegistryError: another promotion at the same moment has made another version champion.
        """
        if previous is not None:
            self.backend.tag(version.number, {"previous_champion": previous.number})
        self.backend.appoint(version.number, CHAMPION)
        champion = self.backend.holder(CHAMPION)
        if champion is None or champion.number != version.number:
            now = f"v{champion.number} is" if champion else "none is"
            raise RegistryError(
                f"v{version.number} was to be champion, but {now}: another promotion was made at the "
                "same moment; look at `mlops models`, then decide again"
            )
        self.reconcile()

    @_request
    def retire_champion(self, champion: Version) -> None:
        """Leave the model without a champion."""
        self.backend.dismiss(champion.number, CHAMPION)
        self.reconcile()

    @_request
    def reconcile(self) -> list[Version]:
        """Update the tags of role and decision to the champion; return the versions that were it."""
        champion = self.holder(CHAMPION)
        retired = []
        for version in self.versions():
            if champion is not None and version.number == champion.number:
                wanted = {"role": CHAMPION, "decision": "promoted"}
            elif version.tags.get("role") == CHAMPION:
                wanted = {"role": RETIRED}
                retired.append(version)
            else:
                continue
            if not wanted.items() <= version.tags.items():
                self.backend.tag(version.number, wanted)
        return retired

    @_request
    def tag(self, version: Version, key: str, value: str) -> None:
        """Set a tag."""
        self.backend.tag(version.number, {key: value})

    @_request
    def keep(self, run_id: str, source: Path, artifact: str) -> None:
        """Copy a file, or the content of a folder, to the folder `artifact` of a run's artifacts.

        The names must be new there: Azure ML refuses to replace an artifact.
        """
        if source.is_dir():
            self.client.log_artifacts(run_id, str(source), artifact)
        else:
            self.client.log_artifact(run_id, str(source), artifact)

    @_request
    def kept(self, version: Version) -> set[str]:
        """Names of what is kept with the run of a version."""
        from mlflow.artifacts import list_artifacts

        found = list_artifacts(run_id=version.run_id, tracking_uri=self.uri)
        return {one.path for one in found}

    @_request
    def fetch(self, version: Version, artifact: str, target: Path) -> Path:
        """Copy an artifact of a version into the folder `target`; returns its path."""
        from mlflow.artifacts import download_artifacts

        target.mkdir(parents=True, exist_ok=True)
        # Not by `run_id`: that asks for logged models too, and hides why a download failed.
        place = self.client.get_run(version.run_id).info.artifact_uri
        return Path(
            download_artifacts(
                artifact_uri=f"{place}/{artifact}", dst_path=str(target), tracking_uri=self.uri
            )
        )

    def download(self, version: Version, artifact: str, target: Path) -> Path:
        """Copy an artifact to `target`, whole or not at all, unless it is there; returns `target`."""
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as temporary:
                fetched = self.fetch(version, artifact, Path(temporary))
                try:
                    fetched.rename(target)
                except OSError:  # another process was faster
                    if not target.exists():
                        raise
        return target

    @_request
    def run_tags(self, version: Version) -> dict[str, str]:
        """Tags of the run that a version comes from."""
        return dict(self.client.get_run(version.run_id).data.tags)


def registry_of(root: Path) -> Registry:
    """Open the registry of a project's model."""
    return Registry(load_project(root).model, tracking_uri(root))


def _open(model: str, uri: str) -> Backend:
    if uri.startswith("azureml:"):
        from modelyard.models.azure_registry import AzureModels

        return AzureModels(model, uri)
    from modelyard.models.mlflow_registry import MlflowModels

    return MlflowModels(model, uri)


def _failure(error: Exception, uri: str) -> RegistryError:
    return RegistryError(
        f"the model registry at {shown_uri(uri)} failed: {reason(error, uri)}. "
        "Is it running, and does MLFLOW_TRACKING_URI name it?"
    )


def promotion_lock(root: Path) -> contextlib.AbstractContextManager[None]:
    """Hold a lock that keeps promotions and rollbacks from running at once.

    Raises:
        UsageError: another one has not ended within two minutes.
    """
    return locked(root / ".mlflow" / "promotion.lock", "another promotion or rollback", 120)


@dataclass(frozen=True)
class Located:
    """A version's number, and the local paths of its artifacts by name."""

    number: str
    paths: Mapping[str, Path]


def locate(
    model: str, uri: str, number: str | None, artifacts: Sequence[str], place: Path
) -> Located | None:
    """Find artifacts of a version, and copy those that are not on this machine.

    The champion's artifacts in the embedded store are used in place.

    Args:
        model: name of the registered model.
        uri: of the registry.
        number: of the version; None: the champion.
        artifacts: names, such as `model`.
        place: folder for copies; an earlier copy there is used.

    Returns:
        None where there is no champion.

    Raises:
        UsageError: there is no such version, or the registry fails.
    """
    if number is None and uri.startswith("sqlite:"):
        with contextlib.suppress(sqlite3.Error):
            found = champion_in_sqlite(uri, model)
            if found is None:
                return None
            paths = {name: found[1].with_name(name) for name in artifacts}
            if all(path.exists() for path in paths.values()):
                return Located(found[0], paths)
    registry = Registry(model, uri)
    version = registry.holder(CHAMPION) if number is None else registry.version(number)
    if version is None:
        return None
    folder = place / f"v{version.number}"
    return Located(
        version.number,
        {name: registry.download(version, name, folder / name) for name in artifacts},
    )


def champion_in_sqlite(uri: str, model: str) -> tuple[str, Path] | None:
    """Version number and model folder of the champion, read straight from the embedded store.

    Importing MLflow for it would take longer than the rest of a run in which nothing has changed. The
    tables are those of the pinned version of MLflow.

    Returns:
        None where there is no champion.

    Raises:
        sqlite3.Error: the tables are others; use MLflow.
    """
    row = _champion_row(uri, model, "COALESCE(v.storage_location, v.source)")
    return row and (str(row[0]), _local_path(row[1]))


def champion_decision(uri: str, model: str) -> tuple[str, float, str] | None:
    """Number of the champion, when it was registered (seconds since 1970) and what was decided of it.

    Returns:
        None where there is no champion.

    Raises:
        sqlite3.Error: the tables are others.
    """
    decided = (
        "(SELECT t.value FROM model_version_tags t WHERE t.name = v.name AND t.version = v.version"
        " AND t.key = 'decision')"
    )
    row = _champion_row(uri, model, f"v.creation_time / 1000.0, COALESCE({decided}, '')")
    return row and (str(row[0]), float(row[1]), str(row[2]))


def versions_in_sqlite(uri: str, model: str) -> tuple[list[Version], Version | None]:
    """Versions, newest first, and the champion, read straight from the embedded store.

    Returns:
        No version and no champion where nothing was ever registered.

    Raises:
        sqlite3.Error: the tables are others; use MLflow.
    """
    path = store_file(uri)
    if not has_file(path):
        return [], None
    tags: dict[int, dict[str, str]] = {}
    with opened(path) as store:
        about = "SELECT version, key, value FROM model_version_tags WHERE name = ?"
        for number, key, value in store.execute(about, (model,)):
            tags.setdefault(number, {})[key] = value
        rows = store.execute(
            "SELECT version, run_id, source FROM model_versions"
            " WHERE name = ? AND current_stage != 'Deleted_Internal' ORDER BY version DESC",
            (model,),
        )
        versions = [
            Version(model, str(number), str(run), str(source), tags.get(number, {}))
            for number, run, source in rows
        ]
    found = _champion_row(uri, model, "v.version")
    champion = next((one for one in versions if found and one.number == str(found[0])), None)
    return versions, champion


def registered(model: str, uri: str) -> tuple[list[Version], Version | None]:
    """Versions, newest first, and the champion; importing MLflow only where that has to be."""
    if uri.startswith("sqlite:"):
        with contextlib.suppress(sqlite3.Error):
            return versions_in_sqlite(uri, model)
    registry = Registry(model, uri)
    return registry.versions(), registry.holder(CHAMPION)


def _champion_row(uri: str, model: str, columns: str) -> tuple[Any, ...] | None:
    """Read the champion's version number and further columns; None where there is no champion."""
    path = store_file(uri)
    if not has_file(path):
        return None
    with opened(path) as store:
        found: tuple[Any, ...] | None = store.execute(
            f"SELECT v.version, {columns}"  # noqa: S608 (columns are ours)
            " FROM registered_model_aliases a JOIN model_versions v"
            " ON v.name = a.name AND v.version = a.version WHERE a.name = ? AND a.alias = ?",
            (model, CHAMPION),
        ).fetchone()
    return found


def champion_number(model: str, uri: str) -> str | None:
    """The champion's version, None where there is none; without importing MLflow where possible."""
    if uri.startswith("sqlite:"):
        try:
            found = champion_in_sqlite(uri, model)
            return found[0] if found else None
        except sqlite3.Error:
            pass
    holder = Registry(model, uri).holder(CHAMPION)
    return holder.number if holder else None


def _local_path(source: str) -> Path:
    return Path(url2pathname(urlparse(source).path)) if source.startswith("file:") else Path(source)
