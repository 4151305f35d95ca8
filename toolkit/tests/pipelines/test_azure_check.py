"""What a check of the files of Azure ML takes, and what it notes."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.pipelines.azure_check import check_azure_files
from modelyard.pipelines.azure_triggers import cron_mismatch

from tests.pipelines.azure_project import FILES, write_project

ONLINE = "endpoints/online-deployment.yml"


@pytest.fixture
def azureml(tmp_path: Path) -> Path:
    write_project(tmp_path / "azureml")
    return tmp_path / "azureml"


def found(azureml: Path) -> list[str]:
    checked = check_azure_files(azureml.parent, [azureml / name for name in FILES])
    return [
        f"{problem.file.relative_to(azureml).as_posix()}:{problem.line}: {problem.message}"
        for problem in checked.problems
    ]


def test_data_that_a_command_writes_may_be_missing_but_not_misspelt(azureml: Path) -> None:
    data = azureml.parent / "data"
    data.mkdir()
    asset = azureml / "data" / "table.yml"
    asset.write_text("name: table\ntype: uri_file\npath: ../../data/table.parquet\n")
    assert found(azureml) == []
    (data / "tables.parquet").touch()
    assert "did you mean `tables.parquet`?" in found(azureml)[0]


def test_a_fault_that_two_checks_see_is_said_once(azureml: Path) -> None:
    file = azureml / "components" / "c.yml"
    file.write_text(FILES["components/c.yml"].replace("code:", "timeout: 3\ncode:"))
    found = check_azure_files(azureml.parent, [file, azureml / "pipelines" / "p.yml"]).problems
    assert [(one.file.name, one.line) for one in found] == [("c.yml", 5)]


def test_a_file_that_is_named_alone_is_held_against_the_others(azureml: Path) -> None:
    endpoint, deployment = azureml / "endpoints/online-endpoint.yml", azureml / ONLINE
    beside = [azureml / name for name in FILES]
    assert check_azure_files(azureml.parent, [endpoint], beside=beside).problems == ()
    deployment.write_text(FILES[ONLINE].replace("endpoint_name: shop", "endpoint_name: shpo"))
    (azureml / "endpoints/green-deployment.yml").unlink()
    beside.remove(azureml / "endpoints/green-deployment.yml")
    found = check_azure_files(azureml.parent, [endpoint], beside=beside).problems
    assert [one.message for one in found] == ["nothing is deployed to the online endpoint `shop`"]


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("API_KEY", "s3cr3t", True),
        ("URL", "'https://x/?sig=abc'", True),
        ("STORE", "DefaultEndpointsProtocol=https;AccountKey=abc", True),
        ("TOKEN", "ghp_1234", True),
        ("MAX_TOKENS", "'400'", False),
        ("KEY_FILE_SECRET", "/mnt/key", False),
        ("CONNECTION_STRING", "InstrumentationKey=${KEY}", False),
        ("DB_PASSWORD", "keyvaultref:https://vault/secrets/x", False),
    ],
)
def test_a_secret_in_a_variable_is_found_and_nothing_else(
    azureml: Path, name: str, value: str, is_secret: bool
) -> None:
    (azureml / ONLINE).write_text(FILES[ONLINE].replace("ROWS: '9'", f"{name}: {value}"))
    assert any("a secret in a file" in problem for problem in found(azureml)) == is_secret


AUTOML = """type: automl
    task: classification
    primary_metric: accuracy
    target_column_name: y
    training_data: {path: 'azureml:t:1', type: mltable}"""


@pytest.mark.parametrize("step", [AUTOML, "component: azureml:x:1"])
def test_what_only_azure_runs_passes_with_a_note(azureml: Path, step: str) -> None:
    file = azureml / "pipelines" / "p.yml"
    file.write_text(f"type: pipeline\ncompute: azureml:cpu\njobs:\n  a:\n    {step}\n")
    checked = check_azure_files(azureml.parent, [file])
    assert checked.problems == ()
    assert any("p.yml:5: step `a`" in str(note) for note in checked.notes)


@pytest.mark.parametrize("expression", ["* * * * *", "*/5 0-6 * * mon-fri", "0 0 * * 0,6"])
def test_cron_expressions_pass(expression: str) -> None:
    assert cron_mismatch(expression) is None


@pytest.mark.parametrize(
    "text",
    [
        "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps: []\n",
        "on: push\njobs:\n  test:\n    uses: ./.github/workflows/test.yml\n",
        "trigger: none\npool: {vmImage: ubuntu-latest}\nstages:\n  - stage: a\n",
        "trigger:\n  branches: [main]\nvariables:\n  - group: a\nsteps:\n  - script: a\n",
        "jobs:\n  - job: a\n    steps: []\n",
    ],
)
def test_a_pipeline_of_github_or_azure_devops_is_none_of_azure_ml(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "ci.yml"
    file.write_text(text)
    checked = check_azure_files(tmp_path, [file])
    assert (checked.problems, [one.message for one in checked.notes]) == (
        (),
        ["not checked: it is no file of Azure ML's"],
    )


def test_a_serverless_endpoint_has_fields_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "azureml" / "endpoints" / "llama.yml"
    file.parent.mkdir(parents=True)
    file.write_text("name: llama\nmodel_id: azureml://registries/azureml/models/llama\n")
    assert check_azure_files(tmp_path, [file]).problems == ()
    file.write_text("name: llama\nmodel_id: a\nmodel_idd: b\n")
    assert "did you mean `model_id`?" in check_azure_files(tmp_path, [file]).problems[0].message


@pytest.mark.parametrize("more", ["", "compute: azureml:aks\n"])  # Kubernetes, by its `compute`
def test_outside_of_the_project_another_file_may_deploy_to_an_endpoint(
    tmp_path: Path, more: str
) -> None:
    file = tmp_path / "others" / "online-endpoint.yml"
    file.parent.mkdir()
    file.write_text(FILES["endpoints/online-endpoint.yml"] + more)
    checked = check_azure_files(tmp_path, [file])
    assert checked.problems == ()
    assert "nothing is deployed to" in checked.notes[0].message
