"""Reads command components (CLI v2) and checks their inputs, outputs and references."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

from modelyard.pipelines.documents import Problems
from modelyard.pipelines.model import ANY, DATA_TYPES, LITERAL_TYPES, PATH, Component, Port
from modelyard.pipelines.references import reference, references, required_references
from modelyard.pipelines.step_environments import read_environment
from modelyard.yaml_files import LocatedMapping, did_you_mean

# What a component and a job have in common.
COMMAND_FIELDS = {
    "$schema",
    "type",
    "name",
    "display_name",
    "description",
    "tags",
    "inputs",
    "outputs",
    "command",
    "code",
    "environment",
    "resources",
    "distribution",
    "properties",
}
COMPONENT_FIELDS = COMMAND_FIELDS | {"version", "is_deterministic", "additional_includes"}
PORT_FIELDS = {
    "input": {"type", "description", "optional", "default", "min", "max", "enum", "mode"},
    "output": {"type", "description", "mode", "is_control", "early_available"},
}
# By the reference of a job's input or output.
MODES = {
    "input": {"ro_mount", "rw_mount", "download", "direct", "eval_mount", "eval_download"},
    "output": {"rw_mount", "mount", "upload", "direct"},
}


def read_component(content: LocatedMapping, file: Path, problems: Problems) -> Component | None:
    """Build a component from a document, or from what a node has in place of a file's name.

    Args:
        content: the component.
        file: it is part of; `code` is relative to its folder.
        problems: takes everything that is wrong.

    Returns:
        None where something is wrong.
    """
    before = len(problems.found)
    inputs = read_ports(content, "input", file, problems)
    outputs = read_ports(content, "output", file, problems)
    component = _read_command(content, file, problems, inputs, outputs)
    return component if len(problems.found) == before else None


def read_inline(
    content: LocatedMapping, file: Path, problems: Problems, bound: Mapping[str, str]
) -> Component | None:
    """Build a component from a command job that a pipeline has in full; see `read_component`.

    Args:
        content: the job.
        file: it is part of.
        problems: takes everything that is wrong.
        bound: type of each output of the pipeline; an output of the job that is bound to it has the same.
    """
    before = len(problems.found)
    inputs = {}
    for name, value in problems.section(content, "inputs", file).items():
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(value, dict) and kind is None and reference(value) is None:
            kind = "uri_folder"  # Azure's default
        inputs[name] = Port(name, str(kind or ANY))
    outputs = {}
    for name, value in problems.section(content, "outputs", file).items():
        kind = value.get("type") if isinstance(value, dict) else None
        if kind is None and (place := reference(value)):
            kind = bound.get(place[-1])
        outputs[name] = Port(name, str(kind or "uri_folder"))
    for section, ports, types in (
        ("inputs", inputs, DATA_TYPES | LITERAL_TYPES.keys() | {ANY}),
        ("outputs", outputs, DATA_TYPES),
    ):
        for name, port in ports.items():
            if port.type not in types:
                expected = ", ".join(sorted(types - {ANY}))
                message = f"`{name}`: expected one of the types {expected}; found {port.type!r}"
                given = content[section]
                at = given[name] if isinstance(given[name], LocatedMapping) else given
                line = at.line_of("type") if at is not given else given.line_of(name)
                problems.add(file, line, message)
    component = _read_command(content, file, problems, inputs, outputs)
    return component if len(problems.found) == before else None


def _read_command(
    content: LocatedMapping,
    file: Path,
    problems: Problems,
    inputs: Mapping[str, Port],
    outputs: Mapping[str, Port],
) -> Component | None:
    command = content.get("command")
    if not isinstance(command, str) or not command.strip():
        problems.add(file, content.line_of("command"), "a component needs a `command`")
        return None
    for message in _wrong_references(command, inputs, outputs):
        problems.add(file, content.line_of("command"), message)
    problems.without_effect(content, file)
    tags = problems.section(content, "tags", file)
    deterministic = content.get("is_deterministic", True)
    if not isinstance(deterministic, bool):
        message = f"`is_deterministic`: expected true or false, found {deterministic!r}"
        problems.add(file, content.line_of("is_deterministic"), message)
    environment, packages = read_environment(content, file, problems)
    return Component(
        name=str(content.get("name", file.stem)),
        file=file,
        command=command.strip(),
        code=_code(content, file, problems),
        environment=environment,
        inputs=inputs,
        outputs=outputs,
        deterministic=deterministic is True,
        tags={str(key): str(value) for key, value in tags.items()},
        includes=_includes(content, file, problems),
        variables=read_distribution(content, file, problems)
        | read_variables(content, file, problems),
        packages=packages,
    )


def _code(content: LocatedMapping, file: Path, problems: Problems) -> Path | None:
    place = content.get("code")
    if place is None:
        return None
    line = content.line_of("code")
    if not isinstance(place, str):
        problems.add(file, line, f"code: expected the path of a folder, found {place!r}")
        return None
    if "://" in place or place.startswith("azureml:"):
        problems.add(file, line, f"code {place} is not on this machine; name a folder")
        return None
    code = (file.parent / place).resolve()
    if not code.exists():
        problems.add(file, line, f"code folder {place} does not exist")
    return code


def _includes(content: LocatedMapping, file: Path, problems: Problems) -> tuple[Path, ...]:
    given = content.get("additional_includes")
    line = content.line_of("additional_includes")
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        problems.add(file, line, "`additional_includes` must be a list of paths")
        return ()
    found = [(file.parent / one).resolve() for one in given]
    for one, path in zip(given, found, strict=True):
        if not path.exists():
            problems.add(file, line, f"`additional_includes`: {one} does not exist")
    for name in {path.name for path in found if sum(p.name == path.name for p in found) > 1}:
        problems.add(file, line, f"`additional_includes` has two that are called {name}")
    return tuple(found)


def read_variables(content: LocatedMapping, file: Path, problems: Problems) -> dict[str, str]:
    """Read `environment_variables`, each as it is written."""
    section = problems.section(content, "environment_variables", file)
    result = {}
    for name, value in section.items():
        text = section.text_of(name)
        if text is None and isinstance(value, str):
            text = value
        if text is None:
            message = f"environment variable `{name}`: expected text, found {value!r}"
            problems.add(file, section.line_of(name), message)
        else:
            result[str(name)] = "" if value is None else text
    return result


def read_distribution(content: LocatedMapping, file: Path, problems: Problems) -> dict[str, str]:
    """The variables by which a distributed step knows that it is one process on one machine."""
    section = problems.section(content, "distribution", file)
    if not section:
        return {}
    kind = str(section.get("type", "")).lower()
    # Steps at the same time need ports of their own; the same step has the same one, for its key.
    about = [content.get(key) for key in ("name", "component", "command")]
    port = str(20000 + crc32(repr(about).encode()) % 10000)
    rank = {"RANK": "0", "LOCAL_RANK": "0", "NODE_RANK": "0", "WORLD_SIZE": "1"}
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    mpi = {f"OMPI_COMM_WORLD_{name.removeprefix('WORLD_')}": rank[name] for name in rank}
    worker = {"type": "worker", "index": 0}
    tensorflow = {"cluster": {"worker": [f"127.0.0.1:{port}"]}, "task": worker}
    known = {
        "mpi": mpi | here,
        "pytorch": rank | here,
        "ray": {},
        "tensorflow": {"TF_CONFIG": json.dumps(tensorflow)},
    }
    if kind not in known:
        message = (
            f"distribution.type: expected one of {', '.join(known)}; found {section.get('type')!r}"
        )
        problems.add(file, section.line_of("type"), message)
    return known.get(kind, {})


def read_ports(
    content: LocatedMapping, kind: str, file: Path, problems: Problems
) -> dict[str, Port]:
    """Read the inputs or outputs that a component declares, with their limits and defaults."""
    types = DATA_TYPES | LITERAL_TYPES.keys()
    result = {}
    section = problems.section(content, f"{kind}s", file)
    for name, spec in section.items():
        if not isinstance(spec, LocatedMapping) or str(spec.get("type")) not in {*types, PATH}:
            found = spec.get("type") if isinstance(spec, dict) else spec
            expected = ", ".join(sorted(types))
            message = f"{kind} `{name}` needs a type, one of {expected}; found {found!r}"
            problems.add(file, section.line_of(name), message)
            continue
        problems.unknown_fields(spec, PORT_FIELDS[kind], file, f"{kind} of a component")
        check_mode(spec, kind, file, problems)
        optional = spec.get("optional", False)
        if not isinstance(optional, bool):
            message = f"{kind} `{name}`, optional: expected true or false, found {optional!r}"
            problems.add(file, spec.line_of("optional"), message)
        result[name] = with_limits(Port(name, spec["type"], optional is True), spec, file, problems)
    return result


def with_limits(port: Port, spec: LocatedMapping, file: Path, problems: Problems) -> Port:
    """Add default, enumeration and limits, each of which has to be of the port's type."""

    def typed(allowed: Port, field: str, value: Any, text: str | None) -> Any:
        try:
            return allowed.typed(value, text)
        except ValueError as error:
            problems.add(file, spec.line_of(field), f"input `{port.name}`, {field}: {error}")
            return None

    bare = Port(port.name, port.type, port.optional)
    limits: dict[str, Any] = {}
    for field in ("min", "max"):
        if field in spec and port.type not in ("integer", "number"):
            message = f"input `{port.name}`: `{field}` is for a number, this is a {port.type}"
            problems.add(file, spec.line_of(field), message)
        elif field in spec:
            limits[field] = typed(bare, field, spec[field], spec.text_of(field))
    low, high = limits.get("min"), limits.get("max")
    if low is not None and high is not None and low > high:
        message = f"input `{port.name}`: min {low} is above max {high}"
        problems.add(file, spec.line_of("min"), message)
    enum = spec.get("enum")
    if enum is not None and not isinstance(enum, list):
        message = f"input `{port.name}`: `enum` must be a list"
        problems.add(file, spec.line_of("enum"), message)
        enum = None
    values = tuple(
        value
        for one in enum or []
        if (value := typed(bare, "enum", one, one if isinstance(one, str) else None)) is not None
    )
    limited = replace(bare, enum=values, minimum=low, maximum=high)
    default = spec.get("default")
    if default is None:
        return limited
    return replace(limited, default=typed(limited, "default", default, spec.text_of("default")))


def check_mode(spec: LocatedMapping, kind: str, file: Path, problems: Problems) -> None:
    """Note that `mode` has no effect, or that it is none."""
    mode = spec.get("mode")
    if mode is None:
        return
    if str(mode) not in MODES[kind]:
        expected = ", ".join(sorted(MODES[kind]))
        message = f"mode of an {kind}: expected one of {expected}; found {mode!r}"
        problems.add(file, spec.line_of("mode"), message)
    problems.without_effect(spec, file)


def _wrong_references(
    command: str, inputs: Mapping[str, Port], outputs: Mapping[str, Port]
) -> list[str]:
    declared = [f"inputs.{name}" for name in inputs] + [f"outputs.{name}" for name in outputs]
    optional = {f"inputs.{name}" for name, port in inputs.items() if port.optional}
    unknown = [
        f"the command names ${{{{{name}}}}}, which is not declared{did_you_mean(name, declared)}"
        for name in references(command)
        if name not in declared
    ]
    return unknown + [
        f"input `{name.partition('.')[2]}` is optional: put its argument inside $[[ ]]"
        for name in required_references(command)
        if name in optional
    ]
