"""Rules of Azure ML that take more than one field of a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelyard.pipelines.azure_fields_check import Checker, snake_case
from modelyard.pipelines.azure_files import AzureFile, empty
from modelyard.pipelines.azure_resources import compute, identity, registry, workspace
from modelyard.pipelines.azure_steps import (
    automl_file,
    command_file,
    ordered,
    parallel_file,
    script,
    spark_file,
    sweep_file,
)
from modelyard.pipelines.azure_triggers import triggers
from modelyard.pipelines.documents import Problems
from modelyard.yaml_files import LocatedMapping, did_you_mean

_SECRET = re.compile(
    r"(?i)(secret|passw|pwd|(?:^|_)pass$|token|api_?key|account_?key|access_?key|connection_?string|sas_)"
)
_KEY = re.compile(r"(?i)(?:^|_)key=(?=\S*[0-9])[\w+/=-]{20,}")  # NAME=VALUE
_SECRET_VALUE = re.compile(
    r"(?i)AccountKey=|SharedAccessSignature=|[?&]sig=|://[^/:@ ]+:[^/@ ]+@|\b(?:password|pwd)=[^;$<{*]"
    r"|(?<![\w-])(?:gh[pousr]_[^\W_]{16}|github_pat_\w{16}|hf_[^\W_]{24}|eyJ[\w-]{16,}\.|sk-(?:proj-)?[^\W_]{16}|xox[abps]-\w{8})"
    r"|(?<!\w)AKIA\w{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY"
)
_OPEN = re.compile(r"[$]\{\{[^{}\n]{0,40}(?![^{}]*\}\})")
_COMMANDS = ("command", "args", "program_arguments")
_NAME = r"(?:inputs|outputs|search_space|parent\.(?:inputs|outputs|jobs))\.[\w.]+"
_HALF = re.compile(
    rf"(?<![$])\{{\{{\s*({_NAME})\s*\}}\}}|[$]\{{({_NAME})\}}|[$]\(({_NAME})\)|[$]({_NAME})"
    rf"|\A(parent\.(?:inputs|outputs|jobs\.\w+\.outputs)\.\w+)\Z"
)
_PORT = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*(\.[a-zA-Z_][a-zA-Z0-9_]*)*")
_VERSION = re.compile(r"(?:===?|~=|!=|<=?|>=?)\s*[\w*]|[@;#(]|--")
_CONDA = ("name", "channels", "dependencies", "variables", "prefix", "platforms")
_CREDENTIALS = {
    "account_key",
    "sas_token",
    "client_secret",
    "secret_access_key",
    "api_key",
    "pat",
    "password",
    "admin_password",
}


def check_rules(file: AzureFile, checker: Checker) -> None:
    """Check what takes more than one field, in a file of any kind."""
    _secrets(file.content, checker)
    _environments(file.content, file.path, checker)
    _inputs(file.content, file.path, checker)
    triggers(file.content, checker)
    if file.kind.startswith("automl "):
        automl_file(file, checker)
    if rule := _RULES.get(file.kind):
        rule(file, checker)


def _environment(file: AzureFile, checker: Checker) -> None:
    environment(file.content, file.path, checker)


def _environments(content: Any, path: Path, checker: Checker) -> None:
    """Check the environments that a file has in full."""
    if isinstance(content, list):
        for one in content:
            _environments(one, path, checker)
    for key, value in content.items() if isinstance(content, LocatedMapping) else ():
        if key == "environment" and isinstance(value, LocatedMapping):
            environment(value, path, checker, key)
        if key == "environment" and str(value).startswith("file:"):
            place = path.parent / value.removeprefix("file:")
            found = Problems().mapping(place) if place.is_file() else None
            if found is not None and not found.keys() & {"image", "build"}:
                message = f"{value} is no environment: it has neither `image` nor `build`"
                checker.wrong(content.line_of(key), key, message)
        _environments(value, path, checker)


def environment(content: LocatedMapping, path: Path, checker: Checker, where: str = "") -> None:
    """Check an environment, a file or one that another file has in full."""

    def wrong(key: str, message: str, section: LocatedMapping = content) -> None:
        checker.wrong(section.line_of(key), where or (key if key in section else ""), message)

    if ("image" in content) == ("build" in content):
        wrong("build", "an environment has either `image` or `build`")
    if "conda_file" in content and "image" not in content:
        wrong("conda_file", "it is installed on top of an `image`, which is missing")
    build = content.get("build")
    if isinstance(build, LocatedMapping) and "://" not in str(build.get("path")):
        folder = path.parent / str(build.get("path", ""))
        name = str(build.get("dockerfile_path", "Dockerfile"))
        if folder.is_dir() and not (folder / name).is_file():
            near = did_you_mean(name, [p.name for p in folder.iterdir() if "ocker" in p.name])
            line = build.line_of("dockerfile_path")
            checker.wrong(line, "build.dockerfile_path", f"{name} does not exist{near}")
    conda = content.get("conda_file")
    file = path.parent / conda.removeprefix("file:") if isinstance(conda, str) else None
    if file is not None and file.is_file():
        conda = Problems().mapping(file)
        if conda is None:
            wrong(
                "conda_file", f"{content['conda_file']} is no conda file: expected a YAML mapping"
            )
    if isinstance(conda, LocatedMapping):
        at = path if file is None else file.resolve()
        wanted = conda.get("dependencies")
        if not isinstance(wanted, list):
            line = conda.line_of("dependencies")
            checker.problems.add(at, line, "a conda file has a list of `dependencies`")
        channels = conda.get("channels", [])
        if not isinstance(channels, list):
            message = f"channels: expected a list, found {channels!r}"
            checker.problems.add(at, conda.line_of("channels"), message)
        for one in wanted if isinstance(wanted, list) else ():
            if isinstance(one, LocatedMapping) and "pip" in one:
                _pip(one, at, checker)
            elif not isinstance(one, str):
                line = (
                    one.line if isinstance(one, LocatedMapping) else conda.line_of("dependencies")
                )
                message = f"dependencies: expected a name with its version, or `pip`; found {one!r}"
                checker.problems.add(at, line, message)
        for key in conda.keys() - set(_CONDA):
            message = f"a conda file has no `{key}`{did_you_mean(key, _CONDA)}"
            checker.problems.add(at, conda.line_of(key), message)


def _pip(section: LocatedMapping, file: Path, checker: Checker) -> None:
    names, line = section["pip"], section.line_of("pip")
    if not isinstance(names, list):
        checker.problems.add(file, line, f"pip: expected a list, found {names!r}")
        return
    for name in names:
        if re.match(r"\s*(-r|--requirement|-e|--editable|\.\.?/)", str(name)):
            message = f"pip: Azure ML is sent this file alone, without what `{name}` names"
            checker.problems.add(file, line, message)
        found = re.match(r"\s*[A-Za-z0-9][\w.-]*(?:\[[\w, .-]*\])?\s*", str(name))
        rest = str(name)[found.end() :] if found else ""
        if rest and "://" not in rest and not _VERSION.match(rest):
            fixed = f"{str(name)[: -len(rest)].strip()}=={rest.strip('<>=!~ ')}"
            checker.problems.add(file, line, f"pip: expected `{fixed}`, found `{name}`")


def _data(file: AzureFile, checker: Checker) -> None:
    _place(file.content, file.path, checker, "path")


def _inputs(content: Any, path: Path, checker: Checker, where: str = "") -> None:
    """Check the type of the files that jobs and their steps take."""
    for key, value in content.items() if isinstance(content, LocatedMapping) else ():
        at = f"{where}.{key}" if where else str(key)
        if key in ("inputs", "outputs") and isinstance(value, LocatedMapping):
            _port_names(value, at, checker)
        for name, one in value.items() if key == "outputs" and isinstance(value, dict) else ():
            if isinstance(one, LocatedMapping) and "version" in one and "name" not in one:
                message = "`name` is missing, of the asset that has this version"
                checker.wrong(one.line_of("version"), f"{at}.{name}", message)
        if key == "inputs" and isinstance(value, LocatedMapping):
            for name, one in value.items():
                if one is None:
                    message = "it is empty; give it a value, or leave it out"
                    checker.wrong(value.line_of(name), f"{at}.{name}", message)
                if isinstance(one, LocatedMapping) and "path" in one and "type" in one:
                    _place(one, path, checker, f"{at}.{name}.path")
        _inputs(value, path, checker, at)


def _port_names(ports: LocatedMapping, where: str, checker: Checker) -> None:
    """Check the names of inputs or outputs; azure-ai-ml does so when it sends them."""
    seen: dict[str, str] = {}
    for name in map(str, ports):
        if not _PORT.fullmatch(name):
            message = f"expected letters, digits and `_`, no digit first; found {name!r}"
            checker.wrong(ports.line_of(name), f"{where}.{name}", message)
        if (other := seen.setdefault(name.lower(), name)) != name:
            message = f"it differs from `{other}` in upper and lower case only"
            checker.wrong(ports.line_of(name), f"{where}.{name}", message)


def _place(content: LocatedMapping, file: Path, checker: Checker, where: str) -> None:
    place = content.get("path")
    if content.get("type") == "uri_file" and re.match("azureml://.*/$", str(place)):
        message = f"a uri_file is a file, {place} is a folder"
        checker.wrong(content.line_of("path"), where, message)
    if not isinstance(place, str) or re.search(r"://|^azureml:|\$\{\{", place):
        return
    path, line = file.parent / place.removeprefix("file:"), content.line_of("path")
    kind = str(content.get("type", "uri_folder")).lower()
    if kind == "uri_file" and path.is_dir():
        checker.wrong(line, where, f"a uri_file is a file, {place} is a folder")
    if kind in ("uri_folder", "mltable") and path.is_file():
        checker.wrong(line, where, f"a {kind} is a folder, {place} is a file")
    if kind == "mltable" and path.is_dir() and not (path / "MLTable").is_file():
        checker.wrong(line, where, f"a mltable is a folder with a file MLTable, {place} has none")


def _model(file: AzureFile, checker: Checker) -> None:
    model(file.content, file.path, checker, "path")


def model(content: LocatedMapping, path: Path, checker: Checker, where: str) -> None:
    """Check a model's type against its files."""
    if "version" in content and "name" not in content:
        message = "`name` is missing, of the model that has this version"
        checker.wrong(content.line_of("version"), where, message)
    place = str(content.get("path", ""))
    local = None if re.search(r"://|^azureml:", place) else path.parent / place
    is_mlflow = snake_case(str(content.get("type", ""))) == "mlflow_model"
    if is_mlflow and local and local.exists() and not (local / "MLmodel").is_file():
        message = f"a mlflow_model is a folder with a file MLmodel, {place} has none"
        checker.wrong(content.line_of("path"), where, message)
    if snake_case(str(content.get("type", ""))) == "triton_model" and local and local.is_file():
        message = f"a triton_model is a folder NAME/VERSION/FILE, {place} is a file"
        checker.wrong(content.line_of("path"), where, message)


