"""Rules of Azure ML for computes, registries, workspaces and identities that no single field shows."""

from __future__ import annotations

from typing import Any

from modelyard.pipelines.azure_fields_check import Checker, snake_case
from modelyard.pipelines.azure_files import AzureFile
from modelyard.pipelines.azure_steps import ordered
from modelyard.yaml_files import LocatedMapping


def twice(section: Any, key: str, where: str, checker: Checker) -> None:
    """Check that the entries of a list differ in a field."""
    seen: dict[str, int] = {}
    for one in section if isinstance(section, list) else ():
        if isinstance(one, LocatedMapping) and key in one:
            name, line = str(one[key]).lower().replace(" ", ""), one.line_of(key)
            if name in seen:
                message = f"{one[key]} is there twice, in line {seen[name]} already"
                checker.wrong(line, f"{where}.{key}", message)
            seen.setdefault(name, line)


def identity(section: LocatedMapping, checker: Checker) -> None:
    """Check that a user-assigned identity is named."""
    kind = snake_case(str(section.get("type", "")))
    names = section.get("user_assigned_identities")
    if kind == "user_assigned" and not names:
        checker.wrong(
            section.line_of("type"), "identity.type", "`user_assigned_identities` is missing"
        )
    if kind == "system_assigned" and names:
        line = section.line_of("user_assigned_identities")
        checker.wrong(
            line, "identity.user_assigned_identities", "the identity's type is system_assigned"
        )


def compute(file: AzureFile, checker: Checker) -> None:
    """Check a cluster or a compute instance."""
    content = file.content
    low, high = content.get("min_instances"), content.get("max_instances")
    ordered(checker, content, "min_instances", low, high, "max_instances")
    identity(file.below("identity"), checker)
    network = file.below("network_settings")
    subnet = str(network.get("subnet", ""))
    if subnet and not subnet.startswith("/") and "vnet_name" not in network:
        message = f"`vnet_name` is missing: {subnet} is a subnet of which network?"
        checker.wrong(network.line_of("subnet"), "network_settings", message)
    if "vnet_name" in network and not subnet:
        line = network.line_of("vnet_name")
        checker.wrong(line, "network_settings", "`subnet` is missing")


def registry(file: AzureFile, checker: Checker) -> None:
    """Check a registry: where it is, and where its copies are."""
    places = file.content.get("replication_locations")
    home = file.content.get("location")
    if isinstance(places, list) and home:
        names = [
            str(one.get("location")).lower().replace(" ", "")
            for one in places
            if isinstance(one, dict)
        ]
        if str(home).lower().replace(" ", "") not in names:
            message = (
                f"{home} has to be one of `replication_locations` as well ({', '.join(names)})"
            )
            checker.wrong(file.content.line_of("location"), "location", message)
    twice(places, "location", "replication_locations", checker)


def workspace(file: AzureFile, checker: Checker) -> None:
    """Check a workspace: its identity and its network."""
    identity(file.below("identity"), checker)
    rules = file.below("managed_network").get("outbound_rules")
    twice(rules, "name", "managed_network.outbound_rules", checker)
