"""A project, and its versions with the evidence, decisions and releases that are kept with their runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from modelyard.azure import use_workspace
from modelyard.charter.goals import goals
from modelyard.contract.model import Contract, load_contract
from modelyard.evidence import Evidence, read_anonymity
from modelyard.files import read_json
from modelyard.models.reasons import Reason
from modelyard.models.registry import registry_of
from modelyard.models.version import Version
from modelyard.readiness.evidence import Seen


@dataclass(frozen=True)
class Tried:
    """A version, and what is kept with its run.

    Attributes:
        place: an environment, or this machine.
        evidence: by kind, that of the last decision where there was one.
        releases: details of release.json, oldest first.
    """

    place: str
    version: Version
    is_champion: bool
    evidence: Mapping[str, Mapping[str, Any]]
    releases: Sequence[Mapping[str, Any]]

    @property
    def name(self) -> str:
        """Its number, and whether it is the champion."""
        return f"champion v{self.version.number}" if self.is_champion else f"v{self.version.number}"

    def details(self, kind: str) -> Mapping[str, Any]:
        """Details of evidence; empty where there is none."""
        found: Mapping[str, Any] = self.evidence.get(kind, {}).get("details", {})
        return found


@dataclass(frozen=True)
class Known:
    """A project, and its versions in the places that were asked, newest first in each."""

    seen: Seen
    contract: Contract
    tried: Sequence[Tried]

    @cached_property
    def shown(self) -> Tried | None:
        """The champion, else the newest version."""
        return next((one for one in self.tried if one.is_champion), next(iter(self.tried), None))

    def goals(self, of: Tried | None) -> list[Reason]:
        """Return the goals with the figures of a version."""
        found = (of.evidence, of.releases) if of else ({}, ())
        return goals(self.seen.gates, self.contract, *found)

    @property
    def evidence(self) -> dict[str, Any]:
        """Evidence of the shown version and of the table, by kind."""
        return {**(self.shown.evidence if self.shown else {}), **read_anonymity(self.seen.root)}


def known(root: Path, environments: Sequence[str] = ()) -> Known:
    """Read a project and the registries of environments; none: the registry that it uses here.

    Raises:
        UsageError: a file of conf/ is missing or broken, or a registry does not answer.
    """
    tried = [one for name in environments or (None,) for one in _tried(root, name)]
    return Known(Seen(root), load_contract(root / "conf" / "contract.yml"), tried)


def _tried(root: Path, environment: str | None) -> Iterator[Tried]:
    use_workspace(root, environment)
    seen = Seen(root)
    if not seen.versions:
        return  # the store is not made
    registry, place = registry_of(root), environment or "this machine"
    for version in seen.versions:
        with tempfile.TemporaryDirectory(prefix="charter-") as temporary:
            folder = Path(temporary)
            for name in registry.kept(version) & {"evidence", "decision", "release"}:
                registry.fetch(version, name, folder)
            last = sorted(folder.glob("decision/*"))[-1:]
            files = [file for part in (folder / "evidence", *last) for file in part.glob("*.json")]
            evidence = {file.stem: read_json(file, Evidence) for file in files}
            # Written again where a release was interrupted.
            written = sorted(folder.glob("release/*/*/release.json"))
            releases = {file.parts[-3]: read_json(file, Evidence)["details"] for file in written}
        yield Tried(place, version, version == seen.champion, evidence, list(releases.values()))
