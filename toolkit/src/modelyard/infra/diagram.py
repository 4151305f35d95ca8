"""The picture of docs/infrastructure.md, drawn from the modules that main.bicep deploys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from modelyard.infra.syntax import read
from modelyard.infra.tree import BicepFile, Member, Module, Name, walk

_SECTION = re.compile(r"^// --- (.+?)(?::.*)? ---$")
# All others report to the one, and most stand in the other: arrows to them would hide the rest.
_EVERYWHERE = {"monitoring", "virtualNetwork"}
# These look at, or give access to, everything.
_OF_ALL = {"access", "alerts", "workbook"}
# Where the last word of a type says too little.
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
# Parts of something that is drawn.
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


def diagram(main: Path) -> str:
    """A Mermaid flowchart: a box for each module of a file, an arrow to each that it needs.

    Raises:
        OSError: a file is missing.
    """
    file = read(main)
    drawn = dict(_sections(main, file))
    lines = ["flowchart LR"]
    for number, title in enumerate(dict.fromkeys(drawn.values())):
        lines.append(f'  subgraph s{number}["{title}"]')
        for module in file.modules.values():
            if drawn[module.symbol] == title:
                kinds = "<br/>".join(_kinds(main.parent / module.path))
                lines.append(f'    {module.symbol}["<b>{_words(module.symbol)}</b><br/>{kinds}"]')
        lines.append("  end")
    for module in file.modules.values():
        if module.symbol not in _OF_ALL:
            lines += [
                f"  {module.symbol} --> {needed}"
                for needed in _needs(module, file)
                if needed not in _EVERYWHERE | _OF_ALL
            ]
    conditional = [m.symbol for m in file.modules.values() if m.condition is not None]
    if conditional:
        lines.append("  classDef conditional stroke-dasharray: 5 5")
        lines.append(f"  class {','.join(conditional)} conditional")
    return "\n".join(lines)


def _sections(main: Path, file: BicepFile) -> Iterator[tuple[str, str]]:
    """Each module with the title of the comment that it stands below."""
    titles = {
        number: found[1]
        for number, line in enumerate(main.read_text(encoding="utf-8").splitlines(), 1)
        if (found := _SECTION.match(line))
    }
    for module in file.modules.values():
        above = [number for number in titles if number < module.place.line]
        yield module.symbol, titles[max(above)] if above else "modules"


def _needs(module: Module, file: BicepFile) -> list[str]:
    """The modules whose outputs a module takes."""
    found = [
        node.of.name
        for node in walk(module.body)
        if isinstance(node, Member) and isinstance(node.of, Name) and node.name == "outputs"
    ]
    return [name for name in dict.fromkeys(found) if name in file.modules]


def _kinds(path: Path) -> list[str]:
    """What a module and those that it calls deploy, parts left out."""
    file = read(path)
    types = [one.type for one in file.every_resource() if not one.existing]
    kinds = [
        _LABELS.get(one, _words(kind))
        for one in types
        if (kind := one.rpartition("/")[2]) not in _PARTS
    ]
    for module in file.modules.values():
        if module.path != "private-endpoint.bicep":
            kinds += _kinds(path.parent / module.path)
    return list(dict.fromkeys(kinds))


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
