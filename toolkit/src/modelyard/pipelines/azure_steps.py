"""Rules of Azure ML for Spark, parallel and sweep steps, and for the scripts that Azure ML calls."""

from __future__ import annotations

import itertools
import re
from typing import Any

from modelyard.pipelines.azure_fields import SPARK_NEEDS
from modelyard.pipelines.azure_fields_check import Checker
from modelyard.pipelines.azure_files import AzureFile, defined_in, empty, entry_file, is_in
from modelyard.pipelines.references import references
from modelyard.pipelines.tasks import batches_mismatch
from modelyard.yaml_files import LocatedMapping, did_you_mean, nearest

_SPARK_KEYS = {*SPARK_NEEDS, "spark.executor.instances"}


def ordered(
    checker: Checker, section: LocatedMapping, where: str, low: Any, high: Any, other: str
) -> None:
    """Check that one number is not above another."""
    key = where.rpartition(".")[2]
    if isinstance(low, int) and isinstance(high, int) and low > high:
        checker.wrong(section.line_of(key), where, f"{low} is above {other}, {high}")


_SAMPLED = {  # a way of sampling → the distributions it can draw from
    "grid": {"choice"},
    "bayesian": {"choice", "uniform", "quniform"},
}
_SCRIPT = re.compile(
    r"\s*python3?\s+(?:-[uOBEI]\s+)*([^\s$\"'`{}<>|;&\\-][^\s$\"'`{}<>|;&\\]*\.py)(?=\s|$)"
)


def command_file(file: AzureFile, checker: Checker) -> None:
    """Check a command component or job."""
    command_script(file, file.content, checker)


def command_script(
    file: AzureFile, content: LocatedMapping, checker: Checker, where: str = ""
) -> None:
    """Check that the script with which a command begins is in its code."""
    code, found = content.get("code"), _SCRIPT.match(str(content.get("command", "")))
    if not isinstance(code, str) or found is None or content.get("additional_includes"):
        return
    folder, name = file.path.parent / code.removeprefix("file:"), found[1]
    if "://" in code or not folder.is_dir() or name.startswith("/") or is_in(folder, name):
        return
    near = did_you_mean(name, [p.relative_to(folder).as_posix() for p in folder.rglob("*.py")])
    place = f"{where}.command" if where else "command"
    checker.wrong(content.line_of("command"), place, f"{name} does not exist in {code}{near}")


def spark_file(file: AzureFile, checker: Checker) -> None:
    """Check a Spark component or job."""
    spark(file, file.content, checker)
    if file.kind == "spark job" and not file.content.keys() & {"compute", "resources"}:
        message = "a Spark job needs `resources` (serverless Spark) or `compute`"
        checker.wrong(file.content.line, "", message)
    ports = file.below("inputs") if file.kind == "spark component" else empty()
    for name, port in ports.items():
        if isinstance(port, LocatedMapping) and port.get("mode", "direct") != "direct":
            message = (
                f"Spark reads data where it is: expected `mode: direct`, found {port['mode']!r}"
            )
            checker.wrong(port.line_of("mode"), f"inputs.{name}.mode", message)


def _sizes(conf: LocatedMapping, line: int, place: str, checker: Checker) -> None:
    """Check that the settings of the driver and the executors are all there."""
    needed = SPARK_NEEDS if _is_dynamic(conf) else (*SPARK_NEEDS, "spark.executor.instances")
    for key in [key for key in needed if key not in conf]:
        if meant := nearest(key, set(conf) - _SPARK_KEYS, 0.9):
            at = conf.line_of(meant)
            checker.wrong(at, f"{place}conf.{meant}", f"did you mean `{key}`?")
        else:
            checker.wrong(line, f"{place}conf", f"`{key}` is missing")


def step_sizes(
    node: LocatedMapping, component: LocatedMapping, checker: Checker, where: str
) -> None:
    """Check that a step gives the settings that its component leaves out altogether."""
    given, conf = component.get("conf"), node.get("conf")
    if isinstance(given, dict) and given.keys() & _SPARK_KEYS:
        return
    if "conf" not in node:
        checker.wrong(node.line, where, "`conf` is missing, here and in the component")
    elif isinstance(conf, LocatedMapping):
        _sizes(conf, node.line_of("conf"), f"{where}.", checker)


