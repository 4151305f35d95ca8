"""Faults that people make, each on its own: the finding has its place and its remedy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.small_infra import FILES, findings, line_of, places, write

MAIN, STORE, LOCKS = "infra/main.bicep", "infra/modules/store.bicep", "infra/modules/locks.bicep"
DEV, PROD = "infra/dev.bicepparam", "infra/prod.bicepparam"
ROLES = "infra/modules/persona-roles.json"
IMMUTABLE = "    immutable: {\n      kind: 'Timed'\n      days: days\n    }\n"


@dataclass(frozen=True)
class Fault:
    """`old` of a file becomes `new`; then the line with `at` has a finding with `what` and `remedy`."""

    file: str
    old: str
    new: str
    at: str
    what: str
    remedy: str
    blamed: str = ""  # the file that `at` is in, where it is another

    def plant(self, root: Path) -> tuple[str, int]:
        """Write the infrastructure with the fault: the file and the line that are to be blamed."""
        text = FILES[self.file]
        assert text.count(self.old) == 1, self.old
        changed = {self.file: text.replace(self.old, self.new)}
        write(root, changed)
        blamed = self.blamed or self.file
        return blamed, line_of((FILES | changed)[blamed], self.at)


# Of what the reader finds in the compiler's place, one fault for each kind of finding.
TYPES = {
    "misspelt property": Fault(
        STORE,
        "    allowSharedKeyAccess: false\n",
        "    allowSharedKeyAccess: false\n    minimumTlsVersoin: 'TLS1_2'\n",
        "Versoin",
        "no property `minimumTlsVersoin`",
        "write `minimumTlsVersion`",
    ),
    "missing required property": Fault(
        STORE,
        "      defaultAction: 'Deny'\n",
        "",
        "networkAcls",
        "needs `defaultAction` in `properties.networkAcls`",
        "add `defaultAction:` (Allow | Deny)",
    ),
    "value out of an enumeration, in a branch": Fault(
        STORE,
        "'Standard_LRS'",
        "'Standard_LSR'",
        "Standard_LSR",
        "`sku.name` of Microsoft.Storage/storageAccounts is one of Standard_LRS, Standard_ZRS",
        "write 'Standard_LRS'",
    ),
    "text for a truth value": Fault(
        STORE,
        "allowBlobPublicAccess: false",
        "allowBlobPublicAccess: string(false)",
        "allowBlob",
        "is true or false, found text",
        "give true or false",
    ),
    "property of another variant": Fault(
        STORE,
        "      kind: 'Timed'\n",
        "      kind: 'Timed'\n      by: 'me'\n",
        "by: 'me'",
        "no property `by` in `properties.immutable`",
        "there is: days, kind, note",
    ),
    "above the largest value": Fault(
        STORE,
        IMMUTABLE,
        IMMUTABLE.replace("days: days", "days: 400"),
        "days: 400",
        "`properties.immutable.days` of Microsoft.Storage/storageAccounts is at most 365",
        "stay within",
    ),
    "in a loop": Fault(
        STORE,
        "        enabled: true\n      }\n    ]",
        "      }\n    ]",
        "for group",
        "`enabled`",
        "add",
    ),
    "old API version": Fault(
        LOCKS,
        "storageAccounts@2025-01-01",
        "storageAccounts@2019-06-01",
        "@2019-06-01",
        "API version 2019-06-01 of Microsoft.Storage/storageAccounts is older than 2025-01-01",
        "write Microsoft.Storage/storageAccounts@2025-01-01",
    ),
    "unknown resource type": Fault(
        LOCKS,
        "storageAccounts@",
        "moonBases@",
        "moonBases",
        "Azure has no resource type Microsoft.Storage/moonBases",
        "correct the name",
    ),
}
CALLS = {
    "unknown parameter in a parameter file": Fault(
        DEV,
        "param days = 7\n",
        "param days = 7\nparam dayz = 7\n",
        "dayz",
        "main.bicep has no parameter `dayz`",
        "write `days`",
    ),
    "missing parameter of a module": Fault(
        MAIN,
        "  params: {\n    name: names.storage\n    location: location\n    tags: tags\n    days: days\n",
        "  params: { // here\n    name: names.storage\n    location: location\n    tags: tags\n",
        "// here",
        "store.bicep needs parameter `days` (int)",
        "assign `days` here",
    ),
    "value of another type for a module": Fault(
        MAIN,
        "    tags: tags\n    days: days\n",
        "    tags: tags\n    days: location\n",
        "days: location",
        "is a whole number, found text",
        "give a whole number",
    ),
    "output that a module has not": Fault(
        MAIN,
        "storageId string = store.outputs.id",
        "storageId string = store.outputs.ids",
        "outputs.ids",
        "module store (modules/store.bicep) has no output `ids`",
        "write `id`",
    ),
    "output of a module that may be absent": Fault(
        MAIN,
        "locks.?outputs.level ?? ''",
        "locks.outputs.level",
        "locks.outputs",
        "locks is conditional",
        "write locks.?outputs",
    ),
    "entry that the loaded file has not": Fault(
        MAIN, "project.tags,", "project.tag,", "project.tag,", "no `tag`", "title, name, region"
    ),
    "unused parameter": Fault(
        LOCKS,
        "resource storage",
        "@description('x')\nparam more string\n\nresource storage",
        "param more",
        "parameter `more` is not used",
        "remove it",
    ),
    "undescribed parameter": Fault(
        LOCKS,
        "@description('Name of the storage account.')\n",
        "",
        "param",
        "no description",
        "write",
    ),
    "unknown name": Fault(
        LOCKS,
        "name: storageName",
        "name: storagName",
        "storagName",
        "is not declared",
        "correct the name",
    ),
    "circle": Fault(
        LOCKS,
        "resource storage",
        "var one = two\nvar two = '${one}s'\n\nresource storage",
        "var one",
        "a dependency cycle",
        "remove one",
    ),
    "name that waits behind a variable": Fault(
        MAIN,
        "resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {\n"
        "  name: 'budget-${project.name}-${environment}'",
        "var late = store.outputs.name\n\nresource budget 'Microsoft.Consumption/budgets@2024-08-01' = {\n"
        "  name: 'budget-${late}'",
        "budget-${late}",
        "the name of `budget` depends on `store.outputs`",
        "use parameters",
    ),
    "output that may be null": Fault(
        MAIN, " ?? ''", "", "lockLevel", "output `lockLevel` may be null", "give a default"
    ),
    "redundant dependency": Fault(
        LOCKS,
        "  scope: storage\n",
        "  scope: storage\n  dependsOn: [\n    storage // twice\n  ]\n",
        "// twice",
        "`lock` depends on `storage` already",
        "remove it from dependsOn",
    ),
    "region written down": Fault(
        STORE, "location: location", "location: 'westeurope'", "westeurope", "is a constant", "take"
    ),
    "property given twice": Fault(
        LOCKS,
        "  name: 'keep'\n",
        "  name: 'keep'\n  name: 'two'\n",
        "'two'",
        "`name` is twice",
        "one",
    ),
    "bracket left out": Fault(
        LOCKS,
        "  name: storageName\n}",
        "  name: storageName\n",
        "resource storage",
        "syntax error",
        "brackets",
    ),
}
INTENT = {
    "keys": Fault(
        STORE,
        "allowSharedKeyAccess: false",
        "allowSharedKeyAccess: true",
        "resource account",
        "properties.allowSharedKeyAccess is true",
        "set it to false: data is reached with identities only",
    ),
    "keys, by leaving the property out": Fault(
        STORE,
        "    allowSharedKeyAccess: false\n",
        "",
        "resource account",
        "properties.allowSharedKeyAccess is not set",
        "set it to false",
    ),
    "no tags": Fault(
        STORE,
        "  tags: tags\n",
        "",
        "resource account",
        "stacmesmalldev with dev.bicepparam: it has no tags",
        "add `tags: tags`",
    ),
    "no logs": Fault(
        STORE,
        "account::blobs",
        "account",
        "resource blobs",
        "blobServices stacmesmalldev/default with dev.bicepparam: it sends no logs",
        "with it as scope",
    ),
    "wildcard in a role": Fault(
        ROLES,
        "things/write",
        "things/*",
        "/*",
        "the role has a wildcard: Microsoft.Own/things/*",
        "one by one",
    ),
    "operation that nobody looked up": Fault(
        ROLES,
        "things/write",
        "things/writes/action",
        "writes",
        "the operation Microsoft.Own/things/writes/action is unknown",
        "az provider operation show",
    ),
    "secret parameter": Fault(
        LOCKS,
        "storageName string",
        "sharedKey string",
        "sharedKey",
        "looks like a secret",
        "identity",
    ),
    "key that is read": Fault(
        LOCKS,
        "lock.properties.level",
        "storage.listKeys().keys[0].value",
        "listKeys",
        "listKeys() reads keys",
        "give the identity a role",
    ),
    "no budget": Fault(
        MAIN,
        "resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {",
        "resource budget 'Microsoft.Consumption/budgets@2024-08-01' = if (false) {",
        "using",
        "what dev.bicepparam deploys has no budget",
        "call modules/budget.bicep",
        blamed=DEV,
    ),
    "parameter file copied from another environment": Fault(
        DEV,
        "environment = 'dev'",
        "environment = 'prod'",
        "environment =",
        "dev.bicepparam deploys the names of prod",
        "param environment = 'dev'",
    ),
    "prod without a lock": Fault(
        PROD,
        "lockResources = true",
        "lockResources = false",
        "lock",
        "prod is not locked",
        "= true",
    ),
    "lock that is set and not deployed": Fault(
        MAIN,
        "(asAdministrator && lockResources)",
        "(false)",
        "lock",
        "deploys no lock",
        "locks.bicep",
        blamed=PROD,
    ),
    "lock of the whole group": Fault(
        LOCKS,
        "  scope: storage\n",
        "",
        "resource lock",
        "it locks the whole resource group",
        "scope",
    ),
    "CI given what it may not do": Fault(
        MAIN,
        "(asAdministrator && lockResources)",
        "(lockResources)",
        "resource lock",
        "locks keep with prod.bicepparam: CI would deploy it and has no permission for it",
        "only if asAdministrator",
        blamed=LOCKS,
    ),
    "name beyond Azure's limit": Fault(
        "conf/project.yml",
        "stacmesmallprod",
        "stacmesmallprodthatistoolong",
        "resource account",
        "with prod.bicepparam: its name 'stacmesmallprodthatistoolong' has 28 characters",
        "[a-z0-9]{3,24}",
        blamed=STORE,
    ),
}


STORE_TEXT, GROUP = FILES[STORE], "resourceGroup()"
FAULTS = TYPES | CALLS | INTENT


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_with_its_place_and_remedy(fault: Fault, tmp_path: Path):
    blamed = fault.plant(tmp_path)
    found = findings(tmp_path)
    said = [
        (*place, f.what, f.remedy) for f, place in zip(found, places(tmp_path, found), strict=True)
    ]
    assert any(
        (file, line) == blamed and fault.what in what and fault.remedy in remedy
        for file, line, what, remedy in said
    ), said


def test_a_region_from_a_default_is_found(tmp_path: Path):
    default = STORE_TEXT.replace(
        "param location string", f"param location string = {GROUP}.location"
    )
    main = FILES[MAIN].replace("    location: location\n", "")
    write(tmp_path, {STORE: default, MAIN: main})
    assert any(
        "takes the region from the default of `location`" in f.what for f in findings(tmp_path)
    )


def test_an_infrastructure_without_faults_has_no_findings(tmp_path: Path):
    assert findings(write(tmp_path)) == []


def test_a_value_that_cannot_be_evaluated_is_no_finding(tmp_path: Path):
    text = FILES[LOCKS].replace("  name: 'keep'", "  name: format('{0}-{1}', 'keep')")
    write(tmp_path, {LOCKS: text})
    assert findings(tmp_path) == []
