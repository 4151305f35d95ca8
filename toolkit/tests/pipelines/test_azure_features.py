"""Pipelines as people write them for Azure ML run here, or are refused with file and line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.pipelines.documents import PipelineError
from modelyard.pipelines.failures import RunFailed
from modelyard.pipelines.reader import load_pipeline
from modelyard.pipelines.references import module_of, shell_line, words
from modelyard.tracking import local_store

from tests.pipelines.other_peoples import SHOW, SHOW_COMPONENT, problems, run, shown


def show(inputs: str = "{}", before: str = "", after: str = "") -> str:
    return (
        f"type: pipeline\n{before}\njobs:\n  show:\n    type: command\n    component: show.yml\n"
        f"    inputs: {inputs}\n{after}"
    )


@pytest.mark.parametrize(
    ("written", "got"),
    [
        ("{text: 007}", ["007", "0.1", "False", "1"]),
        ("{text: no}", ["no", "0.1", "False", "1"]),
        ("{text: 1e-4}", ["1e-4", "0.1", "False", "1"]),
        ("{text: 2020-07-05}", ["2020-07-05", "0.1", "False", "1"]),
        ('{text: \'{"a": [1, "b c"]}\'}', ['{"a": [1, "b c"]}', "0.1", "False", "1"]),
        ('{text: "two\\nlines"}', ["two\nlines", "0.1", "False", "1"]),
        ("{rate: 1e-4, count: 12, flag: True}", ["x", "0.0001", "True", "12"]),
        ("{rate: '2', count: '12', flag: 'true'}", ["x", "2", "True", "12"]),
        ("{maybe: a b}", ["x", "0.1", "False", "1", "--maybe", "a b"]),
        ("{text: {value: 007}, rate: {value: 1e-4}}", ["007", "0.0001", "False", "1"]),
    ],
)
def test_the_declared_type_says_what_a_value_is(
    azureml: Path, written: str, got: list[str]
) -> None:
    assert shown(run(azureml, show(written)))[1:] == got


def test_a_value_from_the_command_line_is_read_by_the_declared_type(azureml: Path) -> None:
    text = show(
        "{text: '${{parent.inputs.text}}', rate: '${{parent.inputs.rate}}'}",
        before="inputs:\n  text: {type: string, default: hello}\n  rate: {value: 1e-4}\n",
    )
    given = {"text": "007", "rate": "1e-3"}
    assert shown(run(azureml, text))[1:3] == ["hello", "0.0001"]
    assert shown(run(azureml, text, inputs=given))[1:3] == ["007", "0.001"]
    with pytest.raises(PipelineError, match="type number, found 'much'"):
        run(azureml, text, inputs={"rate": "much"})


def test_types_and_modes_of_a_job_are_taken_in_capitals_as_by_azure_ml(azureml: Path) -> None:
    text = show(
        "{text: '${{parent.inputs.type}}'}", before="inputs:\n  type: {type: String, value: A}\n"
    )
    assert shown(run(azureml, text.replace("type: command", "type: Command")))[1] == "A"
    component = SHOW_COMPONENT.replace("type: string", "type: String")
    (azureml / "show.yml").write_text(component)
    with pytest.raises(PipelineError, match="found 'String'"):
        run(azureml, text)


@pytest.mark.parametrize("quote", ["", "'", '"'])
@pytest.mark.parametrize("tail", ["", " && true", "  # it's a comment\n"])
@given(value=st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12))
@settings(max_examples=12)
def test_a_value_reaches_the_program_as_it_is_in_any_quotes(
    quote: str, tail: str, value: str
) -> None:
    command = f"{quote}${{{{inputs.x}}}}{quote}"
    line = shell_line(f"printf '%s' {command}{tail}", {"x": value}, {})
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode() == value
    assert words(f"python -m a {command}", {"x": value}, {}) == ["python", "-m", "a", value]


@pytest.mark.parametrize(
    "command", ["python -m a $HOME", "python -m a *.csv", "python -m a ~/x", "python -m a 'b"]
)
def test_what_a_shell_would_change_goes_through_the_shell(command: str) -> None:
    assert module_of(command) is None


def test_an_inline_job_runs_with_data_and_outputs_of_other_steps(azureml: Path) -> None:
    result = run(
        azureml,
        """\
