"""The job of a pull request: a sample, the branch that it goes to, the change, and what is said of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from modelyard.cli.delivery import sample
from modelyard.delivery.base import train_base
from modelyard.delivery.report import write_summary
from modelyard.errors import UsageError
from modelyard.pipelines.run import run_pipeline
from modelyard.tracking import local_store

from tests.editing import edit, git
from tests.project import part_of_sample

TRAIN = Path("azureml/pipelines/train.yml")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two commits."""
    root = part_of_sample(tmp_path_factory.mktemp("job") / "project", "azureml conf src")
    (root / ".gitignore").write_text("/.runs/\n/.mlflow/\n/build/\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    for message in ("base", "change"):
        git(root, "commit", "--quiet", "--allow-empty", "--message", message)
    return root


def test_a_base_that_cannot_be_trained_on_the_rows_is_no_fault_of_the_change(
    root: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "project"
    shutil.copytree(root, copy)
    broken = {"data": str(copy / "conf" / "project.yml")}
    assert "cannot be trained on these rows" in train_base(copy, "HEAD^1", TRAIN, broken)
    store = local_store(copy)
    assert not store.exists()
    store.parent.mkdir()
    store.touch()
    with pytest.raises(UsageError, match="its champion would be replaced"):
        train_base(copy, "HEAD^1", TRAIN, broken)


def test_a_pipeline_that_failed_is_summarized_with_its_steps(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("build", ".mlflow", ".runs", ".git"))
    assert "No pipeline has run" in write_summary(copy, tmp_path / "none", None).read_text()
    with pytest.raises(Exception, match="prepare"):
        run_pipeline(copy / TRAIN, inputs={"data": str(copy / "conf" / "project.yml")})
    page = write_summary(copy, tmp_path / "out", None).read_text()
    assert "did not complete (failed)" in page
    assert "| prepare | failed |" in page
    assert "| register | skipped |" in page


def test_a_table_that_is_not_there_is_made_up_only_if_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = part_of_sample(tmp_path / "project", "azureml conf")
    asset = copy / "azureml" / "data" / "training.yml"
    edit(asset, "flights.parquet", "own.parquet")
    monkeypatch.chdir(copy)
    with pytest.raises(UsageError, match=r"own.parquet is not on this machine"):
        sample()
    sample(made_up=True, rows=300)
    assert "300 rows made up from the contract" in capsys.readouterr().out
    (copy / "data").mkdir()
    shutil.copy(copy / "build" / "sample" / "table", copy / "data" / "own.parquet")
    sample(made_up=True, rows=200)
    assert "build/sample: 200 of 300 rows, the latest rows" in capsys.readouterr().out
