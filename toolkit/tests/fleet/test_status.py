"""What a fleet's status says of its projects, and of what cannot be read."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from modelyard.errors import UsageError
from modelyard.fleet import given
from modelyard.fleet.hub import cells
from modelyard.fleet.repositories import Repository, read_fleet
from modelyard.fleet.status import Question, Row, examine
from modelyard.fleet.template import STATE, Origin, Template, read_origin
from modelyard.git import git
from modelyard.models.registry import Registry

from tests.command import Mlops
from tests.editing import edit
from tests.fleet.small_template import Made, commit, make, write
from tests.project import TEMPLATE


def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make(tmp_path.resolve())


def row_of(made: Made, folder: Path | None = None, place: str | None = None) -> Row:
    """The row of a project, looked at beside the template."""
    where = place or str(folder or made.project)
    repository = Repository(where, "x", place is not None, updates=True)
    work = made.template.parent / "work"
    question = Question(Template(made.template, work, Path(sys.executable)), None, today())
    [row] = examine([repository], question, 1)
    return row


def test_a_fresh_project_does_not_differ_from_its_template(made: Made) -> None:
    row = row_of(made)
    assert (row.problems, row.changed, row.deleted) == ([], 0, 0)
    assert (row.name, row.owner, row.template) == ("late", "a@b.org", f"1 ({made.first[:8]})")
    assert (row.level, row.lacking) == (0, ["builds-automated", "code-tested", "data-gathered"])


def test_what_the_team_changed_and_deleted_is_counted_but_not_its_own(made: Made) -> None:
    write(made.project, {"Makefile": "ours\n", "docs/one.md": None, "docs/two.md": None})
    write(made.project, {"README.md": "ours\n", "src/model.py": None, "own.md": "ours\n"})
    row = row_of(made)
    assert (row.changed, row.deleted) == (1, 2)


def test_the_fast_rendering_is_that_of_cookiecutter_for_every_choice(tmp_path: Path) -> None:
    """The template itself, with answers that Jinja and YAML could stumble over."""
    repository = tmp_path / "template"
    repository.mkdir()
    for name in ("cookiecutter.json", "hooks", "{{cookiecutter.project_slug}}"):
        copy = shutil.copytree if (TEMPLATE / name).is_dir() else shutil.copy
        copy(TEMPLATE / name, repository / name)
    git(repository, "init", "-q")
    head = commit(repository)
    work = tmp_path / "work"
    work.mkdir()
    template = Template(repository, work, Path(sys.executable))
    base = {
        "project_name": 'The "late" {x} & flights',
        "project_slug": "late",
        "description": "\\ é",
    }
    choices = (
        {},
        {"ci_provider": "azure-devops", "serving": "online-and-batch", "network": "managed-vnet"},
        {"problem_type": "regression", "serving": "batch", "_tags": "cost_center=1, data=x"},
    )
    for number, some in enumerate(choices):
        state = {"template": "t", "commit": head, "context": {"cookiecutter": base | some}}
        origin = Origin(state, ())
        [(project, context)] = template.render([(head, origin)], tmp_path / str(number))
        origin = replace(origin, state=state | {"context": {"cookiecutter": context}})
        assert given.differences(project, origin, template) == ([], [])
        files = {p.relative_to(project).as_posix() for p in project.rglob("*") if p.is_file()}
        assert set(given.given(origin, template)) == files


def test_without_the_template_differences_are_not_judged(made: Made) -> None:
    repository = Repository(str(made.project), "x", is_address=False, updates=True)
    [row] = examine([repository], Question(None, None, today()), 1)
    assert (row.changed, row.deleted) == (None, None)
    assert "--template" in row.unjudged


def test_a_project_that_was_not_made_with_cruft_is_not_compared(made: Made) -> None:
    write(made.project, {STATE: None})
    row = row_of(made)
    assert (row.is_fine, row.changed, row.template) == (True, None, "1")
    assert "has no .cruft.json" in row.unjudged


def test_a_version_that_the_clone_does_not_have_is_not_judged(made: Made) -> None:
    state = made.project / STATE
    edit(state, made.first, "f" * 40)
    row = row_of(made)
    assert row.changed is None and "has no version" in row.unjudged


def test_the_champion_is_read_from_the_projects_own_store(made: Made, empty_store: Path) -> None:
    (made.project / ".mlflow").mkdir()
    store = made.project / ".mlflow" / "mlflow.db"
    shutil.copy(empty_store, store)
    assert row_of(made).champion is None
    registry = Registry("m", f"sqlite:///{store}")
    run = registry.client.create_run("0").info.run_id
    tags = {"model_digest": "d", "decision": "promoted"}
    version = registry.register(run_id=run, source="file:///x", tags=tags)
    registry.set_champion(version)
    assert row_of(made).champion == {"version": "1", "age_days": 0, "verdict": "promoted"}
    folder = made.project / ".mlflow/decisions/m-v1"
    write(
        folder, {"evidence/decision.json": '{"details": {"verdict": "open"}}', "report.html": "x"}
    )
    row = row_of(made)
    assert row.champion and row.champion["verdict"] == "open"
    assert row.pages == [".mlflow/decisions/m-v1/report.html"]


def test_retired_features_cost_tags_and_code_owners_are_told(made: Made) -> None:
    write(made.project, {
        ".github/CODEOWNERS": "# all\n* @acme/one\n/docs @acme/docs\n*  @acme/two x@y.org # last\n",
        "azureml/compute/c.yml": "$schema: https://x/amlcompute.schema.json\nname: c\ntype: amlcompute\nsize: Standard_NC6\n",
        "azureml/compute/d.yml": "$schema: https://x/amlcompute.schema.json\nname: d\ntype: amlcompute\nsize: Standard_D2_v2\n",
    })  # fmt: skip
    text = (made.project / "conf/project.yml").read_text()
    write(made.project, {"conf/project.yml": text + "  cost_center: '4711'\n"})
    row = row_of(made)
    assert row.owner == "@acme/two x@y.org"
    assert row.cost_tags == {"cost_center": "4711"}
    [retired], [retiring] = row.retired, row.retiring
    assert retired.startswith("azureml/compute/c.yml:4: ") and "was retired" in retired
    assert "will be retired" in retiring


@pytest.mark.parametrize(
    "kind", ["missing", "no project", "not yaml", "broken state", "binary", "a fault"]
)
def test_what_cannot_be_read_is_a_row_with_its_reason(
    made: Made, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made.project
    expected = {
        "missing": "does not exist",
        "no project": "is no project",
        "not yaml": "not valid YAML",
        "broken state": "is not readable as JSON",
        "binary": "not UTF-8",
        "a fault": "ZeroDivisionError: division",
    }[kind]
    if kind == "missing":
        root = root / "nowhere"
    elif kind == "no project":
        write(root, {"conf/project.yml": None})
    elif kind == "not yaml":
        write(root, {"conf/project.yml": "a: ["})
    elif kind == "broken state":
        write(root, {STATE: "{"})
    elif kind == "binary":
        (root / "conf/project.yml").write_bytes(b"\xff\xfe")
    else:
        monkeypatch.setattr("modelyard.fleet.status._toolkit", lambda _: 1 / 0)
    row = row_of(made, root)
    assert any(expected in one for one in row.problems), row.problems
    assert not row.is_fine
    if kind == "missing":
        assert cells(row)[4:] == ["not judged"] * 5


def test_an_address_is_cloned_and_leaves_nothing(made: Made, tmp_path: Path) -> None:
    before = sorted(Path(os.environ["TMPDIR"]).iterdir())
    row = row_of(made, place=made.project.as_uri())
    assert (row.problems, row.name, row.changed) == ([], "late", 0)
    assert "at least 0" in cells(row)  # what was done elsewhere is not in a clone
    assert "at least 0" not in cells(row_of(made))
    assert row_of(made, place=(tmp_path / "none").as_uri()).problems
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(made.project), str(bare))
    assert row_of(made, bare).name == "late"
    assert sorted(Path(os.environ["TMPDIR"]).iterdir()) == before


def test_a_file_of_repositories_has_remarks_relative_paths_and_those_that_opt_out(
    tmp_path: Path,
) -> None:
    file = tmp_path / "fleet.txt"
    file.write_text(
        "# all of ours\n\n a b # why\nhttps://me:secret@git.example/x.git\tno-update\ngit@h.example:a/b.git\n"
    )
    one, two, three = read_fleet(file)
    assert (one.place, one.is_address, one.updates) == (str(tmp_path / "a b"), False, True)
    assert (two.shown, two.is_address, two.updates) == ("https://git.example/x.git", True, False)
    assert three.is_address
    for content, message in (
        ("# none\n", "names no repository"),
        ("a\nb\n./a\n", "3: ./a is in line 1"),
    ):
        file.write_text(content)
        with pytest.raises(UsageError, match=message):
            read_fleet(file)


def test_the_command_writes_a_table_json_and_a_page_and_changes_nothing(
    made: Made,
    tmp_path: Path,
    mlops: Mlops,
) -> None:
    shutil.copytree(made.project, tmp_path / "other <b>")
    write(
        tmp_path,
        {"fleet.txt": "late\nother <b>\nmissing\n", "policy.yml": "regions: [westeurope]\n"},
    )
    stamp = {p: p.stat().st_mtime_ns for p in made.project.rglob("*")}
    time.sleep(0.01)

    given_words = ("fleet", "status", str(tmp_path / "fleet.txt"), "--jobs", "2")
    page = tmp_path / "hub.html"
    words = ("--template", str(made.template), "--html", str(page))
    _, out, err = mlops(*given_words, *words, "--json", code=1)
    rows: list[Any] = json.loads(out)
    assert [row["name"] for row in rows] == ["late", "late", ""]
    assert "of 3 repositories 1 could not be read whole, 0 breach" in err
    assert {p: p.stat().st_mtime_ns for p in made.project.rglob("*")} == stamp
    html = page.read_text(encoding="utf-8")
    assert "other &lt;b&gt;" in html and "missing does not exist" in html
    assert "lacks builds-automated, code-tested and 1 more" in html and "level 0: 2" in html
    assert html.index("missing does not exist") < html.index("other &lt;b&gt;")
    _, out, err = mlops(*given_words, "--policy", str(tmp_path / "policy.yml"), code=1)
    assert "conf/project.yml:1: regions: found None" in out
    assert "2 breach the policy" in err
    (tmp_path / "fleet.txt").write_text("late\n")
    assert "not judged" in mlops(*given_words).out


def test_where_a_project_came_from_is_read_from_its_state(made: Made) -> None:
    origin = read_origin(lambda name: (made.project / name).read_text(), "x")
    assert origin.answers == {"name": "late", "kind": "a"}
    assert [origin.is_skipped(p) for p in ("README.md", "src/a/b.py", "docs/README.md")] == [
        True,
        True,
        False,
    ]
