"""What a deployment leaves behind: access and rules that are there and that the files do not have any more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.infra.before import Az, address
from modelyard.infra.compiler import Target, planned
from modelyard.infra.snapshot import Planned

ASSIGNMENT = "microsoft.authorization/roleassignments"
CREDENTIAL = "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials"
DEFINITION = "microsoft.authorization/roledefinitions"
IDENTITY = "microsoft.managedidentity/userassignedidentities"
RULE = "microsoft.machinelearningservices/workspaces/outboundrules"
WORKSPACE = "microsoft.machinelearningservices/workspaces"


@dataclass(frozen=True)
class Left:
    """A thing that no file has, and the words of the Azure CLI that remove it."""

    what: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.what}: az {' '.join(self.words)}"


def left_behind(
    az: Az, parameters: Path, target: Target, say: Callable[[str], object]
) -> list[Left]:
    """Return each thing that no file has.

    Args:
        az: runs the Azure CLI with some words.
        parameters: the parameter file.
        target: the resource group.
        say: takes a line about what could not be looked at.
    """
    # With roles of its own, whosever roles are assigned: their descriptions are the same.
    wanted = planned(parameters, {"asAdministrator": True, "rolesOf": ""}, target)
    group = target.group
    return [
        *_assignments(az, wanted, group, say),
        *_credentials(az, wanted, group, say),
        *_rules(az, wanted, group, say),
    ]


def _assignments(
    az: Az, wanted: list[Planned], group: str, say: Callable[[str], object]
) -> Iterator[Left]:
    """Yield groups that hold a role of ours, which the description of an assignment tells, and are not in the file."""
    held = {
        tuple(str(one.value(f"properties.{key}")) for key in ("principalId", "description"))
        for one in wanted
        if one.kind == ASSIGNMENT
    }
    roles = {str(one.value("properties.description")) for one in wanted if one.kind == DEFINITION}
    words = ("role", "assignment", "list", "--resource-group", group, "--output", "json")
    for there in _list(az, say, "assignments", *words):
        pair = str(there.get("principalId")), str(there.get("description"))
        if there.get("principalType") == "Group" and pair[1] in roles and pair not in held:
            yield Left(
                f"the group {pair[0]} is {there.get('roleDefinitionName')} and in no file",
                ("role", "assignment", "delete", "--ids", str(there.get("id"))),
            )


def _credentials(
    az: Az, wanted: list[Planned], group: str, say: Callable[[str], object]
) -> Iterator[Left]:
    names = {one.name for one in wanted if one.kind == CREDENTIAL}
    for identity in (one for one in wanted if one.kind == IDENTITY and one.name):
        url = f"{address(identity, group)}/federatedIdentityCredentials?api-version={identity.version}"
        for there in _list(
            az, say, f"credentials of {identity.name}", "rest", "--method", "get", "--url", url
        ):
            full = f"{identity.name}/{there.get('name')}"
            # One that begins with the file's own is of the same provider, added beside it.
            if full not in names and not any(full.startswith(f"{name}-") for name in names):
                subject = (there.get("properties") or {}).get("subject")
                words = (
                    f"identity federated-credential delete --resource-group {group} --identity-name"
                )
                yield Left(
                    f"{subject} signs in as {identity.name} and is in no file",
                    (*words.split(), str(identity.name), "--name", str(there.get("name")), "--yes"),
                )


def _rules(
    az: Az, wanted: list[Planned], group: str, say: Callable[[str], object]
) -> Iterator[Left]:
    rules = (one for one in wanted if one.kind == RULE and one.value("properties.type") == "FQDN")
    hosts = {one.value("properties.destination") for one in rules}
    for workspace in (one for one in wanted if one.kind == WORKSPACE and one.name):
        url = f"{address(workspace, group)}/outboundRules?api-version={workspace.version}"
        for there in _list(
            az, say, f"rules of {workspace.name}", "rest", "--method", "get", "--url", url
        ):
            rule = there.get("properties") or {}
            if (rule.get("type"), rule.get("category")) == ("FQDN", "UserDefined") and (
                rule.get("destination") not in hosts
            ):
                path = f"{address(workspace, group)}/outboundRules/{there.get('name')}"
                url = f"{path}?api-version={workspace.version}"
                yield Left(
                    f"jobs still reach {rule.get('destination')}, and the firewall is billed",
                    ("rest", "--method", "delete", "--url", url),
                )


def _list(
    az: Az,
    say: Callable[[str], object],
    what: str,
    *words: str,
) -> list[dict[str, Any]]:
    done = az(*words)
    if done.returncode:
        if "notfound" not in done.stderr.lower().replace(" ", ""):
            say(f"not looked at {what}: {done.stderr.strip()}")
        return []
    found = json.loads(done.stdout or "[]")
    found = found.get("value", []) if isinstance(found, dict) else found
    return [one for one in found if isinstance(one, dict)]
