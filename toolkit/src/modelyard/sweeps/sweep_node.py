"""A pipeline node of `type: sweep`: its own fields, and whether the trial can be swept like that.

Fields: https://learn.microsoft.com/azure/machine-learning/reference-yaml-job-sweep
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from modelyard.sweeps.early_termination import Policy
from modelyard.sweeps.search_space import Choice, Distribution, Quantile
from modelyard.yaml_files import LocatedMapping, did_you_mean

if TYPE_CHECKING:
    from modelyard.pipelines.pipeline import Port

SWEEP_FIELDS = {
    "sampling_algorithm",
    "search_space",
    "objective",
    "limits",
    "early_termination",
}
# Azure samples the rest of the distributions at random only.
SAMPLED_BY = {"grid": {"choice"}, "bayesian": {"choice", "uniform", "quniform"}}
_PYTHON = {"number": (int, float), "integer": (int,), "string": (str,), "boolean": (bool,)}


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sampling(_Node):
    """How trials are drawn; the same seed draws the same trials."""

    type: Literal["random", "grid", "bayesian"]
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0
    rule: Literal["random", "sobol"] = "random"


def _named(value: Any) -> Any:
    """`sampling_algorithm: random` is short for `{type: random}`."""
    return {"type": value} if isinstance(value, str) else value


class Objective(_Node):
    """The metric that trials report, and which end of it is good."""

    goal: Literal["minimize", "maximize"]
    primary_metric: Annotated[str, Field(strict=True, min_length=1)]


Count = Annotated[int, Field(strict=True, ge=1, le=1000)]
Seconds = Annotated[int, Field(strict=True, ge=1)]


class Limits(_Node):
    """How many trials, how many of them at once, and for how many seconds."""

    max_total_trials: Count
    max_concurrent_trials: Count | None = None
    timeout: Seconds | None = None
    trial_timeout: Seconds | None = None


class Sweep(_Node):
    """What a sweep node says of itself; the trial's bindings are the step's."""

    sampling_algorithm: Annotated[Sampling, BeforeValidator(_named)]
    search_space: Annotated[dict[str, Distribution], Field(min_length=1)]
    objective: Objective
    limits: Limits
    early_termination: Policy | None = None

    def loss(self, value: float | None) -> float:
        """A reported value as something to minimise; what is not a number is as bad as can be."""
        if value is None or math.isnan(value):
            return math.inf
        return value if self.objective.goal == "minimize" else -value


Report = Callable[[int, str], None]


def read_sweep(
    name: str, node: LocatedMapping, inputs: Mapping[str, Port], problem: Report
) -> Sweep | None:
    """Check a sweep node's own fields and its search space against the trial's inputs.

    Args:
        name: of the step.
        node: as the file has it.
        inputs: of the trial's component.
        problem: takes line and message of everything that is wrong.

    Returns:
        None if anything is.
    """
    given = {key: node[key] for key in SWEEP_FIELDS if key in node}
    try:
        sweep = Sweep.model_validate(given)
    except ValidationError as error:
        for one in error.errors():
            place = [part for part in one["loc"] if isinstance(part, str)]
            line, field = _located(node, place)
            problem(line, f"step `{name}`, {field}: {_said(one, place)}")
        return None
    space = node["search_space"]
    wrong = list(_misfits(sweep, inputs, node.get("inputs") or {}))
    for key, message in wrong:
        line = space.line_of(key) if key in space else node.line_of("sampling_algorithm")
        problem(line, f"step `{name}`, search_space `{key}`: {message}")
    return None if wrong else sweep


def _misfits(
    sweep: Sweep, inputs: Mapping[str, Port], bound: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    sampling = sweep.sampling_algorithm.type
    allowed = SAMPLED_BY.get(sampling)
    for name, distribution in sweep.search_space.items():
        if name not in inputs:
            swept = [key for key, port in inputs.items() if port.type in _PYTHON]
            yield name, f"the trial has no such input{did_you_mean(name, swept)}"
            continue
        if name in bound:
            yield name, "it is given under `inputs` as well; keep one of the two"
        if allowed is not None and distribution.type not in allowed:
            yield (
                name,
                f"{sampling} sampling draws from {', '.join(sorted(allowed))} only, "
                f"found {distribution.type}",
            )
        message = _misfit(distribution, inputs[name])
        if message:
            yield name, message


def _misfit(distribution: Choice | Quantile, port: Port) -> str | None:
    """Why values drawn cannot go into an input."""
    if port.type not in _PYTHON:
        return f"the input is data ({port.type}), only values can be drawn"
    if isinstance(distribution, Choice):
        return next((w for v in distribution.values if (w := _unfit(v, port))), None)
    if port.type not in ("number", "integer"):
        return f"draws numbers, the input is a {port.type}; use choice"
    if port.type == "integer" and not distribution.is_whole:
        return "draws fractions, the input is an integer; use choice, randint or a whole q"
    low, high = distribution.ends()
    is_below = port.minimum is not None and low < port.minimum
    if is_below or (port.maximum is not None and high > port.maximum):
        exponents = "; min_value and max_value are exponents" if "log" in distribution.type else ""
        return f"draws from {low:.4g} to {high:.4g}, the input allows {_range(port)}{exponents}"
    return None


def _unfit(value: Any, port: Port) -> str | None:
    if not isinstance(value, _PYTHON[port.type]) or (
        isinstance(value, bool) and port.type != "boolean"
    ):
        return f"the input wants a value of type {port.type}, found {value!r}"
    if port.enum and value not in port.enum:
        return f"the input wants one of {', '.join(map(str, port.enum))}, found {value!r}"
    if isinstance(value, int | float) and (
        (port.minimum is not None and value < port.minimum)
        or (port.maximum is not None and value > port.maximum)
    ):
        return f"the input allows {_range(port)}, found {value!r}"
    return None


def _range(port: Port) -> str:
    if port.maximum is None:
        return f"{port.minimum:g} or more"
    return (
        f"{port.maximum:g} or less"
        if port.minimum is None
        else f"{port.minimum:g} to {port.maximum:g}"
    )


def _located(node: LocatedMapping, place: list[str]) -> tuple[int, str]:
    """The line of a field, and its name; what pydantic adds to the path is left out."""
    line, path = node.line, []
    found: Any = node
    for part in place:
        if isinstance(found, LocatedMapping) and part in found:
            line, found = found.line_of(part), found[part]
            path.append(part)
    if place and (not path or path[-1] != place[-1]):  # a field that is not there
        path.append(place[-1])
    return line, ".".join(path) or "node"


def _said(error: Any, place: list[str]) -> str:
    if error["type"] == "missing":
        return "is needed and not given"
    if error["type"] == "extra_forbidden":
        return f"there is no field `{place[-1]}`"
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = error["input"]
    return message if isinstance(value, dict) else f"{message}, found {value!r}"
