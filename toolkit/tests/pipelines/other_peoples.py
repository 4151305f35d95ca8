"""A project with files as other people write them for Azure ML."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from modelyard.pipelines.documents import PipelineError
from modelyard.pipelines.reader import load_pipeline
from modelyard.pipelines.run import Result, run_pipeline

SHOW = "import json, os, sys\nprint(json.dumps([os.environ.get('FOO'), *sys.argv[1:]]))\n"
SHOW_COMPONENT = """\
type: command
name: show
inputs:
  text: {type: string, default: x}
  rate: {type: number, default: 0.1}
  flag: {type: boolean, default: false}
  count: {type: integer, default: 1}
  maybe: {type: string, optional: true}
code: src
environment: azureml:train@latest
command: >-
  python show.py "${{inputs.text}}" ${{inputs.rate}} ${{inputs.flag}} ${{inputs.count}} $[[--maybe ${{inputs.maybe}}]]
"""
WRITE = """\
type: command
outputs: {out: {type: uri_folder}}
command: echo hi > ${{outputs.out}}/a.txt
environment: azureml:train@latest
"""


def run(azureml: Path, text: str, **options: object) -> Result:
    file = azureml / "p.yml"
    file.write_text(text)
    # The store is not what these tests are about; without it nothing is reused.
    return run_pipeline(file, record=False, **options)  # type: ignore[arg-type]


def shown(result: Result, step: str = "show") -> list[str]:
    """What the step's program got: FOO of its environment, and its arguments."""
    log = (result.folder / step / "log.txt").read_text()
    return list(json.loads(log))


def problems(azureml: Path, text: str) -> str:
    (azureml / "p.yml").write_text(text)
    with pytest.raises(PipelineError) as error:
        load_pipeline(azureml / "p.yml", data_assets=azureml / "data")
    return str(error.value)
