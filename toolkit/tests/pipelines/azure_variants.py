"""Other ways in which sound files of Azure ML are written; azure-ai-ml 1.35.2 loads each of them."""

from __future__ import annotations

VARIANTS = {
    "jobs/v1.yml": """type: command
command: echo ${{inputs.a}} ${{inputs.b}}
environment: azureml://registries/azureml/environments/sklearn-1.5/labels/latest
inputs: {a: {value: 1}, b: {type: uri_folder, path: azureml:table@latest, mode: download}}
environment_variables: {A: 1, B: true, C: 1.5, D: "yes"}
outputs: {out: {type: uri_folder, path: azureml://datastores/lake/paths/x/, name: out, version: "1"}, o2: {type: custom_model}}
services: {s: {type: ssh, ssh_public_keys: ssh-rsa AAA}, j: {type: jupyter_lab}, v: {type: vs_code}}
queue_settings: {job_tier: Spot}
identity: {type: aml_token}
resources: {instance_count: 1, docker_args: --cpus 1, properties: {x: 1}}
distribution: {type: tensorflow, worker_count: 2, parameter_server_count: 0}
""",
    "jobs/v2.yml": """command: |
  echo 1
environment: file:../environments/own.yml
compute: local
""",
    "jobs/v3.yml": """type: command
command: echo
environment: {build: {path: ../environments, dockerfile_path: serve.dockerfile}}
compute: azureml:serverless
distribution: {type: ray, port: 6379}
""",
    "pipelines/v4.yml": """type: pipeline
compute: azureml:cpu-cluster
settings: {default_compute: azureml:serverless, force_rerun: true}
inputs: {n: {value: 3}, s: text, f: 1e-4, b: true, rows: {path: azureml:table:1, type: uri_file}, m: {type: mlflow_model, path: azureml://registries/azureml/models/m/versions/1}}
outputs: {o: , p: {mode: rw_mount}}
jobs:
  a:
    component:
      command: echo ${{inputs.n}} > ${{outputs.o}}/x
      environment: azureml:train@latest
      inputs: {n: {type: integer}}
      outputs: {o: {type: uri_folder}}
    inputs: {n: '${{parent.inputs.n}}'}
    outputs: {o: '${{parent.outputs.o}}'}
  b:
    type: pipeline
    component: ../components/both.yml
    inputs: {n: 4}
  c:
    type: command
    component: azureml:registered@latest
    inputs: {anything: 1}
    outputs: {p: {path: '${{parent.outputs.p}}', mode: rw_mount}}
  d:
    type: command
    component: azureml://registries/azureml/components/x/versions/1
    inputs: {q: '${{parent.jobs.c.outputs.whatever}}'}
    distribution: {type: pytorch}
    resources: {instance_count: 2, shm_size: 16g}
  e:
    type: sweep
    trial: azureml:registered:1
    sampling_algorithm: {type: random, rule: sobol}
    objective: {goal: Maximize, primary_metric: x}
    search_space: {r: {type: choice, values: [1, 2.5, a]}, q: {type: quniform, min_value: 1, max_value: 9, q: 1}, t: {type: lognormal, mu: 1, sigma: 2}, i: {type: randint, upper: 5}}
    limits: {max_total_trials: 3}
    early_termination: {type: median_stopping, delay_evaluation: 0}
  f:
    type: parallel
    component: ../components/batches.yml
    inputs: {rows: '${{parent.jobs.a.outputs.o}}'}
    mini_batch_size: "5"
    error_threshold: -1
  g:
    type: spark
    component: ../components/spark.yml
    inputs: {rows: {type: uri_folder, path: '${{parent.jobs.a.outputs.o}}', mode: direct}}
    compute: azureml:pool
  h:
    type: command
    command: echo ${{inputs.x}}
    environment: azureml:AzureML-sklearn-1.5
    inputs: {x: '${{parent.inputs.s}}'}
    limits: {timeout: 60}
""",
    "endpoints/v5-endpoint.yml": """name: second
auth_mode: key
identity: {type: user_assigned, user_assigned_identities: [{resource_id: /subscriptions/x}]}
traffic: {one: 0}
mirror_traffic: {one: 10}
public_network_access: disabled
tags: {a: b}
""",
    "endpoints/v6-deployment.yml": """$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: one
endpoint_name: second
type: managed
model: {path: ../code, name: mm, version: 1, type: custom_model}
environment:
  image: docker.io/tensorflow/serving:latest
  inference_config:
    liveness_route: {port: 8501, path: /v1}
    readiness_route: {port: 8501, path: /v1}
    scoring_route: {port: 8501, path: /v1:predict}
model_mount_path: /var/m
environment_variables: {MODEL_BASE_PATH: /var, N: 3}
instance_type: STANDARD_NC4AS_T4_V3
instance_count: 1
data_collector:
  collections: {model_inputs: {enabled: 'True', client_id: x}, custom: {enabled: 'false'}}
  sampling_rate: 0.5
  request_logging: {capture_headers: [a]}
tags: {}
""",
    "endpoints/v7-deployment.yml": """$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineDeployment.schema.json
name: kube
endpoint_name: kub
type: kubernetes
model: azureml:best@latest
code_configuration: {code: ../code, scoring_script: score.py}
environment: azureml:serve:2
instance_type: defaultinstancetype
resources: {requests: {cpu: "0.1", memory: 0.5Gi}, limits: {cpu: "1", memory: 1Gi, nvidia.com/gpu: "1"}}
scale_settings: {type: target_utilization, min_instances: 1, max_instances: 3, polling_interval: 10, target_utilization_percentage: 70}
""",
    "endpoints/v7-endpoint.yml": """$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json
name: kub
compute: azureml:aks
auth_mode: aml_token
traffic: {kube: 100}
""",
    "endpoints/v8-batch-deployment.yml": """$schema: https://azuremlschemas.azureedge.net/latest/batchDeployment.schema.json
name: eight
endpoint_name: shop-b
model: azureml:best:1
compute: azureml:cpu-cluster
resources: {instance_count: 2}
max_concurrency_per_instance: 2
mini_batch_size: 10
output_action: append_row
output_file_name: x.csv
retry_settings: {max_retries: 3, timeout: 30}
error_threshold: -1
logging_level: info
""",
    "endpoints/v9-batch-deployment.yml": """$schema: https://azuremlschemas.azureedge.net/latest/pipelineComponentBatchDeployment.schema.json
type: pipeline
name: nine
endpoint_name: shop-b
job_definition: azureml:some_job
settings: {default_compute: c}
""",
    "schedules/v10.yml": """name: ten
trigger: {type: cron, expression: "*/10 * * * *", start_time: "2026-01-01T00:00:00", time_zone: UTC}
create_job: azureml:job_name
""",
    "schedules/v11.yml": """name: eleven
trigger: {type: recurrence, frequency: day, interval: 2}
create_job: {type: pipeline, job: azureml:job_name, experiment_name: x, inputs: {a: 1}}
""",
    "schedules/v12.yml": """name: twelve
trigger: {type: recurrence, frequency: hour, interval: 2, start_time: "2026-01-01T00:00:00Z"}
create_job: ../pipelines/p.yml
""",
    "schedules/job.yml": """type: command
command: echo
environment: azureml:train@latest
""",
    "components/v13.yml": """$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
name: v13
type: command
version: 0.0.1
inputs: {b: {type: boolean, default: True}, i: {type: integer, default: 3, optional: true, min: 1}, s: {type: string, default: "1"}, d: {type: mltable}}
outputs: {o: {type: uri_file}, m: {type: triton_model, mode: upload}}
command: >-
  python x.py --b ${{inputs.b}} $[[--i ${{inputs.i}}]] --s ${{inputs.s}} ${{inputs.d}} ${{outputs.o}} ${{outputs.m}}
environment: azureml:AzureML-sklearn-1.5@latest
additional_includes: [../code/score.py]
""",
    "environments/v14.yml": """name: v14
image: python:3.12
version: 1.0
conda_file: {channels: [conda-forge], dependencies: [python=3.12]}
""",
    "data/v15.yml": """name: v15
type: uri_folder
path: https://account.blob.core.windows.net/c/x
version: 1
""",
    "data/v16.yml": """name: v16
path: wasbs://c@a.blob.core.windows.net/x
type: uri_file
properties: {a: b}
""",
    "models/v17.yml": """name: v17
path: runs:/abc/model
type: mlflow_model
version: 2
flavors: {python_function: {a: b}}
stage: Production
""",
    "compute/v18.yml": """$schema: https://azuremlschemas.azureedge.net/latest/computeInstance.schema.json
name: ci-1
type: computeinstance
size: STANDARD_D4AS_V4
idle_time_before_shutdown_minutes: 30
schedules: {compute_start_stop: [{action: stop, trigger: {type: cron, start_time: "2026-01-01T00:00:00", time_zone: UTC, expression: 0 18 * * *}}]}
""",
    "datastores/v19.yml": """$schema: https://azuremlschemas.azureedge.net/latest/azureBlob.schema.json
name: v19
type: azure_blob
account_name: a
container_name: c
""",
    "jobs/v20.yml": """$schema: https://azuremlschemas.azureedge.net/latest/autoMLJob.schema.json
type: automl
task: forecasting
compute: azureml:cpu-cluster
primary_metric: normalized_root_mean_squared_error
target_column_name: y
training_data: {path: ../code, type: mltable}
n_cross_validations: 5
forecasting: {time_column_name: t, forecast_horizon: auto, target_lags: [1, 2]}
limits: {timeout_minutes: 10, trial_timeout_minutes: 5, max_trials: 2}
training: {enable_stack_ensemble: false, allowed_training_algorithms: [AutoArima, prophet]}
featurization: {mode: auto}
""",
    "pipelines/v22.yml": """type: pipeline
compute: azureml:cpu-cluster
inputs: {n: 3, it: standard_e4s_v3, text: hf_use_experimental_features}
jobs:
  a:
    component: ../components/both.yml
    inputs: {n: '${{parent.inputs.n}}'}
  b:
    component: ../components/batches.yml
    inputs: {rows: {type: uri_folder, path: ../code}}
    mini_batch_size: ${{parent.inputs.n}}
    resources: {instance_count: '${{parent.inputs.n}}'}
  c:
    component: ../components/spark.yml
    inputs: {rows: {type: uri_folder, path: ../code, mode: direct}}
    resources: {instance_type: '${{parent.inputs.it}}', runtime_version: "3.5"}
  d:
    component: ../components/v23.yml
    environment_variables: {N: '${{parent.inputs.n}}'}
    limits: {timeout: '${{parent.inputs.n}}'}
    distribution: {type: mpi, process_count_per_instance: '${{parent.inputs.n}}'}
  e:
    component: azureml:fit_pipeline:1
  f:
    component: ../components/v24.yml
    conf: {spark.driver.cores: 1, spark.driver.memory: 1g, spark.executor.cores: 1, spark.executor.memory: 1g, spark.executor.instances: 1}
    resources: {instance_type: standard_e4s_v3, runtime_version: "3.5"}
""",
    "components/v23.yml": """$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
name: v23
command: echo
environment: azureml:AzureML-AutoML@prod
outputs: {o: {type: boolean, is_control: true}}
""",
    "components/v24.yml": """type: spark
name: v24
code: ../code
entry: {file: score.py}
""",
    "components/v25.yml": """$schema: http://azureml/sdk-2-0/AutoMLComponent.json
name: v25
version: 0.0.2
type: automl
task: classification
is_deterministic: false
""",
    "components/v21.yml": """$schema: https://azuremlschemas.azureedge.net/latest/sparkComponent.schema.json
name: v21
type: spark
code: ../code
entry: {class_name: com.x.Main}
jars: [x.jar]
py_files: [score.py]
conf: {spark.driver.cores: 1, spark.driver.memory: 1g, spark.executor.cores: 1, spark.executor.memory: 1g, spark.executor.instances: 1}
environment: azureml:train@latest
inputs: {r: {type: uri_file}}
outputs: {o: {type: uri_folder, mode: direct}}
args: --r ${{inputs.r}} --o ${{outputs.o}}
""",
    "monitoring/v26.yml": """name: v26
trigger: {type: cron, expression: 15 3 * * *}
create_monitor:
  compute: {instance_type: standard_e4s_v3, runtime_version: "3.5"}
  monitoring_signals:
    mine:
      type: custom
      component_id: azureml:my_signal:1.0.0
      input_data:
        rows:
          input_data: {path: azureml:mounted:3, type: uri_folder}
          data_context: test
          data_window: {lookback_window_size: P30D, lookback_window_offset: P7D}
          pre_processing_component: azureml:prepare:1.0.0
      metric_thresholds: [{metric_name: std_deviation, threshold: 2}]
    safety:
      type: generation_safety_quality
      connection_id: azureml:aoai
      production_data: [{input_data: {path: azureml:mounted:3, type: uri_folder}, data_column_names: {prompt_column: question}}]
      metric_thresholds: {groundedness: {aggregated_groundedness_pass_rate: 0.5}}
      sampling_rate: 1.0
    tokens:
      type: generation_token_statistics
      metric_thresholds: {totaltoken: {total_token_count: 100}}
  alert_notification: {emails: [a@example.com]}
""",
    "featurestores/v27.yml": """$schema: http://azureml/sdk-2-0/Featureset.json
name: v27
version: '1'
specification: {path: ../code}
entities: [azureml:v28:1]
stage: Development
materialization_settings:
  resource: {instance_type: standard_e8s_v3}
  offline_enabled: true
  schedule: {type: recurrence, frequency: day, interval: 1, time_zone: UTC}
  spark_configuration: {spark.driver.cores: 4}
  notification: {email_on: [JobFailed], emails: [a@example.com]}
""",
    "featurestores/v28.yml": """$schema: https://azuremlschemas.azureedge.net/latest/featureStoreEntity.schema.json
name: v28
version: '1'
index_columns: [{name: accountID, type: string}]
""",
    "featurestores/v29.yml": """$schema: http://azureml/sdk-2-0/FeatureStore.json
name: v29
compute_runtime: {spark_runtime_version: '3.5'}
offline_store: {type: azure_data_lake_gen2, target: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/r/providers/Microsoft.Storage/storageAccounts/a/blobServices/default/containers/c}
""",
    "connections/v30.yml": """type: git
name: v30
target: https://github.com/a/b
credentials: {type: pat, pat: <from the vault>}
""",
    "connections/v31.yml": """type: azure_open_ai
name: v31
azure_endpoint: https://a.openai.azure.com/
api_key: EXAMPLE_API_KEY
""",
    "compute/v32.yml": """type: computeinstance
name: v32
size: STANDARD_D4AS_V4
idle_time_before_shutdown: PT30M
network_settings: {vnet_name: net, subnet: sub}
custom_applications: [{name: studio, image: {reference: x/studio:1}, endpoints: [{target: 8787, published: 8787}]}]
schedules:
  compute_start_stop:
    - action: start
      trigger: {type: recurrence, frequency: week, interval: 1, time_zone: UTC, schedule: {hours: [8], minutes: [0], week_days: [monday]}}
""",
    "compute/v33.yml": """type: kubernetes
name: v33
resource_id: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/r/providers/Microsoft.Kubernetes/connectedClusters/c
namespace: ml
""",
    "workspaces/v34.yml": """$schema: https://azuremlschemas.azureedge.net/latest/workspace.schema.json
name: v34
storage_account: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/r/providers/Microsoft.Storage/storageAccounts/a
managed_network:
  isolation_mode: allow_only_approved_outbound
  outbound_rules:
    - {name: one, type: fqdn, destination: files.example.com}
    - {name: two, type: service_tag, destination: {service_tag: DataFactory, protocol: TCP, port_ranges: "80, 8080-8089"}}
""",
    "jobs/v35.yml": """type: automl
task: classification
primary_metric: accuracy
target_column_name: y
training_data: {path: ../code, type: mltable}
validation_data_size: 0.2
limits: {max_trials: 10, timeout_minutes: 60, trial_timeout_minutes: 20}
featurization:
  dataset_language: eng
  transformer_params: {imputer: [{fields: [x], parameters: {strategy: median}}]}
training:
  allowed_training_algorithms: [knn]
  stack_ensemble_settings: {stack_meta_learner_type: elastic_net, stack_meta_learner_train_percentage: 0.2}
""",
    "jobs/v36.yml": """type: automl
task: image_object_detection
primary_metric: mean_average_precision
target_column_name: label
training_data: {path: ../code, type: mltable}
training_parameters: {number_of_epochs: 15}
sweep: {sampling_algorithm: random, early_termination: {type: bandit, evaluation_interval: 2, slack_factor: 0.2}}
search_space: [{learning_rate: {type: uniform, min_value: 0.001, max_value: 0.01}}]
""",
    "pipelines/v37.yml": """type: pipeline
inputs:
  group.rate: 0.5
  group.sub.how: fast
  rows: {type: uri_folder, path: ../code}
jobs:
  a:
    component: ../components/fit.yml
    compute: azureml:cpu-cluster
    inputs: {rows: '${{parent.inputs.rows}}', rate: '${{parent.inputs.group.rate}}', how: '${{parent.inputs.group.sub.how}}'}
""",
    "shared/v38.yml": """name: v38
type: command
inputs: {rate: {type: number, default: 1}}
command: echo ${{inputs.rate}}
environment: azureml:train@latest
""",
    "data/v39.yml": """name: v39
path: azureml://datastores/workspacemanageddatastore/
auto_delete_setting: {condition: created_greater_than, value: 30d}
""",
    "endpoints/v40.yml": """$schema: https://azuremlschemas.azureedge.net/latest/serverlessEndpoint.schema.json
name: v40
model_id: azureml://registries/azureml-meta/models/m
""",
}
