"""Sound files of a project for Azure ML: every kind, and most of the fields that Azure ML has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.editing import write_files

FILES = {
    "environments/train.yml": "name: train\nimage: mcr/x:1\nconda_file: conda.yml\n",
    "environments/serve.yml": "name: serve\nbuild:\n  path: .\n  dockerfile_path: serve.dockerfile\n",
    "environments/own.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/environment.schema.json
name: own
version: 2
description: with a server of its own
tags: {purpose: serving}
os_type: linux
image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest
conda_file:
  name: own
  channels: [conda-forge]
  dependencies: [python=3.11, pip, {pip: [mlflow]}]
inference_config:
  liveness_route: {path: /, port: 5001}
  readiness_route: {path: /, port: 5001}
  scoring_route: {path: /score, port: 5001}
""",
    "data/table.yml": "name: table\ntype: uri_file\npath: ../code/score.py\n",
    "data/mounted.yml": "name: mounted\nversion: '3'\ntype: mltable\npath: azureml://datastores/lake/paths/rows/\n",
    "models/m.yml": "name: m\ntype: custom_model\npath: ../code\n",
    "models/best.yml": "name: best\ntype: mlflow_model\npath: azureml://jobs/j/outputs/artifacts/paths/model/\nproperties: {a: b}\n",
    "components/c.yml": (
        "type: command\nname: c\ninputs:\n  n: {type: integer, default: 1}\n"
        "code: ../code\nenvironment: azureml:train@latest\ncommand: echo ${{inputs.n}}\n"
    ),
    "components/fit.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: fit
version: 1
display_name: fit
is_deterministic: true
tags: {a: b}
inputs:
  rows: {type: uri_folder, mode: ro_mount, optional: false}
  rate: {type: number, min: 0, max: 1, default: 0.5}
  how: {type: string, enum: [fast, exact], default: fast}
  more: {type: string, optional: true}
outputs:
  model: {type: mlflow_model, mode: rw_mount}
code: ../code
environment:
  image: mcr/x:1
  conda_file: ../environments/conda.yml
command: python score.py ${{inputs.rows}} ${{inputs.rate}} ${{inputs.how}} $[[${{inputs.more}}]] ${{outputs.model}}
resources: {instance_count: 2, shm_size: 2g}
distribution: {type: mpi, process_count_per_instance: 1}
""",
    "components/batches.yml": (
        "type: parallel\nname: batches\ninputs:\n  rows: {type: uri_folder}\n"
        "mini_batch_size: '10'\ninput_data: ${{inputs.rows}}\ntask:\n  type: run_function\n"
        "  code: ../code\n  entry_script: score.py\n  environment: azureml:train@latest\n"
        "  program_arguments: --rows ${{inputs.rows}}\n  append_row_to: ${{outputs.scored}}\n"
        "outputs:\n  scored: {type: uri_file}\nresources: {instance_count: 2}\nlogging_level: INFO\n"
        "max_concurrency_per_instance: 2\nerror_threshold: 5\nmini_batch_error_threshold: -1\n"
        "retry_settings: {max_retries: 2, timeout: 60}\n"
    ),
    "components/spark.yml": (
        "type: spark\nname: clean\ncode: ../code\nentry:\n  file: score.py\nconf:\n"
        "  spark.driver.cores: 1\n  spark.driver.memory: 2g\n"
        "  spark.executor.cores: 1\n  spark.executor.memory: 2g\n  spark.executor.instances: 1\n"
        "inputs:\n  rows: {type: uri_folder, mode: direct}\nargs: --rows ${{inputs.rows}}\n"
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
    "pipelines/all.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
experiment_name: all
settings:
  default_compute: azureml:cpu-cluster
  default_datastore: azureml:lake
  continue_on_step_failure: false
inputs:
  rows: {type: uri_folder, path: ../code, mode: ro_mount}
  rate: 0.5
outputs:
  model: {type: mlflow_model, mode: upload}
jobs:
  fit:
    type: command
    component: ../components/fit.yml
    compute: azureml:serverless
    inputs:
      rows: ${{parent.inputs.rows}}
      rate: ${{parent.inputs.rate}}
    outputs:
      model: ${{parent.outputs.model}}
    resources: {instance_type: Standard_D4as_v4, instance_count: 1}
    environment_variables: {ROWS: 9}
    limits: {timeout: 600}
    identity: {type: user_identity}
  search:
    type: sweep
    trial: ../components/fit.yml
    inputs: {rows: '${{parent.inputs.rows}}'}
    sampling_algorithm: random
    search_space:
      rate: {type: uniform, min_value: 0.1, max_value: 0.9}
    objective: {goal: minimize, primary_metric: loss}
    limits: {max_total_trials: 8, max_concurrent_trials: 2, timeout: 600}
    early_termination: {type: bandit, slack_factor: 0.1, evaluation_interval: 1}
  tidy:
    type: spark
    component: ../components/spark.yml
    inputs:
      rows: {type: uri_folder, path: ../code, mode: direct}
    resources: {instance_type: standard_e4s_v3, runtime_version: "3.5"}
    identity: {type: managed}
  count:
    type: spark
    code: ../code
    entry: {file: score.py}
    conf:
      spark.driver.cores: 1
      spark.driver.memory: 2g
      spark.executor.cores: 2
      spark.executor.memory: 2g
      spark.dynamicAllocation.enabled: true
      spark.dynamicAllocation.minExecutors: 1
      spark.dynamicAllocation.maxExecutors: 4
    resources: {instance_type: standard_e8s_v3, runtime_version: "3.5"}
  score:
    type: parallel
    mini_batch_size: "2"
    max_concurrency_per_instance: 2
    input_data: ${{inputs.rows}}
    inputs:
      rows: {type: uri_folder, path: '${{parent.jobs.fit.outputs.model}}', mode: ro_mount}
    outputs:
      scored: {type: uri_file}
    task:
      type: run_function
      code: ../code
      entry_script: score.py
      environment: azureml:train@latest
  best:
    type: automl
    task: classification
    primary_metric: accuracy
    target_column_name: y
    training_data: ${{parent.inputs.rows}}
    limits: {max_trials: 2}
    outputs:
      best_model: {type: mlflow_model}
""",
    "jobs/train.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/commandJob.schema.json
