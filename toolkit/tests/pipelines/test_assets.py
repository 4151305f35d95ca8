"""Assets and addresses of Azure ML lead to files on this machine, or are refused with what helps."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.errors import UsageError
from modelyard.pipelines.data_assets import described, mapped

from tests.pipelines.other_peoples import SHOW_COMPONENT, problems, run, shown

READ = """\
command: cat ${{{{inputs.data}}}}
environment: azureml:train@latest
inputs:
  data: {{type: uri_file, path: '{}'}}
"""


@pytest.fixture
def table(azureml: Path) -> Path:
    """A table beside the project's files, described in three versions."""
    (azureml / "data").mkdir()
    for version in ("9", "10", "x"):
        (azureml / "data" / f"{version}.yml").write_text(
            f"name: table\nversion: {version}\ntype: uri_file\npath: ../{version}.csv\n"
        )
        (azureml / f"{version}.csv").write_text(version)
    return azureml / "10.csv"


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("azureml:table:9", "9"),
        ("azureml:table@latest", "10"),
        ("azureml:table@default", "10"),
        ("azureml:table", "10"),
        ("azureml:table:x", "x"),
        ("azureml://registries/r/data/table/versions/9", "9"),
        ("azureml://registries/r/data/table/labels/latest", "10"),
        ("azureml://subscriptions/s/resourcegroups/g/workspaces/w/data/table/versions/x", "x"),
    ],
)
def test_a_reference_leads_to_the_version_it_names(
    azureml: Path, table: Path, reference: str, found: str
) -> None:
    result = run(azureml, READ.format(reference))
    assert (result.folder / "p" / "log.txt").read_text() == found


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "azureml:table:8",
            "p.yml:4: input `data`: azureml:table:8: the files describe version 10, 9, x",
        ),
        ("azureml:tabl:9", "azureml:tabl:9 is described in no file of azureml/data, "),
        (
            "https://example.com/a.csv",
            "is not on this machine; give a local one with --input data=PATH",
        ),
    ],
)
def test_what_is_not_here_is_refused_with_its_line(
    azureml: Path, table: Path, reference: str, message: str
) -> None:
    found = problems(azureml, READ.format(reference))
    assert message in found
    assert "conf/local.yml" in found


@pytest.mark.parametrize(
    ("key", "address"),
    [
        ("https://example.com/a.csv", "https://example.com/a.csv"),
        ("azureml://datastores/d/paths/raw/", "azureml://datastores/d/paths/raw/10.csv"),
        ("azureml:elsewhere:1", "azureml:elsewhere:1"),
    ],
)
def test_local_yml_says_what_stands_for_an_address(
    azureml: Path, table: Path, key: str, address: str
) -> None:
    path = "azureml/" if key.endswith("/") else "azureml/10.csv"
    (azureml.parent / "conf" / "local.yml").write_text(f"'{key}': {path}\n")
    result = run(azureml, READ.format(address))
    assert (result.folder / "p" / "log.txt").read_text() == "10"


def test_local_yml_has_to_name_what_exists(azureml: Path) -> None:
    (azureml.parent / "conf" / "local.yml").write_text("a: b\nhttps://x/: gone/\n")
    with pytest.raises(UsageError, match=r"local\.yml:2: gone/ does not exist"):
        mapped(azureml.parent, "https://x/y")
    assert mapped(azureml.parent, "https://y/y") is None


@pytest.mark.parametrize(
    "named",
    [
        "azureml:show_all:1",
        "azureml://registries/r/components/show_all/versions/1",
        "azureml:elsewhere:2",
    ],
)
def test_a_registered_component_is_the_file_that_describes_it(azureml: Path, named: str) -> None:
    (azureml / "components").mkdir()
    text = SHOW_COMPONENT.replace("name: show", "name: show_all\nversion: 1")
    (azureml / "components" / "any.yml").write_text(text.replace("code: src", "code: ../src"))
    (azureml.parent / "conf" / "local.yml").write_text(
        "azureml:elsewhere:2: azureml/components/any.yml\n"
    )
    result = run(azureml, f"type: pipeline\njobs:\n  show:\n    component: {named}\n")
    assert shown(result)[1] == "x"


def test_a_file_that_is_no_yaml_describes_nothing(azureml: Path) -> None:
    (azureml / "broken.yml").write_text("name: table\n a: [\n")
    with pytest.raises(ValueError, match="described in no file"):
        described([azureml], "azureml:table:1")


def test_an_mltable_is_a_folder_with_its_description(azureml: Path) -> None:
    found = problems(azureml, READ.replace("uri_file", "mltable").format("src"))
    assert "p.yml:4: input `data`: expected a folder with a file MLTable" in found
