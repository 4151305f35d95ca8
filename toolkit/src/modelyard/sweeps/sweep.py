"""Runs the trials of a sweep node side by side, ends those that lead nowhere, and keeps the best.

The runner starts it as the process of a step, with a plan. Each trial is its component's own command
in a process of its own; it writes its metrics, while it trains, to a file that is followed here.
What a trial has left lies in `<step>.trials/<number>/`, outside of the step's attempt, so that a
sweep that was killed goes on with what it had.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from modelyard.errors import CheckFailed, ModelyardError, guarded
from modelyard.files import digest, link_tree, read_json, tail, write_json
from modelyard.pipelines.jobs import component_job, make_outputs
from modelyard.pipelines.store import (
    keep_result,
    link_result,
    new_attempt,
    replace_folder,
    reusable,
    step_key,
)
from modelyard.pipelines.warm import Launcher, Running, environment
from modelyard.sweeps.sampling import draws
from modelyard.sweeps.search_space import Value
from modelyard.sweeps.sweep_node import Sweep

METRICS_FILE = "MLOPS_METRICS"
EVIDENCE = "sweep"
POINTS_KEPT = 60  # of a trial's history, in the evidence
_POLL = 0.02
_GRACE = 5.0

State = Literal["running", "completed", "stopped", "failed", "cancelled"]


@dataclass(frozen=True)
class Plan:
    """What a sweep needs to know, as the runner writes it to a file.

    Attributes:
        step: the node's name.
        sweep: the node's own fields.
        command, code, imports, preload: of the trial, see `component_job` and `Launcher`.
        whole: the inputs that are integers.
        inputs: value or path of each input that is not drawn, by name.
        fingerprints: what stands for them in a trial's key.
        outputs: type by name.
        key_parts: the rest of what a trial's result depends on, see `step_key`.
        runs, trials, attempt: `.runs`, the folder of the trials, and the step's attempt.
        at_once: trials side by side.
        reuse: take results of earlier sweeps.
    """

    step: str
    sweep: dict[str, Any]
    command: str
    code: str | None
    imports: list[str]
    preload: list[str]
    whole: list[str]
    inputs: dict[str, str]
    fingerprints: dict[str, str]
    outputs: dict[str, str]
    key_parts: dict[str, str]
    runs: str
    trials: str
    attempt: str
    at_once: int
    reuse: bool


@dataclass
class Trial:
    """One trial; `losses` are lower where better, one per report of the primary metric."""

    number: int
    params: dict[str, Value]
    state: State = "running"
    id: str = ""
    folder: Path | None = None
    key: str = ""
    stopped_by: str | None = None
    stopped_at: int | None = None
    exit_code: int | None = None
    reused_from: str | None = None
    started: float = 0.0
    finished: float | None = None
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    other_metrics: set[str] = field(default_factory=set)

    @property
    def best(self) -> float:
        """The lowest loss so far."""
        return min(self.losses, default=math.inf)

    def cut(self) -> None:
        """Forget what the trial has reported after it was stopped."""
        if self.stopped_at is not None:
            del self.losses[self.stopped_at :], self.steps[self.stopped_at :]

    def shown(self) -> dict[str, Any]:
        """What trials.json says of it."""
        return {
            "id": self.id,
            "number": self.number,
            "params": self.params,
            "state": self.state,
            "folder": self.folder.name if self.folder else None,
            "stopped_by": self.stopped_by,
            "stopped_at": self.stopped_at,
            "reused_from": self.reused_from,
            "started": self.started,
            "finished": self.finished,
        }


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


def run_sweep(plan: Plan) -> int:
    """Run all trials and put the best one's outputs into the step's attempt.

    Raises:
        SweepFailed: no trial has completed, or none reports the primary metric.
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
    write_json(
        attempt / EVIDENCE / f"{EVIDENCE}.json", evidence(execution.sweep, execution.trials, best)
    )
    print(f"best: {execution.words(best)}", flush=True)
    return 0


