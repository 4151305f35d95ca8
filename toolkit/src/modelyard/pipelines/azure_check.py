"""Checks every file below azureml/ without Azure: fields, values, and references across files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.pipelines.azure_fields import ASSET, ENVIRONMENT, KINDS, SPARK_NEEDS, Asset
from modelyard.pipelines.azure_fields_check import Checker
from modelyard.pipelines.components import COMPONENT_FIELDS, read_component
from modelyard.pipelines.documents import PipelineError, Problems
from modelyard.pipelines.reader import check_pipeline_component, load_pipeline
from modelyard.yaml_files import LocatedMapping, Problem, did_you_mean, parse

_SCHEMAS = {  # part of the name in `$schema` → kind; the first that fits
    "pipelinecomponentbatchdeployment": "batch deployment",
    "batchdeployment": "batch deployment",
    "onlinedeployment": "online deployment",
    "batchendpoint": "batch endpoint",
    "onlineendpoint": "online endpoint",
    "monitorschedule": "monitor",
    "schedule": "schedule",
    "environment": "environment",
    "data.schema": "data",
    "model.schema": "model",
    "parallelcomponent": "parallel component",
    "sparkcomponent": "spark component",
    "commandcomponent": "command component",
    "pipelinecomponent": "pipeline component",
    "pipelinejob": "pipeline",
    "commandjob": "pipeline",
}
_FOLDERS = {
    "data": "data",
    "environments": "environment",
    "models": "model",
    "schedules": "schedule",
    "monitoring": "monitor",
    "pipelines": "pipeline",
    "jobs": "pipeline",
}
_SECRET = re.compile(r"(?i)(secret|passw|token|api_?key|account_?key|connection_?string|sas)")
_SECRET_VALUE = re.compile(
    r"(?i)AccountKey=|SharedAccessSignature=|[?&]sig=|^gh[pousr]_|^eyJ[\w-]+\."
)
_CRON = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
_CRON_NAMES = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
    "sun",
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
]


@dataclass(frozen=True)
class AzureFile:
    """A file below azureml/ that has been read."""

    path: Path
    kind: str
    content: LocatedMapping


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        files: kind of each file that was read.
        steps: number of steps of each pipeline that is fine.
    """

    files: Mapping[Path, str]
    steps: Mapping[Path, int]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def check_azure_files(root: Path, paths: Iterable[Path]) -> Checked:
    """Check files, and what they say of each other.

    Args:
        root: of the project.
        paths: YAML files.
    """
    problems = Problems()
    files = [file for path in paths if (file := _read(path, problems))]
    steps: dict[Path, int] = {}
    for file in files:
        checker = Checker(file.path, root, problems)
        if file.kind == "pipeline":
            _pipeline(file, root, problems, steps)
        elif file.kind == "command component":
            _component(file, checker)
        elif file.kind == "pipeline component":
            found_there = check_pipeline_component(file.path)
            problems.found += found_there.found
            problems.notes += found_there.notes
        elif file.kind in KINDS:
            checker.fields(file.content, KINDS[file.kind])
            _beyond_fields(file, checker)
        elif file.kind == "monitor":  # its fields are those of `mlops monitor`
            _trigger(file.content, checker)
    _across(files, problems)
    seen: dict[tuple[Path, int, str], Problem] = {}
    for problem in problems.found:
        seen.setdefault((problem.file.resolve(), problem.line, problem.message), problem)
    found = sorted(seen.values(), key=lambda p: (str(p.file), p.line))
    kinds = {file.path: file.kind for file in files}
    return Checked(kinds, steps, tuple(found), tuple(dict.fromkeys(problems.notes)))


def _read(path: Path, problems: Problems) -> AzureFile | None:
    try:
        content = parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        problems.add(path, 1, f"not readable: {error}")
        return None
    except ValueError as error:
        _, line, reason = str(error).split(":", 2)
        problems.add(path, int(line), reason.strip())
        return None
    if not isinstance(content, LocatedMapping):
        problems.add(path, 1, f"expected a mapping, found {type(content).__name__}")
        return None
    kind = _kind(path, content)
    if kind is None:
        expected = (
            "data, environments, models, schedules, monitoring, components, pipelines, endpoints"
        )
        problems.add(
            path,
            1,
            f"what it describes cannot be told; add `$schema`, or put it in one of {expected}",
        )
        return None
    return AzureFile(path, kind, content)


