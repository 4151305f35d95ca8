"""What the fields of Azure ML's files may hold beyond what azure-ai-ml's schemas say.

What Azure ML itself asks for, and what that package finds later than in its schemas, stands in `CLOSER` and `NEEDED`: from the pages
`reference-yaml-*` of Azure ML's documentation and from the package's own checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Text:
    """Text; `pattern` is a regular expression with `means`, its meaning in words."""

    pattern: str = ""
    means: str = "text"
    longest: int = 0


@dataclass(frozen=True)
class Number:
    """A number, perhaps a whole one, between limits."""

    whole: bool = True
    least: float | None = None
    above: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class OneOf:
    """One of some words; upper and lower case are the same unless `exact`, and `AbC` is `ab_c` unless `lower`."""

    words: tuple[str, ...]
    exact: bool = False
    lower: bool = False


@dataclass(frozen=True)
class Flag:
    """True or false."""


@dataclass(frozen=True)
class Reference:
    """What begins with `azureml:`, `azureml://`, `git+`, an address, or stands in `${{ }}`."""

    kind: str


@dataclass(frozen=True)
class Local:
    """A path on this machine, from the file's folder; an address of Azure is taken as it is."""

    kind: str = "file or folder"


@dataclass(frozen=True)
class Fields:
    """A mapping with these fields and no others; those of `empty` may have no value."""

    fields: Mapping[str, Any]
    needed: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


@dataclass(frozen=True)
class Named:
    """The fields of a schema, by its name."""

    schema: str


@dataclass(frozen=True)
class MapOf:
    """A mapping with names of one's own, or with those of `keys`."""

    rule: Any = None
    keys: OneOf | None = None


@dataclass(frozen=True)
class ListOf:
    """A list."""

    rule: Any = None


@dataclass(frozen=True)
class Either:
    """One of several."""

    rules: tuple[Any, ...]


