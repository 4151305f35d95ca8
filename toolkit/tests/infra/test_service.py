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


def test_every_entry_of_the_list_has_a_day_and_a_source() -> None:
    assert len(differences()) > 3
    for one in differences():
        assert date(2026, 1, 1) < one.seen
        assert one.sources and all(source.startswith("https://") for source in one.sources)
