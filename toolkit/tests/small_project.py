"""A small project, whose steps copy text and count how often they run."""

from __future__ import annotations

import json
from pathlib import Path

from tests.editing import write_files

STEPS = '''
"""Steps for tests: `python -m steps.text VERB …`."""
import os, pathlib, sys, time

def main(verb, *words):
    if verb == "fail":
        print("the reason of the failure")
        raise SystemExit(int(words[0]))
    if verb == "silent":
        raise SystemExit(0)
    source, target = map(pathlib.Path, words[:2])
    if verb == "slow":
        (target / "half.txt").write_text("half")
        flag = pathlib.Path(words[2])
        flag.with_suffix(".new").write_text(str(os.getpid()))
        flag.with_suffix(".new").rename(flag)
        time.sleep(float(words[3]))
    text = source.read_text() if source.is_file() else (source / "text.txt").read_text()
    (target / "text.txt").write_text(text + verb + "\\n")
    counter = pathlib.Path(target).resolve().parents[2] / "executed.txt"
    with counter.open("a") as file:
        file.write(verb + "\\n")

main(*sys.argv[1:])
'''

COMPONENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: {name}
version: "1"
inputs:
  text: {{type: {kind}}}
outputs:
  out: {{type: uri_folder}}
code: ../../code
environment: azureml:train@latest
command: python -m steps.text {verb} ${{{{inputs.text}}}} ${{{{outputs.out}}}}
"""

PIPELINE = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
experiment_name: tests
settings:
  default_compute: azureml:cpu-cluster
inputs:
  text:
    type: uri_file
    path: ../../text.txt
jobs:
  first:
    type: command
    component: ../components/first.yml
    inputs:
      text: ${{parent.inputs.text}}
  left:
    type: command
    component: ../components/second.yml
    inputs:
      text: ${{parent.jobs.first.outputs.out}}
  right:
    type: command
    component: ../components/third.yml
    inputs:
      text: ${{parent.jobs.first.outputs.out}}
"""

PROJECT = """\
title: Test
name: test
package: steps
owner: team@example.com
model: test
"""

GATES = """\
promotion:
  binary: {metric: roc_auc, floor: 0.6, over_baseline: 0.0, below_champion: 0.02}
"""


def make_small_project(root: Path) -> Path:
    """Write the project below `root`; returns the pipeline's path."""
    files = {
        "conf/project.yml": PROJECT,
        "conf/gates.yml": GATES,
        "text.txt": "start\n",
        "code/steps/__init__.py": "",
        "code/steps/text.py": STEPS,
        "azureml/pipelines/copy.yml": PIPELINE,
        "azureml/components/first.yml": COMPONENT.format(name="first", kind="uri_file", verb="one"),
        "azureml/components/second.yml": COMPONENT.format(
            name="second", kind="uri_folder", verb="two"
        ),
        "azureml/components/third.yml": COMPONENT.format(
            name="third", kind="uri_folder", verb="three"
        ),
    }
    write_files(root, files)
    return root / "azureml" / "pipelines" / "copy.yml"


def executed(root: Path) -> list[str]:
    """The steps that really ran, over all runs, in no particular order."""
    return sorted(
        word
        for file in root.glob(".runs/executed.txt")
        for word in file.read_text(encoding="utf-8").split()
    )


def run_states(root: Path) -> dict[str, dict[str, str]]:
    """Run id → step → status."""
    states = {}
    for file in root.glob(".runs/*/run.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        states[content["id"]] = {name: step["status"] for name, step in content["steps"].items()}
    return states