class _Execution:
    """The state of one sweep while it goes on."""

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
            changed = self._follow()
            changed |= self._begin()
            if changed:
                write_json(self.folder / "trials.json", [t.shown() for t in self.trials])
            if not self.active and (len(self.trials) == self.total or time.time() >= self.until):
                return
            if not changed:
                time.sleep(_POLL)

    def best(self) -> Trial | None:
        """The completed trial with the best value of the primary metric; of equals the first."""
        completed = [t for t in self.trials if t.state == "completed"]
        return min(completed, key=lambda t: (t.best, t.number), default=None)

    def _begin(self) -> bool:
        """Start trials while there is room; take what is known of others."""
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
            if self._known(trial):
                self._tell(trial)
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

    def _known(self, trial: Trial) -> bool:
        """Whether the trial has ended before, here or in an earlier sweep; then it is filled in."""
        place = self.folder / str(trial.number)
        record = _content(place / "stopped.json")
        if record.get("key") == trial.key and record.get("rules") == self.rules:
            trial.stopped_by, trial.stopped_at = record["stopped_by"], record["stopped_at"]
            trial.state, trial.folder = "stopped", place
        else:
            found = None
            if self.plan.reuse:
                found = reusable(Path(self.plan.runs), trial.key, list(self.plan.outputs))
            if found is None or not (found[0] / "metrics.jsonl").is_file():
                return False
            link_result(found[0], place)
            trial.state, trial.folder = "completed", place
            trial.reused_from = found[0].relative_to(self.plan.runs).parts[0]
        trial.started = trial.finished = time.time()
        trial.id = _content(place / "trial.json").get("id", trial.key)
        self._read(trial, place, 0)
        trial.cut()
        return True

    def _start(self, trial: Trial) -> None:
        place = self.folder / str(trial.number)
        _remove(place)
        attempt = new_attempt(place)
        metrics = attempt / "metrics.jsonl"
        metrics.touch()
        trial.id = attempt.name
        write_json(attempt / "trial.json", {"id": trial.id, "params": trial.params})
        job = component_job(
            self.plan.command,
            code=Path(self.plan.code) if self.plan.code else None,
            imports=tuple(self.plan.imports),
            inputs=self.plan.inputs | {name: str(v) for name, v in trial.params.items()},
            outputs=make_outputs(attempt, self.plan.outputs),
            env=environment({METRICS_FILE: str(metrics)}),
            attempt=attempt,
        )
        trial.started, trial.folder = time.time(), attempt
        self.active.append(_Active(trial, self.launcher.start(job), attempt))

    def _follow(self) -> bool:
        """Read what running trials report, apply the rule, and take note of those that have ended."""
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
        trial, policy = active.trial, self.sweep.early_termination
        seen = len(trial.losses)
        active.offset = self._read(trial, active.attempt, active.offset)
        trial.cut()
        if trial.stopped_by is not None:
            return
        losses = {other.number: other.losses for other in self.trials}
        finished = {other.number for other in self.trials if other.state == "completed"}
        for interval in range(seen + 1, len(trial.losses) + 1):
            if policy is not None and policy.stops(losses, trial.number, interval, finished):
                trial.stopped_by, trial.stopped_at = policy.type, interval
                trial.cut()
                self._end_early(active)
                return
        limit = self.sweep.limits.trial_timeout
        now = time.time()
        if active.kill_at is None and (now > self.until or (limit and now - trial.started > limit)):
            trial.state = "cancelled"
            self._end_early(active)

    def _end_early(self, active: _Active) -> None:
        active.running.terminate()
        active.kill_at = time.time() + _GRACE

    def _end(self, active: _Active, code: int) -> None:
        """Give an ended trial its state and its folder."""
        trial, attempt = active.trial, active.attempt
        place = self.folder / str(trial.number)
        trial.finished, trial.exit_code = time.time(), code
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
                raise self._silent(trial)
            trial.state = "completed"
        elif trial.state == "running":
            trial.state = "failed"
        if trial.state == "completed":
            outputs = {name: digest(attempt / name) for name in self.plan.outputs}
            keep_result(Path(self.plan.runs), place, attempt, key=trial.key, outputs=outputs)
        else:
            replace_folder(place, attempt)
        trial.folder = place
        self._tell(trial)

    def _read(self, trial: Trial, folder: Path, offset: int) -> int:
        """Take in the lines that have been added to a trial's metrics; returns where they end."""
        try:
            with (folder / "metrics.jsonl").open("rb") as file:
                file.seek(offset)
                added = file.read()
        except OSError:
            return offset
        whole = added[: added.rfind(b"\n") + 1]
        metric = self.sweep.objective.primary_metric
        for step, metrics in _reports(whole):
            if metric in metrics:
                trial.steps.append(step)
                trial.losses.append(self.sweep.loss(metrics[metric]))
            trial.other_metrics.update(metrics.keys() - {metric})
        return offset + len(whole)

    def _tell(self, trial: Trial) -> None:
        """A line about a trial that has ended, with the best so far and the time that is left."""
        best = self.best()
        parts = [f"trial {trial.number + 1} of {self.total}: {self.words(trial)}"]
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

    def words(self, trial: Trial) -> str:
        """What became of a trial."""
        metric = self.sweep.objective.primary_metric
        said: str = trial.state
        if trial.state == "stopped":
            said = f"stopped by {trial.stopped_by} at interval {trial.stopped_at}"
        elif trial.state == "failed":
            said = f"failed ({_last_line(trial.folder)})"
        if trial.reused_from:
            said += f" in run {trial.reused_from}"
        if trial.losses:
            said += f", {metric} {self._value(trial.best)}"
        drawn = ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
        return f"{said} with {drawn}"

    def _value(self, loss: float) -> str:
        return _short(loss if self.sweep.objective.goal == "minimize" else -loss)

    def _silent(self, trial: Trial) -> SweepFailed:
        others = ", ".join(sorted(trial.other_metrics)) or "no metric at all"
        return SweepFailed(
            f"trial {trial.number + 1} has ended well without reporting the primary metric "
            f"`{self.sweep.objective.primary_metric}`; it reported {others}. Name a metric that the "
            "trial logs while it trains."
        )

    def failure(self) -> ModelyardError:
        """Why there is no best trial."""
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


