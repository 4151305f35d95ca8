"""Reading a monitor's file: signals, windows, and every problem with its line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modelyard.console import counted
from modelyard.errors import UsageError
from modelyard.monitoring.schedule import (
    TARGET,
    ModelPerformance,
    MonitorData,
    MonitorSchedule,
    Signal,
)
from modelyard.yaml_files import Problem, line_of, model_problems, parse, read_yaml

# azure-ai-ml 1.35 has other names in its schema of a regression's thresholds than in its class, and
# refuses them all; until it takes them, the signal stands in the schedule's properties, which it
# sends as they are.
LOCAL_PERFORMANCE = "model_performance"
_ONLY_AZURE = ("custom", "generation_safety_quality", "generation_token_statistics")


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
        raise refusal(model_problems(path, content, error, MonitorSchedule)) from None
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


def only_azure_monitors(path: Path) -> list[Problem]:
    """Note what Azure ML monitors and this toolkit does not: other signals, or none named."""
    content = read_yaml(path)
    definition = content.get("create_monitor") if isinstance(content, dict) else None
    if not isinstance(definition, dict):
        return []
    signals = definition.get("monitoring_signals")
    if signals is None:
        line = line_of(content, ("create_monitor",))
        said = "names no signals: Azure ML takes its own; `mlops monitor` has none to compute"
        return [Problem(path, line, said)]
    return [
        Problem(
            path,
            line_of(content, ("create_monitor", "monitoring_signals", name)),
            f"signal `{name}`: `mlops monitor` does not compute {signal['type']}; Azure ML does",
        )
        for name, signal in (signals.items() if isinstance(signals, dict) else ())
        if isinstance(signal, dict) and signal.get("type") in _ONLY_AZURE
    ]


class MonitorError(UsageError):
    """All problems of a monitor's file."""

    problems: tuple[Problem, ...] = ()


def refusal(problems: Iterable[Problem], hint: str = "") -> MonitorError:
    """Make one error of all problems of a file."""
    found = tuple(problems)
    lines = [f"  {problem}" for problem in found]
    head = f"{counted(len(found), 'problem')}, nothing was monitored:"
    error = MonitorError("\n".join([head, *lines, *filter(None, [hint])]))
    error.problems = found
    return error


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
            for problem in model_problems(path, content, error, ModelPerformance)
        ) from None
    except ValueError as error:
        raise refusal([Problem(path, line, f"{place}{error}")]) from None
