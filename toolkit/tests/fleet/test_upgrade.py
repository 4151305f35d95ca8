"""An update from the template: what it brings, what it leaves alone, what it refuses, and the way back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from modelyard.delivery import update
from modelyard.delivery.additions import plan_answers
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import editing
from modelyard.fleet.template import STATE
from modelyard.fleet.upgrade import apply, pick, undo, upgrade_of
from modelyard.git import git

from tests.command import Mlops
from tests.fleet.small_template import LINES, WORKFLOW, Made, commit, make, workflow, write
from tests.fleet.test_status import row_of


@pytest.fixture
def made(tmp_path: Path) -> Made:
    made = make(tmp_path.resolve())
    write(made.project, {".git/info/exclude": "/.runs/\n"})
    return made


def changes(made: Made) -> dict[str, str]:
    """Kind of the change of each file."""
    with upgrade_of(made.project, None, None, print) as found:
        assert found is not None
        return {one.file: one.kind for one in found.changes}


def snapshot(root: Path) -> tuple[str, str, dict[str, bytes]]:
    files = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file()}
    content = {n: p.read_bytes() for n, p in files.items() if not n.startswith((".git/", ".runs/"))}
    return git(root, "rev-parse", "HEAD"), git(root, "for-each-ref"), content


def test_what_the_team_left_alone_is_the_templates_new_file(made: Made) -> None:
    assert changes(made) == {
        "Makefile": "auto",
        WORKFLOW: "auto",
        "docs/one.md": "auto",
        "docs/two.md": "auto",
        "docs/three.md": "auto",
        ".gitignore": "auto",
        "README.md": "kept",
        "src/model.py": "kept",
    }


def test_both_changes_of_a_file_are_merged_and_a_renamed_file_is_followed(made: Made) -> None:
    root = made.project
    write(root, {"Makefile": LINES + "ours\n", ".gitignore": "/build/\n/ours/\n", "own.md": "o\n"})
    (root / "docs/one.md").rename(root / "docs/first.md")
    commit(root)
    found = changes(made)
    assert (found["Makefile"], found[".gitignore"], found["docs/first.md"]) == ("merged",) * 3
    assert "conflict" not in found.values()
    with upgrade_of(root, None, None, print) as upgrade:
        assert upgrade is not None
        apply(root, upgrade)
    assert (root / "Makefile").read_text() == LINES.replace("line 3\n", "line three\n") + "ours\n"
    assert set((root / ".gitignore").read_text().split()) == {"/build/", "/ours/", "/cache/"}
    assert "line twenty" in (root / "docs/first.md").read_text()
    assert (root / "README.md").read_text() == "# late\n"
    assert (root / "own.md").is_file() and not (root / "docs/one.md").exists()
    assert json.loads((root / STATE).read_text())["commit"] == made.second
    assert git(root, "status", "--porcelain") == ""
    assert "- a new page" in git(root, "log", "-1", "--format=%B")
    with upgrade_of(root, None, None, print) as again:
        assert again is None


def test_what_the_team_deleted_stays_deleted_and_is_named(made: Made) -> None:
    write(made.project, {"docs/one.md": None})
    commit(made.project)
    assert changes(made)["docs/one.md"] == "kept"
    with upgrade_of(made.project, None, None, print) as upgrade:
        assert upgrade is not None
        apply(made.project, upgrade)
    assert not (made.project / "docs/one.md").exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("Makefile", LINES.replace("line 3\n", "line III\n")),
        ("docs/two.md", LINES.replace("line", "word") + "ours\n"),  # which the template deletes
        ("docs/three.md", "another page of ours\n"),  # which the template adds
    ],
)
def test_a_conflict_is_named_and_changes_nothing(made: Made, file: str, text: str) -> None:
    write(made.project, {file: text})
    commit(made.project)
    before = snapshot(made.project)
    with upgrade_of(made.project, None, None, print) as upgrade:
        assert upgrade is not None
        assert [one.file for one in upgrade.conflicts] == [file]
        assert upgrade.commit is None
        with pytest.raises(CheckFailed, match=f"same lines of: {file}"):
            apply(made.project, upgrade)
    assert snapshot(made.project) == before


@pytest.mark.parametrize("version", ["v2.0.0", "v4.0.0"])
@pytest.mark.parametrize("place", [WORKFLOW, ".github/workflows/ours.yml"])
def test_of_a_pin_that_both_moved_the_newer_one_is_taken_and_told(
    made: Made, version: str, place: str
) -> None:
    root = made.project
    write(root, {WORKFLOW: None, place: workflow(version, "    ours: {}\n")})
    commit(root)
    with upgrade_of(root, None, None, print) as upgrade:
        assert upgrade is not None
        [change] = [one for one in upgrade.changes if one.pins]
        apply(root, upgrade)
    newer, kind = (version, "kept") if version == "v4.0.0" else ("v3.0.0", "merged")
    assert (change.file, change.kind) == (place, kind)
    assert f"{newer} {'kept' if kind == 'kept' else 'taken'}" in change.why
    assert f"\n- {change.why}" in upgrade.description
    assert (root / place).read_text() == workflow(newer, "    ours: {}\n")
    assert place == WORKFLOW or not (root / WORKFLOW).exists()


def test_a_pin_of_which_nobody_knows_which_is_newer_is_a_conflict(made: Made) -> None:
    write(made.project, {WORKFLOW: workflow("v3.0.0").replace("3" * 40, "f" * 40)})
    commit(made.project)
    assert changes(made)[WORKFLOW] == "conflict"


def test_other_conflicts_are_decided_with_the_pins_settled(made: Made) -> None:
    root = made.project
    write(root, {WORKFLOW: workflow("v2.0.0"), "Makefile": LINES.replace("line 3\n", "III\n")})
    commit(root)
    with upgrade_of(root, None, None, print) as upgrade:
        assert upgrade is not None
        assert [one.file for one in upgrade.conflicts] == ["Makefile"]
        assert not pick(root, upgrade)
    assert git(root, "diff", "--name-only", "--diff-filter=U").split() == ["Makefile"]
    assert (root / WORKFLOW).read_text() == workflow("v3.0.0")


def test_a_preview_says_all_of_it_and_changes_nothing(
    made: Made, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.project)
    before = snapshot(made.project)
    objects = git(made.project, "count-objects", "-v")
    said = mlops("upgrade", "--preview").out
    assert "- a new page" in said and "6 auto, 0 merged, 2 kept, 0 conflict" in said
    data = json.loads(mlops("upgrade", "--preview", "--json").out)
    assert {"file": "Makefile", "kind": "auto", "why": "", "pins": []} in data["changes"]
    assert snapshot(made.project) == before
    assert git(made.project, "count-objects", "-v") == objects


def test_an_upgrade_goes_there_and_back(
    made: Made, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.project)
    _, _, before = snapshot(made.project)
    assert "mlops upgrade --undo" in mlops("upgrade").out
    assert (made.project / "docs/three.md").is_file()
    write(made.project, {"later.md": "x\n"})
    commit(made.project)
    mlops("upgrade", "--undo")
    assert snapshot(made.project)[2] == before | {"later.md": b"x\n"}
    with pytest.raises(UsageError, match="was taken back already"):
        undo(made.project)


def test_an_upgrade_waits_for_a_command_that_edits_the_project(made: Made) -> None:
    words = [sys.executable, "-m", "modelyard", "upgrade"]
    with editing(made.project):
        second = subprocess.Popen(words, cwd=made.project, stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert second.stderr.readline().startswith("waiting until another command that edits")
        write(made.project, {"later.md": "x\n"})
        commit(made.project)
    assert "error" not in second.communicate()[1]
    assert second.returncode == 0
    assert {"later.md", "docs/three.md"} <= snapshot(made.project)[2].keys()


def test_conflicts_are_left_for_somebody_to_decide_where_that_is_asked(
    made: Made, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.project)
    write(made.project, {"Makefile": LINES.replace("line 3\n", "line III\n")})
    head = commit(made.project)
    assert "git cherry-pick --continue" in mlops("upgrade", "--merge", code=1).err
    assert "<<<<<<<" in (made.project / "Makefile").read_text()
    assert git(made.project, "rev-parse", "HEAD").strip() == head
    write(made.project, {"Makefile": LINES})
    git(made.project, "add", "Makefile")
    git(made.project, "-c", "core.editor=true", "cherry-pick", "--continue")
    assert json.loads((made.project / STATE).read_text())["commit"] == made.second
    assert (made.project / "docs/three.md").is_file()


@pytest.mark.parametrize(
    "kind", ["changed", "untracked in the way", "unlinked", "broken", "version"]
)
def test_what_cannot_be_updated_is_refused_with_the_reason(made: Made, kind: str) -> None:
    root, version = made.project, "v9" if kind == "version" else None
    expected = {
        "changed": "not committed",
        "untracked in the way": "docs/three.md",
        "unlinked": "cruft link",
        "broken": "is not readable as JSON",
        "version": "has no version v9",
    }[kind]
    if kind in ("unlinked", "broken"):
        write(root, {STATE: None if kind == "unlinked" else "{"})
        commit(root)
    elif kind != "version":
        write(root, {"Makefile" if kind == "changed" else "docs/three.md": "ours\n"})
    before = snapshot(root)
    with (
        pytest.raises(UsageError, match=expected),
        upgrade_of(root, version, None, print) as upgrade,
    ):
        assert upgrade is not None
        apply(root, upgrade)
    assert snapshot(root)[0::2] == before[0::2]


@pytest.mark.parametrize(
    ("file", "before", "after", "expected"),
    [
        (STATE, '"template": "', '"was": "', ".cruft.json: template is missing"),
        (STATE, '"directory": null', '"directory": 1', ".cruft.json: directory should be"),
        (STATE, '"directory": null', '"directory": "x"', "no x/cookiecutter.json"),
        (STATE, '"name": "late"', '"called": "late"', "lacks the answers name"),
        (STATE, '"name": "late"', '"name": 1', "lacks the answers name"),
        (STATE, '"kind": "a"', '"kind": ["a"]', "lacks the answers kind"),
        ("pyproject.toml", '["README.md", "src"]', '"src"', "pyproject.toml: tool.cruft.skip should be"),
        ("pyproject.toml", '"src"]', "1]", "pyproject.toml: tool.cruft.skip.1 should be"),
        ("pyproject.toml", "[tool.cruft]", "tool = 1", "pyproject.toml: tool should be"),
        ("pyproject.toml", "[tool.cruft]", "[tool", "pyproject.toml is not valid TOML"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_and_no_default_takes_the_place_of_an_answer(
    made: Made, file: str, before: str, after: str, expected: str
) -> None:
    text = (made.project / file).read_text()
    assert before in text
    write(made.project, {file: text.replace(before, after)})
    commit(made.project)
    with (
        pytest.raises(UsageError, match=expected),
        upgrade_of(made.project, None, str(made.template), print),
    ):
        pass
    assert any(expected in one for one in [*row_of(made).problems, row_of(made).unjudged])


def test_a_template_that_is_not_read_is_told(made: Made) -> None:
    said: list[str] = []
    with plan_answers(made.project, lambda _: {"kind": "a"}, "nowhere", said.append) as plan:
        assert not plan.files
    assert said == ["nowhere is not read: no answer of this project changes"]


@pytest.mark.parametrize("followed", ["main", "stable", "v2"])
def test_a_project_follows_its_branch_and_is_not_kept_at_a_version(
    made: Made, followed: str
) -> None:
    git(made.template, "branch", "stable", made.first)
    git(made.template, "tag", "v2")
    state = json.loads((made.project / STATE).read_text())
    write(made.project, {STATE: json.dumps(state | {"checkout": followed})})
    commit(made.project)
    with upgrade_of(made.project, None, None, print) as found:
        assert (found is None) == (followed == "stable")
    with upgrade_of(made.project, "v2", None, print) as found:
        assert found is not None
        apply(made.project, found)
    kept = json.loads((made.project / STATE).read_text())["checkout"]
    assert kept == (None if followed == "v2" else followed)


class Opened:
    """A provider that keeps the pull requests which are opened."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []

    def open_pull_request(self, root: Path, branch: str, title: str, text: str) -> str:
        assert git(root, "branch", "--show-current").strip() == branch == "update-template"
        self.requests.append((title, text))
        return "number 5"


