"""The steps that a pipeline declares, through pipelines that are steps themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.files import relative
from modelyard.pipelines.azure_fields import Fields
from modelyard.pipelines.azure_fields_check import Checker
from modelyard.pipelines.components import (
    COMMAND_FIELDS,
    COMPONENT_FIELDS,
    check_mode,
    read_component,
    read_inline,
    read_ports,
)
from modelyard.pipelines.data_assets import LOCAL, described, mapped
from modelyard.pipelines.documents import IN_FULL, Problems, component_kind, step_kind
from modelyard.pipelines.model import ANY, LITERAL_TYPES, Component, Port, StepOutput
from modelyard.pipelines.references import parts, reference, references
from modelyard.pipelines.tasks import (
    TASK_SETTINGS,
    as_command,
    check_task,
    missing_spark,
    task_fields,
)
from modelyard.sweeps.model import SWEEP_FIELDS
from modelyard.yaml_files import LocatedMapping, did_you_mean, located_like

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
    SWEEP_FIELDS | {"trial", "$schema", "experiment_name"}
)
TRIAL_FIELDS = {
    "code",
    "command",
    "environment",
    "environment_variables",
    "distribution",
    "resources",
}
RUN_HERE = ("command", "parallel", "pipeline", "spark", "sweep")
NOT_HERE = {
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
                self.components[name] = self.node_component(name, node, kind)
        for name, component in self.components.items():
            for port in component.outputs.values() if component else ():
                if port.type in LITERAL_TYPES:
                    message = f"step `{name}`: output `{port.name}` is a {port.type}, and only Azure ML passes values on"
                    self.not_here(self.jobs.line_of(name), message)
        for name in [*self.components, *self.nested]:
            self.bind_outputs(name)
        bound = {
            found[-1]
            for node in self.jobs.values()
            if isinstance(node, dict) and isinstance(node.get("outputs"), dict)
            for value in node["outputs"].values()
            if (found := reference(value)) and found[:2] == ["parent", "outputs"]
        }
        for name in [name for name in declared if name not in bound]:
            message = f"output `{name}`: no step is bound to it (outputs: …: ${{{{parent.outputs.{name}}}}})"
            self.problem(declared.line_of(name), message)

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
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", str(name)):
            message = (
                f"step name `{name}`: expected lower-case letters, digits and `_`, no digit first"
            )
            self.problem(self.jobs.line_of(name), message)
        if not isinstance(node, LocatedMapping):
            self.problem(self.jobs.line_of(name), f"step `{name}` must be a mapping")
            return None
        kind = step_kind(node, self.file)
        if kind not in RUN_HERE:
            line = node.line_of("type")
            if why := NOT_HERE.get(kind):
                self.not_here(line, f"step `{name}` of type {kind} does not run here: {why}")
            else:
                expected = ", ".join([*RUN_HERE, *NOT_HERE])
                self.problem(
                    line, f"step `{name}`, type: expected one of {expected}; found {kind!r}"
                )
            return None
        inline = "component" not in node and (kind in TASK_SETTINGS or IN_FULL & node.keys())
        if kind in TASK_SETTINGS:
            own = task_fields(kind) if inline else TASK_SETTINGS[kind]
            fields = INLINE_FIELDS - {"command"} | NODE_FIELDS | set(own)
        else:
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
        own = ("jobs", "component")  # where `parent` is the step
        read = {
            parts(found)[2]
            for node in self.jobs.values()
            if isinstance(node, dict)
            for found in references(str([node[key] for key in node if key not in own]))
            if re.match(r"parent\.inputs\.\w", found)
        }
        return [name for name in self.inputs if name in read]

    def node_component(self, name: str, node: LocatedMapping, kind: str) -> Component | None:
        if kind in TASK_SETTINGS:
            return self.task_component(name, kind, node)
        key = "trial" if kind == "sweep" else "component"
        if key not in node and key == "component" and IN_FULL & node.keys():
            return self.inline_component(node)
        named = node.get(key)
        if isinstance(named, LocatedMapping):
            if kind == "sweep" and "inputs" not in named:  # as a job of its own has it
                self.problems.unknown_fields(named, TRIAL_FIELDS, self.file, "trial")
                return self.trial(named, node)
            self.problems.unknown_fields(named, COMPONENT_FIELDS, self.file, "component")
            return read_component(named, self.file, self.problems)
        file = self.component_file(name, key, node, "command")
        if file is None:
            return None
        if file not in self.shared.components:
            shown = relative(file)
            document = self.problems.document(shown, "command", COMPONENT_FIELDS)
            self.shared.components[file] = (
                None if document is None else read_component(document, shown, self.problems)
            )
        return self.shared.components[file]

    def inline_component(self, content: LocatedMapping) -> Component | None:
        types = {key: kind for key, (_, kind) in self.outputs.items()}
        return read_inline(content, self.file, self.problems, types)

    def trial(self, trial: LocatedMapping, node: LocatedMapping) -> Component | None:
        """The trial of a sweep job as a component: what is drawn is an input too."""
        space = self.problems.section(node, "search_space", self.file)
        command = str(trial.get("command", ""))
        for kind, name in (found.partition(".")[::2] for found in references(command)):
            if kind == "search_space" and name not in space:
                message = f"the command names ${{{{search_space.{name}}}}}, which is not drawn"
                self.problem(trial.line_of("command"), f"{message}{did_you_mean(name, space)}")
                return None
        content = located_like(trial, trial)
        content["command"] = re.sub(r"(\$\{\{\s*)search_space\.", r"\1inputs.", command)
        inputs = self.problems.section(node, "inputs", self.file)
        content["inputs"] = located_like(dict.fromkeys(space, "drawn") | inputs, space)
        content["outputs"] = node.get("outputs")
        return self.inline_component(content)

    def task_component(self, name: str, kind: str, node: LocatedMapping) -> Component | None:
        """A parallel or Spark step as a command component."""
        if kind == "spark" and self.shared.need_data and (missing := missing_spark()):
            self.problem(node.line_of("type"), f"step `{name}` needs Spark: install {missing}")
            return None
        named = node.get("component", node)
        file, content = self.file, named
        if not isinstance(named, LocatedMapping):
            place = self.component_file(name, "component", node, kind)
            if place is None:
                return None
            file = relative(place)
            content = self.problems.document(file, kind)
        if content is None:
            return None
        if content is not node:
            what = f"component of type {kind}"
            self.problems.unknown_fields(content, task_fields(kind), file, what)
        if not check_task(content, kind, file, self.problems):
            return None
        if content is not node:
            settings = {key: node[key] for key in TASK_SETTINGS[kind] & node.keys()}
            for key in [key for key, value in settings.items() if references(str(value))]:
                if key != "input_data" and settings.pop(key) is not None:
                    message = f"step `{name}`: `{key}` takes a value here, and no binding"
                    self.not_here(node.line_of(key), message)
            before = len(self.problems.found)
            checker = Checker(self.file, self.file.parent, self.problems)
            checker.fields(located_like(settings, node), Fields(task_fields(kind)), f"jobs.{name}")
            if len(self.problems.found) > before:
                return None
            content = located_like(content | settings, content)
        inputs = self.problems.section(node, "inputs", self.file)
        command = as_command(content, kind, inputs)
        if content is node:
            return self.inline_component(command)
        return read_component(command, file, self.problems)

    def component_file(self, name: str, key: str, node: LocatedMapping, kind: str) -> Path | None:
        """The file of a step's component of a type; None where it is none."""
        named, line = node.get(key), node.line_of(key)
        if not isinstance(named, str):
            self.problem(line, f"step `{name}` needs `{key}: path/to/component.yml`")
            return None
        assets = self.shared.data_assets
        found = mapped(assets.parents[1], named) if assets else None
        if found is None and named.startswith("azureml:"):
            folders = [assets.with_name("components")] if assets else []
            try:
                _, found = described([*folders, self.file.parent], named)
            except ValueError as error:
                message = f"step `{name}`: {error}; name its file, here or in {LOCAL}"
                self.not_here(line, message)
                return None
        file = found or (self.file.parent / named.removeprefix("file:")).resolve()
        if not file.is_file():
            near = [p.name for p in file.parent.glob("*.yml")] if file.parent.is_dir() else []
            hint = did_you_mean(file.name, near)
            self.problem(line, f"component file {named} does not exist{hint}")
            return None
        content = Problems().mapping(file)
        if content is not None and "promptflow" in str(content.get("$schema")):
            message = f"step `{name}`: {named} is a prompt flow, which a service of Azure ML runs"
            self.not_here(line, message)
            return None
        if content is None:
            return file  # what is wrong with it is said where it is read
        if not content.keys() & {"type", "command", "jobs", "task", "entry"}:
            self.problem(line, f"step `{name}`: {named} is no component")
            return None
        if (found_kind := component_kind(content)) != kind:
            message = f"step `{name}` needs a {kind} component, {named} is of type {found_kind}"
            self.problem(line, message)
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
            file = self.component_file(name, "component", node, "pipeline")
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

    def declared(self, name: str) -> tuple[dict[str, Port], dict[str, Port], str] | None:
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
        found = self.declared(name)
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
