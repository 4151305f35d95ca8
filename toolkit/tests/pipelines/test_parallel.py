"""Parallel steps run their entry script over mini-batches, and fail as their thresholds say."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.pipelines.azure_check import check_azure_files
from modelyard.pipelines.failures import RunFailed
from modelyard.pipelines.reader import load_pipeline

from tests.pipelines.other_peoples import problems, run

ENTRY = """\
import argparse, os, time
from pathlib import Path

def init():
    global prefix, tries
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="")
    prefix = parser.parse_known_args()[0].prefix
    tries = Path(os.environ["TRIES"])
    print("init", flush=True)

def run(batch):
    print(f"run {len(batch)}", flush=True)
    names = [Path(path).stem for path in batch]
    if "slow" in names and not tries.exists():
        tries.touch()
        time.sleep(60)
    if "bad" in names:
        raise ValueError("a bad file")
    if "dies" in names:
        os._exit(3)
    return [prefix + name for name in names if name != "lost"]
"""
TABLE_ENTRY = """\
def init():
    pass

def run(table, context):
    key = context.partition_key_value
    print(context.minibatch_index, key, len(table))
    return table.assign(key=str(key and key["shop"]))
"""
STEP = """\
type: pipeline
jobs:
  score:
    type: parallel
    inputs:
      data: {{type: {kind}, path: data}}
      word: "a b"
    outputs: {{out: {{type: uri_file}}}}
    input_data: ${{{{inputs.data}}}}
{settings}
    task:
      type: run_function
      code: src
      entry_script: entry.py
      environment: azureml:train@latest
      program_arguments: --prefix "${{{{inputs.word}}}}/" {arguments}
      append_row_to: ${{{{outputs.out}}}}
