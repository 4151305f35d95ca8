"""Reader of Bicep: what the files of a folder deploy, and what is wrong with them.

An instrument of this repository's tests, where the official compiler cannot be had; no part of the wheel. `python -m bicep_reader` takes the
compiler's place on a path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.infra.findings import Finding, Place

from bicep_reader import bodies, calls, deploy_time, lint, names, policy
from bicep_reader.resource_types import Types, recorded
from bicep_reader.sources import Sources, load
from bicep_reader.tree import BicepFile, Member, Name, walk
from bicep_reader.tree import Module as Declared

__all__ = [
    "File",
    "Finding",
    "Infrastructure",
    "Module",
    "Place",
    "Resource",
    "read_infrastructure",
]


@dataclass(frozen=True)
class Resource:
    """A resource that a file declares; an `existing` one is referred to and not deployed."""

    type: str  # such as Microsoft.Storage/storageAccounts
    existing: bool
    place: Place


@dataclass(frozen=True)
class Module:
    """A module that a file deploys.

    Attributes:
        needs: symbols of the modules whose outputs are among its parameters.
    """

    symbol: str
    file: Path
    conditional: bool
    needs: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class File:
    """What one .bicep file declares; both are empty for a .bicepparam file."""

    path: Path
    resources: tuple[Resource, ...] = ()
    modules: tuple[Module, ...] = ()


@dataclass(frozen=True)
class Infrastructure:
    """The files of a folder by absolute path, and the findings about them.

    Attributes:
        not_compared: resources whose bodies were not compared with Azure's types, and why.
    """

    files: Mapping[Path, File]
    findings: tuple[Finding, ...]
    not_compared: tuple[tuple[Place, str], ...]


def read_infrastructure(
    folder: Path,
    azure_types: Callable[[Collection[str]], Mapping[str, Mapping[str, Any]]] = lambda _: {},
) -> Infrastructure:
    """Read and check every .bicep and .bicepparam file below a folder.

    Args:
        folder: of the project's infrastructure.
        azure_types: gives, for names of resource types, azmcp's answer by name in lower case. It is
            asked once. Bodies of types without an answer are not compared.

    Raises:
        UsageError: the folder has no .bicep file, or a file cannot be opened.
    """
    sources = load(folder)
    answers: dict[str, Mapping[str, Any]] = dict(recorded())
    used = {one.type for file in sources.bicep for one in file.every_resource()}
    answers |= azure_types(sorted(name for name in used if name.lower() not in answers))
    types = Types(answers)
    return Infrastructure(
        {path: _declared(file) for path, file in sources.files.items()},
        tuple(dict.fromkeys(_findings(sources, types))),
        tuple(note for file in sources.bicep for note in bodies.not_compared(file, types)),
    )


def _findings(sources: Sources, types: Types) -> Iterator[Finding]:
    """Yield syntax errors, then the findings about files that have none."""
    errors = [error for file in sources.files.values() for error in file.errors]
    yield from errors
    broken = {error.place.file for error in errors}
    checks = (
        *(bodies.check(file, types) for file in sources.bicep),
        calls.check(sources),
        lint.check(sources),
        deploy_time.check(sources),
        names.check(sources),
        names.missing_keys(sources),
        policy.check(sources),
    )
    for check in checks:
        yield from (finding for finding in check if finding.place.file not in broken)


def _declared(file: BicepFile) -> File:
    return File(
        file.path,
        tuple(Resource(one.type, one.existing, one.place) for one in file.every_resource()),
        tuple(
            Module(
                one.symbol,
                (file.path.parent / one.path).resolve(),
                one.condition is not None,
                tuple(_needs(one, file)),
                one.place,
            )
            for one in file.modules.values()
        ),
    )


def _needs(module: Declared, file: BicepFile) -> list[str]:
    found = [
        node.of.name
        for node in walk(module.body)
        if isinstance(node, Member) and isinstance(node.of, Name) and node.name == "outputs"
    ]
    return [name for name in dict.fromkeys(found) if name in file.modules]
