"""Pipelines, steps and components as they are after reading and checking."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from modelyard.pipelines.references import module_of
from modelyard.sweeps.model import Sweep
from modelyard.yaml_files import Problem

DATA_TYPES = {"uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"}
FOLDER_TYPES = DATA_TYPES - {"uri_file"}
LITERAL_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
PATH = "path"  # in components of the first years: a file or a folder
ANY = "any"  # of an input of an inline job: the type is that of what is bound to it


def _as_written(text: str) -> Any:
    return text


def _number(text: str) -> Any:
    """A number in decimal notation, whole where it is written so; else the text, which is no number."""
    for kind, pattern in (
        (int, r"[-+]?[0-9]+"),
        (float, r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"),
    ):
        if re.fullmatch(pattern, text):
            return kind(text)
    return text


def _boolean(text: str) -> Any:
    return {"true": True, "false": False}.get(text.lower(), text)


_READ: dict[str, Callable[[str], Any]] = {
    "integer": _number,
    "number": _number,
    "boolean": _boolean,
}


@dataclass(frozen=True)
class Port:
    """A declared input or output of a component."""

    name: str
    type: str
    optional: bool = False
    default: Any = None
    enum: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    def typed(self, value: Any, text: str | None) -> Any:
        """Read a value by the declared type; what YAML takes it for does not count.

        Args:
            value: as YAML has it.
            text: as it is written without quotes; None for any other value. A value in quotes counts as well:
                Azure ML has them all as text.

        Raises:
            ValueError: why it cannot be given to this input.
        """
        written = value if text is None else text
        if isinstance(written, str) and value is not None and self.type in (ANY, *LITERAL_TYPES):
            value = _READ.get(self.type, _as_written)(written)
        if message := self.mismatch(value):
            raise ValueError(message)
        return value

    def mismatch(self, value: Any) -> str | None:
        """Why a value cannot be given to this input; None where it can."""
        if self.type == ANY and not isinstance(value, (dict, list)) and value is not None:
            return None
        types = LITERAL_TYPES.get(self.type)
        if types is None:
            return f"expects data ({self.type}), found the value {value!r}"
        if not isinstance(value, types) or (isinstance(value, bool) and self.type != "boolean"):
            return f"expects a value of type {self.type}, found {value!r}"
        if self.enum and value not in self.enum:
            return f"expects one of {', '.join(map(str, self.enum))}, found {value!r}"
        if self.minimum is not None and cast(float, value) < self.minimum:
            return f"expects at least {self.minimum}, found {value!r}"
        if self.maximum is not None and cast(float, value) > self.maximum:
            return f"expects at most {self.maximum}, found {value!r}"
        return None

    def accepts(self, produced: str) -> bool:
        """Whether data of a type can be bound to this input: files to files, folders to folders."""
        if self.type in (ANY, produced) or PATH in (self.type, produced):
            return True
        if "uri_file" in (self.type, produced):
            return False
        return produced in FOLDER_TYPES and self.type in FOLDER_TYPES


@dataclass(frozen=True)
class Packages:
    """The pip packages of a step's environment.

    Attributes:
        requirements: lines for pip.
        python: its version, such as 3.10, where the environment names one.
        place: file and line that name the environment.
    """

    requirements: tuple[str, ...]
    python: str | None
    place: str


@dataclass(frozen=True)
class Component:
    """A command component.

    Attributes:
        code: the folder that its command runs in; None where it brings no code.
        environment: the reference as written.
        deterministic: `is_deterministic` of the file.
        includes: files and folders that are put beside those of `code`.
        variables: `environment_variables`.
        packages: of its environment; None where it runs in that of `mlops`.
    """

    name: str
    file: Path
    command: str
    code: Path | None
    environment: str
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    deterministic: bool
    tags: Mapping[str, str]
    includes: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    packages: Packages | None = None

    @property
    def reads_champion(self) -> bool:
        """Whether the result depends on the champion besides its inputs."""
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
    """A value written in the pipeline, and its text where it is written without quotes."""

    value: Any
    text: str | None = None


@dataclass(frozen=True)
class Data:
    """A file or folder on this machine."""

    path: Path


@dataclass(frozen=True)
class StepOutput:
    """An output of another step."""

    step: str
    output: str


Binding = Literal | Data | StepOutput


@dataclass(frozen=True)
class Step:
    """A node of the pipeline with every input bound; with `sweep`, `component` is its trial.

    A step of a pipeline that is a step itself is called `outer.inner`.

    Attributes:
        timeout: seconds after which it is stopped.
        variables: of its environment, those of the component included.
    """

    name: str
    component: Component
    inputs: Mapping[str, Binding]
    sweep: Sweep | None = None
    timeout: float | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> str:
        """The environment as one text, its variables included."""
        variables = json.dumps(dict(self.variables), sort_keys=True) if self.variables else ""
        return self.component.environment + variables

    @property
    def needs(self) -> set[str]:
        """Names of the steps whose outputs this one reads."""
        return {b.step for b in self.inputs.values() if isinstance(b, StepOutput)}


@dataclass(frozen=True)
class Pipeline:
    """A checked pipeline; `steps` is in an order in which they can run.

    Attributes:
        outputs: the step's output that each output of the pipeline is.
        force_rerun: no earlier result is used.
        continue_on_step_failure: steps that do not need a failed one are run.
        notes: what the files say that has no effect on this machine.
    """

    name: str
    file: Path
    experiment: str | None
    steps: tuple[Step, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, StepOutput] = field(default_factory=dict)
    force_rerun: bool = False
    continue_on_step_failure: bool = True
    notes: tuple[Problem, ...] = ()
