"""What the files of Azure ML say of each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from modelyard.pipelines.azure_fields_check import Checker
from modelyard.pipelines.azure_files import AzureFile
from modelyard.pipelines.azure_kinds import kind_of
from modelyard.pipelines.azure_rules import deployed_model
from modelyard.pipelines.documents import PipelineError, Problems
from modelyard.pipelines.model import LITERAL_TYPES
from modelyard.pipelines.reader import load_pipeline
from modelyard.yaml_files import LocatedMapping, did_you_mean, nearest

_ASSET = re.compile(r"azureml:([\w.-]+)[:@][\w.-]+")
_COMPUTE = re.compile(r"(?:azureml:)?(?:[\w.-]+|/.+|//.+)|.*\$\{\{.*|<\S*>")
_REGISTRY = re.compile(r"azureml://registries/[^/]+/([a-zA-Z]+)/")
_SIDES = (
    ("online", ("online", "kubernetes")),
    ("batch", ("batch", "plain batch", "pipeline batch")),
)
# Key of a reference → kinds of the files that may describe it, and the folder in a registry.
_NAMED = {
    "environment": (("environment",), "environments"),
    "model": (("model",), "models"),
    "component": (
        ("command component", "pipeline component", "parallel component", "spark component"),
        "components",
    ),
    "trial": (("command component",), "components"),
}
_JOBS = ("pipeline", "command job", "spark job", "sweep job")

Known = Mapping[str, Mapping[str, AzureFile]]


def check_across(files: list[AzureFile], root: Path, problems: Problems) -> None:
    """Check names, endpoints and their deployments, schedules and their jobs, and references."""
    known: dict[str, dict[str, AzureFile]] = {}
    by_kind: dict[str, dict[str, AzureFile]] = {}
    for file in files:
        endpoint, version = file.content.get("endpoint_name", ""), file.content.get("version", "")
        key = f"{endpoint}/{file.name}" if "deployment" in file.kind else file.name
        same = known.setdefault(f"{file.kind} {version}", {})
        if file.name and key in same and file.kind not in _JOBS:
            message = f"{file.kind} `{file.name}` is described in {same[key].path.name} as well"
            _say(file, file.content.line_of("name"), message, root, problems)
        same[key] = file
        by_kind.setdefault(file.kind, {})[key] = file
    for side, kinds in _SIDES:
        _endpoints(side, kinds, by_kind, root, problems)
    for file in files:
        checker = Checker(file.path, root, problems)
        _references(file, file.content, by_kind, checker)
        if file.kind.endswith("deployment") and file.kind != "pipeline batch deployment":
            _models(file, by_kind, checker)
        if file.kind == "pipeline batch deployment":
            _deployed_pipeline(file, checker)
        if file.kind == "schedule":
            _scheduled_job(file, checker)


def _say(file: AzureFile, line: int, message: str, root: Path, problems: Problems) -> None:
    """Note what is wrong among all files of a project; elsewhere other files may be what is missing, or variants."""
    is_all = file.path.resolve().is_relative_to((root / "azureml").resolve())
    (problems.add if is_all else problems.note)(file.path, line, message)


def _endpoints(
    side: str, kinds: tuple[str, ...], by_kind: Known, root: Path, problems: Problems
) -> None:
    endpoints = {
        name: one for kind in kinds for name, one in by_kind.get(f"{kind} endpoint", {}).items()
    }
    deployments = [one for kind in kinds for one in by_kind.get(f"{kind} deployment", {}).values()]
    used: dict[str, list[str]] = {}
    for file in deployments:
        endpoint = str(file.content.get("endpoint_name", ""))
        used.setdefault(endpoint, []).append(file.name)
        if endpoint and endpoints and endpoint not in endpoints:
            message = f"endpoint_name: no file describes the {side} endpoint `{endpoint}`{did_you_mean(endpoint, endpoints)}"
            _say(file, file.content.line_of("endpoint_name"), message, root, problems)
    for name, file in endpoints.items():
        if name in used:
            _named_deployments(file, used[name], problems)
        else:
            message = f"nothing is deployed to the {side} endpoint `{name}`"
            _say(file, file.content.line_of("name"), message, root, problems)
    for file in by_kind.get("monitor", {}).values() if side == "online" else ():
        target = file.below("create_monitor", "monitoring_target")
        found = re.fullmatch(
            r"azureml:([^:]+):([^:]+)", str(target.get("endpoint_deployment_id", ""))
        )
        line = target.line_of("endpoint_deployment_id")
        where = "create_monitor.monitoring_target.endpoint_deployment_id"
        if found and endpoints and found[1] not in endpoints:
            message = f"{where}: no file describes the online endpoint `{found[1]}`{did_you_mean(found[1], endpoints)}"
            _say(file, line, message, root, problems)
        elif found and found[1] in used and found[2] not in used[found[1]]:
            message = f"the endpoint has no deployment `{found[2]}`{did_you_mean(found[2], used[found[1]])}"
            problems.add(file.path, line, f"{where}: {message}")


def _named_deployments(file: AzureFile, deployments: list[str], problems: Problems) -> None:
    for key in ("traffic", "mirror_traffic"):
        shares = file.below(key)
        for name in shares:
            if name not in deployments:
                hint = did_you_mean(name, deployments)
                message = f"{key}: the endpoint has no deployment `{name}`{hint}"
                problems.add(file.path, shares.line_of(name), message)
    defaults = file.below("defaults")
    name = defaults.get("deployment_name")
    if name is not None and name not in deployments:
        message = f"defaults: the endpoint has no deployment `{name}`{did_you_mean(str(name), deployments)}"
        problems.add(file.path, defaults.line_of("deployment_name"), message)


def _references(file: AzureFile, content: Any, by_kind: Known, checker: Checker) -> None:
    """Names that are nearly those of a file and are none of them, and registry paths to another kind of asset."""
    if isinstance(content, list):
        for one in content:
            _references(file, one, by_kind, checker)
    if not isinstance(content, LocatedMapping):
        return
    for key, value in content.items():
        line = content.line_of(key)
        if key in _NAMED and isinstance(value, str):
            kinds, folder = _NAMED[key]
            names = [name for kind in kinds for name in by_kind.get(kind, {})]
            _nearly(value, names, key, line, checker)
            found = _REGISTRY.match(value)
            if found and found[1].lower() != folder:
                checker.wrong(
                    line,
                    key,
                    f"expected azureml://registries/REGISTRY/{folder}/…, found {found[1]}",
                )
        elif key == "path" and isinstance(value, str):
            _nearly(value, [*by_kind.get("data", {})], key, line, checker)
            if store := re.match(r"azureml://datastores/([\w-]+)/", value):
                stores = [
                    name for kind, named in by_kind.items() if "datastore" in kind for name in named
                ]
                _nearly(f"azureml:{store[1]}:1", stores, key, line, checker)
        elif key in ("compute", "default_compute") and isinstance(value, str):
            computes = ("amlcompute", "compute instance")
            names = ["serverless", *(name for kind in computes for name in by_kind.get(kind, {}))]
            if not _COMPUTE.fullmatch(value):
                checker.wrong(line, key, f"expected azureml:NAME, without a version; found {value}")
            _nearly(f"azureml:{value.removeprefix('azureml:')}:1", names, key, line, checker)
        else:
            _references(file, value, by_kind, checker)


def _nearly(value: str, names: list[str], key: str, line: int, checker: Checker) -> None:
    found = _ASSET.fullmatch(value)
    if found and value.endswith(":latest"):
        checker.wrong(
            line, key, f"latest is a label and no version; write azureml:{found[1]}@latest"
        )
    # An asset may be in the workspace only: a name that is merely like one of the files' is no mistake.
    if not found or found[1] in names:
        return
    if near := nearest(found[1], [name for name in names if _is_slip(found[1], name)], 0):
        checker.wrong(line, key, f"no file describes `{found[1]}`; did you mean `{near}`?")


def _is_slip(name: str, other: str) -> bool:
    """Whether a name has a letter or two too many, too few, or in the wrong place; numbers are no slips."""
    if re.sub(r"\D", "", name) != re.sub(r"\D", "", other):
        return False
    changes = SequenceMatcher(None, name, other, autojunk=False).get_opcodes()
    changed = sum(max(b - a, d - c) for kind, a, b, c, d in changes if kind != "equal")
    return sorted(name) == sorted(other) or (changed <= 2 and 4 * changed <= len(other))


def _models(file: AzureFile, by_kind: Known, checker: Checker) -> None:
    model = _described(file, "model", by_kind)
    if model is not None:
        deployed_model(file, model, _described(file, "environment", by_kind), checker)


def _described(file: AzureFile, key: str, by_kind: Known) -> LocatedMapping | None:
    """What a field has in full, or names and a file describes."""
    given = file.content.get(key)
    if isinstance(given, LocatedMapping):
        return given
    found = _ASSET.fullmatch(str(given))
    described = by_kind.get(key, {}).get(found[1]) if found else None
    return None if described is None else described.content


def _deployed_pipeline(file: AzureFile, checker: Checker) -> None:
    named = str(file.content.get("component", ""))
    path = file.path.parent / named.removeprefix("file:")
    content = Problems().mapping(path) if named and path.is_file() else None
    if content is not None and "jobs" not in content:
        message = f"expected a pipeline component, {named} has no `jobs`"
        checker.wrong(file.content.line_of("component"), "component", message)


def _scheduled_job(file: AzureFile, checker: Checker) -> None:
    key = "create_job"
    job, line = file.content.get(key), file.content.line_of(key)
    if isinstance(job, LocatedMapping):
        if (declared := job.get("type", "pipeline")) != "pipeline":
            checker.wrong(job.line_of("type"), key, f"expected a pipeline, found {declared!r}")
        if "job" not in job:
            if not job.keys() & {"jobs", "command", "trial", "entry"}:
                checker.wrong(line, key, "`job` is missing: a job's file, or azureml:NAME")
            return
        has_type, line, job = "type" in job, job.line_of("job"), job["job"]
        if not has_type and str(job).startswith("azureml:"):
            checker.wrong(line, key, "`type` is missing, of the job that is named")
    if not isinstance(job, str):
        return
    if job.startswith("azureml:"):
        if not re.fullmatch(r"azureml:(?:[^:/@]+|/.+)", job):
            checker.wrong(line, key, f"expected azureml:NAME, a job has no version; found {job}")
        return
    path = file.path.parent / job.removeprefix("file:")
    if not path.is_file():  # which the field itself says
        return
    content = Problems().mapping(path)
    if content is None:
        return
    kind = kind_of(path, content)
    if kind != "pipeline":
        checker.wrong(line, key, f"expected a pipeline, {job} is {f'a {kind}' if kind else 'none'}")
    for section in ("inputs", "outputs"):
        given, declared = file.below(key, section), content.get(section)
        known = declared if isinstance(declared, dict) else {}
        for name in given:
            wrong: str | None = None
            if name not in known:
                wrong = f"{job} has no such {section[:-1]}{did_you_mean(name, known)}"
            elif section == "inputs" and not isinstance(given[name], LocatedMapping):
                wrong = _refused(path, known[name], given, name)
            if wrong:
                checker.wrong(given.line_of(name), f"{key}.{section}.{name}", wrong)


def _refused(job: Path, declared: Any, given: LocatedMapping, name: str) -> str | None:
    """What a job that is fine has against a value of one of its inputs."""
    if isinstance(declared, dict) and str(declared.get("type")) not in LITERAL_TYPES:
        return f"expected a mapping with a `path`, found {given[name]!r}"
    try:
        value = given.text_of(name) or str(given[name])
        load_pipeline(job, overrides={name: value}, need_data=False)
    except PipelineError as error:
        wrong = error.problems[0].message
    else:
        return None
    try:
        load_pipeline(job, need_data=False)
    except PipelineError:
        return None  # a fault of the job itself, which is said there
    return wrong
