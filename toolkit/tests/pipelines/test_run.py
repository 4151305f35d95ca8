"""Runs of a pipeline: results, reuse, failures, and resuming after a kill."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from modelyard.models.registry import Registry, champion_number
from modelyard.pipelines import store
from modelyard.pipelines.failures import RunFailed
from modelyard.pipelines.run import run_pipeline
from modelyard.pipelines.store import RunFolder, installed, interrupted_run, new_run, open_run
from modelyard.pipelines.warm import Job, Launcher, environment
from modelyard.tracking import tracking_uri

from tests.editing import edit
from tests.small_project import executed, make_small_project, run_states

RUN = "from pathlib import Path; from modelyard.pipelines.run import run_pipeline; run_pipeline(Path({!r}), record=False)"


@pytest.fixture(autouse=True)
def _store(pipeline: Path, empty_store: Path) -> None:
    """Reuse asks for the MLflow store that results belong to."""
    (pipeline.parents[2] / ".mlflow").mkdir()
    shutil.copy(empty_store, pipeline.parents[2] / ".mlflow" / "mlflow.db")


def step_text(run: Path, step: str) -> str:
    return (run / step / "out" / "text.txt").read_text(encoding="utf-8")


def test_each_step_gets_what_the_step_before_wrote(pipeline: Path) -> None:
    result = run_pipeline(pipeline, record=False)
    assert step_text(result.folder, "left") == "start\none\ntwo\n"
    assert step_text(result.folder, "right") == "start\none\nthree\n"


def test_a_second_run_with_nothing_changed_runs_nothing(pipeline: Path, tmp_path: Path) -> None:
    first = run_pipeline(pipeline, record=False)
    second = run_pipeline(pipeline, record=False)
    assert second.unchanged
    assert second.run_id == first.run_id
    assert executed(tmp_path) == ["one", "three", "two"]


def test_no_reuse_runs_everything_again(pipeline: Path, tmp_path: Path) -> None:
    run_pipeline(pipeline, record=False)
    assert not run_pipeline(pipeline, record=False, reuse=False).unchanged
    assert len(executed(tmp_path)) == 6


@pytest.mark.parametrize(
    ("file", "old", "new", "again"),
    [
        ("text.txt", "start", "changed", ["one", "three", "two"]),
        ("azureml/components/second.yml", "text two", "text  two", ["two"]),
        ("azureml/components/second.yml", "azureml:train@latest", "azureml:train:2", ["two"]),
        ("code/steps/text.py", '"""Steps', '"""The steps', ["one", "three", "two"]),
    ],
)
def test_exactly_what_depends_on_a_change_runs_again(
    pipeline: Path, tmp_path: Path, file: str, old: str, new: str, again: list[str]
) -> None:
    run_pipeline(pipeline, record=False)
    (tmp_path / ".runs" / "executed.txt").unlink()
    edit(tmp_path / file, old, new)
    run_pipeline(pipeline, record=False)
    assert executed(tmp_path) == again


def test_a_result_that_was_tampered_with_is_not_reused(pipeline: Path, tmp_path: Path) -> None:
    first = run_pipeline(pipeline, record=False)
    (first.folder / "first" / "out" / "text.txt").write_text("forged\n", encoding="utf-8")
    second = run_pipeline(pipeline, record=False)
    assert step_text(second.folder, "first") == "start\none\n"
    assert step_text(second.folder, "left") == "start\none\ntwo\n"


def test_results_that_are_registered_elsewhere_are_not_reused(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_pipeline(pipeline, record=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    assert not run_pipeline(pipeline, record=False).unchanged
    assert executed(tmp_path) == ["one", "one", "three", "three", "two", "two"]


def test_another_version_of_a_library_runs_everything_again(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    (site / "numpy-1.0.dist-info").mkdir(parents=True)
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"purelib": str(site)})
    installed.cache_clear()
    run_pipeline(pipeline, record=False)
    (site / "numpy-1.0.dist-info").rename(site / "numpy-1.1.dist-info")
    installed.cache_clear()
    assert not run_pipeline(pipeline, record=False).unchanged
    assert run_pipeline(pipeline, record=False).unchanged
    installed.cache_clear()
    assert len(executed(tmp_path)) == 6


@pytest.fixture
def champions(pipeline: Path, tmp_path: Path, empty_store: Path) -> Registry:
    """The project's registry with two versions and no champion."""
    store = tmp_path / ".mlflow" / "mlflow.db"
    shutil.copy(empty_store, store)
    registry = Registry("test", f"sqlite:///{store}")
    experiment = registry.client.create_experiment("tests", str(tmp_path / "artifacts"))
    for digest in ("a", "b"):
        run = registry.client.create_run(experiment).info.run_id
        source = registry.source(run, "model")
        registry.register(run_id=run, source=source, tags={"model_digest": digest})
    return registry


