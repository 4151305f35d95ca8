"""Each planted mistake in a file of Azure ML is found with its file, its line and what would pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.pipelines.azure_check import check_azure_files, cron_mismatch

FILES = {
    "environments/train.yml": "name: train\nimage: mcr/x:1\nconda_file: conda.yml\n",
    "environments/serve.yml": "name: serve\nbuild:\n  path: .\n  dockerfile_path: serve.dockerfile\n",
    "data/table.yml": "name: table\ntype: uri_file\npath: ../code/score.py\n",
    "models/m.yml": "name: m\ntype: custom_model\npath: ../code\n",
    "components/c.yml": (
        "type: command\nname: c\ninputs:\n  n: {type: integer, default: 1}\n"
        "code: ../code\nenvironment: azureml:train@latest\ncommand: echo ${{inputs.n}}\n"
    ),
    "components/batches.yml": (
        "type: parallel\nname: batches\ninputs:\n  rows: {type: uri_folder}\n"
        "mini_batch_size: 10kb\ninput_data: ${{inputs.rows}}\ntask:\n  type: run_function\n"
        "  code: ../code\n  entry_script: score.py\n  environment: azureml:train@latest\n"
    ),
    "components/spark.yml": (
        "type: spark\nname: clean\ncode: ../code\nentry:\n  file: score.py\nconf:\n"
        "  spark.driver.cores: 1\n  spark.driver.memory: 2g\n"
        "  spark.executor.cores: 1\n  spark.executor.memory: 2g\n"
    ),
    "components/both.yml": (
        "type: pipeline\nname: both\ninputs:\n  n: {type: integer}\nsettings:\n  force_rerun: true\njobs:\n"
        "  first:\n    component: c.yml\n    inputs: {n: '${{parent.inputs.n}}'}\n"
    ),
    "pipelines/p.yml": (
        "type: pipeline\nsettings:\n  default_compute: azureml:cpu\njobs:\n"
        "  a: {component: ../components/c.yml}\n"
        "  b:\n    command: echo\n    environment: azureml:train@latest\n"
    ),
    "endpoints/online-endpoint.yml": "name: shop\nauth_mode: aad_token\ntraffic:\n  blue: 100\n",
    "endpoints/online-deployment.yml": (
        "name: blue\nendpoint_name: shop\nmodel: azureml:m@latest\ncode_configuration:\n"
        "  code: ../code\n  scoring_script: score.py\nenvironment: azureml:serve@latest\n"
        "instance_type: Standard_E2s_v3\ninstance_count: 1\nenvironment_variables:\n  ROWS: '9'\n"
        "scale_settings:\n  type: default\ndata_collector:\n  sampling_rate: 1.0\n"
        "  rolling_rate: hour\n  collections:\n    model_inputs: {enabled: 'true'}\n"
    ),
    "endpoints/batch-endpoint.yml": (
        "name: shop-b\nauth_mode: aad_token\ndefaults:\n  deployment_name: nightly\n"
    ),
    "endpoints/batch-deployment.yml": (
        "type: model\nname: nightly\nendpoint_name: shop-b\nmodel: azureml:m:1\n"
        "code_configuration:\n  code: ../code\n  scoring_script: score.py\n"
        "environment: azureml:serve@latest\ncompute: azureml:cpu\nresources:\n  instance_count: 1\n"
        "settings:\n  mini_batch_size: 1\n  output_action: summary_only\n"
        "  retry_settings: {max_retries: 3, timeout: 60}\n"
    ),
    "schedules/nightly.yml": (
        "name: nightly\ntrigger:\n  type: cron\n  expression: 15 3 * * 1-5\n"
        "create_job: ../pipelines/p.yml\n"
    ),
    "schedules/weekly.yml": (
        "name: weekly\ntrigger:\n  type: recurrence\n  frequency: week\n  interval: 1\n"
        "  schedule:\n    hours: [3]\n    minutes: 15\n    week_days: [monday]\n"
        "create_job:\n  job: ../pipelines/p.yml\n"
    ),
}
OTHERS = ["environments/conda.yml", "environments/serve.dockerfile", "code/score.py"]


@pytest.fixture
def azureml(tmp_path: Path) -> Path:
    folder = tmp_path / "azureml"
    for name in [*FILES, *OTHERS]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(FILES.get(name, ""), encoding="utf-8")
    return folder


def found(azureml: Path) -> list[str]:
    checked = check_azure_files(azureml.parent, [azureml / name for name in FILES])
    return [
        f"{problem.file.relative_to(azureml).as_posix()}:{problem.line}: {problem.message}"
        for problem in checked.problems
    ]


def test_sound_files_are_fine(azureml: Path) -> None:
    assert found(azureml) == []


ONLINE, BATCH = "endpoints/online-deployment.yml", "endpoints/batch-deployment.yml"
MISTAKES = [
    ("environments/train.yml", "image:", "imgae:", 2, "did you mean `image`?"),
    ("environments/train.yml", "conda.yml", "conad.yml", 3, "did you mean `conda.yml`?"),
    ("environments/train.yml", "name: train", "nmae: train", 1, "`name` is missing"),
    ("environments/train.yml", "image: mcr/x:1\n", "", 2, "on top of an `image`"),
    ("environments/serve.yml", "serve.dockerfile", "srve.dockerfile", 4, "did you mean"),
    ("environments/serve.yml", "path: .", "path: gone", 3, "gone does not exist"),
    ("environments/serve.yml", "build:", "image: x\nbuild:", 3, "either `image` or `build`"),
    ("data/table.yml", "uri_file", "uri_fiel", 2, "expected one of uri_file"),
    ("data/table.yml", "score.py", "scroe.py", 3, "did you mean `score.py`?"),
    ("data/table.yml", "name: table", "name: ta/ble", 1, "letters, digits"),
    ("models/m.yml", "custom_model", "pickle", 2, "expected one of custom_model"),
    ("models/m.yml", "../code", "../cod", 3, "does not exist"),
    ("components/c.yml", "name: c", "name: C-1", 2, "lower-case letters"),
    ("components/c.yml", "inputs.n}", "inputs.m}", 7, "not declared"),
    ("components/c.yml", "code: ../code", "code: ../cod", 5, "code folder ../cod does not exist"),
    ("components/c.yml", "train@latest", "a:b:1", 6, "azureml:NAME:VERSION"),
    ("components/c.yml", "train@latest", "trian@latest", 6, "did you mean `train`?"),
    ("components/c.yml", "environment: azureml:train@latest\n", "", 1, "no `environment`"),
    ("components/c.yml", "default: 1", "default: many", 4, "type integer, found 'many'"),
    ("components/c.yml", "type: integer", "type: int", 4, "needs a type, one of"),
    ("components/c.yml", "code:", "timeout: 3\ncode:", 5, "no field `timeout`"),
    ("components/batches.yml", "10kb", "lots", 5, "a size such as 10kb"),
    ("components/batches.yml", "  entry_script: score.py\n", "", 8, "`entry_script` is missing"),
    ("components/batches.yml", "entry_script: score", "entry_script: sc", 10, "did you mean"),
    ("components/batches.yml", "inputs.rows}", "inputs.row}", 6, "did you mean `rows`?"),
    ("components/spark.yml", "entry:\n  file: score.py\n", "", 1, "`entry` is missing"),
    ("components/spark.yml", "  spark.driver.cores: 1\n", "", 6, "`spark.driver.cores` is missing"),
    ("components/both.yml", "inputs.n}", "inputs.m}", 10, "no input `m`"),
    ("components/both.yml", "type: integer", "type: int", 4, "needs a type, one of"),
    ("components/both.yml", "force_rerun", "force_return", 6, "did you mean `force_rerun`?"),
    ("pipelines/p.yml", "settings:\n  default_compute: azureml:cpu\n", "", 3, "no `compute`"),
    ("pipelines/p.yml", "default_compute", "default_computer", 3, "no field `default_computer`"),
    ("pipelines/p.yml", "c.yml}", "d.yml}", 5, "does not exist"),
    ("pipelines/p.yml", "    environment: azureml:train@latest\n", "", 7, "no `environment`"),
    ("endpoints/online-endpoint.yml", "aad_token", "pw", 2, "expected one of key"),
    ("endpoints/online-endpoint.yml", "100", "150", 4, "expected at most 100"),
    ("endpoints/online-endpoint.yml", "100", "50", 3, "add up to 50"),
    ("endpoints/online-endpoint.yml", "blue", "bleu", 4, "did you mean `blue`?"),
    ("endpoints/online-endpoint.yml", "shop", "shop!", 1, "letters, digits and `-`"),
    ("endpoints/online-endpoint.yml", "shop", "s" * 33, 1, "at most 32 characters, found 33"),
    ("endpoints/online-endpoint.yml", "shop", "other", 1, "nothing is deployed to"),
    ("endpoints/online-endpoint.yml", "auth_mode", "auth", 2, "there is no such field"),
    (ONLINE, "instance_count: 1", "instance_count: two", 9, "expected a whole number, found 'two'"),
    (ONLINE, "instance_type: Standard_E2s_v3\n", "", 1, "`instance_type` is missing"),
    (ONLINE, "endpoint_name: shop\n", "", 1, "`endpoint_name` is missing"),
    (ONLINE, "endpoint_name: shop", "endpoint_name: shpo", 2, "did you mean `shop`?"),
    (ONLINE, "type: default", "type: foo", 13, "expected one of default, target_utilization"),
    (ONLINE, "sampling_rate: 1.0", "sampling_rate: 7", 15, "expected at most 1, found 7"),
    (ONLINE, "rolling_rate: hour", "rolling_rate: century", 16, "expected one of minute"),
    (ONLINE, "{enabled: 'true'}", "{enable: 'true'}", 18, "did you mean `enabled`?"),
    (ONLINE, "scoring_script: score", "scoring_script: scroe", 6, "did you mean `score.py`?"),
    (ONLINE, "code: ../code", "code: ../cod", 5, "../cod does not exist"),
    (ONLINE, "ROWS: '9'", "API_KEY: s3cr3t", 11, "a secret in a file"),
    (
        ONLINE,
        "model: azureml:m@latest\ncode_configuration:\n  code: ../code\n  scoring_script: score.py\n",
        "model:\n  type: custom_model\n  path: ../code\n",
        4,
        "a custom_model needs `code_configuration`",
    ),
    (ONLINE, "model: azureml:m@latest", "model: azureml:m", 3, "azureml:NAME:VERSION"),
    (ONLINE, "environment_variables:", "environment_variable:", 10, "did you mean"),
    (ONLINE, "serve@latest", "srve@latest", 7, "did you mean `serve`?"),
    ("endpoints/batch-endpoint.yml", "auth_mode", "auth_mod", 2, "did you mean `auth_mode`?"),
    ("endpoints/batch-endpoint.yml", "nightly", "nihgtly", 4, "did you mean `nightly`?"),
    (BATCH, "summary_only", "foo", 14, "expected one of append_row, summary_only"),
    (BATCH, "mini_batch_size: 1", "mini_batch_size: 0", 13, "expected at least 1"),
    (BATCH, "max_retries: 3", "max_retry: 3", 15, "did you mean `max_retries`?"),
    (BATCH, "compute: azureml:cpu\n", "", 1, "`compute` is missing"),
    (BATCH, "instance_count: 1", "instance_count: many", 11, "expected a whole number"),
    ("schedules/nightly.yml", "15 3 * * 1-5", "every day", 4, "expected five fields"),
    ("schedules/nightly.yml", "15 3 * * 1-5", "75 3 * * 1", 4, "expected 0 to 59"),
    ("schedules/nightly.yml", "type: cron", "type: corn", 3, "expected one of cron, recurrence"),
    ("schedules/nightly.yml", "p.yml", "pp.yml", 5, "did you mean `p.yml`?"),
    ("schedules/nightly.yml", "create_job: ../pipelines/p.yml\n", "", 1, "`create_job` is missing"),
    (
        "schedules/weekly.yml",
        "frequency: week",
        "frequency: fortnight",
        4,
        "expected one of minute",
    ),
    ("schedules/weekly.yml", "hours: [3]", "hours: [25]", 7, "expected at most 23, found 25"),
    ("schedules/weekly.yml", "[monday]", "[mon]", 9, "expected one of monday"),
    ("schedules/weekly.yml", "interval: 1", "intervall: 1", 5, "did you mean `interval`?"),
    ("schedules/weekly.yml", "  job: ../", "  jop: ../", 10, "`job` is missing"),
    (
        "schedules/weekly.yml",
        "name: weekly",
        "name: nightly",
        1,
        "is described in nightly.yml as well",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "line", "message"), MISTAKES)
def test_a_planted_mistake_is_found(
    azureml: Path, file: str, old: str, new: str, line: int, message: str
) -> None:
    text = FILES[file]
    assert old in text
    (azureml / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    problems = found(azureml)
    assert any(p.startswith(f"{file}:{line}: ") and message in p for p in problems), problems


def test_all_mistakes_of_all_files_are_found_at_once(azureml: Path) -> None:
    first: dict[str, tuple[str, str, int]] = {}
    for file, old, new, line, _ in MISTAKES:
        first.setdefault(file, (old, new, line))
    for file, (old, new, _) in first.items():
        (azureml / file).write_text(FILES[file].replace(old, new, 1), encoding="utf-8")
    places = {":".join(problem.split(":")[:2]) for problem in found(azureml)}
    assert {f"{file}:{line}" for file, (_, _, line) in first.items()} <= places


def test_data_that_a_command_writes_may_be_missing_but_not_misspelt(azureml: Path) -> None:
    data = azureml.parent / "data"
    data.mkdir()
    asset = azureml / "data" / "table.yml"
    asset.write_text("name: table\ntype: uri_file\npath: ../../data/table.parquet\n")
    assert found(azureml) == []
    (data / "tables.parquet").touch()
    assert "did you mean `tables.parquet`?" in found(azureml)[0]


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("API_KEY", "s3cr3t", True),
        ("URL", "'https://x/?sig=abc'", True),
        ("STORE", "DefaultEndpointsProtocol=https;AccountKey=abc", True),
        ("TOKEN", "ghp_1234", True),
        ("MAX_TOKENS", "'400'", False),
        ("KEY_FILE_SECRET", "/mnt/key", False),
        ("DB_PASSWORD", "keyvaultref:https://vault/secrets/x", False),
    ],
)
def test_a_secret_in_a_variable_is_found_and_nothing_else(
    azureml: Path, name: str, value: str, is_secret: bool
) -> None:
    (azureml / ONLINE).write_text(FILES[ONLINE].replace("ROWS: '9'", f"{name}: {value}"))
    assert any("a secret in a file" in problem for problem in found(azureml)) == is_secret


@pytest.mark.parametrize("step", ["type: parallel", "type: spark", "component: azureml:x:1"])
def test_what_only_azure_runs_passes_with_a_note(azureml: Path, step: str) -> None:
    file = azureml / "pipelines" / "p.yml"
    file.write_text(f"type: pipeline\ncompute: azureml:cpu\njobs:\n  a:\n    {step}\n")
    checked = check_azure_files(azureml.parent, [file])
    assert checked.problems == ()
    assert any("p.yml:5: step `a`" in str(note) for note in checked.notes)


@pytest.mark.parametrize("expression", ["* * * * *", "*/5 0-6 1,15 jan-mar mon", "0 0 * * 7"])
def test_cron_expressions_pass(expression: str) -> None:
    assert cron_mismatch(expression) is None
