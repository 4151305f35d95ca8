"""Our closed workspace beside the WAF-aligned example of Azure Verified Modules: as strict, and every difference has its reason.

Facts about that example, read on 2026-11-29 in Azure/bicep-registry-modules, below avm/res/machine-learning-services/workspace:
tests/e2e/waf-aligned/main.test.bicep at commit 371b8eea25a4b0f6c4ffc925a2a1fc7522921bdb, its dependencies.bicep at
7074ed4182ad2d0ae388644e85385452915b08d9, and the module's own defaults, main.bicep at 0021497a38c43901077ea865d64d4ab9f2b532b9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import pytest
from modelyard.infra.snapshot import Planned

from tests.bicep import plan
from tests.infra.deployed import INFRA

ID = "an id"  # of a resource of one's own
OWN = {"id", "type", "apiVersion", "name", "location", "tags", "properties.description"}
WORKSPACE = "microsoft.machinelearningservices/workspaces"
VAULT = "microsoft.keyvault/vaults"
STORAGE = "microsoft.storage/storageaccounts"
INSIGHTS = "microsoft.insights/components"
THEIRS: dict[str, dict[str, object]] = {
    WORKSPACE: {
        "kind": "Default",
        "sku.name": "Standard",
        "sku.tier": "Standard",
        "identity.type": "SystemAssigned",
        "properties.applicationInsights": ID,
        "properties.hbiWorkspace": False,
        "properties.keyVault": ID,
        "properties.managedNetwork.isolationMode": "AllowOnlyApprovedOutbound",
        "properties.publicNetworkAccess": "Disabled",
        "properties.storageAccount": ID,
        "properties.systemDatastoresAuthMode": "Identity",
    },
    VAULT: {
        "properties.tenantId": ID,
        "properties.enableRbacAuthorization": True,
        "properties.enabledForDeployment": True,
        "properties.enabledForDiskEncryption": True,
        "properties.enabledForTemplateDeployment": True,
        "properties.sku.family": "A",
        "properties.sku.name": "standard",
    },
    STORAGE: {"kind": "StorageV2", "sku.name": "Standard_LRS"},
    INSIGHTS: {"kind": ""},
}
STRICTER, OTHERWISE = "stricter", "otherwise"
# Path, ours (None: not set), how it compares, and why.
DIFFERENCES: dict[str, list[tuple[str, object, str, str]]] = {
    WORKSPACE: [
        ("sku.name", "Basic", OTHERWISE, "an edition without a meaning: there is one since 2020"),
        ("sku.tier", "Basic", OTHERWISE, "as above"),
        (
            "identity.type",
            "SystemAssigned,UserAssigned",
            OTHERWISE,
            "monitors run as the identity of jobs, which Azure wants attached",
        ),
        ("properties.containerRegistry", ID, STRICTER, "theirs is one that Azure makes, open"),
        ("properties.friendlyName", "Flight delay", OTHERWISE, "what people call it"),
        ("properties.hbiWorkspace", True, STRICTER, "less is sent to Microsoft, disks are wiped"),
        ("properties.imageBuildCompute", "image-build", STRICTER, "no other reaches the registry"),
        ("properties.managedNetwork.firewallSku", "Basic", OTHERWISE, "less dear; same rules"),
        ("properties.v1LegacyMode", False, OTHERWISE, "Azure's default, written down"),
    ],
    VAULT: [
        ("properties.createMode", "default", OTHERWISE, "Azure's default; recover brings it back"),
        ("properties.enablePurgeProtection", True, STRICTER, "nobody deletes secrets for good"),
        ("properties.enableSoftDelete", True, OTHERWISE, "Azure's default, written down"),
        ("properties.enabledForDeployment", None, STRICTER, "no machine takes secrets from it"),
        ("properties.enabledForDiskEncryption", None, STRICTER, "as above"),
        ("properties.enabledForTemplateDeployment", None, STRICTER, "no deployment does"),
        ("properties.networkAcls.bypass", "AzureServices", STRICTER, "theirs is open to all"),
        ("properties.networkAcls.defaultAction", "Deny", STRICTER, "theirs is open to all"),
        ("properties.publicNetworkAccess", "Disabled", STRICTER, "theirs is open to all"),
        ("properties.softDeleteRetentionInDays", 90, OTHERWISE, "Azure's default, a parameter"),
    ],
    STORAGE: [
        ("sku.name", "Standard_ZRS", STRICTER, "copies in several zones"),
        ("properties.accessTier", "Hot", OTHERWISE, "Azure's default, written down"),
        ("properties.allowBlobPublicAccess", False, STRICTER, "no blob is public"),
        ("properties.allowCrossTenantReplication", False, STRICTER, "data stays in the tenant"),
        ("properties.allowSharedKeyAccess", False, STRICTER, "reached with identities only"),
        ("properties.defaultToOAuthAuthentication", True, STRICTER, "as above, in the portal"),
        ("properties.isLocalUserEnabled", False, STRICTER, "as above"),
        ("properties.isSftpEnabled", False, STRICTER, "as above"),
        ("properties.minimumTlsVersion", "TLS1_2", STRICTER, "older TLS is insecure"),
        ("properties.supportsHttpsTrafficOnly", True, STRICTER, "nothing in the clear"),
        ("properties.publicNetworkAccess", "Disabled", STRICTER, "theirs is open to all"),
        ("properties.networkAcls.bypass", "AzureServices", STRICTER, "theirs is open to all"),
        ("properties.networkAcls.defaultAction", "Deny", STRICTER, "theirs is open to all"),
        ("properties.encryption.keySource", "Microsoft.Storage", OTHERWISE, "as by default"),
        ("properties.encryption.requireInfrastructureEncryption", True, STRICTER, "twice"),
        ("properties.encryption.services.blob.enabled", True, OTHERWISE, "as by default"),
        ("properties.encryption.services.file.enabled", True, OTHERWISE, "as by default"),
    ],
    INSIGHTS: [
        ("kind", "web", OTHERWISE, "Azure wants one of its kinds"),
        ("properties.Application_Type", "web", OTHERWISE, "as above"),
        ("properties.DisableLocalAuth", True, STRICTER, "nobody writes with a key"),
        ("properties.IngestionMode", "LogAnalytics", OTHERWISE, "the only mode that is left"),
        ("properties.WorkspaceResourceId", ID, OTHERWISE, "as above"),
        ("properties.publicNetworkAccessForIngestion", "Enabled", OTHERWISE, "theirs by default"),
        ("properties.publicNetworkAccessForQuery", "Enabled", OTHERWISE, "theirs by default"),
    ],
}


@lru_cache
def ours() -> tuple[Planned, ...]:
    """Return what prod deploys with a closed network."""
    hosts = ["packages.example.com"]
    return tuple(plan(INFRA / "prod.bicepparam", network="managed-vnet", outboundHosts=hosts))


def of(kind: str) -> list[Planned]:
    return [one for one in ours() if one.kind == kind]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield path and value of everything that is set; lists of identities and of nobody are left out."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            inner = f"{path}.{key}" if path else key
            if inner not in OWN and not key.startswith("/"):
                yield from leaves(one, inner)
    elif value is not None and value != []:
        is_id = isinstance(value, str) and (value.startswith("/") or path.endswith(".tenantId"))
        yield path, ID if is_id else value


@pytest.mark.parametrize("kind", THEIRS)
def test_every_difference_from_the_verified_example_is_named(kind: str) -> None:
    found = dict(leaves(of(kind)[0].body))
    theirs = THEIRS[kind]
    differing = {
        path: found.get(path)
        for path in found.keys() | theirs.keys()
        if path not in theirs or found.get(path) != theirs[path]
    }
    assert differing == {path: value for path, value, _, _ in DIFFERENCES[kind]}


def test_nothing_is_looser_and_every_difference_has_a_reason() -> None:
    rows = [row for rows in DIFFERENCES.values() for row in rows]
    assert {how for _, _, how, _ in rows} == {STRICTER, OTHERWISE}
    assert all(why for *_, why in rows)


def test_jobs_reach_no_host_that_nobody_named_and_nothing_in_the_clear() -> None:
    """Theirs: the public index of Python packages, a storage account by a private endpoint, and the tag AppService on the ports 80 and 443."""
    rules = {
        one.value("properties.type"): one.value("properties.destination")
        for one in of(f"{WORKSPACE}/outboundrules")
        if one.value("properties.type") != "PrivateEndpoint"
    }
    assert rules == {"FQDN": "packages.example.com"}


def test_the_workspace_sends_every_log() -> None:
    """Theirs: all logs and metrics, to Log Analytics, an event hub and a storage account.

    Ours go to Log Analytics: Azure keeps metrics by itself, and alerts read them there; copies elsewhere are a matter of
    a platform team's policy (`diagnosticsByPolicy`).
    """
    (setting,) = [
        one
        for one in of("microsoft.insights/diagnosticsettings")
        if one.id.startswith(f"{of(WORKSPACE)[0].id}/providers/Microsoft.Insights/")
    ]
    assert setting.value("properties.logs") == [{"categoryGroup": "allLogs", "enabled": True}]


def test_the_private_endpoint_has_the_records_of_the_notebooks_too() -> None:
    """Theirs: those of the API only."""
    (group,) = [
        one
        for one in of("microsoft.network/privateendpoints/privatednszonegroups")
        if str(one.name).endswith("-amlworkspace/default")
    ]
    zones = [one["name"] for one in group.value("properties.privateDnsZoneConfigs")]
    assert zones == ["privatelink-api-azureml-ms", "privatelink-notebooks-azure-net"]


def test_a_deployment_tells_nobody_of_itself() -> None:
    """Theirs: a deployment that is called after the module, for the telemetry of its authors, unless it is turned off."""
    assert not of("microsoft.resources/deployments")
