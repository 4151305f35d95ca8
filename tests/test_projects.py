"""Whole projects: generated, installed, checked and run as a person would."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from covertable import make

from tests.baked import COMBINATIONS, LATER, ROOT, TEMPLATE, VARIED, BakedProject, bake
from tests.conftest import Once

pytestmark = pytest.mark.slow
TOOLKIT = ROOT / "toolkit"

# Answers that a person might give, unlike the defaults in everything that is free.
AWKWARD = {
    "project_name": 'Zoë\'s "late" planes & 100% more ✈️',
    "project_slug": "zoes-late-planes",
    "package_name": "p",
    "description": "Back\\slash: 'quotes', \"more\", <b>tags</b>, [links](x) and $HOME # or not",
    "organization_code": "zz",
    "azure_region": "switzerlandnorth",
}
# A name of a project's folder that ends a path, an address or a statement of SQL where it is not quoted.
ODD_FOLDER = '50%25? [x] ü#\'s "q" a:b'
# Six projects have every pair of choices; most salts need seven or eight.
PAIRS = [dict(zip(VARIED, row, strict=True)) for row in make([*VARIED.values()], salt="160")]
# One has its toolkit from a feed, and an environment of its own. Another, of the other kind of problem and with
# awkward answers, runs the whole demo.
WHOLE = PAIRS[0]
SAMPLED = next(p for p in PAIRS[1:] if p["problem_type"] != WHOLE["problem_type"])
RUN_TABLE = {
    "wine": ("multiclass", "roc_auc_ovr", "proline", "promote"),
    "diabetes": (
        "regression",
        "r2",
        "sex,age",
        "open",
    ),  # too few rows to compare four bands of age
}
# Of breast cancer as many rows are drawn, with noise, as need no folds: a run takes half the time.
WRITE_TABLE = """
import sys
import numpy as np
from sklearn import datasets
table = getattr(datasets, "load_" + sys.argv[1])(as_frame=True)
frame = table.frame
if sys.argv[1] == "breast_cancer":
    means = [name for name in frame if name.startswith("mean ")]
    frame = frame.sample(5000, replace=True, random_state=0, ignore_index=True)[[*means, "target"]]
    noise = np.random.default_rng(0).normal(1, 0.05, (len(frame), len(means)))
    frame[means] = (frame[means] * noise).round(6)
if sys.argv[1] != "diabetes":
    frame["target"] = [table.target_names[i] for i in frame["target"]]
