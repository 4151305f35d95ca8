"""Why a run has failed: the ends of the logs, and what was not run because of it."""

from __future__ import annotations

import re
from pathlib import Path

from modelyard.errors import CheckFailed, ModelyardError
from modelyard.files import tail
from modelyard.pipelines.model import Pipeline
from modelyard.pipelines.store import RunFolder

_CRASH = re.compile(
    r"^(\W*Traceback \(most recent call|(Syntax|Indentation|Tab)Error: |\S*python\S*: No module named |\S*\b(?:ba)?sh: line \d+: )",
    re.MULTILINE,
)
_LACKING = re.compile(r"^ *ModuleNotFoundError: No module named '([^'.]+)", re.MULTILINE)


class RunFailed(ModelyardError):
    """A step has failed; the exit code is 1 where a check has refused, else 2."""

    def __init__(self, message: str, exit_code: int, folder: Path) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.folder = folder


def failure(run: RunFolder, pipeline: Pipeline, failed: list[str]) -> RunFailed:
    """Describe the failure of a run.

    Args:
        run: that has ended.
        pipeline: that was run.
        failed: names of the steps that have failed.
    """
    state = run.state
    parts = []
    for name in failed:
        log = run.path / name / "log.txt"
        parts.append(
            f"step `{name}` ended with {state.steps[name].ending}; the end of {log}:\n\n"
            + (end := tail(log))
        )
        model = run.path.parents[1] / "requirements" / "model.in"
        if (lacking := _LACKING.search(end)) and model.is_file():
            parts.append(
                f"{lacking[1]} is not installed: name its package in requirements/model.in, then make lock and make setup"
            )
    skipped = [name for name, step in state.steps.items() if step.status == "skipped"]
    if skipped:
        why = "they need it" if pipeline.continue_on_step_failure else "it failed"
        parts.append(f"skipped, because {why}: {', '.join(skipped)}")
    stopped = [name for name, step in state.steps.items() if step.status == "interrupted"]
    if stopped:
        parts.append(f"stopped (continue_on_step_failure: false): {', '.join(stopped)}")
    refused = all(_has_refused(run, name) for name in failed)
    return RunFailed("\n".join(parts), 1 if refused else 2, run.path)


def _has_refused(run: RunFolder, name: str) -> bool:
    """Whether a step said no; Python and a shell end with the same exit code after an error of their own."""
    log = (run.path / name / "log.txt").read_text("utf-8", errors="replace")
    code = run.state.steps[name].exit_code
    return code == CheckFailed.exit_code and _CRASH.search(log) is None