type: command
display_name: train
experiment_name: training
tags: {a: "1"}
code: ../code
command: python score.py ${{inputs.rows}} ${{inputs.rate}} ${{outputs.model}}
environment: azureml:train@latest
compute: azureml:cpu-cluster
inputs:
  rows: {type: uri_file, path: ../code/score.py, mode: ro_mount}
  rate: 0.1
outputs:
  model: {type: mlflow_model, mode: upload}
environment_variables: {ROWS: 9}
resources: {instance_count: 2, instance_type: Standard_D4as_v4, shm_size: 2g}
distribution: {type: pytorch, process_count_per_instance: 1}
limits: {timeout: 60}
identity: {type: managed}
services:
  look: {type: tensor_board, nodes: all}
""",
    "jobs/sweep.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/sweepJob.schema.json
type: sweep
trial:
  code: ../code
  command: python score.py --rate ${{search_space.rate}} --kind ${{search_space.kind}} --n ${{inputs.n}}
  environment: azureml:train@latest
inputs:
  n: 3
sampling_algorithm: {type: random, seed: 1}
search_space:
  rate: {type: loguniform, min_value: -6, max_value: -1}
  kind: {type: choice, values: [a, b]}
objective: {goal: maximize, primary_metric: auc}
limits: {max_total_trials: 8, max_concurrent_trials: 2, timeout: 600, trial_timeout: 60}
early_termination: {type: truncation_selection, truncation_percentage: 20, evaluation_interval: 1}
compute: azureml:cpu-cluster
""",
    "jobs/clean.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/sparkJob.schema.json
type: spark
code: ../code
entry: {file: score.py}
conf:
  spark.driver.cores: 1
  spark.driver.memory: 2g
  spark.executor.cores: 2
  spark.executor.memory: 2g
  spark.executor.instances: 2
inputs:
  rows: {type: uri_file, path: ../code/score.py, mode: direct}
args: --rows ${{inputs.rows}}
resources: {instance_type: standard_e4s_v3, runtime_version: "3.5"}
identity: {type: user_identity}
""",
    "jobs/automl.yml": """\
type: automl
task: regression
experiment_name: best
compute: azureml:cpu-cluster
primary_metric: r2_score
target_column_name: y
training_data: {path: ../code, type: mltable}
n_cross_validations: auto
limits: {max_trials: 2, timeout_minutes: 60, enable_early_termination: true}
training: {blocked_training_algorithms: [knn]}
""",
    "endpoints/online-endpoint.yml": "name: shop\nauth_mode: aad_token\ntraffic:\n  blue: 100\n",
    "endpoints/online-deployment.yml": (
        "name: blue\nendpoint_name: shop\nmodel: azureml:m@latest\ncode_configuration:\n"
        "  code: ../code\n  scoring_script: score.py\nenvironment: azureml:serve@latest\n"
        "instance_type: Standard_E2s_v3\ninstance_count: 1\nenvironment_variables:\n  ROWS: '9'\n"
        "scale_settings:\n  type: default\ndata_collector:\n  sampling_rate: 1.0\n"
        "  rolling_rate: hour\n  collections:\n    model_inputs: {enabled: 'true'}\n"
    ),
    "endpoints/green-deployment.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: green
endpoint_name: shop
model: azureml:best:1
instance_type: Standard_D4as_v4
instance_count: 2
app_insights_enabled: true
egress_public_network_access: disabled
request_settings: {request_timeout_ms: 5000, max_concurrent_requests_per_instance: 2}
liveness_probe: {initial_delay: 10, period: 10, timeout: 2, success_threshold: 1, failure_threshold: 30}
readiness_probe: {initial_delay: 10}
""",
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
    "endpoints/whole-batch-deployment.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponentBatchDeployment.schema.json
