"""The plan of a sweep, written by `mlops run` and read by the process of the step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelyard.files import write_json

EVIDENCE = "sweep"  # folder and name of the evidence, beside the step's outputs


@dataclass(frozen=True)
class Plan:
    """Everything a sweep depends on.

    Attributes:
        step: the node's name.
        sweep: the node's own fields.
        command, code, imports, preload: of the trial, see `component_job` and `Launcher`.
        whole: the inputs that are integers.
        inputs: value or path of each input that is not drawn, by name.
        fingerprints: of those inputs, for a trial's key.
        outputs: type by name.
        key_parts: the rest of what a trial's result depends on, see `step_key`.
        runs, trials, attempt: `.runs`, the folder of the trials, and the step's attempt.
        at_once: trials side by side.
        reuse: use results of earlier sweeps.
        python: of the environment of the trials; None for that of `mlops`.
    """

    step: str
    sweep: dict[str, Any]
    command: str
    code: str | None
    imports: list[str]
    preload: list[str]
    whole: list[str]
    inputs: dict[str, str]
    fingerprints: dict[str, str]
    outputs: dict[str, str]
    key_parts: dict[str, str]
    runs: str
    trials: str
    attempt: str
    at_once: int
    reuse: bool
    python: str | None = None


def write_plan(plan: Plan) -> Path:
    """Write a plan into the step's attempt; returns the path."""
    path = Path(plan.attempt) / "plan.json"
    write_json(path, asdict(plan))
    return path