TEXT, WHOLE, FLAG = Text(), Number(), Flag()
NAME = Text(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "letters, digits, `_`, `.` and `-`", 255)
COMPONENT_NAME = Text(r"[a-z][a-z0-9_]*", "lower-case letters, digits and `_`, a letter first", 255)
ENVIRONMENT_NAME = replace(
    NAME,
    pattern=rf"(?!AzureML-|Microsoft-){NAME.pattern}",
    means=f"{NAME.means}, and not Azure's own prefix",
)
IMAGE = Text(r"(?!azureml:|\w+://)\S+", "an image such as mcr.microsoft.com/azureml/…:latest")
ENDPOINT_NAME = Text(
    r"[a-zA-Z](?=.{2})[-a-zA-Z0-9]*[a-zA-Z0-9]",
    "at least 3 letters, digits and `-`, a letter first and no `-` at the end",
    32,
)
DEPLOYMENT_NAME = replace(
    ENDPOINT_NAME,
    pattern=r"[a-zA-Z](?=.{2})[-_a-zA-Z0-9]*[a-zA-Z0-9]",
    means="at least 3 letters, digits, `-` and `_`, a letter first and no `-` at the end",
)
DATASTORE_NAME = Text(r"[A-Za-z0-9][A-Za-z0-9_-]*", "letters, digits, `_` and `-`", 255)
RESOURCE_NAME = Text(r"[A-Za-z0-9][A-Za-z0-9_-]{2,32}", "3 to 33 letters, digits, `_` and `-`")
DURATION = Text(
    r"P(?!$)(?:\d+Y)?(?:\d+M)?(?:\d+W)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?",
    "a duration such as P7D or PT12H",
)
ARM_ID = Text(
    r"(?i)/subscriptions/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/resourcegroups/[^/]+/providers/[a-z.]+/[a-z]+/.+",
    "/subscriptions/ID/resourceGroups/NAME/providers/KIND/NAME, the ID as 8-4-4-4-12 hexadecimal digits",
)
OUTPUT_PLACE = Text(
    r"azureml://(?:datastores/[^/]+/paths/|subscriptions/).*|(?!azureml:)\w+://.+|.*\$\{\{.*",
    "azureml://datastores/NAME/paths/PATH",
)
EMAILS = ListOf(Text(r"[^@\s]+@[^@\s]+\.[^@\s.]+", "an address such as a@example.com"))
STORE_ACCOUNT = {"account_name": Text(r"[^./:\s]+", "the account's name, without its address")}
PREPARED = {"pre_processing_component": Reference("asset")}
PORT = Number(least=1, most=65535)
LITERAL = Either((TEXT, Number(whole=False), FLAG))
VARIABLES = MapOf(LITERAL)
COUNT, COUNT0, PERCENT = Number(least=1), Number(least=0), Number(least=0, most=100)
THRESHOLD = Number(least=-1)
SHARES = MapOf(PERCENT)
SHARE = Number(whole=False, least=0, most=1)
PART = Number(whole=False, above=0, most=1)
SPREAD = {"sigma": Number(whole=False, above=0)}
MEMORY = Text(r"[1-9][0-9]*[bkmgBKMG]?", "a size such as 2g")
BATCH_SIZE = Text(r"[1-9][0-9]*(?:[kKmMgG][bB])?", "a number, or a size such as 10kb")
LEVELS = OneOf(("debug", "info", "warning", "error", "critical"))
SPARK_SIZES = OneOf(tuple(f"standard_e{cores}s_v3" for cores in (4, 8, 16, 32, 64)))
SERVERLESS_SPARK = {  # which runtimes are retired, `retirements.yml` says
    "instance_type": SPARK_SIZES,
    "runtime_version": Text(r"3\.[1-5](\.\d+)?", "one of 3.5, 3.4, 3.3, 3.2"),
}
SPARK_NEEDS = (
    "spark.driver.cores",
    "spark.driver.memory",
    "spark.executor.cores",
    "spark.executor.memory",
)
HOUR, MINUTE, DAY = Number(least=0, most=23), Number(least=0, most=59), Number(least=1, most=31)
RECURRENCE = {
    "hours": Either((HOUR, ListOf(HOUR))),
    "minutes": Either((MINUTE, ListOf(MINUTE))),
    "month_days": Either((DAY, ListOf(DAY))),
}
RESOURCES = {
    "instance_count": COUNT,
    "max_instance_count": COUNT,
    "shm_size": MEMORY,
}
PARALLEL = {
    "mini_batch_size": Either((BATCH_SIZE, Reference("binding"))),
    "input_data": Text(r"\$\{\{\s*inputs\.\w+\s*\}\}", "${{inputs.NAME}}"),
    "max_concurrency_per_instance": COUNT,
    "error_threshold": THRESHOLD,
    "mini_batch_error_threshold": THRESHOLD,
    "logging_level": OneOf(("debug", "info", "warning")),
}
AUTOML_LIMITS = dict.fromkeys(
    (
        "max_concurrent_trials",
        "max_nodes",
        "max_trials",
        "timeout_minutes",
        "trial_timeout_minutes",
    ),
    COUNT,
)
TABLES = {
    "validation_data_size": PART,
    "test_data_size": PART,
    "n_cross_validations": Either((OneOf(("auto",)), Number(least=2))),
}
IMAGES = {"number_of_epochs": COUNT, "learning_rate": SHARE}
BATCH = {
    "mini_batch_size": COUNT,
    "max_concurrency_per_instance": COUNT,
    "error_threshold": THRESHOLD,
    "logging_level": LEVELS,
    "environment_variables": VARIABLES,
    "instance_count": COUNT,
}
VM_SIZE = Text(
    r"(?i)(standard|basic)_[a-z]+\d+(-\d+)?[a-z]*(_(?!v\d\d?(_|$))([a-z]{1,2}\d{1,3}x?|[a-z]{2}|\d+))?(_v\d+)?(_promo)?",
    "a size such as Standard_D4as_v4",
)
DEPLOYMENT = {
    "name": DEPLOYMENT_NAME,
    "endpoint_name": ENDPOINT_NAME,
    "environment_variables": VARIABLES,
    "instance_count": COUNT,
}
ENDPOINT = {"name": ENDPOINT_NAME, "traffic": SHARES, "mirror_traffic": SHARES}
NODE = dict.fromkeys(("display_name", "description", "experiment_name"), TEXT) | {
    "name": NAME,
    "tags": MapOf(TEXT),
}
PLACE = {"path": Local(), "path_on_compute": TEXT}
ALL_NODES = {"nodes": OneOf(("all",))}
POLICY = {"evaluation_interval": COUNT, "delay_evaluation": COUNT0}
WINDOW = {"lookback_window_size": DURATION, "lookback_window_offset": DURATION}
DATASTORE, COMPONENT = {"name": DATASTORE_NAME}, {"name": COMPONENT_NAME}