def _kind(path: Path, content: LocatedMapping) -> str | None:
    schema = str(content.get("$schema", "")).rpartition("/")[2].lower()
    for part, kind in _SCHEMAS.items():
        if part in schema:
            return kind
    if "create_monitor" in content:
        return "monitor"
    if "create_job" in content or "trigger" in content:
        return "schedule"
    declared = str(content.get("type", ""))
    if "jobs" in content or (declared == "pipeline" and "endpoint_name" not in content):
        return "pipeline component" if path.parent.name == "components" else "pipeline"
    if declared in ("parallel", "spark") and path.parent.name != "pipelines":
        return f"{declared} component"
    if "command" in content:
        return "command component" if path.parent.name == "components" else "pipeline"
    is_batch = declared in ("model", "pipeline") or "batch" in path.stem
    if "endpoint_name" in content or "deployment" in path.stem:
        return "batch deployment" if is_batch else "online deployment"
    if "auth_mode" in content or "endpoint" in path.stem:
        return "batch endpoint" if is_batch or "defaults" in content else "online endpoint"
    if path.parent.name in _FOLDERS:
        return _FOLDERS[path.parent.name]
    if path.parent.name == "components":
        return "command component"
    if content.keys() & {"image", "build", "conda_file"}:
        return "environment"
    if declared in ("custom_model", "mlflow_model", "triton_model"):
        return "model"
    return "data" if "path" in content else None


def _pipeline(file: AzureFile, root: Path, problems: Problems, steps: dict[Path, int]) -> None:
    try:
        found = load_pipeline(file.path, data_assets=root / "azureml" / "data", need_data=False)
        steps[file.path] = len(found.steps)
        problems.notes += found.notes
    except PipelineError as error:
        problems.found += error.problems
    content = file.content
    checker = Checker(file.path, root, problems)
    jobs = content.get("jobs")
    nodes = jobs if isinstance(jobs, LocatedMapping) else LocatedMapping()
    settings = content.get("settings")
    has_default = "compute" in content or (
        isinstance(settings, dict) and settings.get("default_compute") is not None
    )
    for name, node in nodes.items():
        if not isinstance(node, LocatedMapping):
            continue
        if not has_default and node.get("type") != "pipeline" and "compute" not in node:
            message = f"step `{name}` has no `compute`, and `settings` no `default_compute`"
            problems.add(
                file.path, nodes.line_of(name), f"{message}; azureml:serverless needs no cluster"
            )
        if "command" in node:
            _environment(node, checker, f"step `{name}`")
        _secrets(node, checker)


def _component(file: AzureFile, checker: Checker) -> None:
    problems, content = checker.problems, file.content
    problems.unknown_fields(content, COMPONENT_FIELDS, file.path, "component")
    read_component(content, file.path, problems)
    checker.value(
        content.get("name", ""),
        KINDS["parallel component"].fields["name"],
        "name",
        content.line_of("name"),
    )
    _environment(content, checker, "the component")


def _environment(content: LocatedMapping, checker: Checker, what: str) -> None:
    value = content.get("environment")
    if value is None:
        checker.wrong(content.line, "", f"{what} has no `environment`")
    else:
        checker.value(
            value, Asset(ASSET | ENVIRONMENT), "environment", content.line_of("environment")
        )