frame.to_csv(sys.argv[2], index=False)
"""


@dataclass(frozen=True)
class Installed:
    """A project with its environment; `copy` gives another that shares the environment."""

    project: BakedProject
    bin: Path

    def mlops(self, *words: str, code: int = 0) -> str:
        """Run `mlops`, assert its exit code, return what it said."""
        done = self.project.run(str(self.bin / "mlops"), *words)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said
        return said

    def json(self, *words: str, code: int = 0) -> Any:
        """Run `mlops … --json` and parse what it said."""
        done = self.project.run(str(self.bin / "mlops"), *words, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def make(self, *targets: str) -> str:
        """Run `make`, assert that it is fine, return what it said."""
        done = self.project.run("make", *targets)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout + done.stderr

    def copy(self, into: Path) -> Installed:
        """The same project elsewhere, without its runs and models."""
        names = (".venv", ".environments", ".runs", ".mlflow", "__pycache__", ".*_cache")
        shutil.copytree(self.project.path, into, ignore=shutil.ignore_patterns(*names))
        copy = Installed(BakedProject(into), self.bin)
        copy.share((self.project.path / ".environments").resolve())
        return copy

    def share(self, environments: Path) -> None:
        """Use environments that other projects use too; each is made when it is first needed."""
        link = self.project.path / ".environments"
        link.symlink_to(environments, target_is_directory=True)

    def champion(self) -> str | None:
        """Version number of the champion."""
        return next((v["version"] for v in self.json("models") if v["champion"]), None)


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # What mypy finds out about the packages is the same in every project.
        patch.setenv("MYPY_CACHE_DIR", str(tmp_path_factory.mktemp("mypy")))
        for name in ("MLFLOW_TRACKING_URI", "VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "MAKELEVEL"):
            patch.delenv(name, raising=False)
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        # Where the Azure CLI puts the Bicep compiler: our reader stands in for it.
        azure = tmp_path_factory.mktemp("azure")
        writer = TOOLKIT / "bicep_reader" / "stand_in.py"
        subprocess.run([sys.executable, writer, azure / "bin"], check=True)
        patch.setenv("AZURE_CONFIG_DIR", str(azure))
        # Workers share the cores: threads of one process would mostly wait for each other.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            patch.setenv(name, "1")
        # One worker in the inner pytest: the outer one already has a worker per core.
        patch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "1")
        yield


@pytest.fixture(scope="session")
def environments(once: Once) -> Path:
    """What projects make on first use beside .venv: the same for all of them, so made once."""
    return once("environments", lambda folder: None)


@pytest.fixture(scope="session")
def installed(once: Once, environments: Path) -> Installed:
    """The project of all defaults, with both kinds of endpoint, set up."""

    def make(folder: Path) -> None:
        project = bake(folder, serving="online-and-batch")
        ready = Installed(project, project.path / ".venv" / "bin")
        ready.share(environments)
        ready.make("setup")

    (path,) = once("installed", make).iterdir()
    return Installed(BakedProject(path), path / ".venv" / "bin")


@pytest.fixture(scope="session")
def trained(installed: Installed, once: Once) -> Installed:
    """A project with a champion for breast cancer; tests copy it before they change it."""

    def make(folder: Path) -> None:
        copy = installed.copy(folder / "project")
        bring_table(copy, "breast_cancer")
        copy.mlops("run", "azureml/pipelines/train.yml")
        copy.mlops("promote")

    return Installed(BakedProject(once("trained", make) / "project"), installed.bin)


@pytest.fixture
def mine(trained: Installed, tmp_path: Path) -> Installed:
    """A copy of `trained`, with its runs and models."""
    copy = trained.copy(tmp_path / ODD_FOLDER)
    for folder in (".runs", ".mlflow"):
        shutil.copytree(trained.project.path / folder, copy.project.path / folder)
    copy.mlops("relocate")
    return copy


def bring_table(project: Installed, name: str, *words: str) -> Path:
    table = project.project.path / "data" / f"{name}.csv"
    table.parent.mkdir(exist_ok=True)
    done = project.project.run(str(project.bin / "python"), "-c", WRITE_TABLE, name, str(table))
    assert done.returncode == 0, done.stderr
    project.mlops("contract", "--data", str(table), "--target", "target", *words)
    return table


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[str]:
    """A package index on this machine that has the toolkit and nothing else; yields its address."""
    (wheel,) = TEMPLATE.glob("requirements/wheels/*.whl")
    page = tmp_path / "feed" / "simple" / "modelyard"
    page.mkdir(parents=True)
    shutil.copy(wheel, page)
    (page / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>', encoding="utf-8")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "feed"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def test_a_project_whose_toolkit_comes_from_a_feed_is_checked(
    feed: str, environments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = bake(tmp_path, **WHOLE)
    for wheel in project.path.glob("requirements/wheels/*.whl"):
        wheel.unlink()
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", feed)
    ready = Installed(project, project.path / ".venv" / "bin")
    ready.make("setup")
    ready.share(environments)
    assert ": fine" in ready.make("infra-check")
    ready.make("check")


@pytest.mark.parametrize("answers", PAIRS[1:], ids=lambda answers: " ".join(answers.values()))
def test_a_project_of_every_pair_of_choices_is_checked(
    answers: dict[str, str],
    installed: Installed,
    environments: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its checks run its pipeline and its endpoints, on a small table."""
    odd = PAIRS.index(answers) % 2 == 1 or answers is SAMPLED
    into = tmp_path / ("50% [x] ü" if odd else "project")
    into.mkdir()
    project = bake(into, **(AWKWARD if odd else {}), **answers)
    # The same packages in every project: set up once.
    (project.path / ".venv").symlink_to(installed.bin.parent)
    monkeypatch.setenv("PYTHONPATH", str(project.path / "src"))  # the set-up names the other's
    ready = Installed(project, installed.bin)
    ready.share(environments)
    if answers is not SAMPLED:
        # Notebooks differ by kind of problem and by names: these two and WHOLE have all of them.
        monkeypatch.setenv("PYTEST_ADDOPTS", "--ignore=tests/test_notebooks.py")
        ready.make("check")
        return
    ready.make("check")
    said = ready.make("demo")
    assert "is the champion now" in said
    assert '"predictions"' in said
    passed = json.loads(project.text(".drill/drill.json"))["periods"]
    events = [event for period in passed for event in period["events"]]
    assert [event["kind"] for event in events][-2:] == ["forced", "rolled back"]
    assert project.text(".drill/drill.html").startswith("<!doctype html>")
    (page,) = project.path.glob(".runs/*/register/page/report.html")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "http://" not in text.replace("http://www.w3.org/", "")


