"""Sweeps: parallel trials, early termination, resuming after a kill, mistakes in the file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from modelyard.errors import CheckFailed
from modelyard.pipelines.documents import PipelineError
from modelyard.pipelines.failures import RunFailed
from modelyard.pipelines.reader import load_pipeline
from modelyard.pipelines.run import run_pipeline
from modelyard.pipelines.store import RunFolder
from modelyard.sweeps import sweep as sweeps
from modelyard.sweeps.evidence import POINTS_KEPT
from modelyard.sweeps.sweep import SweepFailed, run_sweep

from tests.editing import edit
from tests.project import ROOT
from tests.small_sweep import evidence, executed, make_plan, make_small_sweep, settings

BANDIT = {"early_termination": {"type": "bandit", "slack_factor": 0.5}}


@pytest.fixture
def tune(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline of a small project with a sweep, which is the working folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    path = make_small_sweep(tmp_path)
    shutil.copy(empty_store, tmp_path / ".mlflow" / "mlflow.db")
    return path


def states(told: dict[str, Any]) -> list[str]:
    return [trial["state"] for trial in told["details"]["trials"]]


def test_the_best_trials_outputs_are_the_nodes(tune: Path, tmp_path: Path) -> None:
    result = run_pipeline(tune, record=False)
    assert (result.folder / "read" / "out" / "level.txt").read_text() == "1.0"
    assert executed(tmp_path) == ["1", "2", "3", "4"]
    told = json.loads((result.folder / "tune" / "sweep" / "sweep.json").read_text())
    assert states(told) == ["completed"] * 4
    assert told["metrics"] == {
        "trials": 4, "completed": 4, "stopped": 0, "failed": 0, "best": 1.2,
    }  # fmt: skip
    assert told["params"]["best.level"] == 1.0


def test_what_is_maximised_ends_with_the_highest(tune: Path) -> None:
    edit(tune, "minimize", "maximize")
    result = run_pipeline(tune, record=False)
    assert (result.folder / "read" / "out" / "level.txt").read_text() == "4.0"
    told = json.loads((result.folder / "tune" / "sweep" / "sweep.json").read_text())
    assert told["metrics"]["best"] == 8.0


def test_a_second_run_with_nothing_changed_runs_nothing(tune: Path) -> None:
    run_pipeline(tune, record=False)
    assert run_pipeline(tune, record=False).unchanged


def test_a_wider_sweep_runs_only_what_is_new(tune: Path, tmp_path: Path) -> None:
    run_pipeline(tune, record=False)
    edit(tune, "[4.0, 3.0, 2.0, 1.0]", "[4.0, 3.0, 2.0, 1.0, 0.5]")
    result = run_pipeline(tune, record=False)
    assert executed(tmp_path) == ["0.5", "1", "2", "3", "4"]
    assert (result.folder / "read" / "out" / "level.txt").read_text() == "0.5"


def test_what_is_made_of_a_sweep_is_made_again_when_its_trials_change(tune: Path) -> None:
    run_pipeline(tune, record=False)
    edit(tune, "[4.0, 3.0, 2.0, 1.0]", "[4.0, 3.0, 1.0]")
    result = run_pipeline(tune, record=False)
    state = json.loads((result.folder / "run.json").read_text())
    assert state["steps"]["read"]["status"] == "completed"


def test_no_trial_is_taken_over_that_may_have_run_other_code(tune: Path, tmp_path: Path) -> None:
    code = tmp_path / "code" / "steps" / "trial.py"

    def editing(run: RunFolder) -> None:
        if run.state.steps["tune"].status == "running" and "str(level)" in code.read_text():
            edit(code, "str(level)", "'other'")

    run_pipeline(tune, record=False, progress=editing)
    edit(code, "'other'", "str(level)")
    result = run_pipeline(tune, record=False)
    assert (result.folder / "read" / "out" / "level.txt").read_text() == "1.0"
    assert executed(tmp_path) == ["1", "1", "2", "2", "3", "3", "4", "4"]


def test_training_with_the_values_of_a_trial_takes_its_result(tune: Path, tmp_path: Path) -> None:
    swept = run_pipeline(tune, record=False)
    plain = yaml.safe_load(tune.read_text(encoding="utf-8"))
    plain["jobs"]["tune"] = {
        "type": "command",
        "component": "../components/trial.yml",
        "inputs": {"text": "${{parent.inputs.text}}", "level": 2.0},
    }
    tune.with_name("plain.yml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    result = run_pipeline(tune.with_name("plain.yml"), record=False)
    assert (result.folder / "read" / "out" / "level.txt").read_text() == "2.0"
    state = json.loads((result.folder / "run.json").read_text())["steps"]["tune"]
    assert (state["status"], state["reused_from"]) == ("reused", swept.run_id)
    assert len(executed(tmp_path)) == 4


def test_no_reuse_runs_every_trial_again(tune: Path, tmp_path: Path) -> None:
    run_pipeline(tune, record=False)
    run_pipeline(tune, record=False, reuse=False)
    assert len(executed(tmp_path)) == 8


def test_a_sweep_whose_trials_all_fail_fails_with_the_reason(tune: Path) -> None:
    edit(
        tune,
        "      text: ${{parent.inputs.text}}\n",
        "      text: ${{parent.inputs.text}}\n      mood: fail\n",
    )
    with pytest.raises(RunFailed) as error:
        run_pipeline(tune, record=False)
    assert error.value.exit_code == 1
    assert "no trial has completed: 4 failed" in str(error.value)
    assert "the reason of the failure" in str(error.value)


def test_one_trial_that_fails_costs_nothing_but_itself(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, settings({"mood": ["fail", "well"]}))
    run_sweep(plan)
    assert sorted(states(evidence(plan))) == ["completed", "failed"]


def test_the_rule_ends_a_trial_that_lags_behind_and_says_at_which_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(tmp_path, settings({"level": [1.0, 50.0]}, **BANDIT), mood="endless")
    run_sweep(plan)
    good, lagging = sorted(evidence(plan)["details"]["trials"], key=lambda t: t["params"]["level"])
    assert good["state"] == "completed"
    assert lagging["state"] == "stopped" and lagging["stopped_by"] == "bandit"
    assert lagging["reports"] == lagging["stopped_at"]
    assert f"stopped by bandit at interval {lagging['stopped_at']}" in capsys.readouterr().out


def test_a_stopped_trial_leaves_its_history_and_no_outputs(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, settings({"level": [1.0, 50.0]}, **BANDIT), mood="endless")
    run_sweep(plan)
    (stopped,) = [t for t in evidence(plan)["details"]["trials"] if t["state"] == "stopped"]
    folder = Path(plan.trials) / str(stopped["number"])
    assert (folder / "metrics.jsonl").is_file() and (folder / "log.txt").is_file()
    assert not (folder / "model").exists()


def test_a_trial_that_will_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "_GRACE", 0.2)
    sweep = settings({"level": [1.0, 50.0]}, **BANDIT)
    plan = make_plan(tmp_path, sweep, mood="stubborn")
    run_sweep(plan)
    assert sorted(states(evidence(plan))) == ["completed", "stopped"]
    assert not processes_naming(str(tmp_path))


def test_a_trial_out_of_time_is_cancelled(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, settings({"level": [1.0, 50.0]}), mood="endless")
    plan.sweep["limits"]["trial_timeout"] = 3
    run_sweep(plan)
    assert sorted(states(evidence(plan))) == ["cancelled", "completed"]


def test_a_sweep_out_of_time_ends_with_the_best_so_far(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, settings({"level": [1.0, 40.0, 50.0, 60.0]}), mood="endless")
    plan.sweep["limits"]["timeout"] = 4
    # The good trial is among the first two that are drawn, and the others never end.
    plan.sweep["sampling_algorithm"]["seed"] = 4
    run_sweep(plan)
    assert set(states(evidence(plan))) == {"completed", "cancelled"}


def test_a_metric_that_no_trial_reports_ends_the_sweep_at_once(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, settings(), mood="silent")
    with pytest.raises(
        SweepFailed, match="without reporting the primary metric `loss`; it reported other"
    ):
        run_sweep(plan)


def test_a_check_that_says_no_in_every_trial_is_a_no(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed):
        run_sweep(make_plan(tmp_path, settings(), mood="fail"))


def test_long_histories_are_thinned_with_both_ends_kept(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, settings({"level": [1.0]}), reports="500")
    run_sweep(plan)
    (trial,) = evidence(plan)["details"]["trials"]
    assert len(trial["history"]) == POINTS_KEPT
    assert trial["history"][0] == [1, 2.0] and trial["history"][-1] == [500, 1.002]
    assert trial["reports"] == 500


def test_the_evidence_of_the_same_sweep_is_the_same(tmp_path: Path) -> None:
    first, second = (
        make_plan(tmp_path / name, settings({"level": [3.0, 1.0, 2.0]})) for name in ("a", "b")
    )
    run_sweep(first)
    run_sweep(second)
    assert evidence(first) == evidence(second)


SWEEP = "import sys, json; from modelyard.sweeps.sweep import Plan, run_sweep; run_sweep(Plan(**json.loads(sys.argv[1])))"


def start(plan: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SWEEP, json.dumps(vars(plan))])


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_killed_sweep_goes_on_with_the_trials_it_had(tmp_path: Path) -> None:
    levels = [50.0, 3.0, 2.0, 1.0]
    killed = make_plan(tmp_path, settings({"level": levels}), attempt="killed", mood="endless")
    runner = start(killed)
    wait_for(lambda: len(list(Path(killed.trials).glob("[0-9]*/done.json"))) == 3)
    runner.kill()
    runner.wait()
    plan = make_plan(tmp_path, settings({"level": levels}), mood="endless")
    plan.sweep["limits"]["trial_timeout"] = 1
    run_sweep(plan)
    assert sorted(states(evidence(plan))) == ["cancelled", "completed", "completed", "completed"]
    assert evidence(plan)["metrics"]["best"] == 1.2
    assert executed(tmp_path) == ["1", "2", "3"]
    assert not list(Path(plan.trials).glob(".*-??????"))


def test_what_a_rule_has_ended_is_not_run_again_by_the_same_sweep(tmp_path: Path) -> None:
    sweep = settings({"level": [1.0, 50.0]}, **BANDIT)
    plan = make_plan(tmp_path, sweep, mood="endless")
    run_sweep(plan)
    stopped = next(t for t in evidence(plan)["details"]["trials"] if t["state"] == "stopped")
    folder = Path(plan.trials) / str(stopped["number"])
    (folder / "mark").touch()
    again = make_plan(tmp_path, sweep, attempt="again", mood="endless")
    run_sweep(again)
    assert evidence(again) == evidence(plan)
    assert (folder / "mark").exists()


def test_what_another_rule_has_ended_is_run_again(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, settings({"level": [1.0, 50.0]}, **BANDIT), mood="endless")
    run_sweep(plan)
    gentle = {"early_termination": {"type": "bandit", "slack_factor": 0.6}}
    again = make_plan(
        tmp_path, settings({"level": [1.0, 50.0]}, **gentle), attempt="again", mood="endless"
    )
    for folder in Path(plan.trials).glob("[0-9]*"):
        (folder / "mark").touch()
    run_sweep(again)
    (stopped,) = [t for t in evidence(again)["details"]["trials"] if t["state"] == "stopped"]
    assert not (Path(plan.trials) / str(stopped["number"]) / "mark").exists()


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_a_sweep_killed_at_any_moment_ends_right_in_the_next(tmp_path: Path, seed: int) -> None:
    sweep = settings({"level": [4.0, 3.0, 2.0, 1.0]})
    runner = start(make_plan(tmp_path, sweep, attempt="killed"))
    time.sleep(0.2 + 0.25 * seed)
    runner.kill()
    runner.wait()
    plan = make_plan(tmp_path, sweep)
    run_sweep(plan)
    assert states(evidence(plan)) == ["completed"] * 4
    assert (Path(plan.attempt) / "model" / "level.txt").read_text() == "1.0"


def processes_naming(text: str) -> list[int]:
    """Processes whose environment or command line names a text; Linux only, else none."""
    found = []
    for entry in Path("/proc").iterdir() if sys.platform == "linux" else ():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = [
                    (entry / name).read_text(errors="replace") for name in ("environ", "cmdline")
                ]
            except OSError:
                continue
            if any(text in one for one in told):
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("      level:\n", "      levle:\n", "the trial has no such input; did you mean `level`?"),
        ("      level:\n", "      text:\n", "it is given under `inputs` as well"),
        ("[4.0, 3.0, 2.0, 1.0]", "[4.0, many]", "a value of type number, found 'many'"),
        ("[4.0, 3.0, 2.0, 1.0]", "[4.0, 101.0]", "the input expects at most 100, found 101.0"),
        ("type: choice\n        values: [4.0, 3.0, 2.0, 1.0]", "type: uniform\n        min_value: 1\n        max_value: 2", "grid sampling draws from choice only, found uniform"),
        ("type: choice", "type: chioce", "search_space.level.type: expected one of"),
        ("values: [4.0, 3.0, 2.0, 1.0]", "values: []", "at least 1 item"),
        ("values: [4.0, 3.0, 2.0, 1.0]", "vals: [1.0]", "search_space.level.values: this field is missing"),
        ("sampling_algorithm: grid", "sampling_algorithm: grd", "'random', 'grid' or 'bayesian'"),
        ("goal: minimize", "goal: minimise", "'minimize' or 'maximize', found 'minimise'"),
        ("primary_metric: loss", "primary_metric: ''", "objective.primary_metric"),
        ("max_total_trials: 10", "max_total_trials: 0", "greater than or equal to 1, found 0"),
        ("max_total_trials: 10", "max_total_trials: 1001", "less than or equal to 1000"),
        ("max_concurrent_trials: 2", "max_concurent_trials: 2", "limits.max_concurent_trials: no such field; did you mean `max_concurrent_trials`?"),
        ("slack_factor: 9.0", "slack_factor: 9.0\n      slack_amount: 1.0", "give one of slack_factor and slack_amount"),
        ("slack_factor: 9.0", "slack_factor: 9.0\n      evaluation_interval: -1", "greater than or equal to 1"),
        ("type: bandit", "type: median_stopping", "early_termination.slack_factor: no such field"),
        ("    trial: ../components", "    component: ../components", "a step of type sweep has no field `component`"),
        ("    objective:\n      goal: minimize\n      primary_metric: loss\n", "", "objective: this field is missing"),
        ("components/trial.yml", "components/trail.yml", "did you mean `trial.yml`?"),
        ("tune.outputs.model", "tune.outputs.modle", "did you mean `model`?"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_sweep_is_refused_with_its_place(
    tune: Path, old: str, new: str, message: str
) -> None:
    line = edit(tune, old, new)
    with pytest.raises(PipelineError) as error:
        load_pipeline(tune)
    assert message in str(error.value)
    lines = [problem.line for problem in error.value.problems]
    near = abs(lines[0] - line) <= 2
    assert near or not new, error.value  # what is missing stands nowhere


@pytest.mark.parametrize(
    ("name", "expression", "message"),
    [
        ("reports", "{type: uniform, min_value: 1, max_value: 9}", "draws fractions, the input is an integer"),
        ("reports", "{type: quniform, min_value: 1, max_value: 9, q: 0.5}", "draws fractions"),
        ("reports", "{type: randint, upper: 9}", "draws from 0 to 8, the input allows 1 to 1000"),
        ("level", "{type: loguniform, min_value: 0.01, max_value: 9}", "min_value and max_value are exponents"),
        ("level", "{type: normal, mu: 0, sigma: 1}", "the input allows 0 to 100"),
        ("mood", "{type: randint, upper: 2}", "draws numbers, the input is a string; use choice"),
        ("mood", "{type: choice, values: [well, hungry]}", "one of well, endless, fail, silent, stubborn, found 'hungry'"),
        ("text", "{type: choice, values: [a]}", "the input is data (uri_file)"),
    ],
)  # fmt: skip
def test_values_that_the_trial_cannot_take_are_refused(
    tune: Path, name: str, expression: str, message: str
) -> None:
    edit(tune, "sampling_algorithm: grid", "sampling_algorithm: random")
    line = edit(
        tune,
        "      level:\n        type: choice\n        values: [4.0, 3.0, 2.0, 1.0]",
        f"      {name}: {expression}",
    )
    if name == "text":
        edit(tune, "    inputs:\n      text: ${{parent.inputs.text}}\n    sampling", "    sampling")
        line -= 2
    with pytest.raises(PipelineError) as error:
        load_pipeline(tune)
    assert message in str(error.value)
    assert f"tune.yml:{line}:" in str(error.value)


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("reports", "{type: quniform, min_value: 10, max_value: 90, q: 10}"),
        ("reports", "{type: choice, values: [1, 2]}"),
        ("level", "{type: loguniform, min_value: -4.6, max_value: 0}"),
        ("level", "{type: lognormal, mu: 0, sigma: 1}"),
        ("level", "{type: randint, upper: 9}"),
        ("mood", "{type: choice, values: [well, fail]}"),
    ],
)
def test_values_that_the_trial_can_take_are_accepted(
    tune: Path, name: str, expression: str
) -> None:
    edit(tune, "sampling_algorithm: grid", "sampling_algorithm: random")
    edit(
        tune,
        "      level:\n        type: choice\n        values: [4.0, 3.0, 2.0, 1.0]",
        f"      {name}: {expression}",
    )
    (step,) = [step for step in load_pipeline(tune).steps if step.name == "tune"]
    assert step.sweep is not None and set(step.sweep.search_space) == {name}


PIPELINES = ROOT / "azureml" / "pipelines"


def test_the_projects_sweep_differs_from_training_only_in_how_it_trains() -> None:
    sweep, train = (
        yaml.safe_load((PIPELINES / name).read_text(encoding="utf-8"))
        for name in ("sweep.yml", "train.yml")
    )
    assert sweep["jobs"].pop("train")["trial"] == train["jobs"].pop("train")["component"]
    assert sweep["jobs"] == train["jobs"]


@pytest.mark.parametrize("policy", ["bandit", "median_stopping"])
def test_the_projects_sweep_takes_either_rule(policy: str, tmp_path: Path) -> None:
    text = (PIPELINES / "sweep.yml").read_text(encoding="utf-8")
    if policy != "bandit":
        text = text.replace("type: bandit\n      slack_factor: 0.02", f"type: {policy}")
    text = text.replace("../components", str(PIPELINES.parent / "components"))
    (tmp_path / "sweep.yml").write_text(text, encoding="utf-8")
    loaded = load_pipeline(tmp_path / "sweep.yml", need_data=False)
    (step,) = [step for step in loaded.steps if step.sweep is not None]
    assert step.sweep and step.sweep.early_termination
    assert step.sweep.early_termination.type == policy
