"""What of the infrastructure comes before what, where no value says so."""

from __future__ import annotations

import re

import pytest
from bicep_reader.tree import Name, walk

from tests.infra.deployed import INFRA, sources

# What waits for what, where nothing else says so: Azure refuses it, or does it wrong, when it comes too early.
WAITS = {
    "main.bicep": [
        ("compute", "access"),  # the workspace may approve the private endpoints that come with it
        ("buildCompute", "access"),
        ("onlineEndpoint", "access"),
        ("events", "access"),
        ("endpointAlerts", "onlineEndpoint"),
        ("centralStores", "compute"),  # which makes the managed network that its rule changes
        ("centralStores", "buildCompute"),
    ],
    "modules/central-data.bicep": [("rule", "roles")],
    "modules/budget.bicep": [("groupTags", "budgets")],
    "modules/network.bicep": [
        ("functions", "endpoints"),
        ("runners", "functions"),
        ("hub", "runners"),
    ],
    "modules/policy.bicep": [("inherited", "groupTags"), ("required", "inherited")],
    "modules/workspace.bicep": [("hostRules", "targetRules"), ("registryTagRules", "hostRules")],
}
# Changes of one resource, which takes them one at a time.
ALONE = {
    "event-storage": ["endpoints"],
    "private-link-scope": ["scoped"],
    "storage": ["endpoints"],
    "workspace": ["targetRules", "hostRules", "registryTagRules"],
}


@pytest.mark.parametrize("name", WAITS)
def test_what_azure_refuses_too_early_waits(name: str) -> None:
    file = sources().files[(INFRA / name).resolve()]
    declared = {one.symbol: one for one in (*file.modules.values(), *file.resources)}
    for symbol, other in WAITS[name]:
        named = declared[symbol].body.value("dependsOn")
        waited = {one.name for one in walk(named) if isinstance(one, Name)} if named else set()
        assert other in waited, (symbol, other)


@pytest.mark.parametrize("name", ALONE)
def test_changes_of_one_resource_come_one_after_the_other(name: str) -> None:
    text = (INFRA / "modules" / f"{name}.bicep").read_text(encoding="utf-8")
    for symbol in ALONE[name]:
        assert re.search(rf"^@batchSize\(1\)\n(module|resource) {symbol} ", text, re.MULTILINE)