def test_a_step_that_depends_on_the_champion_runs_again_exactly_when_that_has_changed(
    champions: Registry, pipeline: Path, tmp_path: Path
) -> None:
    edit(
        tmp_path / "azureml" / "components" / "second.yml",
        "type: command\n",
        "type: command\nis_deterministic: false\ntags: {depends_on: champion}\n",
    )
    for champion, again in ((None, ["one", "three", "two"]), ("1", ["two"]), ("2", ["two"])):
        if champion:
            champions.set_champion(champions.version(champion))
        run_pipeline(pipeline, record=False)
        assert executed(tmp_path) == again
        assert run_pipeline(pipeline, record=False).unchanged
        (tmp_path / ".runs" / "executed.txt").unlink()


def test_a_result_is_not_kept_for_a_champion_that_changed_while_its_step_ran(
    champions: Registry, pipeline: Path, tmp_path: Path
) -> None:
    component = tmp_path / "azureml" / "components" / "second.yml"
    edit(component, "type: command\n", "type: command\ntags: {depends_on: champion}\n")
    champions.set_champion(champions.version("1"))

    def promoting(run: RunFolder) -> None:
        if run.state.steps["left"].status == "running":
            champions.set_champion(champions.version("2"))

    run_pipeline(pipeline, record=False, progress=promoting)
    champions.set_champion(champions.version("1"))
    run_pipeline(pipeline, record=False)
    assert executed(tmp_path) == ["one", "three", "two", "two"]


def test_a_step_that_is_not_deterministic_runs_every_time(pipeline: Path, tmp_path: Path) -> None:
    component = tmp_path / "azureml" / "components" / "second.yml"
    edit(component, "type: command\n", "type: command\nis_deterministic: false\n")
    run_pipeline(pipeline, record=False)
    run_pipeline(pipeline, record=False)
    assert executed(tmp_path) == ["one", "three", "two", "two"]


@pytest.mark.parametrize("name", ["other.py", "words/list.txt"])
def test_a_file_that_a_step_can_read_counts_and_no_other_does(
    pipeline: Path, tmp_path: Path, name: str
) -> None:
    run_pipeline(pipeline, record=False)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("outside the code folder", encoding="utf-8")
    assert run_pipeline(pipeline, record=False).unchanged
    file = tmp_path / "code" / "steps" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("x = 1\n", encoding="utf-8")
    assert not run_pipeline(pipeline, record=False).unchanged


@pytest.mark.parametrize(("code", "expected"), [(1, 1), (2, 2), (3, 2)])
def test_a_failing_step_says_why_and_what_needs_it_is_skipped(
    pipeline: Path, tmp_path: Path, code: int, expected: int
) -> None:
    edit(
        tmp_path / "azureml" / "components" / "first.yml",
        "text one ${{inputs.text}} ${{outputs.out}}",
        f"text fail {code}",
    )
    with pytest.raises(RunFailed) as error:
        run_pipeline(pipeline, record=False)
    assert error.value.exit_code == expected
    assert "the reason of the failure" in str(error.value)
    assert "skipped, because they need it: left, right" in str(error.value)
    assert executed(tmp_path) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("python -m steps.text fail 'no number'", "ValueError: invalid literal"),
        ("true && python -m steps.text fail 'no number'", "ValueError: invalid literal"),
        ("true && python -m missing", "No module named missing"),
        ("true && python -c '1 +'", "SyntaxError"),
        ("true && python -c 'import own_boost.x'", "own_boost is not installed: .*model.in"),
        ("echo '╭ Traceback (most recent call last) ╮'; false", "Traceback"),  # rich's
    ],
)
def test_a_step_that_crashes_has_not_refused(
    pipeline: Path, tmp_path: Path, command: str, said: str
) -> None:
    edit(
        tmp_path / "azureml" / "components" / "first.yml",
        "python -m steps.text one ${{inputs.text}} ${{outputs.out}}",
        command,
    )
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "model.in").touch()
    with pytest.raises(RunFailed, match=said) as error:
        run_pipeline(pipeline, record=False)
    assert error.value.exit_code == 2


