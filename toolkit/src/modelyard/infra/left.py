"""What a deployment leaves behind: access and rules that are there and that the files do not have any more."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from modelyard.files import parse_answer, read_text
from modelyard.infra.before import GET, SUBSCRIPTION, Az, address
from modelyard.infra.compiler import Target, planned, used
from modelyard.infra.snapshot import Planned

ASSIGNMENT = "microsoft.authorization/roleassignments"
ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01"
CREDENTIAL = "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials"
DEFINITION = "microsoft.authorization/roledefinitions"
ENDPOINT = "microsoft.network/privateendpoints"
FACTORY_ENDPOINT = "microsoft.datafactory/factories/managedvirtualnetworks/managedprivateendpoints"
ELIGIBLE = "microsoft.authorization/roleeligibilityschedulerequests"
IDENTITY = "microsoft.managedidentity/userassignedidentities"
READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"  # Storage Blob Data Reader, for production data
RULE = "microsoft.machinelearningservices/workspaces/outboundrules"
STORAGE = "microsoft.storage/storageaccounts"
WORKSPACE = "microsoft.machinelearningservices/workspaces"
_DESCRIPTION = re.compile(r"^ +description: '([^'\\\n]+)'$", re.MULTILINE)

Pairs = set[tuple[str | None, str]]


@dataclass(frozen=True)
class Removal:
    """What goes, and the words of the Azure CLI that remove it."""

    what: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.what}: az {shlex.join(self.words)}"


@dataclass(frozen=True)
class Assigned:
    """An assignment that the file does not have.

    Attributes:
        by: who and what for, of which another environment's file may have one.
        is_outside: it is of another resource group.
    """

    left: Removal
    by: Pairs
    is_outside: bool = False


def left_behind(
    az: Az,
    parameters: Path,
    target: Target,
    say: Callable[[str], object],
    *,
    outside: bool = False,
) -> list[Removal]:
    """Return each thing that no file has.

    Args:
        az: runs the Azure CLI with some words.
        parameters: the parameter file.
        target: the resource group.
        say: takes a line about what could not be looked at.
        outside: other resource groups are looked at as well, for roles that the identities of this one have there.
    """
    # With roles of its own, whosever roles are assigned: their descriptions are the same.
    given = {"asAdministrator": True, "rolesOf": ""}
    wanted, group = planned(parameters, given, target), target.group
    texts = (read_text(file) for file in parameters.parent.rglob("*.bicep"))
    described = {found for text in texts for found in _DESCRIPTION.findall(text)}
    assigned = [*_assignments(az, described, wanted, group, say)]
    assigned += _outside(az, described, wanted, group, say) if outside else ()
    if assigned:  # perhaps another environment assigns it, as prod does its replica in dev
        others = [
            one
            for file in parameters.parent.glob("*.bicepparam")
            if file.name != parameters.name and used(file) == used(parameters)
            for one in planned(file, given)
        ]
        here = _held(one for one in others if within(group, one.id)), _held(others)
        assigned = [one for one in assigned if not here[one.is_outside] & one.by]
    return [
        *(one.left for one in assigned),
        *(_eligible(az, wanted, group, say) if parameters.stem == "prod" else ()),
        *_credentials(az, wanted, group, say),
        *_rules(az, wanted, group, say),
        *_endpoints(az, wanted, group, say),
    ]


def within(group: str, identifier: object) -> bool:
    """Tell whether a resource id is of a resource group, or below it."""
    return f"/resourcegroups/{group}/".lower() in f"{identifier}/".lower()


def _held(wanted: Iterable[Planned]) -> Pairs:
    """Return who is assigned a role and what for; None: an identity that has its number in a deployment only."""
    return {
        (_principal(one), str(one.value("properties.description")))
        for one in wanted
        if one.kind == ASSIGNMENT
    }


def _principal(one: Planned) -> str | None:
    """Return the id of who is assigned as Azure writes it: a file may have capitals."""
    who = one.value("properties.principalId")
    return None if who is None else str(who).lower()


def _assignments(
    az: Az,
    described: set[str],
    wanted: list[Planned],
    group: str,
    say: Callable[[str], object],
) -> Iterator[Assigned]:
    """Yield who holds a role in the group, which the files describe, and is not in the file."""
    held = _held(wanted)
    roles = {
        str(one.value("properties.description")): str(one.value("properties.roleName"))
        for one in wanted
        if one.kind == DEFINITION
    }
    url = f"{SUBSCRIPTION}/resourceGroups/{group}/{ASSIGNMENTS}"
    for there in listed(az, say, "assignments", *GET, url):
        one = there.get("properties") or {}
        keys = ("principalId", "description", "principalType")
        who, what, kind = (str(one.get(key)) for key in keys)
        by: Pairs = {(who.lower(), what), (None, what)}
        if (
            not within(group, there.get("id"))
            or kind not in ("Group", "ServicePrincipal")
            or what not in described | roles.keys()
            or held & by
        ):
            continue
        said = f"the group {who} is {roles.get(what)} and in no file"
        if kind != "Group":
            said = f"the identity {who} has a role that no file gives it ({what})"
        yield Assigned(_deleted(said, there), by)


def _outside(
    az: Az,
    described: set[str],
    wanted: list[Planned],
    group: str,
    say: Callable[[str], object],
) -> Iterator[Assigned]:
    """Yield roles of the environment's identities on a vault, a registry or a storage account of another group that the file named once."""
    held = _held(wanted)
    scopes = " ".join(one.id for one in wanted if one.kind == ASSIGNMENT).lower()
    acting = {}
    for one in wanted:
        if one.kind in (IDENTITY, WORKSPACE) and one.name:
            url = f"{address(one, group)}?api-version={one.version}"
            for there in listed(az, say, one.name, *GET, url):
                properties = there.get("identity") or there.get("properties") or {}
                acting[properties.get("principalId")] = one.name
    words = ("role", "assignment", "list", "--all")
    for there in listed(az, say, "assignments in other resource groups", *words) if acting else ():
        who, what, scope = (there.get(key) for key in ("principalId", "description", "scope"))
        if (
            who in acting
            and what in described
            and (who, what) not in held
            and not within(group, scope)
            and f"'{scope}'".lower() not in scopes
        ):
            said = f"{acting[who]} is {there.get('roleDefinitionName')} of {scope}, which is in no file"
            yield Assigned(_deleted(said, there), {(who, what)}, is_outside=True)


