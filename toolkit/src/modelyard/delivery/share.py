"""A version for other workspaces: shared once through the organization's registry, or copied from a workspace."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.azure import Workspace, azure_errors, tracked_in
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import digest, read_json, write_json
from modelyard.models.adoption import DIGEST, ENVIRONMENT, TAKEN
from modelyard.models.assets import Say, exists, pin_environment
from modelyard.models.registry import Registry
from modelyard.models.version import CHAMPION, Version
from modelyard.project import Project

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

MODEL = "model"
# What is judged, tested and monitored with, of the run that a version comes from.
FILES = ("evidence", "contract", "baseline", "prepared")
# Roles and releases are those of a workspace; the decision to promote comes along.
_OWN = ("role", "challenger_turn", "champion_turn", "champion_turn_ended", "previous_champion")
_OWN_PREFIXES = ("release",)
_ABOUT = "version.json"
SERVE = "azureml:serve@latest"
EXPERIMENT = "taken"


@dataclass(frozen=True)
class Taken:
    """The result of `share` and `take`.

    Attributes:
        digest: SHA-256 of the model's files.
        place: where the version is now.
        unchanged: it was there already.
    """

    version: str
    digest: str
    place: str
    unchanged: bool


def share(
    root: Path, project: Project, workspace: Workspace, number: str | None, say: Say
) -> Taken | None:
    """Share a version of a workspace to the organization's registry, once.

    Args:
        root: the project.
        project: of conf/project.yml.
        workspace: with the version.
        number: of the version; default: the champion.
        say: gets a line for every asset.

    Returns:
        None where conf/project.yml names no registry: `take` copies from the workspace then.

    Raises:
        UsageError: there is no such version, or it was not promoted.
        CheckFailed: the registry has another model under this number.
    """
    models = Registry(project.model, workspace.tracking_uri)
    version = promoted(models, number)
    wanted = version.tags[DIGEST]
    if project.registry is None:
        return None
    registry = open_registry(workspace, project.registry)
    evidence = f"{project.model}-evidence"
    unchanged = True
    if not exists(registry.models, project.model, version.number):
        unchanged = False
        with azure_errors():
            workspace.client.models.share(
                project.model,
                version.number,
                share_with_name=project.model,
                share_with_version=version.number,
                registry_name=project.registry,
            )
        say(f"model {project.model}:{version.number} is shared to {project.registry}")
    environment = _share_environment(root, workspace, registry, project.registry, say)
    if not exists(
        registry.models, evidence, version.number
    ):  # the last: with it the version is whole
        unchanged = False
        with tempfile.TemporaryDirectory(prefix="share-") as folder, tracked_in(workspace):
            place = Path(folder) / "files"
            for name in FILES:
                models.fetch(version, name, place)
            about = _about(version, workspace.environment)
            about["tags"][ENVIRONMENT] = environment
            write_json(place / _ABOUT, about)
            _upload(registry, evidence, version.number, place, wanted)
        say(
            f"evidence, contract and the rows that its tests need are shared as {evidence}:"
            f"{version.number}: who reads {project.registry} reads these rows"
        )
    with tempfile.TemporaryDirectory(prefix="share-") as folder:
        found = digest(_download(registry, project.model, version.number, Path(folder)))
    if found != wanted:
        raise CheckFailed(
            f"{project.registry} has another model as {version.name}:{version.number} (digest {found[:12]}, not "
            f"{wanted[:12]}): versions in a registry do not change, so somebody else used this name"
        )
    return Taken(version.number, wanted, project.registry, unchanged)


def take(
    project: Project,
    source: Workspace,
    target: Workspace,
    number: str,
    say: Say,
) -> Taken:
    """Register a version of another workspace in this one: same number, same digest.

    Args:
        project: of conf/project.yml.
        source: with the version; read where there is no registry.
        target: to register it in.
        number: of the version.
        say: gets a line about where the files come from.

    Raises:
        UsageError: there is no such version.
        CheckFailed: the files are not those of the version, or the number is another version's here.
    """
    here = Registry(project.model, target.tracking_uri)
    with (
        tempfile.TemporaryDirectory(prefix="take-") as folder,
        _files(project, source, number, Path(folder), say) as (files, model, about),
    ):
        wanted = str(about["tags"][DIGEST])
        known = here.backend.version(number)
        if known is not None:
            if known.tags.get(DIGEST) != wanted:
                raise CheckFailed(
                    f"{target.names.workspace} has another v{number} of {project.model} (digest "
                    f"{known.tags.get(DIGEST, 'unknown')[:12]}, not {wanted[:12]}): it was not taken from "
                    f"{source.environment}; nothing was changed"
                )
            return Taken(number, wanted, target.names.workspace, unchanged=True)
        if (found := digest(model)) != wanted:
            raise CheckFailed(
                f"the model of v{number} has the digest {found[:12]}, but {wanted[:12]} was promoted: its files "
                "have changed since, or were not copied whole; nothing was registered"
            )
        with tracked_in(target):
            run = _new_run(here, about)
            here.keep(run, model, MODEL)
            for name in FILES:
                here.keep(run, files / name, name)
            here.client.set_terminated(run)
        tags = {**about["tags"], TAKEN: source.environment}
        here.backend.create(run_id=run, source=here.source(run, MODEL), tags=tags, number=number)
    say(f"{project.model} v{number} ({wanted[:12]}) is registered in {target.names.workspace}")
    return Taken(number, wanted, target.names.workspace, unchanged=False)


def promoted(models: Registry, number: str | None) -> Version:
    """Return a version that was promoted; None: the champion.

    Raises:
        UsageError: there is no such version, or it was not promoted.
    """
    version = models.version(number) if number else models.holder(CHAMPION)
    if version is None:
        raise UsageError(f"model `{models.model}` has no champion; `mlops promote` makes one")
    if version.tags.get("decision") != "promoted" and version.tags.get("role") != CHAMPION:
        raise UsageError(
            f"{models.model} v{version.number} was not promoted: `mlops promote --version "
            f"{version.number}` judges it"
        )
    return version


def open_registry(workspace: Workspace, name: str) -> MLClient:
    """Return a client of the organization's registry."""
    from azure.ai.ml import MLClient

    with azure_errors():
        return MLClient(workspace.credential, registry_name=name)


