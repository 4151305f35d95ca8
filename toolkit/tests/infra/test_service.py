"""The list of what Azure does and its types do not say."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from modelyard.infra.findings import Finding
from modelyard.infra.service import differences

from tests.bicep import promised

SITE = """resource a 'Microsoft.Web/sites@2024-11-01' = {
  name: 'a'
  properties: {
    functionAppConfig: FLEX
    siteConfig: {
      KEY: 'Disabled'
    }
  }
}
"""
CLUSTER = """param size string
resource a 'Microsoft.MachineLearningServices/workspaces/computes@2025-06-01' = {
  name: 'w/a'
  properties: {
    computeType: 'AmlCompute'
    properties: {
      vmSize: size
    }
  }
}
"""
ASSIGNED = """resource who 'Microsoft.DataFactory/factories@2018-06-01' existing = {
  name: 'adf'
}

param group string

resource a 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(NAME)
  properties: {
    principalId: WHO
    roleDefinitionId: 'r'
  }
}
"""


def found(folder: Path, text: str, parameters: str = "") -> list[Finding]:
    (folder / "main.bicep").write_text(text, encoding="utf-8")
    (folder / "x.bicepparam").write_text(f"using './main.bicep'\n{parameters}", encoding="utf-8")
    return promised(folder / "x.bicepparam", {})


@pytest.mark.parametrize("key", ["ftpsState", "linuxFxVersion", "alwaysOn"])
def test_what_flex_consumption_refuses_is_found_with_its_line(tmp_path: Path, key: str) -> None:
    said = found(tmp_path, SITE.replace("FLEX", "{}").replace("KEY", key))
    (refused,) = [f for f in said if f.check == "service"]
    assert f"properties.siteConfig.{key}" in refused.what and "51021" in refused.what
    assert (refused.place.file.name, refused.place.line) == ("main.bicep", 1)


def test_another_plan_takes_it(tmp_path: Path) -> None:
    text = SITE.replace("    functionAppConfig: FLEX\n", "").replace("KEY", "ftpsState")
    assert not [f for f in found(tmp_path, text) if f.check == "service"]


@pytest.mark.parametrize(
    ("size", "retires"),
    [
        ("Standard_DS3_v2", "2028-05-01"),
        ("STANDARD_D3_V2", "2028-05-01"),
        ("Standard_DS12-1_v2", "2028-05-01"),
        ("Standard_D4", "2028-05-01"),
        ("Standard_F4s_v2", "2028-11-15"),
        ("Standard_B2ms", "2028-11-15"),
        ("Standard_D4ds_v4", None),
        ("Standard_D4as_v4", None),
        ("Standard_DS", None),
        ("Standard_E4s_v3", None),
        ("Standard_D4s_v3", None),
        ("Standard_B2s_v2", None),
        ("Standard_NC4as_T4_v3", None),
    ],
)
def test_a_size_that_retires_is_found_with_its_date(
    tmp_path: Path, size: str, retires: str | None
) -> None:
    said = [
        f.what for f in found(tmp_path, CLUSTER, f"param size = '{size}'\n") if f.check == "service"
    ]
    assert bool(said) is (retires is not None)
    assert all(str(retires) in what and size in what for what in said)


def test_a_reason_beside_the_resource_skips_the_list(tmp_path: Path) -> None:
    text = CLUSTER.replace(
        "  name: 'w/a'\n", "  // mlops:skip=service:reserved until 2028\n  name: 'w/a'\n"
    )
    said = found(tmp_path, text, "param size = 'Standard_DS3_v2'\n")
    assert not [f for f in said if f.check == "service"]


@pytest.mark.parametrize(
    ("name", "who", "refused"),
    [
        ("resourceGroup().id, group, 'role'", "group", False),
        ("resourceGroup().id, who.identity.principalId", "who.identity.principalId", False),
        ("who.id, 'role'", "who.identity.principalId", True),
        ("'x', who.identity.principalId", "who.identity.principalId", False),
    ],
)
def test_the_name_of_an_assignment_holds_its_principal(
    tmp_path: Path, name: str, who: str, refused: bool
) -> None:
    said = found(
        tmp_path, ASSIGNED.replace("NAME", name).replace("WHO", who), "param group = 'g'\n"
    )
    assert bool([f for f in said if "does not hold its principal" in f.what]) is refused


LISTS = """param values array
param space string = '10.20.0.0/24'

resource store 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: 'stacme'
  properties: {
    networkAcls: {
      defaultAction: 'Deny'
      ipRules: [
        for value in values: {
          value: value
        }
      ]
    }
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-07-01' = {
  name: 'vnet'
  properties: {
    addressSpace: {
      addressPrefixes: [
        space
      ]
    }
  }

  resource subnet 'subnets' = {
    name: 'runners'
    properties: {
      addressPrefix: '10.20.0.128/26'
    }
  }
}

