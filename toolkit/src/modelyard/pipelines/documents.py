"""Azure ML documents in YAML, and a list of everything wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modelyard.console import counted
from modelyard.errors import UsageError, shortened
from modelyard.yaml_files import LocatedMapping, Problem, did_you_mean, located_like, parse

WITHOUT_EFFECT = {
    "compute": "steps run on this machine",
    "default_compute": "steps run on this machine",
    "default_datastore": "outputs are written below .runs",
    "distribution": "a step is one process on this machine, of rank 0",
    "identity": "a step runs as you",
    "logging_level": "the log has everything",
    "max_concurrency_per_instance": "mini-batches come one after another, in one process",
    "mode": "data is read and written in place",
    "properties": "they are for Azure's own use",
    "queue_settings": "there is no queue",
    "resources": "a step takes what this machine has",
    "services": "nothing is opened beside the step",
}


IN_FULL = {"command", "code", "environment"}  # what only a step without a component has
# Jobs that are no pipeline; each is run, or refused, as a step.
ONE_STEP = {"sweep", "spark", "automl", "import", "data_transfer", "finetuning"}


class PipelineError(UsageError):
    """All problems of a pipeline and its components at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = counted(len(self.problems), "problem")
        listing = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{count}, nothing was run:\n{listing}")


class Problems:
    """Collects problems while documents are read."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.notes: list[Problem] = []

    def add(self, file: Path, line: int, message: str) -> None:
        """Note a problem, without the rest of a value of many characters; lines count from 1."""
        self.found.append(Problem(file, line, shortened(message, 500)))

    def without_effect(self, content: LocatedMapping, path: Path) -> None:
        """Note every field that Azure ML acts on and this machine does not."""
        for key in content.keys() & WITHOUT_EFFECT.keys():
            if content[key] not in (None, "local", "azureml:local"):
                message = f"`{key}` has no effect here: {WITHOUT_EFFECT[key]}"
                self.note(path, content.line_of(key), message)

    def note(self, file: Path, line: int, message: str) -> None:
        """Note what is accepted and has no effect on this machine."""
        self.notes.append(Problem(file, line, message))

    def mapping(self, path: Path) -> LocatedMapping | None:
        """Read a YAML file that is a mapping; None where it is none."""
        try:
            content = parse(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.add(path, 1, "the file does not exist")
            return None
        except (OSError, UnicodeDecodeError) as error:
            self.add(path, 1, f"not readable: {error}")
            return None
        except ValueError as error:  # ":LINE: what is wrong"
            _, line, reason = str(error).split(":", 2)
            self.add(path, int(line), reason.strip())
            return None
        if not isinstance(content, LocatedMapping):
            self.add(path, 1, f"expected a mapping, found {type(content).__name__}")
            return None
        return content

    def keys_are_text(self, content: Any, path: Path) -> bool:
        """Note each key that Azure ML does not read as text; whether there is none."""
        if isinstance(content, list):
            found = [self.keys_are_text(one, path) for one in content]
            return all(found)
        if not isinstance(content, LocatedMapping):
            return True
        wrong = [
            key
            for key in content
            if not isinstance(key, str)
            or (key in content.bare and key.lower() in ("yes", "no", "on", "off"))
        ]
        for key in wrong:
            read = "true or false" if isinstance(key, str) else "no text"
            message = f'the name {key} is {read} to Azure ML; write "{key}", or another one'
            self.add(path, content.line_of(key), message)
        below = [self.keys_are_text(one, path) for one in content.values()]
        return not wrong and all(below)

    def document(
        self, path: Path, kind: str, fields: Iterable[str] | None = None
    ) -> LocatedMapping | None:
        """Read a document of `type: kind`; None where it is no such thing.

        Args:
            path: of the file.
            kind: expected.
            fields: that it may have; None where they are checked elsewhere.
        """
        content = self.mapping(path)
        if content is None or not self.keys_are_text(content, path):
            return None
        if kind == "pipeline":
            _in_lower_case(content)
        if kind == "pipeline" and "create_job" in content:
            job = content["create_job"]
            job = job.get("job") if isinstance(job, dict) else job
            message = f"this is a schedule, and its job is what can be run: {job}"
            self.add(path, content.line_of("create_job"), message)
            return None
        declared = str(content.get("type", "command"))
        if (
            kind == "pipeline"
            and "jobs" not in content
            and (declared in ONE_STEP or (declared != "pipeline" and IN_FULL & content.keys()))
        ):
            return _one_step(content, path, content)
        if (
            kind == "pipeline"
            and declared == "pipeline"
            and "component" in content
            and "jobs" not in content
        ):
            self.unknown_fields(content, {*(fields or ()), "component"}, path, kind)
            shown = {"type", "component", "inputs", "outputs"}
            return _one_step(content, path, {key: content[key] for key in content.keys() & shown})
        if fields is not None:
            self.unknown_fields(content, fields, path, kind)
        if component_kind(content) != kind:
            self.add(
                path,
                content.line_of("type"),
                f"expected `type: {kind}`, found {content.get('type')!r}",
            )
            return None
        return content

    def unknown_fields(
        self, content: LocatedMapping, fields: Iterable[str], path: Path, kind: str
    ) -> None:
        """Note every key that is not one of `fields`."""
        for key in content:
            if key not in fields:
                line = content.line_of(key)
                hint = did_you_mean(key, sorted(fields))
                self.add(path, line, f"a {kind} has no field `{key}`{hint}")

    def section(self, content: LocatedMapping, key: str, path: Path) -> LocatedMapping:
        """The mapping below a key; an empty one where there is none."""
        value = content.get(key)
        if isinstance(value, LocatedMapping):
            return _plain(value) if key == "inputs" else value
        if value is not None:
            self.add(path, content.line_of(key), f"`{key}` must be a mapping")
        empty = LocatedMapping()
        empty.line, empty.lines, empty.texts = content.line_of(key), {}, {}
        return empty


def step_kind(node: Mapping[str, Any], file: Path) -> str:
    """The type of a step: its own, else that of its component, whose file may be named."""
    if "type" in node or "jobs" in node:
        return str(node.get("type", "pipeline"))
    component = node.get("component")
    if isinstance(component, str) and not component.startswith("azureml:"):
        path = file.parent / component.removeprefix("file:")
        component = Problems().mapping(path) if path.is_file() else None
    return component_kind(component) if isinstance(component, dict) else "command"


def component_kind(content: Mapping[str, Any]) -> str:
    """The type of a component, which may leave it to its fields."""
    kinds = {"jobs": "pipeline", "task": "parallel", "entry": "spark"}
    by_fields = (kind for key, kind in kinds.items() if key in content)
    return str(content.get("type", next(by_fields, "command")))


def _plain(inputs: LocatedMapping) -> LocatedMapping:
    """Inputs of a job with X in the place of `{value: X}`, which is the same to Azure ML."""
    found = {
        name: one
        for name, one in inputs.items()
        if isinstance(one, LocatedMapping) and one.keys() == {"value"}
    }
    if not found:
        return inputs
    plain = located_like({**inputs, **{name: one["value"] for name, one in found.items()}}, inputs)
    plain.texts |= {name: text for name, one in found.items() if (text := one.text_of("value"))}
    return plain


def _in_lower_case(content: dict[str, Any]) -> None:
    """Write the types and modes of a job in lower case: Azure ML takes them in any, those of components not."""
    for section in ("inputs", "outputs", "jobs"):
        below = content.get(section)
        for spec in below.values() if isinstance(below, dict) else ():
            if isinstance(spec, dict):
                given = {k: spec[k] for k in ("type", "mode") if isinstance(spec.get(k), str)}
                spec |= {key: word.lower() for key, word in given.items()}
                if section == "jobs":
                    _in_lower_case(spec)


def _one_step(job: LocatedMapping, path: Path, node: Mapping[str, Any]) -> LocatedMapping:
    """A pipeline of one step, called like its file; its inputs are the step's, so `--input` gives others."""
    step = located_like(node, job)
    whole = {"experiment_name", "settings", "compute", "tags"}
    kept = job.keys() & (whole if node.get("type") == "pipeline" else {"experiment_name"})
    pipeline = located_like({"type": "pipeline"} | {key: job[key] for key in kept}, job)
    for section in ("inputs", "outputs"):
        given = job.get(section)
        if isinstance(given, LocatedMapping) and (
            section == "inputs" or node.get("type") == "pipeline"
        ):
            pipeline[section] = given
            step[section] = located_like(
                {key: f"${{{{parent.{section}.{key}}}}}" for key in given}, given
            )
            step[section].texts = {}
    name = re.sub(r"\W|^(?=\d)", "_", path.stem.lower())
    pipeline["jobs"] = located_like({name: step}, job)
    pipeline["jobs"].lines = {}
    return pipeline
