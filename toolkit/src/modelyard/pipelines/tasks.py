"""Parallel and Spark steps as commands."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

from modelyard.pipelines.azure_fields import Fields
from modelyard.pipelines.azure_fields_check import Checker
from modelyard.pipelines.azure_files import entry_file
from modelyard.pipelines.azure_schemas import fields_of
from modelyard.pipelines.documents import WITHOUT_EFFECT, Problems
from modelyard.pipelines.model import LITERAL_TYPES
from modelyard.pipelines.references import reference
from modelyard.yaml_files import LocatedMapping, did_you_mean, located_like

MINI_BATCHES = Path(__file__).parent / "parallel" / "mini_batches.py"
MINI_BATCHES_VARIABLE = "MLOPS_MINI_BATCHES"  # a key of a result has no path of this machine
# What a node of a component may say otherwise than the component.
_PARALLEL = {
    "mini_batch_size",
    "partition_keys",
    "input_data",
    "retry_settings",
    "max_concurrency_per_instance",
    "error_threshold",
    "mini_batch_error_threshold",
    "logging_level",
}
_SPARK = {"conf", "args"}
_SCHEMAS = {  # of a component, and of a step that is one
    "parallel": ("ParallelComponent", "PipelineParallelJob"),
    "spark": ("SparkComponent", "PipelineSparkJob"),
}
TASK_SETTINGS = {"parallel": _PARALLEL, "spark": _SPARK}
# https://learn.microsoft.com/azure/machine-learning/reference-yaml-job-parallel#predefined-arguments-for-parallel-job
WITHOUT_EFFECT_HERE = {
    "--task_overhead_timeout",
    "--progress_update_timeout",
    "--first_task_creation_timeout",
    "--copy_logs_to_parent",
    "--metrics_name_prefix",
    "--push_metrics_to_parent",
    "--resource_monitor_interval",
}
_KEPT = {
    "name",
    "version",
    "inputs",
    "outputs",
    "tags",
    "is_deterministic",
    "environment",
    "environment_variables",
    "code",
    "additional_includes",
}


@cache
def task_fields(kind: str) -> dict[str, Any]:
    """The fields of a parallel or Spark component, and of a step that is one."""
    component, step = (fields_of(schema).fields for schema in _SCHEMAS[kind])
    return {"$schema": None, **step, **component}


def check_task(content: LocatedMapping, kind: str, file: Path, problems: Problems) -> bool:
    """Check a parallel or Spark component, or a step that is one; returns whether it is fine.

    Args:
        content: the component, or the step with the fields that every step has.
        kind: `parallel` or `spark`.
        file: it is part of.
        problems: takes everything that is wrong.
    """
    before = len(problems.found)
    rule = Fields(task_fields(kind), fields_of(_SCHEMAS[kind][0]).needed)
    elsewhere = ("name", "type", "inputs", "outputs")  # what else is checked
    own = {key: content[key] for key in content if key in rule.fields and key not in elsewhere}
    needed = tuple(key for key in rule.needed if key not in elsewhere)
    Checker(file, file.parent, problems).fields(
        located_like(own, content), Fields(rule.fields, needed)
    )
    if len(problems.found) > before:
        return False
    script = "entry_script" if kind == "parallel" else "file"
    section = content["task" if kind == "parallel" else "entry"]
    folder = file.parent / str((section if kind == "parallel" else content)["code"])
    name = str(section.get(script) or "")
    if not name:
        message = "`entry.file` is missing: a class of a jar is not run here"
        problems.add(file, content.line_of("entry"), message)
    elif folder.is_dir() and not (folder / entry_file(folder, name)).is_file():
        near = did_you_mean(name, [p.name for p in folder.glob("*.py")])
        message = f"{name} does not exist in {os.path.relpath(folder, file.parent)}{near}"
        problems.add(file, section.line_of(script), message)
    if kind == "spark":
        _note_executors(content, file, problems)
    else:
        _note_arguments(section, file, problems)
        name = (reference(content["input_data"]) or [""])[-1]
        if found := batches_mismatch(content, name):
            key, wrong = found
            problems.add(file, content.line_of(key), f"{key}: {wrong}")
    return len(problems.found) == before


def _note_arguments(task: LocatedMapping, file: Path, problems: Problems) -> None:
    """Note what Azure ML takes out of the program's arguments and this machine does not act on."""
    given = str(task.get("program_arguments") or "").split()
    for name in [one for one in given if one in WITHOUT_EFFECT_HERE]:
        line = task.line_of("program_arguments")
        problems.note(file, line, f"`{name}` has no effect here: there is one process, and one log")
    if "model" in task:
        problems.note(file, task.line_of("model"), "`task.model` has no effect on run_function")


def _note_executors(content: LocatedMapping, file: Path, problems: Problems) -> None:
    conf = content.get("conf") or LocatedMapping()
    names = [key for key in conf if str(key).startswith(("spark.executor", "spark.dynamic"))]
    if names:
        message = f"no effect here, Spark runs in one process: {', '.join(map(str, names))}"
        problems.note(file, conf.line_of(names[0]), message)


