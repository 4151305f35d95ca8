"""Updating a project with cruft, from the version before this one, over a team's own edits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.baked import BOTH_ENDS, COMBINATIONS, TEMPLATE, BakedProject, bake, copy_template
from tests.wheels import pin, write_wheel

both = pytest.mark.parametrize("name", BOTH_ENDS)
PACKAGE = "src/{{cookiecutter.package_name}}"
ANSWERS = {
    "project_name": 'The "late" flights',
    "project_slug": "late",
    "description": "How late: \\ {x}?",
    "team_email": "a@b.org",
}


def run(folder: Path, *command: str) -> str:
    """Run a command that has to succeed; return what it printed."""
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def cruft(folder: Path, *arguments: str) -> str:
    """Run cruft with this interpreter, which has it."""
    return run(folder, sys.executable, "-m", "cruft", *arguments)


def commit(folder: Path, message: str, tag: str = "") -> None:
    """Commit everything in a folder, and tag it."""
    run(folder, "git", "add", "--all", "--force")
    run(folder, "git", "commit", "--quiet", "--message", message)
    if tag:
        run(folder, "git", "tag", tag)


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that occurs once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the template: the version before as tag `before`, this one as `now`."""
    repository = tmp_path_factory.mktemp("template")
    copy_template(repository)
    make_older(repository / TEMPLATE.name)
    run(repository, "git", "init", "--quiet", "--initial-branch=main")
    commit(repository, "The version before", "before")
    (older,) = (repository / TEMPLATE.name).glob("requirements/wheels/*.whl")
    (now,) = TEMPLATE.glob("requirements/wheels/*.whl")
    rebuilt = older.rename(older.with_name(now.name))
    (repository / TEMPLATE.name / "requirements/modelyard.txt").write_text(pin(rebuilt), "utf-8")
    commit(repository, "The same version of the toolkit with other bytes", "rebuilt")
    for name in ("hooks", TEMPLATE.name):
        shutil.rmtree(repository / name)
    copy_template(repository)
    commit(repository, "This version", "now")
    return repository


def make_older(project: Path) -> None:
    """Take back some of what this version has, as if it were new."""
    edit(project / "conf/project.yml", "# The registered model;", "# What is registered;")
    edit(project / ".gitignore", "# Secrets stay out of git.\n", "# Secrets\n")
    edit(project / "Makefile", ".DEFAULT_GOAL := help\n", "")
    edit(project / "azureml/components/assess.yml", "display_name: assess", "display_name: judge")
    older_toolkit(project / "requirements")
    (project / ".editorconfig").unlink()
    (project / "docs").mkdir(exist_ok=True)
    (project / "docs" / "gone.md").write_text("# Not for long\n", encoding="utf-8")
    contract = project / "conf/contract.yml"
    contract.write_text(contract.read_text(encoding="utf-8") + "# older\n", encoding="utf-8")


def older_toolkit(requirements: Path, version: str = "0.0.9") -> None:
    """Put a wheel of another version, hence of another name, where the toolkit's wheel is."""
    (wheel,) = requirements.glob("wheels/*.whl")
    older = wheel.with_name(f"modelyard-{version}-py3-none-any.whl")
    write_wheel(older, {"modelyard/__init__.py": f'__version__ = "{version}"\n'}, version)
    wheel.unlink()
    (requirements / "modelyard.txt").write_text(pin(older), encoding="utf-8")


def edit_as_a_team(project: Path) -> None:
    """What a team does to its project between two updates."""
    edit(
        project / "conf/project.yml",
        "template: ai-factory\n",
        "template: ai-factory\n  stage: pilot\n",
    )
    (project / "conf/contract.yml").write_text("version: 1\n# our own\n", encoding="utf-8")
    (project / ".gitattributes").unlink()
    (project / PACKAGE.replace("{{cookiecutter.package_name}}", "late") / "own.py").write_text(
        "X = 1\n"
    )
    for name in ("Makefile", ".gitignore"):
        path = project / name
        path.write_text(path.read_text(encoding="utf-8") + "\n# ours\n", encoding="utf-8")


def create(template: Path, into: Path, version: str, **answers: str) -> BakedProject:
    """Make a project with cruft, and put it into git."""
    into.mkdir(parents=True, exist_ok=True)
    given = json.dumps(ANSWERS | answers)
    version_and_answers = ("--checkout", version, "--no-input", "--extra-context", given)
    cruft(into, "create", str(template), *version_and_answers)
    project = into / "late"
    run(project, "git", "init", "--quiet", "--initial-branch=main")
    commit(project, "Made")
    return BakedProject(project)


