"""The diagram of docs/infrastructure.md: kinds of resources, and what refers to what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from modelyard.infra.snapshot import Planned

_SECTIONS = {
    "watching": ("insights", "operationalinsights", "consumption"),
    "identities": ("managedidentity",),
    "network": ("network",),
    "machine learning": ("machinelearningservices", "storage", "keyvault", "containerregistry"),
    "events": ("eventgrid", "web"),
    "rights": ("authorization",),
    "production data": ("datafactory",),
}
_OTHERS = "others"  # a namespace that a team has added
# All log to the first two, most are in the third, and alerts tell the fourth: arrows to them would hide the rest.
_EVERYWHERE = {"Log Analytics", "Application Insights", "virtual networks", "action groups"}
# Kinds that refer to all others.
_OF_ALL = {"metric alerts", "scheduled query rules", "workbooks", "budgets", "locks"}
# Names where the last part of a type is not enough.
_LABELS = {
    "Microsoft.ContainerRegistry/registries": "container registry",
    "Microsoft.DataFactory/factories": "data factory",
    "Microsoft.EventGrid/systemTopics": "Event Grid topic",
    "Microsoft.Insights/components": "Application Insights",
    "Microsoft.KeyVault/vaults": "key vault",
    "Microsoft.MachineLearningServices/workspaces": "Azure ML workspace",
    "Microsoft.MachineLearningServices/workspaces/computes": "compute cluster",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "user-assigned identities",
    "Microsoft.Network/privateDnsZones": "private DNS zones",
    "Microsoft.OperationalInsights/workspaces": "Log Analytics",
    "Microsoft.Storage/storageAccounts": "storage account",
    "Microsoft.Web/serverfarms": "plan",
    "Microsoft.Web/sites": "function app",
    "Microsoft.Authorization/roleEligibilityScheduleRequests": "eligible access",
}
# Resource types that belong to a resource in the diagram.
_PARTS = [
    "privateEndpoints",
    "diagnosticSettings",
    "blobServices",
    "fileServices",
    "queueServices",
    "tableServices",
    "containers",
    "queues",
    "managementPolicies",
    "virtualNetworkLinks",
    "privateDnsZoneGroups",
    "subnets",
    "roleAssignments",
    "basicPublishingCredentialsPolicies",
    "federatedIdentityCredentials",
    "networkSecurityGroups",
    "virtualNetworkPeerings",
    "publicIPAddresses",
    "natGateways",
    "tags",
    "outboundRules",
    "managedVirtualNetworks",
    "managedPrivateEndpoints",
    "integrationRuntimes",
    "linkedservices",
    "datasets",
    "dataflows",
    "pipelines",
    "triggers",
    "servicePrincipals",
]


def diagram(least: Sequence[Planned], most: Sequence[Planned]) -> str:
    """Draw a Mermaid flowchart: a box for each kind of resource, arrows to the kinds that it refers to.

    Args:
        least: what is deployed without anything that depends on a parameter.
        most: what is deployed with all of it; boxes that are here only are dashed.
    """
    drawn = [one for one in most if one.type.rpartition("/")[2] not in _PARTS]
    boxes = {one.id: _label(one.type) for one in drawn}
    section = {_label(one.type): _section(one.type) for one in drawn}
    titles = [title for title in (*_SECTIONS, _OTHERS) if title in section.values()]
    labels = sorted(section, key=lambda one: (titles.index(section[one]), one.lower()))
    lines = ["flowchart LR"]
    for number, title in enumerate(titles):
        lines.append(f'  subgraph s{number}["{title}"]')
        lines += [f'    {_symbol(one)}["{one}"]' for one in labels if section[one] == title]
        lines.append("  end")
    arrows = {pair for one in drawn for pair in _arrows(one, boxes)}
    for one, other in sorted(arrows, key=lambda pair: [labels.index(label) for label in pair]):
        lines.append(f"  {_symbol(one)} --> {_symbol(other)}")
    always = {_label(one.type) for one in least}
    if conditional := [_symbol(one) for one in labels if one not in always]:
        lines.append("  classDef conditional stroke-dasharray: 5 5")
        lines.append(f"  class {','.join(conditional)} conditional")
    return "\n".join(lines)


def _arrows(one: Planned, boxes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of kinds where the first refers to the second or is a part of it."""
    own = boxes[one.id]
    if own in _OF_ALL | _EVERYWHERE:
        return
    texts = [text for text in one.texts() if text != one.id] + [one.id.rpartition("/")[0]]
    keys = list(one.given("identity.userAssignedIdentities") or {})
    for other, label in boxes.items():
        if label == own or label in _EVERYWHERE | _OF_ALL:
            continue
        wanted = re.compile(re.escape(other.strip("[]")) + r"(?![\w-])")
        if any(wanted.search(text) for text in (*texts, *keys)):
            yield own, label


def _section(kind: str) -> str:
    namespace = kind.partition("/")[0].rpartition(".")[2].lower()
    return next((title for title, known in _SECTIONS.items() if namespace in known), _OTHERS)


def _label(kind: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.rpartition("/")[2]).lower()
    return _LABELS.get(kind, words)


def _symbol(label: str) -> str:
    return re.sub(r"\W", "_", label)