type: pipeline
outputs:
  final: {type: uri_folder}
jobs:
  one:
    type: command
    command: echo hello > ${{outputs.out}}/a.txt
    environment: azureml:train@latest
    outputs: {out: {type: uri_folder, mode: rw_mount}}
  two:
    command: cat ${{inputs.read}}/a.txt "${{inputs.file}}" > '${{outputs.out}}/b.txt'; echo $FOO ${{inputs.word}}
    environment: {image: some/image}
    environment_variables: {FOO: 007}
    inputs:
      read: ${{parent.jobs.one.outputs.out}}
      file: {type: uri_file, path: src/show.py}
      word: 1e-4
    outputs: {out: '${{parent.outputs.final}}'}
""",
    )
    assert (result.folder / "two" / "log.txt").read_text() == "007 1e-4\n"
    final = result.folder / "pipeline.outputs" / "final" / "b.txt"
    assert final.read_text() == "hello\n" + SHOW


def test_a_job_without_code_finds_the_folders_that_azure_ml_makes(azureml: Path) -> None:
    job = "command: echo hello > ./outputs/a.txt; ls\nenvironment: azureml:train@latest\n"
    result = run(azureml, job)
    assert (result.folder / "p" / "outputs" / "a.txt").read_text() == "hello\n"


def test_what_a_script_leaves_in_outputs_is_kept_and_its_code_stays_clean(azureml: Path) -> None:
    job = (
        "command: touch beside; echo hello > outputs/a.txt\ncode: src\n"
        "environment: azureml:train@latest\n"
    )
    result = run(azureml, job)
    assert (result.folder / "p" / "outputs" / "a.txt").read_text() == "hello\n"
    assert [path.name for path in (azureml / "src").iterdir()] == ["show.py"]


@pytest.mark.parametrize("code", ["", "code: src,"])
def test_the_output_artifacts_is_what_a_job_leaves_in_outputs_and_logs(
    azureml: Path, code: str
) -> None:
    result = run(
        azureml,
        f"""\
type: pipeline
jobs:
  one: {{command: echo hi > ./outputs/a.txt, {code} environment: e, outputs: {{artifacts: }}}}
  two:
    command: cat ${{{{inputs.x}}}}/outputs/a.txt
    environment: e
    inputs: {{x: '${{{{parent.jobs.one.outputs.artifacts}}}}'}}
""",
    )
    assert (result.folder / "two" / "log.txt").read_text() == "hi\n"


SWEEP = """\
type: sweep
trial:
  command: python trial.py ${{inputs.scale}} ${{search_space.x}} ${{search_space.word}}
  code: src
  environment: azureml:train@latest
inputs: {scale: 2}
search_space:
  x: {type: choice, values: [3, 1]}
  word: {type: choice, values: [a b]}