def test_the_pipeline_opens_a_pull_request_with_what_is_new_and_what_is_left_out(
    made: Made,
) -> None:
    opened: Any = Opened()
    assert update.update_project(made.project, opened, print).endswith("number 5")
    [(title, text)] = opened.requests
    assert title == f"Template from {made.first[:8]} to {made.second[:8]}"
    assert "- a new page" in text and "- README.md: the team's own" in text
    assert "newest version" in update.update_project(made.project, opened, print)


def test_the_pipeline_opens_nothing_with_a_conflict(made: Made) -> None:
    write(made.project, {"Makefile": LINES.replace("line 3\n", "line III\n")})
    commit(made.project)
    opened: Any = Opened()
    with pytest.raises(CheckFailed, match="same lines of: Makefile"):
        update.update_project(made.project, opened, print)
    assert opened.requests == []


def killed_at_moments(made: Made, count: int) -> set[str]:
    """Kill updates and everything they started; returns the commits at which the repository was found."""
    command = [sys.executable, "-m", "modelyard", "upgrade"]
    old = git(made.project, "rev-parse", "HEAD").strip()
    begun = time.monotonic()
    subprocess.run(command, cwd=made.project, check=True, capture_output=True)
    took, new = time.monotonic() - begun, git(made.project, "rev-parse", "HEAD").strip()
    dice, found = random.Random(0), set()
    for number in range(count):
        git(made.project, "reset", "-q", "--hard", old)
        process = subprocess.Popen(
            command, cwd=made.project, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        # Half of them while the branch moves, which is at the end.
        share = dice.uniform(0, 1) if number % 2 else dice.uniform(0.8, 1.05)
        time.sleep(took * share)
        started: list[psutil.Process] = []
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGSTOP)
            started = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        psutil.wait_procs(started, timeout=20)  # git, in a group of its own, ends its work
        assert git(made.project, "status", "--porcelain") == "", number
        found.add(git(made.project, "rev-parse", "HEAD").strip())
        assert git(made.project, "fsck", "--connectivity-only") == ""
    assert found <= {old, new}
    return found


def test_an_update_that_is_killed_leaves_the_repository_as_it_was_or_updated(made: Made) -> None:
    assert killed_at_moments(made, 4)


@pytest.mark.slow
def test_an_update_that_is_killed_at_fifty_moments_leaves_the_repository_whole(made: Made) -> None:
    assert len(killed_at_moments(made, 50)) == 2
