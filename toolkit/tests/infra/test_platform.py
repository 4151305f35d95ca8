"""What a platform team brings along: each by a parameter, and nothing of it made twice."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bicep_reader.evaluate import GENERATED
from bicep_reader.tree import Index, walk

from tests.bicep import plan, promised
from tests.infra.deployed import INFRA, refusals, resources, rights, sources

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hub/providers"
SUBNETS = {
    "endpointsSubnetId": f"{SUBSCRIPTION}/Microsoft.Network/virtualNetworks/vnet/subnets/endpoints",
    "functionsSubnetId": f"{SUBSCRIPTION}/Microsoft.Network/virtualNetworks/vnet/subnets/functions",
}
ZONES = SUBSCRIPTION.removesuffix("/providers")
LOGS = f"{SUBSCRIPTION}/Microsoft.OperationalInsights/workspaces/log-hub"
KEY = {
    "encryptionKey": "https://kv-hub.vault.example/keys/data",
    "encryptionVaultId": f"{SUBSCRIPTION}/Microsoft.KeyVault/vaults/kv-hub",
    "encryptionIdentityId": f"{SUBSCRIPTION}/Microsoft.ManagedIdentity/userAssignedIdentities/id-keys",
}
PRIVATE = {"network": "managed-vnet"}
NETWORK = "Microsoft.Network/"


def kinds(environment: str = "prod", **given: Any) -> set[str]:
    return {one.declared.type for one in resources(environment, **given)}


@pytest.mark.parametrize("network", ["public", "managed-vnet"])
def test_with_subnets_of_a_platform_team_no_network_is_made(network: str) -> None:
    given = SUBNETS | {"network": network, "privateDnsZones": ZONES}
    made = {kind for kind in kinds(**given) if kind.startswith(NETWORK)}
    assert made == (
        {
            "Microsoft.Network/privateEndpoints",
            "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
        }
        if network == "managed-vnet"
        else set()
    )
    (site,) = resources("prod", "Microsoft.Web/sites", **given)
    assert site.value("properties", "virtualNetworkSubnetId") == SUBNETS["functionsSubnetId"]
    for endpoint in resources("prod", "Microsoft.Network/privateEndpoints", **given):
        assert endpoint.value("properties", "subnet", "id") == SUBNETS["endpointsSubnetId"]


def test_zones_of_a_hub_are_used_and_not_made() -> None:
    assert "Microsoft.Network/privateDnsZones" in kinds(**PRIVATE)
    given = PRIVATE | {"privateDnsZones": ZONES}
    assert "Microsoft.Network/privateDnsZones" not in kinds(**given)
    groups = resources("prod", "Microsoft.Network/privateEndpoints/privateDnsZoneGroups", **given)
    assert {group.scope.given["privateDnsZones"] for group in groups} == {ZONES}
    (zones,) = [
        one
        for one in sources()
        .files[(INFRA / "modules" / "private-endpoint.bicep").resolve()]
        .resources
        if one.symbol == "zones"
    ]
    scope = zones.body.value("scope")
    assert scope is not None and sum(isinstance(node, Index) for node in walk(scope)) == 2


def test_where_a_policy_writes_the_records_none_are_written() -> None:
    made = kinds(**PRIVATE, privateDnsZones="policy")
    assert "Microsoft.Network/privateEndpoints" in made
    assert not {one for one in made if "rivateDnsZone" in one}


@pytest.mark.parametrize("hub", ["", f"{SUBSCRIPTION}/Microsoft.Network/virtualNetworks/hub"])
def test_the_network_is_peered_with_a_hub_that_is_named(hub: str) -> None:
    peered = resources(
        "prod", "Microsoft.Network/virtualNetworks/virtualNetworkPeerings", hubNetworkId=hub
    )
    assert [one.value("properties", "remoteVirtualNetwork", "id") for one in peered] == [
        hub
    ] * bool(hub)


def test_people_come_through_the_gateway_of_a_hub_and_its_servers_are_asked_for_names() -> None:
    hub = {"hubNetworkId": f"{SUBSCRIPTION}/Microsoft.Network/virtualNetworks/hub"}
    network = "Microsoft.Network/virtualNetworks"
    for given, servers in (
        ({}, []),
        ({"hubGateway": True, "dnsServers": ["10.0.0.4"]}, ["10.0.0.4"]),
    ):
        peered, own = (
            one
            for kind in (f"{network}/virtualNetworkPeerings", network)
            for one in resources("prod", kind, **hub, **given)
        )
        assert peered.value("properties", "useRemoteGateways") is bool(given)
        assert own.value("properties", "dhcpOptions", "dnsServers") == servers


def test_logs_of_an_organization_take_everything_and_are_not_locked() -> None:
    given = {"logAnalyticsId": LOGS}
    assert "Microsoft.OperationalInsights/workspaces" not in kinds(**given)
    settings = resources("prod", "Microsoft.Insights/diagnosticSettings", **given)
    assert {one.value("properties", "workspaceId") for one in settings} == {LOGS}
    (insights,) = resources("prod", "Microsoft.Insights/components", **given)
    assert insights.value("properties", "WorkspaceResourceId") == LOGS
    locks = {
        one.declared.symbol for one in resources("prod", "Microsoft.Authorization/locks", **given)
    }
    assert locks == {"storageLock", "vaultLock", "containerRegistryLock"}


@pytest.mark.parametrize("network", ["public", "managed-vnet"])
def test_where_a_policy_makes_diagnostic_settings_there_are_none(network: str) -> None:
    given = {"network": network, "makeEndpoint": True}
    settings = "Microsoft.Insights/diagnosticSettings"
    made, without = kinds(**given), kinds(**given, diagnosticsByPolicy=True)
    assert made - without == {settings}
    # What else uses the logs still has their workspace.
    rules = "Microsoft.Insights/scheduledQueryRules"
    (logs,) = {one.value("properties", "scopes")[0] for one in resources("prod", rules, **given)}
    by_policy = resources("prod", rules, **given, diagnosticsByPolicy=True)
    assert {one.value("properties", "scopes")[0] for one in by_policy} == {logs}


def test_a_key_of_ones_own_encrypts_storage_images_and_the_workspace() -> None:
    identity = KEY["encryptionIdentityId"]
    (account,) = [
        one
        for one in resources("prod", "Microsoft.Storage/storageAccounts", **KEY)
        if one.declared.symbol == "account"
    ]
    encryption = account.value("properties", "encryption")
    assert encryption["keySource"] == "Microsoft.Keyvault"
    assert encryption["keyvaultproperties"] == {
        "keyname": "data",
        "keyvaulturi": "https://kv-hub.vault.example",
    }
    assert encryption["identity"] == {"userAssignedIdentity": identity}
    assert account.value("identity", "userAssignedIdentities") == {identity: {}}
    (registry,) = resources("dev", "Microsoft.ContainerRegistry/registries", **KEY)
    assert registry.value("sku", "name") == "Premium"
    assert registry.value("properties", "encryption")["status"] == "enabled"
    (workspace,) = resources("prod", "Microsoft.MachineLearningServices/workspaces", **KEY)
    assert workspace.value("properties", "encryption") == {
        "status": "Enabled",
        "identity": {"userAssignedIdentity": identity},
        "keyVaultProperties": {
            "keyVaultArmId": KEY["encryptionVaultId"],
            "keyIdentifier": KEY["encryptionKey"],
        },
    }


def test_without_one_azure_keeps_the_keys() -> None:
    for one in resources("prod", "Microsoft.Storage/storageAccounts"):
        if one.declared.symbol == "account":
            assert one.value("properties", "encryption")["keySource"] == "Microsoft.Storage"
            assert one.value("identity") is None
    for kind in (
        "Microsoft.ContainerRegistry/registries",
        "Microsoft.MachineLearningServices/workspaces",
    ):
        assert [one.value("properties", "encryption") for one in resources("prod", kind)] == [None]


VAULT = f"{SUBSCRIPTION}/Microsoft.KeyVault/vaults/kv-hub"
IMAGES = f"{SUBSCRIPTION}/Microsoft.ContainerRegistry/registries/crhub"
EXISTING = {"keyVaultId": VAULT, "containerRegistryId": IMAGES}


@pytest.mark.parametrize("network", ["public", "managed-vnet"])
def test_a_vault_and_a_registry_that_are_there_are_used_and_not_made(network: str) -> None:
    given = EXISTING | {"network": network}
    of_them = {"Microsoft.KeyVault/vaults", "Microsoft.ContainerRegistry/registries"}
    assert of_them <= kinds(network=network) and not of_them & kinds(**given)
    (workspace,) = resources("prod", "Microsoft.MachineLearningServices/workspaces", **given)
    assert workspace.value("properties", "keyVault") == VAULT
    assert workspace.value("properties", "containerRegistry") == IMAGES
    rules = resources("prod", "Microsoft.MachineLearningServices/workspaces/outboundRules", **given)
    targets = {one.value("properties", "destination")["serviceResourceId"] for one in rules}
    assert (VAULT in targets) is (network == "public")
    locks = resources("prod", "Microsoft.Authorization/locks", **given)
    assert {one.declared.symbol for one in locks} == {"storageLock", "logAnalyticsLock"}
    modules = {"vault.bicep", "container-registry.bicep"}
    settings = resources("prod", "Microsoft.Insights/diagnosticSettings", **given)
    assert not modules & {one.declared.place.file.name for one in settings}


@pytest.mark.parametrize("network", ["public", "managed-vnet"])
def test_identities_have_the_same_rights_on_a_vault_and_a_registry_that_are_there(
    network: str,
) -> None:
    given = {"network": network}
    assert rights("prod", **given, **EXISTING) == rights("prod", **given)
    planned = plan(INFRA / "prod.bicepparam", **given, **EXISTING, asAdministrator=True)
    ids = [one.id for one in planned if one.type == "Microsoft.Authorization/roleAssignments"]
    assert {target: sum(target in one for one in ids) for target in (VAULT, IMAGES)} == {
        VAULT: 1,
        IMAGES: 4 if network == "managed-vnet" else 3,
    }


@pytest.mark.parametrize(("made", "endpoints"), [(False, set()), (True, {VAULT, IMAGES})])
def test_private_endpoints_to_what_is_there_are_made_where_somebody_says_so(
    made: bool, endpoints: set[str]
) -> None:
    given = EXISTING | {"endpointsToExisting": made}
    of_type = "Microsoft.Network/privateEndpoints"
    assert not resources("prod", of_type, network="public", **given)
    found = {one.scope.given["targetId"] for one in resources("prod", of_type, **PRIVATE, **given)}
    assert found & {VAULT, IMAGES} == endpoints


SCOPE = f"{SUBSCRIPTION}/Microsoft.Insights/privateLinkScopes/pls-hub"


@pytest.mark.parametrize(
    ("logs", "scoped"),
    [
        ("", ["appi-acme-flight-delay-prod", "log-acme-flight-delay-prod"]),
        (LOGS, ["appi-acme-flight-delay-prod"]),
    ],
)
@pytest.mark.parametrize(
    ("network", "queries"), [("public", "Enabled"), ("managed-vnet", "Disabled")]
)
def test_a_private_link_scope_takes_what_is_ours_and_closes_queries_of_a_closed_network(
    network: str, queries: str, logs: str, scoped: list[str]
) -> None:
    given = {"network": network, "privateLinkScopeId": SCOPE, "logAnalyticsId": logs}
    of_type = "Microsoft.Insights/privateLinkScopes/scopedResources"
    assert [one.value("name") for one in resources("prod", of_type, **given)] == scoped
    assert not resources("prod", of_type, **given, asAdministrator=False)
    (insights,) = resources("prod", "Microsoft.Insights/components", **given)
    assert insights.value("properties", "publicNetworkAccessForQuery") == queries
    for one in resources("prod", "Microsoft.OperationalInsights/workspaces", **given):
        assert one.value("properties", "publicNetworkAccessForQuery") == queries


@pytest.mark.parametrize("network", ["public", "managed-vnet"])
def test_with_all_that_a_platform_team_brings_every_promise_is_kept(network: str) -> None:
    given = SUBNETS | KEY | EXISTING | {"network": network, "endpointsToExisting": True}
    given |= {"privateDnsZones": ZONES, "logAnalyticsId": LOGS, "privateLinkScopeId": SCOPE}
    assert promised(INFRA / "prod.bicepparam", given) == []


@pytest.mark.parametrize("zones", [False, True])
def test_the_function_app_is_spread_over_zones_where_somebody_says_so(zones: bool) -> None:
    (plan,) = resources("prod", "Microsoft.Web/serverfarms", zoneRedundant=zones)
    assert plan.value("properties", "zoneRedundant") is zones


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({}, False),
        (SUBNETS, False),
        (SUBNETS | PRIVATE, True),
        (SUBNETS | PRIVATE | {"privateDnsZones": "policy"}, False),
        ({"endpointsSubnetId": SUBNETS["endpointsSubnetId"]}, True),
        ({"functionsSubnetId": SUBNETS["functionsSubnetId"]}, True),
        (KEY, False),
        *(({name: KEY[name]}, True) for name in KEY),
        ({name: KEY[name] for name in list(KEY)[:2]}, True),
    ],
)
def test_half_of_what_belongs_together_is_refused(
    tmp_path: Path, given: dict[str, str], refused: bool
) -> None:
    assert bool(refusals(tmp_path, "dev", given)) is refused


@pytest.mark.parametrize(
    ("region", "elsewhere"), [("northeurope", True), ("westeurope", False), ("", False)]
)
def test_a_cluster_in_another_region_takes_a_workspace_without_a_managed_network(
    region: str, elsewhere: bool
) -> None:
    given = {
        "network": "public",
        "location": "westeurope",
        "trainingLocation": region,
        "batchScoring": True,
    }
    service = "Microsoft.MachineLearningServices/workspaces"
    (cluster,) = resources("prod", f"{service}/computes", **given)
    assert cluster.value("location") == ("northeurope" if elsewhere else "westeurope")
    assert cluster.value("properties", "properties", "enableNodePublicIp") is elsewhere
    (workspace,) = resources("prod", service, **given)
    assert workspace.value("location") == "westeurope"
    mode = workspace.value("properties", "managedNetwork", "isolationMode")
    assert mode == ("Disabled" if elsewhere else "AllowInternetOutbound")
    assert bool(resources("prod", f"{service}/outboundRules", **given)) is not elsewhere
    assert promised(INFRA / "prod.bicepparam", given) == []


@pytest.mark.parametrize(
    ("given", "refused"),
    [({}, False), (PRIVATE, True), ({"allowedIpRanges": ["192.0.2.0/24"]}, True)],
)
def test_a_cluster_in_another_region_is_refused_where_its_nodes_would_not_reach_the_data(
    tmp_path: Path, given: dict[str, Any], refused: bool
) -> None:
    said = refusals(tmp_path, "dev", given | {"trainingLocation": "northeurope"})
    assert [one for one in said if "a workspace that has a managed network" in one] == said
    assert bool(said) is refused


REGISTRY = f"{SUBSCRIPTION}/Microsoft.MachineLearningServices/registries/mlr-acme"


@pytest.mark.parametrize("registry", ["", REGISTRY])
def test_a_closed_workspace_shares_with_the_one_registry_that_is_named(registry: str) -> None:
    given = PRIVATE | {"registryId": registry}
    (account,) = [
        one
        for one in resources("prod", "Microsoft.Storage/storageAccounts", **given)
        if one.declared.symbol == "account"
    ]
    properties = account.value("properties")
    rules = properties["networkAcls"]["resourceAccessRules"]
    assert [rule["resourceId"] for rule in rules] == [registry] * bool(registry)
    assert properties["publicNetworkAccess"] == ("Enabled" if registry else "Disabled")
    assert properties["networkAcls"]["defaultAction"] == "Deny"
    assert properties["networkAcls"]["virtualNetworkRules"] == []


@pytest.mark.parametrize(
    ("network", "registry", "reached"),
    [
        ("managed-vnet", REGISTRY, True),
        ("managed-vnet", "", False),
        ("public", REGISTRY, False),
    ],
)
def test_jobs_of_a_closed_workspace_reach_a_registry(
    network: str, registry: str, reached: bool
) -> None:
    rules = resources(
        "prod",
        "Microsoft.MachineLearningServices/workspaces/outboundRules",
        network=network,
        registryId=registry,
        location="westeurope",
    )
    tags = {
        one.value("properties", "destination")["serviceTag"]
        for one in rules
        if one.value("properties", "type") == "ServiceTag"
    }
    assert tags == (
        {"Storage.westeurope", "AzureContainerRegistry.westeurope"} if reached else set()
    )


STORES = [
    f"{SUBSCRIPTION}/Microsoft.Storage/storageAccounts/stregistry",
    f"{SUBSCRIPTION}/Microsoft.ContainerRegistry/registries/crregistry",
]


@pytest.mark.parametrize("stores", [[], STORES])
def test_a_closed_registry_is_reached_through_private_endpoints(stores: list[str]) -> None:
    closed = {"registryEndpoint": True, "registryStores": stores}
    given = PRIVATE | {"registryId": REGISTRY, "location": "westeurope"}
    of_type = "Microsoft.Network/privateEndpoints"
    before = {one.scope.given["targetId"] for one in resources("prod", of_type, **given)}
    made = [one.scope.given for one in resources("prod", of_type, **given, **closed)]
    found = {one["targetId"]: (one["groupId"], one["zoneNames"]) for one in made}
    ours = ("amlregistry", ["privatelink.api.azureml.ms"])
    of_azure = [
        ("blob", ["privatelink.blob.core.windows.net"]),
        ("registry", ["privatelink.azurecr.io"]),
    ]
    expected = {REGISTRY: ours} | dict(zip(stores, of_azure, strict=False))
    assert {key: one for key, one in found.items() if key not in before} == expected
    assert len({one["subnetId"] for one in made}) == 1
    rules = [
        one.value("properties", "destination")
        for one in resources(
            "prod", "Microsoft.MachineLearningServices/workspaces/outboundRules", **given, **closed
        )
    ]
    assert [
        one["subresourceTarget"] for one in rules if one.get("serviceResourceId") == REGISTRY
    ] == ["amlregistry"]
    assert promised(INFRA / "prod.bicepparam", given | closed) == []


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (PRIVATE | {"registryId": REGISTRY}, False),
        (PRIVATE | {"registryId": REGISTRY, "registryStores": STORES}, False),
        (PRIVATE, True),
        ({"registryId": REGISTRY}, True),
        (
            PRIVATE | {"registryId": REGISTRY, "registryStores": STORES, "registryEndpoint": False},
            True,
        ),
    ],
)
def test_a_private_endpoint_to_a_registry_takes_a_closed_network_and_the_registry(
    tmp_path: Path, given: dict[str, Any], refused: bool
) -> None:
    assert bool(refusals(tmp_path, "dev", {"registryEndpoint": True} | given)) is refused


@pytest.mark.parametrize(
    ("cloud", "ending"),
    [
        (
            "AzureCloud",
            (".azure.net", ".windows.net", ".azurecr.io", ".azureml.ms", ".azurewebsites.net"),
        ),
        (
            "AzureUSGovernment",
            (".usgovcloudapi.net", ".azure.us", ".azurecr.us", ".azurewebsites.us"),
        ),
        (
            "AzureChinaCloud",
            (".azure.cn", ".chinacloudapi.cn", ".azurecr.cn", ".chinacloudsites.cn"),
        ),
    ],
)
def test_zones_are_those_of_the_cloud(
    monkeypatch: pytest.MonkeyPatch, cloud: str, ending: tuple[str, ...]
) -> None:
    storage = {"AzureCloud": "core.windows.net", "AzureUSGovernment": "core.usgovcloudapi.net"}
    registry = {"AzureCloud": ".azurecr.io", "AzureUSGovernment": ".azurecr.us"}
    suffixes = {
        "storage": storage.get(cloud, "core.chinacloudapi.cn"),
        "acrLoginServer": registry.get(cloud, ".azurecr.cn"),
    }
    monkeypatch.setitem(GENERATED, "environment", {"name": cloud, "suffixes": suffixes})
    zones = {
        one.value("name")
        for one in resources("prod", "Microsoft.Network/privateDnsZones", **PRIVATE)
    }
    assert len(zones) == 9
    assert {zone for zone in zones if not zone.endswith(ending)} == set()
    used = {
        zone
        for group in resources("prod", "Microsoft.Network/privateEndpoints", **PRIVATE)
        for zone in group.scope.given["zoneNames"]
    }
    assert used <= zones


LAKE = f"{SUBSCRIPTION}/Microsoft.Storage/storageAccounts/stlake"
CENTRAL = [
    {"name": "flights", "storageId": LAKE, "container": "flights-curated"},
    {"name": "weather", "storageId": LAKE, "container": "weather"},
]
AML = "Microsoft.MachineLearningServices/workspaces"


@pytest.mark.parametrize("network", ["public", "managed-vnet"])
def test_jobs_read_containers_of_the_central_storage_as_themselves(network: str) -> None:
    given = {"network": network, "centralData": CENTRAL}
    stores = resources("prod", f"{AML}/datastores", **given)
    assert {one.value("name"): one.value("properties", "containerName") for one in stores} == {
        "flights": "flights-curated",
        "weather": "weather",
    }
    assert Counter(rights("prod", **given)) - Counter(rights("prod", network=network)) == {
        ("jobsRead", "Storage Blob Data Reader", "container"): 2,
        ("workspaceAtStorage", "Enterprise Network Connection Approver", "storage"): 1,
    }
    ids = [one.id for one in plan(INFRA / "prod.bicepparam", **given, asAdministrator=True)]
    for one in CENTRAL:
        assert any(f"{LAKE}/blobServices/default/containers/{one['container']}'" in i for i in ids)
    rules = resources("prod", f"{AML}/outboundRules", **given)
    assert sum(LAKE in str(one.value("properties", "destination")) for one in rules) == 1
    assert promised(INFRA / "prod.bicepparam", given) == []


def test_without_a_managed_network_there_is_no_rule_to_the_central_storage() -> None:
    given = {"trainingLocation": "northeurope", "centralData": CENTRAL}
    assert f"{AML}/datastores" in kinds(**given, network="public")
    assert f"{AML}/outboundRules" not in kinds(**given, network="public")


def test_no_address_of_one_cloud_is_written_into_a_module() -> None:
    for file in (INFRA / "modules").glob("*.bicep"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"'privatelink[^'$]*'", text), file.name
        assert "api://" not in text, file.name
