"""Runs an Azure ML pipeline on this machine, with the same components and command lines."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from modelyard.files import digest, link_tree, project_root
from modelyard.models.registry import champion_number
from modelyard.pipelines.code import StepCode, preload, recorder_imports, step_code
from modelyard.pipelines.commit import PATCH, commit_of
from modelyard.pipelines.documents import WITHOUT_EFFECT
from modelyard.pipelines.failures import failure
from modelyard.pipelines.jobs import (
    CODE,
    component_job,
    keep_artifacts,
    make_outputs,
    tracked_apart,
)
from modelyard.pipelines.model import Data, Literal, Pipeline, Step, StepOutput
from modelyard.pipelines.reader import load_pipeline
from modelyard.pipelines.record import GAVE_UP, await_store
from modelyard.pipelines.seen import Seen
from modelyard.pipelines.snapshot import copy_snapshot, is_changed_by_upload
from modelyard.pipelines.step_environments import step_pythons
from modelyard.pipelines.store import (
    INPUT_TAG,
    RunFolder,
    RunState,
    StepState,
    all_runs,
    installed,
    interrupted_run,
    new_run,
    step_key,
    trials_folder,
)
from modelyard.pipelines.tasks import MINI_BATCHES, MINI_BATCHES_VARIABLE
from modelyard.pipelines.warm import Job, Launcher, Running, environment
from modelyard.project import load_project
from modelyard.sweeps.model import Sweep
from modelyard.sweeps.plan import EVIDENCE, Plan, write_plan
from modelyard.tracking import MLFLOW_SETTINGS, local_store, store_uri, tracking_uri

_POLL = 0.01
PIPELINE_OUTPUTS = "pipeline.outputs"  # no step is called so: the dot parts a nested step's name
_RECORDER_PATIENCE = 120.0


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
    here: bool = False,
    progress: Callable[[RunFolder], None] = lambda run: None,
    launcher: Launcher | None = None,
) -> Result:
    """Execute a pipeline.

    Args:
        path: pipeline YAML.
        inputs: pipeline input → value or path, instead of those in the file.
        reuse: use results of earlier runs whose command, code, inputs and environment are the same.
        jobs: number of steps at once; default: one per core, at least two.
        experiment: MLflow experiment; default: the pipeline's `experiment_name`.
        record: log the run to MLflow.
        here: run every step in the environment of this process.
        progress: called with the run whenever something may have changed.
        launcher: of several runs of one pipeline, which import its libraries once; default: one of this run.

    Raises:
        PipelineError: the pipeline is broken; nothing was run.
        RunFailed: a step failed.
    """
    root = project_root(path.parent.resolve() if path.exists() else None)
    pipeline = load_pipeline(path, overrides=inputs, data_assets=root / "azureml" / "data")
    said: dict[tuple[Path, str], list[int]] = {}
    for note in pipeline.notes:
        if here and note.message.startswith("`environment`"):
            continue
        if not note.message.endswith(WITHOUT_EFFECT["compute"]):  # every pipeline names a compute
            said.setdefault((note.file, note.message), []).append(note.line)
    for (file, message), lines in said.items():
        print(f"note: {file}:{','.join(map(str, sorted(lines)))}: {message}", file=sys.stderr)
    pythons = {} if here else step_pythons(root, pipeline)
    runs = root / ".runs"
    name = experiment or pipeline.experiment or pipeline.name
    tags = dict(pipeline.tags) | ({"purpose": "exploration"} if experiment else {})
    tags |= {f"{INPUT_TAG}{key}": value for key, value in (inputs or {}).items()}
    run = interrupted_run(runs, pipeline.name, name) or new_run(runs, pipeline.name, name, tags)
    run.state.tags = tags
    try:
        execution = _Execution(
            root, pipeline, run, reuse=reuse, record=record, pythons=pythons, progress=progress
        )
        with nullcontext(launcher) if launcher else Launcher() as starter:
            return execution.run(starter, jobs or max(2, os.cpu_count() or 2))
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
        pythons: Mapping[str, Path],
        progress: Callable[[RunFolder], None],
    ) -> None:
        self.root = root
        self.pipeline = pipeline
        self.run_folder = run
        self.runs = root / ".runs"
        self.progress = progress
        self.record = record
        self.pythons = pythons
        self.store = tracking_uri(root)
        # Results belong to what was registered from them: without the store they are not reused.
        has_store = self.store != store_uri(local_store(root)) or local_store(root).exists()
        self.reuse = reuse and not pipeline.force_rerun and has_store
        self.seen = Seen()
        self.code: dict[str, StepCode] = {}
        for step in pipeline.steps:
            part = step.component
            self.code[step.name] = step_code(
                part.code, part.module, part.command.split(), part.includes, self.seen.code
            )
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
                MINI_BATCHES_VARIABLE: str(MINI_BATCHES),
            }
        )

    def run(self, launcher: Launcher, jobs: int) -> Result:
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
        codes = [self.code[step.name] for step in self.pipeline.steps]
        launcher.preload = preload(codes, self.store, record=self.record)
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
        self.seen.warn()
        if failed:
            raise failure(self.run_folder, self.pipeline, failed)
        return Result(state.id, run.path, unchanged=False)

    def _bind_outputs(self) -> None:
        """Link the outputs of the pipeline below `PIPELINE_OUTPUTS` of the run's folder."""
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
            steps = self.run_folder.state.steps.values()
            has_failed = any(step.status == "failed" for step in steps)
            if has_failed and not self.pipeline.continue_on_step_failure:
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

    def _stop(self) -> None:
        """End the steps that run, because another one has failed."""
        for name, active in self.active.items():
            active.running.kill()
            state = self._state(name)
            state.status, state.finished = "interrupted", time.time()
            keep_artifacts(active.attempt, "", ())
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
        if key and self.reuse and (found := self.run_folder.reuse(step.name, key, names)):
            folder, self.outputs[step.name] = found
            state.status, state.key = "reused", key
            state.reused_from = folder.relative_to(self.runs).parts[0]
            return
        attempt = self.run_folder.attempt(step.name)
        state.started = time.time()
        if changed := self.seen.changed_input(step):
            _append(attempt / "log.txt", f"error: {changed} changed during the run: run again\n")
            self.run_folder.keep_failed(step.name, attempt)
            state.status, state.finished, state.exit_code = "failed", time.time(), 2
            return
        outputs = make_outputs(attempt, types)
        if key is not None and self.record and self.recorder is None:
            self.recorder = launcher.start(self._recorder_job())
        if not self.code[step.name].uses_toolkit:  # which waits for the store itself
            await_store(self.store, self.recorder)
        running = launcher.start(self._job(step, attempt, outputs), cold=key is None)
        self.active[step.name] = _Active(step, running, attempt, key)
        state.status, state.key = "running", key

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
            component = active.step.component
            keep_artifacts(active.attempt, component.command, component.outputs)
            missing = [o for o in component.outputs if not (active.attempt / o).exists()]
            if active.timed_out:
                code = state.exit_code = 2
            if code == 0 and missing:
                _append(
                    active.attempt / "log.txt",
                    f"\nerror: the step wrote no output `{missing[0]}`\n",
                )
                code = state.exit_code = 2
            if active.key is not None:
                state.key = self.seen.key_of_result(active.step, active.key, self._key(active.step))
                if state.key is None:
                    self.run_folder.forget_trials(name)
            if code == 0:
                outputs = {o: digest(active.attempt / o) for o in component.outputs}
                self.outputs[name] = outputs
                self.run_folder.keep(name, active.attempt, key=state.key, outputs=outputs)
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
            env=self._environment(step, attempt),
            attempt=attempt,
            python=self._python(step),
        )

    def _python(self, step: Step) -> str | None:
        python = self.pythons.get(step.name)
        return str(python) if python else None

    def _environment(self, step: Step, attempt: Path) -> dict[str, str]:
        """Environment variables; an MLflow of another version cannot use the store of this one."""
        apart = step.name in self.pythons and self.store.startswith("sqlite:")
        return self.env | (tracked_apart(attempt) if apart else {}) | dict(step.variables)

    def _code_folder(self, step: Step, attempt: Path) -> Path | None:
        """The folder a step starts in; a copy where it may write there, or finds other files on Azure ML.

        A module of a package writes where its arguments say.
        """
        component = step.component
        changed = is_changed_by_upload(component.code, component.includes)
        if not changed and (component.code is None or component.module):
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
                "libraries": installed(self.pythons.get(step.name)),
            },
            runs=str(self.runs),
            trials=str(trials_folder(self.run_folder.path, step.name)),
            attempt=str(attempt),
            at_once=min(limits.max_concurrent_trials or limits.max_total_trials, self.jobs),
            reuse=self.reuse,
            python=self._python(step),
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
            libraries=installed(self.pythons.get(step.name)),
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
        return self.seen.input(binding.path)

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
            imports=recorder_imports(self.store),
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


def _keys(run: RunState) -> dict[str, str | None]:
    return {name: step.key for name, step in run.steps.items()}


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