@contextmanager
def _files(
    project: Project, source: Workspace, number: str, folder: Path, say: Say
) -> Iterator[tuple[Path, Path, Mapping[str, Any]]]:
    """Copy a version; yields the folder of its files, that of its model, and what is known of it."""
    if project.registry is None:
        models = Registry(project.model, source.tracking_uri)
        version = promoted(models, number)
        say(
            f"v{number} is copied from {source.names.workspace}: conf/project.yml names no registry"
        )
        with tracked_in(source):
            for name in (MODEL, *FILES):
                models.fetch(version, name, folder)
        yield folder, folder / MODEL, _about(version, source.environment)
        return
    registry = open_registry(source, project.registry)
    say(f"v{number} is taken out of {project.registry}")
    files = _download(registry, f"{project.model}-evidence", number, folder / "files")
    model = _download(registry, project.model, number, folder / MODEL)
    yield files, model, read_json(files / _ABOUT)


def _about(version: Version, environment: str) -> dict[str, Any]:
    tags = {
        key: value
        for key, value in version.tags.items()
        if key not in _OWN and not key.startswith(_OWN_PREFIXES)
    }
    about = {"number": version.number, "from": environment, "run": version.run_id, "tags": tags}
    # A tag is set last, after the role; a version whose promotion was cut short is the champion.
    tags["decision"] = "promoted"
    return about


def _new_run(registry: Registry, about: Mapping[str, Any]) -> str:
    client = registry.client
    experiment = client.get_experiment_by_name(EXPERIMENT)
    identity = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT)
    tags = {"taken_from": f"{about['from']}, run {about['run']}"}
    return str(client.create_run(identity, tags=tags).info.run_id)


def _share_environment(
    root: Path, workspace: Workspace, registry: MLClient, name: str, say: Say
) -> str:
    """Share the environment of the endpoints; return its address in the registry."""
    pinned = pin_environment(root, workspace, SERVE, say).removeprefix("azureml:")
    environment, _, version = pinned.partition(":")
    if not exists(registry.environments, environment, version):
        with azure_errors():
            workspace.client.environments.share(
                environment,
                version,
                share_with_name=environment,
                share_with_version=version,
                registry_name=name,
            )
        say(f"environment {pinned} is shared to {name}")
    return f"azureml://registries/{name}/environments/{environment}/versions/{version}"


def _upload(registry: MLClient, name: str, version: str, folder: Path, wanted: str) -> None:
    from azure.ai.ml.entities import Model

    model = Model(
        name=name,
        version=version,
        path=str(folder),
        type="custom_model",  # files of any kind; registries have no other asset that can be downloaded
        properties={DIGEST: wanted},
    )
    with azure_errors():
        registry.models.create_or_update(model)


def _download(registry: MLClient, name: str, version: str, folder: Path) -> Path:
    """Download a model; return the folder with its files."""
    with azure_errors():
        registry.models.download(name=name, version=version, download_path=str(folder))
    # azure-ai-ml puts the files into a folder named after the model, and that of the upload into it.
    place = folder / name
    while len(inner := list(place.iterdir())) == 1 and inner[0].is_dir():
        place = inner[0]
    return place
