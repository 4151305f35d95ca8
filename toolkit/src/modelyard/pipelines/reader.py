"""Reads Azure ML pipelines (CLI v2) and checks every binding before anything runs."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping
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
    read_variables,
    with_limits,
)
from modelyard.pipelines.data_paths import local_data, relative
from modelyard.pipelines.documents import PipelineError, Problems
from modelyard.pipelines.model import (
    ANY,
    DATA_TYPES,
    LITERAL_TYPES,
    Binding,
    Component,
    Data,
    Literal,
    Pipeline,
    Port,
    Step,
    StepOutput,
)
from modelyard.pipelines.references import reference, reference_text
from modelyard.sweeps.model import SWEEP_FIELDS
from modelyard.sweeps.reader import read_sweep
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


def load_pipeline(
    path: Path,
    *,
    overrides: Mapping[str, str] | None = None,
    data_assets: Path | None = None,
    need_data: bool = True,
) -> Pipeline:
    """Read a pipeline and its components, and check them.

    Args:
        path: the pipeline's YAML file; a job of one command is a pipeline of one step.
        overrides: pipeline input name → value or path, as `--input name=value` gives it.
        data_assets: folder of data asset YAML; `azureml:name@latest` is looked up there.
        need_data: whether data that is not on this machine is a problem.

    Raises:
        PipelineError: with every problem found, each with file and line.
    """
    shared = _Shared(data_assets, need_data)
    problems = shared.problems
    document = problems.document(path, "pipeline", PIPELINE_FIELDS)
    if document is None:
        raise PipelineError(problems.found)
    overrides = dict(overrides or {})
    level = _Level(path, document, shared)
    for name in overrides.keys() - level.inputs.keys():
        problems.add(
            path,
            document.line_of("inputs"),
            f"--input {name}: the pipeline has no such input{did_you_mean(name, level.inputs)}",
        )
    level.declare()
    steps = level.bind({name: level.job_input(name, overrides.get(name)) for name in level.used()})
    settings = problems.section(document, "settings", path)
    order = _order(level, {step.name: step for step in steps})
    if problems.found:
        raise PipelineError(problems.found)
    return Pipeline(
        name=path.stem,
        file=path,
        experiment=document.get("experiment_name"),
        steps=tuple(order),
        tags={str(k): str(v) for k, v in (document.get("tags") or {}).items()},
        outputs={name: found for name, (found, _) in level.outputs.items() if found is not None},
        force_rerun=settings.get("force_rerun") is True,
        continue_on_step_failure=settings.get("continue_on_step_failure", True) is not False,
        notes=tuple(dict.fromkeys(problems.notes)),
    )


def check_pipeline_component(path: Path) -> Problems:
    """Find what is wrong in a pipeline that other pipelines have as a step."""
    shared = _Shared(None, need_data=False)
    document = shared.problems.document(path, "pipeline", NESTED_FIELDS)
    if document is not None:
        level = _Level(path, document, shared, is_component=True)
        level.declare()
        steps = level.bind({})  # what it is given is known where it is used
        _order(level, {step.name: step for step in steps})
    return shared.problems


@dataclass
class _Shared:
    """What the levels of one pipeline share."""

    data_assets: Path | None
    need_data: bool
    problems: Problems = field(default_factory=Problems)
    components: dict[Path, Component | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Unbound:
    """An input of a nested pipeline that is optional and not given."""


Given = Binding | _Unbound | None


class _Level:
    """A pipeline, or one that is a step of another.

    Attributes:
        prefix: of its steps' names.
        outputs: the step's output that each declared output is (None before it is known), and its type.
    """

    def __init__(
        self,
        file: Path,
        document: LocatedMapping,
        shared: _Shared,
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
        self.nested: dict[str, _Level | None] = {}
        self.outputs: dict[str, tuple[StepOutput | None, str]] = {}
        self.given: Mapping[str, Given] = {}
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

    def nested_pipeline(self, name: str, node: LocatedMapping) -> _Level | None:
        prefix = f"{self.prefix}{name}."
        named = node.get("component", node)
        if isinstance(named, LocatedMapping):
            if named is not node:
                self.problems.unknown_fields(named, NESTED_FIELDS, self.file, "pipeline")
            written_here = named is not node
            level = _Level(
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
            level = _Level(
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

    def bind(self, given: Mapping[str, Given]) -> list[Step]:
        """Bind the inputs of all steps; returns them, nested ones included."""
        self.given = given
        steps: list[Step] = []
        for name, node in self.jobs.items():
            found = self.declared(name, self.jobs.line_of(name))
            if found is None:
                continue
            inputs, _, what = found
            bindings = self.bindings(name, inputs, what)
            if (level := self.nested.get(name)) is not None:
                steps += level.bind(bindings)
                continue
            component = self.components[name]
            assert component is not None  # noqa: S101 (it is declared)
            is_sweep = node.get("type") == "sweep"
            variables = read_variables(node, self.file, self.problems)
            steps.append(
                Step(
                    self.prefix + name,
                    component,
                    {k: b for k, b in bindings.items() if b and not isinstance(b, _Unbound)},
                    read_sweep(name, node, component.inputs, self.problem) if is_sweep else None,
                    None if is_sweep else self.timeout(name, node),
                    {**component.variables, **variables},
                )
            )
        return steps

    def timeout(self, name: str, node: LocatedMapping) -> float | None:
        limits = self.problems.section(node, "limits", self.file)
        self.problems.unknown_fields(limits, {"timeout"}, self.file, "command's `limits`")
        value = limits.get("timeout")
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            message = (
                f"step `{name}`, limits.timeout: expected whole seconds above 0, found {value!r}"
            )
            self.problem(limits.line_of("timeout"), message)
            return None
        return value

    def job_input(self, name: str, override: str | None) -> Given:
        """An input of the pipeline that is run: a value, or data on this machine."""
        spec, line = self.inputs[name], self.inputs.line_of(name)
        if not isinstance(spec, LocatedMapping):
            value, text = (
                (override, override) if override is not None else (spec, self.inputs.text_of(name))
            )
            return self.literal(name, Port(name, ANY), value, text, line)
        kind = spec.get("type", "uri_folder")
        fields = {
            "type",
            "description",
            "optional",
            "default",
            "value",
            "min",
            "max",
            "enum",
            "path",
            "mode",
        }
        self.problems.unknown_fields(spec, fields, self.file, "pipeline's input")
        check_mode(spec, "input", self.file, self.problems)
        if kind in LITERAL_TYPES:
            port = with_limits(Port(name, kind), spec, self.file, self.problems)
            if override is not None:
                return self.literal(name, port, override, override, line)
            if spec.get("default") is not None and port.default is None:
                return None  # a problem of its own
            key = "default" if "default" in spec else "value"
            if spec.get(key) is None and spec.get("optional") is True:
                return _Unbound()
            return self.literal(name, port, spec.get(key), spec.text_of(key), spec.line_of(key))
        if kind not in DATA_TYPES:
            expected = ", ".join(sorted(DATA_TYPES | LITERAL_TYPES.keys()))
            message = f"input `{name}`: expected one of the types {expected}; found {kind!r}"
            self.problem(spec.line_of("type"), message)
            return None
        base = self.file.parent if override is None else Path.cwd()
        place = str(spec.get("path") or "") if override is None else override
        if not place and spec.get("optional") is True:
            return _Unbound()
        if not self.shared.need_data:
            return Data(base / place)
        if not place:
            self.problem(line, f"input `{name}` has no `path`; give one, or --input {name}=PATH")
            return None
        return self.data(name, place, base, spec.line_of("path"), kind, f"--input {name}=PATH")

    def literal(
        self, name: str, port: Port, value: Any, text: str | None, line: int
    ) -> Literal | None:
        if value is None:
            if self.shared.need_data:
                self.problem(
                    line, f"input `{name}` has no value; give one, or --input {name}=VALUE"
                )
            return None
        try:
            return Literal(port.typed(value, text), text)
        except ValueError as error:
            self.problem(line, f"input `{name}`: {error}")
            return None

    def data(
        self, name: str, place: str, base: Path, line: int, kind: Any, hint: str
    ) -> Data | None:
        try:
            return local_data(place, base, kind, self.shared.data_assets, hint)
        except ValueError as error:
            self.problem(line, f"input `{name}`: {error}")
            return None

    def bindings(self, name: str, ports: Mapping[str, Port], what: str) -> dict[str, Given]:
        node = self.jobs[name]
        given = self.problems.section(node, "inputs", self.file)
        space = node.get("search_space")
        drawn = space if node.get("type") == "sweep" and isinstance(space, dict) else {}
        self.unknown_ports(name, what, "input", given, ports)
        result: dict[str, Given] = {}
        for key, port in ports.items():
            bound: Given = _Unbound()
            if key in given:
                bound = self.bind_input(name, port, given, key)
            if not isinstance(bound, _Unbound):
                result[key] = bound
            elif key in drawn:
                continue
            elif port.default is not None:
                result[key] = Literal(port.default, str(port.default))
            elif port.optional:
                result[key] = _Unbound()
            else:
                line = given.line_of(key) if key in given else self.jobs.line_of(name)
                self.problem(line, f"step `{name}`: input `{key}` ({port.type}) is not given")
        return result

    def unknown_ports(
        self, step: str, what: str, kind: str, given: LocatedMapping, declared: Mapping[str, Port]
    ) -> None:
        for key in given.keys() - declared.keys():
            hint = did_you_mean(key, declared)
            self.problem(given.line_of(key), f"step `{step}`: {what} has no {kind} `{key}`{hint}")

    def bind_input(self, step: str, port: Port, given: LocatedMapping, key: str) -> Given:
        value, line = given[key], given.line_of(key)

        def wrong(message: str) -> None:
            self.problem(line, f"step `{step}`, input `{port.name}`: {message}")

        if isinstance(value, LocatedMapping):
            self.problems.unknown_fields(
                value, {"type", "path", "mode", "description"}, self.file, "step's input"
            )
            check_mode(value, "input", self.file, self.problems)
        match reference(value):
            case None:
                if isinstance(value, LocatedMapping) and "path" in value:
                    place, base = str(value["path"]), self.file.parent
                    kind = value.get("type", port.type)
                    if kind not in DATA_TYPES:
                        wrong(
                            f"expects data of a type ({', '.join(sorted(DATA_TYPES))}), found {kind!r}"
                        )
                        return None
                    if not self.shared.need_data:
                        return Data(base / place)
                    return self.data(
                        port.name, place, base, value.line_of("path"), kind, "`path: PATH`"
                    )
                return _literal(port, value, given.text_of(key), wrong)
            case ["parent", "inputs", name]:
                return self.bind_parent_input(port, name, wrong)
            case ["parent", "jobs", producer, "outputs", output]:
                return self.bind_output(port, producer, output, wrong)
        wrong(
            f"{reference_text(value)} is not a reference Azure ML knows; use "
            "${{parent.inputs.NAME}} or ${{parent.jobs.STEP.outputs.NAME}}"
        )
        return None

    def bind_parent_input(self, port: Port, name: str, wrong: Callable[[str], None]) -> Given:
        if name not in self.inputs:
            wrong(f"the pipeline has no input `{name}`{did_you_mean(name, self.inputs)}")
            return None
        bound = self.given.get(name)
        if isinstance(bound, Literal):
            return _literal(port, bound.value, bound.text, wrong)
        spec = self.inputs[name]
        kind = port.type
        if isinstance(spec, dict) and reference(spec) is None:
            kind = str(spec.get("type", "uri_folder"))
        if kind not in LITERAL_TYPES and not port.accepts(kind):
            wrong(f"expects {port.type}, pipeline input `{name}` is {kind}")
            return None
        return bound

    def bind_output(
        self, port: Port, step: str, output: str, wrong: Callable[[str], None]
    ) -> StepOutput | None:
        if step not in self.jobs:
            wrong(f"there is no step `{step}`{did_you_mean(step, self.jobs)}")
            return None
        found = self.declared(step, self.jobs.line_of(step))
        if found is None:
            return None
        outputs = found[1]
        if output not in outputs:
            wrong(f"step `{step}` has no output `{output}`{did_you_mean(output, outputs)}")
            return None
        kind = outputs[output].type
        if not port.accepts(kind):
            wrong(f"expects {port.type}, output `{output}` of step `{step}` is {kind}")
            return None
        return self.produced(step, output)


def _order(level: _Level, steps: Mapping[str, Step]) -> list[Step]:
    try:
        graph = {name: step.needs for name, step in steps.items()}
        return [
            steps[name]
            for name in graphlib.TopologicalSorter(graph).static_order()
            if name in steps
        ]
    except graphlib.CycleError as error:
        cycle = error.args[1]
        line = level.jobs.line_of(cycle[0].partition(".")[0])
        level.problem(line, f"steps wait for each other: {' → '.join(reversed(cycle))}")
        return []


def _literal(
    port: Port, value: Any, text: str | None, wrong: Callable[[str], None]
) -> Literal | None:
    try:
        return Literal(port.typed(value, text), text)
    except ValueError as error:
        wrong(str(error))
        return None