def _beyond_fields(file: AzureFile, checker: Checker) -> None:
    """Check what takes more than one field of a file."""
    content = file.content

    def wrong(key: str, message: str) -> None:
        checker.wrong(content.line_of(key), key if key in content else "", message)

    _secrets(content, checker)
    if file.kind == "environment":
        if ("image" in content) == ("build" in content):
            wrong("build", "an environment has either `image` or `build`")
        if "conda_file" in content and "image" not in content:
            wrong("conda_file", "it is installed on top of an `image`, which is missing")
        build = content.get("build")
        if isinstance(build, LocatedMapping) and "://" not in str(build.get("path")):
            folder = file.path.parent / str(build.get("path", ""))
            name = str(build.get("dockerfile_path", "Dockerfile"))
            if folder.is_dir() and not (folder / name).is_file():
                near = did_you_mean(name, [p.name for p in folder.iterdir() if "ocker" in p.name])
                checker.wrong(
                    build.line_of("dockerfile_path"),
                    "build.dockerfile_path",
                    f"{name} does not exist{near}",
                )
    if file.kind.endswith("deployment"):
        _scoring_script(file, checker)
        if file.kind == "online deployment" and content.get("type", "managed") == "managed":
            for key in ("instance_type", "instance_count"):
                if key not in content:
                    checker.wrong(content.line, "", f"`{key}` is missing")
        if file.kind == "batch deployment" and content.get("type", "model") == "model":
            for key in ("model", "compute"):
                if key not in content:
                    checker.wrong(content.line, "", f"`{key}` is missing")
    traffic = content.get("traffic")
    if isinstance(traffic, LocatedMapping):
        shares = [share for share in traffic.values() if isinstance(share, int)]
        if sum(shares) not in (0, 100):
            wrong("traffic", f"the shares add up to {sum(shares)}; expected 100, or 0 for none")
    if file.kind == "schedule":
        _trigger(content, checker)
        _scheduled_job(file, checker)
    if file.kind == "spark component":
        conf = content.get("conf")
        given = conf.keys() if isinstance(conf, LocatedMapping) else SPARK_NEEDS
        for key in SPARK_NEEDS:
            if key not in given:
                checker.wrong(content.line_of("conf"), "conf", f"`{key}` is missing")
    if file.kind == "parallel component":
        task = content.get("task")
        if isinstance(task, LocatedMapping):
            _script(file, task, "entry_script", "task", checker)
        source = re.fullmatch(r"\$\{\{\s*inputs\.(\w+)\s*\}\}", str(content.get("input_data", "")))
        declared = content.get("inputs")
        inputs = declared if isinstance(declared, dict) else {}
        if "input_data" in content and (source is None or source[1] not in inputs):
            wrong(
                "input_data",
                f"expected ${{{{inputs.NAME}}}} of an input{did_you_mean(source[1] if source else '', inputs)}",
            )


def _scoring_script(file: AzureFile, checker: Checker) -> None:
    configuration = file.content.get("code_configuration")
    if isinstance(configuration, LocatedMapping):
        _script(file, configuration, "scoring_script", "code_configuration", checker)
    model = file.content.get("model")
    bare = configuration is None and not isinstance(file.content.get("environment"), dict)
    if bare and isinstance(model, LocatedMapping) and model.get("type") == "custom_model":
        message = "a custom_model needs `code_configuration` with a scoring script"
        checker.wrong(model.line_of("type"), "model", message)


def _script(
    file: AzureFile, section: LocatedMapping, key: str, where: str, checker: Checker
) -> None:
    code = str(section.get("code", ""))
    folder = file.path.parent / code
    name = str(section.get(key) or "")
    if code and name and folder.is_dir() and not (folder / name).is_file():
        near = did_you_mean(name, [p.name for p in folder.glob("*.py")])
        checker.wrong(
            section.line_of(key), f"{where}.{key}", f"{name} does not exist in {code}{near}"
        )


def _trigger(content: LocatedMapping, checker: Checker) -> None:
    trigger = content.get("trigger")
    if not isinstance(trigger, LocatedMapping):
        return
    expression = trigger.get("expression")
    if expression is not None and (message := cron_mismatch(str(expression))):
        checker.wrong(trigger.line_of("expression"), "trigger.expression", message)


def cron_mismatch(expression: str) -> str | None:
    """Why a text is no cron expression of five fields; None where it is one."""
    parts = expression.lower().split()
    shape = "minutes hours days months weekdays, such as `15 3 * * 1`"
    if len(parts) != 5:
        return f"expected five fields ({shape}), found {expression!r}"
    for part, (low, high) in zip(parts, _CRON, strict=True):
        for one in part.split(","):
            found = re.fullmatch(r"(\*|\w+(?:-\w+)?)(?:/(\d+))?", one)
            ends = found[1].split("-") if found and found[1] != "*" else []
            numbers = [int(end) for end in ends if end.isdigit()]
            named = all(end.isdigit() or end in _CRON_NAMES for end in ends)
            if found is None or not named or any(not low <= n <= high for n in numbers):
                return f"expected {low} to {high} in this place ({shape}), found {one!r}"
    return None


def _scheduled_job(file: AzureFile, checker: Checker) -> None:
    job = file.content.get("create_job")
    line = file.content.line_of("create_job")
    if isinstance(job, LocatedMapping):
        if "job" not in job:
            if "jobs" not in job and "command" not in job:
                checker.wrong(line, "create_job", "`job` is missing: a job's file, or azureml:NAME")
            return
        line, job = job.line_of("job"), job["job"]
    if not isinstance(job, str) or job.startswith("azureml:"):
        return
    path = file.path.parent / job.removeprefix("file:")
    if not path.is_file():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.yml")])
        checker.wrong(line, "create_job", f"job file {job} does not exist{near}")


