"""Regions of environments: conf/project.yml, parameter files and the registry agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.pipelines.azure_names import regions_of
from modelyard.project import load_project

from tests.editing import edit
from tests.project import part_of_sample

PROD = "resource_group: rg-acme-flight-delay-prod\n"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return part_of_sample(tmp_path, "conf infra")


def said(root: Path) -> tuple[list[str], list[str]]:
    wrong, unsure = (
        [f"{one.file.name}: {one.message}" for one in some] for some in regions_of(root)
    )
    return wrong, unsure


def test_an_environment_is_where_it_says_and_the_others_where_the_project_is(copied: Path) -> None:
    assert said(copied) == ([], [])
    edit(copied / "conf/project.yml", PROD, f"{PROD}    region: northeurope\n")
    assert said(copied) == ([], [])
    project = load_project(copied)
    assert [project.region_of(one) for one in project.environments] == [
        "westeurope",
        "westeurope",
        "northeurope",
    ]


@pytest.mark.parametrize("given", ["", "    region: northeurop\n"])
def test_a_region_that_is_none_is_found(copied: Path, given: str) -> None:
    if given:
        edit(copied / "conf/project.yml", PROD, f"{PROD}{given}")
    else:
        edit(copied / "conf/project.yml", "westeurope", "northeurop")
    wrong, _ = said(copied)
    assert wrong == ["project.yml: there is no region northeurop; did you mean `northeurope`?"]


@pytest.mark.parametrize(("location", "fine"), [("West Europe", True), ("northeurope", False)])
def test_a_parameter_file_with_another_region_is_found(
    copied: Path, location: str, fine: bool
) -> None:
    edit(
        copied / "infra/dev.bicepparam",
        "param network",
        f"param location = '{location}'\nparam network",
    )
    wrong, _ = said(copied)
    message = f"location is {location}, and conf/project.yml has westeurope for dev"
    assert wrong == ([] if fine else [f"dev.bicepparam: {message}"])


def test_a_cluster_of_a_size_that_is_none_is_found(copied: Path) -> None:
    edit(copied / "infra/dev.bicepparam", "'Standard_D4ds_v4'", "'Standard_D5ds_v4'")
    wrong, _ = said(copied)
    (found,) = wrong
    assert found.startswith("dev.bicepparam: there is no size Standard_D5ds_v4; its series has")


def test_a_cluster_in_a_region_that_is_none_is_found(copied: Path) -> None:
    file, name = "infra/dev.bicepparam", "param trainingLocation = "
    edit(copied / file, "param network", f"{name}'northeurope'\nparam network")
    assert said(copied) == ([], [])
    edit(copied / file, f"{name}'northeurope'", f"{name}'northeurop'")
    message = "there is no region northeurop; did you mean `northeurope`?"
    assert said(copied)[0] == [f"dev.bicepparam: {message}"]


@pytest.mark.parametrize(("published", "fine"), [("[]", False), ("[\n  'northeurope'\n]", True)])
def test_a_registry_that_does_not_publish_where_an_environment_is_is_found(
    copied: Path, published: str, fine: bool
) -> None:
    edit(copied / "conf/project.yml", PROD, f"{PROD}    region: northeurope\n")
    edit(copied / "conf/project.yml", "title:", "registry: mlr-acme\ntitle:")
    edit(copied / "infra/registry.bicepparam", "otherRegions = []", f"otherRegions = {published}")
    message = "otherRegions has no northeurope, where prod is: what is published does not get there"
    assert said(copied) == ([], [] if fine else [f"registry.bicepparam: {message}"])
