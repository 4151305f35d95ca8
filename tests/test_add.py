"""`mlops add` makes the project that its answers would have made at the start, and keeps what a team wrote."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cruft import create
from modelyard.cli import main

from tests.baked import BakedProject, bake, copy_template
from tests.test_update import commit, edit, run

Answers = dict[str, str]
WITHOUT = {"network": "none", "ci_provider": "none"}  # what a laptop's project is without the word


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the template."""
    repository = tmp_path_factory.mktemp("template")
    copy_template(repository)
    run(repository, "git", "init", "--quiet", "--initial-branch=main")
    commit(repository, "This version")
    return repository


def make(template: Path, into: Path, answers: Answers) -> BakedProject:
    """Make a project with cruft, and put it into git."""
    into.mkdir()
    project = create(str(template), into, no_input=True, extra_context=answers)
    run(project, "git", "init", "--quiet", "--initial-branch=main")
    commit(project, "Made")
    return BakedProject(project)


def files(project: BakedProject) -> dict[str, tuple[bytes, int]]:
    """The content of a project, with .cruft.json, without git's and the lock of who edits it."""
    outside = (".git/", ".runs/edit.lock")
    return {k: v for k, v in project.content.items() if not k.startswith(outside)}


def add(monkeypatch: pytest.MonkeyPatch, project: BakedProject, *words: str) -> int:
    """Call `mlops add` in a project; return its exit code."""
    return call(monkeypatch, project, "add", *words)


def call(monkeypatch: pytest.MonkeyPatch, project: BakedProject, *words: str) -> int:
    """Call `mlops` in a project; return its exit code."""
    monkeypatch.chdir(project.path)
    monkeypatch.setattr(sys, "argv", ["mlops", *words])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert isinstance(leaving.value.code, int)
    return leaving.value.code


