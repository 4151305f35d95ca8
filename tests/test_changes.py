"""What a data scientist changes in a generated project, done as they would do it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.test_projects import Installed, bring_table, clean_environment, environments, installed

__all__ = ["clean_environment", "environments", "installed"]  # fixtures
pytestmark = pytest.mark.slow

TRAIN = "azureml/pipelines/train.yml"
PACKAGE = "src/flight_delay"


@pytest.fixture
def project(installed: Installed, tmp_path: Path) -> Installed:
    """A project with a small table, and gates that ask for little."""
    copy = installed.copy(tmp_path / "project")
    bring_table(copy, "breast_cancer")
    gates = copy.project.path / "conf/gates.yml"
    text = gates.read_text(encoding="utf-8")
    gates.write_text(re.sub(r"over_baseline: [\d.]+", "over_baseline: -1", text), "utf-8")
    return copy


def edit(project: Installed, file: str, old: str, new: str) -> None:
    """Replace a text that occurs once."""
    path = project.project.path / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (file, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


def evidence(project: Installed, kind: str) -> dict[str, Any]:
    """The newest run's evidence of a kind."""
    newest = max((project.project.path / ".runs").glob("2*"))
    (file,) = newest.glob(f"[!.]*/evidence/{kind}.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def served(project: Installed) -> None:
    """Promote and ask the real server; assert that it answers as the saved model predicts."""
    project.mlops("promote")
    said = project.mlops("serve", "--port", "0", "--once").splitlines()
    asked, answered = (
        json.loads(next(line for line in said if line.startswith(word))[10:])
        for word in ("asked", "answered")
    )
    model = max((project.project.path / ".runs").glob("2*")) / "train" / "model"
    done = project.project.run(
        str(project.bin / "python"), "-W", "ignore", "-c", PREDICT, str(model), json.dumps(asked)
    )
    assert done.returncode == 0, done.stderr
    assert answered["probabilities"] == pytest.approx(json.loads(done.stdout), abs=1e-6)


PREDICT = """
import json, sys
from pathlib import Path
import pandas as pd
from modelyard.contract import load_contract
from modelyard.modelling import load_model, predict
folder = Path(sys.argv[1])
rows = pd.DataFrame(json.loads(sys.argv[2]))
print(predict(load_model(folder), rows, load_contract(folder / "contract.yml")).score.tolist())
"""


def passes_its_own_tests(project: Installed, *files: str, code: int = 0) -> str:
    """Run tests of the project; return what pytest said."""
    done = project.project.run(str(project.bin / "pytest"), "-n0", *files)
    assert done.returncode == code, done.stdout
    return done.stdout


def test_a_derived_feature_is_one_function_and_used_wherever_the_model_is(
    project: Installed,
) -> None:
    edit(
        project,
        f"{PACKAGE}/features.py",
        "    return rows\n",
        '    return rows.assign(ratio=rows["mean area"] / rows["mean perimeter"])\n',
    )
    passes_its_own_tests(project, "tests/test_features.py", "tests/test_serving.py")
    project.mlops("run", TRAIN)
    seen = {feature["name"] for feature in evidence(project, "training")["details"]["features"]}
    assert "ratio" in seen
    columns = evidence(project, "importance")["details"]["features"]
    assert "ratio" not in {column["name"] for column in columns}  # its parts are explained
    served(project)
    found = project.json("explain", "--data", "data/breast_cancer.csv", "--row", "1")
    row = found["explanations"][0]
    total = row["base"] + sum(part["contribution"] for part in row["contributions"])
    assert total == pytest.approx(row["prediction"], abs=1e-9)
    scored = project.json("score", "--data", "data/breast_cancer.csv", "--output", "scored")
    assert (scored["rows"], scored["rejected"]) == (5000, 0)


def test_a_feature_that_depends_on_other_rows_is_found(project: Installed) -> None:
    edit(
        project,
        f"{PACKAGE}/features.py",
        "    return rows\n",
        '    return rows.assign(rank=rows["mean area"].rank())\n',
    )
    assert '"rank" of a row alone' in passes_its_own_tests(
        project, "tests/test_features.py", code=1
    )


MODELS = {
    "logistic regression": (
        "from sklearn.linear_model import LogisticRegression\n"
        "from sklearn.impute import SimpleImputer\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import StandardScaler\n",
        "c",
        "number",
        1.0,
        "make_pipeline(SimpleImputer(), StandardScaler(), "
        "LogisticRegression(C=settings.c, max_iter=1000))",
    ),
    "random forest": (
        "from sklearn.ensemble import RandomForestClassifier\n"
        "from sklearn.impute import SimpleImputer\n"
        "from sklearn.pipeline import make_pipeline\n",
        "trees",
        "integer",
        60,
        "make_pipeline(SimpleImputer(), "
        "RandomForestClassifier(settings.trees, random_state=settings.seed))",
    ),
    "LightGBM": (
        "from lightgbm import LGBMClassifier\n",
        "trees",
        "integer",
        60,
        "LGBMClassifier(n_estimators=settings.trees, random_state=settings.seed, verbose=-1, n_jobs=1)",
    ),
}
MODEL = '''"""The model and its hyperparameters, and the baseline that it has to beat."""

from __future__ import annotations

from typing import Any

import pandas as pd
from modelyard.contract import Contract
from modelyard.modelling import Candidate, choose_features
from pydantic import BaseModel, ConfigDict, Field
from sklearn.tree import DecisionTreeClassifier
{imports}

class Settings(BaseModel):
    """Hyperparameters."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    {setting}: {type} = Field(default={default}, gt=0)
    max_iterations: int = Field(default=1, ge=1)
    patience: int = Field(default=20, ge=1)
    tolerance: float = Field(default=1e-5, ge=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=2**32)

    def adapted(self, rows: int) -> Settings:
        """These settings, however many rows there are."""
        return self


def build_candidates(
    contract: Contract, settings: Settings, rows: pd.DataFrame
) -> dict[str, Candidate]:
    """Make the challenger's learner, unfitted."""
    return {{"own": Candidate({learner}, choose_features(rows, contract))}}


def build_baseline(contract: Contract, settings: Settings) -> Any:
    """Make the baseline, unfitted."""
    return DecisionTreeClassifier(max_depth=3, random_state=settings.seed)
'''


def pins(folder: Path) -> set[str]:
    """What the lock files pin, as `file package==version`."""
    return {
        f"{file.name} {pin}"
        for file in folder.glob("*.txt")
        for pin in re.findall(r"^([\w.-]+==[^ ]+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }


@pytest.fixture(scope="session")
def with_lightgbm(
    installed: Installed, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Environments for training and for serving with LightGBM: a line in model.in, `make lock`, `make setup`."""
    copy = installed.copy(tmp_path_factory.mktemp("lightgbm") / "project")
    (copy.project.path / ".environments").unlink()
    lines = copy.project.path / "requirements" / "model.in"
    lines.write_text(lines.read_text(encoding="utf-8") + "lightgbm\n", encoding="utf-8")
    own = Installed(copy.project, copy.project.path / ".venv" / "bin")
    own.make("setup")
    before = pins(lines.parent)
    own.make("lock")
    after = pins(lines.parent)
    assert before <= after, before - after  # only `make upgrade-locks` moves what was there
    assert "model.txt lightgbm" in {pin.partition("==")[0] for pin in after - before}
    own.make("setup")
    return own.project.path, own.bin


@pytest.mark.parametrize("name", MODELS)
def test_another_learner_goes_through_gates_card_footprint_explanations_and_serving(
    project: Installed, name: str, request: pytest.FixtureRequest
) -> None:
    imports, setting, kind, default, learner = MODELS[name]
    if name == "LightGBM":
        home, bin_ = request.getfixturevalue("with_lightgbm")
        shutil.copytree(
            home / "requirements", project.project.path / "requirements", dirs_exist_ok=True
        )
        project = Installed(project.project, bin_)
        (project.project.path / ".environments").unlink()
    types = {"number": "float", "integer": "int"}
    (project.project.path / PACKAGE / "model.py").write_text(
        MODEL.format(
            imports=imports, setting=setting, type=types[kind], default=default, learner=learner
        ),
        encoding="utf-8",
    )
    component = project.project.path / "azureml/components/train.yml"
    text = component.read_text(encoding="utf-8")
    start, end = text.index("  learner:\n"), text.index("  patience:\n")
    inputs = f"  {setting}:\n    type: {kind}\n    default: {default}\n  max_iterations:\n    type: integer\n    default: 1\n"
    text = text[:start] + inputs + text[end:]
    start, end = text.index("  --learner "), text.index("  --patience")
    options = f"  --{setting} ${{{{inputs.{setting}}}}}\n  --max-iterations ${{{{inputs.max_iterations}}}}\n"
    component.write_text(text[:start] + options + text[end:], encoding="utf-8")
    for pipeline in ("train", "sweep"):
        path = project.project.path / f"azureml/pipelines/{pipeline}.yml"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not re.match(r" +learn(er|ing_rate): [a-z0$]", line)]
        path.write_text("".join(kept).replace("max_iterations: 500", "max_iterations: 1"), "utf-8")
    edit(
        project,
        "azureml/pipelines/sweep.yml",
        (project.project.text("azureml/pipelines/sweep.yml").split("    search_space:\n")[1]).split(
            "    # `train` reports"
        )[0],
        f"      {setting}:\n        type: choice\n        values: [{default}, {default * 2}]\n",
    )
    (project.project.path / "azureml/pipelines/sweep.yml").write_text(
        project.project.text("azureml/pipelines/sweep.yml").replace(
            "max_total_trials: 12", "max_total_trials: 2"
        ),
        encoding="utf-8",
    )
    passes_its_own_tests(project, "tests/test_model.py")
    result = project.json("run", TRAIN, "--input", "max_iterations=1")
    assert result["decision"]["verdict"] == "promote", result["decision"]["reasons"]
    assert evidence(project, "training")["params"][setting] == default
    assert evidence(project, "footprint")["metrics"]["latency_p95"] > 0
    assert evidence(project, "importance")["details"]["features"]
    assert Path(result["report"]).with_name("card.md").stat().st_size > 1000
    served(project)
    if name == "LightGBM":
        return  # as with the others, and its own environment takes long enough
    project.mlops("run", "azureml/pipelines/sweep.yml")
    swept = next(project.project.path.glob(".runs/*/train/sweep/sweep.json"))
    trials = json.loads(swept.read_text(encoding="utf-8"))["details"]["trials"]
    assert {trial["params"][setting] for trial in trials} == {default, default * 2}


METRICS = '''"""Metrics of the project's own."""

from __future__ import annotations

from typing import Any

from modelyard.evaluation import Metric, Prediction


def cost(truth: Any, prediction: Prediction) -> float:
    """Compute the mean cost of a row: a missed case costs as much as ten false alarms."""
    missed, alarms = truth & ~prediction.label, ~truth & prediction.label
    return float(10 * missed.mean() + alarms.mean())


METRICS: dict[str, dict[str, Metric]] = {"binary": {"cost": Metric(cost, higher_is_better=False)}}
'''


def test_a_metric_of_ones_own_has_an_interval_and_can_be_a_gate(project: Installed) -> None:
    (project.project.path / PACKAGE / "metrics.py").write_text(METRICS, encoding="utf-8")
    gates = project.project.path / "conf/gates.yml"
    own = "binary: {metric: cost, floor: 2.0, over_baseline: -1.0, below_champion: 0.5}"
    gates.write_text(re.sub(r"binary: \{metric: roc_auc.*", own, gates.read_text("utf-8")), "utf-8")
    result = project.json("run", TRAIN)
    assert result["decision"]["metric"] == "cost"
    assert result["decision"]["verdict"] == "promote", result["decision"]["reasons"]
    found = evidence(project, "evaluation")["details"]
    assert found["higher_is_better"]["cost"] is False
    model = found["models"]["challenger"]["cost"]
    assert model["low"] <= model["value"] <= model["high"]
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert "cost" in page
    assert project.json("promote")["stage"] == "promoted"
    gates.write_text(gates.read_text("utf-8").replace("floor: 2.0", "floor: 0.000001"), "utf-8")
    strict = project.json("run", TRAIN, "--input", "learning_rate=0.05")
    assert strict["decision"]["verdict"] == "refuse"


def test_a_new_step_is_module_component_node_and_test(project: Installed) -> None:
    project.mlops("new", "step", "enrich")
    files = (f"{PACKAGE}/enrich.py", "azureml/components/enrich.yml", "tests/test_enrich.py")
    assert all(project.project.has(file) for file in files)
    assert "5 steps" in project.mlops("check")
    passes_its_own_tests(project, "tests/test_enrich.py")
    lint = project.project.run(str(project.bin / "ruff"), "check", ".")
    assert lint.returncode == 0, lint.stdout
    project.mlops("run", TRAIN)
    assert list(project.project.path.glob(".runs/*/enrich/*/enrich.json"))
    again = project.mlops("new", "step", "enrich", code=2)
    assert "enrich" in again


def test_the_whole_science_of_a_project_has_no_plumbing(installed: Installed) -> None:
    """No argument parsing, no pickling, no logging set-up, no files."""
    for file in (installed.project.path / PACKAGE).glob("*.py"):
        text = file.read_text(encoding="utf-8")
        for word in ("argparse", "pickle", "logging", "open(", "Path(", "json", "mlflow"):
            assert word not in text, (file.name, word)
