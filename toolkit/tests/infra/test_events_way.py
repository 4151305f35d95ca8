"""The way of an event: from the topic through the storage's firewall into a queue, and from there to the function app."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from modelyard.events.event import BREACH_TAG, Queue
from modelyard.events.settings import Settings
from modelyard.infra.snapshot import Planned

from tests.bicep import plan
from tests.infra.deployed import INFRA

STORAGE = "microsoft.storage/storageaccounts"
SUBNET = "microsoft.network/virtualnetworks/subnets"


def made(network: str, *kinds: str) -> list[Planned]:
    given: dict[str, Any] = {"network": network, "asAdministrator": True}
    return [one for one in plan(INFRA / "dev.bicepparam", **given) if one.kind in kinds]


@pytest.mark.parametrize("network", ["public", "managed-vnet"])
def test_event_grid_and_the_function_app_pass_the_firewall_of_their_storage(network: str) -> None:
    (events,) = [one for one in made(network, STORAGE) if str(one.name).startswith("stevents")]
    (subnet,) = [one for one in made(network, SUBNET) if str(one.name).endswith("/functions")]
    rules = events.value("properties.networkAcls")
    assert (rules["defaultAction"], rules["bypass"]) == ("Deny", "AzureServices")
    (app,) = made(network, "microsoft.web/sites")
    assert app.value("properties.virtualNetworkSubnetId") == subnet.id
    if network == "public":
        assert [one["id"] for one in rules["virtualNetworkRules"]] == [subnet.id]
        assert subnet.each("properties.serviceEndpoints.service") == ["Microsoft.Storage"]
    else:
        reached = made(network, "microsoft.network/privateendpoints")
        groups = {
            group
            for one in reached
            for link in one.value("properties.privateLinkServiceConnections")
            for group in link["properties"]["groupIds"]
            if link["properties"]["privateLinkServiceId"] == events.id
        }
        assert groups == {"blob", "queue"}


def test_an_event_goes_to_a_queue_that_has_a_handler() -> None:
    queues = {
        str(one.name).rpartition("/")[2]
        for one in made("public", f"{STORAGE}/queueservices/queues")
    }
    assert queues == {f"{queue}{end}" for queue in get_args(Queue) for end in ("", "-poison")}
    kind = "microsoft.eventgrid/systemtopics/eventsubscriptions"
    to = "properties.deliveryWithResourceIdentity.destination.properties.queueName"
    subscriptions = {one.value(to): one for one in made("public", kind)}
    assert set(subscriptions) == set(get_args(Queue))
    for queue, operator in (("run-failed", "IsNullOrUndefined"), ("monitor-breached", "IsNotNull")):
        filters = subscriptions[queue].value("properties.filter.advancedFilters")
        assert {"operatorType": operator, "key": f"data.RunTags.{BREACH_TAG}"} in filters


def test_the_function_app_has_the_settings_that_it_reads_and_no_key() -> None:
    (app,) = made("public", "microsoft.web/sites")
    given = {one["name"] for one in app.value("properties.siteConfig.appSettings")}
    required = {name for name, one in Settings.model_fields.items() if one.is_required()}
    assert {f"EVENTS_{name.upper()}" for name in required - {"project"}} <= given
    store = {name for name in given if name.startswith("AzureWebJobsStorage")}
    assert store == {
        f"AzureWebJobsStorage__{one}" for one in ("accountName", "credential", "clientId")
    }