ADDITIONS: list[tuple[Answers, str, Answers]] = [
    ({"profile": "laptop"}, "pipelines github-actions", {"network": "none"}),
    (
        {"profile": "laptop"},
        "pipelines azure-devops",
        {"network": "none", "ci_provider": "azure-devops"},
    ),
    ({"profile": "laptop"}, "infrastructure", {"ci_provider": "none"}),
    (
        {"profile": "laptop", "problem_type": "regression"},
        "infrastructure --organization contos --region northeurope",
        {
            "ci_provider": "none",
            "organization_code": "contos",
            "azure_region": "northeurope",
            "problem_type": "regression",
        },
    ),
    ({"profile": "laptop"}, "network", {"ci_provider": "none", "network": "managed-vnet"}),
    (
        {"profile": "laptop"},
        "endpoint batch",
        {"profile": "laptop", "serving": "online-and-batch"},
    ),
    ({"profile": "laptop"}, "factory", {"profile": "factory", **WITHOUT}),
    ({"network": "none"}, "infrastructure", {}),
    ({"ci_provider": "none"}, "pipelines azure-devops", {"ci_provider": "azure-devops"}),
    ({}, "pipelines azure-devops", {"ci_provider": "azure-devops"}),
    ({}, "network", {"network": "managed-vnet"}),
    ({"_tags": "cost_center=4711"}, "replica", {"production_data": "masked-replica", "_tags": "cost_center=4711"}),
    ({}, "endpoint batch", {"serving": "online-and-batch"}),
    ({"serving": "batch"}, "endpoint online", {"serving": "online-and-batch"}),
    ({}, "approval", {"release_approval": "model-validator"}),
    ({}, "factory", {"profile": "factory"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "words", "end"), ADDITIONS, ids=[f"{a} {b}" for a, b, _ in ADDITIONS]
)
def test_what_is_added_is_what_answering_so_at_the_start_makes(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    start: Answers,
    words: str,
    end: Answers,
) -> None:
    project = make(template, tmp_path / "start", start)
    before = files(project)
    assert add(monkeypatch, project, *shlex.split(words), "--apply", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["applied"] and not plan["conflicts"]
    wanted = make(template, tmp_path / "end", end)
    assert files(project) == files(wanted)
    named = {one["path"] for one in plan["files"]} | {".cruft.json"}
    after = files(project)
    assert named == {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
    diff = ("diff", "HEAD~1", "--no-renames", "--numstat", "-z")
    counted = run(project.path, "git", *diff).split("\0")
    lines = {
        path: (int(new), int(old)) for new, old, path in (one.split("\t") for one in counted if one)
    }
    del lines[".cruft.json"]
    assert lines == {one["path"]: (one["added"], one["removed"]) for one in plan["files"]}

    capsys.readouterr()
    assert add(monkeypatch, project, *shlex.split(words), "--apply") == 0  # once more
    assert "nothing to add" in capsys.readouterr().out
    assert run(project.path, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({}, "stage staging"),
        ({"ci_provider": "azure-devops"}, "stage staging"),
        ({"profile": "laptop"}, "step enrich"),
        ({}, "schedule weekly --pipeline azureml/pipelines/train.yml --cron '0 3 * * 1'"),
        ({"profile": "laptop"}, "environment text --package spacy==3.8.7"),
    ],
    ids=str,
)
def test_a_part_without_an_answer_is_written_as_planned_and_passes_the_checks(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    start: Answers,
    words: str,
) -> None:
    project = make(template, tmp_path / "start", start)
    before = files(project)
    assert add(monkeypatch, project, *shlex.split(words), "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert not plan["applied"] and files(project) == before
    assert add(monkeypatch, project, *shlex.split(words), "--apply") == 0
    after = files(project)
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed == {one["path"] for one in plan["files"]} and before.keys() <= after.keys()
    capsys.readouterr()
    assert add(monkeypatch, project, *shlex.split(words), "--apply") == 0
    assert "nothing to add" in capsys.readouterr().out and files(project) == after
    assert call(monkeypatch, project, "check") == 0


def test_a_plan_shows_files_and_lines_and_writes_nothing(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = make(template, tmp_path / "start", {"profile": "laptop"})
    (project.path / "own.txt").write_text("not committed\n", encoding="utf-8")
    before = files(project)
    assert add(monkeypatch, project, "pipelines", "github-actions") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["profile: laptop → team", "ci_provider: none → github-actions"]
    assert "+ .github/CODEOWNERS  +2 -0" in lines
    assert "      +| `.github/` | pipelines: [docs/delivery.md](docs/delivery.md) |" in lines
    assert "21 files, +" in lines[-2] and "--apply" in lines[-1]
    assert files(project) == before
    assert not (project.path / ".runs").exists()


def test_what_a_team_wrote_stays_and_what_it_changed_on_the_same_line_is_named(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = make(template, tmp_path / "ours", {"profile": "laptop"})
    wanted = make(template, tmp_path / "end", {"ci_provider": "none"})
    for place in (project.path, wanted.path):
        (place / "own.md").write_text("ours\n", encoding="utf-8")
        edit(place / "Makefile", "PYTHON ?= python3\n", "PYTHON ?= python3.12\n")
        (place / "CONTRIBUTING.md").unlink()
    commit(project.path, "Ours")
    assert add(monkeypatch, project, "infrastructure", "--apply") == 0
    assert files(project) == files(wanted)

    edit(project.path / "infra/dev.bicepparam", "param network = 'public'", "param network = ours")
    commit(project.path, "Ours again")
    capsys.readouterr()
    assert add(monkeypatch, project, "network", "--apply", "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["conflicts"] == ["infra/dev.bicepparam"]
    assert "infra/dev.bicepparam" in said.err and "cherry-pick --abort" in said.err
    text = project.text("infra/dev.bicepparam")
    assert "param network = ours" in text and "param network = 'managed-vnet'" in text
    assert "param network = 'managed-vnet'" in project.text("infra/prod.bicepparam")


def test_a_stage_that_an_answer_does_not_reach_is_named(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = make(template, tmp_path / "ours", {})
    assert add(monkeypatch, project, "stage", "staging", "--apply") == 0
    commit(project.path, "A stage")
    capsys.readouterr()
    assert add(monkeypatch, project, "network", "--apply", "--json") == 0
    files = {one["path"]: one for one in json.loads(capsys.readouterr().out)["files"]}
    assert files["infra/staging.bicepparam"]["what"] == "kept"
    assert "mlops add stage staging" in files["infra/staging.bicepparam"]["why"]
    assert files["infra/prod.bicepparam"]["what"] == "changed"


def test_a_file_of_the_old_provider_that_a_team_changed_stays_and_is_named(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(template, tmp_path / "ours", {})
    path = project.path / ".github/workflows/check.yml"
    path.write_text(path.read_text(encoding="utf-8") + "# ours\n", encoding="utf-8")
    commit(project.path, "Ours")
    assert add(monkeypatch, project, "pipelines", "azure-devops", "--apply") == 1
    assert path.read_text(encoding="utf-8").endswith("# ours\n")
    assert not project.has(".github/workflows/train.yml") and project.has(".azuredevops/train.yml")


@pytest.mark.parametrize(
    ("break_it", "words", "said"),
    [
        ("rm .cruft.json", "pipelines azure-devops", "cruft link TEMPLATE"),
        ("echo x >> README.md", "pipelines azure-devops --apply", "git stash"),
        ("sed -i 's/\"template\": \".*\"/\"template\": \"nowhere\"/' .cruft.json", "network", "--template"),
        ("sed -i 's/\"commit\": \".*\"/\"commit\": \"0000000\"/' .cruft.json", "network", "git fetch"),
        ("sed -i '/production_data/d' .cruft.json", "replica", "mlops upgrade"),
        ("true", "infrastructure --organization Contoso", "Would pass: contos"),
    ],
    ids=["no state", "not committed", "no template", "no commit", "older template", "refused"],
)  # fmt: skip
def test_what_stands_in_the_way_is_told_with_what_to_do(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    break_it: str,
    words: str,
    said: str,
) -> None:
    project = make(template, tmp_path / "ours", {})
    subprocess.run(["bash", "-c", break_it], cwd=project.path, check=True)
    if "--apply" not in words:
        run(
            project.path,
            "git",
            "commit",
            "--quiet",
            "--all",
            "--allow-empty",
            "--message",
            "Broken",
        )
    before = files(project)
    assert add(monkeypatch, project, *shlex.split(words)) in (1, 2)
    assert said in capsys.readouterr().err
    assert files(project) == before


def test_a_template_that_has_moved_is_named(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(template, tmp_path / "ours", {})
    edit(project.path / ".cruft.json", f'"template": "{template}"', '"template": "nowhere"')
    commit(project.path, "Moved")
    assert add(monkeypatch, project, "network", "--apply", "--template", str(template)) == 0
    assert "param network = 'managed-vnet'" in project.text("infra/dev.bicepparam")


def test_a_replica_without_infrastructure_is_refused(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = make(template, tmp_path / "ours", {"profile": "laptop"})
    assert add(monkeypatch, project, "replica", "--apply") == 2
    assert "mlops add infrastructure" in capsys.readouterr().err


def test_a_new_answer_is_judged_by_the_policy_and_an_old_one_is_not(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = make(template, tmp_path / "ours", {})
    policy = tmp_path / "policy.yml"
    monkeypatch.setenv("AI_FACTORY_POLICY", str(policy))
    policy.write_text("choices: {ci_provider: [azure-devops]}", encoding="utf-8")
    assert add(monkeypatch, project, "network") == 2
    assert "ci_provider: 'github-actions' must be one of azure-devops" in capsys.readouterr().err
    assert add(monkeypatch, project, "pipelines", "azure-devops") == 0
    assert bake(tmp_path / "b", ci_provider="azure-devops").has(".azuredevops")
