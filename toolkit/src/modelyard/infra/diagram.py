"""The diagram of docs/infrastructure.md: the modules that main.bicep deploys."""

from __future__ import annotations

import re
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.infra.reader import File, Infrastructure

_SECTION = re.compile(r"^// --- (.+?)(?::.*)? ---$")
# Every module logs to the one, and most are in the other: arrows to them would hide the rest.
_EVERYWHERE = {"monitoring", "virtualNetwork"}
# Modules that refer to all others.
_OF_ALL = {"access", "alerts", "workbook"}
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


def diagram(infrastructure: Infrastructure, main: Path) -> str:
    """Draw a Mermaid flowchart: a box for each module of `main`, arrows to the modules it needs.

    Args:
        infrastructure: what the reader returned.
        main: the file whose modules are drawn.

    Raises:
        UsageError: `main` does not exist.
    """
    file = infrastructure.files.get(main)
    if file is None:
        raise UsageError(f"{main} does not exist; restore it from git")
    modules, sections = file.modules, _sections(main, file)
    lines = ["flowchart LR"]
    for number, title in enumerate(dict.fromkeys(sections.values())):
        lines.append(f'  subgraph s{number}["{title}"]')
        for module in modules:
            if sections[module.symbol] == title:
                kinds = "<br/>".join(_kinds(infrastructure, module.file))
                lines.append(f'    {module.symbol}["<b>{_words(module.symbol)}</b><br/>{kinds}"]')
        lines.append("  end")
    for module in modules:
        if module.symbol not in _OF_ALL:
            lines += [
                f"  {module.symbol} --> {needed}"
                for needed in module.needs
                if needed not in _EVERYWHERE | _OF_ALL
            ]
    conditional = [module.symbol for module in modules if module.conditional]
    if conditional:
        lines.append("  classDef conditional stroke-dasharray: 5 5")
        lines.append(f"  class {','.join(conditional)} conditional")
    return "\n".join(lines)


def _sections(main: Path, file: File) -> dict[str, str]:
    """Return the title of the section comment above each module."""
    titles = {
        number: found[1]
        for number, line in enumerate(main.read_text(encoding="utf-8").splitlines(), 1)
        if (found := _SECTION.match(line))
    }
    above = {
        module.symbol: [number for number in titles if number < module.place.line]
        for module in file.modules
    }
    return {symbol: titles[max(lines)] if lines else "modules" for symbol, lines in above.items()}


def _kinds(infrastructure: Infrastructure, path: Path) -> list[str]:
    """Return the kinds of resource that a module and those it calls deploy, without their parts."""
    file = infrastructure.files.get(path, File(path))
    kinds = [
        _LABELS.get(one.type, _words(kind))
        for one in file.resources
        if not one.existing and (kind := one.type.rpartition("/")[2]) not in _PARTS
    ]
    for module in file.modules:
        if module.file.name != "private-endpoint.bicep":
            kinds += _kinds(infrastructure, module.file)
    return list(dict.fromkeys(kinds))


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
