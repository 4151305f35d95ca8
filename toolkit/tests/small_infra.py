"""A small infrastructure without faults, and azmcp's answers about its resource types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bicep_reader import Finding, read_infrastructure
from modelyard.errors import UsageError

from tests.bicep import promised
from tests.editing import write_files

PROJECT = """\
title: Small
name: small
region: westeurope
organization: acme
tags:
  project: small
environments:
  dev:
    resource_group: rg-acme-small-dev
    storage: stacmesmalldev
  prod:
    resource_group: rg-acme-small-prod
    storage: stacmesmallprod
"""
MAIN = """\
targetScope = 'resourceGroup'

@description('The environment.')
@allowed([
  'dev'
  'prod'
])
param environment string

@description('Region.')
param location string = resourceGroup().location

@description('True deploys roles and locks as well.')
param asAdministrator bool = false

@description('How it is reached.')
@allowed([
  'public'
  'managed-vnet'
])
param network string

@description('True locks.')
param lockResources bool

@description('Days.')
@minValue(7)
@maxValue(90)
param days int

var project = loadYamlContent('../conf/project.yml')
var names = project.environments[environment]
var tags = union(project.tags, { environment: environment })

module store 'modules/store.bicep' = {
  name: 'store'
  params: {
    name: names.storage
    location: location
    tags: tags
    days: days
    isPrivate: network == 'managed-vnet'
  }
}

module locks 'modules/locks.bicep' = if (asAdministrator && lockResources) {
  name: 'locks'
  params: {
    storageName: store.outputs.name
  }
}

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: 'budget-${project.name}-${environment}'
  properties: {
    amount: 100
    category: 'Cost'
  }
}

@description('Id of the storage account.')
output storageId string = store.outputs.id

@description('Level of the lock.')
output lockLevel string = locks.?outputs.level ?? ''
"""
STORE = """\
@description('Name.')
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Days.')
param days int

@description('True closes it.')
param isPrivate bool

var rules = [
  {
    value: '198.51.100.0/24'
    action: 'Allow'
  }
]

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: isPrivate ? 'Standard_ZRS' : 'Standard_LRS'
  }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Deny'
      ipRules: isPrivate ? [] : rules
    }
    immutable: {
      kind: 'Timed'
      days: days
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: {
        enabled: true
        days: days
      }
    }
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: account::blobs
  properties: {
    workspaceId: account.id
    logs: [
      for group in ['audit', 'allLogs']: {
        categoryGroup: group
        enabled: true
      }
    ]
  }
}

@description('Resource id.')
output id string = account.id

@description('Name.')
output name string = account.name
"""
LOCKS = """\
@description('Name of the storage account.')
param storageName string

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = {
  scope: storage
  name: 'keep'
  properties: {
    level: 'CanNotDelete'
  }
}

@description('Level of the lock.')
output level string = lock.properties.level
"""
DEV = """\
using './main.bicep'

// Relaxed.
param environment = 'dev'
param network = 'public'
param lockResources = false
param days = 7
"""
PROD = """\
using './main.bicep'