def test_a_project_may_have_any_name_that_a_folder_can_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = '50%25? #1 [x] it\'s a "ü" & b; $HOME `c` {d} e:f'
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    root = place / folder
    run_pipeline(make_small_project(root))
    assert Registry("m", tracking_uri(root)).versions() == []
    assert champion_number("m", tracking_uri(root)) is None
    assert [one.name for one in place.iterdir()] == [folder]
    assert executed(root) == ["one", "three", "two"]


def test_a_step_that_fails_does_not_stop_the_ones_beside_it(pipeline: Path, tmp_path: Path) -> None:
    edit(
        tmp_path / "azureml" / "components" / "second.yml",
        "text two ${{inputs.text}} ${{outputs.out}}",
        "text fail 1",
    )
    with pytest.raises(RunFailed):
        run_pipeline(pipeline, record=False)
    assert executed(tmp_path) == ["one", "three"]


def test_a_step_that_forgets_a_file_output_fails(pipeline: Path, tmp_path: Path) -> None:
    component = tmp_path / "azureml" / "components" / "second.yml"
    edit(component, "out: {type: uri_folder}", "out: {type: uri_file}")
    edit(component, "text two ${{inputs.text}} ${{outputs.out}}", "text silent")
    with pytest.raises(RunFailed, match="the step wrote no output `out`"):
        run_pipeline(pipeline, record=False)


def test_a_command_for_the_shell_runs_in_a_shell(pipeline: Path, tmp_path: Path) -> None:
    edit(
        tmp_path / "azureml" / "components" / "second.yml",
        "python -m steps.text two ${{inputs.text}} ${{outputs.out}}",
        "cat ${{inputs.text}}/text.txt | tr a-z A-Z > ${{outputs.out}}/text.txt",
    )
    assert step_text(run_pipeline(pipeline, record=False).folder, "left") == "START\nONE\n"


def slow(root: Path, seconds: float) -> Path:
    """Make the step `left` write half of its output, raise a flag, and wait."""
    flag = root / "flag"
    edit(
        root / "azureml" / "components" / "second.yml",
        "text two ${{inputs.text}} ${{outputs.out}}",
        f"text slow ${{{{inputs.text}}}} ${{{{outputs.out}}}} {flag} {seconds}",
    )
    return flag


def test_a_killed_run_resumes_where_it_stopped(pipeline: Path, tmp_path: Path) -> None:
    flag = slow(tmp_path, 3)
    runner = subprocess.Popen([sys.executable, "-c", RUN.format(str(pipeline))])
    until = time.monotonic() + 30
    while time.monotonic() < until:
        states = next(iter(run_states(tmp_path).values()), {})
        if flag.exists() and states.get("right") == "completed":
            break
        time.sleep(0.02)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    killed = next(iter(run_states(tmp_path)))
    result = run_pipeline(pipeline, record=False)
    assert result.run_id == killed
    assert run_states(tmp_path)[killed] == {
        "first": "reused",
        "left": "completed",
        "right": "reused",
    }
    assert step_text(result.folder, "left") == "start\none\nslow\n"
    assert not list(result.folder.glob(".left-*"))
    assert executed(tmp_path) == ["one", "slow", "three"]


@pytest.mark.parametrize("kind", ["forked", "ordinary"])
def test_nothing_outlives_a_killed_runner(pipeline: Path, tmp_path: Path, kind: str) -> None:
    flag = slow(tmp_path, 60)
    if kind == "ordinary":  # as is a step that is never reused, such as the one that registers
        component = tmp_path / "azureml" / "components" / "second.yml"
        edit(component, "type: command\n", "type: command\nis_deterministic: false\n")
    runner = subprocess.Popen([sys.executable, "-c", RUN.format(str(pipeline))])
    until = time.monotonic() + 30
    while not flag.exists() and time.monotonic() < until:
        time.sleep(0.02)
    runner.kill()
    runner.wait()
    if sys.platform == "linux":
        step = Path("/proc") / flag.read_text(encoding="utf-8") / "stat"
        until = time.monotonic() + 20
        while (
            left := [*processes_naming(str(flag)), *filter(runs, [step])]
        ) and time.monotonic() < until:
            time.sleep(0.1)
        assert left == []


def runs(stat: Path) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_naming(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if text in (entry / "environ").read_text(errors="replace") + (
                    entry / "cmdline"
                ).read_text(errors="replace"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]
)
def test_a_run_killed_at_any_moment_ends_right_in_the_next(pipeline: Path, seed: int) -> None:
    moment = random.Random(seed).uniform(0.15, 1.2)
    runner = subprocess.Popen([sys.executable, "-c", RUN.format(str(pipeline))])
    time.sleep(moment)
    runner.kill()
    runner.wait()
    result = run_pipeline(pipeline, record=False)
    assert step_text(result.folder, "left") == "start\none\ntwo\n"
    assert step_text(result.folder, "right") == "start\none\nthree\n"


