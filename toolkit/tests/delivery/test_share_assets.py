"""The version that a changed component, environment or data asset gets in the organization's registry."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from modelyard.delivery.share_assets import FILE, Step, _record, plan
from modelyard.errors import UsageError
from modelyard.project import load_project

from tests.command import Mlops
from tests.editing import edit
from tests.project import ROOT, part_of_sample

TRAIN = "azureml/components/train.yml"
TABLE = "azureml/data/training.yml"
LOCK = "requirements/train.txt"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the sample project with a registry, a small table, and components that were shared."""
    part_of_sample(tmp_path, "conf azureml src")
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements", ignore=lambda *_: ["wheels"])
    edit(
        tmp_path / "conf/project.yml", "\nenvironments:", "\nregistry: organization\nenvironments:"
    )
    edit(tmp_path / TABLE, "flights.parquet", "table.csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/table.csv").write_text("distance,late\n1,2\n")
    return tmp_path


def planned(root: Path, what: str) -> list[Step]:
    return plan(root, load_project(root), what)


def shared(root: Path, what: str) -> None:
    """Record what a plan would share."""
    for step in planned(root, what):
        _record(root, "organization", step)


def versions(steps: list[Step]) -> list[str]:
    return [f"{step.kind} {step.shared.name}:{step.shared.version}" for step in steps]


def test_a_component_goes_after_the_environment_that_it_runs_in(project: Path) -> None:
    steps = planned(project, TRAIN)
    assert versions(steps) == [
        "environment flight-delay-train:1.0.0",
        "component flight_delay_train:1.0.0",
    ]
    place = "azureml://registries/organization/environments/flight-delay-train/versions/1.0.0"
    assert steps[1].environments == {"environment": place}
    for step in steps:
        _record(project, "organization", step)
    assert planned(project, TRAIN) == planned(project, "azureml/environments/train.yml") == []
    assert versions(planned(project, "prepare")) == ["component flight_delay_prepare:1.0.0"]


@pytest.mark.parametrize(
    ("file", "old", "new", "version", "why"),
    [
        (TRAIN, "  model:\n    type: mlflow_model\n", "", "2.0.0", "output model is gone"),
        (TRAIN, "  prepared:\n    type: uri_folder", "  prepared:\n    type: uri_file", "2.0.0", "was type: uri_folder, is type: uri_file"),
        (TRAIN, "inputs:\n", "inputs:\n  more: {type: integer}\n", "2.0.0", "input more is new and required"),
        (TRAIN, "[auto, boosting, linear]", "[auto, linear]", "2.0.0", "input learner was"),
        (TRAIN, "    max: 10000\n", "    max: 100\n", "2.0.0", "input max_iterations was"),
        (TRAIN, "    default: 20\n    min: 1\n    max: 10000", "    min: 1\n    max: 10000", "2.0.0", "input min_samples_leaf was"),
        (TRAIN, "    max: 10000\n", "    max: 20000\n", "1.1.0", "input max_iterations was"),
        (TRAIN, "inputs:\n", "inputs:\n  more: {type: integer, optional: true}\n", "1.1.0", "input more is new"),
        (TRAIN, "outputs:\n", "outputs:\n  log: {type: uri_file}\n", "1.1.0", "output log is new"),
        (TRAIN, "--contract", "--quiet --contract", "1.1.0", "command has changed"),
        ("src/flight_delay/train.py", "import", "import os\nimport", "1.1.0", "code has changed"),
        (LOCK, "numpy==", "numpy-==", "1.1.0", "environment has changed"),
        (TRAIN, "description: The best", "description: Best", "1.0.1", "description or tags have changed"),
        (TRAIN, "    description: conf/contract.yml\n", "", None, ""),
        (TRAIN, 'version: "1"', 'version: "2"', None, ""),
    ],
)  # fmt: skip
def test_a_version_says_what_a_change_means_for_those_who_use_it(
    project: Path, file: str, old: str, new: str, version: str | None, why: str
) -> None:
    shared(project, TRAIN)
    edit(project / file, old, new)
    steps = planned(project, TRAIN)
    assert [step.shared.version for step in steps[-1:]] == ([version] if version else [])
    assert not version or (steps[-1].before == "1.0.0" and why in "; ".join(steps[-1].why)), steps
    assert (len(steps) == 2) is (file == LOCK)


@pytest.mark.parametrize(
    ("table", "version"),
    [
        ("distance,late\n1,2\n3,4\n", "1.0.1"),
        ("distance,late,wind\n1,2,3\n", "1.1.0"),
        ("distance\n1\n", "2.0.0"),
    ],
)
def test_the_columns_of_a_table_are_what_others_rely_on(
    project: Path, table: str, version: str
) -> None:
    shared(project, TABLE)
    (project / "data/table.csv").write_text(table)
    assert versions(planned(project, "training")) == [f"data flight-delay-training:{version}"]


@pytest.mark.parametrize(
    ("what", "file", "old", "new", "message"),
    [
        ("train", TRAIN, "", "", "train is the name of azureml/components/train.yml and azureml/environments/train.yml: name the file"),
        ("prepar", TRAIN, "", "", "did you mean `prepare`?"),
        ("prepare", "conf/project.yml", "registry: organization\n", "", "conf/project.yml names no registry"),
        (TRAIN, TRAIN, "azureml:train@latest", "azureml:train:3", "the environment azureml:train:3 is a workspace's"),
        ("training", TABLE, "../../data/table.csv", "azureml://datastores/x/paths/table.csv", "is not on this machine"),
        ("prepare", "azureml/components/prepare.yml", "type: command", "type: pipeline", "share its components, one by one"),
        ("prepare", str(FILE), "", "registries: {organization: {component: {prepare: {version: 1}}}}", "conf/shared.yml:1"),
    ],
)  # fmt: skip
def test_what_a_registry_cannot_have_is_refused(
    project: Path, what: str, file: str, old: str, new: str, message: str
) -> None:
    (project / FILE).touch()
    if old or new:
        edit(project / file, old, new)
    if not (project / FILE).read_text():
        (project / FILE).unlink()
    with pytest.raises(UsageError) as refused:
        planned(project, what)
    assert message in str(refused.value)


def test_the_plan_needs_no_azure(
    project: Path, monkeypatch: pytest.MonkeyPatch, mlops: Mlops
) -> None:
    monkeypatch.chdir(project)
    said = mlops("share", TRAIN).out
    assert "component flight_delay_train 1.0.0: it was not shared before" in said
    assert f"Do it: mlops share {TRAIN} --environment dev --apply" in said
    steps = json.loads(mlops("share", TRAIN, "--json").out)["steps"]
    assert [one["version"] for one in steps] == ["1.0.0", "1.0.0"]
    for words in ((TRAIN, "--apply"), ("7",), ()):
        mlops("share", *words, code=2)
    assert not FILE.exists()
    shared(project, TRAIN)
    assert mlops("share", TRAIN).out == f"nothing to share: {TRAIN} is as it was shared\n"
    assert json.loads(mlops("share", TRAIN, "--json").out) == {
        "registry": "organization",
        "shared": False,
        "steps": [],
    }