sampling_algorithm: grid
objective: {goal: minimize, primary_metric: loss/total}
limits: {max_total_trials: 2, max_concurrent_trials: 2}
"""


def test_a_sweep_job_reads_what_its_trials_log_with_mlflow(azureml: Path) -> None:
    (azureml / "src" / "trial.py").write_text(
        "import sys, mlflow\nassert sys.argv[3] == 'a b'\n"
        "for step in (1, 2):\n"
        "    value = float(sys.argv[1]) * float(sys.argv[2]) / step\n"
        "    mlflow.log_metric('loss/total', value, step=step)\n"
        "open('outputs/x', 'x').write(sys.argv[2])\n"
    )
    result = run(azureml, SWEEP)
    evidence = json.loads((result.folder / "p" / "sweep" / "sweep.json").read_text())
    assert evidence["metrics"]["best"] == 1.0
    left = sorted(file.read_text() for file in result.folder.glob("p.trials/*/outputs/x"))
    assert left == ["1", "3"]
    assert sorted(one["history"] for one in evidence["details"]["trials"]) == [
        [[1, 2.0], [2, 1.0]],
        [[1, 6.0], [2, 3.0]],
    ]


def test_a_sweep_job_uses_only_what_it_draws(
    azureml: Path,
) -> None:
    found = problems(azureml, SWEEP.replace("search_space.word", "search_space.wort"))
    assert "p.yml:3: the command names ${{search_space.wort}}, which is not drawn; did you" in found


def test_code_may_be_one_file_and_a_component_may_take_a_path_of_any_kind(azureml: Path) -> None:
    (azureml / "show.yml").write_text(
        "type: command\nname: show\ncode: src/show.py\nenvironment: e\n"
        "inputs: {x: {type: path}}\ncommand: ls; cat ${{inputs.x}}\n"
    )
    result = run(azureml, show("{x: {type: uri_file, path: show.yml}}"))
    log = (result.folder / "show" / "log.txt").read_text()
    assert log.startswith("logs\noutputs\nshow.py\ntype: command")


def test_a_job_of_one_command_is_a_pipeline_of_one_step(azureml: Path) -> None:
    result = run(azureml, "command: echo hello\nenvironment: azureml:train@latest\n")
    assert (result.folder / "p" / "log.txt").read_text() == "hello\n"


def test_a_pipeline_of_one_component_is_run_with_inputs_of_the_command_line(azureml: Path) -> None:
    (azureml / "nested.yml").write_text(NESTED)
    text = "type: pipeline\ncomponent: nested.yml\ninputs: {word: a b}\n"
    assert shown(run(azureml, text), "p.show")[1] == "a b"
    assert shown(run(azureml, text, inputs={"word": "007"}), "p.show")[1] == "007"


NESTED = """\
type: pipeline
inputs:
  word: {type: string, default: 010}
  maybe: {type: string, optional: true}
outputs:
  made: {type: uri_folder}
jobs:
  write: {component: write.yml, outputs: {out: '${{parent.outputs.made}}'}}
  show: {component: show.yml, inputs: {text: '${{parent.inputs.word}}', maybe: '${{parent.inputs.maybe}}'}}
"""
OUTER = """\
type: pipeline
outputs: {top: {type: uri_folder}}
jobs:
  a: {type: pipeline, component: nested.yml, outputs: {made: '${{parent.outputs.top}}'}}
  b: {type: pipeline, component: nested.yml, inputs: {word: a b, maybe: c}}
  read:
    command: cat ${{inputs.x}}/a.txt
    environment: azureml:train@latest
    inputs: {x: '${{parent.jobs.a.outputs.made}}'}