resource host 'Microsoft.MachineLearningServices/workspaces/outboundRules@2025-06-01' = [
  for value in values: {
    name: 'w/host-${uniqueString(value)}'
    properties: {
      type: 'FQDN'
      destination: value
    }
  }
]
"""
IP, HOST, TWICE = "storage takes public IPv4", "a host is named", "is defined twice"


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ("['198.51.100.0']", []),
        *((f"['{one}']", [HOST]) for one in ("198.51.100.0/24", "0.0.0.0/0", "8.8.8.8/30")),
        *((f"['{one}']", [IP]) for one in ("10.1.2.3", "172.31.0.1", "1.2.3", "300.1.1.1", "a.b")),
        *((f"['{one}']", [HOST, IP]) for one in ("8.8.8.0/31", "8.8.8.8/32", "8.8.8.0/33", "::1")),
        *((f"['{one}']", [HOST, IP]) for one in ("https://a.b", "a.b:443", " 8.8.8.8", "")),
        ("['8.8.8.8', '8.8.4.4']", []),
        ("['8.8.8.8', '8.8.8.8']", [TWICE]),
        ("[]\nparam space = '10.20.0.0/16'", []),
        ("[]\nparam space = '10.20.0.0/25'", ["is outside that of its network"]),
        ("[]\nparam space = '10.20.0.0/33'", ["is none that Azure takes"]),
        ("[]\nparam space = '10.20.0.9/24'", ["is none that Azure takes"]),
    ],
)
def test_what_azure_refuses_of_a_list_is_found(
    tmp_path: Path, given: str, refused: list[str]
) -> None:
    said = {
        f.what for f in found(tmp_path, LISTS, f"param values = {given}\n") if f.check == "service"
    }
    kinds = (HOST, IP, TWICE, "is outside that of its network", "is none that Azure takes")
    assert [kind for kind in kinds if any(kind in what for what in said)] == refused


GUID = "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3"


@pytest.mark.parametrize(
    ("who", "refused"),
    [(GUID, False), (GUID.upper(), False), ("ml-team", True), (f"{{{GUID}}}", True), ("", True)],
)
def test_a_principal_is_a_guid(tmp_path: Path, who: str, refused: bool) -> None:
    text = ASSIGNED.replace("NAME", "'x', group").replace("WHO", "group")
    said = found(tmp_path, text, f"param group = '{who}'\n")
    assert bool([f for f in said if "object id, a GUID" in f.what]) is refused


def test_a_list_is_no_principal(tmp_path: Path) -> None:
    text = ASSIGNED.replace("NAME", "'x', string(group)").replace("WHO", "group")
    said = found(
        tmp_path, text.replace("group string", "group array"), f"param group = ['{GUID}']\n"
    )
    assert [f.remedy for f in said if "its principal is a list" in f.what] == [
        "write one object id"
    ]


TYPE, ROLE = "    principalType: 'ServicePrincipal'\n", f"'/roleDefinitions/{GUID}'"


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({}, ""),
        ({"  scope: who\n": ""}, "and its scope is another"),
        ({TYPE: ""}, "which Azure does not find at once"),
        ({"'ServicePrincipal'": "'Group'"}, "which Azure does not find at once"),
        ({ROLE: ROLE.replace("b160", "b16")}, "does not end with the id of a role"),
        ({ROLE: ROLE.replace("b160", "b161")}, "none of the built-in roles"),
        ({ROLE: ROLE.upper().replace("ROLEDEFINITIONS", "roleDefinitions")}, ""),
        ({ROLE: ROLE.replace("4cc4", "5cc4")}, ""),
        ({"group string\n": "group string\n\nTWICE"}, "it is defined twice"),
    ],
)
def test_an_assignment_is_one_that_azure_makes_where_its_name_says(
    tmp_path: Path, given: dict[str, str], refused: str
) -> None:
    text = ASSIGNED.replace("NAME", "who.id, who.identity.principalId")
    text = text.replace("WHO", "who.identity.principalId").replace("'r'", ROLE)
    text = text.replace("04-01' = {\n", "04-01' = {\n  scope: who\n")
    text = text.replace("  properties: {\n", f"  properties: {{\n{TYPE}")
    again = text[text.index("resource a ") :].replace("resource a ", "resource b ")
    for old, new in given.items():
        assert old in text
        text = text.replace(old, new.replace("TWICE", again))
    said = [f.what for f in found(tmp_path, text, "param group = 'g'\n")]
    assert bool(said) is bool(refused), said
    assert all(refused in what for what in said)


TAGGED = """param tags object

resource a 'TYPE' = {
  name: 'a.example'
  location: 'global'
  tags: tags
}
"""


@pytest.mark.parametrize(
    ("kind", "tags", "refused"),
    [
        ("network/privateDnsZones", {f"t{one}": "x" for one in range(15)}, ""),
        ("network/privateDnsZones", {f"t{one}": "x" for one in range(16)}, "has 16 tags"),
        ("web/sites", {f"t{one}": "x" for one in range(50)}, ""),
        ("web/sites", {f"t{one}": "x" for one in range(51)}, "has 51 tags"),
        ("web/sites", {"n" * 129: "x"}, ""),
        ("storage/storageAccounts", {"n" * 129: "x"}, "too long"),
        ("web/sites", {"cost<center>": "x"}, "a character that Azure does not take"),
        ("web/sites", {"team": "x", "Team": "y"}, "differ in capitals only"),
        ("web/sites", {"note": "x" * 257}, "has 257 characters"),
    ],
)
def test_tags_are_those_that_azure_takes(
    tmp_path: Path, kind: str, tags: dict[str, str], refused: str
) -> None:
    given = "\n".join(f"  '{name}': '{value}'" for name, value in tags.items())
    text = TAGGED.replace("TYPE", f"Microsoft.{kind}@2024-06-01")
    said = [f.what for f in found(tmp_path, text, f"param tags = {{\n{given}\n}}\n")]
    assert [what for what in said if " tag" in what and refused and refused in what] == [
        what for what in said if " tag" in what
    ]
    assert bool([what for what in said if " tag" in what]) is bool(refused)


def test_every_entry_of_the_list_has_a_day_and_a_source() -> None:
    assert len(differences()) > 3
    for one in differences():
        assert date(2026, 1, 1) < one.seen
        assert one.sources and all(source.startswith("https://") for source in one.sources)
