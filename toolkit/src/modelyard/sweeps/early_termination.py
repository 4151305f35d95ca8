"""The early termination policies of Azure ML, which stop poor trials of a sweep.

Source: https://learn.microsoft.com/azure/machine-learning/how-to-tune-hyperparameters#early-termination
(sections Bandit policy, Median stopping policy, Truncation selection policy).

All policies compare losses: the metric where it is minimised, its negative where it is maximised.
The k-th report of the primary metric by a trial is its interval k.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from statistics import median
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Losses = Mapping[int, Sequence[float]]  # by trial, in the order of reports


class _Policy(BaseModel):
    """A policy, applied at each multiple of the interval from the delay on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    evaluation_interval: Annotated[int, Field(strict=True, ge=1)] = 1
    delay_evaluation: Annotated[int, Field(strict=True, ge=0)] = 0

    def stops(
        self,
        losses: Losses,
        trial: int,
        interval: int,
        finished: AbstractSet[int] = frozenset(),
    ) -> bool:
        """Whether the policy stops `trial` at its `interval`-th report.

        Args:
            losses: reports of all trials so far, ended ones too; at least `interval` of `trial`.
            trial: compared with the trials that have reached the same interval.
            interval: from 1.
            finished: trials that have completed; they are compared however few reports they have.
        """
        if interval % self.evaluation_interval or interval < self.delay_evaluation:
            return False
        reached = {
            number: seen[:interval]
            for number, seen in losses.items()
            if len(seen) >= interval or (number in finished and seen)
        }
        return self._stops(reached, trial)

    @abstractmethod
    def _stops(self, reached: Losses, trial: int) -> bool:
        """Apply the policy to the same number of reports of each trial."""


class Bandit(_Policy):
    """Stops a trial whose best value is worse than the best trial's by more than a slack.

    "Assume that the best performing job at interval 10 reported a primary metric is 0.8 with a goal
    to maximize the primary metric. If the policy specifies a slack_factor of 0.2, any training jobs
    whose best metric at interval 10 is less than 0.66 (0.8/(1+slack_factor)) will be terminated."
    With slack_amount the bound is the best value less that amount. Azure documents neither the
    minimised nor the negative metric; they follow by symmetry: best · (1 + slack_factor).
    """

    type: Literal["bandit"]
    slack_factor: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    slack_amount: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _has_one_slack(self) -> Bandit:
        if (self.slack_factor is None) == (self.slack_amount is None):
            raise ValueError("give one of slack_factor and slack_amount")
        return self

    def _stops(self, reached: Losses, trial: int) -> bool:
        best = min(min(seen) for seen in reached.values())
        if math.isinf(best):
            return False
        return min(reached[trial]) > self._bound(best)

    def _bound(self, best: float) -> float:
        if self.slack_amount is not None:
            return best + self.slack_amount
        ratio = 1 + (self.slack_factor or 0.0)
        return best * ratio if best >= 0 else best / ratio


class MedianStopping(_Policy):
    """Stops a trial whose best value is worse than the median of all trials' running averages.

    "A job is stopped at interval 5 if its best primary metric is worse than the median of the
    running averages over intervals 1:5 across all training jobs."
    """

    type: Literal["median_stopping"]

    def _stops(self, reached: Losses, trial: int) -> bool:
        averages = [math.fsum(seen) / len(seen) for seen in reached.values()]
        return min(reached[trial]) > median(averages)


class TruncationSelection(_Policy):
    """Stops the lowest share of trials at each evaluation.

    "A job terminates at interval 5 if its performance at interval 5 is in the lowest 20% of
    performance of all jobs at interval 5." Performance is the best value so far, as in the other
    policies; the number of trials in the share is rounded down, and of equals none is stopped.
    """

    type: Literal["truncation_selection"]
    truncation_percentage: Annotated[int, Field(strict=True, ge=1, le=99)]

    def _stops(self, reached: Losses, trial: int) -> bool:
        kept = len(reached) - len(reached) * self.truncation_percentage // 100
        own = min(reached[trial])
        better = sum(min(seen) < own for seen in reached.values())
        return better >= kept


Policy = Annotated[Bandit | MedianStopping | TruncationSelection, Field(discriminator="type")]
