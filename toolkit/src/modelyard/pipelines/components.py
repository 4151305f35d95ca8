"""Reads command components (CLI v2) and checks their inputs, outputs and references."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelyard.pipelines.documents import Problems
from modelyard.pipelines.model import DATA_TYPES, LITERAL_TYPES, Component, Port
from modelyard.pipelines.references import references, required_references
from modelyard.yaml_files import LocatedMapping, did_you_mean

COMPONENT_FIELDS = {
    "$schema",
    "type",
    "name",
    "version",
    "display_name",
    "description",
    "tags",
    "is_deterministic",
    "inputs",
    "outputs",
    "command",
    "code",
    "environment",
    "resources",
    "distribution",
    "additional_includes",
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
    command = content.get("command")
    if not isinstance(command, str) or not command.strip():
        problems.add(file, content.line_of("command"), "a component needs a `command`")
        return None
    code = None
    if content.get("code") is not None:
        code = (file.parent / str(content["code"])).resolve()
        if not code.is_dir():
            message = f"code folder {content['code']} does not exist"
            problems.add(file, content.line_of("code"), message)
    inputs = _ports(content, "inputs", file, DATA_TYPES | LITERAL_TYPES.keys(), problems)
    outputs = _ports(content, "outputs", file, DATA_TYPES, problems)
    for message in _wrong_references(command, inputs, outputs):
        problems.add(file, content.line_of("command"), message)
    if len(problems.found) > before:
        return None
    return Component(
        name=str(content.get("name", file.stem)),
        file=file,
        command=command.strip(),
        code=code,
        environment=str(content.get("environment", "")),
        inputs=inputs,
        outputs=outputs,
        deterministic=bool(content.get("is_deterministic", True)),
        tags={str(key): str(value) for key, value in (content.get("tags") or {}).items()},
    )


def _ports(
    content: LocatedMapping, key: str, file: Path, types: set[str], problems: Problems
) -> dict[str, Port]:
    result = {}
    section = problems.section(content, key, file)
    for name, spec in section.items():
        if not isinstance(spec, dict) or spec.get("type") not in types:
            found = spec.get("type") if isinstance(spec, dict) else spec
            problems.add(
                file,
                section.line_of(name),
                f"{key[:-1]} `{name}` needs a type, one of {', '.join(sorted(types))}; found {found!r}",
            )
            continue
        result[name] = Port(
            name=name,
            type=spec["type"],
            optional=bool(spec.get("optional", False)),
            default=spec.get("default"),
            enum=tuple(spec.get("enum") or ()),
            minimum=spec.get("min"),
            maximum=spec.get("max"),
        )
    return result


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