param environment = 'prod'
param network = 'public'
param lockResources = true
param days = 90
"""
ROLES = """\
{
  "judge": {
    "everywhere": [
      "Microsoft.Storage/storageAccounts/read",
      "Microsoft.Own/things/write"
    ]
  }
}
"""
OPERATIONS = """\
# looked up
Microsoft.Own/things/write
"""
FILES = {
    "conf/project.yml": PROJECT,
    "infra/main.bicep": MAIN,
    "infra/modules/store.bicep": STORE,
    "infra/modules/locks.bicep": LOCKS,
    "infra/modules/persona-roles.json": ROLES,
    "infra/operations.txt": OPERATIONS,
    "infra/dev.bicepparam": DEV,
    "infra/prod.bicepparam": PROD,
}


def _object(name: str, *properties: tuple[str, ...], **more: Any) -> dict[str, Any]:
    keys = ("name", "type", "flags", "modifiers")
    fields = [dict(zip(keys, one, strict=False)) for one in properties]
    return {"$type": "Object", "name": name, "properties": fields, **more}


def _resource(name: str, *properties: tuple[str, ...]) -> dict[str, Any]:
    base = [
        ("id", "string", "ReadOnly, DeployTimeConstant"),
        ("name", "string", "Required, DeployTimeConstant"),
    ]
    body = _object(name.partition("@")[0], *base, *properties)
    return {"$type": "Resource", "name": name, "bodyType": body}


# As azmcp answers, the quirks included: no quotes around choices, arrays of unions without parentheses,
# a discriminator whose value is also the name of its shape, shapes that are named and left out.
ANSWERS: dict[str, dict[str, Any]] = {
    "microsoft.storage/storageaccounts": {
        "types": [
            _resource(
                "Microsoft.Storage/storageAccounts@2025-01-01",
                ("kind", "BlobStorage | StorageV2 | string", "Required"),
                ("location", "string", "Required"),
                ("properties", "Properties"),
                ("sku", "Sku", "Required"),
                ("tags", "Tags"),
            ),
            _object(
                "Properties",
                ("allowBlobPublicAccess", "bool"),
                ("allowSharedKeyAccess", "bool"),
                ("minimumTlsVersion", "TLS1_2 | TLS1_3 | string"),
                ("publicNetworkAccess", "Disabled | Enabled | string"),
                ("networkAcls", "Rules"),
                ("immutable", "Immutable"),
                ("leftOut", "LeftOut"),
                ("verbs", "GET | PUT | string[]"),
                ("primaryEndpoints", "Endpoints", "ReadOnly"),
            ),
            _object(
                "Rules",
                ("bypass", "AzureServices | None | string"),
                ("defaultAction", "Allow | Deny", "Required"),
                ("ipRules", "IpRule[]"),
            ),
            _object("IpRule", ("action", "Allow"), ("value", "string", "Required")),
            {
                "$type": "DiscriminatedObject",
                "name": "Immutable",
                "discriminator": "kind",
                "baseProperties": [{"name": "note", "type": "string"}],
                "elements": [
                    _object(
                        "Timed",
                        ("kind", "Timed", "Required"),
                        ("days", "int", "Required", "minValue: 1, maxValue: 365"),
                    ),
                    _object("Held", ("kind", "Held", "Required"), ("by", "string", "Required")),
                ],
            },
            _object("Endpoints", ("blob", "string", "ReadOnly")),
            _object("Sku", ("name", "Standard_LRS | Standard_ZRS", "Required")),
            _object("Tags", additionalPropertiesType="string"),
        ]
    },
    "microsoft.storage/storageaccounts/blobservices": {
        "types": [
            _resource(
                "Microsoft.Storage/storageAccounts/blobServices@2025-01-01",
                ("properties", "BlobProperties"),
            ),
            _object("BlobProperties", ("deleteRetentionPolicy", "Policy")),
            _object("Policy", ("enabled", "bool"), ("days", "int")),
        ]
    },
    "microsoft.consumption/budgets": {
        "types": [
            _resource("Microsoft.Consumption/budgets@2024-08-01", ("properties", "Budget")),
            _object("Budget", ("amount", "int"), ("category", "Cost | string")),
        ]
    },
    "microsoft.storage/moonbases": {
        "error": "Resource type Microsoft.Storage/moonBases not found."
    },
    "microsoft.storage/unpublished": {"error": "with apiVersion 2020-01-01 not supported"},
}


def answers(names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Answer like azmcp about the types of the small infrastructure."""
    return {name.lower(): ANSWERS[name.lower()] for name in names if name.lower() in ANSWERS}


def write(root: Path, changed: Mapping[str, str] | None = None) -> Path:
    """The small infrastructure below `root`, some files changed."""
    write_files(root, FILES | dict(changed or {}))
    return root


def findings(root: Path) -> list[Finding]:
    """Return what the reader says of the infrastructure below `root`, and what it promises and does not keep."""
    found = list(read_infrastructure(root / "infra", answers).findings)
    for parameters in sorted((root / "infra").glob("*.bicepparam")):
        with suppress(UsageError):  # it cannot be evaluated, which the reader says
            found += promised(parameters, {})
    return found


def places(root: Path, found: list[Finding]) -> list[tuple[str, int]]:
    """File, relative to `root`, and line of each finding."""
    base = root.resolve()
    return [(f.place.file.relative_to(base).as_posix(), f.place.line) for f in found]


def line_of(text: str, part: str) -> int:
    """Number of the only line that holds `part`."""
    found = [number for number, line in enumerate(text.splitlines(), 1) if part in line]
    assert len(found) == 1, (part, found)
    return found[0]
