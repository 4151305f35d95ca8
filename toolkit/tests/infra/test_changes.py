"""What a change of the infrastructure deploys differently, for a pull request."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.errors import UsageError
from modelyard.infra.changes import changes, page

from tests.editing import edit, git
from tests.small_infra import FILES, write

pytestmark = pytest.mark.usefixtures("bicep")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose project is in a folder of it, with one commit."""
    root = write(tmp_path / "repository" / "project")
    git(tmp_path / "repository", "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "before")
    return root


def test_nothing_changes_where_the_files_say_the_same(project: Path) -> None:
    edit(project / "infra" / "dev.bicepparam", "// Relaxed.", "// Relaxed, as dev is.")
    found = changes(project, "HEAD")
    assert found == {"dev.bicepparam": "", "prod.bicepparam": ""}
    assert page(found, "HEAD^1").count("No change.") == 2


def test_each_environment_says_what_it_deploys_differently(project: Path) -> None:
    edit(project / "infra" / "dev.bicepparam", "days = 7", "days = 8")
    edit(project / "conf" / "project.yml", "stacmesmallprod", "stacmesmallxprod")
    found = changes(project, "HEAD")
    assert "immutable.days: 8, officially 7" in found["dev.bicepparam"]
    assert "+ " in found["prod.bicepparam"] and "stacmesmallxprod" in found["prod.bicepparam"]
    assert "Microsoft.Authorization/locks" in found["prod.bicepparam"]  # as an administrator
    said = page(found, "HEAD^1")
    assert said.index("## dev.bicepparam") < said.index("immutable.days") < said.index("## prod")


def test_files_that_are_new_removed_or_cannot_be_evaluated_are_said(project: Path) -> None:
    infra = project / "infra"
    edit(infra / "dev.bicepparam", "param days = 7", "param days = ")
    git(project, "commit", "--all", "--quiet", "--message", "broken")
    (infra / "dev.bicepparam").write_text(FILES["infra/dev.bicepparam"], encoding="utf-8")
    (infra / "test.bicepparam").write_text(FILES["infra/dev.bicepparam"], encoding="utf-8")
    (infra / "prod.bicepparam").unlink()
    found = changes(project, "HEAD")
    assert found["dev.bicepparam"].startswith("not compared: the base cannot be evaluated")
    assert found["test.bicepparam"] == "the file is new"
    assert found["prod.bicepparam"].startswith("the file is removed")


def test_a_head_that_cannot_be_evaluated_is_no_silence(project: Path) -> None:
    edit(project / "infra" / "dev.bicepparam", "param days = 7", "param days = ")
    assert "syntax error" in changes(project, "HEAD")["dev.bicepparam"]


def test_a_base_without_infrastructure_has_nothing_to_compare(
    tmp_path: Path, project: Path
) -> None:
    git(project, "rm", "-r", "--quiet", "infra", "conf")
    git(project, "commit", "--quiet", "--message", "none")
    write(project)
    assert set(changes(project, "HEAD").values()) == {"the file is new"}


def test_an_unknown_commit_and_a_missing_compiler_are_errors(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="git"):
        changes(project, "no-such-commit")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="the Bicep compiler is not installed"):
        changes(project, "HEAD")
