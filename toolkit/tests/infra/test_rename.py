"""One suffix changes every name in Azure."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from bicep_reader import read_infrastructure
from modelyard.errors import UsageError
from modelyard.infra.rename import PLACES, rename
from modelyard.yaml_files import read_yaml

from tests.bicep import plan
from tests.editing import edit
from tests.project import ROOT


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in PLACES:
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def names(root: Path) -> dict[str, dict[str, str]]:
    return read_yaml(root / "conf" / "project.yml")["environments"]


def test_no_file_keeps_an_old_name(copied: Path) -> None:
    old = {name for of in names(copied).values() for name in of.values()}
    changed = {path.relative_to(copied).as_posix() for path in rename(copied, "x7")}
    assert {"conf/project.yml", "azureml/endpoints/online-endpoint.yml"} <= changed
    left = re.compile("|".join(map(re.escape, old)))
    for place in PLACES:
        for path in (copied / place).rglob("*.*"):
            assert path.is_dir() or not left.search(path.read_text(encoding="utf-8")), path


def test_names_keep_their_environment_and_what_is_deployed_has_them(copied: Path) -> None:
    rename(copied, "x7")
    dev = names(copied)["dev"]
    assert dev["storage_account"] == "stacmeflightdelayx7dev"
    assert dev["workspace"] == "mlw-acme-flight-delay-x7-dev"
    assert read_infrastructure(copied / "infra").findings == ()
    given = {"asAdministrator": True}
    made = [one.name for one in plan(copied / "infra" / "dev.bicepparam", **given)]
    assert "func-acme-flight-delay-x7-dev" in made
    assert not [name for name in made if name and "flight-delay-dev" in name]


def test_the_batch_endpoint_follows(copied: Path) -> None:
    file = copied / "azureml" / "endpoints" / "batch-endpoint.yml"
    file.write_text("name: acme-flight-delay-dev-b  # a comment\n", encoding="utf-8")
    rename(copied, "x7")
    assert file.read_text(encoding="utf-8") == "name: acme-flight-delay-x7-dev-b  # a comment\n"


@pytest.mark.parametrize("suffix", ["", "X7", "a-b", "toolong7", "../x"])
def test_a_suffix_that_no_name_can_have_is_refused(copied: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="lowercase letters and digits"):
        rename(copied, suffix)


def test_a_name_that_becomes_too_long_is_refused_before_anything_is_written(copied: Path) -> None:
    file = copied / "conf" / "project.yml"
    before = file.read_text(encoding="utf-8").replace("stacmeflightdelay", "stacmeflightdelaylong")
    file.write_text(before, encoding="utf-8")
    with pytest.raises(UsageError, match=r"characters, and Azure takes 24"):
        rename(copied, "abc")
    assert file.read_text(encoding="utf-8") == before


def test_names_with_a_part_after_the_environment_follow_and_sizes_stay(copied: Path) -> None:
    file = copied / "conf" / "project.yml"
    more = "    instance_type: Standard_D4as_v4\n    instance_count: 2\n"
    edit(file, "  dev:\n", "  dev:\n" + more)
    rename(copied, "x7")
    dev = names(copied)["dev"]
    assert dev["scoring_identity"] == "id-acme-flight-delay-x7-dev-scoring"
    assert (dev["instance_type"], dev["instance_count"]) == ("Standard_D4as_v4", 2)


def test_a_name_without_its_environment_is_renamed_by_hand(copied: Path) -> None:
    file = copied / "conf" / "project.yml"
    edit(file, "stacmeflightdelaydev", "stown")
    with pytest.raises(UsageError, match=r"storage_account stown .* by hand"):
        rename(copied, "x7")
