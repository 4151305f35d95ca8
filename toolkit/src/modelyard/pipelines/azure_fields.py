"""The fields of Azure ML's files (CLI v2, azure-ai-ml 1.35.2), and what each may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    most: float | None = None


@dataclass(frozen=True)
class OneOf:
    """One of some words; upper and lower case are the same, as Azure has it."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Flag:
    """True or false."""


@dataclass(frozen=True)
class Asset:
    """`azureml:NAME:VERSION`, `azureml:NAME@LABEL`, an address of Azure, or the asset in full."""

    full: Mapping[str, Any] | None = None
    local: bool = False


@dataclass(frozen=True)
class Local:
    """A path on this machine, from the file's folder; an address of Azure is taken as it is."""

    kind: str = "file or folder"


@dataclass(frozen=True)
class Fields:
    """A mapping with these fields and no others."""

    fields: Mapping[str, Any]
    needed: tuple[str, ...] = ()


@dataclass(frozen=True)
class MapOf:
    """A mapping with names of one's own."""

    rule: Any = None


@dataclass(frozen=True)
class ListOf:
    """A list; with `single` one element may stand without brackets."""

    rule: Any = None
    single: bool = False


@dataclass(frozen=True)
class Either:
    """A mapping that is one kind or the other, by its `type`."""

    by_type: Mapping[str, Fields] = field(default_factory=dict)


