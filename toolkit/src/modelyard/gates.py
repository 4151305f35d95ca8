"""A model of conf/gates.yml: thresholds of models and endpoints."""

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
    """Settings of intervals and segments, and how many rows a verdict needs.

    Attributes:
        confidence: of every interval.
        resamples: of the bootstrap.
        segment_rows: a segment with fewer is marked as small.
        seed: of the resamples.
        out_of_fold_below: with fewer held-out rows than this, or fewer than `class_rows` of a class,
            models are judged on predictions out of fold.
        rows: with fewer judged rows the verdict is open.
        class_rows: with fewer judged rows of the rarest class the verdict is open.
    """

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=50)] = 500
    segment_rows: Annotated[int, Field(ge=1)] = 50
    seed: Annotated[int, Field(ge=0)] = 0
    out_of_fold_below: Annotated[int, Field(ge=0)] = 1000
    rows: Annotated[int, Field(ge=1)] = 100
    class_rows: Annotated[int, Field(ge=1)] = 20


class PromotionGate(_Strict):
    """Thresholds of a kind of problem, in the unit of `metric`."""

    metric: str
    floor: float
    over_baseline: float = 0.0
    below_champion: Annotated[float, Field(ge=0)] = 0.0


class Threshold(_Strict):
    """Purpose of the probability from which the positive class is predicted, of two classes.

    Attributes:
        purpose: the highest f1 or accuracy, the lowest cost, or the fewest alarms at a recall.
        missed: cost of a positive row that is not found.
        alarm: cost of a negative row that is flagged.
        recall: share of the positive rows to find, at least.
    """

    purpose: Literal["f1", "accuracy", "cost", "recall"] = "f1"
    missed: Annotated[float, Field(gt=0)] = 1.0
    alarm: Annotated[float, Field(gt=0)] = 1.0
    recall: Annotated[float, Field(gt=0, le=1)] = 0.8

    @property
    def words(self) -> str:
        """The purpose in words."""
        return {
            "f1": "highest f1",
            "accuracy": "highest accuracy",
            "cost": f"lowest cost, {self.missed:g} for a missed row and {self.alarm:g} for a false alarm",
            "recall": f"fewest alarms at a recall of {self.recall:g}",
        }[self.purpose]


class Release(_Strict):
    """Stages of a release, and limits of the difference from the old version.

    Attributes:
        quiet: what follows when `patience` has ended with fewer than `requests`: the version that has
            passed its tests, and has made no errors since, is released; or it is rolled back.
        keep_old_hours: how long the old deployment stays on Azure, without traffic.
    """

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
    quiet: Literal["release", "roll back"] = "release"
    keep_old_hours: Annotated[float, Field(ge=0)] = 0
    more_errors: Annotated[float, Field(ge=0, le=1)] = 0.01
    slower_times: Annotated[float, Field(ge=1)] = 1.5
    slower_ms: Annotated[float, Field(ge=0)] = 25

    def faster(self) -> Release:
        """Return a release with fewer requests per stage and no waiting, for a trial."""
        fewer = max(20, self.requests // 4)
        return self.model_copy(update={"requests": min(fewer, self.requests), "seconds": 0.0})

    @field_validator("traffic")
    @classmethod
    def _rises_to_all(cls, traffic: tuple[int, ...]) -> tuple[int, ...]:
        if traffic[-1] != 100 or list(traffic) != sorted(set(traffic)):
            raise ValueError("percentages rise, and the last is 100")
        return traffic


class Disparity(_Strict):
    """Limits of the disparity between groups; one that is left out is not checked.

    A ratio of figures that lie no further apart than `negligible` does not matter.
    """

    difference: Annotated[float | None, Field(ge=0)] = None
    ratio: Annotated[float | None, Field(ge=0, le=1)] = None
    negligible: Annotated[float, Field(ge=0)] = 0.0


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
        """Return the limits of a kind of problem, by metric."""
        limits: Mapping[str, Disparity] = getattr(self, kind)
        return limits


class ColumnLimits(GroupLimits):
    """Limits of a column, instead of those for all; `why` is printed in the model card."""

    why: Annotated[str, Field(min_length=1)]


class FairnessGate(GroupLimits):
    """Limits between the groups of sensitive columns.

    A group with fewer rows than `group_rows` is not judged; the gate is open where such groups together
    have a larger share of the rows than `small_groups`.
    """

    group_rows: Annotated[int, Field(ge=1)] = 30
    small_groups: Annotated[float, Field(ge=0, le=1)] = 0.05
    over_champion: Annotated[float | None, Field(ge=0)] = None
    columns: Mapping[str, ColumnLimits] = {}

    def limits(self, column: str, kind: str) -> Mapping[str, Disparity]:
        """Return the limits of a column: its own where it has some for the kind, else those for all."""
        own = self.columns.get(column)
        return (own.of(kind) if own else None) or self.of(kind)


class Budget(_Strict):
    """Limits of a figure, absolute and as a multiple of the champion's."""

    most: Annotated[float, Field(gt=0)]
    growth: Annotated[float | None, Field(ge=1)] = None
    negligible: Annotated[float, Field(ge=0)] = 0.0


class FootprintGate(_Strict):
    """Budgets of the cost of serving; one that is left out is not checked."""

    model_megabytes: Budget | None = None
    load_seconds: Budget | None = None
    memory_megabytes: Budget | None = None
    latency_milliseconds: Budget | None = None


class ServingGate(_Strict):
    """Limits of an endpoint."""

    p95_milliseconds: Annotated[float, Field(gt=0)] = 100.0
    memory_megabytes: Annotated[float, Field(gt=0)] = 700.0
    error_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class AnonymityGate(_Strict):
    """The least k-anonymity of a table, and its quasi-identifiers; none: the contract's sensitive columns."""

    least: Annotated[int, Field(ge=2)]
    columns: tuple[str, ...] = ()


class Gates(_Strict):
    """conf/gates.yml; a section that is left out is not checked.

    `open_gates` says what follows from a gate that could not be judged: promotion is refused, or
    somebody is asked to accept it. None: refused where the contract names a sensitive column.
    """

    open_gates: Literal["refuse", "ask"] | None = None
    evaluation: Evaluation = Evaluation()
    serving: ServingGate = ServingGate()
    threshold: Threshold = Threshold()
    promotion: Mapping[Kind, PromotionGate]
    release: Release = Release()
    fairness: FairnessGate | None = None
    footprint: FootprintGate | None = None
    anonymity: AnonymityGate | None = None

    def promotion_of(self, kind: Kind) -> PromotionGate:
        """Return the thresholds of a kind of problem.

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
