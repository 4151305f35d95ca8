"""Pipelines, steps and components as they are after reading and checking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from modelyard.pipelines.references import module_of
from modelyard.sweeps.model import Sweep

DATA_TYPES = {"uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"}
FOLDER_TYPES = DATA_TYPES - {"uri_file"}
LITERAL_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
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

    def mismatch(self, value: Any) -> str | None:
        """Why a value cannot be given to this input; None where it can."""
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
        if "uri_file" in (self.type, produced):
            return produced == self.type
        return produced in FOLDER_TYPES and self.type in FOLDER_TYPES


@dataclass(frozen=True)
class Component:
    """A command component.

    Attributes:
        code: the folder that its command runs in; None where it brings no code.
        environment: the reference as written.
        deterministic: `is_deterministic` of the file.
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
    """A value written in the pipeline."""

    value: Any


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
    """A node of the pipeline with every input bound; with `sweep`, `component` is its trial."""

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