type: pipeline
name: whole
endpoint_name: shop-b
component: ../components/both.yml
settings: {default_compute: cpu-cluster, continue_on_step_failure: false}
""",
    "schedules/nightly.yml": (
        "name: nightly\ntrigger:\n  type: cron\n  expression: 15 3 * * 1-5\n"
        "create_job: ../pipelines/p.yml\n"
    ),
    "schedules/weekly.yml": (
        "name: weekly\ntrigger:\n  type: recurrence\n  frequency: week\n  interval: 1\n"
        "  schedule:\n    hours: [3]\n    minutes: 15\n    week_days: [monday]\n"
        "create_job:\n  job: ../pipelines/p.yml\n"
    ),
    "schedules/from.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/schedule.schema.json
name: from
display_name: from a day on
trigger:
  type: recurrence
  frequency: month
  interval: 1
  start_time: "2026-12-01T03:00:00"
  end_time: "2027-12-01T03:00:00"
  time_zone: W. Europe Standard Time
  schedule: {hours: 3, minutes: [0, 30], month_days: [1, 15]}
create_job:
  type: pipeline
  job: ../pipelines/all.yml
  inputs: {rate: 0.7}
  settings: {default_compute: azureml:cpu-cluster}
""",
    "monitoring/monitor.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/monitorSchedule.schema.json
name: shop-monitor
trigger:
  type: recurrence
  frequency: week
  interval: 1
  schedule: {hours: 3, minutes: 15, week_days: [monday]}
create_monitor:
  compute: {instance_type: standard_e4s_v3, runtime_version: "3.5"}
  monitoring_target: {ml_task: classification, endpoint_deployment_id: 'azureml:shop:blue'}
  monitoring_signals:
    drift:
      type: data_drift
      production_data:
        input_data: {path: 'azureml:shop-blue-model_inputs:1', type: uri_folder}
        data_context: model_inputs
        data_window:
          lookback_window_size: P30D
          lookback_window_offset: P0D
      reference_data:
        input_data: {path: 'azureml:mounted@latest', type: mltable}
        data_context: training
        data_column_names: {target_column: y}
      features: {top_n_feature_importance: 5}
      alert_enabled: true
      metric_thresholds:
        numerical:
          jensen_shannon_distance: 0.1
        categorical:
          pearsons_chi_squared_test: 0.05
  alert_notification:
    emails: [a@example.com]
""",
    "compute/cpu-cluster.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/amlCompute.schema.json
type: amlcompute
name: cpu-cluster
size: Standard_D4as_v4
min_instances: 0
max_instances: 4
idle_time_before_scale_down: 120
tier: dedicated
identity: {type: system_assigned}
""",
    "datastores/lake.yml": """\
type: azure_data_lake_gen2
name: lake
account_name: account
filesystem: rows
credentials: {tenant_id: t, client_id: c, client_secret: <from the vault>}
""",
    "registries/shared.yml": """\
name: shared
location: westeurope
replication_locations:
  - location: westeurope
    storage_config: {storage_account_hns: false, storage_account_type: standard_lrs}
  - location: northeurope
""",
    "workspaces/dev.yml": """\
$schema: https://azuremlschemas.azureedge.net/latest/workspace.schema.json
name: dev-workspace
location: westeurope
public_network_access: Disabled
managed_network: {isolation_mode: allow_only_approved_outbound}
""",
}
OTHERS = {
    "environments/conda.yml": "dependencies:\n  - python=3.11\n  - pip:\n      - pandas\n",
    "environments/serve.dockerfile": "FROM mcr.microsoft.com/azureml/minimal-py312-inference:latest\n",
    "code/score.py": "def init():\n    pass\n\n\ndef run(rows):\n    return rows\n",
}


def write_project(folder: Path, texts: Mapping[str, str] = FILES) -> None:
    """Write files below a folder, and what they name."""
    write_files(folder, {**texts, **OTHERS})