"""


@pytest.fixture(autouse=True)
def _entry(azureml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (azureml / "src" / "entry.py").write_text(ENTRY)
    monkeypatch.setenv("TRIES", str(tmp_path / "tries"))


def step(settings: str = "", *, kind: str = "uri_folder", arguments: str = "") -> str:
    return STEP.format(kind=kind, settings=settings, arguments=arguments)


def files(azureml: Path, *names: str) -> None:
    for name in names:
        (azureml / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (azureml / "data" / name).write_text(name)


@pytest.mark.parametrize("script", ["entry.py", "package.main"])
def test_files_come_in_mini_batches_and_rows_go_into_one_file(azureml: Path, script: str) -> None:
    files(azureml, "a", "b", "inner/c")
    (azureml / "src" / "package").mkdir()
    (azureml / "src" / "package" / "main.py").write_text(ENTRY)
    text = step('    mini_batch_size: "2"\n    compute: azureml:c').replace("entry.py", script)
    result = run(azureml, text)
    assert check_azure_files(azureml.parent, [azureml / "p.yml"]).problems == ()
    assert (result.folder / "score" / "out").read_text() == "a b/a\na b/b\na b/c\n"
    log = (result.folder / "score" / "log.txt").read_text()
    assert [line for line in log.splitlines() if line[:4] in ("init", "run ")] == [
        "init",
        "run 2",
        "run 1",
    ]
    assert "2 mini-batches of 3 items, one after another in one process: 0 failed" in log


@pytest.mark.parametrize(
    ("settings", "arguments", "message"),
    [
        ("", "", None),
        ("mini_batch_error_threshold: 2", "", None),
        ("mini_batch_error_threshold: 1", "", "2 failed, mini_batch_error_threshold allows 1"),
        ("error_threshold: 1", "", "2 failed, error_threshold allows 1"),
        ("", "--error_threshold 1", "2 failed, error_threshold allows 1"),
        ("", "--allowed_failed_percent 60", "66.6667 failed, allowed_failed_percent allows 60"),
    ],
)
def test_failed_mini_batches_and_items_count_against_the_thresholds(
    azureml: Path, settings: str, arguments: str, message: str | None
) -> None:
    files(azureml, "bad", "good", "lost")
    text = step(f"    retry_settings: {{max_retries: 1}}\n    {settings}", arguments=arguments)
    if message is None:
        result = run(azureml, text)
        assert (result.folder / "score" / "out").read_text() == "a b/good\n"
        log = (result.folder / "score" / "log.txt").read_text()
        assert "mini-batch 0: try 2 of 2 failed: ValueError: a bad file" in log
        assert "try 2 of 2 failed: run() returned 0 of 1 items" in log
    else:
        with pytest.raises(RunFailed, match=message):
            run(azureml, text)


def test_a_run_that_takes_too_long_or_dies_is_tried_again_in_a_new_process(azureml: Path) -> None:
    files(azureml, "dies", "slow")
    result = run(azureml, step("    retry_settings: {max_retries: 1, timeout: 2}"))
    log = (result.folder / "score" / "log.txt").read_text()
    assert (result.folder / "score" / "out").read_text() == "a b/slow\n"
    assert "no result after 2 s (retry_settings.timeout)" in log
    assert "mini-batch 0: try 2 of 2 failed: its process ended" in log


def table(azureml: Path, rows: int = 6) -> None:
    (azureml / "src" / "entry.py").write_text(TABLE_ENTRY)
    (azureml / "data" / "x").mkdir(parents=True)
    (azureml / "data" / "y").mkdir()
    (azureml / "data" / "MLTable").write_text(
        "paths: [{pattern: './**/*.csv'}]\n"
        "transformations:\n"
        "  - read_delimited: {delimiter: ';', encoding: ascii, include_path_column: true}\n"
        "  - extract_columns_from_partition_format: {partition_format: '{shop}/{file}.csv'}\n"
        "  - drop_columns: [Path, file]\n"
    )
    for shop in ("x", "y"):
        lines = "".join(f"{i};{shop}{i}\n" for i in range(rows))
        (azureml / "data" / shop / "t.csv").write_text(f"n;word\n{lines}")


def test_a_table_comes_in_mini_batches_of_about_a_size_that_do_not_cross_files(
    azureml: Path,
) -> None:
    table(azureml)
    result = run(azureml, step('    mini_batch_size: "20"', kind="mltable"))
    lines = (result.folder / "score" / "out").read_text().splitlines()
    assert lines[0] == "0 x0 x None"
    assert len(lines) == 12
    log = (result.folder / "score" / "log.txt").read_text()
    assert [line.split()[2] for line in log.splitlines()[:4]] == ["3", "3", "3", "3"]


def test_a_table_comes_in_one_mini_batch_for_each_partition(azureml: Path) -> None:
    table(azureml)
    result = run(azureml, step("    partition_keys: [shop]", kind="mltable"))
    log = (result.folder / "score" / "log.txt").read_text()
    assert "0 {'shop': 'x'} 6\n1 {'shop': 'y'} 6\n" in log


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "error_threshold: 1",
            "error_threshold: many",
            "p.yml:10: error_threshold: expected a whole",
        ),
        (
            "error_threshold: 1",
            "eror_threshold: 1",
            "p.yml:10: a step of type parallel has no field",
        ),
        ("inputs.data}}", "inputs.date}}", "names ${{inputs.date}}, which is not declared"),
        (
            "${{inputs.data}}",
            "data",
            "p.yml:9: input_data: expected ${{",
        ),
        (
            "entry.py",
            "entr.py",
            "p.yml:14: entr.py does not exist in src; did you mean `entry.py`?",
        ),
        ("      entry_script: entry.py\n", "", "p.yml:12: task: `entry_script` is missing"),
        (
            "error_threshold: 1",
            "mini_batch_size: 10kb",
            "p.yml:10: mini_batch_size: input `data` is files",
        ),
        (
            "error_threshold: 1",
            "partition_keys: [a]",
            "p.yml:10: partition_keys: columns of",
        ),
        ("inputs.word", "inputs.wort", "p.yml:16: the command names ${{inputs.wort}}"),
    ],
)
def test_what_is_wrong_in_a_parallel_step_is_refused_with_its_line(
    azureml: Path, old: str, new: str, message: str
) -> None:
    files(azureml, "a")
    assert message in problems(azureml, step("    error_threshold: 1").replace(old, new))


def test_a_parallel_component_takes_settings_of_the_step(azureml: Path) -> None:
    files(azureml, "a", "b")
    (azureml / "score.yml").write_text(
        "type: parallel\nname: score\ninputs: {data: {type: uri_folder}}\n"
        "outputs: {out: {type: uri_folder}}\nmini_batch_size: '1'\ninput_data: ${{inputs.data}}\n"
        "task:\n  type: run_function\n  code: src\n  entry_script: entry.py\n"
        "  environment: azureml:train@latest\n  append_row_to: ${{outputs.out}}\n"
    )
    node = (
        "type: pipeline\njobs:\n  score:\n    type: parallel\n    component: score.yml\n"
        "    mini_batch_size: '2'\n    max_concurrency_per_instance: 4\n"
        "    inputs: {data: {path: data}}\n"
    )
    result = run(azureml, node)
    assert (result.folder / "score" / "out" / "parallel_run_step.txt").read_text() == "a\nb\n"
    assert "run 2\n" in (result.folder / "score" / "log.txt").read_text()
    with (azureml / "score.yml").open("a") as file:
        file.write("retry: 3\n")
    assert "score.yml:13: a component of type parallel has no field `retry`" in problems(
        azureml, node
    )
    (azureml / "score.yml").write_text(
        (azureml / "score.yml").read_text().replace("retry: 3\n", "")
    )
    notes = [str(note) for note in load_pipeline(azureml / "p.yml").notes]
    assert any("p.yml:7: `max_concurrency_per_instance` has no effect here" in n for n in notes)


def test_what_azure_ml_takes_out_of_the_arguments_is_noted(azureml: Path) -> None:
    files(azureml, "a")
    (azureml / "p.yml").write_text(step(arguments="--copy_logs_to_parent True --error_threshold 1"))
    notes = [str(note) for note in load_pipeline(azureml / "p.yml").notes]
    assert [note.partition("p.yml:")[2] for note in notes] == [
        "16: `--copy_logs_to_parent` has no effect here: there is one process, and one log"
    ]


def test_a_prompt_flow_is_refused_by_its_name(azureml: Path) -> None:
    (azureml / "flow.yml").write_text("$schema: https://x/promptflow/latest/Flow.schema.json\n")
    found = problems(azureml, "type: pipeline\njobs:\n  a: {type: parallel, component: flow.yml}\n")
    assert "p.yml:3: step `a`: flow.yml is a prompt flow" in found