def _deleted(said: str, assignment: dict[str, Any]) -> Removal:
    return Removal(said, ("role", "assignment", "delete", "--ids", str(assignment.get("id"))))


def _eligible(
    az: Az, wanted: list[Planned], group: str, say: Callable[[str], object]
) -> Iterator[Removal]:
    """Yield groups that may ask for production data, as the condition tells, and are not in the file."""
    asking = {_principal(one) for one in wanted if one.kind == ELIGIBLE}
    stores = [f"StringEquals '{one.name}'" for one in wanted if one.kind == STORAGE]
    base = f"{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Authorization"
    url = f"{base}/roleEligibilitySchedules?api-version=2020-10-01"
    for there in listed(az, say, "who may ask for production data", *GET, url):
        one = there.get("properties") or {}
        who, role = one.get("principalId"), str(one.get("roleDefinitionId"))
        if (
            str(who).lower() in asking
            or not role.endswith(READER)
            or not any(store in str(one.get("condition")) for store in stores)
        ):
            continue
        body = {"principalId": who, "roleDefinitionId": role, "requestType": "AdminRemove"}
        url = f"{base}/roleEligibilityScheduleRequests/{uuid4()}?api-version=2020-10-01"
        words = ("rest", "--method", "put", "--url", url, "--body")
        yield Removal(
            f"the group {who} may ask for production data and is in no file",
            (*words, json.dumps({"properties": body})),
        )


