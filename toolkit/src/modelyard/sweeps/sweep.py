"""Runs the trials of a sweep side by side, stops poor ones early, and keeps the best.

`mlops run` starts it as the process of a step, with a plan. Each trial is its component's own command
in a process of its own, which appends its metrics to a file while it trains. The files of a trial are
in `<step>.trials/<number>/`, outside the step's attempt, so that a sweep that was killed resumes with
the trials it had.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from modelyard.errors import CheckFailed, ModelyardError, guarded
from modelyard.files import digest, link_tree, read_json, tail, write_json
from modelyard.pipelines.jobs import (
    CODE,
    component_job,
    keep_artifacts,
    make_outputs,
    tracked_apart,
)
from modelyard.pipelines.store import (
    keep_result,
    new_attempt,
    replace_folder,
    reuse_result,
    step_key,
)
from modelyard.pipelines.warm import Launcher, Running, environment
from modelyard.sweeps.evidence import sweep_evidence
from modelyard.sweeps.model import Sweep
from modelyard.sweeps.plan import EVIDENCE, Plan
from modelyard.sweeps.sampling import draws
from modelyard.sweeps.search_space import Value
from modelyard.sweeps.trial import METRICS_FILE, Trial

METRICS_VARIABLE = "MLOPS_METRICS"  # names the file that a trial appends its metrics to
_POLL = 0.02
_GRACE = 5.0  # seconds from SIGTERM to SIGKILL


@dataclass
class _Active:
    trial: Trial
    running: Running
    attempt: Path
    offset: int = 0
    kill_at: float | None = None


class SweepFailed(ModelyardError):
    """No trial has completed."""


def main(argv: list[str] | None = None) -> int:
    """Run the sweep of the plan file that is the one argument."""
    (path,) = argv if argv is not None else sys.argv[1:]
    return guarded(lambda: run_sweep(Plan(**read_json(Path(path)))))


def run_sweep(plan: Plan) -> None:
    """Run all trials and copy the outputs of the best one into the step's attempt.

    Raises:
        SweepFailed: no trial has completed, or none reports the primary metric.
        CheckFailed: every trial has ended with exit code 1.
    """
    Path(plan.trials).mkdir(exist_ok=True)
    for left in Path(plan.trials).glob(".*-??????"):
        _remove(left)
    with Launcher(plan.preload) as launcher:
        execution = _Execution(plan, launcher)
        execution.run()
    best = execution.best()
    if best is None:
        raise execution.failure()
    attempt = Path(plan.attempt)
    assert best.folder is not None  # noqa: S101 (it has completed)
    for name in plan.outputs:
        _remove(attempt / name)
        _link(best.folder / name, attempt / name)
    evidence = sweep_evidence(execution.sweep, execution.trials, best)
    write_json(attempt / EVIDENCE / f"{EVIDENCE}.json", evidence)
    print(f"best: {execution.described(best)}", flush=True)


class _Execution:
    """The state of one sweep while it runs."""

    def __init__(self, plan: Plan, launcher: Launcher) -> None:
        self.plan = plan
        self.launcher = launcher
        self.sweep = Sweep.model_validate(plan.sweep)
        self.rules = sha256(self.sweep.model_dump_json().encode()).hexdigest()
        self.folder = Path(plan.trials)
        self.draws = draws(self.sweep, set(plan.whole), plan.at_once)
        self.total = self.draws.total
        self.trials: list[Trial] = []
        self.active: list[_Active] = []
        limits = self.sweep.limits
        self.until = time.time() + limits.timeout if limits.timeout else math.inf

    def run(self) -> None:
        print(
            f"{self.total} trials, {self.plan.at_once} at once: "
            f"{self.sweep.sampling_algorithm.type} sampling",
            flush=True,
        )
        while True:
            changed = self._collect()
            changed |= self._begin()
            if changed:
                write_json(self.folder / "trials.json", [t.as_json() for t in self.trials])
            if not self.active and (len(self.trials) == self.total or time.time() >= self.until):
                return
            if not changed:
                time.sleep(_POLL)

    def best(self) -> Trial | None:
        """The completed trial with the best value of the primary metric; the first of equals."""
        completed = [t for t in self.trials if t.state == "completed"]
        return min(completed, key=lambda t: (t.best, t.number), default=None)

    def _begin(self) -> bool:
        """Start trials up to the limit; earlier results are used where there are any."""
        changed = False
        while (
            len(self.active) < self.plan.at_once
            and len(self.trials) < self.total
            and time.time() < self.until
        ):
            params = self.draws.next(self.trials)
            if params is None:
                break
            trial = Trial(len(self.trials), params)
            trial.key = self._key(params)
            self.trials.append(trial)
            changed = True
            if self._reused(trial):
                self._report(trial)
            else:
                self._start(trial)
        return changed

    def _key(self, params: dict[str, Value]) -> str:
        drawn = {name: f"value:{value!r}" for name, value in params.items()}
        return step_key(
            command=self.plan.command,
            inputs=self.plan.fingerprints | drawn,
            outputs=list(self.plan.outputs),
            **self.plan.key_parts,
        )

    def _reused(self, trial: Trial) -> bool:
        """Fill in a trial that has ended before, here or in an earlier sweep; False if none has."""
        place = self.folder / str(trial.number)
        record = _content(place / "stopped.json")
        if record.get("key") == trial.key and record.get("rules") == self.rules:
            trial.stopped_by, trial.stopped_at = record["stopped_by"], record["stopped_at"]
            trial.state, trial.folder = "stopped", place
        else:
            found = None
            if self.plan.reuse:
                outputs = list(self.plan.outputs)
                found = reuse_result(Path(self.plan.runs), place, trial.key, outputs)
            if found is None or not (place / METRICS_FILE).is_file():
                return False
            trial.state, trial.folder = "completed", place
            trial.reused_from = found[0].relative_to(self.plan.runs).parts[0]
        trial.started = trial.finished = time.time()
        trial.id = _content(place / "trial.json").get("id", trial.key)
        trial.read(self.sweep, place, 0)
        trial.cut()
        return True

    def _start(self, trial: Trial) -> None:
        place = self.folder / str(trial.number)
        _remove(place)
        attempt = new_attempt(place)
        metrics = attempt / METRICS_FILE
        metrics.touch()
        trial.id = attempt.name
        write_json(attempt / "trial.json", {"id": trial.id, "params": trial.params})
        code = Path(self.plan.code) if self.plan.code else None
        if code is not None and code.name == CODE:  # a copy, in which each trial may write
            code = shutil.copytree(code, attempt / CODE)
        job = component_job(
            self.plan.command,
            code=code,
            imports=tuple(self.plan.imports),
            inputs=self.plan.inputs | {name: str(v) for name, v in trial.params.items()},
            outputs=make_outputs(attempt, self.plan.outputs),
            env=environment(tracked_apart(attempt) | {METRICS_VARIABLE: str(metrics)}),
            attempt=attempt,
            python=self.plan.python,
        )
        trial.started, trial.folder = time.time(), attempt
        self.active.append(_Active(trial, self.launcher.start(job), attempt))

    def _collect(self) -> bool:
        """Read the metrics of running trials, stop poor ones, and keep those that have ended."""
        changed = False
        for active in list(self.active):
            code = active.running.poll()
            self._judge(active)
            if code is not None:
                self.active.remove(active)
                self._end(active, code)
                changed = True
            elif active.kill_at is not None and time.time() > active.kill_at:
                active.running.kill()
                active.kill_at = time.time() + 1
        return changed

    def _judge(self, active: _Active) -> None:
        """Apply early termination and the limits of time to a running trial."""
        trial, policy = active.trial, self.sweep.early_termination
        seen = len(trial.losses)
        active.offset = trial.read(self.sweep, active.attempt, active.offset)
        trial.cut()
        if trial.stopped_by is not None:
            return
        losses = {other.number: other.losses for other in self.trials}
        finished = {other.number for other in self.trials if other.state == "completed"}
        for interval in range(seen + 1, len(trial.losses) + 1):
            if policy is not None and policy.stops(losses, trial.number, interval, finished):
                trial.stopped_by, trial.stopped_at = policy.type, interval
                trial.cut()
                self._terminate(active)
                return
        limit = self.sweep.limits.trial_timeout
        now = time.time()
        if active.kill_at is None and (now > self.until or (limit and now - trial.started > limit)):
            trial.state = "cancelled"
            self._terminate(active)

    def _terminate(self, active: _Active) -> None:
        active.running.terminate()
        active.kill_at = time.time() + _GRACE

    def _end(self, active: _Active, code: int) -> None:
        """Set the state of a trial that has ended, and move its files to where they are kept."""
        trial, attempt = active.trial, active.attempt
        place = self.folder / str(trial.number)
        trial.finished, trial.exit_code = time.time(), code
        keep_artifacts(attempt, self.plan.command, self.plan.outputs)
        missing = [name for name in self.plan.outputs if not (attempt / name).exists()]
        if trial.stopped_by is not None:
            trial.state = "stopped"
            write_json(
                attempt / "stopped.json",
                {
                    "key": trial.key,
                    "rules": self.rules,
                    "stopped_by": trial.stopped_by,
                    "stopped_at": trial.stopped_at,
                },
            )
            for name in self.plan.outputs:
                _remove(attempt / name)
        elif code == 0 and not missing and trial.state == "running":
            if not trial.losses:
                raise self._unreported(trial)
            trial.state = "completed"
        elif trial.state == "running":
            trial.state = "failed"
        if trial.state == "completed":
            outputs = {name: digest(attempt / name) for name in self.plan.outputs}
            keep_result(Path(self.plan.runs), place, attempt, key=trial.key, outputs=outputs)
        else:
            replace_folder(place, attempt)
        trial.folder = place
        self._report(trial)

    def _report(self, trial: Trial) -> None:
        """Print a line about a trial that has ended, the best so far and the time left."""
        best = self.best()
        parts = [f"trial {trial.number + 1} of {self.total}: {self.described(trial)}"]
        if best is not None and best is not trial:
            parts.append(f"best {self._value(best.best)} (trial {best.number + 1})")
        elif best is trial:
            parts.append("best so far")
        took = [
            t.finished - t.started
            for t in self.trials
            if t.finished is not None and not t.reused_from
        ]
        left = self.total - len(self.trials) + len(self.active)
        if left and took:
            seconds = sum(took) / len(took) * left / self.plan.at_once
            parts.append(f"about {_duration(seconds)} left")
        print("; ".join(parts), flush=True)

    def described(self, trial: Trial) -> str:
        """A trial's state, its best value and its hyperparameters."""
        metric = self.sweep.objective.primary_metric
        text: str = trial.state
        if trial.state == "stopped":
            text = f"stopped by {trial.stopped_by} at interval {trial.stopped_at}"
        elif trial.state == "failed":
            text = f"failed ({_last_line(trial.folder)})"
        if trial.reused_from:
            text += f" in run {trial.reused_from}"
        if trial.losses:
            text += f", {metric} {self._value(trial.best)}"
        drawn = ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
        return f"{text} with {drawn}"

    def _value(self, loss: float) -> str:
        return _short(loss if self.sweep.objective.goal == "minimize" else -loss)

    def _unreported(self, trial: Trial) -> SweepFailed:
        others = ", ".join(sorted(trial.other_metrics)) or "no metric at all"
        return SweepFailed(
            f"trial {trial.number + 1} has ended well without reporting the primary metric "
            f"`{self.sweep.objective.primary_metric}`; it reported {others}. Name a metric that the "
            "trial logs while it trains."
        )

    def failure(self) -> ModelyardError:
        """The error that says why there is no best trial."""
        count = {
            s: sum(t.state == s for t in self.trials) for s in ("stopped", "failed", "cancelled")
        }
        counted = ", ".join(f"{n} {state}" for state, n in count.items() if n)
        failed = next((t for t in self.trials if t.state == "failed"), None)
        message = f"no trial has completed: {counted or 'none was started in time'}"
        if failed is None:
            return SweepFailed(message)
        log = Path(self.plan.trials) / str(failed.number) / "log.txt"
        message += f"; the end of {log}:\n\n{tail(log)}"
        codes = {t.exit_code for t in self.trials if t.state == "failed"}
        return CheckFailed(message) if codes == {1} else SweepFailed(message)


def _content(file: Path) -> dict[str, Any]:
    """The content of a JSON file; empty where the file is missing or was left half written."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _last_line(folder: Path | None) -> str:
    log = folder / "log.txt" if folder else None
    if log is None or not log.is_file():
        return "no output"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:160] if lines else "no output"


def _short(value: Value) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(1, round(seconds))} s"


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        link_tree(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