"""


def test_pipelines_of_pipelines_run_and_their_outputs_are_bound_upwards(azureml: Path) -> None:
    (azureml / "nested.yml").write_text(NESTED)
    result = run(azureml, OUTER)
    assert shown(result, "a.show") == [None, "010", "0.1", "False", "1"]
    assert shown(result, "b.show")[-2:] == ["--maybe", "c"]
    assert shown(result, "b.show")[1] == "a b"
    assert (result.folder / "read" / "log.txt").read_text() == "hi\n"
    assert (result.folder / "pipeline.outputs" / "top" / "a.txt").read_text() == "hi\n"


def test_variables_includes_and_ignore_files_have_an_effect(azureml: Path) -> None:
    (azureml / "shared").mkdir()
    (azureml / "shared" / "note.txt").write_text("included")
    (azureml / "src" / ".amlignore").write_text("secret.txt")
    (azureml / "src" / "secret.txt").write_text("not uploaded")
    (azureml / "show.yml").write_text(
        "type: command\nname: n\ncode: src\nadditional_includes: [shared]\n"
        "environment: azureml:train@latest\n"
        "command: cat shared/note.txt; ls; python show.py\n"
    )
    after = "    environment_variables: {FOO: yes}\n"
    result = run(azureml, show(after=after))
    assert (result.folder / "show" / "log.txt").read_text() == (
        'includedlogs\noutputs\nshared\nshow.py\n["yes"]\n'
    )
    assert not list(result.folder.rglob("note.txt"))


def test_variables_and_limits_are_bound_to_inputs_of_the_pipeline(azureml: Path) -> None:
    before = "inputs: {word: one, seconds: 60}"
    after = (
        "    environment_variables: {FOO: 'a ${{parent.inputs.word}}'}\n"
        "    limits: {timeout: '${{parent.inputs.seconds}}'}\n"
    )
    declared = (
        "inputs:\n  word: {type: string, default: two}\n  seconds: {type: integer, default: 9}\n"
    )
    (azureml / "inner.yml").write_text(show(before=declared, after=after))
    text = "type: pipeline\njobs:\n  outer: {component: inner.yml}\n"
    assert (
        shown(run(azureml, show(before=before, after=after), inputs={"word": "three"}))[0]
        == "a three"
    )
    assert shown(run(azureml, text), "outer.show")[0] == "a two"  # a step without a type


def test_a_step_that_takes_longer_than_its_limit_is_stopped(azureml: Path) -> None:
    text = "type: pipeline\njobs:\n  s: {command: sleep 60, environment: 'azureml:train@latest', limits: {timeout: 1}}\n"
    with pytest.raises(RunFailed, match=r"stopped after 1 s, the step's limits\.timeout"):
        run(azureml, text)


@pytest.mark.parametrize(("goes_on", "status"), [("true", "completed"), ("false", "skipped")])
def test_other_steps_go_on_after_a_failure_exactly_if_the_pipeline_says_so(
    azureml: Path, goes_on: str, status: str
) -> None:
    text = (
        f"type: pipeline\nsettings: {{continue_on_step_failure: {goes_on}}}\njobs:\n"
        "  bad: {command: exit 3, environment: 'azureml:train@latest'}\n"
        "  other: {command: echo fine, environment: 'azureml:train@latest'}\n"
    )
    with pytest.raises(RunFailed) as failed:
        run(azureml, text, jobs=1)
    state = json.loads((failed.value.folder / "run.json").read_text())
    assert state["steps"]["other"]["status"] == status


@pytest.mark.parametrize(("other", "expected"), [("exit 1", 1), ("exit 3", 2), ("cd nowhere", 2)])
def test_a_run_has_refused_only_if_every_failed_step_has(
    azureml: Path, other: str, expected: int
) -> None:
    text = "type: pipeline\nsettings: {continue_on_step_failure: true}\njobs:\n" + "".join(
        f"  {name}: {{command: {command}, environment: 'azureml:train@latest'}}\n"
        for name, command in (("refuses", "exit 1"), ("other", other))
    )
    with pytest.raises(RunFailed) as failed:
        run(azureml, text)
    assert failed.value.exit_code == expected


def test_an_unchanged_step_is_run_again_where_force_rerun_says_so(
    azureml: Path, empty_store: Path
) -> None:
    store = local_store(azureml.parent)
    store.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_store, store)
    assert not run(azureml, show()).unchanged
    assert run(azureml, show()).unchanged
    assert not run(azureml, show(after="    environment_variables: {FOO: 1}\n")).unchanged
    assert not run(azureml, show(before="settings: {force_rerun: true}\n")).unchanged


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "type: pipeline\noutputs: {model: {type: uri_folder}}\njobs:\n  a:\n    component: write.yml\n"
            "    outputs:\n      out: ${{parent.outputs.modle}}\n",
            7,
            "no output `modle`; did you mean `model`?",
        ),
        (show(after="    environment_variables: {FOO: [1]}\n"), 8, "expected text"),
        (show(after="    limits: {timeout: soon}\n"), 8, "whole seconds above 0"),
        ("command: echo\ncode: {local_path: src}\nenvironment: e\n", 2, "the path of a folder"),
        (show(after="    limits: {time_out: 2}\n"), 8, "no field `time_out`"),
        (show(before="settings: {force_rerun: maybe}"), 2, "expected true or false"),
        (show(before="settings: {force_return: true}"), 2, "no field `force_return`"),
        (
            show(after="    distribution: {type: mpy}\n"),
            8,
            "expected one of mpi, pytorch, ray, tensorflow",
        ),
        (show("{count: 1.5}"), 7, "type integer, found 1.5"),
        (show("{flag: yes}"), 7, "type boolean, found 'yes'"),
        (
            "type: pipeline\njobs:\n  a:\n    type: pipeline\n    component: p.yml\n",
            5,
            "is a step of itself",
        ),
        (
            "type: pipeline\njobs:\n  a:\n    command: echo\n    environment: e\n    inputs:\n      x: {path: gone, type: uri_file}\n",
            7,
            "gone does not exist",
        ),
        (
            "type: pipeline\njobs:\n  a:\n    type: automl\n",
            4,
            "step `a` of type automl does not run here: its algorithms are a service of Azure ML",
        ),
    ],
)
def test_what_cannot_run_is_refused_with_its_line(
    azureml: Path, text: str, line: int, message: str
) -> None:
    found = problems(azureml, text)
    assert f"p.yml:{line}: " in found
    assert message in found


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("{type: integer, default: many}", "default: expects a value of type integer"),
        ("{type: number, default: 50, max: 10}", "default: expects at most 10"),
        ("{type: string, default: c, enum: [a, b]}", "default: expects one of a, b"),
        ("{type: integer, enum: [1, b]}", "enum: expects a value of type integer"),
        ("{type: number, min: 3, max: 2}", "min 3 is above max 2"),
        ("{type: string, min: 3}", "`min` is for a number"),
        ("{type: string, optional: perhaps}", "optional: expected true or false"),
        ("{type: string, defualt: x}", "did you mean `default`?"),
    ],
)
def test_defaults_and_limits_of_a_component_are_checked(
    azureml: Path, declared: str, message: str
) -> None:
    (azureml / "show.yml").write_text(
        SHOW_COMPONENT.replace("{type: string, default: x}", declared)
    )
    found = problems(azureml, show())
    assert message in found
    assert "show.yml:4: " in found


@pytest.mark.parametrize(
    ("distribution", "variable", "value"),
    [
        ("{type: pytorch, process_count_per_instance: 4}", "WORLD_SIZE", "1"),
        ("{type: PyTorch}", "LOCAL_RANK", "0"),
        ("{type: mpi}", "OMPI_COMM_WORLD_SIZE", "1"),
        ("{type: tensorflow, worker_count: 2}", "TF_CONFIG", '{"cluster":{"worker":["127.0.0.1:'),
    ],
)
def test_a_distributed_step_is_told_that_it_is_the_only_process(
    azureml: Path, distribution: str, variable: str, value: str
) -> None:
    (azureml / "show.yml").write_text(
        SHOW_COMPONENT.replace('python show.py "', f'printf %s ${variable}; true python show.py "')
    )
    result = run(azureml, show(after=f"    distribution: {distribution}\n"))
    assert (result.folder / "show" / "log.txt").read_text().startswith(value)


@pytest.mark.parametrize(
    "field",
    [
        "    resources: {instance_count: 2}\n",
        "    identity: {type: managed}\n",
        "    services: {x: {type: ssh}}\n",
        "    distribution: {type: pytorch, process_count_per_instance: 2}\n",
        "    compute: azureml:gpu\n",
    ],
)
def test_a_field_without_effect_here_is_said(azureml: Path, field: str) -> None:
    (azureml / "p.yml").write_text(show(after=field))
    notes = [str(note) for note in load_pipeline(azureml / "p.yml").notes]
    assert len(notes) == 1
    assert f"p.yml:8: `{field.split(':')[0].strip()}` has no effect here" in notes[0]


@pytest.mark.parametrize(
    ("inputs", "said"), [("{text: a b}", 0), ("{maybe: ab}", 0), ("{maybe: a b}", 1)]
)
def test_a_value_that_a_shell_splits_is_said(azureml: Path, inputs: str, said: int) -> None:
    (azureml / "p.yml").write_text(show(inputs))
    notes = [str(note) for note in load_pipeline(azureml / "p.yml").notes]
    assert ["write '${{inputs.maybe}}' in the command" in note for note in notes] == [True] * said


def test_local_compute_is_what_this_machine_is(azureml: Path) -> None:
    (azureml / "p.yml").write_text(show(after="    compute: local\n"))
    assert load_pipeline(azureml / "p.yml").notes == ()
