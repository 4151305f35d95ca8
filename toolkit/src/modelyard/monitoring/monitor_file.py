"""Reads an Azure ML model monitor (schedule YAML, CLI v2) and checks what azure-ai-ml lets through."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from modelyard.errors import UsageError
from modelyard.yaml_files import Loader, LocatedMapping, Problem, did_you_mean

Context = Literal["model_inputs", "model_outputs", "training", "test", "validation", "ground_truth"]
FeatureKind = Literal["numerical", "categorical"]
# azure-ai-ml 1.35 has other names in its schema of these thresholds than in its class, and refuses
# them all; until it takes them they stand in the schedule's properties, which it sends as they are.
LOCAL_PERFORMANCE = "model_performance"

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")
_TARGET = re.compile(r"azureml:([A-Za-z0-9][A-Za-z0-9-]*):([A-Za-z0-9][A-Za-z0-9_-]*)")
_ASSET = re.compile(r"azureml:([A-Za-z0-9][\w.-]*)(?::\d+|@[A-Za-z]\w*)")


class MonitorError(UsageError):
    """Everything wrong with a monitor, all at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        count = len(self.problems)
        listing = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(
            f"{count} problem{'s' if count > 1 else ''}, nothing was monitored:\n{listing}"
        )


def duration(text: str) -> timedelta:
    """A length of time such as P7D, P2W or PT12H (ISO 8601 without years and months).

    Raises:
        ValueError: it is written in another way, or is no time at all.
    """
    match = _DURATION.fullmatch(text)
    if not match or text in ("P", "PT") or text.endswith("T"):
        raise ValueError(f"expected a duration such as P7D or PT12H, found {text!r}")
    weeks, days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)


def _checked_duration(text: str) -> str:
    duration(text)
    return text


def _checked_size(text: str) -> str:
    if not duration(text):
        raise ValueError("a window of no time holds no rows")
    return text


def _not_dropped(value: float) -> float:
    if value == 0:
        raise ValueError("azure-ai-ml drops a threshold of 0: write a small number instead")
    return value


def _day(value: Any) -> Any:
    """A date as text: YAML reads one without quotes as a date."""
    return value.isoformat() if hasattr(value, "isoformat") else value