def made_files(project: BakedProject) -> dict[str, tuple[bytes, int]]:
    """The content of a project but what git and cruft note for themselves."""
    return {
        file: content
        for file, content in project.content.items()
        if not file.startswith((".git/", ".cruft.json"))
    }


@both
def test_a_fresh_project_does_not_differ_from_its_template(
    template: Path, tmp_path: Path, name: str
) -> None:
    project = create(template, tmp_path, "now", **COMBINATIONS[name])
    assert cruft(project.path, "diff", "--exit-code") == ""
    assert "up to date" in cruft(project.path, "check")


def test_cruft_makes_the_same_project_as_cookiecutter(template: Path, tmp_path: Path) -> None:
    project = create(template, tmp_path / "cruft", "now")
    assert made_files(project) == bake(tmp_path, **ANSWERS).content


def test_cruft_says_what_it_made(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    said = cruft(tmp_path, "create", str(template), "--no-input")
    assert said.splitlines()[-3:] == ["  cd flight-delay", "  make setup", "  make demo"]


@both
def test_an_update_goes_through_over_a_teams_own_edits(
    template: Path, tmp_path: Path, name: str
) -> None:
    project = create(template, tmp_path / "updated", "before", **COMBINATIONS[name])
    assert project.has("docs/gone.md")
    edit_as_a_team(project.path)
    commit(project.path, "Ours")
    cruft(project.path, "update", "--skip-apply-ask", "--checkout", "now")

    fresh = create(template, tmp_path / "fresh", "now", **COMBINATIONS[name])
    edit_as_a_team(fresh.path)
    assert made_files(project) == made_files(fresh)  # so no .rej, and no conflict either
    assert "up to date" in cruft(project.path, "check")


def wheels(project: BakedProject) -> dict[str, bytes]:
    """The wheels that lie in a project."""
    return {path.name: path.read_bytes() for path in project.path.glob("requirements/wheels/*.whl")}


@pytest.mark.parametrize("same_name", [True, False], ids=["rebuilt", "renamed"])
def test_an_update_brings_the_toolkits_wheel_and_its_hash_beside_a_conflict(
    template: Path, tmp_path: Path, same_name: bool
) -> None:
    """A wheel with other bytes, or of another version; in the same update a text conflicts."""
    project = create(template, tmp_path, "rebuilt" if same_name else "before")
    makefile = project.path / "Makefile"
    text = makefile.read_text(encoding="utf-8")
    conflicting = text.replace("BIN := .venv/bin", "BIN := .venv/ours")
    assert conflicting != text
    makefile.write_text(conflicting, encoding="utf-8")
    commit(project.path, "Ours")
    cruft(project.path, "update", "--skip-apply-ask", "--checkout", "now")
    new = BakedProject(next(path for path in template.glob("{{*}}")))
    assert wheels(project) == wheels(new)
    assert project.text("requirements/modelyard.txt") == new.text("requirements/modelyard.txt")


def test_a_wheel_that_the_team_replaced_is_named_after_an_update(
    template: Path, tmp_path: Path
) -> None:
    project = create(template, tmp_path, "before")
    (old,) = project.path.glob("requirements/wheels/*.whl")
    write_wheel(old, {"modelyard/__init__.py": "ours = True\n"}, "0.0.9")
    (project.path / "requirements/modelyard.txt").write_text(pin(old), encoding="utf-8")
    commit(project.path, "A toolkit of our own")
    ours = old.read_bytes()
    subprocess.run(
        [sys.executable, "-m", "cruft", "update", "--skip-apply-ask", "--checkout", "now"],
        cwd=project.path,
        capture_output=True,
        check=False,
    )
    checked = project.run(sys.executable, "requirements/check_wheel.py")
    assert checked.returncode == 1
    assert "modelyard" in checked.stderr
    kept = wheels(project).values()
    assert ours in kept  # nothing of the team's is lost
    assert old.name in checked.stderr


def test_an_update_leaves_extra_tags_where_they_are(template: Path, tmp_path: Path) -> None:
    project = create(template, tmp_path, "before", _tags="cost_center=4711")
    cruft(project.path, "update", "--skip-apply-ask", "--checkout", "now")
    assert project.yaml("conf/project.yml")["tags"]["cost_center"] == "4711"
    assert "# The registered model;" in project.text("conf/project.yml")
