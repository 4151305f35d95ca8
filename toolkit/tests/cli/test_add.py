"""`mlops add` of an environment, a schedule and a step: files that belong to no answer of the template."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from modelyard.cli.check import check_files
from modelyard.pipelines.reader import load_pipeline
from modelyard.yaml_files import read_yaml

from tests.cli.test_new_step import contents
from tests.command import Mlops
from tests.editing import edit
from tests.project import part_of_sample

WEEKLY = "schedule weekly --pipeline azureml/pipelines/train.yml --cron '0 3 * * 1'"
TEXT = "environment text --package spacy==3.8.7 --package 'httpx[http2]==0.28.1'"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The part of the sample project that is written into."""
    part_of_sample(tmp_path, "azureml conf src requirements")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (WEEKLY, ["azureml/schedules/weekly.yml"]),
        (WEEKLY.replace("pipelines/train", "jobs/retrain"), ["azureml/schedules/weekly.yml"]),
        (TEXT, ["azureml/environments/text.yml"]),
        (
            "step enrich",
            ["azureml/components/enrich.yml", "azureml/pipelines/train.yml", "src/flight_delay/enrich.py", "tests/test_enrich.py"],
        ),
    ],
    ids=["schedule", "schedule of a job", "environment", "step"],
)  # fmt: skip
def test_a_part_is_shown_then_written_then_there(
    project: Path,
    mlops: Mlops,
    words: str,
    files: list[str],
) -> None:
    before = contents(project)
    plan = json.loads(mlops("add", *shlex.split(words), "--json").out)
    assert contents(project) == before and not plan["applied"]
    assert sorted(one["path"] for one in plan["files"]) == files
    mlops("add", *shlex.split(words), "--apply")
    after = contents(project)
    assert sorted(name for name in after if after[name] != before.get(name)) == files
    found = check_files(project, sorted((project / "azureml").rglob("*.yml")))
    assert (found.problems, found.warnings) == ((), ())
    assert "nothing to add" in mlops("add", *shlex.split(words), "--apply").out
    assert contents(project) == after


def test_a_step_that_names_the_new_environment_gets_its_packages(
    project: Path, mlops: Mlops
) -> None:
    mlops("add", *shlex.split(TEXT), "--apply")
    component = project / "azureml/components/prepare.yml"
    edit(component, "azureml:train@latest", "azureml:text@latest")
    pipeline = load_pipeline(project / "azureml/pipelines/train.yml", need_data=False)
    (step,) = [step for step in pipeline.steps if step.name == "prepare"]
    assert step.component.packages is not None
    assert step.component.packages.requirements == ("spacy==3.8.7", "httpx[http2]==0.28.1")


def test_a_schedule_says_what_when_and_where(project: Path, mlops: Mlops) -> None:
    mlops("add", *shlex.split(WEEKLY), "--environment", "prod", "--apply")
    content = read_yaml(project / "azureml/schedules/weekly.yml")
    assert content["trigger"] == {"type": "cron", "expression": "0 3 * * 1", "time_zone": "UTC"}
    assert content["create_job"]["job"] == "../pipelines/train.yml"
    assert content["tags"] == {"environments": "prod"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("environment text --package spacy", "--package lightgbm==4.6.0, found 'spacy'"),
        ("environment text --package '-r x.txt'", "found '-r x.txt'"),
        ("environment Text --package spacy==1", "lower-case letters"),
        ("environment ../text --package spacy==1", "lower-case letters"),
        ("environment train --package spacy==1", "azureml/environments/train.yml exists"),
        (WEEKLY.replace("0 3 * * 1", "0 25 * * 1"), "expected 0 to 23 in this place"),
        (WEEKLY.replace("train.yml", "nothing.yml"), "nothing.yml does not exist"),
        (WEEKLY.replace("pipelines/train", "components/train"), "is no pipeline"),
        (WEEKLY.replace("azureml/pipelines/train.yml", "conf/gates.yml"), "no YAML file below"),
        (f"{WEEKLY} --environment prud", "did you mean `prod`?"),
        (WEEKLY.replace("weekly", "monitor"), "azureml/schedules/monitor.yml exists"),
        ("step train", "has a step `train`"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_refused_and_nothing_is_written(
    project: Path,
    mlops: Mlops,
    words: str,
    said: str,
) -> None:
    before = contents(project)
    assert said in mlops("add", *shlex.split(words), "--apply", code=2).err
    assert contents(project) == before


def test_every_addition_has_an_example(mlops: Mlops) -> None:
    listed = mlops("add", "--help").out.split("Commands:")[1]
    names = [line.split()[0] for line in listed.splitlines() if line]
    assert len(names) == 11
    for name in names:
        assert f"Example: mlops add {name}" in mlops("add", name, "--help").out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("infra deploy dev", "mlops add infrastructure"),
        ("infra document", "mlops add infrastructure"),
        ("connect --repository a/b", "mlops add pipelines"),
    ],
)
def test_a_command_for_a_part_that_was_left_out_says_what_brings_it(
    project: Path,
    mlops: Mlops,
    words: str,
    part: str,
) -> None:
    assert part in mlops(*words.split(), code=2).err


def test_a_check_of_infrastructure_that_was_left_out_says_that_nothing_was_checked(
    project: Path, mlops: Mlops
) -> None:
    assert "nothing was checked; `mlops add infrastructure`" in mlops("infra", "check").out