@pytest.mark.parametrize("name", RUN_TABLE)
def test_a_table_of_ones_own_goes_through_contract_run_and_promote(
    installed: Installed, tmp_path: Path, name: str
) -> None:
    kind, metric, sensitive, verdict = RUN_TABLE[name]
    project = installed.copy(tmp_path / "project")
    before = {
        p: p.read_bytes() for p in project.project.path.rglob("*.py") if ".venv" not in p.parts
    }
    bring_table(project, name, *(["--sensitive", sensitive] if sensitive else []))
    assert project.project.yaml("conf/contract.yml")["target"]["kind"] == kind
    result = project.json("run", "azureml/pipelines/train.yml")
    assert result["decision"]["verdict"] == verdict, result["decision"]["reasons"]
    assert result["decision"]["metric"] == metric
    assert Path(result["report"]).stat().st_size > 10_000
    card = Path(result["report"]).with_name("card.md").read_text(encoding="utf-8")
    assert "None yet: nobody has promoted" in card
    assert ("names no sensitive column" in card) == (not sensitive)
    assert all(f"### Groups of {column}" in card for column in sensitive.split(",") if column)
    if verdict == "open":
        assert result["decision"]["open"] == ['fair by "age": mean_error']
        assert project.json("promote", "--accepted-by", "Ada", code=1)["stage"] == "refused"
        gates = project.project.path / "conf" / "gates.yml"
        gates.write_text("open_gates: ask\n" + gates.read_text("utf-8"), "utf-8")
        assert project.json("promote", code=1)["stage"] == "open"
    accepted = ("--accepted-by", "Ada") if verdict == "open" else ()
    assert project.json("promote", *accepted)["stage"] == "promoted"
    decided = next(project.project.path.glob(".mlflow/decisions/*/card.md"))
    assert "promoted to champion by" in decided.read_text(encoding="utf-8")
    assert project.champion() == "1"
    assert project.json("run", "azureml/pipelines/train.yml")["run"] != result["run"]
    assert all(path.read_bytes() == content for path, content in before.items())


DRIFTING_TABLE = """
import sys
import numpy as np
import pandas as pd
random = np.random.default_rng(1)
rows = 3_600
month = np.sort(random.integers(0, 9, rows))
size = random.normal(np.where(month > 5, 3.0, 0.0), 1.0)
table = pd.DataFrame({
    "sold": pd.to_datetime({"year": 2024, "month": month + 1, "day": random.integers(1, 29, rows)}),
    "size": size,
    "shop": random.choice(["north", "south", "east"], rows),
    "price": 3 * size + random.normal(size=rows),
})
table.loc[:2, "price"] = np.nan
table.to_csv(sys.argv[1], index=False)
"""


