"""Display of a running release: a live table on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from modelyard.releases import rollout
from modelyard.releases.endpoint import Metrics
from modelyard.releases.rollout import Observation, State, Visit


class ReleaseProgress:
    """Display for the argument `progress` of `run_release`; a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self._known: int | None = None

    def __enter__(self) -> ReleaseProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, message: str) -> None:
        """Print a message."""
        self._console.print(message, highlight=False, soft_wrap=True)

    def __call__(self, state: State, seen: Observation) -> None:
        """Display a state and the measurements in it."""
        if self._live:
            self._live.start()
            self._live.update(stage_table(state, seen), refresh=state.ended)
            return
        if self._known is None:
            self._known = len(state.history)
        for visit in state.history[self._known :]:
            seconds = visit.left - visit.entered
            measured = f"; {_measured(visit.new)}" if visit.new else ""
            mark = "✗" if _failed(visit, state) else "✓"
            self.say(f"{mark} {visit.stage}: {seconds:.1f} s{measured}")
        self._known = len(state.history)
        if state.ended:
            self.say(state.stage)


def stage_table(state: State, seen: Observation) -> Table:
    """Make a table of the completed stages, the present one, and those to come."""
    before = f"old v{state.old_version}" if state.old_version else "no version before"
    table = Table("", "stage", "time", f"new v{state.version}", before, box=None, pad_edge=False)
    for visit in state.history:
        failed = _failed(visit, state)
        table.add_row(
            Text("✗", "red") if failed else Text("✓", "green"),
            visit.stage,
            f"{visit.left - visit.entered:.1f} s",
            _measured(visit.new),
            _measured(visit.old),
        )
    if state.ended:
        style = "bold green" if state.stage == rollout.RELEASED else "bold red"
        table.add_row("", Text(state.stage, style))
        return table
    table.add_row(
        Text("▶", "cyan"),
        Text(state.stage, "cyan"),
        f"{max(0.0, time.time() - state.entered):.0f} s",
        _measured(seen.new),
        _measured(seen.old),
    )
    if state.stage in state.plan:
        for stage in state.plan[state.plan.index(state.stage) + 1 : -1]:
            table.add_row(Text("·", "dim"), Text(stage, "dim"))
    return table


def _failed(visit: Visit, state: State) -> bool:
    return any(
        not reason.passed and reason.gate.startswith(f"{visit.stage}: ") for reason in state.reasons
    )


def _measured(metrics: Metrics | None) -> str:
    if metrics is None or not metrics.requests:
        return ""
    parts = [f"{metrics.requests} requests"]
    if metrics.errors:
        parts.append(f"{metrics.errors} errors")
    if metrics.refused:
        parts.append(f"{metrics.refused} refused")
    if metrics.p95_ms is not None:
        parts.append(f"p95 {metrics.p95_ms:.0f} ms")
    return ", ".join(parts)
