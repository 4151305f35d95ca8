"""Writes src/modelyard/pipelines/azure_schemas.json: the fields of Azure ML's files, as azure-ai-ml has them.

    python -m venv aml && aml/bin/pip install azure-ai-ml==1.35.2 && aml/bin/python toolkit/azure_schemas.py

A rule is a word (text, whole, number, flag, any, when, path, url, git, registry, arm, arm id, binding, file) or a mapping of one:
{one: words, exact or lower: true}, {list: rule}, {map: rule, keys: words}, {is: schema}, {either: rules}, {path: file or folder}, {whole: [least, most]}.
"""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import marshmallow
from azure.ai.ml._schema.component.component import ComponentYamlRefField
from azure.ai.ml._schema.core import fields as azure
from azure.ai.ml.constants._common import BASE_PATH_CONTEXT_KEY, TimeZone
from marshmallow import fields

TARGET = Path(__file__).parent / "src" / "modelyard" / "pipelines" / "azure_schemas.json"
KINDS = {  # kind of file → module and schema
    "pipeline": "pipeline.pipeline_job:PipelineJob",
    "command job": "job.command_job:CommandJob",
    "sweep job": "_sweep.sweep_job:SweepJob",
    "spark job": "job.spark_job:SparkJob",
    "import job": "job.import_job:ImportJob",
    "automl classification": "automl.table_vertical.classification:AutoMLClassification",
    "automl regression": "automl.table_vertical.regression:AutoMLRegression",
    "automl forecasting": "automl.table_vertical.forecasting:AutoMLForecasting",
    "automl text_classification": "automl.nlp_vertical.text_classification:TextClassification",
    "automl text_classification_multilabel": "automl.nlp_vertical.text_classification_multilabel:TextClassificationMultilabel",
    "automl text_ner": "automl.nlp_vertical.text_ner:TextNer",
    "automl image_classification": "automl.image_vertical.image_classification:ImageClassification",
    "automl image_classification_multilabel": "automl.image_vertical.image_classification:ImageClassificationMultilabel",
    "automl image_object_detection": "automl.image_vertical.image_object_detection:ImageObjectDetection",
    "automl image_instance_segmentation": "automl.image_vertical.image_object_detection:ImageInstanceSegmentation",
    "finetuning custom": "_finetuning.custom_model_finetuning:CustomModelFineTuning",
    "finetuning azure_openai": "_finetuning.azure_openai_finetuning:AzureOpenAIFineTuning",
    "distillation job": "_distillation.distillation_job:DistillationJob",
    "data transfer copy_data": "job.data_transfer_job:DataTransferCopyJob",
    "data transfer import_data": "job.data_transfer_job:DataTransferImportJob",
    "data transfer export_data": "job.data_transfer_job:DataTransferExportJob",
    "command component": "component.command_component:CommandComponent",
    "parallel component": "component.parallel_component:ParallelComponent",
    "spark component": "component.spark_component:SparkComponent",
    "import component": "component.import_component:ImportComponent",
    "automl component": "component.automl_component:AutoMLComponent",
    "pipeline component": "pipeline.pipeline_component:PipelineComponent",
    "environment": "assets.environment:Environment",
    "data": "assets.data:Data",
    "data import": "_data_import.data_import:DataImport",
    "model": "assets.model:Model",
    "feature set": "_feature_set.feature_set_schema:FeatureSet",
    "feature store entity": "_feature_store_entity.feature_store_entity_schema:FeatureStoreEntity",
    "online endpoint": "_endpoint.online.online_endpoint:ManagedOnlineEndpoint",
    "kubernetes endpoint": "_endpoint.online.online_endpoint:KubernetesOnlineEndpoint",
    "batch endpoint": "_endpoint.batch.batch_endpoint:BatchEndpoint",
    "online deployment": "_deployment.online.online_deployment:ManagedOnlineDeployment",
    "kubernetes deployment": "_deployment.online.online_deployment:KubernetesOnlineDeployment",
    "batch deployment": "_deployment.batch.model_batch_deployment:ModelBatchDeployment",
    "plain batch deployment": "_deployment.batch.batch_deployment:BatchDeployment",
    "pipeline batch deployment": "_deployment.batch.pipeline_component_batch_deployment_schema:PipelineComponentBatchDeployment",
    "schedule": "schedule.schedule:JobSchedule",
    "import schedule": "_data_import.schedule:ImportDataSchedule",
    "monitor": "monitoring.schedule:MonitorSchedule",
    "amlcompute": "compute.aml_compute:AmlCompute",
    "compute instance": "compute.compute_instance:ComputeInstance",
    "kubernetes compute": "compute.kubernetes_compute:KubernetesCompute",
    "virtual machine": "compute.virtual_machine_compute:VirtualMachineCompute",
    "synapse spark": "compute.synapsespark_compute:SynapseSparkCompute",
    "workspace": "workspace.workspace:Workspace",
    "hub": "workspace.ai_workspaces.hub:Hub",
    "project": "workspace.ai_workspaces.project:Project",
    "feature store": "_feature_store.feature_store_schema:FeatureStore",
    "registry": "registry.registry:Registry",
    "blob datastore": "_datastore.azure_storage:AzureBlob",
    "file datastore": "_datastore.azure_storage:AzureFile",
    "data lake gen 2 datastore": "_datastore.azure_storage:AzureDataLakeGen2",
    "data lake gen 1 datastore": "_datastore.adls_gen1:AzureDataLakeGen1",
    "one lake datastore": "_datastore.one_lake:OneLake",
}
WITHOUT_SCHEMA = {  # kinds that azure-ai-ml reads into a class: `ServerlessEndpoint`, `MarketplaceSubscription`
    "serverless endpoint": {
        "fields": {
            "auth_mode": "text",
            "description": "text",
            "model_id": "text",
            "name": "text",
            "properties": {"map": "text"},
            "tags": {"map": "text"},
        },
        "needed": ["model_id", "name"],
    }
}
ARM_IDS = ("validate_arm_str", "acr_format_validator", "storage_account_validator")
CONTEXT = {BASE_PATH_CONTEXT_KEY: Path()}
schemas: dict[str, Any] = {}


