"""Rules of Azure ML for what starts by itself: cron expressions, time zones, days and hours."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from modelyard.pipelines.azure_fields_check import Checker
from modelyard.pipelines.azure_schemas import time_zones
from modelyard.yaml_files import LocatedMapping, did_you_mean

_CRON = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
_CRON_NAMES = re.compile(
    "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
)


def triggers(content: Any, checker: Checker, where: str = "") -> None:
    """Check every trigger of a file: of a schedule, a monitor, a compute instance, or a feature set."""
    for one in content if isinstance(content, list) else ():
        triggers(one, checker, f"{where}[]")
    for key, value in content.items() if isinstance(content, LocatedMapping) else ():
        at = f"{where}.{key}" if where else str(key)
        is_schedule = key == "schedule" and isinstance(value, dict) and "type" in value
        if isinstance(value, LocatedMapping) and (key == "trigger" or is_schedule):
            _trigger(value, checker, at)
        else:
            triggers(value, checker, at)


def _trigger(trigger: LocatedMapping, checker: Checker, where: str) -> None:
    expression = trigger.get("expression")
    if expression is not None and (message := cron_mismatch(str(expression))):
        checker.wrong(trigger.line_of("expression"), f"{where}.expression", message)
    zone = trigger.get("time_zone")
    known = {one.lower() for one in time_zones()}
    if isinstance(zone, str) and zone.lower() not in known:
        near = did_you_mean(zone, time_zones())
        example = near or "; Azure ML has Windows' names, such as UTC or W. Europe Standard Time"
        checker.wrong(
            trigger.line_of("time_zone"), f"{where}.time_zone", f"{zone} is no time zone{example}"
        )
    for key in ("start_time", "end_time"):
        if re.match(r"\d{4}-", str(trigger.get(key))) and _time(trigger[key]) is None:
            message = f"there is no such day or time: {trigger[key]}"
            checker.wrong(trigger.line_of(key), f"{where}.{key}", message)
    start, end = (_time(trigger.get(key)) for key in ("start_time", "end_time"))
    if start and end and start >= end:
        checker.wrong(
            trigger.line_of("end_time"),
            f"{where}.end_time",
            f"it is before start_time, {trigger['start_time']}",
        )


def _time(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)).replace(tzinfo=None)
    except ValueError:
        return None


def cron_mismatch(expression: str) -> str | None:
    """Why a text is no cron expression of five fields; None where it is one."""
    parts = expression.lower().split()
    shape = "minutes hours days months weekdays, such as `15 3 * * 1`"
    if len(parts) != 5:
        return f"expected five fields ({shape}), found {expression!r}"
    for part, (low, high) in zip(parts, _CRON, strict=True):
        for one in part.split(","):
            found = re.fullmatch(r"(\*|\w+(?:-\w+)?)(?:/(\d+))?", one)
            ends = found[1].split("-") if found and found[1] != "*" else []
            numbers = [int(end) for end in ends if end.isdigit()]
            named = all(end.isdigit() or _CRON_NAMES.fullmatch(end) for end in ends)
            step = found[2] if found else None
            if (
                found is None
                or not named
                or step == "0"
                or any(not low <= n <= high for n in numbers)
            ):
                return f"expected {low} to {high} in this place ({shape}), found {one!r}"
            if len(numbers) == 2 and numbers[0] > numbers[1]:
                return f"expected a range that goes up, found {one!r}"
    if parts[2:4] != ["*", "*"]:
        return (
            f"Azure ML takes days and months as `*`, whatever stands there, found {' '.join(parts[2:4])}; "
            "a trigger of type recurrence has `month_days`"
        )
    return None