def evidence(sweep: Sweep, trials: list[Trial], best: Trial) -> dict[str, Any]:
    """The content of sweep.json: figures and no times.

    Args:
        sweep: the node's fields.
        trials: in the order in which they were drawn.
        best: the one whose outputs are the node's.
    """
    objective = sweep.objective

    def value(loss: float) -> float | None:
        return None if math.isinf(loss) else loss if objective.goal == "minimize" else -loss

    so_far, series = math.inf, []
    for trial in trials:
        so_far = min(so_far, trial.best if trial.state == "completed" else math.inf)
        series.append(value(so_far))
    states = [trial.state for trial in trials]
    policy = sweep.early_termination
    return {
        "evidence": EVIDENCE,
        "params": {
            "primary_metric": objective.primary_metric,
            "goal": objective.goal,
            "sampling_algorithm": sweep.sampling_algorithm.type,
            "seed": sweep.sampling_algorithm.seed,
            "early_termination": policy.type if policy else "none",
        }
        | {f"best.{name}": number for name, number in best.params.items()},
        "metrics": {
            "trials": len(trials),
            "completed": states.count("completed"),
            "stopped": states.count("stopped"),
            "failed": states.count("failed") + states.count("cancelled"),
            "best": value(best.best),
        },
        "tags": {},
        "series": {"best_so_far": series},
        "details": {
            "sweep": sweep.model_dump(mode="json", exclude_none=True),
            "best": best.number,
            "trials": [
                {
                    "number": trial.number,
                    "params": trial.params,
                    "state": trial.state,
                    "best": value(trial.best),
                    "reports": len(trial.losses),
                    "stopped_by": trial.stopped_by,
                    "stopped_at": trial.stopped_at,
                    "history": [
                        [step, value(loss)]
                        for step, loss in _thinned(
                            list(zip(trial.steps, trial.losses, strict=True)), POINTS_KEPT
                        )
                    ],
                }
                for trial in trials
            ],
        },
    }


def write_plan(plan: Plan) -> Path:
    """Write a plan where `main` reads it; returns the path."""
    path = Path(plan.attempt) / "plan.json"
    write_json(path, asdict(plan))
    return path


def _reports(lines: bytes) -> Iterator[tuple[int, dict[str, float | None]]]:
    for line in lines.splitlines():
        try:
            report = json.loads(line)
            yield int(report["step"]), dict(report["metrics"])
        except (ValueError, TypeError, KeyError):
            continue  # a line of someone else's


def _content(file: Path) -> dict[str, Any]:
    """What a file of ours holds; nothing where it is missing or half written."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _thinned(points: list[Any], most: int) -> list[Any]:
    """At most so many of the points, evenly spaced, the last one among them."""
    if len(points) <= most:
        return points
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]


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
