"""Model of an Azure ML monitor's file, a schedule in the YAML of the CLI v2.

Checks what azure-ai-ml lets through: misspelt fields, thresholds that it drops, windows without rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Context = Literal["model_inputs", "model_outputs", "training", "test", "validation", "ground_truth"]
FeatureKind = Literal["numerical", "categorical"]
# azureml:ENDPOINT:DEPLOYMENT
TARGET = re.compile(r"azureml:([A-Za-z0-9][A-Za-z0-9-]*):([A-Za-z0-9][A-Za-z0-9_-]*)")

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")
_ASSET = re.compile(r"azureml:([A-Za-z0-9][\w.-]*)(?::\d+|@[A-Za-z]\w*)")


def duration(text: Any) -> timedelta:
    """Read a duration such as P7D, P2W or PT12H (ISO 8601 without years and months).

    Raises:
        ValueError: the text is no such duration.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if not match or text in ("P", "PT") or text.endswith("T"):
        raise ValueError(f"expected a duration such as P7D or PT12H, found {text!r}")
    weeks, days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)


def _some_time(length: timedelta) -> timedelta:
    if not length:
        raise ValueError("a window of length 0 holds no rows")
    return length


def _midnight(text: Any) -> datetime:
    """Read a date such as 2026-05-01, at its beginning in UTC."""
    try:
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"expected a date such as 2026-05-01, found {text!r}") from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _not_dropped(value: float) -> float:
    if value == 0:
        raise ValueError("azure-ai-ml drops a threshold of 0: write a small number instead")
    return value


