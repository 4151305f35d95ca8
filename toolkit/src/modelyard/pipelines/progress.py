"""The progress of a run: a live table on a terminal, a line per event elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from modelyard.pipelines.store import RunFolder, StepState, trials_folder

_LOOK = {
    "waiting": ("·", "dim"),
    "running": ("▶", "cyan"),
    "completed": ("✓", "green"),
    "reused": ("=", "green"),
    "failed": ("✗", "red"),
    "skipped": ("–", "yellow"),
    "interrupted": ("!", "yellow"),
}


class Progress:
    """Shows progress; a context manager, and the argument `progress` of `run_pipeline`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self._shown: dict[str, str] = {}
        self._next = 0.0
        self._read: dict[str, int] = {}

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, run: RunFolder) -> None:
        """Show the state of the run."""
        if self._live is None:
            self._print_changes(run)
            return
        now = time.monotonic()
        changed = {name: step.status for name, step in run.state.steps.items()}
        if now >= self._next or changed != self._shown:
            self._next, self._shown = now + 0.2, dict(changed)
            self._live.update(_table(run))

    def _print_changes(self, run: RunFolder) -> None:
        for name, step in run.state.steps.items():
            if trials_folder(run.path, name).is_dir() and step.started is not None:
                self._print_trials(run, name)
            if step.status != self._shown.get(name, "waiting"):
                self._shown[name] = step.status
                mark, _ = _LOOK[step.status]
                self._console.print(f"{mark} {name}: {_described(step)}", highlight=False)

    def _print_trials(self, run: RunFolder, name: str) -> None:
        """Print the lines that were added to a sweep's log, one per trial."""
        for folder in (*run.path.glob(f".{name}-??????"), run.path / name):
            log = folder / "log.txt"
            if log.is_file():
                text = log.read_bytes()[self._read.get(name, 0) :]
                whole = text[: text.rfind(b"\n") + 1]
                self._read[name] = self._read.get(name, 0) + len(whole)
                for line in whole.decode("utf-8", errors="replace").splitlines():
                    self._console.print(f"  {line}", highlight=False, soft_wrap=True)
                return


def _table(run: RunFolder) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, step in run.state.steps.items():
        mark, style = _LOOK[step.status]
        table.add_row(
            Text(mark, style),
            name,
            Text(_described(step), style),
            _last_line(run, name, step),
        )
    return table


def _described(step: StepState) -> str:
    if step.status == "reused":
        return f"reused from {step.reused_from}"
    if step.started is None or step.status in ("waiting", "skipped"):
        return step.status
    seconds = (step.finished or time.time()) - step.started
    if step.status == "running":
        return f"{seconds:.0f} s" if seconds >= 1 else "running"
    return f"{step.status} in {seconds:.1f} s"


def _last_line(run: RunFolder, name: str, step: StepState) -> str:
    """The last line that a running step has printed."""
    if step.status != "running":
        return ""
    for folder in run.path.glob(f".{name}-??????"):
        log = folder / "log.txt"
        if log.is_file():
            lines = log.read_text(encoding="utf-8", errors="replace").split("\n")[-30:]
            last = next((line for line in reversed(lines) if line.strip()), "")
            return last.strip()[:80]
    return ""
