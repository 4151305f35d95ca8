"""What the sample project's infrastructure deploys, with other values for some parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bicep_reader import read_infrastructure
from bicep_reader.deployment import Deployed, deployed
from bicep_reader.sources import Sources, load
from bicep_reader.tree import Expr, Member, Name, Resource, walk
from modelyard.infra.compiler import with_values

from tests.project import ROOT, part_of_sample

INFRA = ROOT / "infra"
PERSONAS = json.loads((INFRA / "modules" / "persona-roles.json").read_text(encoding="utf-8"))
GROUPS = {name: f"group-{name}" for name in PERSONAS}
SUBJECT = "repo:acme/flight-delay:environment:dev"
ROLES = {
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "8311e382-0749-4cb8-b61a-304f252e45ec": "AcrPush",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "b556d68e-0be0-4f35-a333-ad7ee1ce17ea": "Enterprise Network Connection Approver",
    "635dd51f-9968-44d3-b7fb-6d9a6bd613ae": "AzureML Metrics Writer",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
}


@lru_cache
def sources() -> Sources:
    """Return the files of the sample project."""
    return load(INFRA)


def resources(environment: str = "dev", *types: str, **given: Any) -> list[Deployed]:
    """Return the resources of some types that a parameter file deploys; all types where none is named."""
    read = sources()
    parameters = read.files[(INFRA / f"{environment}.bicepparam").resolve()]
    wanted = {one.lower() for one in types}
    subject = SUBJECT.replace("dev", environment)
    values = {"asAdministrator": True, "groups": GROUPS, "ciSubject": subject} | given
    return [
        one
        for one in deployed(parameters, read, values)
        if isinstance(one.declared, Resource)
        and (not wanted or one.declared.type.lower() in wanted)
    ]


def rights(
    environment: str = "dev", principal: str | None = None, **given: Any
) -> list[tuple[str, str, str]]:
    """Return symbol, role and scope of the assignments, or of those to one principal, by the names in the files."""
    found = []
    for one in resources(environment, "Microsoft.Authorization/roleAssignments", **given):
        body = one.declared.body
        properties = body.value("properties")
        assert properties is not None
        if principal is None or written(properties.value("principalId")) == principal:  # type: ignore[union-attr]
            scope = body.value("scope")
            found.append(
                (one.declared.symbol, _role(one), written(scope) if scope is not None else "group")
            )
    return found


def _role(one: Deployed) -> str:
    identifier = one.value("properties", "roleDefinitionId")
    if isinstance(identifier, str) and (known := ROLES.get(identifier.rpartition("/")[2])):
        return known
    given = one.declared.body.value("properties").value("roleDefinitionId")  # type: ignore[union-attr]
    defined = one.scope.file.modules
    return next(n.name for n in walk(given) if isinstance(n, Name) and n.name in defined)


def written(expression: Expr | None) -> str:
    """Return a name, or a member of one, as the file writes it."""
    match expression:
        case Name(name=name):
            return name
        case Member(of=of, name=name):
            return f"{written(of)}.{name}"
        case None:
            return ""
        case _:
            file, line = expression.place.file, expression.place.line
            text = file.read_text(encoding="utf-8").splitlines()[line - 1]
            return text[expression.place.column - 1 :].strip()


def refusals(folder: Path, environment: str, given: Mapping[str, Any]) -> list[str]:
    """Return what the reader says of the sample's infrastructure with other values in a parameter file."""
    part_of_sample(folder, "infra conf")
    file = folder / "infra" / f"{environment}.bicepparam"
    file.write_text(with_values(file.read_text(encoding="utf-8"), given), encoding="utf-8")
    found = read_infrastructure(folder / "infra").findings
    return [one.remedy for one in found if one.place.file == file.resolve()]


def organization_roles() -> list[Deployed]:
    """Return the role definitions that organization.bicep deploys."""
    read = sources()
    file = read.files[(INFRA / "organization.bicepparam").resolve()]
    return [one for one in deployed(file, read) if isinstance(one.declared, Resource)]
