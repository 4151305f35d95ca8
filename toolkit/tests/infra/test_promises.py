"""Promises over what a deployment would make: each is broken in turn, in every type that it is about."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from modelyard.infra import promises
from modelyard.infra.declarations import Declarations
from modelyard.infra.snapshot import Planned

from tests.bicep import plan, promised
from tests.project import ROOT, part_of_sample

INFRA = ROOT / "infra"
PROD = INFRA / "prod.bicepparam"
WHOLE = {
    "network": "managed-vnet",
    "asAdministrator": True,
    "makeEndpoint": True,
    "productionData": "masked-replica",
    "maskedColumns": ["name"],
    "replicaStorageId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/dev",
    "centralData": [
        {
            "name": "shared",
            "storageId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/lake",
            "container": "shared",
        }
    ],
}


@lru_cache
def whole() -> tuple[Planned, ...]:
    """Everything that the sample's prod deploys."""
    return tuple(plan(PROD, **WHOLE))


def changed(kind: str, change: Callable[[dict[str, Any]], object]) -> list[Planned]:
    """Return it with the bodies of one type changed."""
    found = []
    for one in whole():
        body = copy.deepcopy(dict(one.body))
        if one.kind == kind.lower():
            change(body)
        found.append(Planned(one.type, one.version, one.name, body["id"], body))
    return found


def said(everything: list[Planned] | tuple[Planned, ...]) -> list[str]:
    return [one.what for one in promises.check(PROD, everything)]


@pytest.mark.parametrize("network", ["public", "managed-vnet"])
@pytest.mark.parametrize("file", sorted(INFRA.glob("*.bicepparam")), ids=lambda file: file.stem)
def test_the_sample_keeps_every_promise(file: Path, network: str) -> None:
    assert promised(file, {"network": network, "makeEndpoint": True}) == []


def test_everything_at_once_keeps_them_too() -> None:
    assert said(whole()) == []


REQUIRED = [(kind, one[1]) for kind, rules in promises.REQUIRED.items() for one in rules]


@pytest.mark.parametrize(("kind", "path"), REQUIRED)
def test_a_required_property_that_is_not_there_is_found(kind: str, path: str) -> None:
    *outer, last = path.split(".")

    def change(body: dict[str, Any]) -> None:
        for key in outer:
            body = body[key]
        del body[last]

    found = said(changed(kind, change))
    assert found and all(f"{path} is not set" in what for what in found)


@pytest.mark.parametrize("kind", sorted(promises.PRIVATE))
def test_what_stays_open_where_the_workspace_is_closed_is_found(kind: str) -> None:
    def change(body: dict[str, Any]) -> None:
        body["properties"]["publicNetworkAccess"] = "Enabled"
        body["properties"].pop("networkAcls", None)

    found = said(changed(kind, change))
    if kind == promises.WORKSPACE:
        assert not found  # it is the workspace that says whether the network is closed
    else:
        assert found and all("stays open" in what for what in found)


@pytest.mark.parametrize(
    ("rules", "open_"),
    [
        ({"defaultAction": "Allow"}, True),
        ({"defaultAction": "Deny"}, False),
        ({"defaultAction": "Deny", "resourceAccessRules": [{"tenantId": "t"}]}, False),
        ({"defaultAction": "Deny", "ipRules": [{"value": "198.51.100.1"}]}, True),
    ],
)
def test_an_endpoint_that_lets_in_named_resources_only_is_closed(
    rules: dict[str, Any], open_: bool
) -> None:
    def change(body: dict[str, Any]) -> None:
        body["properties"] |= {"publicNetworkAccess": "Enabled", "networkAcls": rules}

    found = said(changed("Microsoft.Storage/storageAccounts", change))
    assert bool([what for what in found if "stays open" in what]) is open_


@pytest.mark.parametrize("kind", sorted(promises.DIAGNOSED & {one.kind for one in whole()}))
def test_a_resource_without_logs_is_found(kind: str) -> None:
    ids = [one.id for one in whole() if one.kind == kind]
    names = [one.name or str(one.given("name")) for one in whole() if one.kind == kind]
    rest = [
        one
        for one in whole()
        if one.kind != promises.DIAGNOSTICS or not any(promises._holds(one.id, i) for i in ids)
    ]
    (found,) = said(rest)  # one line, however many they are
    assert "sends no logs" in found and all(name in found for name in names[:5])


@pytest.mark.parametrize("by_policy", [False, True])
def test_logs_are_not_judged_where_the_parameter_file_says_that_a_policy_makes_them(
    tmp_path: Path, by_policy: bool
) -> None:
    part_of_sample(tmp_path, "infra conf")
    file = tmp_path / "infra" / "dev.bicepparam"
    if by_policy:
        text = file.read_text(encoding="utf-8")
        file.write_text(f"{text}\nparam diagnosticsByPolicy = true\n", encoding="utf-8")
    found = promised(file, {"diagnosticsByPolicy": True})
    assert bool(found) is not by_policy
    assert all("sends no logs" in one.what for one in found)


@pytest.mark.parametrize(
    "text",
    ["[listKeys('/id', '1').keys[0].value]", "DefaultEndpointsProtocol=https;AccountKey=abc"],
)
def test_a_key_anywhere_in_a_body_is_found(text: str) -> None:
    def change(body: dict[str, Any]) -> None:
        body["properties"]["siteConfig"] = {"appSettings": [{"name": "a", "value": text}]}

    found = said(changed("Microsoft.Web/sites", change))
    assert len(found) == 1 and "it holds a key" in found[0]


@pytest.mark.parametrize("part", ["actions", "dataActions"])
def test_a_wildcard_in_a_role_is_found(part: str) -> None:
    def change(body: dict[str, Any]) -> None:
        body["properties"]["permissions"][0][part] = ["Microsoft.Storage/*/read"]

    found = said(changed(promises.DEFINITION, change))
    assert found and all("a wildcard: Microsoft.Storage/*/read" in what for what in found)


@pytest.mark.parametrize(("role", "name"), promises.GIVE_ROLES.items())
def test_a_role_that_gives_roles_is_found(role: str, name: str) -> None:
    def change(body: dict[str, Any]) -> None:
        body["properties"]["roleDefinitionId"] = (
            f"[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{role}')]"
        )

    found = said(changed(promises.ASSIGNMENT, change))
    assert found and all(f"the role {name} can give itself" in what for what in found)


def test_what_is_left_to_the_deployment_is_not_judged() -> None:
    def change(body: dict[str, Any]) -> None:
        body["properties"] |= {"allowSharedKeyAccess": "[parameters('x')]"}

    assert said(changed("Microsoft.Storage/storageAccounts", change)) == []


def test_an_exception_with_a_reason_is_made_for_the_rule_that_it_names(tmp_path: Path) -> None:
    text = (
        "resource a 'A.B/c@1' = {\n  // mlops:skip=tags:it is shared\n  name: 'a'\n\n"
        "  resource d 'e' = {\n    // mlops:skip=logs:\n    name: 'd'\n  }\n}\n"
    )
    (tmp_path / "main.bicep").write_text(text, encoding="utf-8")
    declared = Declarations(tmp_path)
    assert declared.exceptions("a.b/C") == {"tags"}
    assert declared.exceptions("A.B/c/e") == set()  # without a reason
    assert declared.place("A.B/c/e", tmp_path / "x").line == 5
    assert declared.place("A.B/other", tmp_path / "x").file.name == "x"