def batches_mismatch(content: LocatedMapping, name: str) -> tuple[str, str] | None:
    """The field by which an input cannot be handed out in mini-batches, and why; None where it can."""
    inputs = content.get("inputs")
    spec = inputs.get(name) if isinstance(inputs, dict) else None
    kind = spec.get("type") if isinstance(spec, dict) else None
    if str(kind) in LITERAL_TYPES:
        return "input_data", f"expected data, input `{name}` is a {kind}"
    if kind not in ("uri_file", "uri_folder"):
        return None
    if "partition_keys" in content:
        return "partition_keys", f"columns of a table (mltable); input `{name}` is {kind}"
    size = str(content.get("mini_batch_size", 1))
    if not size.isdigit() and "${{" not in size:
        return "mini_batch_size", f"input `{name}` is files, so expected their number; found {size}"
    return None


def as_command(content: LocatedMapping, kind: str, inputs: LocatedMapping) -> LocatedMapping:
    """The command component that does what a checked parallel or Spark component does."""
    fields = {key: content[key] for key in content if key in _KEPT or key in WITHOUT_EFFECT}
    result = located_like({"type": "command"} | fields, content)
    if kind == "parallel":
        task = content["task"]
        result |= {"command": _mini_batches(content, inputs)}
        result |= {key: task[key] for key in ("code", "environment")}
        result.lines |= {key: task.line_of(key) for key in ("code", "environment")}
        result.lines["command"] = task.line_of("program_arguments")
    else:
        result |= {"command": _spark_submit(content)}
        result.lines["command"] = content.line_of("args")
    return result


def _mini_batches(content: LocatedMapping, inputs: LocatedMapping) -> str:
    task = content["task"]
    name = (reference(content["input_data"]) or ["inputs", ""])[1]
    modes = [
        section[name].get("mode")
        for section in (inputs, content.get("inputs"))
        if isinstance(section, dict) and isinstance(section.get(name), dict)
    ]
    mode = next((mode for mode in modes if mode is not None), "direct")
    retry = content.get("retry_settings") or {}
    settings: dict[str, Any] = {
        "entry_script": task["entry_script"],
        "mini_batch_size": content.get("mini_batch_size"),
        "partition_keys": content.get("partition_keys") or [],
        "mini_batch_error_threshold": int(content.get("mini_batch_error_threshold", -1)),
        "error_threshold": int(content.get("error_threshold", -1)),
        "max_retries": int(retry.get("max_retries", 2)),
        "timeout": float(retry.get("timeout", 60)),
        "direct": mode == "direct",
    }
    words = [
        "python",
        f'"${MINI_BATCHES_VARIABLE}"',
        "--settings",
        shlex.quote(json.dumps(settings)),
        "--input-data",
        str(content["input_data"]),
    ]
    if target := task.get("append_row_to"):
        words += ["--append-row-to", f'"{target}"']
    return " ".join([*words, "--", _one_line(task.get("program_arguments"))])


def _spark_submit(content: LocatedMapping) -> str:
    """`spark-submit` on this machine; an output is a path at which nothing is yet, as on Azure ML."""
    words = ["SPARK_LOCAL_IP=127.0.0.1", "PYSPARK_PYTHON=python", "spark-submit"]
    words += ["--master", shlex.quote("local[*]"), "--conf", "spark.ui.enabled=false"]
    conf = content.get("conf") or LocatedMapping()
    for key in conf:
        words += ["--conf", shlex.quote(f"{key}={conf.text_of(key) or conf[key]}")]
    for key in ("py_files", "jars", "files", "archives"):
        if content.get(key):
            words += [f"--{key.replace('_', '-')}", shlex.quote(",".join(map(str, content[key])))]
    words += [shlex.quote(str(content["entry"]["file"])), _one_line(content.get("args"))]
    submit = " ".join(words)
    outputs = content.get("outputs")
    folders = [
        f"${{{{outputs.{name}}}}}"
        for name, spec in (outputs.items() if isinstance(outputs, dict) else ())
        if not isinstance(spec, dict) or spec.get("type", "uri_folder") != "uri_file"
    ]
    if not folders:
        return submit
    places = " ".join(folders)
    return f"rmdir {places} && {submit} && mkdir -p {places}"


def _one_line(arguments: Any) -> str:
    """Arguments in one line: they are no commands of a shell, whose line ends would be the end of one."""
    return " ".join(str(arguments or "").splitlines())


def missing_spark() -> str | None:
    """What installs the Spark that is missing on this machine; None where it is there."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    missing = (
        []
        if shutil.which("spark-submit", path=path)
        else ["pyspark (`pip install pyspark==3.5.*` beside `mlops`)"]
    )
    java = Path(os.environ.get("JAVA_HOME", "")) / "bin"
    if not shutil.which("java", path=os.pathsep.join([str(java), path])):
        missing.append("Java 17, from the system's packages")
    return " and ".join(missing) or None
