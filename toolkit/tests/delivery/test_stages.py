"""A stage between test and prod: names, parameter file and rights; what pipelines do with it is rehearsed by the template's tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from modelyard.delivery.stages import stage_files
from modelyard.errors import UsageError
from modelyard.files import write_text
from modelyard.project import load_project

from tests.bicep import plan, promised
from tests.editing import edit
from tests.project import part_of_sample

STAGE = "staging"
DEFINITION = "microsoft.authorization/roledefinitions"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return part_of_sample(tmp_path, "conf infra .github")


def add(root: Path, name: str = STAGE) -> set[str]:
    """Write a stage; return the files that are other ones now."""
    changed = set()
    for path, content in stage_files(root, name).items():
        if not path.is_file() or path.read_bytes() != content:
            write_text(path, content.decode())
            changed.add(path.relative_to(root).as_posix())
    return changed


def test_a_stage_comes_before_prod_and_a_second_call_changes_nothing(copied: Path) -> None:
    workflows = [f".github/workflows/{n}.yml" for n in ("audit", "deliver", "infra", "rollback")]
    assert add(copied) == {"conf/project.yml", "infra/staging.bicepparam", *workflows}
    assert add(copied) == set()
    assert add(copied, "preprod") == {"conf/project.yml", "infra/preprod.bicepparam", *workflows}
    environments = load_project(copied).environments
    assert list(environments) == ["dev", "test", STAGE, "preprod", "prod"]
    own = environments[STAGE].model_dump_json().replace(STAGE, "test")
    assert own == environments["test"].model_dump_json()


def test_who_signs_in_to_test_does_not_sign_in_to_the_stage(copied: Path) -> None:
    file = copied / "infra" / "test.bicepparam"
    text = file.read_text(encoding="utf-8")
    subject = "param ciSubject = 'repo:acme/it:environment:test'"
    file.write_text(text.replace("param ciSubject = ''", subject), encoding="utf-8")
    add(copied)
    made = (file.parent / "staging.bicepparam").read_text(encoding="utf-8")
    assert "acme/it" not in made
    assert made == text.replace("param environment = 'test'", "param environment = 'staging'")


@pytest.mark.parametrize("network", ["public", "managed-vnet"])
def test_a_stage_keeps_every_promise_and_has_the_rights_of_test(copied: Path, network: str) -> None:
    add(copied)
    infra = copied / "infra"
    assert promised(infra / "staging.bicepparam", {"network": network}) == []
    roles = {
        name: [
            (
                str(one.value("properties.roleName")).replace(name, ""),
                one.value("properties.permissions"),
            )
            for one in plan(infra / f"{name}.bicepparam", network=network, asAdministrator=True)
            if one.kind == DEFINITION
        ]
        for name in ("test", STAGE)
    }
    assert roles[STAGE] == roles["test"] != []


@pytest.mark.parametrize("name", ["s", "Staging", "pre-prod", "astageforeverybody", "1st", "share"])
def test_a_name_that_azure_or_the_pipelines_would_refuse_is_refused(
    copied: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="stage"):
        stage_files(copied, name)


def test_a_name_that_makes_others_too_long_is_refused(copied: Path) -> None:
    file = copied / "conf" / "project.yml"
    edit(file, "stacmeflightdelay", "stacmelongflightdelay")
    with pytest.raises(UsageError, match=r"storage_account .* 24; give the stage a shorter name"):
        stage_files(copied, "acceptance")


def test_a_workflow_that_somebody_wrote_anew_is_named(copied: Path) -> None:
    file = copied / ".github" / "workflows" / "deliver.yml"
    file.write_text("jobs: {}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"deliver\.yml: expected .*by hand"):
        stage_files(copied, STAGE)


def test_a_project_without_infrastructure_is_told_what_comes_first(copied: Path) -> None:
    shutil.rmtree(copied / "infra")
    with pytest.raises(UsageError, match="mlops add infrastructure"):
        stage_files(copied, STAGE)