TEXT, WHOLE, FLAG = Text(), Number(), Flag()
NAME = Text(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "letters, digits, `_`, `.` and `-`", 255)
COMPONENT_NAME = Text(r"[a-z][a-z0-9_]*", "lower-case letters, digits and `_`, a letter first", 255)
ENDPOINT_NAME = Text(
    r"[a-zA-Z](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?",
    "letters, digits and `-`, a letter first and no `-` at the end",
    32,
)
VARIABLES = MapOf(TEXT)
SWITCH = OneOf(("enabled", "disabled"))
SECONDS = Number(least=1)
PROBE = Fields(
    {
        "initial_delay": Number(least=0),
        "period": SECONDS,
        "timeout": SECONDS,
        "success_threshold": Number(least=1),
        "failure_threshold": Number(least=1),
    }
)
ASSET = {
    "$schema": TEXT,
    "name": NAME,
    "version": None,
    "description": TEXT,
    "tags": MapOf(),
    "id": TEXT,
}
ROUTE = Fields({"port": Number(least=1, most=65535), "path": TEXT}, ("port", "path"))
ENVIRONMENT = {
    "image": TEXT,
    "conda_file": Local("file"),
    "build": Fields({"path": Local("folder"), "dockerfile_path": TEXT}, ("path",)),
    "inference_config": Fields(
        {"liveness_route": ROUTE, "readiness_route": ROUTE, "scoring_route": ROUTE},
        ("liveness_route", "readiness_route", "scoring_route"),
    ),
    "os_type": OneOf(("linux", "windows")),
    "datastore": TEXT,
}
MODEL_TYPES = OneOf(("custom_model", "mlflow_model", "triton_model"))
MODEL = {
    "path": Local(),
    "type": MODEL_TYPES,
    "properties": MapOf(),
    "stage": TEXT,
    "flavors": MapOf(),
    "datastore": TEXT,
}
IDENTITY = Fields(
    {
        "type": OneOf(
            ("system_assigned", "user_assigned", "system_assigned,user_assigned", "none")
        ),
        "user_assigned_identities": ListOf(),
        "principal_id": TEXT,
        "tenant_id": TEXT,
    },
    ("type",),
)
ENDPOINT = {
    "$schema": TEXT,
    "name": ENDPOINT_NAME,
    "description": TEXT,
    "tags": MapOf(),
    "properties": MapOf(),
    "auth_mode": OneOf(("key", "aml_token", "aad_token")),
    "identity": IDENTITY,
    "location": TEXT,
}
SHARE = Number(least=0, most=100)
DEPLOYMENT = {
    "$schema": TEXT,
    "name": ENDPOINT_NAME,
    "endpoint_name": ENDPOINT_NAME,
    "description": TEXT,
    "tags": MapOf(),
    "properties": MapOf(),
    "model": Asset(ASSET | MODEL),
    "code_configuration": Fields(
        {"code": Local("folder"), "scoring_script": TEXT}, ("code", "scoring_script")
    ),
    "environment": Asset(ASSET | ENVIRONMENT),
    "environment_variables": VARIABLES,
}
COLLECTION = Fields(
    {"enabled": OneOf(("true", "false")), "data": None, "client_id": TEXT}, ("enabled",)
)
AMOUNTS = Fields({"cpu": TEXT, "memory": TEXT, "nvidia.com/gpu": TEXT, "gpu": TEXT})
ONLINE_DEPLOYMENT = DEPLOYMENT | {
    "type": OneOf(("managed", "kubernetes")),
    "app_insights_enabled": FLAG,
    "instance_type": TEXT,
    "instance_count": Number(least=1),
    "model_mount_path": TEXT,
    "scale_settings": Either(
        {
            "default": Fields({"type": TEXT}),
            "target_utilization": Fields(
                {
                    "type": TEXT,
                    "polling_interval": SECONDS,
                    "target_utilization_percentage": Number(least=1, most=100),
                    "min_instances": Number(least=0),
                    "max_instances": Number(least=1),
                }
            ),
        }
    ),
    "request_settings": Fields(
        {
            "request_timeout_ms": Number(least=1, most=180000),
            "max_concurrent_requests_per_instance": Number(least=1),
            "max_queue_wait_ms": Number(least=0),
        }
    ),
    "liveness_probe": PROBE,
    "readiness_probe": PROBE,
    "data_collector": Fields(
        {
            "collections": MapOf(COLLECTION),
            "rolling_rate": OneOf(("minute", "hour", "day")),
            "sampling_rate": Number(whole=False, least=0, most=1),
            "request_logging": Fields({"capture_headers": ListOf(TEXT)}),
        },
        ("collections",),
    ),
    "egress_public_network_access": SWITCH,
    "private_network_connection": FLAG,
    "resources": Fields({"requests": AMOUNTS, "limits": AMOUNTS}),
}
BATCH_SETTINGS: dict[str, Any] = {
    "mini_batch_size": Number(least=1),
    "max_concurrency_per_instance": Number(least=1),
    "error_threshold": Number(least=-1),
    "output_action": OneOf(("append_row", "summary_only")),
    "output_file_name": TEXT,
    "logging_level": OneOf(("debug", "info", "warning", "error", "critical")),
    "retry_settings": Fields({"max_retries": Number(least=0), "timeout": SECONDS}),
}
COUNT = Fields({"instance_count": Number(least=1), "instance_type": TEXT, "properties": MapOf()})
JOB_SETTINGS: dict[str, Any] = {
    "default_compute": TEXT,
    "default_datastore": TEXT,
    "continue_on_step_failure": FLAG,
    "force_rerun": FLAG,
}
BATCH_DEPLOYMENT = (
    DEPLOYMENT
    | BATCH_SETTINGS
    | {
        "type": OneOf(("model", "pipeline")),
        "compute": TEXT,
        "resources": COUNT,
        "settings": Fields(
            BATCH_SETTINGS
            | {"instance_count": Number(least=1), "environment_variables": VARIABLES}
            | JOB_SETTINGS
        ),
        "component": None,
        "job_definition": None,
    }
)
HOURS, MINUTES = Number(least=0, most=23), Number(least=0, most=59)
TRIGGER = {"type": TEXT, "start_time": TEXT, "end_time": TEXT, "time_zone": TEXT}
DAYS = OneOf(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
SCHEDULE = {
    "$schema": TEXT,
    "name": NAME,
    "display_name": TEXT,
    "description": TEXT,
    "tags": MapOf(),
    "properties": MapOf(),
    "trigger": Either(
        {
            "cron": Fields(TRIGGER | {"expression": TEXT}, ("expression",)),
            "recurrence": Fields(
                TRIGGER
                | {
                    "frequency": OneOf(("minute", "hour", "day", "week", "month")),
                    "interval": Number(least=1),
                    "schedule": Fields(
                        {
                            "hours": ListOf(HOURS, single=True),
                            "minutes": ListOf(MINUTES, single=True),
                            "week_days": ListOf(DAYS, single=True),
                            "month_days": ListOf(Number(least=1, most=31), single=True),
                        },
                        ("hours", "minutes"),
                    ),
                },
                ("frequency", "interval"),
            ),
        }
    ),
}
SPARK_NEEDS = (
    "spark.driver.cores",
    "spark.driver.memory",
    "spark.executor.cores",
    "spark.executor.memory",
)
JOB = {"$schema": TEXT, "display_name": TEXT, "description": TEXT, "tags": MapOf()}
PARALLEL = JOB | {
    "type": TEXT,
    "name": COMPONENT_NAME,
    "version": None,
    "is_deterministic": FLAG,
    "inputs": MapOf(),
    "outputs": MapOf(),
    "resources": COUNT,
    "logging_level": OneOf(("debug", "info", "warning")),
    "task": Fields(
        {
            "type": OneOf(("run_function", "model", "function")),
            "code": Local("folder"),
            "entry_script": TEXT,
            "program_arguments": TEXT,
            "environment": Asset(ASSET | ENVIRONMENT),
            "model": None,
            "append_row_to": TEXT,
        },
        ("type", "code", "entry_script", "environment"),
    ),
    "mini_batch_size": Text(
        r"[1-9][0-9]*\s*(?:[kKmMgG]?[bB])?", "a number, or a size such as 10kb"
    ),
    "partition_keys": ListOf(TEXT),
    "input_data": TEXT,
    "retry_settings": Fields({"max_retries": Number(least=0), "timeout": SECONDS}),
    "max_concurrency_per_instance": Number(least=1),
    "error_threshold": Number(least=-1),
    "mini_batch_error_threshold": Number(least=-1),
}
SPARK = JOB | {
    "type": TEXT,
    "name": COMPONENT_NAME,
    "version": None,
    "is_deterministic": FLAG,
    "inputs": MapOf(),
    "outputs": MapOf(),
    "code": Local("folder"),
    "entry": Fields({"file": TEXT, "class_name": TEXT, "spark_job_entry_type": TEXT}),
    "py_files": ListOf(TEXT),
    "jars": ListOf(TEXT),
    "files": ListOf(TEXT),
    "archives": ListOf(TEXT),
    "conf": MapOf(),
    "properties": MapOf(),
    "environment": Asset(ASSET | ENVIRONMENT),
    "args": TEXT,
    "additional_includes": ListOf(Local()),
    "resources": Fields({"instance_type": TEXT, "runtime_version": OneOf(("3.4", "3.5"))}),
    "identity": None,
    "compute": TEXT,
}
KINDS: dict[str, Fields] = {
    "environment": Fields(ASSET | ENVIRONMENT, ("name",)),
    "data": Fields(
        ASSET
        | {
            "type": OneOf(("uri_file", "uri_folder", "mltable")),
            "path": Local(),
            "datastore": TEXT,
        },
        ("name", "path"),
    ),
    "model": Fields(ASSET | MODEL, ("name", "path")),
    "online endpoint": Fields(
        ENDPOINT
        | {
            "traffic": MapOf(SHARE),
            "mirror_traffic": MapOf(SHARE),
            "public_network_access": SWITCH,
            "compute": TEXT,
        },
        ("name",),
    ),
    "batch endpoint": Fields(
        ENDPOINT | {"defaults": Fields({"deployment_name": ENDPOINT_NAME})}, ("name",)
    ),
    "online deployment": Fields(ONLINE_DEPLOYMENT, ("name", "endpoint_name")),
    "batch deployment": Fields(BATCH_DEPLOYMENT, ("name", "endpoint_name")),
    "schedule": Fields(SCHEDULE | {"create_job": None}, ("name", "trigger", "create_job")),
    "parallel component": Fields(PARALLEL, ("name", "task", "mini_batch_size", "input_data")),
    "spark component": Fields(SPARK, ("name", "code", "entry", "conf")),
}
