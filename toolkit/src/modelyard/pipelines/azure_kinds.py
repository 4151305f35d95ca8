"""What a file of Azure ML describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.pipelines.azure_fields import OneOf
from modelyard.pipelines.azure_fields_check import is_word, snake_case
from modelyard.pipelines.azure_schemas import fields_of, kinds, schema_of
from modelyard.pipelines.model import LITERAL_TYPES
from modelyard.yaml_files import LocatedMapping, nearest

_SCHEMAS = {  # part of the name in `$schema` → kind; the first that fits
    "pipelinecomponentbatchdeployment": "pipeline batch deployment",
    "modelbatchdeployment": "batch deployment",
    "batchdeployment": "plain batch deployment",
    "kubernetesonlinedeployment": "kubernetes deployment",
    "onlinedeployment": "online deployment",
    "batchendpoint": "batch endpoint",
    "kubernetesonlineendpoint": "kubernetes endpoint",
    "onlineendpoint": "online endpoint",
    "serverlessendpoint": "serverless endpoint",
    "marketplacesubscription": "serverless endpoint",
    "monitorschedule": "monitor",
    "dataimport": "data import",
    "importdataschedule": "import schedule",
    "schedule": "schedule",
    "environment": "environment",
    "data.schema": "data",
    "model.schema": "model",
    "featureset.": "feature set",
    "featurestoreentity": "feature store entity",
    "featurestore.": "feature store",
    "parallelcomponent": "parallel component",
    "sparkcomponent": "spark component",
    "commandcomponent": "command component",
    "pipelinecomponent": "pipeline component",
    "importcomponent": "import component",
    "pipelinejob": "pipeline",
    "commandjob": "command job",
    "sweepjob": "sweep job",
    "sparkjob": "spark job",
    "importjob": "import job",
    "automlcomponent": "automl component",
    "automl": "automl",
    "finetuningjob": "finetuning",
    "distillationjob": "distillation job",
    "datatransfer": "data transfer",
    "amlcompute": "amlcompute",
    "computeinstance": "compute instance",
    "kubernetescompute": "kubernetes compute",
    "vmcompute": "virtual machine",
    "synapsesparkcompute": "synapse spark",
    "workspaceconnection": "connection",
    "connection": "connection",
    "workspace": "workspace",
    "registry": "registry",
    "hub.schema": "hub",
    "project.schema": "project",
    "azureblob": "blob datastore",
    "azurefile": "file datastore",
    "azuredatalakegen2": "data lake gen 2 datastore",
    "azuredatalakegen1": "data lake gen 1 datastore",
    "onelake": "one lake datastore",
}
_FOLDERS = {
    "data": "data",
    "environments": "environment",
    "models": "model",
    "schedules": "schedule",
    "monitoring": "monitor",
    "pipelines": "pipeline",
    "jobs": "command job",
    "components": "command component",
    "registries": "registry",
    "workspaces": "workspace",
}
RESOURCE_FOLDERS = ("compute", "datastores", "connections")
FAMILIES = {  # kinds whose fields depend on a word in the file → the key of that word
    "automl": "task",
    "data transfer": "task",
    "finetuning": "model_provider",
    "connection": "type",
}
ELSEWHERE = "elsewhere"  # YAML that is not Azure ML's


def kind_of(path: Path, content: LocatedMapping) -> str | None:
    """The kind of a file by its `$schema`, else by its fields and folder; None where it cannot be told."""
    by_schema, by_fields = _by_schema(content), _by_fields(path, content)
    if by_schema and not (by_fields and _has_type_of_another(content, by_schema, by_fields)):
        return _precise(by_schema, content)
    return None if by_fields is None else _precise(by_fields, content)


def _by_schema(content: LocatedMapping) -> str | None:
    schema = str(content.get("$schema", "")).rpartition("/")[2].lower()
    return next((kind for part, kind in _SCHEMAS.items() if part in schema), None)


def _has_type_of_another(content: LocatedMapping, by_schema: str, by_fields: str) -> bool:
    """Whether `type`, by which Azure ML goes, is not one of a kind and is one of another."""
    known = [
        fields_of(schema).fields.get("type") if (schema := schema_of(kind)) else None
        for kind in (by_schema, by_fields)
    ]
    declared = str(content.get("type", ""))
    of_schema, of_fields = (isinstance(one, OneOf) and is_word(declared, one) for one in known)
    return of_fields and not of_schema and isinstance(known[0], OneOf)


def schema_mismatch(path: Path, content: LocatedMapping) -> str | None:
    """Why an address of Azure ML's schemas is that of none, or of another kind of file; None where it is fine."""
    by_schema, kind = _by_schema(content), kind_of(path, content)
    if by_schema and kind and kind != _precise(by_schema, content):
        return (
            f"$schema is that of a {by_schema}, and `type: {content['type']}` is that of a {kind}"
        )
    schema = content.get("$schema", "")
    if not isinstance(schema, str):
        return f"$schema: expected text, found {'nothing' if schema is None else type(schema).__name__}"
    host, _, name = schema.rpartition("/")
    if "azuremlschemas" not in host:
        return None
    if not name.lower().endswith(".schema.json"):
        return f"$schema: expected an address that ends in .schema.json, found {name}"
    if any(part in name.lower() for part in _SCHEMAS):
        return None
    near = nearest(name.lower().removesuffix(".schema.json"), _SCHEMAS, 0.8)
    return f"$schema: {name} is no schema; did you mean that of `{near}`?" if near else None