def _deployment(file: AzureFile, checker: Checker) -> None:
    content = file.content
    inline = content.get("model")
    if isinstance(inline, LocatedMapping):
        model(inline, file.path, checker, "model.path")
    for key in ("model", "environment") if file.kind == "kubernetes deployment" else ():
        if str(content.get(key)).startswith("azureml://registries/"):
            message = f"a Kubernetes deployment takes no {key} of a registry"
            checker.wrong(content.line_of(key), key, message)
    code = content.get("code_configuration")
    if isinstance(code, LocatedMapping):
        needs = ("init", "run")
        script(file, code, "scoring_script", "code_configuration", needs, checker)
    settings = content if file.kind == "plain batch deployment" else file.below("settings")
    if "resources" in content and "instance_count" in settings and "batch" in file.kind:
        line, message = settings.line_of("instance_count"), "`resources` has it already"
        checker.wrong(line, "instance_count", message)
    if file.kind == "batch deployment" and "model" not in content:
        checker.wrong(content.line, "", "`model` is missing")
    if "pipeline" in file.kind and not content.keys() & {"component", "job_definition"}:
        checker.wrong(content.line, "", "`component` is missing: a pipeline component")
    if "online" in file.kind and not content.keys() & {
        "model",
        "environment",
        "code_configuration",
    }:
        checker.wrong(content.line, "", "`model` is missing")
    _quantities(file, checker)
    scale = file.below("scale_settings")
    if (
        file.kind == "online deployment"
        and snake_case(str(scale.get("type", ""))) == "target_utilization"
    ):
        message = (
            "a managed deployment is scaled by Azure Monitor's autoscale; expected type default"
        )
        checker.wrong(scale.line_of("type"), "scale_settings.type", message)
    low, high = scale.get("min_instances"), scale.get("max_instances")
    ordered(checker, scale, "scale_settings.min_instances", low, high, "max_instances")


