"""Each planted mistake in a file of Azure ML is found with its file, its line and what would pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.cli.check import check_files

from tests.pipelines.azure_project import FILES, write_project
from tests.pipelines.azure_variants import VARIANTS


@pytest.fixture(scope="module")
def azureml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "azureml"
    write_project(folder, FILES | VARIANTS)
    return folder


@contextmanager
def planted(azureml: Path, texts: Mapping[str, str]) -> Iterator[None]:
    for name, text in texts.items():
        (azureml / name).write_text(text, encoding="utf-8")
    yield
    write_project(azureml, {name: (FILES | VARIANTS)[name] for name in texts})


def found(azureml: Path, *names: str) -> list[str]:
    everything = [azureml / name for name in FILES | VARIANTS]
    named = [azureml / name for name in names] or everything
    checked = check_files(azureml.parent, named, beside=everything)
    return [
        f"{problem.file.relative_to(azureml).as_posix()}:{problem.line}: {problem.message}"
        for problem in (*checked.problems, *checked.warnings)
    ]


def test_sound_files_of_all_kinds_and_fields_are_fine(azureml: Path) -> None:
    assert found(azureml) == []


ALL, TRAIN, SWEEP, CLEAN = "pipelines/all.yml", "jobs/train.yml", "jobs/sweep.yml", "jobs/clean.yml"
ONLINE, GREEN = "endpoints/online-deployment.yml", "endpoints/green-deployment.yml"
CLUSTER, NIGHTLY = "compute/cpu-cluster.yml", "schedules/nightly.yml"
BATCH, MONITOR = "endpoints/batch-deployment.yml", "monitoring/monitor.yml"
MON, FSET, CI = "monitoring/v26.yml", "featurestores/v27.yml", "compute/v32.yml"
WS, AML, IMG = "workspaces/v34.yml", "jobs/v35.yml", "jobs/v36.yml"
KUBE = "endpoints/v7-deployment.yml"
# fmt: off
MISTAKES = [
    ("environments/train.yml", "image:", "imgae:", 2, "did you mean `image`?"),
    ("environments/train.yml", "conda.yml", "conad.yml", 3, "did you mean `conda.yml`?"),
    ("environments/train.yml", "name: train\n", "", 1, "`name` is missing"),
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
    ("components/c.yml", "default: 1", "default: many", 4, "type integer, found 'many'"),
    ("components/c.yml", "type: integer", "type: int", 4, "needs a type, one of"),
    ("components/c.yml", "code:", "timeout: 3\ncode:", 5, "timeout: there is no such field"),
    ("components/batches.yml", "'10'", "lots", 5, "a size such as 10kb"),
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
    ("endpoints/online-endpoint.yml", "aad_token", "pw", 2, "expected one of aml_token, key, aad_token"),
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
    (ONLINE, "sampling_rate: 1.0", "sampling_rate: 7", 15, "expected at most 1, found 7"),
    (ONLINE, "scoring_script: score", "scoring_script: scroe", 6, "did you mean `score.py`?"),
    (ONLINE, "ROWS: '9'", "API_KEY: s3cr3t", 11, "a secret in a file"),
    (
        ONLINE,
        "model: azureml:m@latest\ncode_configuration:\n  code: ../code\n  scoring_script: score.py\n",
        "model:\n  type: custom_model\n  path: ../code\n",
        4,
        "a custom_model needs `code_configuration`",
    ),
    (ONLINE, "model: azureml:m@latest", "model: azureml:m:1:2", 3, "azureml:NAME:VERSION"),
    (ONLINE, "serve@latest", "srve@latest", 7, "did you mean `serve`?"),
    ("endpoints/batch-endpoint.yml", "auth_mode", "auth_mod", 2, "did you mean `auth_mode`?"),
    ("endpoints/batch-endpoint.yml", "nightly", "nihgtly", 4, "did you mean `nightly`?"),
    (BATCH, "summary_only", "foo", 14, "expected one of append_row, summary_only"),
    (BATCH, "mini_batch_size: 1", "mini_batch_size: 0", 13, "expected at least 1"),
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
    ("schedules/weekly.yml", "  job: ../", "  jop: ../", 10, "`job` is missing"),
    (
        "schedules/weekly.yml",
        "name: weekly",
        "name: nightly",
        1,
        "is described in nightly.yml as well",
    ),
    # jobs and pipelines
    (ALL, "settings:\n  default_compute: azureml:cpu-cluster\n", "settings:\n", 26, "step `search` has no `compute`"),
    (ALL, "experiment_name: all", "experiment: all", 3, "did you mean `experiment_name`?"),
    (ALL, "fit.yml\n    compute", "fti.yml\n    compute", 16, "did you mean `fit.yml`?"),
    (ALL, "inputs:\n      rows: ${{parent.inputs.rows}}\n      rate", "inputs:\n      rwos: ${{parent.inputs.rows}}\n      rate", 19, "no input `rwos`"),
    (ALL, "rate: ${{parent.inputs.rate}}", "rate: ${{parent.inputs.rat}}", 20, "no input `rat`; did you mean `rate`?"),
    (ALL, "${{parent.outputs.model}}", "${{parent.outputs.modle}}", 22, "no output `modle`"),
    (ALL, "rate: ${{parent.inputs.rate}}", "rate: 7", 20, "expects at most 1"),
    (ALL, "rate: ${{parent.inputs.rate}}", "rate: much", 20, "type number, found 'much'"),
    (ALL, "rate: ${{parent.inputs.rate}}", "how: slow", 20, "expects one of fast, exact"),
    (ALL, "jobs.fit.outputs.model", "jobs.fti.outputs.model", 63, "no step `fti`; did you mean `fit`?"),
    (ALL, "jobs.fit.outputs.model", "jobs.fit.outputs.modl", 63, "no output `modl`; did you mean `model`?"),
    (ALL, "limits: {timeout: 600}", "limits: {timeout: soon}", 25, "timeout"),
    (ALL, "limits: {timeout: 600}", "limit: {timeout: 600}", 25, "did you mean `limits`?"),
    (ALL, "instance_count: 1}", "instance_count: one}", 23, "expected a whole number, found 'one'"),
    (ALL, "sampling_algorithm: random", "sampling_algorithm: magic", 31, "sampling_algorithm"),
    (ALL, "goal: minimize", "goal: smaller", 34, "goal"),
    (ALL, "      rate: {type: uniform", "      rtae: {type: uniform", 33, "`rtae`"),
    (ALL, "evaluation_interval: 1", "evaluation_interval: -1", 36, "evaluation_interval"),
    (ALL, "min_value: 0.1", "min_value: 0.95", 33, "max_value"),
    (ALL, "max_concurrent_trials: 2", "max_concurrent_trials: 20", 35, "20 is above max_total_trials, 8"),
    (ALL, 'standard_e4s_v3, runtime_version: "3.5"', 'standard_e4s_v3, runtime_version: "2.1"', 42, "runtime_version: expected one of 3.5"),
    (ALL, "{instance_type: standard_e4s_v3", "{instance_type: foo", 42, "expected one of standard_e4s_v3"),
    (ALL, "spark.executor.cores: 2", "spark.executor.cores: two", 51, "expected a whole number above 0; found 'two'"),
    (ALL, "      spark.dynamicAllocation.minExecutors: 1\n", "", 48, "minExecutors` is missing"),
    (ALL, "minExecutors: 1", "minExecutors: 9", 54, "9 is above"),
    (ALL, "{file: score.py}", "{file: scroe.py}", 47, "did you mean `score.py`?"),
    (ALL, '    mini_batch_size: "2"', "    mini_batch_size: lots", 59, "a size such as 10kb"),
    (ALL, "input_data: ${{inputs.rows}}", "input_data: ${{inputs.row}}", 61, "did you mean `rows`?"),
    (ALL, "entry_script: score.py", "entry_script: scor.py", 69, "did you mean `score.py`?"),
    (ALL, "default_datastore: azureml:lake", "default_datastore: lake", 6, "expected azureml:NAME"),
    (ALL, "pipelineJob.schema", "pipelineJbo.schema", 1, "is no schema; did you mean"),
    (TRAIN, "compute: azureml:cpu-cluster", "compute: azureml:cpu-clustr", 9, "did you mean `cpu-cluster`?"),
    (TRAIN, "environment: azureml:train@latest", "environment: train", 8, "azureml:NAME:VERSION"),
    (TRAIN, "environment: azureml:train@latest", "environment: azureml://registries/azureml/models/m/versions/1", 8, "registries/REGISTRY/environments/"),
    (TRAIN, "outputs.model}}", "outputs.modle}}", 7, "did you mean `outputs.model`?"),
    (TRAIN, "../code/score.py, mode", "../code/scroe.py, mode", 11, "did you mean `score.py`?"),
    (TRAIN, "mode: ro_mount", "mode: mounted", 11, "expected one of"),
    (TRAIN, "type: pytorch", "type: torch", 17, "expected one of mpi, pytorch"),
    (TRAIN, "shm_size: 2g", "shm_size: plenty", 16, "a size such as 2g"),
    (TRAIN, "{ROWS: 9}", "{STORE_CONNECTION_STRING: DefaultEndpoints}", 15, "a secret in a file"),
    (SWEEP, "search_space.rate}}", "search_space.raet}}", 5, "did you mean `search_space.rate`?"),
    (SWEEP, " --kind ${{search_space.kind}}", "", 12, "does not use ${{search_space.kind}}"),
    (SWEEP, "inputs.n}}", "inputs.m}}", 5, "${{inputs.m}} is not declared"),
    (SWEEP, "truncation_percentage: 20", "truncation_percentage: 120", 15, "expected at most 99"),
    (CLEAN, '"3.5"', '"9"', 14, "expected one of 3.5"),
    (CLEAN, '"3.5"', '"3.3"', 14, "was retired on 2025-03-31"),
    (CLEAN, "  spark.executor.instances: 2\n", "", 5, "`spark.executor.instances` is missing"),
    (CLEAN, "inputs.rows}}", "inputs.row}}", 13, "did you mean `inputs.rows`?"),
    (CLEAN, "driver.memory: 2g", "driver.memory: two", 7, "a size such as 2g"),
    ("jobs/automl.yml", "task: regression", "task: regresion", 2, "did you mean"),
    ("jobs/automl.yml", "max_trials", "max_trial", 9, "did you mean `max_trials`?"),
    # components
    ("components/fit.yml", "enum: [fast, exact], default: fast", "enum: [fast, exact], default: slow", 11, "expects one of fast, exact"),
    ("components/fit.yml", "min: 0, max: 1", "min: 2, max: 1", 10, "min 2 is above max 1"),
    ("components/fit.yml", "$[[${{inputs.more}}]]", "${{inputs.more}}", 19, "optional: put its argument inside $[[ ]]"),
    ("components/fit.yml", "  conda_file: ../environments/conda.yml", "  conda_file: ../environments/conad.yml", 18, "did you mean `conda.yml`?"),
    ("components/fit.yml", "is_deterministic: true", "is_deterministic: sometimes", 6, "expected true or false"),
    ("components/fit.yml", "type: mpi", "type: mpp", 21, "expected one of"),
    ("components/batches.yml", "--rows ${{inputs.rows}}", "--rows ${{inputs.rosw}}", 12, "did you mean `inputs.rows`?"),
    ("components/batches.yml", "outputs.scored}}", "outputs.score}}", 13, "did you mean `outputs.scored`?"),
    ("components/batches.yml", "logging_level: INFO", "logging_level: CHATTY", 17, "expected one of debug"),
    ("components/batches.yml", "max_retries: 2", "max_retries: -2", 21, "expected at least 0"),
    ("components/batches.yml", "type: run_function", "type: run", 8, "expected one of"),
    ("components/batches.yml", "mini_batch_size: '10'\n", "", 1, "`mini_batch_size` is missing"),
    ("components/spark.yml", "inputs.rows}}", "inputs.rwos}}", 14, "did you mean `inputs.rows`?"),
    ("components/spark.yml", "file: score.py", "file: scroe.py", 5, "did you mean `score.py`?"),
    # environments, data, models
    ("environments/own.yml", "port: 5001}\n  readiness", "port: 99999}\n  readiness", 13, "expected at most 65535"),
    ("environments/own.yml", "ubuntu22.04", "ubuntu20.04", 7, "was retired on 2025-05-31"),
    ("environments/own.yml", "python=3.11", "python=3.8", 11, "was retired on 2024-10-07"),
    ("environments/own.yml", "[mlflow]", "[azureml-core]", 11, "the SDK v1"),
    ("environments/own.yml", "dependencies:", "packages:", 9, "a list of `dependencies`"),
    ("data/table.yml", "uri_file", "uri_folder", 3, "a uri_folder is a folder"),
    ("data/table.yml", "path: ../code/score.py", "paht: ../code/score.py", 3, "did you mean `path`?"),
    ("data/table.yml", "type: uri_file\npath: ../code/score.py", "type: mltable\npath: ../code", 3, "has none"),
    ("models/m.yml", "custom_model", "mlflow_model", 3, "a folder with a file MLmodel"),
    # endpoints and deployments
    ("endpoints/online-endpoint.yml", "  blue: 100\n", "  blue: 100\nmirror_traffic:\n  green: 60\n", 6, "expected at most 50"),
    ("endpoints/online-endpoint.yml", "auth_mode: aad_token", "identity: {type: user_assigned}", 2, "`user_assigned_identities` is missing"),
    ("endpoints/batch-endpoint.yml", "aad_token", "key", 2, "expected one of aad_token"),
    (ONLINE, "type: default", "type: target_utilization", 13, "expected type default"),
    (ONLINE, "environment: azureml:serve@latest\n", "", 4, "a scoring script needs an `environment`"),
    (ONLINE, "name: blue", "name: blue!", 1, "letters, digits"),
    (ONLINE, "Standard_E2s_v3", "Standard_NC6s_v3", 8, "was retired on 2025-09-30"),
    (GREEN, "request_timeout_ms: 5000", "request_timeout_ms: 500000", 9, "expected at most 180000"),
    (GREEN, "azureml:best:1", "azureml:m:1", 4, "a custom_model needs `code_configuration`"),
    (GREEN, "period: 10", "period: 0", 10, "expected at least 1"),
    (BATCH, "scoring_script: score", "scoring_script: scroe", 7, "did you mean `score.py`?"),
    (BATCH, "model: azureml:m:1\n", "", 1, "`model` is missing"),
    ("endpoints/whole-batch-deployment.yml", "both.yml", "bott.yml", 5, "did you mean `both.yml`?"),
    ("endpoints/whole-batch-deployment.yml", "component:", "componet:", 5, "did you mean `component`?"),
    # schedules and monitors
    ("schedules/nightly.yml", "1-5", "5-1", 4, "a range that goes up"),
    ("schedules/from.yml", "W. Europe Standard Time", "Europe/Berlin", 10, "is no time zone"),
    ("schedules/from.yml", '"2027-12-01', '"2025-12-01', 9, "before start_time"),
    ("schedules/from.yml", "inputs: {rate", "inputs: {rat", 15, "no such input; did you mean `rate`?"),
    ("schedules/from.yml", '"2026-12-01T03:00:00"', "tomorrow", 8, "a time such as"),
    (MONITOR, "type: data_drift", "type: data_drfit", 12, "'data_drift', 'data_quality'"),
    (MONITOR, "          jensen_shannon_distance", "          jensen_distance", 28, "jensen_shannon_distance"),
    (MONITOR, '"3.5"', '"9"', 9, "'3.4' or '3.5'"),
    (MONITOR, "P30D", "30 days", 18, "a duration such as P7D"),
    (MONITOR, "azureml:shop:blue", "azureml:shop:bleu", 10, "did you mean `blue`?"),
    (MONITOR, "azureml:shop:blue", "azureml:shpo:blue", 10, "did you mean `shop`?"),
    (MONITOR, "mounted@latest", "mouted@latest", 21, "did you mean `mounted`?"),
    (MONITOR, "  interval: 1", "  interval: 0", 6, "greater than or equal to 1"),
    (MONITOR, "[a@example.com]", "[a.example.com]", 32, "a.example.com"),
    # compute, datastores, registries, workspaces
    ("compute/cpu-cluster.yml", "min_instances: 0", "min_instances: 5", 5, "5 is above max_instances, 4"),
    ("compute/cpu-cluster.yml", "tier: dedicated", "tier: low_priority", 8, "retired on 2026-03-31"),
    ("compute/cpu-cluster.yml", "name: cpu-cluster", "name: 1-cluster", 3, "a letter first"),
    ("datastores/lake.yml", "<from the vault>", "s3cr3t~value", 5, "a secret in a file"),
    ("registries/shared.yml", "location: westeurope\nrep", "location: eastus\nrep", 2, "has to be one of `replication_locations`"),
    ("registries/shared.yml", "standard_lrs", "cheap", 5, "expected one of"),
    ("workspaces/dev.yml", "Disabled", "none", 4, "expected one of"),
    # and what is harder to see
    ("components/batches.yml", "'10'", "10", 5, 'write "10"'),
    (SWEEP, "values: [a, b]", "values: []", 12, "a choice needs `values`"),
    (TRAIN, "train@latest", "train@lastest", 8, "azureml:NAME@latest"),
    (TRAIN, "commandJob.schema.json", "commandJob.schema.jsn", 1, "ends in .schema.json"),
    (ONLINE, "Standard_E2s_v3", "Standard_E2s_v3s", 8, "a size such as"),
    (ALL, "azureml:serverless", "azureml:serverles", 17, "did you mean `serverless`?"),
    (ALL, "      rows: {type: uri_folder, path: ../code, mode: direct}", "      rosw: {type: uri_folder, path: ../code, mode: direct}", 41, "no input `rosw`; did you mean `rows`?"),
    (ALL, "    inputs:\n      rows: {type: uri_folder, path: ../code, mode: direct}\n", "", 37, "is not given"),
    (CLEAN, "spark.driver.cores", "spark.drivers.cores", 6, "did you mean `spark.driver.cores`?"),
    ("datastores/lake.yml", "type:", "tpye:", 1, "add `$schema` or `type`"),
    (ALL, "path: ../code, mode: direct}", "path: ../code, mode: ro_mount}", 41, "expected `mode: direct`, found 'ro_mount'"),
    (ALL, "trial: ../components/fit.yml", "trial: azureml:fti:1", 29, "did you mean `fit`?"),
    (CLEAN, "mode: direct", "mode: download", 12, "expected `mode: direct`"),
    (CLEAN, "resources:", "compute: azureml:pool\nresources:", 14, "either `resources`"),
    ("environments/own.yml", "channels:", "channel:", 10, "did you mean `channels`?"),
    ("data/mounted.yml", "datastores/lake/paths", "datastores/lake", 4, "azureml://datastores/NAME/paths/PATH"),
    ("data/mounted.yml", "datastores/lake/", "datastores/laek/", 4, "did you mean `lake`?"),
    ("data/mounted.yml", "version: '3'", "description: 2026-01-01", 2, 'write "2026-01-01"'),
    (ONLINE, "Standard_E2s_v3", "E2s_v3", 8, "a size such as Standard_D4as_v4"),
    ("endpoints/whole-batch-deployment.yml", "both.yml", "c.yml", 5, "expected a pipeline component"),
    ("schedules/nightly.yml", "pipelines/p.yml", "components/fit.yml", 5, "expected a pipeline"),
    ("schedules/from.yml", '"2026-12-01T03:00:00"', "2026-12-01T03:00:00", 8, "as a date; write"),
    ("registries/shared.yml", "replication_locations", "replication_location", 3, "did you mean"),
    ("components/fit.yml", "name: fit", "name: fit-it", 3, "lower-case letters"),
    (TRAIN, "rate: 0.1", "rate: {type: numbr, value: 1}", 12, "numbr"),
    # sizes and regions that do not exist
    (CLUSTER, "Standard_D4as_v4", "Standard_D5as_v4", 4, "its series has standard_d2as_v4"),
    (CLUSTER, "Standard_D4as_v4", "Standard_D4as_v2", 4, "there is no size Standard_D4as_v2; did you mean"),
    (CLUSTER, "Standard_D4as_v4", "Standard_Q8s_v3", 4, "no size that is known as of"),
    (ONLINE, "Standard_E2s_v3", "Standard_E3s_v3", 8, "there is no size Standard_E3s_v3"),
    (TRAIN, "instance_type: Standard_D4as_v4", "instance_type: Standard_NC24_A100_v4", 16, "did you mean `standard_nc24ads_a100_v4`?"),
    ("registries/shared.yml", "northeurope", "northeurop", 6, "did you mean `northeurope`?"),
    ("workspaces/dev.yml", "westeurope", "West Eurpe", 3, "did you mean `westeurope`?"),
    (CLUSTER, "tier: dedicated", "location: mars", 8, "no region that is known as of"),
    # times, names, types
    ("schedules/from.yml", '"2026-12-01T03:00:00"', '"2026-13-01T03:00:00"', 8, "no such day or time"),
    ("schedules/from.yml", '"2027-12-01T03:00:00"', '"2027-02-30T03:00:00"', 9, "no such day or time"),
    ("schedules/nightly.yml", "15 3 * * 1-5", "15 3 1 * *", 4, "a trigger of type recurrence has `month_days`"),
    (TRAIN, "display_name: train", "name: train/1", 3, "letters, digits"),
    ("components/fit.yml", "version: 1", "version: v 1", 4, "letters, digits"),
    (TRAIN, "type: uri_file, path", "type: uri_folder, path", 11, "a uri_folder is a folder"),
    (ALL, "path: ../code, mode: direct", "path: ../code/score.py, mode: direct", 41, "a uri_folder is a folder"),
    ("jobs/automl.yml", "timeout_minutes: 60", "timeout_minutes: 0", 9, "expected at least 1"),
    # scripts, samplings, packages
    (TRAIN, "python score.py", "python scroe.py", 7, "did you mean `score.py`?"),
    (SWEEP, "python score.py", "python -u scroe.py", 5, "did you mean `score.py`?"),
    ("components/fit.yml", "python score.py", "python3 scroe.py", 19, "did you mean `score.py`?"),
    (SWEEP, "{type: loguniform, min_value: -6, max_value: -1}", "{type: normal, mu: 0, sigma: 0}", 11, "expected more than 0"),
    (SWEEP, "{type: random, seed: 1}", "grid", 11, "sampling_algorithm grid has choice; found loguniform"),
    (ALL, "sampling_algorithm: random", "sampling_algorithm: grid", 33, "sampling_algorithm grid has choice; found uniform"),
    ("environments/own.yml", "{pip: [mlflow]}", "{pip: mlflow}", 11, "pip: expected a list"),
    ("environments/own.yml", "{pip: [mlflow]}", "{pip: [numpy, 'mlflow=2.1']}", 11, "expected `mlflow==2.1`"),
    ("components/batches.yml", "append_row_to: ${{outputs.scored}}", "append_row_to: scored", 13, "expected ${{outputs.NAME}}"),
    ("components/spark.yml", "mode: direct", "mode: ro_mount", 13, "expected `mode: direct`"),
    # references
    (TRAIN, "train@latest", "train:latest", 8, "write azureml:train@latest"),
    (TRAIN, "train@latest", "train", 8, "azureml:NAME:VERSION"),
    (ONLINE, "azureml:m@latest", "azureml:m", 3, "azureml:NAME:VERSION"),
    (TRAIN, "path: ../code/score.py, mode", "path: azureml:table, mode", 11, "expected azureml:NAME:VERSION"),
    ("data/mounted.yml", "azureml://datastores", "azureml:datastores", 4, "expected azureml:NAME:VERSION"),
    ("components/both.yml", "component: c.yml", "component: azureml:c", 9, "azureml:NAME:VERSION"),
    (TRAIN, "${{outputs.model}}", "${{outputs.model", 7, "a placeholder is not closed"),
    (TRAIN, "train@latest", "train@v1", 8, "azureml:NAME@latest"),
    (TRAIN, "azureml:train@latest", "azureml://train:1", 8, "azureml:NAME:VERSION"),
    (TRAIN, "azureml:cpu-cluster", "azureml:cpu-cluster:1", 9, "without a version"),
    (TRAIN, "${{inputs.rate}}", "{{inputs.rate}}", 7, "expected ${{inputs.rate}}, found {{inputs.rate}}"),
    (TRAIN, "${{inputs.rate}}", "${inputs.rate}", 7, "expected ${{inputs.rate}}, found ${inputs.rate}"),
    (TRAIN, "path: ../code/score.py", "path: s3://bucket/x.csv", 11, "an address of azureml, https, wasbs, abfss or adl"),
    (TRAIN, "path: ../code/score.py", "path: azureml://datastores/lake/paths/rows/", 11, "a uri_file is a file"),
    ("components/c.yml", "azureml:train@latest", "azureml://registries/azureml/environments/x/1", 6, "NAME/versions/VERSION"),
    ("components/c.yml", "azureml:train@latest", "file:../environments/conda.yml", 6, "neither `image` nor `build`"),
    (NIGHTLY, "create_job: ../pipelines/p.yml", "create_job: azureml:p@latest", 5, "a job has no version"),
    ("models/best.yml", "azureml://jobs/j/outputs/artifacts/paths/model/", "runs://j/model", 3, "an address of azureml, https"),
    ("data/table.yml", "path: ../code/score.py", "path: abfss://account.dfs.core.windows.net/x.csv", 3, "abfss://CONTAINER@ACCOUNT"),
    ("data/table.yml", "path: ../code/score.py", "path: [../code/score.py]", 3, "expected a file or folder"),
    # of another type, or half of it
    (ALL, "    outputs:\n      model: ${{parent.outputs.model}}\n", "", 12, "no step is bound to it"),
    (TRAIN, "rate: 0.1", "rate:", 12, "it is empty"),
    (TRAIN, "command: python", "commands: python", 7, "did you mean `command`?"),
    (TRAIN, "type: command", "type: commandJob", 2, "expected one of command, parallel"),
    (TRAIN, "$schema: http", "$schema: []\ndescription: http", 1, "$schema: expected text, found list"),
    (TRAIN, "commandJob.schema", "sweepJob.schema", 1, "$schema is that of a sweep job"),
    (ALL, "  fit:\n    type", "  Fit:\n    type", 14, "expected lower-case letters"),
    (ALL, "component: ../components/fit.yml", "component: ../components/both.yml", 16, "needs a command component"),
    (ALL, "component: ../components/fit.yml", "component: ../environments/train.yml", 16, "is no component"),
    ("pipelines/v4.yml", "../components/both.yml", "../components/c.yml", 17, "needs a pipeline component"),
    ("pipelines/p.yml", "    command: echo\n", "    command: echo\n    resources: {instance_count: '${{parent.inputs.n}}'}\n", 8, "has bindings in `inputs` and `outputs` only"),
    ("components/batches.yml", "rows: {type: uri_folder}", "rows: {type: string}", 6, "input `rows` is a string"),
    ("components/batches.yml", "mini_batch_size: '10'", "partition_keys: [store]", 5, "columns of a table"),
    (CLEAN, 'resources: {instance_type: standard_e4s_v3, runtime_version: "3.5"}\n', "", 1, "a Spark job needs `resources`"),
    (CLEAN, "instance_type: standard_e4s_v3, ", "", 14, "`instance_type` is missing"),
    (CLEAN, "args:", "outputs: {o: {type: uri_folder, mode: rw_mount}}\nargs:", 13, "expected `mode: direct`"),
    ("environments/own.yml", "mcr.microsoft.com/", "https://mcr.microsoft.com/", 7, "an image such as"),
    ("environments/own.yml", "{pip: [mlflow]}", "{pips: [mlflow]}", 11, "a name with its version, or `pip`"),
    ("environments/own.yml", "[conda-forge]", "conda-forge", 10, "channels: expected a list"),
    ("environments/own.yml", "{pip: [mlflow]}", "{pip: ['mlflow >> 2']}", 11, "expected `mlflow==2`"),
    ("environments/own.yml", "{pip: [mlflow]}", "{pip: ['-r requirements.txt']}", 11, "is sent this file alone"),
    ("environments/own.yml", "version: 2", "version: 1.10", 3, 'reads 1.10 as 1.1; write "1.10"'),
    ("environments/train.yml", "name: train", "name: AzureML-train", 1, "not Azure's own prefix"),
    ("environments/train.yml", "conda.yml", "serve.dockerfile", 3, "is no conda file"),
    ("models/m.yml", "custom_model\npath: ../code", "triton_model\npath: ../code/score.py", 3, "a triton_model is a folder"),
    ("endpoints/v7-endpoint.yml", "compute: azureml:aks\n", "", 1, "`compute` is missing"),
    (ONLINE, "name: blue", "name: bl", 1, "at least 3 letters"),
    (ONLINE, "model: azureml:m@latest", "model: {name: m, version: 1}", 3, "`path` is missing"),
    ("endpoints/whole-batch-deployment.yml", "component: ../components/both.yml\n", "", 1, "`component` is missing"),
    ("endpoints/whole-batch-deployment.yml", "type: pipeline", "type: model", 1, "that of a batch deployment"),
    (NIGHTLY, "1-5", "7", 4, "expected 0 to 6"),
    ("schedules/from.yml", "{rate: 0.7}", "{rate: much}", 15, "type number, found 'much'"),
    ("schedules/from.yml", "{rate: 0.7}", "{rows: ../code}", 15, "a mapping with a `path`"),
    ("schedules/from.yml", "inputs: {rate: 0.7}", "outputs: {modle: {mode: upload}}", 15, "no such output; did you mean `model`?"),
    ("datastores/v19.yml", "container_name: c", "container_name: C_1", 5, "lower-case letters"),
    ("pipelines/v22.yml", "conf: {spark.driver.cores: 1, ", "conf: {", 26, "`spark.driver.cores` is missing"),
    ("pipelines/v22.yml", "    conf: {", "    tags: {", 25, "`conf` is missing, here and in the component"),
    (ALL, "    conf:\n      spark", "    tags:\n      spark", 45, "jobs.count: `conf` is missing"),
    # secrets
    (ONLINE, "ROWS: '9'", "DB_PASS: hunter2", 11, "a secret in a file"),
    (ONLINE, "ROWS: '9'", "KEY: 8f3b2c1d9e7a4f6b8c0d1e2f3a4b5c6d", 11, "a secret in a file"),
    (ONLINE, "ROWS: '9'", "DB: Server=tcp:x.database.windows.net;User ID=a;Password=hunter2;", 11, "a secret in a file"),
    (TRAIN, "{ROWS: 9}", "{OWNER: AKIAIOSFODNN7EXAMPLE}", 15, "a secret in a file"),
    (TRAIN, "command: python", "command: HF_HOME=/tmp HF=hf_abcdefghijklmnopqrstuvwxyz python", 7, "a secret in a file"),
    ("data/table.yml", "../code/score.py", "https://a.blob.core.windows.net/c/f.csv?sv=2022&sig=abc%3D", 3, "a secret in a file"),
    # monitors and feature stores
    (MON, '      component_id: azureml:my_signal:1.0.0\n', '', 7, '`component_id` is missing'),
    (MON, 'azureml:prepare:1.0.0', 'prepare', 14, 'azureml:NAME:VERSION'),
    (MON, 'sampling_rate: 1.0', 'sampling_rate: 10', 21, 'expected at most 1'),
    (MON, 'aggregated_groundedness', 'aggregated_groundness', 20, 'expected one of aggregated_groundedness_pass_rate'),
    (MON, 'a@example.com', 'a@@example.com', 25, 'an address such as'),
    (FSET, 'stage: Development', 'stage: development', 6, 'expected one of Development'),
    (FSET, '[azureml:v28:1]', '[account]', 5, 'azureml:NAME:VERSION'),
    (FSET, 'time_zone: UTC', 'time_zone: CET', 10, 'is no time zone'),
    ("featurestores/v28.yml", 'type: string', 'type: text', 4, 'expected one of string'),
    ("featurestores/v29.yml", 'azure_data_lake_gen2', 'redis', 4, 'expected one of azure_data_lake_gen2'),
    ("featurestores/v29.yml", "'3.5'", "'3.3'", 3, 'was retired on 2025-03-31'),
    # computes, workspaces, connections
    (CI, 'PT30M', 'PT30', 4, 'a duration such as'),
    (CI, 'idle_time_before_shutdown: PT30M', 'idle_time_before_shutdown_minutes: 5', 4, 'expected at least 15'),
    (CI, 'vnet_name: net, ', '', 5, '`vnet_name` is missing'),
    (CI, 'published: 8787', 'published: 80', 6, 'expected at least 1026'),
    (CI, 'hours: [8]', 'hours: [24]', 10, 'expected at most 23'),
    (CI, 'time_zone: UTC', 'time_zone: Europe/Berlin', 10, 'is no time zone'),
    ("compute/v18.yml", '0 18 * * *', '0 18 * *', 6, 'expected five fields'),
    ("compute/v33.yml", 'namespace: ml', 'namespace: ML_1', 4, 'lower-case letters'),
    ("compute/v33.yml", '/subscriptions/', 'subscriptions/', 3, '/subscriptions/ID/resourceGroups/'),
    (CLUSTER, 'tier: dedicated', 'network_settings: {subnet: default}', 8, '`vnet_name` is missing'),
    (WS, '/Microsoft.Storage/storageAccounts', '/storageAccounts', 3, '/subscriptions/ID/resourceGroups/'),
    (WS, '11111111-', '1111111-', 3, '8-4-4-4-12'),
    (WS, 'name: two', 'name: one', 8, 'is there twice'),
    ("registries/shared.yml", 'northeurope', 'westeurope', 6, 'is there twice'),
    ("connections/v30.yml", ', pat: <from the vault>', '', 4, '`pat` is missing'),
    ("connections/v31.yml", 'EXAMPLE_API_KEY', '0123456789abcdef0123', 4, 'a secret in a file'),
    ("datastores/v19.yml", 'account_name: a', 'account_name: a.blob.core.windows.net', 4, 'without its address'),
    # AutoML
    (AML, 'validation_data_size: 0.2', 'validation_data_size: 20', 6, 'expected at most 1'),
    (AML, 'validation_data_size: 0.2', 'n_cross_validations: 1', 6, 'expected one of auto or a whole number'),
    (AML, 'trial_timeout_minutes: 20', 'trial_timeout_minutes: 120', 7, '120 is above timeout_minutes, 60'),
    (AML, 'percentage: 0.2', 'percentage: 20', 13, 'expected at most 1'),
    (AML, 'allowed_training_algorithms: [knn]', 'allowed_training_algorithms: [knn]\n  blocked_training_algorithms: [KNN]', 13, 'as well'),
    (IMG, 'number_of_epochs: 15', 'number_of_epochs: 0', 6, 'expected at least 1'),
    (IMG, 'min_value: 0.001', 'min_value: 0.1', 8, 'is not below max_value'),
    (IMG, 'slack_factor: 0.2', 'slack_factor: 0.2, slack_amount: 1', 7, 'either `slack_factor` or'),
    ("jobs/v20.yml", 'time_column_name: t, ', '', 9, '`time_column_name` is missing'),
    ("jobs/v20.yml", 'forecast_horizon: auto', 'forecast_horizon: 0', 9, 'expected one of auto or a whole number'),
    # names, numbers and keys as YAML 1.1 has them
    (TRAIN, 'inputs:\n  rows', 'inputs:\n  my-rows: 1\n  rows', 11, 'letters, digits and `_`'),
    (TRAIN, 'outputs:\n  model', 'outputs:\n  Model: {type: uri_folder}\n  model', 15, 'in upper and lower case only'),
    (TRAIN, 'inputs:\n  rows', 'inputs:\n  on: 1\n  rows', 11, 'is true or false to Azure ML'),
    (ALL, '  fit:\n    type', '  1:\n    type', 14, 'is no text to Azure ML'),
    (TRAIN, 'instance_count: 2', 'instance_count: 010', 16, 'Azure ML reads 010 as 8; write 10'),
    ("environments/own.yml", 'version: 2', 'version: 010', 3, 'reads 010 as 8; write "010"'),
    ("data/table.yml", 'uri_file', 'URI_FILE', 2, 'expected one of uri_file'),
    ("data/table.yml", 'name: table', 'name: table\nauto_delete_setting: {condition: created_greater_than, value: 30 days}', 2, 'days such as 30d'),
    (TRAIN, 'nodes: all', 'nodes: first', 21, 'expected one of all'),
    (TRAIN, 'azureml:cpu-cluster', 'azureml:cpu cluster', 9, 'expected azureml:NAME'),
    ("jobs/v1.yml", 'name: out,', 'name: out/1,', 6, 'letters, digits, `_` and `-`'),
    ("jobs/v1.yml", 'azureml://datastores/lake/paths/x/', './out', 6, 'azureml://datastores/NAME/paths/PATH'),
    ("models/best.yml", 'outputs/artifacts', 'output/artifacts', 3, 'another address of Azure ML'),
    # code, bindings, Spark, Kubernetes
    (TRAIN, '${{inputs.rate}}', '$(inputs.rate)', 7, 'expected ${{inputs.rate}}, found $(inputs.rate)'),
    ("pipelines/v4.yml", "x: '${{parent.inputs.s}}'", 'x: parent.inputs.s', 53, 'expected ${{parent.inputs.s}}'),
    (ONLINE, 'scoring_script: score', 'scoring_script: ../code/score', 6, 'did you mean `score.py`?'),
    (CLEAN, 'file: score', 'file: ../code/score', 4, 'did you mean `score.py`?'),
    (CLEAN, 'args:', 'py_files: [score.py, score.py]\nargs:', 13, 'is there twice'),
    (CLEAN, '  spark.executor.instances: 2', '  spark.dynamicAllocation.minExecutors: 2\n  spark.executor.instances: 2', 10, 'which is off'),
    (ALL, 'maxExecutors: 4', 'maxExecutors: 4\n      spark.executor.instances: 9', 56, '9 is above spark.dynamicAllocation.maxExecutors, 4'),
    (GREEN, 'model: azureml:best:1\n', '', 1, '`model` is missing'),
    (KUBE, 'type: kubernetes', 'type: managed', 10, 'a managed deployment is scaled by'),
    (KUBE, 'memory: 0.5Gi', 'memory: 0.5GB', 9, 'a size such as 0.5Gi'),
    (KUBE, 'memory: 0.5Gi', 'memory: 2048Mi', 9, 'is above the limit, 1Gi'),
    ("endpoints/v5-endpoint.yml", '{resource_id:', '{resource:', 3, 'did you mean `resource_id`?'),
    # fields without a value, and what is said twice
    (TRAIN, 'tags: {a: "1"}', "tags:", 5, "tags: it is empty"),
    (ONLINE, "scale_settings:\n  type: default\n", "scale_settings:\n", 12, "scale_settings: it is empty"),
    (BATCH, "settings:\n", "settings:\n  instance_count: 1\n", 13, "`resources` has it already"),
    (ALL, "jobs.fit.outputs.model", "jobs.best.outputs.best", 63, "no output `best`; there is: best_model"),
    (WS, "name: v34", "name: v34\nnetwork_acls: {default_action: deny}", 3, "expected one of Deny, Allow"),
    ("pipelines/v37.yml", "group.rate}}", "group.rat}}", 10, "did you mean `group.rate`?"),
    # needed by azure-ai-ml's classes, not by its schemas; and values of another kind
    (ALL, 'type: pipeline\nexperiment', 'experiment', 1, '`type` is missing'),
    ("components/v21.yml", 'type: spark\n', '', 1, '`type` is missing'),
    ("jobs/v1.yml", 'name: out, ', '', 6, '`name` is missing'),
    (IMG, 'sampling_algorithm: random, ', '', 7, '`sampling_algorithm` is missing'),
    (MON, 'metric_name: std_deviation, ', '', 15, '`metric_name` is missing'),
    (MON, 'instance_type: standard_e4s_v3, ', '', 4, '`instance_type` is missing'),
    (CI, 'image: {reference: x/studio:1}, ', '', 6, '`image` is missing'),
    (CI, 'minutes: [0], ', '', 10, '`minutes` is missing'),
    (WS, '  isolation_mode: allow_only_approved_outbound\n', '', 5, '`isolation_mode` is missing'),
    (BATCH, '  mini_batch_size: 1\n', '', 13, '`mini_batch_size` is missing'),
    (KUBE, 'type: kubernetes\n', '', 1, '`type` is missing'),
    ("schedules/v11.yml", 'type: pipeline, ', '', 3, '`type` is missing'),
    ("endpoints/v6-deployment.yml", 'name: mm, ', '', 5, '`name` is missing'),
    ("components/fit.yml", 'mode: ro_mount', 'mode: [ro_mount]', 9, 'mode of an input'),
    (TRAIN, 'type: command', 'type: [command]', 2, 'expected one of command'),
    (ALL, 'type: mlflow_model, mode: upload', 'type: zz, mode: upload', 12, 'expected one of'),
    (ALL, "    inputs:\n      rows: {type: uri_folder, path: '${{parent.jobs.fit.outputs.model}}', mode: ro_mount}\n", '    inputs: zz\n', 62, '`inputs` must be a mapping'),
    ("schedules/nightly.yml", '../pipelines/p.yml', 'job.yml', 5, 'expected a pipeline, job.yml is a command job'),
    ("schedules/weekly.yml", '  job: ../', '  type: command\n  job: ../', 11, "expected a pipeline, found 'command'"),
    (ONLINE, 'name: blue', 'name: bl_ue', 1, 'digits and `-`, a letter'),
    (SWEEP, 'rate: {type: loguniform, min_value: -6, max_value: -1}', 'rate:', 11, 'it is empty'),
    (SWEEP, '[a, b]', '[a, ~]', 12, 'it is empty'),
    (SWEEP, 'min_value: -6', 'min_value: -.inf', 11, 'whole number or a number'),
    ("components/fit.yml", 'enum: [fast, exact]', 'enum: [yes, no]', 11, 'Azure ML reads yes as true or false'),
    ("components/batches.yml", 'scored: {type: uri_file}', 'scored:', 15, 'it is empty'),
    ("components/spark.yml", 'inputs:\n', 'inputs:\n  n: {type: number, default: zz}\n', 13, 'expects a value of type number'),
    (CLEAN, 'args: --rows', 'outputs: {o: {type: uri_folder}}\nargs: --rows', 13, 'Spark writes data where it is'),
    (KUBE, 'azureml:serve:2', 'azureml://registries/r/environments/serve/versions/2', 7, 'no environment of a registry'),
    (KUBE, 'memory: 1Gi', 'memory: .', 9, 'a size such as 0.5Gi'),
    (ALL, "inputs: {rows: '${{parent.inputs.rows}}'}\n    sampling", 'inputs: 1.5\n    sampling', 30, '`inputs` must be a mapping'),
    (ALL, '  count:\n', '  count:\n    outputs: zz\n', 45, '`outputs` must be a mapping'),
    ("pipelines/v4.yml", 'error_threshold: -1', 'error_threshold: [-1]', 43, 'expected a whole number'),
    ("models/v17.yml", 'python_function: {a: b}', 'python_function: 1', 5, 'expected a mapping'),
    ("models/m.yml", "custom_model", "CustomModel", 2, "expected one of custom_model"),
    ("datastores/lake.yml", "azure_data_lake_gen2", "AZURE_DATA_LAKE_GEN2", 1, "expected azure_data_lake_gen2"),
    ("components/spark.yml", "{type: uri_folder, mode", "{type: [number], mode", 13, "expected one of"),
]
# fmt: on


@pytest.mark.parametrize(("file", "old", "new", "line", "message"), MISTAKES)
def test_a_planted_mistake_is_found(
    azureml: Path, file: str, old: str, new: str, line: int, message: str
) -> None:
    text = (FILES | VARIANTS)[file]
    assert old in text
    with planted(azureml, {file: text.replace(old, new, 1)}):
        problems = found(azureml, file)
    assert any(p.startswith(f"{file}:{line}: ") and message in p for p in problems), problems


def test_all_mistakes_of_all_files_are_found_at_once(azureml: Path) -> None:
    first: dict[str, tuple[str, str, int]] = {}
    for file, old, new, line, _ in MISTAKES:
        first.setdefault(file, (old, new, line))
    texts = {
        file: (FILES | VARIANTS)[file].replace(old, new, 1) for file, (old, new, _) in first.items()
    }
    with planted(azureml, texts):
        places = {":".join(problem.split(":")[:2]) for problem in found(azureml)}
    assert {f"{file}:{line}" for file, (_, _, line) in first.items()} <= places


# Names that a project chooses: of steps, outputs, variables, collections, signals, services and points of a search space.
OWN = {
    "first", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "m", "q", "t", "v", "search", "tidy", "count", "score", "best", "scored",
    "best_model", "look", "mine", "rows", "safety", "tokens", "ROWS", "model_inputs", "drift", "A", "B", "C", "D", "N", "o2", "custom",
}  # fmt: skip
KEY = re.compile(r"(?<![\w$.{-])([A-Za-z_][\w.]*)(?=:(?: |\n))")
KEYS = [
    (file, match.span(1))
    for file, text in (FILES | VARIANTS).items()
    for match in KEY.finditer(text)
    if match[1] not in OWN
]


@given(place=st.sampled_from(KEYS))
@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
)
def test_any_misspelt_key_is_found(azureml: Path, place: tuple[str, tuple[int, int]]) -> None:
    file, (begin, end) = place
    text = (FILES | VARIANTS)[file]
    with planted(azureml, {file: text[: end - 1] + "zz" + text[end:]}):
        assert found(azureml, file), text[begin:end]