def _precise(kind: str, content: LocatedMapping) -> str:
    """The kind among those of a family that its `type` or `task` names, or whose fields say so."""
    declared = snake_case(str(content.get("type", "")))
    if kind in FAMILIES:
        wanted = snake_case(str(content.get(FAMILIES[kind], "")))
        for one in kinds():
            rule = fields_of(schema_of(one) or "").fields.get(FAMILIES[kind])
            if one.startswith(kind) and isinstance(rule, OneOf) and is_word(wanted, rule):
                return one
        return kind
    if kind == "batch deployment" and declared == "pipeline":
        return "pipeline batch deployment"
    if kind == "plain batch deployment" and isinstance(content.get("settings"), dict):
        return "pipeline batch deployment" if declared == "pipeline" else "batch deployment"
    if kind in ("online deployment", "kubernetes deployment"):
        return {"kubernetes": "kubernetes deployment", "managed": "online deployment"}.get(
            declared, kind
        )
    if kind == "online endpoint" and content.get("compute"):
        return "kubernetes endpoint"
    if kind == "schedule" and "create_monitor" in content:
        return "monitor"
    if kind == "schedule" and "import_data" in content:
        return "import schedule"
    return kind


def words_of(family: str) -> list[str]:
    """The words that a family of kinds has, such as the tasks of AutoML."""
    rules = [
        fields_of(schema_of(one) or "").fields[FAMILIES[family]]
        for one in kinds()
        if one.startswith(f"{family} ") and not one.endswith("component")
    ]
    return sorted({word for rule in rules if isinstance(rule, OneOf) for word in rule.words})


def _by_fields(path: Path, content: LocatedMapping) -> str | None:
    folder, stem, keys = path.parent.name, path.stem, content.keys()
    if _is_workflow(content):
        return ELSEWHERE
    if "create_monitor" in keys:
        return "monitor"
    if keys & {"create_job", "import_data", "trigger"}:
        return "schedule"
    is_elsewhere = isinstance(content.get("dependencies"), list) or keys & {
        "services",
        "repos",
        "on",
    }
    if is_elsewhere and not keys & {"image", "build", "type", "command", "jobs"}:
        return ELSEWHERE  # a conda file, Docker Compose
    if "model_id" in keys and not keys & {"endpoint_name", "jobs", "type"}:
        return "serverless endpoint"
    declared = snake_case(str(content.get("type", "")))
    is_component = (
        folder == "components"
        or "is_deterministic" in keys
        or ("jobs" not in keys and _has_ports(content.get("inputs")))
    )
    if "endpoint_name" in keys:
        is_batch = declared in ("model", "pipeline") or "batch" in stem or "compute" in keys
        return "batch deployment" if is_batch else "online deployment"
    if "auth_mode" in keys:
        is_batch = "batch" in stem or "defaults" in keys
        return "batch endpoint" if is_batch else "online endpoint"
    if declared == "sweep" or {"trial", "search_space"} <= keys:
        return "sweep job"
    if "jobs" in keys or declared == "pipeline":
        return "pipeline component" if is_component else "pipeline"
    if declared == "parallel" or "mini_batch_size" in keys:
        return "parallel component"
    if declared == "spark":
        return "spark component" if is_component else "spark job"
    if declared in ("automl", "data_transfer", "finetuning"):
        return declared.replace("_", " ")
    if declared == "distillation":
        return "distillation job"
    if "replication_locations" in keys:
        return "registry"
    if "command" in keys:
        return "command component" if is_component else "command job"
    by_type = _of_type(declared, keys)
    return by_type or _by_name(folder, stem, keys)


def _has_ports(inputs: Any) -> bool:
    """Whether inputs are those of a component, which have types; a job's have values."""
    return isinstance(inputs, dict) and any(
        isinstance(one, dict) and str(one.get("type")) in LITERAL_TYPES and "value" not in one
        for one in inputs.values()
    )


def _is_workflow(content: LocatedMapping) -> bool:
    """Whether a file is a pipeline of GitHub Actions or Azure DevOps."""
    jobs = content.get("jobs")
    if isinstance(jobs, dict):
        return any(
            isinstance(one, dict) and {"runs-on", "uses"} & one.keys() for one in jobs.values()
        )
    own = {"stages", "steps", "pool", "pr", "extends", "variables"} & content.keys()
    return (isinstance(jobs, list) and "type" not in content) or (
        bool(own) and not content.keys() & {"type", "create_job"}
    )


def _of_type(declared: str, keys: Any) -> str | None:
    """The kind of a compute, datastore, connection, model or data asset."""
    if declared in ("custom_model", "mlflow_model", "triton_model"):
        return "model"
    if declared in ("uri_file", "uri_folder", "mltable"):
        return "data"
    for one in kinds():
        rule = fields_of(schema_of(one) or "").fields.get("type")
        if isinstance(rule, OneOf) and is_word(declared, rule):
            is_resource = (
                one.endswith("datastore") or "compute" in one or one.startswith("connection")
            )
            if is_resource or one in ("virtual machine", "synapse spark"):
                return one
    return None


def _by_name(folder: str, stem: str, keys: Any) -> str | None:
    if "deployment" in stem:
        return "batch deployment" if "batch" in stem else "online deployment"
    if "endpoint" in stem:
        return "batch endpoint" if "batch" in stem else "online endpoint"
    if folder in _FOLDERS:
        return _FOLDERS[folder]
    if keys & {"image", "build", "conda_file"}:
        return "environment"
    if {"name", "path"} <= keys:
        return "data"
    return None