names: dict[type, str] = {}


def add(cls: type) -> str:
    """Note a schema and all that it refers to; returns its name."""
    if cls in names:
        return names[cls]
    name = base = cls.__name__.removesuffix("Schema")
    while name in schemas:  # another class of this name
        name = f"{base}{int(name[len(base) :] or 1) + 1}"
    names[cls] = name
    schemas[name] = {}
    try:
        schema = cls(context=dict(CONTEXT))
    except TypeError:
        schema = cls()
    found: dict[str, Any] = {}
    needed = []
    empty = []
    for attribute, field in schema.fields.items():
        key = field.data_key or attribute
        if key == "$schema":
            continue
        found[key] = "any" if field.dump_only else rule(field)
        if field.required and not field.dump_only:
            needed.append(key)
        if field.allow_none and not field.dump_only:
            empty.append(key)
    schemas[name] = {"fields": dict(sorted(found.items()))} | (
        {"needed": sorted(needed)} if needed else {}
    )
    schemas[name] |= {"empty": sorted(empty)} if empty else {}
    return name


def either(options: list[Any]) -> Any:
    """Join rules, without repeating one."""
    flat: list[Any] = []
    for one in options:
        for part in one["either"] if isinstance(one, dict) and "either" in one else [one]:
            if part not in flat:
                flat.append(part)
    if "any" in flat:
        return "any"
    return flat[0] if len(flat) == 1 else {"either": flat}


def words(field: Any) -> list[str]:
    """The words that a field may hold, in the order given."""
    allowed = field.allowed_values
    return list(map(str, sorted(allowed) if isinstance(allowed, (set, frozenset)) else allowed))


