"""Reads Azure ML pipeline and component YAML (CLI v2) and checks every binding before anything runs."""

from __future__ import annotations

import graphlib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from modelyard.errors import UsageError
from modelyard.pipelines.data_assets import described_path
from modelyard.sweeps.sweep_node import SWEEP_FIELDS, Sweep, read_sweep
from modelyard.yaml_files import Loader, LocatedMapping, Problem, did_you_mean, parse

DATA_TYPES = {"uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"}
FOLDER_TYPES = DATA_TYPES - {"uri_file"}
LITERAL_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}

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

_REFERENCE = re.compile(r"\$\{\{\s*([^}]*?)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)


class PipelineError(UsageError):
    """Everything wrong with a pipeline, all at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        listing = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{count} problem{'s' if count > 1 else ''}, nothing was run:\n{listing}")


@dataclass(frozen=True)
class Port:
    """A component's declared input or output."""

    name: str
    type: str
    optional: bool = False
    default: Any = None
    enum: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Component:
    """A command component: what runs, on which inputs, with which code."""

    name: str
    file: Path
    command: str
    code: Path | None
    environment: str
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    deterministic: bool
    tags: Mapping[str, str]

    @property
    def reads_champion(self) -> bool:
        """Whether the result depends on the champion and, but for that, on its inputs alone."""
        return self.tags.get("depends_on") == "champion"

    @property
    def repeatable(self) -> bool:
        """Whether an earlier result can be used where nothing it depends on has changed."""
        return self.deterministic or self.reads_champion

    @property
    def module(self) -> str | None:
        """The Python module of a plain `python -m module …` command, else None."""
        return module_of(self.command)


@dataclass(frozen=True)
class Literal:
    """A value written in the pipeline."""

    value: Any


@dataclass(frozen=True)
class Data:
    """A file or folder on this machine."""

    path: Path


@dataclass(frozen=True)
class StepOutput:
    """Another step's output."""

    step: str
    output: str


Binding = Literal | Data | StepOutput


@dataclass(frozen=True)
class Step:
    """One node of the pipeline, every input resolved; with `sweep`, `component` is its trial."""

    name: str
    component: Component
    inputs: Mapping[str, Binding]
    sweep: Sweep | None = None

    @property
    def needs(self) -> set[str]:
        """Names of the steps whose outputs this one reads."""
        return {b.step for b in self.inputs.values() if isinstance(b, StepOutput)}


@dataclass(frozen=True)
class Pipeline:
    """A checked pipeline; `steps` is in an order in which they can run."""

    name: str
    file: Path
    experiment: str | None
    steps: tuple[Step, ...]
    tags: Mapping[str, str] = field(default_factory=dict)


def load_pipeline(
    path: Path,
    *,
    overrides: Mapping[str, str] | None = None,
    data_assets: Path | None = None,
    need_data: bool = True,
) -> Pipeline:
    """Read a pipeline and its components and check them.

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
    """Collects problems while it reads; one instance per pipeline."""

    def __init__(
        self, path: Path, overrides: dict[str, str], data_assets: Path | None, *, need_data: bool
    ) -> None:
        self.path = path
        self.need_data = need_data
        self.overrides = overrides
        self.data_assets = data_assets
        self.problems: list[Problem] = []
        self.components: dict[Path, Component | None] = {}

    def read(self) -> Pipeline:
        document = self.document(self.path, "pipeline", PIPELINE_FIELDS)
        if document is None:
            raise PipelineError(self.problems)
        inputs = self.section(document, "inputs", self.path)
        jobs = self.section(document, "jobs", self.path)
        if not jobs:
            self.problem(
                self.path, document.line_of("jobs"), "`jobs` is empty: a pipeline needs a step"
            )
        for name in self.overrides.keys() - inputs.keys():
            self.problem(
                self.path,
                document.line_of("inputs"),
                f"--input {name}: the pipeline has no such input{did_you_mean(name, inputs)}",
            )
        components = {
            name: self.node_component(name, node)
            for name, node in jobs.items()
            if self.is_node(jobs, name)
        }
        resolved = {
            name: self.pipeline_input(name, inputs) for name in inputs if self.is_used(name, jobs)
        }
        steps = {
            name: Step(
                name,
                component,
                self.bindings(name, jobs, component, components, inputs, resolved),
                self.sweep(name, jobs[name], component),
            )
            for name, component in components.items()
            if component is not None
        }
        order = self.order(steps, jobs)
        if self.problems:
            raise PipelineError(self.problems)
        return Pipeline(
            name=self.path.stem,
            file=self.path,
            experiment=document.get("experiment_name"),
            steps=tuple(steps[name] for name in order),
            tags={str(k): str(v) for k, v in (document.get("tags") or {}).items()},
        )

    def problem(self, file: Path, line: int, message: str) -> None:
        self.problems.append(Problem(file, line, message))

    def document(self, path: Path, kind: str, fields: set[str]) -> LocatedMapping | None:
        try:
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)  # noqa: S506 (a safe loader)
        except FileNotFoundError:
            self.problem(path, 1, "the file does not exist")
            return None
        except (OSError, UnicodeDecodeError) as error:
            self.problem(path, 1, f"not readable: {error}")
            return None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or str(error)
            self.problem(path, mark.line + 1 if mark else 1, f"not valid YAML: {reason}")
            return None
        if not isinstance(content, LocatedMapping):
            self.problem(path, 1, f"expected a {kind} (a mapping), found {type(content).__name__}")
            return None
        self.unknown_fields(content, fields, path, kind)
        if content.get("type") != kind:
            self.problem(
                path,
                content.line_of("type"),
                f"expected `type: {kind}`, found {content.get('type')!r}",
            )
            return None
        return content

    def unknown_fields(
        self, content: LocatedMapping, fields: set[str], path: Path, what: str
    ) -> None:
        for key in content:
            if key not in fields:
                self.problem(
                    path,
                    content.line_of(key),
                    f"a {what} has no field `{key}`{did_you_mean(key, fields)}",
                )

    def section(self, content: LocatedMapping, key: str, path: Path) -> LocatedMapping:
        value = content.get(key)
        if isinstance(value, LocatedMapping):
            return value
        if value is not None:
            self.problem(path, content.line_of(key), f"`{key}` must be a mapping")
        empty = LocatedMapping()
        empty.line, empty.lines = content.line_of(key), {}
        return empty

    def is_node(self, jobs: LocatedMapping, name: str) -> bool:
        node = jobs[name]
        if not str(name).isidentifier():
            self.problem(
                self.path, jobs.line_of(name), f"step name `{name}` must be a Python identifier"
            )
        if not isinstance(node, LocatedMapping):
            self.problem(self.path, jobs.line_of(name), f"step `{name}` must be a mapping")
            return False
        kind = node.get("type", "command")
        if kind not in ("command", "sweep"):
            self.problem(
                self.path,
                node.line_of("type"),
                f"step `{name}`: only `type: command` and `type: sweep` run locally, found {kind!r}",
            )
            return False
        fields = SWEEP_NODE_FIELDS if kind == "sweep" else NODE_FIELDS
        self.unknown_fields(node, fields, self.path, f"step of type {kind}")
        return True

    def sweep(self, name: str, node: LocatedMapping, component: Component) -> Sweep | None:
        if node.get("type") != "sweep":
            return None
        return read_sweep(
            name, node, component.inputs, lambda line, said: self.problem(self.path, line, said)
        )

    def is_used(self, name: str, jobs: LocatedMapping) -> bool:
        """An input that no step reads needs no data."""
        wanted = f"parent.inputs.{name}"
        return any(
            wanted in _REFERENCE.findall(value)
            for node in jobs.values()
            if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
            for value in map(_reference_text, node["inputs"].values())
        )

    def node_component(self, name: str, node: LocatedMapping) -> Component | None:
        key = "trial" if node.get("type") == "sweep" else "component"
        reference = node.get(key)
        line = node.line_of(key)
        if isinstance(reference, LocatedMapping):
            self.unknown_fields(reference, COMPONENT_FIELDS, self.path, "component")
            return self.component(reference, self.path)
        if not isinstance(reference, str):
            self.problem(self.path, line, f"step `{name}` needs `{key}: path/to/component.yml`")
            return None
        if reference.startswith("azureml:"):
            self.problem(
                self.path,
                line,
                f"step `{name}`: {reference} is registered on Azure; name its file to run it here",
            )
            return None
        file = (self.path.parent / reference.removeprefix("file:")).resolve()
        if not file.is_file():
            near = [p.name for p in file.parent.glob("*.yml")] if file.parent.is_dir() else []
            self.problem(
                self.path,
                line,
                f"component file {reference} does not exist{did_you_mean(file.name, near)}",
            )
            return None
        if file not in self.components:
            document = self.document(_shown(file), "command", COMPONENT_FIELDS)
            self.components[file] = self.component(document, _shown(file)) if document else None
        return self.components[file]

    def component(self, content: LocatedMapping, file: Path) -> Component | None:
        before = len(self.problems)
        command = content.get("command")
        if not isinstance(command, str) or not command.strip():
            self.problem(file, content.line_of("command"), "a component needs a `command`")
            return None
        code = None
        if content.get("code") is not None:
            code = (file.parent / str(content["code"])).resolve()
            if not code.is_dir():
                self.problem(
                    file, content.line_of("code"), f"code folder {content['code']} does not exist"
                )
        inputs = self.ports(content, "inputs", file, DATA_TYPES | LITERAL_TYPES.keys())
        outputs = self.ports(content, "outputs", file, DATA_TYPES)
        self.command_references(content, command, inputs, outputs, file)
        if len(self.problems) > before:
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

    def ports(
        self, content: LocatedMapping, key: str, file: Path, types: Iterable[str]
    ) -> dict[str, Port]:
        result = {}
        section = self.section(content, key, file)
        for name, spec in section.items():
            line = section.line_of(name)
            if not isinstance(spec, dict) or spec.get("type") not in set(types):
                found = spec.get("type") if isinstance(spec, dict) else spec
                self.problem(
                    file,
                    line,
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

    def command_references(
        self,
        content: LocatedMapping,
        command: str,
        inputs: dict[str, Port],
        outputs: dict[str, Port],
        file: Path,
    ) -> None:
        line = content.line_of("command")
        required = _OPTIONAL.sub("", command)
        for reference in _REFERENCE.findall(command):
            kind, _, name = reference.partition(".")
            known = {"inputs": inputs, "outputs": outputs}.get(kind)
            if known is None or name not in known:
                choices = [f"inputs.{n}" for n in inputs] + [f"outputs.{n}" for n in outputs]
                self.problem(
                    file,
                    line,
                    f"the command names ${{{{{reference}}}}}, which is not declared{did_you_mean(reference, choices)}",
                )
            elif (
                kind == "inputs"
                and inputs[name].optional
                and reference in _REFERENCE.findall(required)
            ):
                self.problem(
                    file, line, f"input `{name}` is optional: put its argument inside $[[ ]]"
                )

    def pipeline_input(self, name: str, inputs: LocatedMapping) -> Binding | None:
        spec, line = inputs[name], inputs.line_of(name)
        override = self.overrides.get(name)
        if not isinstance(spec, LocatedMapping):
            return Literal(_parse(override) if override is not None else spec)
        if spec.get("type") in LITERAL_TYPES:
            value = spec.get("default", spec.get("value"))
            return Literal(_parse(override) if override is not None else value)
        base = self.path.parent if override is None else Path.cwd()
        reference = str(spec.get("path", "")) if override is None else override
        if not self.need_data:
            return Data(base / reference)
        if not reference:
            self.problem(
                self.path, line, f"input `{name}` has no `path`; give one, or --input {name}=PATH"
            )
            return None
        return self.local_data(name, reference, base, spec.line_of("path"), spec.get("type"))

    def local_data(
        self, name: str, reference: str, base: Path, line: int, kind: Any
    ) -> Data | None:
        hint = f"give a local one with --input {name}=PATH"
        if reference.startswith("azureml:") and "://" not in reference:
            asset = (
                described_path(self.data_assets, re.split(r"[:@]", reference)[1])
                if self.data_assets
                else None
            )
            if asset is None:
                self.problem(
                    self.path,
                    line,
                    f"input `{name}`: {reference} is not described in {self.data_assets}; {hint}",
                )
                return None
            reference, base = asset
        if "://" in reference:
            self.problem(
                self.path, line, f"input `{name}`: {reference} is not on this machine; {hint}"
            )
            return None
        path = (base / reference).resolve()
        if not path.exists():
            sample = ", or write the sample with `make data`" if path.parent.name == "data" else ""
            self.problem(
                self.path,
                line,
                f"input `{name}`: {_shown(path)} does not exist; {hint}{sample}",
            )
            return None
        if kind == "uri_file" and path.is_dir():
            self.problem(
                self.path,
                line,
                f"input `{name}`: expected a file, {_shown(path)} is a folder; {hint}",
            )
            return None
        return Data(path)

    def bindings(
        self,
        name: str,
        jobs: LocatedMapping,
        component: Component,
        components: Mapping[str, Component | None],
        inputs: LocatedMapping,
        resolved: Mapping[str, Binding | None],
    ) -> dict[str, Binding]:
        given = self.section(jobs[name], "inputs", self.path)
        swept = jobs[name].get("search_space")
        drawn = swept if jobs[name].get("type") == "sweep" and isinstance(swept, dict) else {}
        result: dict[str, Binding] = {}
        for key in given.keys() - component.inputs.keys():
            self.problem(
                self.path,
                given.line_of(key),
                f"step `{name}`: component {component.name} has no input `{key}`{did_you_mean(key, component.inputs)}",
            )
        for key, port in component.inputs.items():
            if key in given:
                bound = self.bind(
                    name, port, given[key], given.line_of(key), components, inputs, resolved
                )
                if bound is not None:
                    result[key] = bound
            elif key in drawn:
                continue
            elif port.default is not None:
                result[key] = Literal(port.default)
            elif not port.optional:
                self.problem(
                    self.path,
                    jobs.line_of(name),
                    f"step `{name}`: input `{key}` ({port.type}) is not given",
                )
        node_outputs = self.section(jobs[name], "outputs", self.path)
        for key in node_outputs.keys() - component.outputs.keys():
            self.problem(
                self.path,
                node_outputs.line_of(key),
                f"step `{name}`: component {component.name} has no output `{key}`{did_you_mean(key, component.outputs)}",
            )
        return result

    def bind(
        self,
        step: str,
        port: Port,
        value: Any,
        line: int,
        components: Mapping[str, Component | None],
        inputs: LocatedMapping,
        resolved: Mapping[str, Binding | None],
    ) -> Binding | None:
        def wrong(message: str) -> None:
            self.problem(self.path, line, f"step `{step}`, input `{port.name}`: {message}")

        text = _reference_text(value)
        reference = _REFERENCE.fullmatch(text)
        if reference is None:
            if isinstance(value, dict) and "path" in value:
                if not self.need_data:
                    return Data(self.path.parent / str(value["path"]))
                return self.local_data(
                    port.name, str(value["path"]), self.path.parent, line, port.type
                )
            return self.literal(port, value, wrong)
        parts = reference.group(1).split(".")
        if parts[:2] == ["parent", "inputs"] and len(parts) == 3:
            return self.bind_pipeline_input(port, parts[2], inputs, resolved, wrong)
        if parts[:2] == ["parent", "jobs"] and len(parts) == 5 and parts[3] == "outputs":
            return _bind_output(port, parts[2], parts[4], components, wrong)
        wrong(
            f"{text} is not a reference Azure ML knows; use ${{{{parent.inputs.NAME}}}} or "
            "${{parent.jobs.STEP.outputs.NAME}}"
        )
        return None

    def bind_pipeline_input(
        self,
        port: Port,
        name: str,
        inputs: LocatedMapping,
        resolved: Mapping[str, Binding | None],
        wrong: Callable[[str], None],
    ) -> Binding | None:
        if name not in inputs:
            wrong(f"the pipeline has no input `{name}`{did_you_mean(name, inputs)}")
            return None
        bound = resolved.get(name)
        if isinstance(bound, Literal):
            return self.literal(port, bound.value, wrong)
        kind = (
            inputs[name].get("type", "uri_folder") if isinstance(inputs[name], dict) else "string"
        )
        if isinstance(bound, Data) and not _fits(kind, port.type):
            wrong(f"expects {port.type}, pipeline input `{name}` is {kind}")
            return None
        return bound

    def literal(self, port: Port, value: Any, wrong: Callable[[str], None]) -> Literal | None:
        if port.type not in LITERAL_TYPES:
            wrong(f"expects data ({port.type}), found the value {value!r}")
        elif not isinstance(value, LITERAL_TYPES[port.type]) or (
            isinstance(value, bool) and port.type != "boolean"
        ):
            wrong(f"expects a value of type {port.type}, found {value!r}")
        elif port.enum and value not in port.enum:
            wrong(f"expects one of {', '.join(map(str, port.enum))}, found {value!r}")
        elif port.minimum is not None and cast(float, value) < port.minimum:
            wrong(f"expects at least {port.minimum}, found {value!r}")
        elif port.maximum is not None and cast(float, value) > port.maximum:
            wrong(f"expects at most {port.maximum}, found {value!r}")
        else:
            return Literal(value)
        return None

    def order(self, steps: Mapping[str, Step], jobs: LocatedMapping) -> list[str]:
        try:
            return list(
                graphlib.TopologicalSorter({n: s.needs for n, s in steps.items()}).static_order()
            )
        except graphlib.CycleError as error:
            cycle = " → ".join(reversed(error.args[1]))
            self.problem(
                self.path, jobs.line_of(error.args[1][0]), f"steps wait for each other: {cycle}"
            )
            return []


def _bind_output(
    port: Port,
    step: str,
    output: str,
    components: Mapping[str, Component | None],
    wrong: Callable[[str], None],
) -> StepOutput | None:
    if step not in components:
        wrong(f"there is no step `{step}`{did_you_mean(step, components)}")
        return None
    producer = components[step]
    if producer is None:
        return None
    if output not in producer.outputs:
        wrong(f"step `{step}` has no output `{output}`{did_you_mean(output, producer.outputs)}")
        return None
    if not _fits(producer.outputs[output].type, port.type):
        wrong(
            f"expects {port.type}, output `{output}` of step `{step}` is {producer.outputs[output].type}"
        )
        return None
    return StepOutput(step, output)


def module_of(command: str) -> str | None:
    """The Python module of a plain `python -m module …` command, else None."""
    if re.search(r"[|&;<>`\n]|\$\(", _REFERENCE.sub("", command).strip()):
        return None
    parts = shlex.split(command)
    return parts[2] if parts[:2] == ["python", "-m"] and len(parts) > 2 else None


def words(command: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> list[str]:
    """The words of a plain command with every placeholder replaced.

    Words are split before values go in, so a path with blanks stays one word.
    """
    values = _values(inputs, outputs)
    template = _REFERENCE.sub(r"${{\1}}", _without_unbound(command, values))
    return [_REFERENCE.sub(lambda m: values[m.group(1)], word) for word in shlex.split(template)]


def shell_line(command: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    """The same for a command that needs a shell: one line, values quoted."""
    values = _values(inputs, outputs)
    return _REFERENCE.sub(
        lambda m: shlex.quote(values[m.group(1)]), _without_unbound(command, values)
    )


def _values(inputs: Mapping[str, str], outputs: Mapping[str, str]) -> dict[str, str]:
    return {f"inputs.{name}": value for name, value in inputs.items()} | {
        f"outputs.{name}": value for name, value in outputs.items()
    }


def _without_unbound(command: str, values: Mapping[str, str]) -> str:
    """Optional `$[[ … ]]` parts stay only if everything they name is bound."""

    def keep(match: re.Match[str]) -> str:
        return (
            match.group(1) if all(r in values for r in _REFERENCE.findall(match.group(1))) else ""
        )

    return _OPTIONAL.sub(keep, command)


def _reference_text(value: Any) -> str:
    """A binding is written as a string or as `{path: …}` with an optional mode."""
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        return str(value["path"]).strip()
    return value.strip() if isinstance(value, str) else ""


def _fits(produced: str, wanted: str) -> bool:
    if wanted == "uri_file" or produced == "uri_file":
        return produced == wanted
    return produced in FOLDER_TYPES and wanted in FOLDER_TYPES


def _parse(text: str) -> Any:
    return parse(text)


def _shown(path: Path) -> Path:
    """The path relative to the working folder where that is shorter to read."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
