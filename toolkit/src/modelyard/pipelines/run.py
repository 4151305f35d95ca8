"""Runs an Azure ML pipeline on this machine, with the same components and command lines."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard.errors import CheckFailed, ModelyardError
from modelyard.files import digest, link_tree, project_root, tail
from modelyard.models.registry import champion_number
from modelyard.pipelines.code import StepCode, step_code
from modelyard.pipelines.commit import PATCH, commit_of
from modelyard.pipelines.jobs import component_job, make_outputs
from modelyard.pipelines.model import Data, Literal, Pipeline, Step, StepOutput
from modelyard.pipelines.reader import load_pipeline
from modelyard.pipelines.record import GAVE_UP
from modelyard.pipelines.snapshot import copy_snapshot, is_changed_by_upload
from modelyard.pipelines.store import (
    RunFolder,
    RunState,
    StepState,
    all_runs,
    interrupted_run,
    new_run,
    reusable,
    step_key,
    trials_folder,
)
from modelyard.pipelines.warm import Job, Launcher, Running, environment
from modelyard.project import load_project
from modelyard.sweeps.model import Sweep
from modelyard.sweeps.plan import EVIDENCE, Plan, write_plan
from modelyard.tracking import MLFLOW_SETTINGS, local_store, store_uri, tracking_uri

_POLL = 0.01
PIPELINE_OUTPUTS = "pipeline.outputs"  # no step is called so: the dot parts a nested step's name
_RECORDER_PATIENCE = 120.0
CODE = ".code"  # in an attempt: the copy of the code that the step started in
# MLflow imports these, and SQLAlchemy with them, only at the first request.
EMBEDDED_STORE = [
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
]


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        folder: `.runs/<id>`; that of the earlier run where nothing has changed.
        unchanged: an earlier run has the same results.
    """

    run_id: str
    folder: Path
    unchanged: bool


class RunFailed(ModelyardError):
    """A step has failed; the exit code is 1 where a check has refused, else 2."""

    def __init__(self, message: str, exit_code: int, folder: Path) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.folder = folder


@dataclass
class _Active:
    step: Step
    running: Running
    attempt: Path
    key: str | None
    timed_out: bool = False


def run_pipeline(
    path: Path,
    *,
    inputs: Mapping[str, str] | None = None,
    reuse: bool = True,
    jobs: int | None = None,
    experiment: str | None = None,
    record: bool = True,
    progress: Callable[[RunFolder], None] = lambda run: None,
) -> Result:
    """Execute a pipeline.

    Args:
        path: pipeline YAML.
        inputs: pipeline input → value or path, instead of those in the file.
        reuse: use results of earlier runs whose command, code, inputs and environment are the same.
        jobs: number of steps at once; default: one per core, at least two.
        experiment: MLflow experiment; default: the pipeline's `experiment_name`.
        record: log the run to MLflow.
        progress: called with the run whenever something may have changed.

    Raises:
        PipelineError: the pipeline is broken; nothing was run.
        RunFailed: a step failed.
    """
    root = project_root(path.parent.resolve() if path.exists() else None)
    pipeline = load_pipeline(path, overrides=inputs, data_assets=root / "azureml" / "data")
    for note in pipeline.notes:
        if "`compute`" not in note.message and "`default_compute`" not in note.message:
            print(f"note: {note}", file=sys.stderr)
    runs = root / ".runs"
    name = experiment or pipeline.experiment or pipeline.name
    tags = dict(pipeline.tags) | ({"purpose": "exploration"} if experiment else {})
    run = interrupted_run(runs, pipeline.name, name) or new_run(runs, pipeline.name, name, tags)
    try:
        execution = _Execution(root, pipeline, run, reuse=reuse, record=record, progress=progress)
        return execution.run(jobs or max(2, os.cpu_count() or 2))
    except KeyboardInterrupt:
        run.state.status = "interrupted"
        run.save()
        raise
    finally:
        run.release()


