"""The steps that a pipeline declares, through pipelines that are steps themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.pipelines.components import (
    COMMAND_FIELDS,
    COMPONENT_FIELDS,
    check_mode,
    read_component,
    read_inline,
    read_ports,
)
from modelyard.pipelines.data_paths import relative
from modelyard.pipelines.documents import Problems
from modelyard.pipelines.model import ANY, Component, Port, StepOutput
from modelyard.pipelines.references import reference
from modelyard.sweeps.model import SWEEP_FIELDS
from modelyard.yaml_files import LocatedMapping, did_you_mean

PIPELINE_FIELDS = {
    "$schema",
    "type",
    "name",
    "display_name",
    "experiment_name",
    "description",
    "tags",
    "properties",
    "settings",
    "compute",
    "inputs",
    "outputs",
    "jobs",
    "identity",
    "services",
}
NESTED_FIELDS = PIPELINE_FIELDS | {"version", "is_deterministic"}
SETTINGS = {
    "default_compute",
    "default_datastore",
    "continue_on_step_failure",
    "force_rerun",
}
COMMON_FIELDS = {"type", "inputs", "outputs", "display_name", "description", "tags", "properties"}
NODE_FIELDS = COMMON_FIELDS | {
    "component",
    "compute",
    "resources",
    "environment_variables",
    "identity",
    "limits",
    "queue_settings",
    "services",
    "distribution",
    "name",
}
INLINE_FIELDS = COMMAND_FIELDS | NODE_FIELDS - {"component"} | {"experiment_name"}
NESTED_NODE_FIELDS = COMMON_FIELDS | {"component", "jobs", "compute", "settings", "name"}
SWEEP_NODE_FIELDS = NODE_FIELDS - {"component", "environment_variables", "distribution"} | (
    SWEEP_FIELDS | {"trial"}
)
NOT_HERE = {
    "parallel": "its mini-batches are handed out by a service of Azure ML",
    "spark": "it needs Spark, which this toolkit does not bring",
    "automl": "its algorithms are a service of Azure ML",
    "import": "it copies from a database or a bucket that Azure ML has the key of",
    "data_transfer": "it copies between stores that Azure ML has the keys of",
}


@dataclass
class Shared:
    """What the levels of one pipeline share."""

    data_assets: Path | None
    need_data: bool
    problems: Problems = field(default_factory=Problems)
    components: dict[Path, Component | None] = field(default_factory=dict)


class Level:
    """A pipeline, or one that is a step of another: its components, and what its outputs are.

    Attributes:
        prefix: of its steps' names.
        outputs: the step's output that each declared output is (None before it is known), and its type.
    """

    def __init__(
        self,
        file: Path,
        document: LocatedMapping,
        shared: Shared,
        prefix: str = "",
        around: tuple[Path, ...] = (),
        *,
        is_component: bool = False,
    ) -> None:
        self.file, self.document, self.shared, self.prefix = file, document, shared, prefix
        self.around = (*around, file.resolve())
        self.problems = shared.problems
        self.inputs = self.problems.section(document, "inputs", file)
        self.jobs = self.problems.section(document, "jobs", file)
        self.components: dict[str, Component | None] = {}
        self.nested: dict[str, Level | None] = {}
        self.outputs: dict[str, tuple[StepOutput | None, str]] = {}
        self.is_component = is_component
        self.declared_inputs = (
            read_ports(document, "input", file, self.problems) if is_component else {}
        )

    def problem(self, line: int, message: str) -> None:
        self.problems.add(self.file, line, message)

    def not_here(self, line: int, message: str) -> None:
        """Refuse to run what Azure ML runs and this machine does not; a check only notes it."""
        add = self.problems.add if self.shared.need_data else self.problems.note
        add(self.file, line, message)

    def declare(self) -> None:
        """Read the components of all steps, and what the outputs are bound to."""
        if not self.jobs:
            self.problem(self.document.line_of("jobs"), "`jobs` is empty: a pipeline needs a step")
        self.settings()
        self.problems.without_effect(self.document, self.file)
        declared = self.problems.section(self.document, "outputs", self.file)
        for name, spec in declared.items():
            kind = spec.get("type", "uri_folder") if isinstance(spec, dict) else "uri_folder"
            self.outputs[name] = (None, str(kind))
            if isinstance(spec, LocatedMapping):
                self.output_fields(spec, f"output `{name}`")
        for name, node in self.jobs.items():
            kind = self.kind(name, node)
            if kind == "pipeline":
                self.nested[name] = self.nested_pipeline(name, node)
            elif kind is not None:
                self.components[name] = self.node_component(name, node)
        for name in [*self.components, *self.nested]:
            self.bind_outputs(name)
        for name, (found, _) in self.outputs.items():
            if found is None and not self.problems.found:
                line = declared.line_of(name)
                message = f"output `{name}`: no step is bound to it (outputs: …: ${{{{parent.outputs.{name}}}}})"
                self.problem(line, message)

    def settings(self) -> None:
        settings = self.problems.section(self.document, "settings", self.file)
        self.problems.unknown_fields(settings, SETTINGS, self.file, "pipeline's `settings`")
        self.problems.without_effect(settings, self.file)
        for key in ("force_rerun", "continue_on_step_failure"):
            if not isinstance(settings.get(key, True), bool):
                line = settings.line_of(key)
                self.problem(line, f"`{key}`: expected true or false, found {settings[key]!r}")

    def output_fields(self, spec: LocatedMapping, what: str) -> None:
        self.problems.unknown_fields(
            spec, {"type", "mode", "path", "name", "version", "description"}, self.file, what
        )
        check_mode(spec, "output", self.file, self.problems)
        for key in spec.keys() & {"path", "name", "version"}:
            if reference(spec[key]) is None:
                message = f"`{key}` of {what} has no effect here: it is written below .runs"
                self.problems.note(self.file, spec.line_of(key), message)

    def kind(self, name: str, node: Any) -> str | None:
        """The type of a node; None where it is none that runs."""
        if not str(name).isidentifier():
            self.problem(self.jobs.line_of(name), f"step name `{name}` must be a Python identifier")
        if not isinstance(node, LocatedMapping):
            self.problem(self.jobs.line_of(name), f"step `{name}` must be a mapping")
            return None
        kind = str(node.get("type", "pipeline" if "jobs" in node else "command"))
        if kind not in ("command", "sweep", "pipeline"):
            why = NOT_HERE.get(kind)
            runs = "`type: command`, `type: sweep` and `type: pipeline`"
            message = f"step `{name}`: only {runs} run locally, found {kind!r}"
            line = node.line_of("type")
            if why:
                self.not_here(line, f"{message}; {why}")
            else:
                self.problem(line, message)
            return None
        inline = kind == "command" and "command" in node and "component" not in node
        fields = {
            "command": INLINE_FIELDS if inline else NODE_FIELDS,
            "sweep": SWEEP_NODE_FIELDS,
            "pipeline": NESTED_NODE_FIELDS,
        }[kind]
        self.problems.unknown_fields(node, fields, self.file, f"step of type {kind}")
        if not inline:  # what an inline job says is noted with its component
            self.problems.without_effect(node, self.file)
        return kind

    def used(self) -> list[str]:
        """The inputs that a step reads; one that none reads needs no data."""
        read = {
            found[2]
            for node in self.jobs.values()
            if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
            for value in node["inputs"].values()
            if (found := reference(value)) and found[:2] == ["parent", "inputs"] and len(found) == 3
        }
        return [name for name in self.inputs if name in read]

    def node_component(self, name: str, node: LocatedMapping) -> Component | None:
        key = "trial" if node.get("type") == "sweep" else "component"
        if key not in node and key == "component" and "command" in node:
            types = {key: kind for key, (_, kind) in self.outputs.items()}
            return read_inline(node, self.file, self.problems, types)
        named = node.get(key)
        if isinstance(named, LocatedMapping):
            self.problems.unknown_fields(named, COMPONENT_FIELDS, self.file, "component")
            return read_component(named, self.file, self.problems)
        file = self.component_file(name, key, node)
        if file is None:
            return None
        if file not in self.shared.components:
            shown = relative(file)
            document = self.problems.document(shown, "command", COMPONENT_FIELDS)
            self.shared.components[file] = (
                None if document is None else read_component(document, shown, self.problems)
            )
        return self.shared.components[file]

    def component_file(self, name: str, key: str, node: LocatedMapping) -> Path | None:
        named, line = node.get(key), node.line_of(key)
        if not isinstance(named, str):
            self.problem(line, f"step `{name}` needs `{key}: path/to/component.yml`")
            return None
        if named.startswith("azureml:"):
            message = f"step `{name}`: {named} is registered on Azure; name its file to run it here"
            self.not_here(line, message)
            return None
        file = (self.file.parent / named.removeprefix("file:")).resolve()
        if not file.is_file():
            near = [p.name for p in file.parent.glob("*.yml")] if file.parent.is_dir() else []
            hint = did_you_mean(file.name, near)
            self.problem(line, f"component file {named} does not exist{hint}")
            return None
        return file

    def nested_pipeline(self, name: str, node: LocatedMapping) -> Level | None:
        prefix = f"{self.prefix}{name}."
        named = node.get("component", node)
        if isinstance(named, LocatedMapping):
            if named is not node:
                self.problems.unknown_fields(named, NESTED_FIELDS, self.file, "pipeline")
            written_here = named is not node
            level = type(self)(
                self.file, named, self.shared, prefix, self.around[:-1], is_component=written_here
            )
        else:
            file = self.component_file(name, "component", node)
            if file is None:
                return None
            if file in self.around:
                line = node.line_of("component")
                self.problem(line, f"step `{name}`: {named} is a step of itself")
                return None
            document = self.problems.document(relative(file), "pipeline", NESTED_FIELDS)
            if document is None:
                return None
            level = type(self)(
                relative(file), document, self.shared, prefix, self.around, is_component=True
            )
        level.declare()
        return level

    def declared(self, name: str, line: int) -> tuple[dict[str, Port], dict[str, Port], str] | None:
        """The inputs and outputs of a step, and what it is called; None where it is not known."""
        if (component := self.components.get(name)) is not None:
            return dict(component.inputs), dict(component.outputs), f"component {component.name}"
        level = self.nested.get(name)
        if level is None:
            return None
        outputs = {key: Port(key, kind) for key, (_, kind) in level.outputs.items()}
        return level.ports(), outputs, f"pipeline {level.file.name}"

    def ports(self) -> dict[str, Port]:
        """The inputs that a nested pipeline declares; those of one written in full are values."""
        if self.is_component:
            return self.declared_inputs
        return {
            name: Port(name, str(spec.get("type", ANY)) if isinstance(spec, dict) else ANY)
            for name, spec in self.inputs.items()
        }

    def bind_outputs(self, name: str) -> None:
        """Check the `outputs` of a node, and bind those of the pipeline to them."""
        node = self.jobs[name]
        found = self.declared(name, self.jobs.line_of(name))
        if found is None:
            return
        _, outputs, what = found
        given = self.problems.section(node, "outputs", self.file)
        self.unknown_ports(name, what, "output", given, outputs)
        for key, value in given.items():
            if key not in outputs:
                continue
            if isinstance(value, LocatedMapping):
                self.output_fields(value, f"output `{key}` of step `{name}`")
            match reference(value):
                case ["parent", "outputs", outer] if outer in self.outputs:
                    kind = self.outputs[outer][1]
                    inner = outputs[key]
                    if not Port(outer, kind).accepts(inner.type):
                        message = f"step `{name}`, output `{key}` is {inner.type}, output `{outer}` of the pipeline {kind}"
                        self.problem(given.line_of(key), message)
                    self.outputs[outer] = (self.produced(name, key), kind)
                case ["parent", "outputs", outer]:
                    hint = did_you_mean(outer, self.outputs)
                    message = (
                        f"step `{name}`, output `{key}`: the pipeline has no output `{outer}`{hint}"
                    )
                    self.problem(given.line_of(key), message)
                case None if value is None or isinstance(value, dict):
                    pass
                case _:
                    message = f"step `{name}`, output `{key}`: expected ${{{{parent.outputs.NAME}}}} or a mapping, found {value!r}"
                    self.problem(given.line_of(key), message)

    def produced(self, name: str, output: str) -> StepOutput | None:
        """The output of a step that can run, through nested pipelines."""
        level = self.nested.get(name)
        return level.outputs[output][0] if level else StepOutput(self.prefix + name, output)

    def unknown_ports(
        self, step: str, what: str, kind: str, given: LocatedMapping, declared: Mapping[str, Port]
    ) -> None:
        for key in given.keys() - declared.keys():
            hint = did_you_mean(key, declared)
            self.problem(given.line_of(key), f"step `{step}`: {what} has no {kind} `{key}`{hint}")