def test_two_runs_at_once_do_not_disturb_each_other(pipeline: Path, tmp_path: Path) -> None:
    runners = [
        subprocess.Popen([sys.executable, "-c", RUN.format(str(pipeline))]) for _ in range(3)
    ]
    assert [runner.wait() for runner in runners] == [0, 0, 0]
    for run in run_states(tmp_path):
        assert step_text(tmp_path / ".runs" / run, "left") == "start\none\ntwo\n"


def editing(path: Path, old: str, new: str) -> Callable[[RunFolder], None]:
    """Edit a file as soon as the step `first` runs."""

    def progress(run: RunFolder) -> None:
        if run.state.steps["first"].status == "running" and old in path.read_text("utf-8"):
            edit(path, old, new)

    return progress


def test_an_input_that_changes_during_a_run_ends_it_and_no_result_is_taken_for_another(
    pipeline: Path, tmp_path: Path
) -> None:
    left = "component: ../components/second.yml\n    inputs:\n      text: ${{parent."
    edit(pipeline, f"{left}jobs.first.outputs.out", f"{left}inputs.text")
    edit(tmp_path / "azureml" / "components" / "second.yml", "uri_folder}\nout", "uri_file}\nout")
    changing = editing(tmp_path / "text.txt", "start", "changed")
    with pytest.raises(RunFailed, match=r"text\.txt changed during the run: run again") as error:
        run_pipeline(pipeline, record=False, jobs=1, progress=changing)
    assert error.value.exit_code == 2
    edit(tmp_path / "text.txt", "changed", "start")
    result = run_pipeline(pipeline, record=False)
    assert step_text(result.folder, "first") == step_text(result.folder, "left")[:-4] + "one\n"
    assert executed(tmp_path).count("one") == 2


def test_code_that_changes_during_a_run_leaves_no_result_under_the_name_of_the_old(
    pipeline: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = tmp_path / "code" / "steps" / "text.py"
    run_pipeline(pipeline, record=False, progress=editing(code, "text + verb", "text + '!' + verb"))
    assert "no later run uses the results of first, left, right" in capfd.readouterr().err
    edit(code, "text + '!' + verb", "text + verb")
    result = run_pipeline(pipeline, record=False)
    assert step_text(result.folder, "left") == "start\none\ntwo\n"


def test_a_result_that_is_deleted_while_it_is_reused_is_made_again(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_pipeline(pipeline, record=False)
    link = store.link_tree

    def slowly(source: Path, target: Path) -> None:
        shutil.rmtree(first.folder / "first" / "out")
        link(source, target)

    monkeypatch.setattr(store, "link_tree", slowly)
    result = run_pipeline(pipeline, record=False)
    assert step_text(result.folder, "left") == "start\none\ntwo\n"


def test_a_run_that_ended_or_was_deleted_after_it_was_looked_at_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, "p", "e", {})
    seen = open_run(run.path)
    assert seen is not None
    monkeypatch.setattr(store, "all_runs", lambda runs: [seen])
    run.state.status = "completed"
    run.save()
    run.release()
    assert interrupted_run(tmp_path, "p", "e") is None
    shutil.rmtree(run.path)
    seen.state.status = "running"
    assert interrupted_run(tmp_path, "p", "e") is None
    assert not run.path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks from a warm interpreter")
def test_a_warm_step_sees_what_an_ordinary_process_sees(tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(
        "import os, sys, json\n"
        "print(json.dumps([sys.argv, os.getcwd(), sys.path[0], os.environ['MARK'], __name__]))\n"
        "sys.exit(7)\n",
        encoding="utf-8",
    )
    seen = []
    for warm in (True, False):
        log = tmp_path / f"{warm}.txt"
        env = environment({"MARK": "m"})
        job = Job(["a", "b c"], str(tmp_path), env, str(log), module="look", imports=("json",))
        until = time.monotonic() + 60
        with Launcher(["json"], warm=warm) as launcher:
            running = launcher.start(job)
            while (code := running.poll()) is None and time.monotonic() < until:
                time.sleep(0.01)
        seen.append((code, log.read_text(encoding="utf-8").replace("look.py", "look")))
    cold, warm_ = seen[1], seen[0]
    assert warm_[0] == cold[0] == 7
    assert warm_[1].split("look")[1] == cold[1].split("look")[1]