def limited(field: fields.Field, kind: str) -> Any:
    """The rule of a value with limits."""
    for check in field.validators:
        if isinstance(check, marshmallow.validate.Range):
            return {kind: [check.min, check.max]}
        if isinstance(check, marshmallow.validate.OneOf):
            return {"one": list(check.choices), "exact": True}
        if getattr(check, "__name__", "") in ARM_IDS:
            return "arm id"
    return kind


def rule(field: Any) -> Any:
    """The rule of one field."""
    match field:
        case azure.ExperimentalField():
            return rule(field.experimental_field)
        case azure.UnionField():
            return either([rule(one) for one in field.union_fields])
        case fields.Nested():
            nested = field.nested
            inner = {
                "is": add(
                    type(field.schema)
                    if isinstance(nested, str) or not isinstance(nested, type)
                    else nested
                )
            }
            return {"list": inner} if field.many else inner
        case azure.DumpableEnumField():
            return {"one": words(field), "exact": True}
        case azure.StringTransformedEnum():
            is_lower = field.casing_transform("aB") == "ab"  # `AbC` is not `ab_c`
            return {"one": words(field)} | ({"lower": True} if is_lower else {})
        case azure.LocalPathField():
            kind = (
                ""
                if field._allow_dir and field._allow_file
                else "folder"
                if field._allow_dir
                else "file"
            )
            return {"path": kind} if kind else "path"
        case azure.RegistryStr():
            return "registry"
        case azure.ArmVersionedStr():
            return "asset or newest" if field.allow_default_version else "asset"
        case azure.ArmStr():
            return "arm"
        case azure.GitStr():
            return "git"
        case azure.DataBindingStr() | fields.Field() if "BindingStr" in type(field).__name__:
            return "binding"
        case azure.DateTimeStr() | fields.DateTime():
            return "when"
        case azure.FileRefField() | azure.RefField() | ComponentYamlRefField():
            return "file"
        case azure.VersionField():
            return "version"
        case azure.PythonFuncNameStr() | azure.PipelineNodeNameStr():
            return "text"
        case fields.List():
            return {"list": rule(field.inner)}
        case fields.Dict():
            found = {"map": "any" if field.value_field is None else rule(field.value_field)}
            keys = "text" if field.key_field is None else rule(field.key_field)
            return found | ({"keys": keys["one"]} if "one" in keys else {})
        case fields.Boolean():
            return "flag"
        case fields.Integer():
            return limited(field, "whole")
        case fields.Number():
            return limited(field, "number")
        case fields.Constant():
            return {"one": [field.constant]}
        case fields.Url():
            return "url"
        case fields.String():
            return limited(field, "text")
        case fields.Raw():
            return "any"
        case _:
            raise NotImplementedError(f"{type(field).__name__} {field.name}")


def main() -> None:
    """Write the file."""
    kinds = {}
    for kind, place in KINDS.items():
        module, name = place.split(":")
        kinds[kind] = add(getattr(import_module(f"azure.ai.ml._schema.{module}"), f"{name}Schema"))
    connections = vars(
        import_module("azure.ai.ml._schema.workspace.connections.connection_subtypes")
    )
    for name, cls in connections.items():
        if name.endswith("ConnectionSchema"):
            kinds[f"connection {name.removesuffix('ConnectionSchema')}"] = add(cls)
    for kind, found in WITHOUT_SCHEMA.items():
        kinds[kind], schemas[kind] = kind, found
    content = {
        "made from": f"azure-ai-ml {version('azure-ai-ml')}",
        "time zones": [one.value for one in TimeZone],
        "kinds": kinds,
        "schemas": {},
    }
    lines = [
        f"{json.dumps(name)}:{json.dumps(one, separators=(',', ':'))}"
        for name, one in sorted(schemas.items())
    ]
    head = json.dumps(content, indent=1)
    TARGET.write_text(
        head.replace('"schemas": {}', '"schemas": {\n' + ",\n".join(lines) + "\n}") + "\n",
        encoding="utf-8",
    )
    print(f"{len(kinds)} kinds, {len(schemas)} schemas, {TARGET.stat().st_size} bytes")


main()