def _credentials(
    az: Az, wanted: list[Planned], group: str, say: Callable[[str], object]
) -> Iterator[Removal]:
    names = {one.name for one in wanted if one.kind == CREDENTIAL}
    for identity in (one for one in wanted if one.kind == IDENTITY and one.name):
        url = f"{address(identity, group)}/federatedIdentityCredentials?api-version={identity.version}"
        for there in listed(az, say, f"credentials of {identity.name}", *GET, url):
            full = f"{identity.name}/{there.get('name')}"
            # One that begins with the file's own is of the same provider, added beside it.
            if full not in names and not any(full.startswith(f"{name}-") for name in names):
                subject = (there.get("properties") or {}).get("subject")
                said = f"{subject} signs in as {identity.name} and is in no file"
                words = ("identity", "federated-credential", "delete", "--resource-group", group)
                names_it = ("--identity-name", str(identity.name), "--name", str(there.get("name")))
                yield Removal(said, (*words, *names_it, "--yes"))


def _rules(
    az: Az, wanted: list[Planned], group: str, say: Callable[[str], object]
) -> Iterator[Removal]:
    rules = [one for one in wanted if one.kind == RULE]
    known = {one.name for one in rules} | {
        str(one.value("properties.destination")) for one in rules
    }
    for workspace in (one for one in wanted if one.kind == WORKSPACE and one.name):
        url = f"{address(workspace, group)}/outboundRules?api-version={workspace.version}"
        for there in listed(az, say, f"rules of {workspace.name}", *GET, url):
            rule, name = there.get("properties") or {}, there.get("name")
            by_host = rule.get("type") == "FQDN"
            key = rule.get("destination") if by_host else f"{workspace.name}/{name}"
            if rule.get("category") != "UserDefined" or key in known:
                continue
            said = f"jobs still reach {key}, and the firewall is billed"
            if not by_host:
                said = f"jobs still have the outbound rule {name}, which no file has"
            path = url.replace("/outboundRules", f"/outboundRules/{name}")
            yield Removal(said, ("rest", "--method", "delete", "--url", path))


def _endpoints(
    az: Az, wanted: list[Planned], group: str, say: Callable[[str], object]
) -> Iterator[Removal]:
    """Yield private endpoints to resources of elsewhere, a registry's or a replica's, that the file named once."""
    made = [one for one in wanted if one.kind in (ENDPOINT, FACTORY_ENDPOINT) and one.name]
    reached = {text.lower() for one in made for text in one.texts()}
    places = {(address(one, group).rpartition("/")[0], one.version) for one in made}
    for place, version in sorted(places):
        url = f"{place}?api-version={version}"
        for there in listed(az, say, "private endpoints", *GET, url):
            name, target = str(there.get("name")), _reached(there)
            if target and not within(group, target) and target.lower() not in reached:
                said = f"the private endpoint {name} reaches {target}, which is in no file, and is billed"
                url = f"{place}/{name}?api-version={version}"
                yield Removal(said, ("rest", "--method", "delete", "--url", url))


def _reached(endpoint: dict[str, Any]) -> str | None:
    """Return the resource that a private endpoint of the files leads to; None where somebody else made the endpoint."""
    name, link = str(endpoint.get("name")), endpoint.get("properties") or {}
    if name.startswith("replica-"):  # in the network of a factory
        return link.get("privateLinkResourceId")
    card = name.replace("pep-", "nic-", 1)
    if not name.startswith("pep-") or link.get("customNetworkInterfaceName") != card:
        return None
    (connection, *_) = link.get("privateLinkServiceConnections") or [{}]
    return (connection.get("properties") or {}).get("privateLinkServiceId")


def listed(az: Az, say: Callable[[str], object], what: str, *words: str) -> list[dict[str, Any]]:
    """Ask for a list, page by page: the address of a page is the last word."""
    done = az(*words)
    if done.returncode:
        if "notfound" not in done.stderr.lower().replace(" ", ""):
            say(f"not looked at {what}: {done.stderr.strip()}")
        return []
    found, following = parse_answer(done.stdout, "az", *words) or [], None
    if isinstance(found, dict):
        found, following = found.get("value", [found]), found.get("nextLink")
    more = listed(az, say, what, *words[:-1], str(following)) if following else []
    return [one for one in found if isinstance(one, dict)] + more
