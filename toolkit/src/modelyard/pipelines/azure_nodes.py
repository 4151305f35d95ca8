"""Rules of Azure ML for jobs and their steps that no single field shows."""

from __future__ import annotations

from typing import Any

from modelyard.pipelines.azure_fields_check import Checker
from modelyard.pipelines.azure_files import AzureFile, empty
from modelyard.pipelines.azure_steps import (
    automl,
    check_spark_inputs,
    command_script,
    parallel,
    search,
    spark,
    step_sizes,
)
from modelyard.pipelines.documents import IN_FULL, Problems, component_kind, step_kind
from modelyard.pipelines.references import parts, references
from modelyard.yaml_files import LocatedMapping, did_you_mean

_HAS_STEPS = ("pipeline", "pipeline component")


def check_steps(file: AzureFile, checker: Checker) -> None:
    """Check the steps of a pipeline."""
    if file.kind in _HAS_STEPS:
        _steps(file, file.content, checker, file.kind == "pipeline")


def _steps(file: AzureFile, content: LocatedMapping, checker: Checker, is_job: bool) -> None:
    jobs = content.get("jobs")
    nodes = jobs if isinstance(jobs, LocatedMapping) else empty()
    settings = content.get("settings")
    has_default = "compute" in content or (
        isinstance(settings, dict) and settings.get("default_compute") is not None
    )
    for name, node in nodes.items():
        if not isinstance(node, LocatedMapping):
            continue
        kind = step_kind(node, file.path).lower()
        where = f"jobs.{name}"
        on_cluster = kind not in ("pipeline", "spark", "import", "data_transfer")
        if is_job and not has_default and on_cluster and "compute" not in node:
            message = f"step `{name}` has no `compute`, and `settings` no `default_compute`"
            line = nodes.line_of(name)
            checker.wrong(line, "", f"{message}; azureml:serverless needs no cluster")
        if kind == "spark" and not node.keys() & {"compute", "resources"}:
            message = f"step `{name}` has neither `resources` (serverless Spark) nor `compute`"
            checker.wrong(nodes.line_of(name), "", message)
        is_inline = kind == "command" and "command" in node and "component" not in node
        if is_inline and node.get("environment") is None:
            checker.wrong(node.line, "", f"step `{name}` has no `environment`")
        if is_inline:
            command_script(file, node, checker, where)
        if kind == "spark" and "component" in node:
            check_spark_inputs(node, checker, f"{where}.")
            if (component := _component(file, node)) is not None:
                step_sizes(node, component, checker, where)
        elif kind == "spark":
            spark(file, node, checker, where)
        if kind == "parallel" and "component" not in node:
            parallel(file, node, checker, where)
        if kind == "sweep":
            search(node, checker, where)
        if kind == "automl":
            automl(node, checker, where)
        _bindings(file, content, nodes, name, checker)


def _component(file: AzureFile, node: LocatedMapping) -> LocatedMapping | None:
    """The component whose file a step names."""
    named = node.get("component", node.get("trial"))
    path = file.path.parent / str(named).removeprefix("file:")
    if not isinstance(named, str) or named.startswith("azureml:") or not path.is_file():
        return None
    kind, found = step_kind(node, file.path), Problems().mapping(path)
    wanted = "command" if kind == "sweep" else kind
    return found if found and component_kind(found) == wanted else None


def _bindings(
    file: AzureFile, content: LocatedMapping, nodes: LocatedMapping, name: str, checker: Checker
) -> None:
    """Check what a step binds to inputs and outputs of the pipeline and of other steps."""
    inputs, outputs = (_names(content.get(key)) for key in ("inputs", "outputs"))

    def visit(value: Any, line: int, where: str) -> None:
        if isinstance(value, LocatedMapping):
            for key, one in value.items():
                visit(one, value.line_of(key), f"{where}.{key}")
        elif isinstance(value, list):
            for one in value:
                visit(one, line, where)
        for reference in references(value) if isinstance(value, str) else ():
            message = None
            is_own = where.split(".")[2:3] in (["inputs"], ["outputs"])
            match parts(reference):
                case ["parent", *_] if not is_own and IN_FULL & nodes[name].keys():
                    message = f"a step with its own command has bindings in `inputs` and `outputs` only; found ${{{{{reference}}}}}"
                case ["parent", "inputs", wanted] if wanted not in inputs:
                    message = f"the pipeline has no input `{wanted}`{did_you_mean(wanted, inputs)}"
                case ["parent", "outputs", wanted] if wanted not in outputs:
                    message = (
                        f"the pipeline has no output `{wanted}`{did_you_mean(wanted, outputs)}"
                    )
                case ["parent", "jobs", step, *_] if step not in nodes:
                    message = f"there is no step `{step}`{did_you_mean(step, nodes)}"
                case ["parent", "jobs", step, "outputs", wanted]:
                    known = _outputs(file, nodes[step])
                    if known is not None and wanted not in known:
                        message = (
                            f"step `{step}` has no output `{wanted}`{did_you_mean(wanted, known)}"
                        )
            if message:
                checker.wrong(line, where, message)

    visit(nodes[name], nodes.line_of(name), f"jobs.{name}")


def _names(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, dict) else []


def _outputs(file: AzureFile, node: Any) -> list[str] | None:
    """The outputs of a step; None where they are declared elsewhere."""
    if not isinstance(node, LocatedMapping):
        return None
    named = node.get("component", node.get("trial"))
    if isinstance(named, str):
        found = _component(file, node)
        return None if found is None else _names(found.get("outputs"))
    if str(node.get("type")).lower() in ("data_transfer", "import"):
        return None
    return _names((named if isinstance(named, dict) else node).get("outputs"))