def _is_dynamic(conf: LocatedMapping) -> bool:
    return str(conf.get("spark.dynamicAllocation.enabled", "false")).lower() == "true"


def spark(file: AzureFile, content: LocatedMapping, checker: Checker, where: str = "") -> None:
    """Check a Spark component, a job, or a step that brings its code."""
    place = f"{where}." if where else ""
    conf = content.get("conf")
    given: LocatedMapping = conf if isinstance(conf, LocatedMapping) else empty()
    line = content.line_of("conf")
    # The steps of a component may give what it leaves out altogether.
    if "conf" in content and (given.keys() & _SPARK_KEYS or file.kind != "spark component"):
        _sizes(given, line, place, checker)
    elif where and "conf" not in content:
        checker.wrong(content.line, where, "`conf` is missing")
    for key in given:
        value = str(given[key])
        pattern, means = (
            (r"[1-9]\d*", "a whole number above 0")
            if str(key).endswith((".cores", ".instances", "minExecutors", "maxExecutors"))
            else (r"[1-9]\d*[kmgtKMGT]b?", "a size such as 2g")
            if re.fullmatch(r"spark\.(driver|executor)\.memory", str(key))
            else ("", "")
        )
        if pattern and not re.fullmatch(pattern, value):
            checker.wrong(
                given.line_of(key), f"{place}conf.{key}", f"expected {means}; found {value!r}"
            )
    ends = [f"spark.dynamicAllocation.{end}Executors" for end in ("min", "max")]
    if _is_dynamic(given):
        for key in ends:
            if key not in given:
                checker.wrong(
                    line, f"{place}conf", f"`{key}` is missing, which dynamic allocation needs"
                )
        between = (ends[0], "spark.executor.instances", ends[1])
        for smaller, larger in itertools.combinations(between, 2):
            low, high = given.get(smaller), given.get(larger)
            if isinstance(low, int) and isinstance(high, int) and low > high:
                message = f"{low} is above {larger}, {high}"
                checker.wrong(given.line_of(smaller), f"{place}conf.{smaller}", message)
    for key in ends if not _is_dynamic(given) else ():
        if key in given:
            message = "it is for dynamic allocation, which is off (spark.dynamicAllocation.enabled)"
            checker.wrong(given.line_of(key), f"{place}conf.{key}", message)
    for key in ("py_files", "jars", "files", "archives"):
        names = content.get(key)
        if isinstance(names, list) and len(set(map(str, names))) < len(names):
            checker.wrong(content.line_of(key), f"{place}{key}", "a name is there twice")
    entry = content.get("entry")
    if isinstance(entry, LocatedMapping) and "file" in entry:
        folder = file.path.parent / str(content.get("code", "."))
        name = str(entry["file"])
        if "code" in content and folder.is_dir() and not is_in(folder, name):
            near = did_you_mean(name, [p.name for p in folder.glob("*.py")])
            checker.wrong(
                entry.line_of("file"),
                f"{place}entry.file",
                f"{name} does not exist in {content['code']}{near}",
            )
    _arguments(content, "args", content, checker, place)
    check_spark_inputs(content, checker, place)


def check_spark_inputs(content: LocatedMapping, checker: Checker, place: str) -> None:
    """Check that data comes as Spark reads it, and that it is said where Spark runs."""
    inputs = content.get("inputs")
    for name, value in inputs.items() if isinstance(inputs, LocatedMapping) else ():
        is_data = isinstance(value, LocatedMapping) and "path" in value
        if is_data and not references(str(value["path"])) and value.get("mode") != "direct":
            found = repr(value["mode"]) if "mode" in value else "none"
            message = f"Spark reads data where it is: expected `mode: direct`, found {found}"
            checker.wrong(value.line_of("mode"), f"{place}inputs.{name}.mode", message)
    outputs = content.get("outputs")
    # A component may say it for its steps, and a step for its component.
    is_whole = content.keys() & {"compute", "resources"} and "component" not in content
    for name, value in outputs.items() if isinstance(outputs, LocatedMapping) else ():
        is_bound = isinstance(value, LocatedMapping) and references(str(value.get("path", "")))
        unsaid = None if is_whole and not is_bound else "direct"
        if isinstance(value, LocatedMapping) and value.get("mode", unsaid) != "direct":
            found = repr(value.get("mode", "none"))
            message = f"Spark writes data where it is: expected `mode: direct`, found {found}"
            checker.wrong(value.line_of("mode"), f"{place}outputs.{name}.mode", message)
    if "compute" in content and "resources" in content:
        message = "a Spark job has either `resources` (serverless Spark) or `compute`"
        checker.wrong(content.line_of("compute"), f"{place}compute", message)


