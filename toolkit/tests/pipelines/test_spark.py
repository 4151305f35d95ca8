"""Spark steps are given to the Spark of this machine, or refused with what installs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from modelyard.pipelines.reader import load_pipeline

from tests.pipelines.other_peoples import problems, run

STEP = """\
type: pipeline
jobs:
  count:
    type: spark
    inputs: {file: {type: uri_file, path: src/count.py, mode: direct}}
    outputs: {out: {type: uri_folder, mode: direct}}
    code: src
    entry: {file: count.py}
    py_files: [one.zip, two.zip]
    args: |
      --input ${{inputs.file}}
      --output ${{outputs.out}}
    resources: {instance_type: Standard_E8S_V3, runtime_version: 3.4.0}
    conf:
      spark.driver.cores: 1
      spark.driver.memory: 1g
      spark.executor.cores: 2
      spark.executor.memory: 2g
      spark.dynamicAllocation.enabled: True
"""
# Spark writes a folder itself, and fails where there is one.
SUBMIT = '#!/bin/bash\nprintf "%s\\n" "$@"; for last; do :; done; mkdir "$last" && echo a > "$last/part"\n'


@pytest.fixture
def tools(azureml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on the PATH, with Java."""
    (azureml / "src" / "count.py").write_text("")
    folder = tmp_path / "tools"
    folder.mkdir()
    program(folder / "java", "#!/bin/bash\n")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_a_spark_step_is_submitted_with_its_configuration_to_this_machine(
    azureml: Path, tools: Path
) -> None:
    program(tools / "spark-submit", SUBMIT)
    result = run(azureml, STEP)
    words = (result.folder / "count" / "log.txt").read_text().splitlines()
    assert words[:2] == ["--master", "local[*]"]
    assert "spark.driver.memory=1g" in words
    assert "spark.dynamicAllocation.enabled=True" in words
    assert words[words.index("--py-files") + 1] == "one.zip,two.zip"
    assert words[words.index("count.py") + 1 :][::2] == ["--input", "--output"]
    assert (result.folder / "count" / "out" / "part").read_text() == "a\n"


def test_settings_of_executors_are_noted(azureml: Path, tools: Path) -> None:
    program(tools / "spark-submit", SUBMIT)
    (azureml / "p.yml").write_text(STEP)
    notes = [str(note) for note in load_pipeline(azureml / "p.yml").notes]
    assert any("p.yml:17: no effect here" in note and "spark.dynamicA" in note for note in notes)


def test_without_spark_a_step_is_refused_with_what_installs_it(azureml: Path, tools: Path) -> None:
    assert "p.yml:4: step `count` needs Spark: install pyspark (`pip install" in problems(
        azureml, STEP
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "count.py}",
            "coun.py}",
            "p.yml:8: coun.py does not exist in src; did you mean `count.py`",
        ),
        ("inputs.file}", "inputs.fil}", "p.yml:10: the command names ${{inputs.fil}}"),
        ("3.4.0", "2.1", "p.yml:13: resources.runtime_version: expected"),
        ("{file: count.py}", "{class_name: a.B}", "p.yml:8: `entry.file` is missing"),
    ],
)
def test_what_is_wrong_in_a_spark_step_is_refused_with_its_line(
    azureml: Path, tools: Path, old: str, new: str, message: str
) -> None:
    program(tools / "spark-submit", SUBMIT)
    assert message in problems(azureml, STEP.replace(old, new))
