"""Every mistake in a pipeline is found before anything runs, with its file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from modelyard.pipelines.documents import PipelineError
from modelyard.pipelines.reader import load_pipeline
from modelyard.pipelines.references import shell_line, words

from tests.editing import edit
from tests.project import part_of_sample


def problems(pipeline: Path, **options: object) -> str:
    with pytest.raises(PipelineError) as error:
        load_pipeline(pipeline, **options)  # type: ignore[arg-type]
    return str(error.value)


def line_of(path: Path, text: str) -> int:
    return path.read_text(encoding="utf-8").split(text)[0].count("\n") + 1


def test_a_sound_pipeline_is_ordered_by_its_bindings(pipeline: Path) -> None:
    loaded = load_pipeline(pipeline)
    assert next(step.name for step in loaded.steps) == "first"
    assert {step.name: step.needs for step in loaded.steps} == {
        "first": set(),
        "left": {"first"},
        "right": {"first"},
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "${{parent.inputs.text}}",
            "${{parent.inputs.txt}}",
            "no input `txt`; did you mean `text`?",
        ),
        (
            "jobs.first.outputs.out",
            "jobs.frist.outputs.out",
            "no step `frist`; did you mean `first`?",
        ),
        (
            "jobs.first.outputs.out",
            "jobs.first.outputs.outt",
            "no output `outt`; did you mean `out`?",
        ),
        ("${{parent.inputs.text}}", "${{inputs.text}}", "not a reference Azure ML knows"),
        (
            "      text: ${{parent.jobs",
            "      txet: ${{parent.jobs",
            "no input `txet`; did you mean `text`?",
        ),
        (
            "      text: ${{parent.inputs.text}}",
            "      text: 3",
            "expects data (uri_file), found the value 3",
        ),
        (
            "${{parent.jobs.first.outputs.out}}",
            "${{parent.inputs.text}}",
            "expects uri_folder, pipeline input",
        ),
        (
            "components/first.yml",
            "components/frist.yml",
            "does not exist; did you mean `first.yml`?",
        ),
        ("../components/first.yml", "azureml:none:1", "is described in no file of"),
        ("path: ../../text.txt", "path: ../../gone.txt", "gone.txt does not exist"),
        ("path: ../../text.txt", "path: ../../code", "expected a file"),
        ("path: ../../text.txt", "path: azureml:gone@latest", "is described in no file of"),
        ("path: ../../text.txt", "path: https://example.com/t.csv", "is not on this machine"),
        (
            "experiment_name: tests",
            "experiment: tests",
            "no field `experiment`; did you mean `experiment_name`?",
        ),
        ("  first:\n", "  fir-st:\n", "expected lower-case letters, digits and `_`"),
        ("    type: command\n", "    type: sparc\n", "expected one of command, parallel, pipeline"),
    ],
)
def test_a_broken_binding_is_refused_with_its_place_and_a_remedy(
    pipeline: Path, old: str, new: str, message: str
) -> None:
    line = line_of(pipeline, old)
    edit(pipeline, old, new)
    found = problems(pipeline)
    assert message in found
    assert f"copy.yml:{line}:" in found


def test_steps_that_wait_for_each_other_are_named_in_a_circle(pipeline: Path) -> None:
    edit(pipeline, "${{parent.inputs.text}}", "${{parent.jobs.left.outputs.out}}")
    edit(pipeline.parents[1] / "components" / "first.yml", "uri_file", "uri_folder")
    found = problems(pipeline)
    assert "wait for each other" in found
    assert "first" in found
    assert "left" in found


def test_all_problems_are_reported_at_once(pipeline: Path) -> None:
    edit(pipeline, "${{parent.inputs.text}}", "${{parent.inputs.txt}}")
    edit(pipeline, "components/third.yml", "components/fourth.yml")
    assert problems(pipeline).startswith("2 problems, nothing was run")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "${{inputs.text}}",
            "${{inputs.txt}}",
            "the command names ${{inputs.txt}}, which is not declared",
        ),
        ("code: ../../code", "code: ../../cod", "code folder ../../cod does not exist"),
        ("{type: uri_file}", "{type: uri_fil}", "needs a type, one of"),
        ("command:", "comand:", "no field `comand`; did you mean `command`?"),
        ("type: command", "type: [", "not valid YAML"),
        ("name: first", "name: first\nname: again", "the key 'name' is given twice"),
    ],
)
def test_a_broken_component_is_refused_with_its_own_file_and_line(
    pipeline: Path, old: str, new: str, message: str
) -> None:
    edit(pipeline.parents[1] / "components" / "first.yml", old, new)
    found = problems(pipeline)
    assert message in found
    assert "first.yml:" in found


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        ("{type: integer, min: 1, max: 5}", "6", "expects at most 5, found 6"),
        ("{type: integer, min: 1, max: 5}", "0", "expects at least 1, found 0"),
        ("{type: integer}", "1.5", "expects a value of type integer, found 1.5"),
        ("{type: number}", "'3 %'", "expects a value of type number, found '3 %'"),
        ("{type: integer}", "true", "expects a value of type integer, found 'true'"),
        ("{type: string, enum: [a, b]}", "c", "expects one of a, b, found 'c'"),
        ("{type: string}", None, "input `level` (string) is not given"),
    ],
)
def test_a_value_is_held_against_its_declaration(
    pipeline: Path, declared: str, given: str | None, message: str
) -> None:
    component = pipeline.parents[1] / "components" / "first.yml"
    edit(component, "inputs:\n", f"inputs:\n  level: {declared}\n")
    if given is not None:
        edit(
            pipeline,
            "      text: ${{parent.inputs.text}}",
            f"      text: ${{{{parent.inputs.text}}}}\n      level: {given}",
        )
    assert message in problems(pipeline)


def test_an_input_can_be_given_on_the_command_line(pipeline: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("other", encoding="utf-8")
    loaded = load_pipeline(pipeline, overrides={"text": "other.txt"})
    assert loaded.steps[0].inputs["text"].path == other  # type: ignore[union-attr]
    assert "no such input; did you mean `text`?" in problems(
        pipeline, overrides={"txet": "other.txt"}
    )


def test_a_data_asset_leads_to_its_file(pipeline: Path, tmp_path: Path) -> None:
    assets = tmp_path / "azureml" / "data"
    assets.mkdir()
    (assets / "training.yml").write_text("name: training\npath: ../../text.txt\n", encoding="utf-8")
    edit(pipeline, "path: ../../text.txt", "path: azureml:training@latest")
    loaded = load_pipeline(pipeline, data_assets=assets)
    assert loaded.steps[0].inputs["text"].path == tmp_path / "text.txt"  # type: ignore[union-attr]


def test_checking_needs_no_data(pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").unlink()
    assert "does not exist" in problems(pipeline)
    assert len(load_pipeline(pipeline, need_data=False).steps) == 3


@pytest.mark.parametrize("content", ["", "[1, 2]", "just text", "\x00", "type: pipeline"])
def test_what_is_not_a_pipeline_is_refused(pipeline: Path, content: str) -> None:
    pipeline.write_text(content, encoding="utf-8")
    assert "nothing was run" in problems(pipeline)


def test_an_optional_argument_goes_when_its_input_is_not_given() -> None:
    command = "python -m x $[[--champion ${{inputs.champion}}]] --out ${{outputs.out}}"
    assert words(command, {}, {"out": "o"}) == ["python", "-m", "x", "--out", "o"]
    assert words(command, {"champion": "c"}, {"out": "o"})[3:5] == ["--champion", "c"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_path_stays_one_word(path: str) -> None:
    assert words("python -m x ${{inputs.a}} --out=${{ outputs.b }}", {"a": path}, {"b": path})[
        3:
    ] == [
        path,
        f"--out={path}",
    ]
    import shlex

    assert shlex.split(shell_line("cat ${{inputs.a}} | wc", {"a": path}, {})) == [
        "cat",
        path,
        "|",
        "wc",
    ]


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("components/train.yml", ("inputs", "learning_rate"), {"type": []}),
        ("components/train.yml", ("inputs", "learning_rate", "type"), {"a": 1}),
        ("pipelines/train.yml", ("inputs", "data", "type"), []),
        ("pipelines/train.yml", ("inputs", "data", "type"), {"a": 1}),
        ("pipelines/train.yml", ("tags",), "x"),
    ],
)
def test_a_value_of_another_shape_is_a_mistake_with_its_line(
    tmp_path: Path, name: str, where: tuple[str, ...], value: object
) -> None:
    part_of_sample(tmp_path, "azureml conf src")
    file = tmp_path / "azureml" / name
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    place = content
    for key in where[:-1]:
        place = place[key]
    place[where[-1]] = value
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    said = problems(tmp_path / "azureml" / "pipelines" / "train.yml", need_data=False)
    assert re.search(rf"{name}:\d+: .*`{where[:2][-1]}`", said), said
