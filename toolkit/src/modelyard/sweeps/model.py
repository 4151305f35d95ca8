"""The fields of a pipeline node of `type: sweep`, as they are after reading.

Fields: https://learn.microsoft.com/azure/machine-learning/reference-yaml-job-sweep
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from modelyard.sweeps.early_termination import Policy
from modelyard.sweeps.search_space import Distribution

SWEEP_FIELDS = {
    "sampling_algorithm",
    "search_space",
    "objective",
    "limits",
    "early_termination",
}


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sampling(_Node):
    """The sampling algorithm; the same seed draws the same trials."""

    type: Literal["random", "grid", "bayesian"]
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0
    rule: Literal["random", "sobol"] = "random"


def _named(value: Any) -> Any:
    """`sampling_algorithm: random` is short for `{type: random}`."""
    return {"type": value} if isinstance(value, str) else value


class Objective(_Node):
    """The metric that trials report, and its direction."""

    goal: Literal["minimize", "maximize"]
    primary_metric: Annotated[str, Field(strict=True, min_length=1)]


Count = Annotated[int, Field(strict=True, ge=1, le=1000)]
Seconds = Annotated[int, Field(strict=True, ge=1)]


class Limits(_Node):
    """Limits on the number of trials, on those at once, and on seconds."""

    max_total_trials: Count
    max_concurrent_trials: Count | None = None
    timeout: Seconds | None = None
    trial_timeout: Seconds | None = None


class Sweep(_Node):
    """A sweep node without its component and bindings, which are those of a step."""

    sampling_algorithm: Annotated[Sampling, BeforeValidator(_named)]
    search_space: Annotated[dict[str, Distribution], Field(min_length=1)]
    objective: Objective
    limits: Limits
    early_termination: Policy | None = None

    def loss(self, value: float | None) -> float:
        """A reported value as a loss, lower is better; infinite where it is not a number."""
        if value is None or math.isnan(value):
            return math.inf
        return value if self.objective.goal == "minimize" else -value
