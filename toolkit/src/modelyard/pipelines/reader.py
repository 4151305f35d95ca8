"""Reads Azure ML pipelines (CLI v2) and checks every binding before anything runs."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelyard.pipelines.components import COMPONENT_FIELDS, read_component
from modelyard.pipelines.data_assets import described_path
from modelyard.pipelines.documents import PipelineError, Problems
from modelyard.pipelines.model import (
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
from modelyard.sweeps.model import SWEEP_FIELDS, Sweep
from modelyard.sweeps.reader import read_sweep
from modelyard.yaml_files import LocatedMapping, did_you_mean, parse

PIPELINE_FIELDS = {
    "$schema",
    "type",
    "name",
    "display_name",
    "experiment_name",
    "description",
    "tags",
    "settings",
    "compute",
    "inputs",
    "outputs",
    "jobs",
    "identity",
}
NODE_FIELDS = {
    "type",
    "component",
    "inputs",
    "outputs",
    "compute",
    "resources",
    "environment_variables",
    "display_name",
    "description",
    "tags",
    "identity",
    "limits",
    "queue_settings",
}
SWEEP_NODE_FIELDS = NODE_FIELDS - {"component", "environment_variables"} | SWEEP_FIELDS | {"trial"}


def load_pipeline(
    path: Path,
    *,
    overrides: Mapping[str, str] | None = None,
    data_assets: Path | None = None,
    need_data: bool = True,
) -> Pipeline:
    """Read a pipeline and its components, and check them.

    Args:
        path: the pipeline's YAML file.
        overrides: pipeline input name → value or path, as `--input name=value` gives it.
        data_assets: folder of data asset YAML; `azureml:name@latest` is looked up there.
        need_data: whether data that is not on this machine is a problem.

    Raises:
        PipelineError: with every problem found, each with file and line.
    """
    return _Reader(path, dict(overrides or {}), data_assets, need_data=need_data).read()


class _Reader:
    """Reads one pipeline."""

    def __init__(
        self, path: Path, overrides: dict[str, str], data_assets: Path | None, *, need_data: bool
    ) -> None:
        self.path = path
        self.need_data = need_data
        self.overrides = overrides
        self.data_assets = data_assets
        self.problems = Problems()
        self.files: dict[Path, Component | None] = {}
        self.inputs = LocatedMapping()
        self.jobs = LocatedMapping()
        self.components: dict[str, Component | None] = {}
        self.resolved: dict[str, Binding | None] = {}

    def read(self) -> Pipeline:
        document = self.problems.document(self.path, "pipeline", PIPELINE_FIELDS)
        if document is None:
            raise PipelineError(self.problems.found)
        self.inputs = self.problems.section(document, "inputs", self.path)
        self.jobs = self.problems.section(document, "jobs", self.path)
        if not self.jobs:
            self.problem(document.line_of("jobs"), "`jobs` is empty: a pipeline needs a step")
        for name in self.overrides.keys() - self.inputs.keys():
            self.problem(
                document.line_of("inputs"),
                f"--input {name}: the pipeline has no such input{did_you_mean(name, self.inputs)}",
            )
        self.components = {
            name: self.node_component(name, node)
            for name, node in self.jobs.items()
            if self.is_node(name)
        }
        self.resolved = {
            name: self.pipeline_input(name) for name in self.inputs if self.is_used(name)
        }
        steps = {
            name: Step(name, component, self.bindings(name, component), self.sweep(name, component))
            for name, component in self.components.items()
            if component is not None
        }
        order = self.order(steps)
        if self.problems.found:
            raise PipelineError(self.problems.found)
        return Pipeline(
            name=self.path.stem,
            file=self.path,
            experiment=document.get("experiment_name"),
            steps=tuple(steps[name] for name in order),
            tags={str(k): str(v) for k, v in (document.get("tags") or {}).items()},
        )

    def problem(self, line: int, message: str) -> None:
        self.problems.add(self.path, line, message)

    def is_node(self, name: str) -> bool:
        node = self.jobs[name]
        if not str(name).isidentifier():
            self.problem(self.jobs.line_of(name), f"step name `{name}` must be a Python identifier")
        if not isinstance(node, LocatedMapping):
            self.problem(self.jobs.line_of(name), f"step `{name}` must be a mapping")
            return False
        kind = node.get("type", "command")
        if kind not in ("command", "sweep"):
            self.problem(
                node.line_of("type"),
                f"step `{name}`: only `type: command` and `type: sweep` run locally, found {kind!r}",
            )
            return False
        fields = SWEEP_NODE_FIELDS if kind == "sweep" else NODE_FIELDS
        self.problems.unknown_fields(node, fields, self.path, f"step of type {kind}")
        return True

    def sweep(self, name: str, component: Component) -> Sweep | None:
        node = self.jobs[name]
        if node.get("type") != "sweep":
            return None
        return read_sweep(name, node, component.inputs, self.problem)

    def is_used(self, name: str) -> bool:
        """Whether a step reads a pipeline input; one that none reads needs no data."""
        return any(
            reference(value) == ["parent", "inputs", name]
            for node in self.jobs.values()
            if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
            for value in node["inputs"].values()
        )

    def node_component(self, name: str, node: LocatedMapping) -> Component | None:
        key = "trial" if node.get("type") == "sweep" else "component"
        named = node.get(key)
        line = node.line_of(key)
        if isinstance(named, LocatedMapping):
            self.problems.unknown_fields(named, COMPONENT_FIELDS, self.path, "component")
            return read_component(named, self.path, self.problems)
        if not isinstance(named, str):
            self.problem(line, f"step `{name}` needs `{key}: path/to/component.yml`")
            return None
        if named.startswith("azureml:"):
            self.problem(
                line,
                f"step `{name}`: {named} is registered on Azure; name its file to run it here",
            )
            return None
        file = (self.path.parent / named.removeprefix("file:")).resolve()
        if not file.is_file():
            near = [p.name for p in file.parent.glob("*.yml")] if file.parent.is_dir() else []
            self.problem(
                line, f"component file {named} does not exist{did_you_mean(file.name, near)}"
            )
            return None
        if file not in self.files:
            shown = _relative(file)
            document = self.problems.document(shown, "command", COMPONENT_FIELDS)
            self.files[file] = (
                None if document is None else read_component(document, shown, self.problems)
            )
        return self.files[file]

    def pipeline_input(self, name: str) -> Binding | None:
        spec, line = self.inputs[name], self.inputs.line_of(name)
        override = self.overrides.get(name)
        if not isinstance(spec, LocatedMapping):
            return self.literal_input(name, spec, override)
        if spec.get("type") in LITERAL_TYPES:
            return self.literal_input(name, spec.get("default", spec.get("value")), override)
        base = self.path.parent if override is None else Path.cwd()
        place = str(spec.get("path", "")) if override is None else override
        if not self.need_data:
            return Data(base / place)
        if not place:
            self.problem(line, f"input `{name}` has no `path`; give one, or --input {name}=PATH")
            return None
        return self.local_data(name, place, base, spec.line_of("path"), spec.get("type"))

    def literal_input(self, name: str, value: Any, override: str | None) -> Binding | None:
        if override is None:
            return Literal(value)
        try:
            return Literal(parse(override))
        except ValueError as error:
            self.problem(self.inputs.line_of(name), f"--input {name}={override}{error}")
            return None

    def local_data(self, name: str, place: str, base: Path, line: int, kind: Any) -> Data | None:
        """Find data on this machine.

        Args:
            name: of the input.
            place: path, address, or `azureml:name@version`.
            base: folder that a path is relative to.
            line: of the input, for a problem.
            kind: type of the input.
        """
        hint = f"give a local one with --input {name}=PATH"
        if place.startswith("azureml:") and "://" not in place:
            asset = (
                described_path(self.data_assets, re.split(r"[:@]", place)[1])
                if self.data_assets
                else None
            )
            if asset is None:
                self.problem(
                    line, f"input `{name}`: {place} is not described in {self.data_assets}; {hint}"
                )
                return None
            place, base = asset
        if "://" in place:
            self.problem(line, f"input `{name}`: {place} is not on this machine; {hint}")
            return None
        path = (base / place).resolve()
        shown = _relative(path)
        if not path.exists():
            sample = ", or write the sample with `make data`" if path.parent.name == "data" else ""
            self.problem(line, f"input `{name}`: {shown} does not exist; {hint}{sample}")
            return None
        if kind == "uri_file" and path.is_dir():
            self.problem(line, f"input `{name}`: expected a file, {shown} is a folder; {hint}")
            return None
        return Data(path)

    def bindings(self, name: str, component: Component) -> dict[str, Binding]:
        node = self.jobs[name]
        given = self.problems.section(node, "inputs", self.path)
        space = node.get("search_space")
        drawn = space if node.get("type") == "sweep" and isinstance(space, dict) else {}
        self.unknown_ports(name, component, "input", given, component.inputs)
        result: dict[str, Binding] = {}
        for key, port in component.inputs.items():
            if key in given:
                bound = self.bind(name, port, given[key], given.line_of(key))
                if bound is not None:
                    result[key] = bound
            elif key in drawn:
                continue
            elif port.default is not None:
                result[key] = Literal(port.default)
            elif not port.optional:
                self.problem(
                    self.jobs.line_of(name),
                    f"step `{name}`: input `{key}` ({port.type}) is not given",
                )
        outputs = self.problems.section(node, "outputs", self.path)
        self.unknown_ports(name, component, "output", outputs, component.outputs)
        return result

    def unknown_ports(
        self,
        step: str,
        component: Component,
        kind: str,
        given: LocatedMapping,
        declared: Mapping[str, Port],
    ) -> None:
        for key in given.keys() - declared.keys():
            self.problem(
                given.line_of(key),
                f"step `{step}`: component {component.name} has no {kind} `{key}`"
                f"{did_you_mean(key, declared)}",
            )

    def bind(self, step: str, port: Port, value: Any, line: int) -> Binding | None:
        def wrong(message: str) -> None:
            self.problem(line, f"step `{step}`, input `{port.name}`: {message}")

        match reference(value):
            case None:
                if isinstance(value, dict) and "path" in value:
                    place, base = str(value["path"]), self.path.parent
                    if not self.need_data:
                        return Data(base / place)
                    return self.local_data(port.name, place, base, line, port.type)
                return _literal(port, value, wrong)
            case ["parent", "inputs", name]:
                return self.bind_pipeline_input(port, name, wrong)
            case ["parent", "jobs", producer, "outputs", output]:
                return self.bind_output(port, producer, output, wrong)
        wrong(
            f"{reference_text(value)} is not a reference Azure ML knows; use "
            "${{parent.inputs.NAME}} or ${{parent.jobs.STEP.outputs.NAME}}"
        )
        return None

    def bind_pipeline_input(
        self, port: Port, name: str, wrong: Callable[[str], None]
    ) -> Binding | None:
        if name not in self.inputs:
            wrong(f"the pipeline has no input `{name}`{did_you_mean(name, self.inputs)}")
            return None
        bound = self.resolved.get(name)
        if isinstance(bound, Literal):
            return _literal(port, bound.value, wrong)
        spec = self.inputs[name]
        kind = spec.get("type", "uri_folder") if isinstance(spec, dict) else "string"
        if isinstance(bound, Data) and not port.accepts(kind):
            wrong(f"expects {port.type}, pipeline input `{name}` is {kind}")
            return None
        return bound

    def bind_output(
        self, port: Port, step: str, output: str, wrong: Callable[[str], None]
    ) -> StepOutput | None:
        if step not in self.components:
            wrong(f"there is no step `{step}`{did_you_mean(step, self.components)}")
            return None
        producer = self.components[step]
        if producer is None:
            return None
        if output not in producer.outputs:
            wrong(f"step `{step}` has no output `{output}`{did_you_mean(output, producer.outputs)}")
            return None
        kind = producer.outputs[output].type
        if not port.accepts(kind):
            wrong(f"expects {port.type}, output `{output}` of step `{step}` is {kind}")
            return None
        return StepOutput(step, output)

    def order(self, steps: Mapping[str, Step]) -> list[str]:
        try:
            return list(
                graphlib.TopologicalSorter({n: s.needs for n, s in steps.items()}).static_order()
            )
        except graphlib.CycleError as error:
            cycle = error.args[1]
            self.problem(
                self.jobs.line_of(cycle[0]),
                f"steps wait for each other: {' → '.join(reversed(cycle))}",
            )
            return []


def _literal(port: Port, value: Any, wrong: Callable[[str], None]) -> Literal | None:
    message = port.mismatch(value)
    if message is None:
        return Literal(value)
    wrong(message)
    return None


def _relative(path: Path) -> Path:
    """The path relative to the working folder where that is shorter to read."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
