"""Batch scoring on a laptop, with the script and the environment of Azure ML's batch endpoint.

The project's src/batch_score.py runs in .environments/serve; this module starts it, and displays its
progress.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from modelyard.console import counted, listed
from modelyard.environments import environment_python
from modelyard.errors import ModelyardError, UsageError
from modelyard.models.registry import locate
from modelyard.project import load_project
from modelyard.serving.server import NOT_INHERITED
from modelyard.tracking import tracking_uri

SCRIPT = Path("src") / "batch_score.py"
SECONDS_PER_LINE = 5.0  # of progress, without a terminal

ProgressReport = Callable[[dict[str, Any]], None]


class Interrupted(ModelyardError):
    """The user pressed Ctrl-C."""

    exit_code = 130


@dataclass(frozen=True)
class Scored:
    """The result of a job.

    Attributes:
        summary: content of the output's _summary.json.
        new_rows: number of rows that this call has scored; an interrupted one scored the others.
        seconds: from the loaded model to the last part.
        complaint: reason of exit code 1, or "".
    """

    summary: dict[str, Any]
    new_rows: int
    seconds: float
    complaint: str

    def print(self, console: Console, output: str) -> None:
        """Print the result in a few lines."""
        found, model = self.summary, self.summary["model"]
        speed = f", {self.new_rows / self.seconds:,.0f} rows/s" if self.new_rows else ""
        console.print(
            f"{counted(found['rows'], 'row')}: {found['scored']:,} scored by {model['name']} "
            f"v{model['version']}, {found['rejected']:,} rejected, {counted(found['parts'], 'part')} in "
            f"{output} ({self.seconds:.1f} s{speed})",
            highlight=False,
            soft_wrap=True,
        )
        if before := found["rows"] - self.new_rows:
            console.print(f"{before:,} of them were scored before", highlight=False)
        if passed_over := found["passed_over"]:
            console.print(f"passed over, no tables: {listed(passed_over)}", soft_wrap=True)
        if self.complaint:
            console.print(self.complaint, style="bold red", highlight=False, soft_wrap=True)


def score(
    root: Path,
    data: Path,
    output: Path,
    *,
    version: str | None = None,
    part_rows: int | None = None,
    max_rejected: float = 0.0,
    overwrite: bool = False,
    progress: ProgressReport,
) -> Scored:
    """Score a table, or all tables of a folder, into part files; finished parts are kept.

    Args:
        root: of the project.
        data: CSV or Parquet file, or a folder of them.
        output: folder for the parts of this job.
        version: of the registered model; None: the champion.
        part_rows: input rows per part; None: the script's default.
        max_rejected: largest share of rows that may break the contract; more: exit code 1.
        overwrite: delete parts of another job in `output`.
        progress: gets each event of the script.

    Raises:
        UsageError: the data, the output or the version cannot be used.
        ModelyardError: the scoring process was killed.
        Interrupted: the user pressed Ctrl-C.
    """
    arguments = ["--data", str(data), "--output", str(output), "--max-rejected", str(max_rejected)]
    arguments += ["--part-rows", str(part_rows)] if part_rows is not None else []
    arguments += ["--overwrite"] if overwrite else []
    name = load_project(root).model
    with tempfile.TemporaryDirectory() as temporary:
        found = locate(name, tracking_uri(root), version, ["model"], Path(temporary))
        if found is None:
            raise UsageError(
                f"{name} has no champion; `mlops run azureml/pipelines/train.yml` and `mlops promote` "
                "make one, or name a --version"
            )
        python = environment_python(root, "serve", lambda line: print(line, file=sys.stderr))
        environment = {
            **{name: value for name, value in os.environ.items() if name not in NOT_INHERITED},
            "AZUREML_MODEL_DIR": str(found.paths["model"]),
            "MODEL_NAME": name,
            "MODEL_VERSION": found.number,
        }
        command = [str(python), str(root / SCRIPT), "--attached", *arguments]
        return _run(command, environment, progress)


def _run(command: list[str], environment: dict[str, str], progress: ProgressReport) -> Scored:
    summary: dict[str, Any] | None = None
    started, new_rows = time.monotonic(), 0
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(  # noqa: S603 (the project's own script)
            command,
            env=environment,
            stdin=subprocess.PIPE,  # its end makes the script end too
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
        )
        assert process.stdout is not None  # noqa: S101 (asked for above)
        try:
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "scoring":
                    started = time.monotonic()
                new_rows += event["rows"] if event["event"] == "scored" else 0
                if event["event"] == "finished":
                    summary = {name: value for name, value in event.items() if name != "event"}
                progress(event)
            code = process.wait()
        except KeyboardInterrupt:
            raise Interrupted("interrupted; the same command resumes") from None
        finally:
            process.kill()
            process.communicate()
        errors.seek(0)
        message = errors.read().strip()
    if code < 0:
        raise ModelyardError(
            f"the scoring process was killed (signal {-code}; 9 often means too little memory); the same "
            "command resumes"
        )
    if summary is None:
        raise UsageError(message.removeprefix("error: ") or f"{SCRIPT} ended with code {code}")
    return Scored(summary, new_rows, time.monotonic() - started, message if code else "")


class ScoreProgress:
    """Display of a running job: a progress bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._rows: int | None = None
        self._before = self._new = 0
        self._started = self._next = time.monotonic()

    def __enter__(self) -> ScoreProgress:
        self._bar.start()
        self._task = self._bar.add_task("loading the model", total=None, pace="")
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        """Display an event of the script."""
        assert self._task is not None  # noqa: S101 (used as a context)
        if event["event"] == "reading":
            self._bar.update(self._task, description=f"reading {event['file']}")
        elif event["event"] == "scoring":
            self._rows, self._before = event["rows"], event["done"]
            self._started = time.monotonic()
            self._next = self._started + SECONDS_PER_LINE
            model = f"{event['model']} v{event['version']}"
            self._bar.update(
                self._task, description=model, total=self._rows, completed=self._before
            )
        elif event["event"] == "scored":
            self._new += event["rows"]
            text = self._pace()
            self._bar.update(self._task, advance=event["rows"], pace=text)
            if not self._console.is_terminal and time.monotonic() >= self._next:
                self._next = time.monotonic() + SECONDS_PER_LINE
                self._console.print(text, highlight=False)

    def _pace(self) -> str:
        done, pace = self._before + self._new, self._new / (time.monotonic() - self._started)
        if self._rows is None:
            return f"{done:,} rows, {pace:,.0f} rows/s"
        text = f"{done:,} of {self._rows:,} rows, {pace:,.0f} rows/s"
        left = f", {(self._rows - done) / pace:,.0f} s left"
        return text if self._console.is_terminal else text + left