Duration = Annotated[timedelta, BeforeValidator(duration)]
Size = Annotated[Duration, AfterValidator(_some_time)]
Day = Annotated[datetime, BeforeValidator(_midnight)]
Share = Annotated[float, Field(ge=0, le=1)]
UsedShare = Annotated[Share, AfterValidator(_not_dropped)]
Amount = Annotated[float, Field(ge=0), AfterValidator(_not_dropped)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class _ByKind(_Part):
    """Thresholds of metrics, by kind of feature or of problem."""

    def thresholds(self) -> dict[str, dict[str, float]]:
        """Metric to threshold, by kind; what the file leaves out is missing."""
        return {
            kind: {metric: float(value) for metric, value in metrics.items()}
            for kind, metrics in self.model_dump(exclude_none=True).items()
        }


class DataWindow(_Part):
    """A rolling window that ends `lookback_window_offset` before the run, or a fixed one."""

    lookback_window_size: Size | None = None
    lookback_window_offset: Duration | None = None
    window_start: Day | None = None
    window_end: Day | None = None

    @model_validator(mode="after")
    def _one_form(self) -> DataWindow:
        fixed = (self.window_start, self.window_end)
        if any(fixed) and (not all(fixed) or self.lookback_window_size):
            raise ValueError("give either lookback_window_size or both window_start and window_end")
        return self


class InputData(_Part):
    """Location of data: a data asset `azureml:NAME:VERSION` or `azureml:NAME@latest`, or a path."""

    path: str
    type: Literal["uri_file", "uri_folder", "mltable"]
    mode: str | None = None

    @property
    def asset(self) -> str | None:
        """Name of the data asset; None for a path."""
        match = _ASSET.fullmatch(self.path)
        return match.group(1) if match else None


class MonitorData(_Part):
    """Production or reference data of a signal."""

    input_data: InputData
    data_context: Context | None = None
    pre_processing_component: str | None = None
    data_window: DataWindow | None = None
    data_column_names: Mapping[str, str] = {}


class NumericalDrift(_Part):
    """Thresholds of numerical features."""

    jensen_shannon_distance: UsedShare | None = None
    normalized_wasserstein_distance: Amount | None = None
    population_stability_index: Amount | None = None
    two_sample_kolmogorov_smirnov_test: UsedShare | None = None


class CategoricalDrift(_Part):
    """Thresholds of categorical features."""

    jensen_shannon_distance: UsedShare | None = None
    population_stability_index: Amount | None = None
    pearsons_chi_squared_test: UsedShare | None = None


class DriftThresholds(_ByKind):
    """One metric per kind of feature: azure-ai-ml sends only the first of each."""

    numerical: NumericalDrift | None = None
    categorical: CategoricalDrift | None = None

    @model_validator(mode="after")
    def _one_metric_each(self) -> DriftThresholds:
        for kind, given in (("numerical", self.numerical), ("categorical", self.categorical)):
            names = list(given.model_dump(exclude_none=True)) if given else []
            if given is not None and len(names) != 1:
                raise ValueError(
                    f"{kind}: expected one metric, found {', '.join(names) or 'none'}. Azure ML gets "
                    "only the first: put each further one into a signal of its own"
                )
        if self.numerical is None and self.categorical is None:
            raise ValueError("expected a metric for numerical or categorical features, found none")
        return self


class Rates(_Part):
    """Thresholds of data quality: the largest excess of a rate over that of the reference."""

    null_value_rate: Share | None = None
    data_type_error_rate: Share | None = None
    out_of_bounds_rate: Share | None = None


class QualityThresholds(_ByKind):
    """Thresholds of data quality by kind of feature."""

    numerical: Rates | None = None
    categorical: Rates | None = None


class AttributionThresholds(_Part):
    """Smallest agreement of two rankings of the features."""

    normalized_discounted_cumulative_gain: UsedShare


class Classification(_Part):
    """Smallest values of a classifier's metrics."""

    accuracy: UsedShare | None = None
    precision: UsedShare | None = None
    recall: UsedShare | None = None


class Regression(_Part):
    """Largest errors of a regression, in the target's unit."""

    mae: Amount | None = None
    mse: Amount | None = None
    rmse: Amount | None = None


class PerformanceThresholds(_ByKind):
    """Thresholds of a model's metrics by kind of problem."""

    classification: Classification | None = None
    regression: Regression | None = None


class TopFeatures(_Part):
    """Choice of the features with the highest importance."""

    top_n_feature_importance: Annotated[int, Field(ge=1)]


class _Signal(_Part):
    alert_enabled: bool = False
    properties: Mapping[str, str] = {}


class _FeatureSignal(_Signal):
    production_data: MonitorData | None = None
    reference_data: MonitorData | None = None
    features: Literal["all_features"] | TopFeatures | list[str] | None = None
    feature_type_override: Mapping[str, FeatureKind] = {}


class DataDrift(_FeatureSignal):
    """Drift of the inputs from the reference."""

    type: Literal["data_drift"]
    metric_thresholds: DriftThresholds


class DataQuality(_FeatureSignal):
    """Missing, mistyped and out-of-bounds values of the inputs."""

    type: Literal["data_quality"]
    metric_thresholds: QualityThresholds


class PredictionDrift(_Signal):
    """Drift of the predictions from the reference."""

    type: Literal["prediction_drift"]
    production_data: MonitorData | None = None
    reference_data: MonitorData | None = None
    metric_thresholds: DriftThresholds


class AttributionDrift(_Part):
    """Change in the ranking of the features by attribution."""

    type: Literal["feature_attribution_drift"]
    alert_enabled: bool = False
    production_data: list[MonitorData] | None = None
    reference_data: MonitorData
    metric_thresholds: AttributionThresholds


class ModelPerformance(_Signal):
    """Metrics of predictions against the ground truth."""

    type: Literal["model_performance"]
    production_data: MonitorData
    reference_data: MonitorData
    metric_thresholds: PerformanceThresholds


Signal = Annotated[
    DataDrift | DataQuality | PredictionDrift | AttributionDrift | ModelPerformance,
    Field(discriminator="type"),
]


class Compute(_Part):
    """Serverless Spark compute of the monitor's runs."""

    instance_type: Annotated[str, Field(pattern=r"(?i)^standard_e(4|8|16|32|64)s_v3$")]
    runtime_version: Literal["3.4", "3.5"]


class MonitoringTarget(_Part):
    """Deployment and task that are monitored."""

    ml_task: Literal["classification", "regression"]
    endpoint_deployment_id: Annotated[str, Field(pattern=f"^{TARGET.pattern}$")]


class Emails(_Part):
    """Recipients of alerts."""

    emails: Annotated[list[Annotated[str, Field(pattern=r"^\S+@\S+\.\S+$")]], Field(min_length=1)]


class Definition(_Part):
    """Monitor: compute, target, signals and alerts."""

    compute: Compute
    monitoring_target: MonitoringTarget
    monitoring_signals: Annotated[dict[str, Signal], Field(min_length=1)]
    alert_notification: Emails | Literal["azmonitoring"] | None = None


class Pattern(_Part):
    """Times within the period of a recurrence."""

    hours: int | list[int]
    minutes: int | list[int]
    week_days: str | list[str] | None = None
    month_days: int | list[int] | None = None


class Recurrence(_Part):
    """Trigger that fires at an interval."""

    type: Literal["recurrence"]
    frequency: Literal["minute", "hour", "day", "week", "month"]
    interval: Annotated[int, Field(ge=1)]
    schedule: Pattern | None = None
    start_time: Any = None
    end_time: Any = None
    time_zone: str | None = None

    def period(self) -> timedelta:
        """Length of a production window by default, as MonitorSchedule of azure-ai-ml sets it."""
        days = {"minute": 1, "hour": 1, "day": self.interval}.get(self.frequency)
        return timedelta(days=days or {"week": 7, "month": 30}[self.frequency] * self.interval)


class Cron(_Part):
    """Trigger with a crontab expression."""

    type: Literal["cron"]
    expression: Annotated[str, Field(pattern=r"^\s*([\d*/,\-A-Za-z]+\s+){4}[\d*/,\-A-Za-z]+\s*$")]
    start_time: Any = None
    end_time: Any = None
    time_zone: str | None = None

    def period(self) -> timedelta:
        """Length of a production window by default."""
        return timedelta(days=7)


class MonitorSchedule(_Part):
    """Schedule that creates a monitor: the whole file."""

    schema_: str | None = Field(default=None, alias="$schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$")]
    display_name: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = {}
    properties: Mapping[str, str] = {}
    trigger: Annotated[Recurrence | Cron, Field(discriminator="type")]
    create_monitor: Definition