def test_a_drill_replays_a_table_of_ones_own_and_leaves_the_projects_own_models_alone(
    installed: Installed, tmp_path: Path
) -> None:
    project = installed.copy(tmp_path / ODD_FOLDER)
    table = project.project.path / "data" / "sales.csv"
    table.parent.mkdir(exist_ok=True)
    done = project.project.run(str(project.bin / "python"), "-c", DRIFTING_TABLE, str(table))
    assert done.returncode == 0, done.stderr
    project.mlops("contract", "--data", str(table), "--target", "price", "--time", "sold")
    gates = (
        project.project.path / "conf" / "gates.yml"
    )  # a busy machine neither refuses nor rolls back
    patient = re.sub(r"(p95_milliseconds|slower_ms): \d+", r"\1: 10000", gates.read_text("utf-8"))
    patient = re.sub(r"most: \d+, growth: [\d.]+", "most: 10000, growth: null", patient)
    gates.write_text(patient, "utf-8")
    told = project.json("drill", "--rows", "300")
    periods = told["periods"]
    assert len(periods) == 6
    assert told["left_out"] == {"without time or target": 3}
    assert all(period["failed"] == 0 for period in periods)
    assert all(period["live"]["rows"] == period["rows"] > 250 for period in periods)
    before, after = (
        {breach["feature"] for p in part for breach in p["monitor"]["breached"]}
        for part in (periods[:3], periods[3:])
    )
    assert "size" not in before
    assert "size" in after
    events = [event for period in periods for event in period["events"]]
    kinds = [event["kind"] for event in events]
    assert "retrained" in kinds, events
    assert kinds[-2:] == ["forced", "rolled back"], events
    assert len({period["version"] for period in periods}) > 1, events
    assert project.json("models") == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "infra/test.bicepparam",
            "param clusterMaximum = 2",
            "param clusterMost = 2",
            [
                r"infra/test\.bicepparam:\d+: .*`clusterMost`; write",
                r"infra/test\.bicepparam:\d+: .*`clusterMaximum`.*; assign",
            ],
        ),
        (
            "infra/modules/vault.bicep",
            "enableSoftDelete: true",
            "enableSoftDeletion: true",
            [r"infra/modules/vault\.bicep:\d+: .*enableSoftDelete is not set; set it to true"],
        ),
        (
            "infra/modules/persona-roles.json",
            '"Microsoft.MachineLearningServices/workspaces/labeling/labels/read"',
            '"Microsoft.MachineLearningServices/workspaces/*/write"',
            [r"infra/modules/persona-roles\.json:\d+: .*workspaces/\*/write; list"],
        ),
    ],
    ids=["parameter", "property", "role"],
)
def test_a_fault_in_the_infrastructure_is_found_with_file_line_and_remedy(
    installed: Installed,
    tmp_path: Path,
    file: str,
    old: str,
    new: str,
    said: list[str],
) -> None:
    project = installed.copy(tmp_path / "project")
    text = project.project.text(file)
    assert old in text
    (project.project.path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    found = project.mlops("infra", "check", code=1)
    for pattern in said:
        assert re.search(f"^{pattern}", found, re.MULTILINE), found


def test_a_version_is_trained_again_from_its_commit_and_every_figure_compared(
    installed: Installed, tmp_path: Path
) -> None:
    project = installed.copy(tmp_path / "project")
    path = project.project.path
    bring_table(project, "breast_cancer")
    for words in (
        ["init"],
        ["add", "."],
        ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-m", "The project"],
    ):
        subprocess.run(["git", *words], cwd=path, check=True, capture_output=True)
    code = path / "src" / project.project.yaml("conf/project.yml")["package"] / "features.py"
    code.write_text(f"{code.read_text('utf-8')}# not committed\n", "utf-8")
    project.mlops("run", "azureml/pipelines/train.yml", "--input", "learner=linear")
    code.write_text("this is no Python any more", "utf-8")
    found = project.json("reproduce", "1")
    assert found["commit"].endswith("-dirty")
    assert set(found["evidence"].values()) == {"equal"}
    assert len(list(path.glob(".runs/*/run.json"))) == 1
    assert len(project.json("models")) == 1


def test_a_worse_model_is_refused_and_the_champion_stays(mine: Installed) -> None:
    worse = ("--input", "learner=boosting", "--input", "max_iterations=1")
    mine.mlops("run", "azureml/pipelines/train.yml", *worse)
    said = mine.mlops("promote", code=1)
    assert "not worse than champion v1" in said
    assert mine.champion() == "1"


def test_another_good_model_replaces_the_champion_and_rollback_restores_it(mine: Installed) -> None:
    mine.project.path.joinpath("conf/gates.yml").write_text(
        re.sub(
            r"below_champion: [\d.]+", "below_champion: 0.5", mine.project.text("conf/gates.yml")
        ),
        encoding="utf-8",
    )
    mine.mlops("run", "azureml/pipelines/train.yml", "--input", "learner=boosting")
    mine.mlops("promote")
    assert mine.champion() == "2"
    assert "v2 is the champion already" in mine.mlops("promote")  # as a pipeline that runs again
    assert "champion is" in mine.mlops("rollback")
    assert mine.champion() == "1"
    # Version 2 was compared with version 1 when it was made; version 1 with none: compare again.
    mine.mlops("promote", "--version", "2")
    assert mine.champion() == "2"
    said = mine.mlops("promote", "--version", "1")
    assert "compared again" in said
    assert mine.champion() == "1"


def test_a_prediction_of_the_champion_is_explained(mine: Installed) -> None:
    words = ("--data", "data/breast_cancer.csv", "--row", "3")
    found = mine.json("explain", *words)["explanations"][0]
    total = found["base"] + sum(part["contribution"] for part in found["contributions"])
    assert abs(total - found["prediction"]) < 1e-9
    assert "row 3: chance of target" in mine.mlops("explain", *words)
    said = mine.mlops("explain", "--data", "data/breast_cancer.csv", "--version", "9", code=2)
    assert "has no version 9; versions: 1" in said


def change_table(project: Installed, change: Callable[[list[str]], list[str]]) -> None:
    table = project.project.path / "data" / "breast_cancer.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")


