"""Components, environments and data assets for other projects: the version that each change makes, and sharing it to the organization's registry."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

from modelyard.azure import Workspace, azure_errors, patiently
from modelyard.data.stream import read_columns
from modelyard.delivery.share import open_registry
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import digest, has_file, write_text
from modelyard.models.assets import Say, context_digest, environment_file, exists
from modelyard.pipelines.azure_kinds import kind_of
from modelyard.pipelines.snapshot import snapshot_digest
from modelyard.project import Project
from modelyard.yaml_files import LocatedMapping, did_you_mean, dump, read_model, read_yaml

FILE = Path("conf") / "shared.yml"
HEAD = """\
# What `mlops share` has put into the organization's registry. It writes this file, and computes the next version from it: commit it.
"""
OPERATIONS = {"component": "components", "environment": "environments", "data": "data"}
MAJOR, MINOR, PATCH, NEW = "major", "minor", "patch", "new"
DIGEST = "shared_digest"  # a tag
_ABOUT = {"$schema", "name", "version", "display_name", "description", "tags"}
_INTERFACE = {"inputs", "outputs", "inference_config"}  # of components, and of environments
_LENGTH = 16  # of a digest in the file


class Shared(BaseModel):
    """An asset as it was last shared.

    Attributes:
        interface: what its users rely on: inputs and outputs, columns, routes.
        made_of: digests of its parts, such as command and code.
        about: digest of description and tags.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    interface: Mapping[str, Any]
    made_of: Mapping[str, str]
    about: str

    @property
    def digest(self) -> str:
        """Of all that the version stands for."""
        return _short(self.model_dump(exclude={"name", "version"}))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    # registry → kind → name in azureml/
    registries: dict[str, dict[str, dict[str, Shared]]] = {}


