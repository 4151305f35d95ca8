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

__all__ = ["Finding", "Infrastructure", "Place", "read_infrastructure"]


@dataclass(frozen=True)
class Infrastructure:
    """What was found in the files of a folder.

    Attributes:
        not_compared: resources whose bodies were not compared with Azure's types, and why.
    """

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
