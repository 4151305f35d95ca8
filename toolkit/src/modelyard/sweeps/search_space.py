"""Distributions of hyperparameters, by the names of Azure ML.

Definitions: https://learn.microsoft.com/azure/machine-learning/reference-yaml-job-sweep#parameter-expressions
and https://learn.microsoft.com/azure/machine-learning/how-to-tune-hyperparameters#define-the-search-space
"""

from __future__ import annotations

import math
from abc import abstractmethod
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

Value = bool | int | float | str
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
# Tails of an unbounded distribution that its range leaves out: one draw in 500 in both together.
RARE = 0.001
_OPEN = 1e-9  # a normal distribution has no value at 0 and 1
_LARGEST_EXPONENT = 700.0  # exp of more is no number


class _Expression(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(_Expression):
    """One of the listed values, each equally likely."""

    type: Literal["choice"]
    values: Annotated[
        list[StrictBool | StrictInt | StrictFloat | StrictStr], Field(min_length=1, max_length=1000)
    ]

    @property
    def is_whole(self) -> bool:
        """Whether every draw is a whole number."""
        return all(isinstance(v, int) and not isinstance(v, bool) for v in self.values)


class _Quantile(_Expression):
    """A distribution of numbers, given by its quantile function."""

    @abstractmethod
    def _quantile(self, share: float) -> float:
        """The value below which a share of draws lies, before what the type's name says of it."""

    def at(self, share: float) -> float:
        """The value below which a share of draws lies; `share` from 0 to 1."""
        value, q = self._quantile(share), getattr(self, "q", None)
        if "log" in self._type:
            value = math.exp(min(value, _LARGEST_EXPONENT))
        return value if q is None else _stepped(value, q)

    @property
    def _type(self) -> str:
        return str(getattr(self, "type", ""))

    def ends(self) -> tuple[float, float]:
        """The smallest and the largest draw, without the tails of an unbounded distribution."""
        return self.at(0.0), self.at(1.0)

    @property
    def is_whole(self) -> bool:
        """Whether every draw is a whole number."""
        return float(getattr(self, "q", 0.5)).is_integer()


class Randint(_Quantile):
    """A whole number from 0 to `upper` - 1."""

    type: Literal["randint"]
    upper: Annotated[int, Field(strict=True, ge=1)]

    def _quantile(self, share: float) -> float:
        return min(math.floor(share * self.upper), self.upper - 1)

    @property
    def is_whole(self) -> bool:
        """Whether every draw is a whole number."""
        return True


class _Between(_Quantile):
    min_value: Number
    max_value: Number

    @model_validator(mode="after")
    def _is_ordered(self) -> _Between:
        if self.min_value >= self.max_value:
            raise ValueError(
                f"min_value {self.min_value:g} is not below max_value {self.max_value:g}"
            )
        if "log" in self._type and self.max_value > _LARGEST_EXPONENT:
            raise ValueError(
                f"max_value {self.max_value:g} is an exponent: values go up to exp(max_value)"
            )
        return self

    def _quantile(self, share: float) -> float:
        return self.min_value + share * (self.max_value - self.min_value)


class Uniform(_Between):
    """Uniform between `min_value` and `max_value`."""

    type: Literal["uniform"]


class LogUniform(_Between):
    """exp(uniform(min_value, max_value)): `min_value` and `max_value` are exponents."""

    type: Literal["loguniform"]


class QUniform(_Between):
    """round(uniform(min_value, max_value) / q) * q."""

    type: Literal["quniform"]
    q: Positive


class QLogUniform(_Between):
    """round(exp(uniform(min_value, max_value)) / q) * q."""

    type: Literal["qloguniform"]
    q: Positive


class _Around(_Quantile):
    mu: Number
    sigma: Positive

    def _quantile(self, share: float) -> float:
        return NormalDist(self.mu, self.sigma).inv_cdf(min(max(share, _OPEN), 1 - _OPEN))

    def ends(self) -> tuple[float, float]:
        return self.at(RARE), self.at(1 - RARE)


class Normal(_Around):
    """Normal with mean `mu` and standard deviation `sigma`."""

    type: Literal["normal"]


class LogNormal(_Around):
    """exp(normal(mu, sigma))."""

    type: Literal["lognormal"]


class QNormal(_Around):
    """round(normal(mu, sigma) / q) * q."""

    type: Literal["qnormal"]
    q: Positive


class QLogNormal(_Around):
    """round(exp(normal(mu, sigma)) / q) * q."""

    type: Literal["qlognormal"]
    q: Positive


Quantile = (
    Randint
    | Uniform
    | LogUniform
    | QUniform
    | QLogUniform
    | Normal
    | LogNormal
    | QNormal
    | QLogNormal
)
Distribution = Annotated[Choice | Quantile, Field(discriminator="type")]


def drawn(distribution: Choice | Quantile, point: float, *, whole: bool) -> Value:
    """Make a value from a point of the search space.

    Args:
        distribution: of one hyperparameter.
        point: the position among the values of a choice, else a share from 0 to 1.
        whole: whether the input is an integer.
    """
    if isinstance(distribution, Choice):
        return distribution.values[int(point)]
    value = distribution.at(point)
    return int(value) if whole else float(value)


def _stepped(value: float, q: float) -> float:
    # Twelve digits are more than a step has, and leave no 0.30000000000000004.
    return float(f"{round(value / q) * q:.12g}")