def _compute(longest: int) -> dict[str, Any]:
    """https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules"""
    means = f"3 to {longest} letters, digits and `-`, a letter first and no `-` at the end"
    pattern = rf"[a-zA-Z](?=.{{2,{longest - 1}}}$)[-a-zA-Z0-9]*[a-zA-Z0-9]"
    return {"name": Text(pattern, means)}


CLOSER: dict[str, Mapping[str, Any]] = {
    "Environment": {
        "name": ENVIRONMENT_NAME,
        "image": IMAGE,
        "conda_file": Either((Local("file"), MapOf())),
    },
    "AnonymousEnvironment": {"image": IMAGE, "conda_file": Either((Local("file"), MapOf()))},
    "BuildContext": {"path": Local("folder")},
    "Route": {"port": PORT},
    "Data": {"name": NAME, "path": Local()},
    "Model": {"name": NAME, "path": Local(), "flavors": MapOf(MapOf())},
    "AnonymousModel": {"path": Local(), "flavors": MapOf(MapOf())},
    "CommandComponent": COMPONENT,
    "ParallelComponent": COMPONENT | PARALLEL,
    "AnonymousParallelComponent": PARALLEL,
    "SparkComponent": COMPONENT,
    "PipelineComponent": COMPONENT | {"settings": Named("PipelineJobSettings")},
    "ImportComponent": COMPONENT,
    "AutoMLComponent": COMPONENT,
    **{key: {"name": NAME} for key in ("CommandJob", "SweepJob", "SparkJob", "PipelineJob")},
    "Command": NODE,
    "PipelineCommandJob": NODE,
    "Import": NODE,
    "Sweep": NODE,
    "Pipeline": NODE | {"settings": Named("PipelineJobSettings")},
    "Parallel": NODE | PARALLEL,
    "PipelineParallelJob": NODE | PARALLEL,
    "Spark": NODE,
    "ComponentResource": RESOURCES,
    "JobResourceConfiguration": RESOURCES,
    "Output": {
        "name": Text(r"[\w-]+", "letters, digits, `_` and `-`", 255),
        "path": OUTPUT_PLACE,
    },
    **{
        f"{kind}JobService": ALL_NODES
        for kind in ("", "JupyterLab", "Ssh", "TensorBoard", "VsCode")
    },
    "PrimitiveOutput": {"is_control": FLAG, "early_available": FLAG},
    "CommandJobLimits": {"timeout": COUNT},
    "ComponentParallelTask": {
        "type": OneOf(("run_function",), lower=True),
        "append_row_to": Text(r"\$\{\{\s*outputs\.\w+\s*\}\}", "${{outputs.NAME}}"),
    },
    **dict.fromkeys(("Normal", "QNormal", "IntegerQNormal"), SPREAD),
    **dict.fromkeys(("AutoMLTableLimits", "ImageLimits", "NlpLimits"), AUTOML_LIMITS),
    **{
        f"AutoML{task}{node}": TABLES
        for task in ("Classification", "Forecasting", "Regression")
        for node in ("", "Node")
    },
    **dict.fromkeys(
        ("ImageModelSettingsClassification", "ImageModelSettingsObjectDetection"), IMAGES
    ),
    "StackEnsembleSettings": {"stack_meta_learner_train_percentage": PART},
    "ForecastingSettings": {"forecast_horizon": Either((OneOf(("auto",)), COUNT))},
    "RetrySettings": {"max_retries": COUNT0, "timeout": COUNT},
    "BatchRetrySettings": {"max_retries": COUNT0, "timeout": COUNT},
    "SweepJobLimits": {
        "max_total_trials": Number(least=1, most=1000),
        "max_concurrent_trials": Number(least=1, most=1000),
        "timeout": COUNT,
        "trial_timeout": COUNT,
    },
    "BanditPolicy": POLICY,
    "MedianStoppingPolicy": POLICY,
    "TruncationSelectionPolicy": POLICY | {"truncation_percentage": Number(least=1, most=99)},
    "MPIDistribution": {"process_count_per_instance": COUNT},
    "PyTorchDistribution": {"process_count_per_instance": COUNT},
    "TensorFlowDistribution": {"parameter_server_count": COUNT0, "worker_count": COUNT},
    "SparkResourceConfiguration": SERVERLESS_SPARK,
    "SparkResourceConfigurationForNode": SERVERLESS_SPARK,
    "ManagedOnlineEndpoint": ENDPOINT,
    "KubernetesOnlineEndpoint": ENDPOINT,
    "Identity": {
        "user_assigned_identities": ListOf(
            Fields(dict.fromkeys(("resource_id", "client_id", "object_id", "principal_id"), TEXT))
        )
    },
    "BatchEndpoint": {"name": ENDPOINT_NAME, "auth_mode": OneOf(("aad_token",))},
    "BatchEndpointsDefaults": {"deployment_name": DEPLOYMENT_NAME},
    "ManagedOnlineDeployment": DEPLOYMENT | {"name": ENDPOINT_NAME, "instance_type": VM_SIZE},
    "KubernetesOnlineDeployment": DEPLOYMENT | {"name": ENDPOINT_NAME},
    "ModelBatchDeployment": DEPLOYMENT | {"type": OneOf(("model",))},
    "ModelBatchDeploymentSettings": BATCH,
    "BatchDeployment": DEPLOYMENT | BATCH,
    "PipelineComponentBatchDeployment": {
        "type": OneOf(("pipeline",)),
        "name": DEPLOYMENT_NAME,
        "endpoint_name": ENDPOINT_NAME,
        "settings": Fields(
            {
                "default_compute": TEXT,
                "default_datastore": TEXT,
                "continue_on_step_failure": FLAG,
                "force_rerun": FLAG,
            }
        ),
    },
    "CodeConfiguration": {"code": Local("folder")},
    "DataInput": PLACE,
    "ModelInput": PLACE,
    "MLTableInput": PLACE,
    "ResourceSettings": {
        "cpu": Text(r"[0-9]+(?:\.[0-9]+)?m?", "cores such as 0.5 or 500m"),
        "memory": Text(r"[0-9]+(?:\.[0-9]+)?(?:[KMGTPE]i|[kMGTPEm])?", "a size such as 0.5Gi"),
        "nvidia.com/gpu": TEXT,
    },
    "LivenessProbe": {
        "initial_delay": COUNT0,
        "period": COUNT,
        "timeout": COUNT,
        "success_threshold": COUNT,
        "failure_threshold": COUNT,
    },
    "RequestSettings": {
        "request_timeout_ms": Number(least=1, most=180000),
        "max_concurrent_requests_per_instance": COUNT,
        "max_queue_wait_ms": COUNT0,
    },
    "TargetUtilizationScaleSettings": {
        "polling_interval": COUNT,
        "target_utilization_percentage": Number(least=1, most=100),
        "min_instances": COUNT0,
        "max_instances": COUNT,
    },
    "DataCollector": {"sampling_rate": SHARE, "rolling_rate": OneOf(("minute", "hour", "day"))},
    "JobSchedule": {"name": NAME},
    "MonitorSchedule": {"name": NAME},
    "ImportDataSchedule": {"name": NAME},
    "RecurrenceTrigger": {"interval": COUNT},
    "RecurrencePattern": RECURRENCE,
    "ServerlessSparkCompute": SERVERLESS_SPARK,
    "BaselineDataRange": WINDOW,
    "ProductionData": PREPARED | {"data_window": Named("BaselineDataRange")},
    "ReferenceData": PREPARED,
    "FADProductionData": PREPARED,
    "GenerationSafetyQuality": {"sampling_rate": SHARE},
    "GenerationTokenStatistics": {"sampling_rate": SHARE},
    "AlertNotification": {"emails": EMAILS},
    "Notification": {"emails": EMAILS},
    "AutoDeleteSetting": {"value": Text(r"[1-9][0-9]*d", "days such as 30d")},
    "FeatureSet": {"entities": ListOf(Reference("asset"))},
    "FeatureSetSpecification": {"path": Local("folder")},
    "FeatureStore": {
        store: Fields({"type": OneOf((kind,)), "target": ARM_ID}, ("type", "target"))
        for store, kind in (("offline_store", "azure_data_lake_gen2"), ("online_store", "redis"))
    },
    "ComputeRuntime": {"spark_runtime_version": SERVERLESS_SPARK["runtime_version"]},
    "DataColumn": {
        "type": OneOf(
            ("string", "integer", "long", "float", "double", "binary", "datetime", "boolean")
        )
    },
    "AmlCompute": _compute(32)
    | {"size": VM_SIZE}
    | {"min_instances": COUNT0, "max_instances": COUNT0, "idle_time_before_scale_down": COUNT0},
    "ComputeInstance": _compute(24)
    | {
        "size": VM_SIZE,
        "idle_time_before_shutdown_minutes": Number(least=15, most=3 * 24 * 60),
        "idle_time_before_shutdown": DURATION,
    },
    **dict.fromkeys(
        ("EndpointsSettings",),
        dict.fromkeys(("published", "target"), Number(least=1026, most=65534)),
    ),
    "RecurrenceSchedule": {"hours": ListOf(HOUR), "minutes": ListOf(MINUTE)},
    "KubernetesCompute": {
        "namespace": Text(
            r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", "lower-case letters, digits and `-`", 63
        ),
        "resource_id": ARM_ID,
    },
    "SynapseSparkCompute": {"resource_id": ARM_ID},
    "VirtualMachineCompute": {"resource_id": ARM_ID},
    "NetworkAcls": {"default_action": OneOf(("Deny", "Allow"), exact=True)},
    "ServiceTagDestination": {
        "protocol": OneOf(("TCP", "UDP", "ICMP", "*")),
        "port_ranges": Text(
            r"\*|\d{1,5}(?:-\d{1,5})?(?:\s*,\s*\d{1,5}(?:-\d{1,5})?)*",
            "ports such as 80, 8080-8089",
        ),
    },
    "AzureBlobStoreConnection": STORE_ACCOUNT,
    "AzureBlob": DATASTORE
    | STORE_ACCOUNT
    | {
        "container_name": Text(
            r"\$?[a-z0-9](?:-?[a-z0-9])*", "lower-case letters, digits and `-`", 63
        ),
        "protocol": OneOf(("https", "wasbs")),
    },
    "AzureFile": DATASTORE | STORE_ACCOUNT,
    "AzureDataLakeGen2": DATASTORE | STORE_ACCOUNT,
    "Registry": {"name": RESOURCE_NAME},
    "Workspace": {"name": RESOURCE_NAME},
}
NEEDED: dict[str, tuple[str, ...]] = {
    "Data": ("name",),
    "Model": ("path",),
    "AnonymousModel": ("path",),
    "BuildContext": ("path",),
    "CodeConfiguration": ("code", "scoring_script"),
    "DataCollector": ("collections",),
    "ManagedOnlineDeployment": ("instance_count",),
    "JobSchedule": ("trigger", "create_job"),
    "ImportDataSchedule": ("trigger", "import_data"),
    "MonitorSchedule": ("trigger", "create_monitor"),
    "ParallelComponent": ("task", "input_data"),
    "ComponentParallelTask": ("code", "entry_script"),
    "SparkComponent": ("code", "type"),  # a step may give the `conf`
    "SparkJob": ("code", "conf"),
    "SparkResourceConfiguration": ("instance_type", "runtime_version"),
    "KubernetesOnlineEndpoint": ("compute",),
    "MonitorDefinition": ("compute",),
    "PipelineComponentBatchDeployment": ("name", "endpoint_name"),
    "CustomMonitoringSignal": ("component_id", "metric_thresholds"),
    "ModelBatchDeploymentSettings": ("mini_batch_size",),
    "Identity": ("type",),
    "Identity2": ("type",),
    "Identity3": ("type",),
    "ManagedNetwork": ("isolation_mode",),
    "ServerlessSparkCompute": ("instance_type", "runtime_version"),
    "ProductionData": ("input_data",),
    "ReferenceData": ("input_data",),
    "FADProductionData": ("input_data",),
    "LlmData": ("input_data",),
    "GenerationSafetyQuality": ("metric_thresholds",),
    "CustomMonitoringMetricThreshold": ("metric_name",),
    "VirtualMachineSshSettings": ("admin_username",),
    "CustomApplications": ("image", "endpoints"),
    "ImageSettings": ("reference",),
    "EndpointsSettings": ("target", "published"),
    "RecurrenceTrigger2": ("interval",),
    "RecurrenceSchedule": ("hours", "minutes"),
    "KubernetesOnlineDeployment": ("type",),
    **dict.fromkeys(
        ("PipelineJob", "PipelineComponent", "ImportJob", "ImportComponent"), ("type",)
    ),
    "ImageSweepSettings": ("sampling_algorithm",),
    "StackEnsembleSettings": ("stack_meta_learner_type",),
    "OneLake": ("artifact",),
    "ForecastingSettings": ("time_column_name",),
    "PatTokenConfiguration": ("pat",),
    "SasTokenConfiguration": ("sas_token",),
    "AccountKeyConfiguration": ("account_key",),
    "ApiKeyConfiguration": ("key",),
    "UsernamePasswordConfiguration": ("username", "password"),
    "AccessKeyConfiguration": ("access_key_id", "secret_access_key"),
    "ServicePrincipalConfiguration": ("tenant_id", "client_id", "client_secret"),
    "Registry": ("name", "replication_locations"),
}