Duration = Annotated[str, AfterValidator(_checked_duration)]
Size = Annotated[str, AfterValidator(_checked_size)]
Day = Annotated[str, BeforeValidator(_day), Field(pattern=r"^\d{4}-\d\d-\d\d")]
Share = Annotated[float, Field(ge=0, le=1)]
UsedShare = Annotated[Share, AfterValidator(_not_dropped)]
Amount = Annotated[float, Field(ge=0), AfterValidator(_not_dropped)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


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
    """Where data lies: a data asset `azureml:NAME:VERSION` or `azureml:NAME@latest`, or a path."""

    path: str
    type: Literal["uri_file", "uri_folder", "mltable"]
    mode: str | None = None

    @property
    def asset(self) -> str | None:
        """The name of the data asset, if it is one."""
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


class DriftThresholds(_Part):
    """One metric for each kind of feature: azure-ai-ml sends only the first of each."""

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

    def thresholds(self) -> dict[str, dict[str, float]]:
        """Metric to threshold, by kind of feature."""
        return _by_kind(self)


class Rates(_Part):
    """Thresholds of data quality: how far a rate may be above the reference's."""

    null_value_rate: Share | None = None
    data_type_error_rate: Share | None = None
    out_of_bounds_rate: Share | None = None


class QualityThresholds(_Part):
    """Thresholds of data quality by kind of feature."""

    numerical: Rates | None = None
    categorical: Rates | None = None

    def thresholds(self) -> dict[str, dict[str, float]]:
        """Metric to threshold, by kind of feature."""
        return _by_kind(self)


class AttributionThresholds(_Part):
    """The smallest agreement of the two rankings."""

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


class PerformanceThresholds(_Part):
    """Thresholds for the kind of problem there is."""

    classification: Classification | None = None
    regression: Regression | None = None

    def thresholds(self) -> dict[str, dict[str, float]]:
        """Metric to threshold, by kind of problem."""
        return _by_kind(self)


class TopFeatures(_Part):
    """The features that matter most to the model."""

    top_n_feature_importance: Annotated[int, Field(ge=1)]


class DataSegment(_Part):
    """Azure ML's restriction to some values of a feature."""

    feature_name: str
    feature_values: Sequence[str]


class _Signal(_Part):
    alert_enabled: bool = False
    properties: Mapping[str, str] = {}


class _FeatureSignal(_Signal):
    production_data: MonitorData | None = None
    reference_data: MonitorData | None = None
    features: Literal["all_features"] | TopFeatures | list[str] | None = None
    feature_type_override: Mapping[str, FeatureKind] = {}


class DataDrift(_FeatureSignal):
    """Whether inputs are distributed as in the reference."""

    type: Literal["data_drift"]
    metric_thresholds: DriftThresholds


class DataQuality(_FeatureSignal):
    """Whether inputs miss values, or hold others than the reference."""

    type: Literal["data_quality"]
    metric_thresholds: QualityThresholds


class PredictionDrift(_Signal):
    """Whether predictions are distributed as in the reference."""

    type: Literal["prediction_drift"]
    production_data: MonitorData | None = None
    reference_data: MonitorData | None = None
    metric_thresholds: DriftThresholds


class AttributionDrift(_Part):
    """Whether the same features matter as in the reference."""

    type: Literal["feature_attribution_drift"]
    alert_enabled: bool = False
    production_data: list[MonitorData] | None = None
    reference_data: MonitorData
    metric_thresholds: AttributionThresholds


class ModelPerformance(_Signal):
    """Whether predictions turned out right."""

    type: Literal["model_performance"]
    production_data: MonitorData
    reference_data: MonitorData
    metric_thresholds: PerformanceThresholds


Signal = Annotated[
    DataDrift | DataQuality | PredictionDrift | AttributionDrift | ModelPerformance,
    Field(discriminator="type"),
]


class Compute(_Part):
    """The serverless Spark pool of the monitor's runs."""

    instance_type: Annotated[str, Field(pattern=r"(?i)^standard_e(4|8|16|32|64)s_v3$")]
    runtime_version: Literal["3.4", "3.5"]


class MonitoringTarget(_Part):
    """What is monitored."""

    ml_task: Literal["classification", "regression"]
    endpoint_deployment_id: Annotated[str, Field(pattern=f"^{_TARGET.pattern}$")]


class Emails(_Part):
    """Who is told of a breach."""

    emails: Annotated[list[Annotated[str, Field(pattern=r"^\S+@\S+\.\S+$")]], Field(min_length=1)]


class Definition(_Part):
    """The monitor itself."""

    compute: Compute
    monitoring_target: MonitoringTarget
    monitoring_signals: Annotated[dict[str, Signal], Field(min_length=1)]
    alert_notification: Emails | Literal["azmonitoring"] | None = None


class Pattern(_Part):
    """When within its period a recurrence fires."""

    hours: int | list[int]
    minutes: int | list[int]
    week_days: str | list[str] | None = None
    month_days: int | list[int] | None = None


class Recurrence(_Part):
    """Fires once every so often."""

    type: Literal["recurrence"]
    frequency: Literal["minute", "hour", "day", "week", "month"]
    interval: Annotated[int, Field(ge=1)]
    schedule: Pattern | None = None
    start_time: Any = None
    end_time: Any = None
    time_zone: str | None = None

    def period(self) -> timedelta:
        """Azure ML's default for a production window (MonitorSchedule in azure-ai-ml)."""
        days = {"minute": 1, "hour": 1, "day": self.interval}.get(self.frequency)
        return timedelta(days=days or {"week": 7, "month": 30}[self.frequency] * self.interval)


class Cron(_Part):
    """Fires as a crontab line says."""

    type: Literal["cron"]
    expression: Annotated[str, Field(pattern=r"^\s*([\d*/,\-A-Za-z]+\s+){4}[\d*/,\-A-Za-z]+\s*$")]
    start_time: Any = None
    end_time: Any = None
    time_zone: str | None = None

    def period(self) -> timedelta:
        """Azure ML's default for a production window."""
        return timedelta(days=7)


class MonitorSchedule(BaseModel):
    """A schedule that creates a monitor."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, strict=True, populate_by_name=True
    )

    schema_: str | None = Field(default=None, alias="$schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$")]
    display_name: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = {}
    properties: Mapping[str, str] = {}
    trigger: Annotated[Recurrence | Cron, Field(discriminator="type")]
    create_monitor: Definition


@dataclass(frozen=True)
class Monitor:
    """A checked monitor file.

    Attributes:
        signals: those of the file, and a local one of its properties.
        lines: on which line each signal stands.
    """

    file: Path
    name: str
    endpoint: str
    deployment: str
    task: str
    period: timedelta
    signals: Mapping[str, Signal]
    lines: Mapping[str, int]
    content: LocatedMapping

    def line(self, *where: str) -> int:
        """The line of the deepest key of a path that the file has."""
        return _line_of(self.content, where)

    def window(self, data: MonitorData | None, at: datetime) -> tuple[datetime, datetime]:
        """From and to of a production window of a run at some time."""
        given = data.data_window if data else None
        size = given.lookback_window_size if given else None
        offset = given.lookback_window_offset if given else None
        end = at - (duration(offset) if offset else timedelta())
        return end - (duration(size) if size else self.period), end

    def reference_window(
        self, data: MonitorData | None, production: MonitorData | None, at: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """From and to of reference data; None where all of it counts.

        Without reference data, as azure-ai-ml: twice the period that ends where the production
        window starts.
        """
        given = data.data_window if data else None
        if data is not None and given is None:
            return None, None
        if given is not None and given.window_start and given.window_end:
            return _midnight(given.window_start), _midnight(given.window_end)
        size = given.lookback_window_size if given else None
        if given is not None and size is None:
            return None, None
        offset = given.lookback_window_offset if given else None
        end = at - duration(offset) if offset else self.window(production, at)[0]
        return end - (duration(size) if size else 2 * self.period), end


def load_monitor(path: Path) -> Monitor:
    """Read a monitor's schedule file and check it.

    Raises:
        MonitorError: with every problem found, each with file and line.
    """
    content = _document(path)
    try:
        schedule = MonitorSchedule.model_validate(_plain(content))
    except ValidationError as error:
        raise MonitorError(_problems(path, content, error, MonitorSchedule)) from None
    definition = schedule.create_monitor
    signals: dict[str, Signal] = dict(definition.monitoring_signals)
    where = ("create_monitor", "monitoring_signals")
    lines = {name: _line_of(content, (*where, name)) for name in signals}
    if LOCAL_PERFORMANCE in schedule.properties:
        line = _line_of(content, ("properties", LOCAL_PERFORMANCE))
        name = LOCAL_PERFORMANCE
        signals[name] = _local_performance(path, line, schedule.properties[name])
        lines[name] = line
    match = _TARGET.fullmatch(definition.monitoring_target.endpoint_deployment_id)
    assert match is not None  # noqa: S101 (the field's own pattern)
    return Monitor(
        file=path,
        name=schedule.name,
        endpoint=match.group(1),
        deployment=match.group(2),
        task=definition.monitoring_target.ml_task,
        period=schedule.trigger.period(),
        signals=signals,
        lines=lines,
        content=content,
    )


def _local_performance(path: Path, line: int, text: str) -> ModelPerformance:
    try:
        content = yaml.load(text, Loader=Loader)  # noqa: S506 (a safe loader)
        if not isinstance(content, dict):
            raise ValueError("expected a signal written as {metric_thresholds: {regression: …}, …}")
        return ModelPerformance.model_validate(_plain({"type": "model_performance", **content}))
    except ValidationError as error:
        raise MonitorError(
            Problem(path, line, f"properties.{LOCAL_PERFORMANCE}.{problem.message}")
            for problem in _problems(path, content, error, ModelPerformance)
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        problem = Problem(path, line, f"properties.{LOCAL_PERFORMANCE}: {error}")
        raise MonitorError([problem]) from None


def _document(path: Path) -> LocatedMapping:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)  # noqa: S506 (a safe loader)
    except FileNotFoundError:
        raise MonitorError([Problem(path, 1, "the file does not exist")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MonitorError([Problem(path, 1, f"not readable: {error}")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        line = mark.line + 1 if mark else 1
        raise MonitorError([Problem(path, line, f"not valid YAML: {reason}")]) from None
    if not isinstance(content, LocatedMapping):
        found = type(content).__name__
        raise MonitorError([Problem(path, 1, f"expected a schedule (a mapping), found {found}")])
    return content


def _plain(value: Any) -> Any:
    """Dictionaries of the loader's own kind as plain ones, and whole numbers as Azure ML takes them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _problems(
    path: Path, content: Any, error: ValidationError, root: type[BaseModel]
) -> list[Problem]:
    found = []
    for problem in error.errors():
        # Pydantic names the branch of a union; the file has no such key.
        where = tuple(str(step) for step in _in_file(content, problem["loc"]))
        found.append(Problem(path, _line_of(content, where), _message(where, problem, root)))
    # The branches of a union that were not meant complain as well; the deepest line tells most.
    return list({(p.line, p.message): p for p in found}.values())