def _arguments(
    section: LocatedMapping, key: str, content: LocatedMapping, checker: Checker, where: str
) -> None:
    """Check that what arguments refer to is declared."""
    declared = [
        f"{part}.{name}"
        for part in ("inputs", "outputs")
        if isinstance(content.get(part), dict)
        for name in content[part]
    ]
    for name in references(str(section.get(key, ""))):
        if name.startswith(("inputs.", "outputs.")) and name not in declared:
            message = f"${{{{{name}}}}} is not declared{did_you_mean(name, declared)}"
            checker.wrong(section.line_of(key), f"{where}{key}", message)


def parallel_file(file: AzureFile, checker: Checker) -> None:
    """Check a parallel component."""
    parallel(file, file.content, checker)


def parallel(file: AzureFile, content: LocatedMapping, checker: Checker, where: str = "") -> None:
    """Check a parallel component, or a step that brings its code."""
    place = f"{where}." if where else ""
    task = content.get("task")
    if not isinstance(task, LocatedMapping):
        return
    script(file, task, "entry_script", f"{place}task", ("run",), checker)
    if not content.keys() & {"mini_batch_size", "partition_keys"}:
        checker.wrong(content.line, where, "`mini_batch_size` is missing")
    inputs = content.get("inputs") if isinstance(content.get("inputs"), dict) else {}
    source = re.fullmatch(r"\$\{\{\s*inputs\.(\w+)\s*\}\}", str(content.get("input_data", "")))
    if "input_data" in content and (source is None or source[1] not in (inputs or {})):
        hint = did_you_mean(source[1] if source else "", inputs or {})
        message = f"expected ${{{{inputs.NAME}}}} of an input{hint}"
        checker.wrong(content.line_of("input_data"), f"{place}input_data", message)
    elif found := batches_mismatch(content, source[1] if source else ""):
        checker.wrong(content.line_of(found[0]), f"{place}{found[0]}", found[1])
    _arguments(task, "program_arguments", content, checker, f"{place}task.")
    _arguments(task, "append_row_to", content, checker, f"{place}task.")


def script(
    file: AzureFile,
    section: LocatedMapping,
    key: str,
    where: str,
    needs: tuple[str, ...],
    checker: Checker,
) -> None:
    """Check that a script exists, and defines what Azure ML calls."""
    code, name = str(section.get("code", "")), str(section.get(key) or "")
    folder = file.path.parent / code
    if not code or not name or not folder.is_dir() or "://" in code:
        return
    if key == "entry_script":
        name = entry_file(folder, name)
    if not is_in(folder, name):
        near = did_you_mean(name, [p.name for p in folder.glob("*.py")])
        checker.wrong(
            section.line_of(key), f"{where}.{key}", f"{name} does not exist in {code}{near}"
        )
        return
    names = defined_in((folder / name).resolve())
    for function in needs if names is not None and (folder / name).stat().st_size else ():
        if names is not None and function not in names:
            checker.wrong(
                section.line_of(key), f"{where}.{key}", f"{name} has no function {function}()"
            )


