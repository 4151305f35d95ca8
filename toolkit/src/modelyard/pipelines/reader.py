"""Reads Azure ML pipelines (CLI v2) and checks every binding before anything runs."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.pipelines.components import (
    PORT_FIELDS,
    check_mode,
    read_distribution,
    read_variables,
    with_limits,
)
from modelyard.pipelines.data_paths import local_data
from modelyard.pipelines.documents import PipelineError, Problems
from modelyard.pipelines.levels import NESTED_FIELDS, PIPELINE_FIELDS, Level, Shared
from modelyard.pipelines.model import (
    ANY,
    DATA_TYPES,
    LITERAL_TYPES,
    Binding,
    Data,
    Literal,
    Pipeline,
    Port,
    Step,
    StepOutput,
)
from modelyard.pipelines.references import (
    out_of_quotes,
    reference,
    reference_text,
    references,
    replaced,
)
from modelyard.sweeps.reader import read_sweep
from modelyard.yaml_files import LocatedMapping, did_you_mean


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
    shared = Shared(data_assets, need_data)
    problems = shared.problems
    document = problems.document(path, "pipeline", PIPELINE_FIELDS)
    if document is None:
        raise PipelineError(problems.found)
    overrides = dict(overrides or {})
    level = _Bound(path, document, shared)
    for name in overrides.keys() - level.inputs.keys():
        problems.add(
            path,
            document.line_of("inputs"),
            f"--input {name}: the pipeline has no such input{did_you_mean(name, level.inputs)}",
        )
    level.declare()
    steps = level.bind({name: level.job_input(name, overrides.get(name)) for name in level.used()})
    experiment = document.get("experiment_name")
    if not isinstance(experiment, str | None) or experiment == "":
        line = document.line_of("experiment_name")
        problems.add(path, line, f"experiment_name: expected text, found {experiment!r}")
    settings, tags = (problems.section(document, key, path) for key in ("settings", "tags"))
    order = _order(level, {step.name: step for step in steps})
    if problems.found:
        raise PipelineError(problems.found)
    return Pipeline(
        name=path.stem,
        file=path,
        experiment=experiment,
        steps=tuple(order),
        tags={str(k): str(v) for k, v in tags.items()},
        outputs={name: found for name, (found, _) in level.outputs.items() if found is not None},
        force_rerun=settings.get("force_rerun") is True,
        continue_on_step_failure=settings.get("continue_on_step_failure", True) is not False,
        notes=tuple(dict.fromkeys(problems.notes)),
    )


def check_pipeline_component(path: Path) -> Problems:
    """Find what is wrong in a pipeline that other pipelines have as a step."""
    shared = Shared(None, need_data=False)
    document = shared.problems.document(path, "pipeline", NESTED_FIELDS)
    if document is not None:
        level = _Bound(path, document, shared, is_component=True)
        level.declare()
        steps = level.bind({})  # what it is given is known where it is used
        _order(level, {step.name: step for step in steps})
    return shared.problems


# What is read by the type of the input that it reaches.
_READ_AS_EACH_OTHER = [{"string", kind} for kind in LITERAL_TYPES] + [{"integer", "number"}]


@dataclass(frozen=True)
class _Unbound:
    """An input of a nested pipeline that is optional and not given."""


Given = Binding | _Unbound | None


class _Bound(Level):
    """A level with every input bound."""

    given: Mapping[str, Given]

    def bind(self, given: Mapping[str, Given]) -> list[Step]:
        """Bind the inputs of all steps; returns them, nested ones included."""
        self.given = given
        steps: list[Step] = []
        for name, node in self.jobs.items():
            found = self.declared(name)
            if found is None:
                continue
            inputs, _, what = found
            bindings = self.bindings(name, inputs, what)
            if isinstance(level := self.nested.get(name), _Bound):
                steps += level.bind(bindings)
                continue
            component = self.components[name]
            assert component is not None  # noqa: S101 (it is declared)
            self.note_blanks(name, component.command, bindings)
            is_sweep = node.get("type") == "sweep"
            variables = read_distribution(node, self.file, self.problems)
            variables |= self.resolved(read_variables(node, self.file, self.problems))
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

    def note_blanks(self, step: str, command: str, bindings: Mapping[str, Given]) -> None:
        """Note each value that is one word here, and several to the shell of Azure ML."""
        for name in out_of_quotes(command):
            key = name.removeprefix("inputs.")
            bound = bindings.get(key)
            if isinstance(bound, Literal) and any(map(str.isspace, str(bound.value))):
                message = f"a value with blanks is one word here, and several on Azure ML; write '${{{{{name}}}}}' in the command"
                given = self.problems.section(self.jobs[step], "inputs", self.file)
                self.problems.note(self.file, given.line_of(key), message)

    def resolved(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Texts with the values of the pipeline's inputs that they are bound to, where those are known."""
        known = {
            f"parent.inputs.{name}": str(bound.value)
            for name, bound in self.given.items()
            if isinstance(bound, Literal)
        }
        return {key: replaced(text, known) for key, text in texts.items()}

    def timeout(self, name: str, node: LocatedMapping) -> float | None:
        limits = self.problems.section(node, "limits", self.file)
        self.problems.unknown_fields(limits, {"timeout"}, self.file, "command's `limits`")
        value = limits.get("timeout")
        if isinstance(value, str) and references(value):
            text = self.resolved({"timeout": value})["timeout"]
            value = int(text) if text.isdigit() else None if references(text) else text
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
        kind = str(spec.get("type", "uri_folder"))
        fields = PORT_FIELDS["input"] | {"path", "value"}
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
        if not port.accepts(kind) and {kind, port.type} not in _READ_AS_EACH_OTHER:
            wrong(f"expects {port.type}, pipeline input `{name}` is {kind}")
            return None
        return bound

    def bind_output(
        self, port: Port, step: str, output: str, wrong: Callable[[str], None]
    ) -> StepOutput | None:
        if step not in self.jobs:
            wrong(f"there is no step `{step}`{did_you_mean(step, self.jobs)}")
            return None
        found = self.declared(step)
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


def _order(level: _Bound, steps: Mapping[str, Step]) -> list[Step]:
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