@dataclass(frozen=True)
class Step:
    """An asset to share.

    Attributes:
        kind: component, environment or data.
        file: relative to the project.
        name: in its file.
        before: the version that was shared last; None: none.
        change: major, minor, patch or new.
        why: what has changed.
        shared: what it is now, with the version that it gets.
        environments: the registry's address of each environment, by where the file names it.
    """

    kind: str
    file: str
    name: str
    before: str | None
    change: str
    why: tuple[str, ...]
    shared: Shared
    environments: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return it as content of JSON."""
        own = {key: getattr(self, key) for key in ("kind", "file", "before", "change", "why")}
        return {"name": self.shared.name, "version": self.shared.version, **own}

    def __str__(self) -> str:
        was = f", {self.change} after {self.before}" if self.before else ""
        why = "; ".join(self.why)
        return f"{self.kind} {self.shared.name} {self.shared.version}{was}: {why} ({self.file})"


def plan(root: Path, project: Project, what: str) -> list[Step]:
    """Say what has to be shared, in order, so that others can use an asset as it is now.

    Args:
        root: the project.
        project: of conf/project.yml.
        what: the name of a component, environment or data asset, or its file.

    Returns:
        Nothing where it was shared as it is.

    Raises:
        UsageError: there is no such asset, no registry, or something that a registry cannot have.
    """
    registry = _registry(project)
    kind, file = _find(root, what)
    return _steps(root, project, registry, load_shared(root).get(registry, {}), kind, file)


def give(
    root: Path, project: Project, workspace: Workspace, steps: Sequence[Step], say: Say
) -> None:
    """Share what was planned; each is recorded in conf/shared.yml once it is there.

    Raises:
        CheckFailed: the registry has something else under this name and version.
    """
    name = _registry(project)
    registry = open_registry(workspace, name)
    for step in steps:
        operations, shared = getattr(registry, OPERATIONS[step.kind]), step.shared
        shown = f"{step.kind} {shared.name}:{shared.version}"
        if not exists(operations, shared.name, shared.version):
            asset = _load(root, step, project)
            patiently(lambda operations=operations, asset=asset: operations.create_or_update(asset))  # type: ignore[misc]
            say(f"{shown} is shared to {name}")
            if step.kind == "data":
                say(f"who reads {name} reads these rows")
        else:
            with azure_errors():
                tags = operations.get(name=shared.name, version=shared.version).tags or {}
            if tags.get(DIGEST) != shared.digest:
                raise CheckFailed(
                    f"{name} has another {shown}: versions in a registry do not change, and {FILE} does not know of "
                    f"it. Take {FILE} from the branch that it was shared from"
                )
            say(f"{shown} is in {name} already")
        _record(root, name, step)


def load_shared(root: Path) -> dict[str, dict[str, dict[str, Shared]]]:
    """Read what was shared, by registry, kind and name; nothing where the project has shared nothing.

    Raises:
        UsageError: the file is wrong.
    """
    return read_model(root / FILE, _File).registries if has_file(root / FILE) else {}


def _record(root: Path, registry: str, step: Step) -> None:
    known = load_shared(root)
    known.setdefault(registry, {}).setdefault(step.kind, {})[step.name] = step.shared
    content = _File(registries=known).model_dump()
    write_text(root / FILE, HEAD + dump(content))


def _registry(project: Project) -> str:
    if project.registry is None:
        raise UsageError(
            "conf/project.yml names no registry, to which a component could be shared: expected `registry: NAME`, "
            "the organization's (docs/organization.md)"
        )
    return project.registry


def _find(root: Path, what: str) -> tuple[str, Path]:
    """Find an asset by its file or name."""
    given = {Path(what).resolve(), (root / what).resolve()}
    found: dict[Path, tuple[str, str]] = {}
    for file in sorted((root / "azureml").rglob("*.y*ml")):
        content = read_yaml(file)
        kind = kind_of(file, content) if isinstance(content, LocatedMapping) else None
        if kind and kind.rpartition(" ")[2] in OPERATIONS and content.get("name"):
            found[file] = kind, str(content["name"])
    fitting = [one for one, (_, name) in found.items() if one.resolve() in given or name == what]
    if len(fitting) > 1:
        files = " and ".join(one.relative_to(root).as_posix() for one in fitting)
        raise UsageError(f"{what} is the name of {files}: name the file")
    if not fitting:
        names = sorted({name for _, name in found.values()})
        raise UsageError(
            f"{what} is no component, environment or data asset below azureml/{did_you_mean(what, names)}"
        )
    [file] = fitting
    kind = found[file][0]
    if kind == "pipeline component":
        raise UsageError(
            f"{what} is a pipeline component, whose steps would stay behind: share its components, one by one"
        )
    return kind.rpartition(" ")[2], file


def _steps(
    root: Path,
    project: Project,
    registry: str,
    known: Mapping[str, Mapping[str, Shared]],
    kind: str,
    file: Path,
) -> list[Step]:
    """Plan an asset, after the environments that it runs in."""
    content = read_yaml(file)
    name = str(content["name"])
    before = known.get(kind, {}).get(name)
    now = _describe(root, project, kind, file)
    change, why = _change(kind, before, now)
    if change is None:
        return []
    steps: list[Step] = []
    addresses: dict[str, str] = {}
    for where, reference in _environments(content):
        used = environment_file(root, reference)
        if used is not None:
            planned = _steps(root, project, registry, known, "environment", used)
            steps += [one for one in planned if one not in steps]
            there = planned[0].shared if planned else known["environment"][_name(used)]
            addresses[where] = (
                f"azureml://registries/{registry}/environments/{there.name}/versions/{there.version}"
            )
        elif not reference.startswith(("azureml://registries/", "azureml:AzureML-")):
            raise UsageError(
                f"{file.relative_to(root)}: the environment {reference} is a workspace's, which a registry does not "
                "know: describe it in azureml/environments and name it with @latest, or name one of a registry"
            )
    last = before.version if before else None
    shared = now.model_copy(update={"version": _next(last, change)})
    shown = file.relative_to(root).as_posix()
    return [*steps, Step(kind, shown, name, last, change, why, shared, addresses)]


def _describe(root: Path, project: Project, kind: str, file: Path) -> Shared:
    """Describe an asset as it is now; its version is not known yet."""
    content = read_yaml(file)
    interface: dict[str, Any] = {}
    parts = {k: v for k, v in content.items() if k not in _ABOUT | _INTERFACE}
    if kind == "component":
        for side in ("input", "output"):
            for name, port in (content.get(f"{side}s") or {}).items():
                interface[f"{side} {name}"] = {k: v for k, v in port.items() if k != "description"}
    elif kind == "environment" and "inference_config" in content:
        interface["inference_config"] = dict(content["inference_config"])
    elif kind == "data":
        place = str(content.get("path", ""))
        path = (file.parent / place).resolve()
        if "://" in place or place.startswith("azureml:") or not path.exists():
            raise UsageError(
                f"{file.relative_to(root)}: {place or 'path'} is not on this machine: what is shared are files that are"
            )
        interface["type"] = str(content.get("type", "uri_folder"))
        if path.is_file():
            interface |= {f"column {name}": kind for name, kind in _columns(path).items()}
        parts = {"rows": digest(path)}
    separator = "_" if kind == "component" else "-"
    return Shared(
        name=f"{project.name}-{content['name']}".replace("-", separator),
        version="0.0.0",
        interface=json.loads(json.dumps(interface)),
        made_of={key: _short(_resolved(root, file, key, value)) for key, value in parts.items()},
        about=_short({key: content.get(key) for key in ("display_name", "description", "tags")}),
    )


def _columns(path: Path) -> dict[str, str]:
    try:
        return read_columns(path)
    except UsageError:  # a file of any other kind is fine for a data asset
        return {}


def _resolved(root: Path, file: Path, key: str, value: Any) -> Any:
    """Put digests of files in the place of the paths to them."""
    if isinstance(value, dict):
        found = {k: _resolved(root, file, k, v) for k, v in value.items()}
        if key == "build" and "://" not in str(value.get("path", ".")):
            found["path"] = context_digest(file.parent / str(value.get("path", ".")))
        return found
    if key == "environment" and (used := environment_file(root, str(value))):
        content = {k: v for k, v in read_yaml(used).items() if k not in _ABOUT}
        return {k: _resolved(root, used, k, v) for k, v in content.items()}
    if key == "additional_includes":
        return [snapshot_digest(file.parent / str(one), ()) for one in value]
    if key in ("code", "conda_file") and isinstance(value, str):
        place = file.parent / value.removeprefix("file:")
        return snapshot_digest(place, ()) if place.exists() else value
    return value


def _change(kind: str, before: Shared | None, now: Shared) -> tuple[str | None, tuple[str, ...]]:
    """Compare an asset with what was shared last; None: it is the same."""
    if before is None:
        return NEW, ("it was not shared before",)
    breaking, wider = _compare(before.interface, now.interface)
    parts = {**before.made_of, **now.made_of}
    made = [
        f"{key} has changed" for key in parts if before.made_of.get(key) != now.made_of.get(key)
    ]
    if breaking:
        return MAJOR, (*breaking, *wider, *made)
    if wider or (made and kind != "data"):
        return MINOR, (*wider, *made)
    if made:
        return PATCH, tuple(made)
    if before.about != now.about:
        return PATCH, ("description or tags have changed",)
    return None, ()


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Compare interfaces; returns the changes that users have to follow, and those that they need not."""
    breaking: list[str] = []
    wider: list[str] = []
    for name in {**before, **now}:
        old: Any = before.get(name)
        new: Any = now.get(name)
        if old == new:
            continue
        if name not in now:
            breaking.append(f"{name} is gone")
        elif name not in before:
            needed = name.startswith("input ") and _is_needed(new)
            (breaking if needed else wider).append(f"{name} is new{' and required' * needed}")
        else:
            fits = isinstance(old, dict) and _fits(name, old, new)
            (wider if fits else breaking).append(f"{name} was {_shown(old)}, is {_shown(new)}")
    return breaking, wider