def test_a_violated_range_stops_the_run_with_what_where_and_how_many(mine: Installed) -> None:
    def spoil(lines: list[str]) -> list[str]:
        return [
            lines[0],
            *(f"9999{line}" if n in (3, 7) else line for n, line in enumerate(lines[1:], 1)),
        ]

    change_table(mine, spoil)
    said = mine.mlops("run", "azureml/pipelines/train.yml", code=1)
    assert "mean radius" in said
    assert re.search(r"3, 7", said)
    assert "report.html" in said
    assert mine.champion() == "1"


def test_mlflow_has_the_run_with_its_steps_data_and_purpose(trained: Installed) -> None:
    script = """
import json, mlflow
mlflow.set_tracking_uri("sqlite:///.mlflow/mlflow.db")
client = mlflow.MlflowClient()
runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
parent = next(r for r in runs if "mlflow.parentRunId" not in r.data.tags)
model = mlflow.models.get_model_info("models:/flight-delay@champion")
print(json.dumps({
    "status": parent.info.status,
    "tags": parent.data.tags,
    "params": parent.data.params,
    "metrics": parent.data.metrics,
    "dataset": parent.inputs.dataset_inputs[0].dataset.digest,
    "steps": sorted(r.data.tags["mlops.step"] for r in runs if r is not parent),
    "done": sorted({r.info.status for r in runs}),
    "inputs": len(model.signature.inputs.inputs),
    "example": model.saved_input_example_info is not None,
}))
"""
    done = trained.project.run(str(trained.bin / "python"), "-W", "ignore", "-c", script)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["done"] == ["FINISHED"]
    assert found["steps"] == ["assess", "prepare", "register", "train"]
    assert found["tags"]["purpose"] == "retraining"
    assert found["metrics"]["roc_auc"] > 0.9
    assert found["params"]["training.learning_rate"] == "0.06"
    assert found["dataset"]
    assert found["inputs"] == 10
    assert found["example"]


def test_commits_are_checked_without_a_network(installed: Installed, tmp_path: Path) -> None:
    project = installed.copy(tmp_path / "project")
    (project.project.path / ".venv").symlink_to(installed.bin.parent)
    run = project.project.run
    assert run("git", "init", "--quiet").returncode == 0
    run("git", "add", "--all")
    first = run(str(project.bin / "pre-commit"), "run", "--all-files")
    assert first.returncode == 0, first.stdout
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    (project.project.path / "mine.py").write_text(
        f'KEY = "{secret}"\nimport os\n', encoding="utf-8"
    )
    run("git", "add", "--all")
    second = run(str(project.bin / "pre-commit"), "run", "--all-files")
    assert second.returncode == 1
    assert re.search(r"no secrets\.+Failed", second.stdout)
    assert re.search(r"ruff check\.+Failed", second.stdout)


def test_every_azure_file_is_accepted_by_the_azure_ml_sdk(
    installed: Installed, azure_python: Path
) -> None:
    project = installed.project
    seen = project.run(str(azure_python), "-W", "ignore", str(ROOT / "tests" / "azure_accepts.py"))
    assert seen.returncode == 0, seen.stdout + seen.stderr
    files = {
        p.relative_to(project.path).as_posix() for p in (project.path / "azureml").rglob("*.yml")
    }
    assert set(seen.stdout.split()) == files


def run_on_azure(installed: Installed, python: Path, script: str, *words: str) -> list[str]:
    """Run a script of tests/ with the packages for Azure; return what it says is ok."""
    path = str(ROOT / "tests" / script)
    done = installed.project.run(str(python), "-W", "ignore", path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r"^ok (.+)$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("script", "words", "last"),
    [
        ("azure_release.py", ("3",), ["killed at 3 moments"]),
        ("azure_delivery.py", (), []),
        ("azure_park.py", ("29",), ["killed"]),
    ],
)
def test_versions_are_released_and_delivered_through_azures_own_sdks(
    installed: Installed, azure_python: Path, script: str, words: tuple[str, ...], last: list[str]
) -> None:
    text = (ROOT / "tests" / script).read_text(encoding="utf-8")
    listed = text.partition("CHECKS: list[Callable[[], None]] = [")[2]
    checks = re.findall(r"^    (\w+),$", listed, re.MULTILINE)
    assert run_on_azure(installed, azure_python, script, *words) == [*checks, *last]
    assert len(checks) >= 8