_UNITS = {"": 1, "m": 0.001, **{f"{p}i": 1024**n for n, p in enumerate("KMGTPE", 1)}} | {
    p: 1000**n for n, p in enumerate("kMGTPE", 1)
}


def _quantities(file: AzureFile, checker: Checker) -> None:
    """Check that a container on Kubernetes asks for no more than its limit."""
    asked, limits = (file.below("resources", key) for key in ("requests", "limits"))
    for key in asked.keys() & limits.keys():
        low, high = (
            re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", str(one[key]))
            for one in (asked, limits)
        )
        if (
            low
            and high
            and {low[2], high[2]} <= _UNITS.keys()
            and float(low[1]) * _UNITS[low[2]] > float(high[1]) * _UNITS[high[2]]
        ):
            message = f"{asked[key]} is above the limit, {limits[key]}"
            checker.wrong(asked.line_of(key), f"resources.requests.{key}", message)


def deployed_model(
    file: AzureFile, declared: LocatedMapping, runs_in: LocatedMapping | None, checker: Checker
) -> None:
    """Check a deployment's script and environment against the type of its model.

    Args:
        file: of the deployment.
        declared: the model, from its file or from the deployment.
        runs_in: the environment, from its file or from the deployment; None where no file describes it.
        checker: of the deployment's file.
    """
    content = file.content
    kind = snake_case(str(declared.get("type", "custom_model")))
    has_script, given = "code_configuration" in content, content.get("environment")
    line = content.line_of("model")
    if declared is content.get("model"):
        line = declared.line_of("type")
    has_server = given is not None and (runs_in is None or "inference_config" in runs_in)
    if kind == "custom_model" and not has_script and not has_server:
        message = "a custom_model needs `code_configuration` with a scoring script, or an environment with a server of its own (inference_config)"
        checker.wrong(line, "model", message)
    if has_script and given is None:
        at = content.line_of("code_configuration")
        message = "a scoring script needs an `environment` to run in"
        checker.wrong(at, "code_configuration", message)
    if kind == "triton_model" and has_script and "batch" in file.kind:
        checker.wrong(line, "model", "a triton_model is served online, not by a batch deployment")


