"""Findings as code scanning reads them, retirements by their date, and those of azure-ai-ml beside ours."""

from __future__ import annotations

import json
from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest
from modelyard.cli.check import check, check_files
from modelyard.errors import UsageError
from modelyard.pipelines import azure_sdk
from modelyard.pipelines.azure_check import check_azure_files
from modelyard.pipelines.azure_sdk_worker import explained, keys_of, loader
from modelyard.pipelines.documents import PipelineError
from modelyard.retirements import retirements

from tests.pipelines.azure_project import FILES, write_project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf").mkdir()
    text = "title: T\nname: t\npackage: p\nowner: a@example.com\nmodel: t\n"
    (tmp_path / "conf" / "project.yml").write_text(text)
    write_project(tmp_path / "azureml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plant(root: Path, name: str, old: str, new: str) -> Path:
    file = root / "azureml" / name
    assert old in FILES[name]
    file.write_text(FILES[name].replace(old, new, 1))
    return file


# What GitHub's code scanning asks for: https://docs.github.com/code-security/reference/code-scanning/sarif-support-for-code-scanning
def test_findings_are_written_as_code_scanning_asks_for_them(root: Path) -> None:
    plant(root, "data/table.yml", "uri_file", "uri_fiel")
    plant(root, "compute/cpu-cluster.yml", "Standard_D4as_v4", "Standard_DS3_v2")
    with pytest.raises(PipelineError, match=r"table\.yml:2"):
        check(sarif=root / "found.sarif")
    log = json.loads((root / "found.sarif").read_text())
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    driver, results = log["runs"][0]["tool"]["driver"], log["runs"][0]["results"]
    rules = [rule["id"] for rule in driver["rules"]]
    assert all(
        rule["shortDescription"]["text"] and rule["help"]["text"] for rule in driver["rules"]
    )
    assert all(result["ruleId"] == rules[result["ruleIndex"]] for result in results)
    places = [
        (place["artifactLocation"]["uri"], place["region"]["startLine"], result["level"])
        for result in results
        for place in [result["locations"][0]["physicalLocation"]]
    ]
    assert places == [
        ("azureml/data/table.yml", 2, "error"),
        ("azureml/compute/cpu-cluster.yml", 4, "warning"),
    ]
    assert "uri_fiel" in results[0]["message"]["text"]


def test_no_finding_makes_an_empty_log(root: Path) -> None:
    check(sarif=root / "found.sarif")
    assert json.loads((root / "found.sarif").read_text())["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("today", "level"), [(date(2028, 4, 30), "warnings"), (date(2028, 5, 1), "problems")]
)
def test_what_is_retired_is_wrong_from_its_date_on_and_a_warning_before(
    root: Path, today: date, level: str
) -> None:
    file = plant(root, "compute/cpu-cluster.yml", "Standard_D4as_v4", "Standard_DS3_v2")
    checked = check_azure_files(root, [file], today)
    (found,) = getattr(checked, level)
    assert (found.line, "2028-05-01" in found.message) == (4, True)
    assert len(checked.problems) + len(checked.warnings) == 1


def test_every_retirement_has_a_date_a_source_and_something_instead() -> None:
    rows = retirements()
    assert all(row.instead and row.source.startswith("https://") for row in rows)
    assert len({row.what for row in rows}) == len(rows) > 20


@pytest.mark.parametrize(
    "name",
    [
        "Standard_D4as_v4",
        "Standard_E4s_v3",
        "Standard_NC4as_T4_v3",
        "Standard_ND40rs_v2",
        "Standard_NC24ads_A100_v4",
        "Standard_B2s_v2",
        "Standard_L8s_v3",
        "Standard_NV36ads_A10_v5",
        "Standard_D2s_v3",
        "Standard_D4as_v7",
        "Standard_DC4as_cc_v5",
        "Standard_M96bds_2_v3",
        "Standard_NV8ads_V710_v5",
    ],
)
def test_sizes_that_stay_are_not_called_retired(root: Path, name: str) -> None:
    file = plant(root, "compute/cpu-cluster.yml", "Standard_D4as_v4", name)
    checked = check_azure_files(root, [file])
    assert (checked.problems, checked.warnings) == ((), ())


def test_a_docker_file_and_a_conda_file_are_read_for_what_is_retired(root: Path) -> None:
    folder = root / "azureml" / "environments"
    (folder / "serve.dockerfile").write_text(
        "# old\nFROM mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04\n"
    )
    (folder / "conda.yml").write_text(
        "dependencies:\n  - python=3.7\n  - pip:\n      - azureml-sdk[automl]==1.5\n"
    )
    found = check_azure_files(root, [folder / "serve.yml", folder / "train.yml"], date(2026, 11, 1))
    places = {(one.file.name, one.line) for one in found.problems}
    assert places == {("serve.dockerfile", 2), ("conda.yml", 2), ("conda.yml", 4)}


def fake_cloud(root: Path, answer: list[list[object]]) -> None:
    """A cloud environment whose Python answers as the worker would."""
    python = root / azure_sdk.FOLDER / "bin" / "python"
    python.parent.mkdir(parents=True)
    (root / "answer.json").write_text(json.dumps(answer))
    python.write_text(f"#!/bin/sh\ncat > {root}/asked.json\ncat {root}/answer.json\n")
    python.chmod(0o755)


def test_findings_of_azure_ai_ml_are_added_with_their_lines_and_none_twice(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    file = plant(root, "data/table.yml", "uri_file", "uri_fiel")
    fake_cloud(
        root,
        [
            [str(file), ["type"], "not in set"],
            [str(file), ["path"], "is in use"],
            [str(file), [], "odd"],
        ],
    )
    found = check_files(root, [file], azure=True).problems
    assert [one.line for one in found] == [1, 2, 3]
    assert "azure-ai-ml: path: is in use" in found[2].message
    assert "azure-ai-ml" not in found[1].message
    assert json.loads((root / "asked.json").read_text()) == [[str(file), "data"]]


def test_without_the_cloud_environment_it_is_said_how_to_make_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"requirements/cloud\.txt") as error:
        check(azure=True)
    assert error.value.exit_code == 2


def test_the_cause_of_an_error_is_told_with_the_keys_to_it() -> None:
    invalid = ValueError("behind")
    alternatives = [{"type": ["no"], "x": ["no"]}, {"limits": {"timeout": ["Not a number."]}}]
    invalid.messages = {"jobs": {"a": {"value": alternatives}}}  # type: ignore[attr-defined]
    error = NotImplementedError()
    error.__cause__ = invalid
    assert explained(error) == [(["jobs", "a", "limits", "timeout"], "Not a number.")]
    assert explained(OSError("no   such\nfile")) == [([], "no such file")]
    assert keys_of("jobs.a.inputs.0") == ["jobs", "a", "inputs", 0]


def test_the_fields_are_those_of_the_azure_ai_ml_that_is_pinned() -> None:
    """`toolkit/azure_schemas.py` writes them anew."""
    content = json.loads(files("modelyard.pipelines").joinpath("azure_schemas.json").read_text())
    pinned = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert content["made from"].replace(" ", "==") in pinned


def test_every_kind_has_the_function_of_azure_ai_ml_that_loads_it() -> None:
    assert loader("pipeline batch deployment") == "load_pipeline_component_batch_deployment"
    assert loader("monitor") == "load_schedule"
    assert loader("sweep job") == loader("automl regression") == "load_job"
    assert loader("amlcompute") == "load_compute"
