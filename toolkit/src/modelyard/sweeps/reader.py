"""Reads a sweep node and checks its search space against the inputs of the trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modelyard.pipelines.model import ANY, LITERAL_TYPES, Port
from modelyard.sweeps.model import SWEEP_FIELDS, Sweep
from modelyard.sweeps.search_space import Choice, Quantile
from modelyard.yaml_files import LocatedMapping, did_you_mean, located_like, model_problems

# Azure samples the rest of the distributions at random only.
SAMPLED_BY = {"grid": {"choice"}, "bayesian": {"choice", "uniform", "quniform"}}


def read_sweep(
    name: str,
    node: LocatedMapping,
    inputs: Mapping[str, Port],
    problem: Callable[[int, str], None],
) -> Sweep | None:
    """Check the fields of a sweep node, and its search space against the inputs of the trial.

    Args:
        name: of the step.
        node: as the file has it.
        inputs: of the trial's component.
        problem: takes line and message of everything that is wrong.

    Returns:
        None where something is wrong.
    """
    given = located_like({key: node[key] for key in SWEEP_FIELDS if key in node}, node)
    try:
        sweep = Sweep.model_validate(given)
    except ValidationError as error:
        for one in model_problems(Path(), given, error, Sweep):
            problem(one.line, f"step `{name}`, {one.message}")
        return None
    space = node["search_space"]
    bound = node.get("inputs")
    mismatches = list(_mismatches(sweep, inputs, bound if isinstance(bound, dict) else {}))
    for key, message in mismatches:
        line = space.line_of(key) if key in space else node.line_of("sampling_algorithm")
        problem(line, f"step `{name}`, search_space `{key}`: {message}")
    return None if mismatches else sweep


def _mismatches(
    sweep: Sweep, inputs: Mapping[str, Port], bound: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    sampling = sweep.sampling_algorithm.type
    allowed = SAMPLED_BY.get(sampling)
    for name, distribution in sweep.search_space.items():
        if name not in inputs:
            values = [key for key, port in inputs.items() if port.type in (ANY, *LITERAL_TYPES)]
            yield name, f"the trial has no such input{did_you_mean(name, values)}"
            continue
        if name in bound:
            yield name, "it is given under `inputs` as well; keep one of the two"
        if allowed is not None and distribution.type not in allowed:
            yield (
                name,
                f"{sampling} sampling draws from {', '.join(sorted(allowed))} only, "
                f"found {distribution.type}",
            )
        message = _mismatch(distribution, inputs[name])
        if message:
            yield name, message


def _mismatch(distribution: Choice | Quantile, port: Port) -> str | None:
    """Why drawn values cannot be given to an input; None where they can."""
    if port.type == ANY:
        return None
    if port.type not in LITERAL_TYPES:
        return f"the input is data ({port.type}), only values can be drawn"
    if isinstance(distribution, Choice):
        messages = (port.mismatch(value) for value in distribution.values)
        return next((f"the input {message}" for message in messages if message), None)
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


def _range(port: Port) -> str:
    if port.maximum is None:
        return f"{port.minimum:g} or more"
    if port.minimum is None:
        return f"{port.maximum:g} or less"
    return f"{port.minimum:g} to {port.maximum:g}"
