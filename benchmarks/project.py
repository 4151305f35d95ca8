"""A generated project: the pipeline against its steps' own compute, and the way from nothing to a model."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Figure, command, timed

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "build" / "benchmark"
TRAIN = "azureml/pipelines/train.yml"
ROUNDS = 3

# Every step once in this process to load what it needs, then once more with the clock running.
WARM = """
import json, os, sys, time, importlib, tempfile, contextlib, io
from pathlib import Path
from modelyard.pipelines.model import Data, Literal
from modelyard.pipelines.reader import load_pipeline
from modelyard.pipelines.references import words
root = Path.cwd()
sys.path.insert(0, str(root / "src"))
from flight_delay.model import Settings
from flight_delay.train import fit
from modelyard.steps import training_step
os.environ["MLOPS_RUN"] = sys.argv[1]
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root / '.mlflow' / 'mlflow.db'}"
pipeline = load_pipeline(root / "azureml/pipelines/train.yml", data_assets=root / "azureml/data")
seconds = {}
for turn in ("load", "measure"):
    place = Path(tempfile.mkdtemp())
    for step in pipeline.steps:
        outputs = {}
        for name in step.component.outputs:
            outputs[name] = str(place / step.name / name)
            Path(outputs[name]).mkdir(parents=True)
        inputs = {
            name: str(b.value) if isinstance(b, Literal) else str(b.path) if isinstance(b, Data)
            else str(place / b.step / b.output)
            for name, b in step.inputs.items()
        }
        _, _, module, *argv = words(step.component.command, inputs, outputs)
        main = getattr(importlib.import_module(module), "main", None)
        if main is None:
            main = lambda argv: training_step(Settings, fit, argv)
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            code = main(argv)
            seconds[step.name] = time.perf_counter() - start
        assert code == 0, step.name
print(json.dumps(seconds))
"""


def measure_run() -> list[Figure]:
    """`mlops run` with everything to do, and with nothing."""
    project = prepared_project()
    mlops, python = project / ".venv/bin/mlops", project / ".venv/bin/python"
    command(mlops, "run", TRAIN, cwd=project)
    walls, sums, idle, steps = [], [], [], {}
    for _ in range(ROUNDS):
        # In turns, so that noise meets both alike.
        walls.append(timed(lambda: command(mlops, "run", TRAIN, "--no-reuse", cwd=project)))
        newest = max((project / ".runs").glob("2*"))
        steps = json.loads(
            command(python, "-W", "ignore", "-c", WARM, newest, cwd=project).splitlines()[-1]
        )
        sums.append(sum(steps.values()))
        idle.append(timed(lambda: command(mlops, "run", TRAIN, cwd=project)))
    print("  steps, warm: " + ", ".join(f"{name} {value:.2f} s" for name, value in steps.items()))
    help_ = statistics.median(
        timed(lambda: command(mlops, "--help", cwd=project)) for _ in range(9)
    )
    wall, total = statistics.median(walls), statistics.median(sums)
    return [
        Figure("mlops run / its steps' own compute in one warm process", wall, 1.25, total),
        Figure("mlops run, nothing changed, seconds", statistics.median(idle), 1.5),
        Figure("mlops --help, seconds", help_, 0.2),
    ]


def measure_journey() -> list[Figure]:
    """From `cookiecutter` to a trained, registered model with a report; packages are in uv's cache."""
    prepared_project()  # fills the caches
    with tempfile.TemporaryDirectory() as temporary:
        start = time.perf_counter()
        project = generate(Path(temporary))
        command("make", "setup", "data", "run", f"PYTHON={sys.executable}", cwd=project)
        seconds = time.perf_counter() - start
        if not list(project.glob(".runs/*/register/page/report.html")):
            raise RuntimeError("the run left no report")
    return [Figure("cookiecutter to model and report, seconds", seconds, 35.0)]


def prepared_project() -> Path:
    """The sample project, set up once and kept in build/."""
    fresh = generate(PLACE / "new")
    project = PLACE / fresh.name
    shutil.copytree(fresh, project, dirs_exist_ok=True)
    shutil.rmtree(PLACE / "new")
    command("make", "setup", "data", f"PYTHON={sys.executable}", cwd=project)
    return project


def generate(into: Path) -> Path:
    """Generate with all defaults; returns the project."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    clone = into / ".template"
    command("git", "clone", "--quiet", ROOT, clone)
    cookiecutter = Path(sys.executable).with_name("cookiecutter")
    command(cookiecutter, clone, "--no-input", "--output-dir", into)
    shutil.rmtree(clone)
    return next(path for path in into.iterdir() if path.is_dir())