def _endpoint(file: AzureFile, checker: Checker) -> None:
    content = file.content
    traffic, mirror = file.below("traffic"), file.below("mirror_traffic")
    shares = [share for share in traffic.values() if isinstance(share, int)]
    if sum(shares) not in (0, 100):
        message = f"the shares add up to {sum(shares)}; expected 100, or 0 for none"
        checker.wrong(content.line_of("traffic"), "traffic", message)
    mirrored = {name: share for name, share in mirror.items() if isinstance(share, int) and share}
    line = content.line_of("mirror_traffic")
    if len(mirrored) > 1:
        checker.wrong(line, "mirror_traffic", "one deployment at most gets a copy of the traffic")
    for name, share in mirrored.items():
        if share > 50:
            checker.wrong(
                mirror.line_of(name),
                f"mirror_traffic.{name}",
                f"expected at most 50, found {share}",
            )
        if traffic.get(name):
            checker.wrong(
                mirror.line_of(name),
                f"mirror_traffic.{name}",
                "it gets live traffic already, which excludes a copy",
            )
    if mirrored and "kubernetes" in file.kind:
        checker.wrong(line, "mirror_traffic", "a Kubernetes endpoint copies no traffic")
    identity(file.below("identity"), checker)


def _secrets(content: Any, checker: Checker, where: str = "") -> None:
    """Find secrets that stand in a file, in variables and in credentials."""
    if isinstance(content, list):
        for one in content:
            _secrets(one, checker, where)
    if not isinstance(content, LocatedMapping):
        return
    given = content.get("environment_variables")
    variables = given if isinstance(given, LocatedMapping) else empty()
    for name, value in variables.items():
        text = str(value or "")
        if (
            _KEY.search(f"{name}={text}")
            or _SECRET_VALUE.search(text)
            or (_SECRET.search(str(name)) and _looks_secret(text))
        ):
            _secret(variables.line_of(name), f"environment_variables.{name}", checker)
    for key, value in content.items():
        if isinstance(value, str) and _SECRET_VALUE.search(value):
            _secret(content.line_of(key), str(key), checker)
        if isinstance(value, str) and (found := _OPEN.search(value)):
            message = f"a placeholder is not closed: expected }}}} after {found[0]}"
            checker.wrong(content.line_of(key), str(key), message)
        if isinstance(value, str) and (found := _HALF.search(value)):
            name = found[found.lastindex or 0]
            if key not in _COMMANDS and not name.startswith("parent."):
                continue  # text of another template
            message = f"expected ${{{{{name}}}}}, found {found[0]}"
            checker.wrong(content.line_of(key), str(key), message)
        is_named = key in _CREDENTIALS or (key == "key" and where == "credentials")
        if is_named and isinstance(value, str) and _looks_secret(value):
            _secret(content.line_of(key), f"{where}.{key}" if where else str(key), checker)
        if key != "environment_variables":
            _secrets(value, checker, str(key))


