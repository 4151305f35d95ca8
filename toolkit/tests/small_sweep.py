"""A small sweep, whose trials report losses and import no library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelyard.sweeps.model import Sweep
from modelyard.sweeps.plan import Plan

from tests.editing import write_files
from tests.small_project import PROJECT

# The loss falls from 2 · level to level. What goes wrong is asked for by `mood`; `endless` is for
# levels from 10 on, so that a sweep can have a trial that ends and one that goes on for ever.
TRIAL = '''
"""A trial for tests: `python -m steps.trial LEVEL MOOD REPORTS OUT`."""
import json, os, pathlib, signal, sys, time

def main(level, mood, reports, out):
    level, reports = float(level), int(reports)
    if mood == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mood in ("endless", "stubborn") and level >= 10:
        (pathlib.Path(out) / "half.txt").write_text("half")
        reports = 10**6
    with pathlib.Path(os.environ["MLOPS_METRICS"]).open("a") as file:
        for step in range(1, reports + 1):
            if reports == 10**6:
                time.sleep(0.01)
            loss = level * (1 + 1 / step)
            name = "other" if mood == "silent" else "loss"
            line = {"step": step, "time": time.time(), "metrics": {name: loss}}
            file.write(json.dumps(line) + "\\n")
            file.flush()
    if mood == "fail":
        print("the reason of the failure")
        raise SystemExit(1)
    (pathlib.Path(out) / "level.txt").write_text(str(level))
    with (pathlib.Path(out).parents[3] / "executed.txt").open("a") as file:
        file.write(f"{level:g}\\n")

main(*sys.argv[1:])
'''

COMPONENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: trial
version: "1"
inputs:
  text: {type: uri_file}
  level: {type: number, default: 1.0, min: 0, max: 100}
  mood: {type: string, default: well, enum: [well, endless, fail, silent, stubborn]}
  reports: {type: integer, default: 5, min: 1, max: 1000}
outputs:
  model: {type: uri_folder}
code: ../../code
environment: azureml:train@latest
command: >-
  python -m steps.trial ${{inputs.level}} ${{inputs.mood}} ${{inputs.reports}} ${{outputs.model}}
"""

READER = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: reader
version: "1"
inputs:
  model: {type: uri_folder}
outputs:
  out: {type: uri_folder}
code: ../../code
environment: azureml:train@latest
command: cp ${{inputs.model}}/level.txt ${{outputs.out}}/level.txt
"""

PIPELINE = """\
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
experiment_name: tests
inputs:
  text:
    type: uri_file
    path: ../../text.txt
jobs:
  tune:
    type: sweep
    trial: ../components/trial.yml
    inputs:
      text: ${{parent.inputs.text}}
    sampling_algorithm: grid
    search_space:
      level:
        type: choice
        values: [4.0, 3.0, 2.0, 1.0]
    objective:
      goal: minimize
      primary_metric: loss
    early_termination:
      type: bandit
      slack_factor: 9.0
    limits:
      max_total_trials: 10
      max_concurrent_trials: 2
  read:
    type: command
    component: ../components/reader.yml
    inputs:
      model: ${{parent.jobs.tune.outputs.model}}
"""


def make_small_sweep(root: Path) -> Path:
    """Write the project below `root`; returns the pipeline's path."""
    files = {
        "conf/project.yml": PROJECT,
        "text.txt": "start\n",
        "code/steps/__init__.py": "",
        "code/steps/trial.py": TRIAL,
        "azureml/pipelines/tune.yml": PIPELINE,
        "azureml/components/trial.yml": COMPONENT,
        "azureml/components/reader.yml": READER,
    }
    write_files(root, files)
    (root / ".mlflow").mkdir(exist_ok=True)
    return root / "azureml" / "pipelines" / "tune.yml"


def settings(space: dict[str, Any] | None = None, **fields: Any) -> Sweep:
    """A sweep over the values of a choice per input; `fields` replace the node's."""
    values = {"level": [2.0, 1.0]} if space is None else space
    node: dict[str, Any] = {
        "sampling_algorithm": "grid",
        "search_space": {
            name: {"type": "choice", "values": one} if isinstance(one, list) else one
            for name, one in values.items()
        },
        "objective": {"goal": "minimize", "primary_metric": "loss"},
        "limits": {"max_total_trials": 100},
    }
    return Sweep.model_validate(node | fields)


def make_plan(
    root: Path, sweep: Sweep, *, at_once: int = 2, attempt: str = "attempt", **inputs: str
) -> Plan:
    """The plan of a sweep in `root`/.runs/run; a new attempt each time it is called."""
    if not (root / "code").exists():
        make_small_sweep(root)
    run = root / ".runs" / "run"
    (run / attempt / "model").mkdir(parents=True)
    given = {"level": "1.0", "mood": "well", "reports": "5"} | inputs
    fixed = {name: value for name, value in given.items() if name not in sweep.search_space}
    return Plan(
        step="tune",
        sweep=sweep.model_dump(mode="json", exclude_none=True),
        command="python -m steps.trial ${{inputs.level}} ${{inputs.mood}} ${{inputs.reports}} ${{outputs.model}}",
        code=str(root / "code"),
        imports=[],
        preload=[],
        whole=["reports"],
        inputs=fixed,
        fingerprints=fixed,
        outputs={"model": "uri_folder"},
        key_parts={"code": "code", "environment": "", "store": ""},
        runs=str(root / ".runs"),
        trials=str(run / "tune.trials"),
        attempt=str(run / attempt),
        at_once=at_once,
        reuse=True,
    )


def evidence(plan: Plan) -> dict[str, Any]:
    """What sweep.json says."""
    path = Path(plan.attempt) / "sweep" / "sweep.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def executed(root: Path) -> list[str]:
    """The levels of the trials that really ran to their end, in no particular order."""
    file = root / ".runs" / "executed.txt"
    return sorted(file.read_text(encoding="utf-8").split()) if file.is_file() else []
