"""The job of a pull request: a sample, the branch that it goes to, the change, and what is said of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from modelyard.cli.delivery import sample
from modelyard.contract.take_sample import take_sample
from modelyard.delivery.base import train_base
from modelyard.delivery.report import write_summary
from modelyard.errors import UsageError
from modelyard.pipelines.run import run_pipeline

from tests.project import ROOT

TRAIN = Path("azureml/pipelines/train.yml")


def git(root: Path, *words: str) -> None:
    name = ("-c", "user.name=Ada", "-c", "user.email=ada@acme.test")
    subprocess.run(["git", *name, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two commits: the second learns more slowly."""
    root = tmp_path_factory.mktemp("job") / "project"
    for name in ("azureml", "conf", "src"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    gates = root / "conf" / "gates.yml"
    text = gates.read_text(encoding="utf-8")
    gates.write_text(text.replace("resamples: 500", "resamples: 50"), encoding="utf-8")
    pipeline = root / TRAIN
    text = pipeline.read_text().replace("max_iterations: 500", "max_iterations: 6")
    pipeline.write_text(text.replace("learner: auto", "learner: boosting"))
    (root / ".gitignore").write_text("/.runs/\n/.mlflow/\n/build/\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "base")
    pipeline.write_text(pipeline.read_text().replace("max_iterations: 6", "max_iterations: 3"))
    git(root, "commit", "--quiet", "--all", "--message", "change")
    return root


@pytest.fixture(scope="module")
def inputs(root: Path) -> dict[str, str]:
    sample = root / "build" / "sample"
    take_sample(None, root / "conf" / "contract.yml", 900, sample)
    return {"data": str(sample / "table"), "contract": str(sample / "contract.yml")}


def test_a_change_is_compared_with_what_the_branch_learns_from_the_same_rows(
    root: Path, inputs: dict[str, str], tmp_path: Path
) -> None:
    assert "v1 is what HEAD^1 learns" in train_base(root, "HEAD^1", TRAIN, inputs)
    with pytest.raises(UsageError, match="its champion would be replaced"):
        train_base(root, "HEAD^1", TRAIN, inputs)
    folder = run_pipeline(root / TRAIN, inputs=inputs).folder
    decision = json.loads((folder / "register" / "decision" / "decision.json").read_text())
    assert decision["details"]["champion"]["version"] == "1"
    assert decision["details"]["model"]["version"] == "2"
    page = write_summary(root, tmp_path, root / "build" / "sample").read_text()
    assert "made up from the contract" in page
    assert "Compared with the model" in page
    assert "not worse than champion v1" in page
    assert {path.name for path in tmp_path.iterdir()} == {"summary.md", "report.html", "card.html"}


def test_a_base_that_cannot_be_trained_on_the_rows_is_no_fault_of_the_change(
    root: Path, inputs: dict[str, str], tmp_path: Path
) -> None:
    copy = tmp_path / "project"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("build", ".mlflow", ".runs"))
    git(copy, "worktree", "prune")
    broken = inputs | {"data": str(copy / "conf" / "project.yml")}
    assert "cannot be trained on these rows" in train_base(copy, "HEAD^1", TRAIN, broken)
    assert not (copy / ".mlflow").exists()


def test_a_pipeline_that_failed_is_summarized_with_its_steps(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("build", ".mlflow", ".runs", ".git"))
    with pytest.raises(Exception, match="prepare"):
        run_pipeline(copy / TRAIN, inputs={"data": str(copy / "conf" / "project.yml")})
    page = write_summary(copy, tmp_path / "out", None).read_text()
    assert "did not complete (failed)" in page
    assert "| prepare | failed |" in page
    assert "| register | skipped |" in page


def test_without_a_run_there_is_nothing_to_summarize(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pipeline has run here"):
        write_summary(tmp_path, tmp_path, None)


def test_a_table_that_is_not_there_is_made_up_only_if_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "project"
    for name in ("azureml", "conf"):
        shutil.copytree(ROOT / name, copy / name)
    asset = copy / "azureml" / "data" / "training.yml"
    asset.write_text(asset.read_text().replace("flights.parquet", "own.parquet"))
    monkeypatch.chdir(copy)
    with pytest.raises(UsageError, match=r"own.parquet is not on this machine"):
        sample()
    sample(made_up=True, rows=300)
    assert "300 rows made up from the contract" in capsys.readouterr().out
    (copy / "data").mkdir()
    shutil.copy(copy / "build" / "sample" / "table", copy / "data" / "own.parquet")
    sample(made_up=True, rows=200)
    assert "build/sample: 200 of 300 rows, the latest rows" in capsys.readouterr().out