class _Execution:
    """The state of one run while it runs."""

    def __init__(
        self,
        root: Path,
        pipeline: Pipeline,
        run: RunFolder,
        *,
        reuse: bool,
        record: bool,
        progress: Callable[[RunFolder], None],
    ) -> None:
        self.root = root
        self.pipeline = pipeline
        self.run_folder = run
        self.runs = root / ".runs"
        self.progress = progress
        self.record = record
        self.store = tracking_uri(root)
        # Results belong to what was registered from them: without the store they are not reused.
        has_store = self.store != store_uri(local_store(root)) or local_store(root).exists()
        self.reuse = reuse and not pipeline.force_rerun and has_store
        self.code: dict[str, StepCode] = {}
        for step in pipeline.steps:
            part = step.component
            self.code[step.name] = step_code(
                part.code, part.module, part.command.split(), part.includes
            )
        self.data_digests: dict[Path, str] = {}
        self.outputs: dict[str, dict[str, str]] = {}
        self.active: dict[str, _Active] = {}
        self.recorder: Running | None = None
        self.jobs = 1
        self.env = environment(
            {name: os.environ.get(name, value) for name, value in MLFLOW_SETTINGS.items()}
            | {
                "MLFLOW_TRACKING_URI": self.store,
                "MLOPS_RUN": str(run.path),
                "MLOPS_ROOT": str(root),
                "PYTHONUNBUFFERED": "1",
                "COLUMNS": "110",
            }
        )

    def run(self, jobs: int) -> Result:
        self.jobs = jobs
        run, state = self.run_folder, self.run_folder.state
        run.clear_attempts()
        (run.path / GAVE_UP).unlink(missing_ok=True)
        state.status = "running"
        state.git_commit, patch = commit_of(self.root)
        if patch:
            (run.path / PATCH).write_bytes(patch)
        if state.git_commit:
            self.env["MLOPS_GIT_COMMIT"] = state.git_commit
        state.steps = {step.name: StepState() for step in self.pipeline.steps}
        run.save()
        with Launcher(self._preload()) as launcher:
            try:
                self._steps(launcher, jobs)
            except KeyboardInterrupt:
                for active in self.active.values():
                    state.steps[active.step.name].status = "interrupted"
                raise
            earlier = self._unchanged_since()
            if earlier is not None:
                shutil.rmtree(run.path)
                return Result(earlier, self.runs / earlier, unchanged=True)
            failed = [name for name, step in state.steps.items() if step.status == "failed"]
            state.status = "failed" if failed else "completed"
            state.finished = time.time()
            if not failed:
                self._bind_outputs()
            run.save()
            self.progress(run)
            self._finish_recording()
        if failed:
            raise self._failure(failed)
        return Result(state.id, run.path, unchanged=False)

    def _bind_outputs(self) -> None:
        """Link the outputs of the pipeline below `outputs` of the run's folder."""
        for name, bound in self.pipeline.outputs.items():
            source = self.run_folder.path / bound.step / bound.output
            target = self.run_folder.path / PIPELINE_OUTPUTS / name
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                link_tree(source, target)
            else:
                target.unlink(missing_ok=True)
                shutil.copy2(source, target)

    def _steps(self, launcher: Launcher, jobs: int) -> None:
        waiting = {step.name: step for step in self.pipeline.steps}
        while waiting or self.active:
            changed = self._collect()
            if not self.pipeline.continue_on_step_failure and self._has_failed():
                self._stop()
                for name in waiting:
                    self._state(name).status = "skipped"
                waiting.clear()
            for name, step in list(waiting.items()):
                if any(self._state(need).status in ("failed", "skipped") for need in step.needs):
                    self._state(name).status = "skipped"
                    del waiting[name]
                    changed = True
                elif step.needs <= self.outputs.keys() and len(self.active) < jobs:
                    del waiting[name]
                    self._begin(step, launcher)
                    changed = True
            if changed:
                self.run_folder.save()
            self.progress(self.run_folder)
            if not changed:
                time.sleep(_POLL)

    def _has_failed(self) -> bool:
        return any(step.status == "failed" for step in self.run_folder.state.steps.values())

    def _stop(self) -> None:
        """End the steps that run, because another one has failed."""
        for name, active in self.active.items():
            active.running.kill()
            state = self._state(name)
            state.status, state.finished = "interrupted", time.time()
            self.run_folder.keep_failed(name, active.attempt)
        self.active.clear()

    def _state(self, name: str) -> StepState:
        return self.run_folder.state.steps[name]

    def _begin(self, step: Step, launcher: Launcher) -> None:
        """Use an earlier result for the step, or start it."""
        state = self._state(step.name)
        names = list(step.component.outputs)
        types = {name: port.type for name, port in step.component.outputs.items()}
        key = self._key(step) if step.component.repeatable else None
        if key is not None and self.reuse:
            found = reusable(self.runs, key, names)
            if found is not None:
                folder, self.outputs[step.name] = found
                self.run_folder.reuse(step.name, folder)
                state.status, state.key = "reused", key
                state.reused_from = folder.relative_to(self.runs).parts[0]
                return
        attempt = self.run_folder.attempt(step.name)
        outputs = make_outputs(attempt, types)
        if key is not None and self.record and self.recorder is None:
            self.recorder = launcher.start(self._recorder_job())
        running = launcher.start(self._job(step, attempt, outputs), cold=key is None)
        self.active[step.name] = _Active(step, running, attempt, key)
        state.status, state.started, state.key = "running", time.time(), key

    def _collect(self) -> bool:
        """Keep the results of steps that have ended; returns whether any has."""
        for active in self.active.values():
            limit = active.step.timeout
            started = self._state(active.step.name).started
            if limit and started and time.time() - started > limit and not active.timed_out:
                active.timed_out = True
                active.running.kill()
                _append(
                    active.attempt / "log.txt",
                    f"\nerror: stopped after {limit:g} s, the step's limits.timeout\n",
                )
        ended = [(a, code) for a in self.active.values() if (code := a.running.poll()) is not None]
        for active, code in ended:
            name = active.step.name
            del self.active[name]
            state = self._state(name)
            state.finished, state.exit_code = time.time(), code
            missing = [
                o for o in active.step.component.outputs if not (active.attempt / o).exists()
            ]
            shutil.rmtree(active.attempt / CODE, ignore_errors=True)
            if active.timed_out:
                code = state.exit_code = 2
            if code == 0 and missing:
                _append(
                    active.attempt / "log.txt",
                    f"\nerror: the step wrote no output `{missing[0]}`\n",
                )
                code = state.exit_code = 2
            if code == 0:
                self.outputs[name] = {
                    output: digest(active.attempt / output)
                    for output in active.step.component.outputs
                }
                self.run_folder.keep(
                    name, active.attempt, key=active.key, outputs=self.outputs[name]
                )
                state.status = "completed"
            else:
                self.run_folder.keep_failed(name, active.attempt)
                state.status = "failed"
        return bool(ended)

    def _job(self, step: Step, attempt: Path, outputs: Mapping[str, str]) -> Job:
        component, inputs = step.component, self._inputs(step)
        if step.sweep is not None:
            return self._sweep_job(step, step.sweep, attempt)
        return component_job(
            component.command,
            code=self._code_folder(step, attempt),
            imports=self.code[step.name].imports,
            inputs=inputs,
            outputs=outputs,
            env=self.env | dict(step.variables),
            attempt=attempt,
        )

    def _code_folder(self, step: Step, attempt: Path) -> Path | None:
        """The folder a step starts in; a copy where Azure ML would upload other files than there are."""
        component = step.component
        if not is_changed_by_upload(component.code, component.includes):
            return component.code
        return copy_snapshot(component.code, component.includes, attempt / CODE)

    def _sweep_job(self, step: Step, sweep: Sweep, attempt: Path) -> Job:
        """Build the job that runs a sweep's trials; see `modelyard.sweeps.sweep`."""
        component, code = step.component, self.code[step.name]
        folder = self._code_folder(step, attempt)
        limits = sweep.limits
        plan = Plan(
            step=step.name,
            sweep=sweep.model_dump(mode="json", exclude_none=True),
            command=component.command,
            code=str(folder) if folder else None,
            imports=list(code.imports),
            preload=[*code.imports, *code.later],
            whole=[name for name, port in component.inputs.items() if port.type == "integer"],
            inputs=self._inputs(step),
            fingerprints=self._fingerprints(step),
            outputs={name: port.type for name, port in component.outputs.items()},
            key_parts={
                "code": code.digest,
                "environment": step.environment,
                "store": self.store,
            },
            runs=str(self.runs),
            trials=str(trials_folder(self.run_folder.path, step.name)),
            attempt=str(attempt),
            at_once=min(limits.max_concurrent_trials or limits.max_total_trials, self.jobs),
            reuse=self.reuse,
        )
        return Job(
            argv=[str(write_plan(plan))],
            cwd=str(self.root),
            env=self.env | dict(step.variables),
            log=str(attempt / "log.txt"),
            module="modelyard.sweeps.sweep",
        )

    def _inputs(self, step: Step) -> dict[str, str]:
        values = {}
        for name, binding in step.inputs.items():
            if isinstance(binding, Literal):
                values[name] = str(binding.value)
            elif isinstance(binding, Data):
                values[name] = str(binding.path)
            else:
                values[name] = str(self.run_folder.path / binding.step / binding.output)
        return values

    def _key(self, step: Step) -> str:
        return step_key(
            command=step.component.command + (step.sweep.model_dump_json() if step.sweep else ""),
            code=self.code[step.name].digest,
            environment=step.environment,
            inputs=self._fingerprints(step),
            outputs=list(step.component.outputs),
            store=self.store,
        )

    def _fingerprints(self, step: Step) -> dict[str, str]:
        found = {name: self._fingerprint(binding) for name, binding in step.inputs.items()}
        if step.component.reads_champion:
            found["the champion"] = champion_number(load_project(self.root).model, self.store) or ""
        return found

    def _fingerprint(self, binding: Literal | Data | StepOutput) -> str:
        if isinstance(binding, Literal):
            return f"value:{binding.value!r}"
        if isinstance(binding, StepOutput):
            # The evidence of a sweep is more than its best trial's outputs, and steps after it read it.
            sweep = self.run_folder.path / binding.step / EVIDENCE / f"{EVIDENCE}.json"
            seen = digest(sweep) if sweep.is_file() else ""
            return self.outputs[binding.step][binding.output] + seen
        if binding.path not in self.data_digests:
            self.data_digests[binding.path] = digest(binding.path)
        return self.data_digests[binding.path]

    def _preload(self) -> list[str]:
        """Libraries in the order in which steps need them; those imported inside functions come last."""
        first = [name for step in self.pipeline.steps for name in self.code[step.name].imports]
        later = [name for step in self.pipeline.steps for name in self.code[step.name].later]
        if not self.store.startswith("azureml:"):
            later = [name for name in later if not name.startswith("azure")]
        recorder = ["mlflow"] if self.record else []
        if self.record and self.store.startswith("sqlite:"):
            recorder += EMBEDDED_STORE
        return list(dict.fromkeys([*first, *recorder, *later]))

    def _unchanged_since(self) -> str | None:
        """The newest earlier run with the same results in every step, if there is one."""
        for step in self.pipeline.steps:
            expected = "reused" if step.component.repeatable else "completed"
            if self._state(step.name).status != expected:
                return None
        own = self.run_folder.state
        for earlier in all_runs(self.runs):
            state = earlier.state
            if state.id != own.id and state.status == "completed" and _keys(state) == _keys(own):
                return state.id
        return None

    def _recorder_job(self) -> Job:
        return Job(
            argv=[str(self.run_folder.path)],
            cwd=str(self.root),
            env=self.env,
            log=str(self.run_folder.path / "mlflow.log"),
            module="modelyard.pipelines.record",
            imports=("mlflow",),
        )

    def _finish_recording(self) -> None:
        """Wait until MLflow has everything; where the recorder fails, warn and keep the run."""
        if self.recorder is None:
            return
        patience = time.monotonic() + _RECORDER_PATIENCE
        while (code := self.recorder.poll()) is None and time.monotonic() < patience:
            time.sleep(_POLL)
        if code != 0:
            log = self.run_folder.path / "mlflow.log"
            print(f"warning: MLflow has no complete record of this run, see {log}", file=sys.stderr)

    def _has_refused(self, name: str) -> bool:
        """Whether a step said no; Python ends with the same exit code after an exception."""
        log = (self.run_folder.path / name / "log.txt").read_text("utf-8", errors="replace")
        code = self.run_folder.state.steps[name].exit_code
        return code == CheckFailed.exit_code and "\nTraceback (most recent call" not in f"\n{log}"

    def _failure(self, failed: list[str]) -> RunFailed:
        state = self.run_folder.state
        parts = []
        for name in failed:
            log = self.run_folder.path / name / "log.txt"
            parts.append(
                f"step `{name}` ended with {state.steps[name].ending}; the end of {log}:\n\n"
                + tail(log)
            )
        skipped = [name for name, step in state.steps.items() if step.status == "skipped"]
        if skipped:
            why = "they need it" if self.pipeline.continue_on_step_failure else "it failed"
            parts.append(f"skipped, because {why}: {', '.join(skipped)}")
        stopped = [name for name, step in state.steps.items() if step.status == "interrupted"]
        if stopped:
            parts.append(f"stopped (continue_on_step_failure: false): {', '.join(stopped)}")
        refused = all(self._has_refused(name) for name in failed)
        return RunFailed("\n".join(parts), 1 if refused else 2, self.run_folder.path)


def _keys(run: RunState) -> dict[str, str | None]:
    return {name: step.key for name, step in run.steps.items()}


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