@pytest.mark.killing
def test_a_release_on_azure_is_killed_at_a_hundred_moments(
    installed: Installed, azure_python: Path
) -> None:
    seen = run_on_azure(installed, azure_python, "azure_release.py", "100", "none")
    assert seen == ["killed at 100 moments"]


def test_events_are_kept_and_become_jobs_through_azures_own_sdks(
    installed: Installed, azure_python: Path
) -> None:
    script = ROOT / "tests" / "azure_events.py"
    done = installed.project.run(str(azure_python), "-W", "ignore", str(script))
    assert done.returncode == 0, done.stdout + done.stderr
    checks = re.findall(r"^    (a\w+|events\w+),$", script.read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"^ok (\w+)$", done.stdout, re.MULTILINE) == checks
    assert len(checks) >= 6


def test_models_are_registered_promoted_and_rolled_back_in_an_azure_ml_workspace(
    mine: Installed, azure_python: Path
) -> None:
    script = ROOT / "tests" / "azure_registry.py"
    done = mine.project.run(str(azure_python), "-W", "ignore", str(script))
    assert done.returncode == 0, done.stdout + done.stderr
    checks = re.findall(r"^    (\w+),$", script.read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"^ok (\w+)$", done.stdout, re.MULTILINE) == checks
    assert len(checks) >= 15


def test_every_command_in_the_documents_exists(installed: Installed) -> None:
    texts = "\n".join(
        path.read_text(encoding="utf-8")
        for path in [
            *installed.project.path.glob("*.md"),
            *installed.project.path.glob("docs/*.md"),
            ROOT / "README.md",
            *(ROOT / "docs").glob("*.md"),
        ]
    )
    commands = set(re.findall(r"mlops ([a-z][a-z-]*)(?= |`|\n)", texts))
    known = set(re.findall(r"^  ([a-z-]+) ", installed.mlops("--help"), re.MULTILINE))
    assert commands <= known, commands - known
    targets = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", texts, re.MULTILINE))
    assert "infra-check" in targets
    makefiles = installed.project.text("Makefile") + (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets <= set(re.findall(r"^([a-z][a-z-]*)[a-z -]*:", makefiles, re.MULTILINE))


# The longest names that the questions let through, in every combination that infra/ depends on.
LONGEST = {
    "organization_code": "abcdef",
    "project_slug": "ab-cd-ef-gh-ij-kl",
    "package_name": "p",
    "project_name": "P" * 60,
    "description": "d" * 240,
    "team_email": f"{'t' * 52}@example.com",
    "_tags": ", ".join(f"{'k' * 100}{number}={'v' * 200}" for number in range(3)),
}
COMPARE = """
import json, sys
from pathlib import Path
from bicep_reader import read_infrastructure
from bicep_reader.azure_types import azure_types
from bicep_reader.snapshot import snapshot
from modelyard.infra import promises
from modelyard.infra.snapshot import read_snapshot
home, *projects = map(Path, sys.argv[1:])
for project in projects:
    found = read_infrastructure(project / "infra", lambda names: azure_types(home, names)).findings
    for file in sorted((project / "infra").glob("*.bicepparam")):
        deployed = snapshot(file, {"asAdministrator": True, "makeEndpoint": True})
        found += tuple(promises.check(file, read_snapshot(json.dumps(deployed), file.name)))
    for one in found:
        print(f"{one.place.file}:{one.place.line}: {one.what}; {one.remedy}")
"""


def test_the_infrastructure_of_every_combination_is_fine_with_the_longest_names(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """checkov and the compiler see the same .bicep in every project; what differs is compared here."""
    relevant = [
        one
        for one in COMBINATIONS.values()
        if one["problem_type"] == "classification" and one["network"] != LATER
    ]
    projects = [
        bake(tmp_path / str(number), **LONGEST, **answers).path
        for number, answers in enumerate(relevant)
    ]
    for project in projects:
        for file in (TEMPLATE / "infra").rglob("*.bicep"):
            assert (project / file.relative_to(TEMPLATE)).read_bytes() == file.read_bytes()
    home = installed.copy(tmp_path / "project")
    words = [str(path) for path in (home.project.path, *projects)]
    monkeypatch.setenv("PYTHONPATH", str(TOOLKIT))
    done = home.project.run(sys.executable, "-c", COMPARE, *words)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
