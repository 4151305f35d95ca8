"""A model of conf/principles.yml: what shows that a model keeps to the six principles of responsible AI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from modelyard.files import has_file
from modelyard.yaml_files import read_model

Kind = Literal[
    "quality",
    "data",
    "training",
    "evaluation",
    "importance",
    "fairness",
    "footprint",
    "decision",
    "anonymity",
]
FAIR = "fair by"  # what the gates of groups begin with


class Principle(BaseModel):
    """Kinds of evidence that show a principle, and what evidence cannot show, in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    evidence: tuple[Kind, ...] = ()
    reason: str = ""


class Principles(BaseModel):
    """The six principles, as Microsoft names them; one that is left out is not shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fairness: Principle = Principle()
    reliability_and_safety: Principle = Principle()
    privacy_and_security: Principle = Principle()
    inclusiveness: Principle = Principle()
    transparency: Principle = Principle()
    accountability: Principle = Principle()


UNSAID = Principles()


@dataclass(frozen=True)
class Shown:
    """What is known of a principle.

    Attributes:
        is_shown: False where evidence speaks against it; None where nothing shows it, or not all of it.
    """

    name: str
    is_shown: bool | None
    said: str


def load_principles(path: Path | None) -> Principles:
    """Read a file of principles; all are empty where there is none.

    Raises:
        UsageError: it is not YAML, or a field is unknown.
    """
    return read_model(path, Principles) if path is not None and has_file(path) else Principles()


def shown(principles: Principles, evidence: Mapping[str, Mapping[str, Any] | None]) -> list[Shown]:
    """Compare what principles name with a version's evidence."""
    return [
        _shown(name.replace("_", " "), getattr(principles, name), evidence)
        for name in type(principles).model_fields
    ]


def _shown(
    name: str, principle: Principle, evidence: Mapping[str, Mapping[str, Any] | None]
) -> Shown:
    reason = principle.reason.strip()
    if not principle.evidence and not reason:
        return Shown(name, None, "nobody has said what shows it")
    found = {kind: _state(kind, evidence) for kind in principle.evidence}
    said = [f"{kind}: {words}" for kind, (_, words) in found.items()] + ([reason] if reason else [])
    states = {state for state, _ in found.values()}
    is_shown = False if False in states else None if None in states else True
    return Shown(name, is_shown, "; ".join(said))


def _state(kind: str, evidence: Mapping[str, Mapping[str, Any] | None]) -> tuple[bool | None, str]:
    """Say whether evidence is there; that of groups and of anonymity also by its gates."""
    content = evidence.get(kind)
    if not content:
        return None, "no evidence yet"
    if kind == "anonymity":
        return _anonymity(_details(content), _details(evidence.get("data")))
    if kind != "fairness":
        return True, "in the evidence"
    if not _details(content).get("columns"):
        return None, "no column is compared: conf/contract.yml names none as sensitive"
    reasons = _details(evidence.get("decision")).get("reasons")
    gates = [
        one.get("passed")
        for one in (reasons if isinstance(reasons, list) else ())
        if isinstance(one, Mapping) and str(one.get("gate")).startswith(FAIR)
    ]
    if not gates or None in gates:
        return None, "the groups are not judged in full"
    if False in gates:
        return False, "a gate refuses"
    return True, "every gate passed"


def _anonymity(found: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[bool | None, str]:
    """Say what the k-anonymity of the project's table shows of a version that was trained on it."""
    source = data.get("source")
    learnt = source.get("sha256") if isinstance(source, Mapping) else None
    if found.get("sha256") != learnt:
        return None, "measured on another table than this version's: `mlops anonymity`"
    columns = found.get("columns")
    by = ", ".join(map(str, columns)) if isinstance(columns, list) else "?"
    return found.get("passed"), f"{found.get('why')}, by {by}"


def _details(content: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the details of evidence, nothing where it is damaged."""
    details = content.get("details") if isinstance(content, Mapping) else None
    return details if isinstance(details, Mapping) else {}
