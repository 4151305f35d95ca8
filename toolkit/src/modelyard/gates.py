"""conf/gates.yml: every threshold that a model and an endpoint have to keep to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from modelyard.errors import UsageError
from modelyard.yaml_files import read_model

Kind = Literal["binary", "multiclass", "regression"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Evaluation(_Strict):
    """How the numbers are made: interval level, bootstrap resamples, smallest judged segment."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=50)] = 500
    segment_rows: Annotated[int, Field(ge=1)] = 50
    seed: Annotated[int, Field(ge=0)] = 0


class PromotionGate(_Strict):
    """Thresholds of one problem kind, in the unit of `metric`."""

    metric: str
    floor: float
    over_baseline: float = 0.0
    below_champion: Annotated[float, Field(ge=0)] = 0.0


class Release(_Strict):
    """How a version goes live, and how much worse than the old one it may do on the way."""

    approval: Literal["automatic", "model-validator"] = "automatic"
    mirror: Annotated[int, Field(ge=0, le=50)] = 20
    traffic: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=1)] = (
        10,
        50,
        100,
    )
    requests: Annotated[int, Field(ge=1)] = 100
    seconds: Annotated[float, Field(ge=0)] = 5
    patience: Annotated[float, Field(gt=0)] = 600
    more_errors: Annotated[float, Field(ge=0, le=1)] = 0.01
    slower_times: Annotated[float, Field(ge=1)] = 1.5
    slower_ms: Annotated[float, Field(ge=0)] = 25

    def faster(self) -> Release:
        """For a look at how it goes: fewer requests per stage, no time to wait."""
        fewer = max(20, self.requests // 4)
        return self.model_copy(update={"requests": min(fewer, self.requests), "seconds": 0.0})

    @field_validator("traffic")
    @classmethod
    def _rises_to_all(cls, traffic: tuple[int, ...]) -> tuple[int, ...]:
        if traffic[-1] != 100 or list(traffic) != sorted(set(traffic)):
            raise ValueError("percentages rise, and the last is 100")
        return traffic


class Disparity(_Strict):
    """How far groups may lie apart; a limit that is left out is not asked."""

    difference: Annotated[float | None, Field(ge=0)] = None
    ratio: Annotated[float | None, Field(ge=0, le=1)] = None


class GroupLimits(_Strict):
    """Limits by kind of problem and metric of a group."""

    binary: Mapping[
        Literal[
            "selection_rate",
            "true_positive_rate",
            "false_positive_rate",
            "equalized_odds",
            "accuracy",
        ],
        Disparity,
    ] = {}
    multiclass: Mapping[Literal["accuracy"], Disparity] = {}
    regression: Mapping[Literal["mae", "mean_error"], Disparity] = {}

    def of(self, kind: str) -> Mapping[str, Disparity]:
        """Limits of a kind of problem, by metric."""
        limits: Mapping[str, Disparity] = getattr(self, kind)
        return limits


class ColumnLimits(GroupLimits):
    """Limits of one column, instead of those for all; `why` is printed in the model card."""

    why: Annotated[str, Field(min_length=1)]


class FairnessGate(GroupLimits):
    """Limits between the groups of sensitive columns."""

    group_rows: Annotated[int, Field(ge=1)] = 100
    over_champion: Annotated[float | None, Field(ge=0)] = None
    columns: Mapping[str, ColumnLimits] = {}

    def limits(self, column: str, kind: str) -> Mapping[str, Disparity]:
        """Limits of a column: its own where it has some for the kind, else those for all."""
        own = self.columns.get(column)
        return (own.of(kind) if own else None) or self.of(kind)


class Budget(_Strict):
    """What one figure may come to, and how many times the champion's."""

    most: Annotated[float, Field(gt=0)]
    growth: Annotated[float | None, Field(ge=1)] = None
    negligible: Annotated[float, Field(ge=0)] = 0.0


class FootprintGate(_Strict):
    """Budgets of what a model costs to serve; one that is left out is not asked."""

    model_megabytes: Budget | None = None
    load_seconds: Budget | None = None
    memory_megabytes: Budget | None = None
    latency_milliseconds: Budget | None = None


class ServingGate(_Strict):
    """What an endpoint has to keep to."""

    p95_milliseconds: Annotated[float, Field(gt=0)] = 100.0
    memory_megabytes: Annotated[float, Field(gt=0)] = 700.0
    error_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Gates(_Strict):
    """conf/gates.yml: every threshold a model has to pass; a section left out asks for nothing."""

    evaluation: Evaluation = Evaluation()
    serving: ServingGate = ServingGate()
    promotion: Mapping[Kind, PromotionGate]
    release: Release = Release()
    fairness: FairnessGate | None = None
    footprint: FootprintGate | None = None

    def promotion_of(self, kind: Kind) -> PromotionGate:
        """The thresholds of a kind of problem.

        Raises:
            UsageError: there are none.
        """
        if kind not in self.promotion:
            raise UsageError(
                f"conf/gates.yml names no metric for {kind}: expected promotion.{kind}.metric."
            )
        return self.promotion[kind]


def load_gates(path: Path) -> Gates:
    """Read a gates file.

    Raises:
        UsageError: the file is missing, is not YAML, or a field is unknown or out of range.
    """
    return read_model(path, Gates)