def _secrets(content: LocatedMapping, checker: Checker) -> None:
    for section in (content, content.get("settings")):
        variables = section.get("environment_variables") if isinstance(section, dict) else None
        if not isinstance(variables, LocatedMapping):
            continue
        for name, value in variables.items():
            text = str(value or "")
            if _SECRET_VALUE.search(text) or (_SECRET.search(str(name)) and _looks_secret(text)):
                message = "a secret in a file is a secret no more; keep it in Key Vault, or use the identity"
                checker.wrong(variables.line_of(name), f"environment_variables.{name}", message)


def _looks_secret(text: str) -> bool:
    """Whether a value could be a secret: no number, switch, address of a vault or reference."""
    is_plain = re.fullmatch(
        r"|true|false|[0-9.]+|\$\{.*\}|(keyvaultref:)?https?://[^?]*|/[^ ]*", text, re.IGNORECASE
    )
    return is_plain is None


def _across(files: list[AzureFile], problems: Problems) -> None:
    """Check what files say of each other."""
    by_kind: dict[str, dict[str, AzureFile]] = {}
    for file in files:
        name = str(file.content.get("name", ""))
        key = (
            f"{file.content.get('endpoint_name', '')}/{name}" if "deployment" in file.kind else name
        )
        known = by_kind.setdefault(file.kind, {})
        if name and key in known and file.kind not in ("pipeline",):
            message = f"{file.kind} `{name}` is described in {known[key].path.name} as well"
            problems.add(file.path, file.content.line_of("name"), message)
        known[key] = file
    for kind in ("online", "batch"):
        endpoints = by_kind.get(f"{kind} endpoint", {})
        deployments = by_kind.get(f"{kind} deployment", {}).values()
        used: dict[str, list[str]] = {}
        for file in deployments:
            endpoint = str(file.content.get("endpoint_name", ""))
            used.setdefault(endpoint, []).append(str(file.content.get("name")))
            if endpoint and endpoints and endpoint not in endpoints:
                message = f"endpoint_name: no file describes the {kind} endpoint `{endpoint}`{did_you_mean(endpoint, endpoints)}"
                problems.add(file.path, file.content.line_of("endpoint_name"), message)
        for name, file in endpoints.items():
            if name not in used:
                problems.add(
                    file.path,
                    file.content.line_of("name"),
                    f"nothing is deployed to the {kind} endpoint `{name}`",
                )
                continue
            _named_deployments(file, used[name], problems)
    _references(files, by_kind, problems)


def _named_deployments(file: AzureFile, deployments: list[str], problems: Problems) -> None:
    for key in ("traffic", "mirror_traffic"):
        shares = file.content.get(key)
        if not isinstance(shares, LocatedMapping):
            continue
        for name in shares:
            if name not in deployments:
                hint = did_you_mean(name, deployments)
                message = f"{key}: the endpoint has no deployment `{name}`{hint}"
                problems.add(file.path, shares.line_of(name), message)
    defaults = file.content.get("defaults")
    if isinstance(defaults, LocatedMapping):
        name = defaults.get("deployment_name")
        if name is not None and name not in deployments:
            message = f"defaults: the endpoint has no deployment `{name}`{did_you_mean(str(name), deployments)}"
            problems.add(file.path, defaults.line_of("deployment_name"), message)


def _references(
    files: list[AzureFile], by_kind: Mapping[str, Mapping[str, AzureFile]], problems: Problems
) -> None:
    """Names of environments that are nearly those of a file, and are none of them."""
    names = by_kind.get("environment", {})

    def visit(file: AzureFile, content: Any) -> None:
        if isinstance(content, LocatedMapping):
            found = re.fullmatch(r"azureml:([\w.-]+)[:@].+", str(content.get("environment", "")))
            hint = did_you_mean(found[1], names) if found and found[1] not in names else ""
            if "did you mean" in hint:
                message = f"environment: no file describes `{found[1] if found else ''}`{hint}"
                problems.add(file.path, content.line_of("environment"), message)
            for value in content.values():
                visit(file, value)

    for file in files:
        visit(file, file.content)
