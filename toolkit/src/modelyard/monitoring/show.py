"""Printing a monitor's result."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from modelyard.files import relative
from modelyard.monitoring.judge import BREACH, FINE, NOT_JUDGED
from modelyard.monitoring.run import MonitorResult
from modelyard.reports.wording import number

SUMMARY = {
    FINE: ("nothing moved beyond its threshold", "bold green"),
    BREACH: ("breach of {}", "bold red"),
    NOT_JUDGED: ("no breach, but not everything could be judged: {}", "bold yellow"),
}


def show(result: MonitorResult, console: Console) -> None:
    """Print a result for a person: breaches as a table, notes, verdict, and where the report is."""
    if result.breaches:
        table = Table(
            "signal", "feature", "metric", "found", "threshold", "noise or interval", "since"
        )
        for breach in result.breaches:
            table.add_row(
                *map(Text, (breach.signal, breach.feature, breach.metric)),
                Text(number(breach.value), "bold red"),
                number(breach.threshold),
                " to ".join(map(number, breach.interval))
                if breach.interval
                else number(breach.noise),
                f"{breach.since:%Y-%m-%d}",
            )
        console.print(table)
    for note in result.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    words, style = SUMMARY[result.verdict]
    named = result.signals if result.verdict == BREACH else result.unjudged
    words = words.format(", ".join(named) or "no signal has alert_enabled")
    console.print(Text(words, style))
    console.print(f"report: {relative(result.report)}", soft_wrap=True, highlight=False)


def as_json(result: MonitorResult) -> str:
    """Return a result as JSON in one line."""
    return json.dumps(
        {
            "verdict": result.verdict,
            "breaches": [{**asdict(b), "since": b.since.isoformat()} for b in result.breaches],
            "notes": result.notes,
            "evidence": str(result.evidence),
            "report": str(result.report),
        }
    )