def _in_file(content: Any, loc: tuple[int | str, ...]) -> list[int | str]:
    place, steps = content, []
    for index, step in enumerate(loc):
        is_last = index == len(loc) - 1
        if isinstance(place, dict) and (step in place or is_last):
            steps.append(step)
            place = place.get(step)
        elif isinstance(place, list) and isinstance(step, int) and step < len(place):
            steps.append(step)
            place = place[step]
    return steps


def _message(where: tuple[str, ...], problem: Any, root: type[BaseModel]) -> str:
    place = ".".join(where) or "file"
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"{place}: no such field{did_you_mean(where[-1], _fields(root, problem['loc']))}"
    if kind == "missing":
        return f"{place}: this field is missing"
    if kind == "union_tag_invalid":
        return f"{place}.type: expected one of {problem['ctx']['expected_tags']}, found {problem['ctx']['tag']!r}"
    if kind == "union_tag_not_found":
        return f"{place}.type: this field is missing"
    text = problem["msg"].removeprefix("Value error, ")
    found = problem["input"]
    shown = (
        f", found {found!r}" if not isinstance(found, (dict, list)) and "found" not in text else ""
    )
    return f"{place}: {text[0].lower()}{text[1:]}{shown}"


def _fields(root: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names that would be right beside one that is not."""
    place: Any = root
    for step in loc[:-1]:
        place = _next_model(place, str(step))
    return [
        field.alias or name
        for model in _models(place)
        for name, field in model.model_fields.items()
    ]


def _next_model(model: Any, step: str) -> Any:
    for candidate in _models(model):
        if step == candidate.__name__:
            return candidate
        tag = candidate.model_fields.get("type")
        if tag is not None and step in getattr(tag.annotation, "__args__", ()):
            return candidate
        if step in candidate.model_fields:
            return candidate.model_fields[step].annotation
    return model  # a key of a mapping, such as a signal's name, or a place in a list


def _models(annotation: Any) -> list[Any]:
    """All models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = [*getattr(annotation, "__args__", ())]
    return [model for part in inner for model in _models(part)]


def _line_of(content: Any, where: Iterable[int | str]) -> int:
    line = 1
    place = content
    for step in where:
        if isinstance(place, LocatedMapping) and step in place:
            line = place.line_of(step)
            place = place[step]
        elif isinstance(place, list) and str(step).isdigit() and int(step) < len(place):
            place = place[int(step)]
            line = getattr(place, "line", line)
        else:
            return getattr(place, "line", line) if isinstance(place, LocatedMapping) else line
    return line


def _by_kind(thresholds: BaseModel) -> dict[str, dict[str, float]]:
    found = thresholds.model_dump(exclude_none=True)
    return {
        kind: {name: float(v) for name, v in metrics.items()} for kind, metrics in found.items()
    }


def _midnight(day: str) -> datetime:
    when = datetime.fromisoformat(day)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
