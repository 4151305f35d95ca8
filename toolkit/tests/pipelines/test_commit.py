"""What a run says of the commit it is made from, and the patch that makes the difference good."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.console import short_commit
from modelyard.pipelines.commit import commit_of

from tests.editing import git

FILES = (
    "src/m.py",
    "conf/contract.yml",
    "conf/gates.yml",
    "azureml/data/training.yml",
    "README.md",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a folder of a larger repository."""
    root = tmp_path / "repository" / "project"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("one\n")
    git(root.parent, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    return root


def test_a_contract_and_data_of_ones_own_are_no_difference(project: Path) -> None:
    head = git(project, "rev-parse", "HEAD")
    assert commit_of(project) == (head, b"")
    (project / "conf" / "contract.yml").write_text("two\n")
    (project / "azureml" / "data" / "training.yml").write_text("two\n")
    (project / "table.csv").write_text("a\n")
    (project.parent / "elsewhere.txt").write_text("a\n")
    assert commit_of(project) == (head, b"")


@pytest.mark.parametrize("name", ["src/m.py", "conf/gates.yml", "README.md", "src/new.py"])
@pytest.mark.parametrize("staged", [False, True])
def test_the_patch_is_the_difference_and_what_is_staged_stays(
    project: Path, tmp_path: Path, name: str, staged: bool
) -> None:
    (project / name).write_text("two\n")
    if staged:
        git(project, "add", name)
    before = git(project, "status", "--porcelain")
    commit, patch = commit_of(project)
    assert commit is not None and commit.endswith("-dirty")
    assert git(project, "status", "--porcelain") == before
    (tmp_path / "p.patch").write_bytes(patch)
    git(tmp_path, "clone", "--quiet", str(project.parent), "copy")
    git(tmp_path / "copy", "apply", str(tmp_path / "p.patch"))
    assert (tmp_path / "copy" / "project" / name).read_text() == "two\n"


def test_outside_git_there_is_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == (None, b"")


def test_a_repository_that_ignores_the_project_says_nothing_of_it(project: Path) -> None:
    (project.parent / ".gitignore").write_text("project/build/\n")
    made = project / "build" / "mine"
    (made / "src").mkdir(parents=True)
    assert commit_of(made) == (None, b"")


def test_a_short_commit_keeps_that_files_differed() -> None:
    assert short_commit("0123456789abcdef-dirty") == "0123456789-dirty"
    assert short_commit("") == ""
