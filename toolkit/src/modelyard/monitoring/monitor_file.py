"""Reading a monitor's file: signals, windows, and every problem with its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from modelyard.errors import UsageError
from modelyard.monitoring.schedule import (
    TARGET,
    ModelPerformance,
    MonitorData,
    MonitorSchedule,
    Signal,
)
from modelyard.yaml_files import Problem, did_you_mean, line_of, parse, read_yaml

# azure-ai-ml 1.35 has other names in its schema of a regression's thresholds than in its class, and
# refuses them all; until it takes them, the signal stands in the schedule's properties, which it
# sends as they are.
LOCAL_PERFORMANCE = "model_performance"


@dataclass(frozen=True)
class Monitor:
    """Content of a monitor's file.

    Attributes:
        signals: by name; with the one of the properties, if there is one.
        lines: the line of each signal.
        content: the whole file, with the lines of its keys.
    """

    file: Path
    name: str
    endpoint: str
    deployment: str
    task: str
    period: timedelta
    signals: Mapping[str, Signal]
    lines: Mapping[str, int]
    content: Any

    def line(self, *keys: str) -> int:
        """Return the line of a key, or of the nearest mapping above it."""
        return line_of(self.content, keys)

    def window(self, data: MonitorData | None, at: datetime) -> tuple[datetime, datetime]:
        """Return begin and end of the production window of a run at a time."""
        given = data.data_window if data else None
        size = given.lookback_window_size if given else None
        offset = given.lookback_window_offset if given else None
        end = at - (offset or timedelta())
        return end - (size or self.period), end

    def reference_window(
        self, data: MonitorData | None, production: MonitorData | None, at: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """Return begin and end of the reference window; None where it is not limited.

        Without reference data it has azure-ai-ml's default: twice the period, up to the begin of the
        production window.
        """
        given = data.data_window if data else None
        if data is not None and given is None:
            return None, None
        if given is not None and given.window_start and given.window_end:
            return given.window_start, given.window_end
        size = given.lookback_window_size if given else None
        if given is not None and size is None:
            return None, None
        offset = given.lookback_window_offset if given else None
        end = at - offset if offset is not None else self.window(production, at)[0]
        return end - (size or 2 * self.period), end


def load_monitor(path: Path) -> Monitor:
    """Read and check a monitor's file.

    Raises:
        UsageError: with every problem, each with file and line.
    """
    content = read_yaml(path, "name the monitor's file, or restore it from git")
    if not isinstance(content, dict):
        found = type(content).__name__
        raise refusal([Problem(path, 1, f"expected a schedule (a mapping), found {found}")])
    try:
        schedule = MonitorSchedule.model_validate(content)
    except ValidationError as error:
        raise refusal(_problems(path, content, error, MonitorSchedule)) from None
    definition = schedule.create_monitor
    signals: dict[str, Signal] = dict(definition.monitoring_signals)
    where = ("create_monitor", "monitoring_signals")
    lines = {name: line_of(content, (*where, name)) for name in signals}
    if LOCAL_PERFORMANCE in schedule.properties:
        line = line_of(content, ("properties", LOCAL_PERFORMANCE))
        text = schedule.properties[LOCAL_PERFORMANCE]
        signals[LOCAL_PERFORMANCE] = _local_performance(path, line, text)
        lines[LOCAL_PERFORMANCE] = line
    match = TARGET.fullmatch(definition.monitoring_target.endpoint_deployment_id)
    assert match is not None  # noqa: S101 (the field has this pattern)
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


def refusal(problems: Iterable[Problem], hint: str = "") -> UsageError:
    """Make one error of all problems of a file."""
    lines = [f"  {problem}" for problem in problems]
    count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
    return UsageError("\n".join([f"{count}, nothing was monitored:", *lines, *filter(None, [hint])]))


def _local_performance(path: Path, line: int, text: str) -> ModelPerformance:
    """Read the signal that is written into a property."""
    place = f"properties.{LOCAL_PERFORMANCE}"
    try:
        content = parse(text)
        if not isinstance(content, dict):
            raise ValueError(": expected {metric_thresholds: {regression: …}, …}")
        return ModelPerformance.model_validate({"type": "model_performance", **content})
    except ValidationError as error:
        raise refusal(
            Problem(path, line, f"{place}.{problem.message}")
            for problem in _problems(path, content, error, ModelPerformance)
        ) from None
    except ValueError as error:
        raise refusal([Problem(path, line, f"{place}{error}")]) from None


def _problems(
    path: Path, content: Any, error: ValidationError, root: type[BaseModel]
) -> list[Problem]:
    found = []
    for problem in error.errors():
        where = _in_file(content, problem["loc"])
        found.append(Problem(path, line_of(content, where), _message(where, problem, root)))
    # Every branch of a union complains, often in the same words.
    return list({(p.line, p.message): p for p in found}.values())


def _in_file(content: Any, loc: tuple[int | str, ...]) -> list[int | str]:
    """Leave out of a location what the file has no key for: pydantic's names of a union's branches."""
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


def _message(where: Sequence[int | str], problem: Any, root: type[BaseModel]) -> str:
    place = ".".join(map(str, where)) or "file"
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"{place}: no such field{did_you_mean(str(where[-1]), _fields(root, problem['loc']))}"
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
    """Return the names of the fields at a location."""
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
    """Return the models in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = [*getattr(annotation, "__args__", ())]
    return [model for part in inner for model in _models(part)]