def _secret(line: int, where: str, checker: Checker) -> None:
    message = "a secret in a file is a secret no more; keep it in Key Vault, or use the identity"
    checker.wrong(line, where, message)


def _looks_secret(text: str) -> bool:
    """Whether a value could be a secret: no number, switch, address of a vault or reference."""
    is_plain = re.fullmatch(
        r"|true|false|[0-9.]+|(\w+=)?\$\{.*\}|.*(<.*>|[x*]{4}).*|(?-i:[A-Z]+(_[A-Z]+)+)|(keyvaultref:)?https?://[^?@]*|.*\.vault\.azure\.net.*|/[^ ]*",
        text,
        re.IGNORECASE,
    )
    return is_plain is None


_RULES: dict[str, Callable[[AzureFile, Checker], None]] = {
    "environment": _environment,
    "data": _data,
    "model": _model,
    "online deployment": _deployment,
    "kubernetes deployment": _deployment,
    "batch deployment": _deployment,
    "plain batch deployment": _deployment,
    "pipeline batch deployment": _deployment,
    "online endpoint": _endpoint,
    "kubernetes endpoint": _endpoint,
    "batch endpoint": _endpoint,
    "spark component": spark_file,
    "spark job": spark_file,
    "parallel component": parallel_file,
    "sweep job": sweep_file,
    "command job": command_file,
    "command component": command_file,
    "amlcompute": compute,
    "compute instance": compute,
    "registry": registry,
    "workspace": workspace,
}