def sweep_file(file: AzureFile, checker: Checker) -> None:
    """Check a job that is a sweep."""
    content, trial, space = file.content, file.below("trial"), file.below("search_space")
    inputs = file.below("inputs")
    declared = [f"search_space.{name}" for name in space] + [f"inputs.{name}" for name in inputs]
    used = references(str(trial.get("command", "")))
    for name in used:
        if name.startswith(("search_space.", "inputs.")) and name not in declared:
            message = f"${{{{{name}}}}} is not declared{did_you_mean(name, declared)}"
            checker.wrong(trial.line_of("command"), "trial.command", message)
    for name in space:
        if trial and f"search_space.{name}" not in used:
            message = f"the trial's command does not use ${{{{search_space.{name}}}}}"
            checker.wrong(space.line_of(name), f"search_space.{name}", message)
    command_script(file, trial, checker, "trial")
    search(content, checker)


def search(content: LocatedMapping, checker: Checker, where: str = "") -> None:
    """Check the distributions, limits and policy of a sweep."""
    place = f"{where}." if where else ""

    def section(key: str) -> LocatedMapping:
        found = content.get(key)
        return found if isinstance(found, LocatedMapping) else empty()

    way = content.get("sampling_algorithm")
    way = str(way.get("type") if isinstance(way, dict) else way).lower()
    _space(section("search_space"), way, checker, place)
    _policy(content, checker, place)
    limits = section("limits")
    trials, at_once = limits.get("max_total_trials"), limits.get("max_concurrent_trials")
    ordered(
        checker, limits, f"{place}limits.max_concurrent_trials", at_once, trials, "max_total_trials"
    )


def _policy(content: LocatedMapping, checker: Checker, place: str) -> None:
    policy = content.get("early_termination")
    if not isinstance(policy, LocatedMapping):
        return
    if (
        policy.get("type") == "bandit"
        and len(policy.keys() & {"slack_factor", "slack_amount"}) != 1
    ):
        message = "a bandit policy has either `slack_factor` or `slack_amount`"
        checker.wrong(policy.line_of("slack_amount"), f"{place}early_termination", message)


def _space(space: LocatedMapping, way: str, checker: Checker, place: str) -> None:
    for name, one in space.items():
        if isinstance(one, LocatedMapping):
            kind = str(one.get("type")).lower()
            if kind not in _SAMPLED.get(way, {kind}):
                can = ", ".join(sorted(_SAMPLED[way]))
                message = f"sampling_algorithm {way} has {can}; found {kind}"
                checker.wrong(one.line_of("type"), f"{place}search_space.{name}.type", message)
            low, high = one.get("min_value"), one.get("max_value")
            if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low >= high:
                message = f"{low} is not below max_value, {high}"
                checker.wrong(
                    one.line_of("min_value"), f"{place}search_space.{name}.min_value", message
                )
            if one.get("type") == "choice" and one.get("values") == []:
                checker.wrong(one.line, f"{place}search_space.{name}", "a choice needs `values`")


def automl_file(file: AzureFile, checker: Checker) -> None:
    """Check a job of AutoML."""
    automl(file.content, checker)


def automl(content: LocatedMapping, checker: Checker, where: str = "") -> None:
    """Check the limits, algorithms and search space of a job or a step of AutoML."""
    place = f"{where}." if where else ""

    def section(key: str) -> LocatedMapping:
        found = content.get(key)
        return found if isinstance(found, LocatedMapping) else empty()

    limits, training, sweep = section("limits"), section("training"), section("sweep")
    one, all_of_them = limits.get("trial_timeout_minutes"), limits.get("timeout_minutes")
    at = f"{place}limits.trial_timeout_minutes"
    ordered(checker, limits, at, one, all_of_them, "timeout_minutes")
    allowed, blocked = (
        {str(name).lower() for name in (names if isinstance(names, list) else ())}
        for word in ("allowed", "blocked")
        for names in [training.get(f"{word}_training_algorithms")]
    )
    for name in sorted(allowed & blocked):
        key = "blocked_training_algorithms"
        message = f"{name} is one of `allowed_training_algorithms` as well"
        checker.wrong(training.line_of(key), f"{place}training.{key}", message)
    _policy(sweep, checker, f"{place}sweep.")
    spaces = content.get("search_space")
    for space in spaces if isinstance(spaces, list) else ():
        if isinstance(space, LocatedMapping):
            _space(space, "", checker, place)