def _is_needed(port: Mapping[str, Any]) -> bool:
    return not port.get("optional") and "default" not in port


def _fits(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether an input or output can be used as before."""
    if old.get("type") != new.get("type") or not name.startswith(("input ", "output ")):
        return False
    return (
        (_is_needed(old) or not _is_needed(new))
        and ("enum" not in new or set(old.get("enum", [object])) <= set(new["enum"]))
        and ("min" not in new or ("min" in old and new["min"] <= old["min"]))
        and ("max" not in new or ("max" in old and new["max"] >= old["max"]))
    )


def _shown(value: Any) -> str:
    return (
        ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    )


def _next(before: str | None, change: str) -> str:
    if before is None:
        return "1.0.0"
    major, minor, patch = map(int, before.split("."))
    following = {MAJOR: (major + 1, 0, 0), MINOR: (major, minor + 1, 0)}
    return ".".join(map(str, following.get(change, (major, minor, patch + 1))))


def _environments(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield where a file names an environment, and which."""
    for key, value in content.items():
        if key == "environment" and isinstance(value, str):
            yield f"{above}{key}", value
        elif isinstance(value, dict):
            yield from _environments(value, f"{above}{key}.")


def _name(file: Path) -> str:
    return str(read_yaml(file)["name"])


def _load(root: Path, step: Step, project: Project) -> Any:
    """Read an asset with azure-ai-ml, with its name, version and environments in the registry."""
    from azure.ai.ml import load_component, load_data, load_environment

    load: Any = {"component": load_component, "environment": load_environment, "data": load_data}[
        step.kind
    ]
    file = root / step.file
    tags = {**(read_yaml(file).get("tags") or {}), "project": project.name}
    changes = {
        "name": step.shared.name,
        "version": step.shared.version,
        "tags": {**tags, DIGEST: step.shared.digest},
        **step.environments,
    }
    with azure_errors():
        return load(file, params_override=[changes])


def _short(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:_LENGTH]
