"""Updates of a fleet: branches, conflicts, pushes, pull requests, and a second run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from modelyard.fleet import update as module
from modelyard.fleet.repositories import Repository
from modelyard.fleet.update import Outcome, Wanted, update_fleet
from modelyard.git import git

from tests.command import Mlops
from tests.fleet.small_template import LINES, WORKFLOW, Made, commit, make, workflow, write
from tests.fleet.test_upgrade import snapshot


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    return make(tmp_path.resolve())


def run(*folders: Path | str, jobs: int = 2, **wanted: object) -> dict[str, Outcome]:
    """Update repositories; the outcome of each by its place."""
    places = [str(one) for one in folders]
    repositories = [Repository(one, one, "://" in one, updates=True) for one in places]
    asked = Wanted("main", **wanted)  # type: ignore[arg-type]
    return {one.repository: one for one in update_fleet(repositories, asked, jobs, print)}


def copy(made: Made, name: str, **changes: str | None) -> Path:
    """A copy of the project with changes of a team, committed."""
    target = made.project.parent / name
    shutil.copytree(made.project, target)
    write(target, {key.replace("__", "/"): value for key, value in changes.items()})
    commit(target)
    return target


def branch_of(made: Made, root: Path) -> str:
    return git(
        root, "for-each-ref", "--format=%(objectname)", f"refs/heads/template-{made.second[:8]}"
    ).strip()


def test_each_project_gets_a_branch_or_its_conflicts_named_and_no_file_changes(made: Made) -> None:
    fine = copy(made, "fine", Makefile=LINES + "ours\n")
    write(fine, {WORKFLOW: workflow("v2.0.0")})
    commit(fine)
    wrong = copy(made, "wrong", Makefile=LINES.replace("line 3\n", "line III\n"))
    write(fine, {"own.md": "not committed\n"})
    files = snapshot(fine)[2]
    found = run(fine, wrong, made.project.parent / "nothing")
    assert {Path(k).name: v.state for k, v in found.items()} == {
        "fine": "updated", "wrong": "conflict", "nothing": "failed",
    }  # fmt: skip
    assert list(found[str(wrong)].conflicts) == ["Makefile"]
    assert found[str(made.project.parent / "nothing")].why.endswith(": No such file or directory")
    assert branch_of(made, wrong) == ""
    assert snapshot(fine)[2] == files
    tip = branch_of(made, fine)
    assert git(fine, "rev-parse", f"{tip}^").strip() == git(fine, "rev-parse", "HEAD").strip()
    assert "line three" in git(fine, "show", f"{tip}:Makefile")
    assert "ours" in git(fine, "show", f"{tip}:Makefile")
    assert found[str(fine)].kept["README.md"]
    assert "@333" in git(fine, "show", f"{tip}:{WORKFLOW}")
    [pin] = found[str(fine)].pins[WORKFLOW]
    assert "the template's v3.0.0 taken" in pin and pin in str(found[str(fine)])


def test_a_second_run_finds_what_is_done_and_leaves_the_work_of_others(made: Made) -> None:
    root = made.project
    run(root)
    tip = branch_of(made, root)
    assert run(root)[str(root)].state == "updated"
    assert branch_of(made, root) == tip
    work = root.parent / "work-tree"
    git(root, "worktree", "add", "-q", str(work), f"template-{made.second[:8]}")
    write(work, {"fix.md": "x\n"})
    theirs = commit(work, "A fix")
    assert run(root)[str(root)].state == "updated"
    assert branch_of(made, root) == theirs
    write(root, {"later.md": "x\n"})  # main goes on: the update would be another commit
    commit(root)
    outcome = run(root)[str(root)]
    assert outcome.state == "failed" and "commits of somebody else" in outcome.why
    assert branch_of(made, root) == theirs


def test_a_branch_that_nobody_worked_on_follows_the_project(made: Made) -> None:
    run(made.project)
    write(made.project, {"later.md": "x\n"})
    head = commit(made.project)
    assert run(made.project)[str(made.project)].state == "updated"
    assert git(made.project, "rev-parse", f"{branch_of(made, made.project)}^").strip() == head


def test_a_project_of_the_version_is_unchanged_and_a_preview_changes_nothing(made: Made) -> None:
    before = snapshot(made.project)
    outcome = run(made.project, preview=True)[str(made.project)]
    assert (outcome.state, outcome.branch) == ("updated", None)
    assert snapshot(made.project) == before
    run(made.project)
    git(made.project, "merge", "-q", f"template-{made.second[:8]}")
    assert run(made.project)[str(made.project)].state == "unchanged"


@pytest.mark.parametrize("passes", [True, False])
def test_a_check_runs_in_the_updated_project_and_decides(made: Made, passes: bool) -> None:
    word = "three" if passes else "four"
    outcome = run(made.project, check=f"cat docs/three.md; grep -q 'line {word}' Makefile")
    [one] = outcome.values()
    assert one.state == ("updated" if passes else "check failed")
    assert bool(branch_of(made, made.project)) == passes
    assert passes or "not filled in" in one.why


@pytest.fixture
def origin(made: Made) -> Path:
    """A bare repository that the project pushes to."""
    bare = made.project.parent / "origin.git"
    git(made.project.parent, "clone", "-q", "--bare", str(made.project), str(bare))
    git(made.project, "remote", "add", "origin", str(bare))
    return bare


@pytest.mark.parametrize("by", ["path", "address"])
def test_a_branch_is_pushed_once_and_never_over_the_work_of_others(
    made: Made, origin: Path, by: str
) -> None:
    place = str(made.project) if by == "path" else origin.as_uri()
    write(made.project, {"wip.md": "not pushed\n"})
    commit(made.project)
    assert run(place, push=True)[place].pushed
    tip = branch_of(made, origin)
    assert "wip.md" not in git(origin, "ls-tree", "--name-only", tip)
    assert "line three" in git(origin, "show", f"{tip}:Makefile")
    assert run(place, push=True)[place].pushed
    assert branch_of(made, origin) == tip
    clone = made.project.parent / "clone"
    git(
        made.project.parent,
        "clone",
        "-q",
        "-b",
        f"template-{made.second[:8]}",
        str(origin),
        str(clone),
    )
    write(clone, {"fix.md": "x\n"})
    theirs = commit(clone)
    git(clone, "push", "-q")
    assert run(place, push=True)[place].pushed
    assert branch_of(made, origin) == theirs
    git(clone, "checkout", "-q", "main")
    write(clone, {"later.md": "x\n"})
    commit(clone)
    git(clone, "push", "-q")
    git(made.project, "fetch", "-q")
    git(made.project, "reset", "-q", "--hard", "origin/main")
    assert "commits of somebody else" in run(place, push=True)[place].why
    assert branch_of(made, origin) == theirs


def test_an_address_is_not_updated_to_nowhere(made: Made, origin: Path) -> None:
    assert "add --push, or --preview" in run(origin.as_uri())[origin.as_uri()].why


def test_what_needs_a_network_is_tried_again(
    made: Made, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []
    real = module._push

    def flaky(*arguments: object) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise module.UsageError("the server is away")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_push", flaky)
    assert run(made.project, push=True)[str(made.project)].pushed
    assert len(tries) == 3


PROGRAM = """#!{python}
import json, pathlib, sys
log = pathlib.Path({log!r})
known = log.read_text() if log.exists() else ""
log.write_text(known + json.dumps(sys.argv) + "\\n")
opened = ", \\"create\\"," in known
if "list" in sys.argv:
    print(json.dumps([{answer}] if opened else []))
else:
    print({created})
"""


@pytest.mark.parametrize(
    ("address", "program", "expected", "url"),
    [
        ("https://me:secret@github.example/acme/late.git", "gh",
         ["--repo", "https://github.example/acme/late.git"], "https://github.example/acme/late/pull/7"),
        ("https://acme@dev.azure.com/acme/My%20Team/_git/late", "az",
         ["--org", "https://dev.azure.com/acme", "--project", "My Team", "--repository", "late"],
         "https://dev.azure.com/acme/My Team/_git/late/pullrequest/7"),
        ("git@ssh.dev.azure.com:v3/acme/team/late", "az",
         ["--org", "https://dev.azure.com/acme", "--project", "team", "--repository", "late"],
         "https://dev.azure.com/acme/team/_git/late/pullrequest/7"),
    ],
)  # fmt: skip
def test_a_pull_request_is_opened_once(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, program: str,
    expected: list[str], url: str,
) -> None:  # fmt: skip
    log, tools = tmp_path / "log", tmp_path / "bin"
    answer = {"url": url, "pullRequestId": 7}
    created = repr(url) if program == "gh" else "json.dumps({'pullRequestId': 7})"
    text = PROGRAM.format(python=sys.executable, log=str(log), answer=answer, created=created)
    write(tools, {program: text})
    (tools / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    opened = [module.open_pull_request(address, "b", "Title", "- text") for _ in range(2)]
    assert opened == [url, url]
    calls = [json.loads(line)[1:] for line in log.read_text().splitlines()]
    assert [("create" in one) for one in calls] == [False, True, False]
    assert all(
        any(one[n : n + len(expected)] == expected for n in range(len(one))) for one in calls
    )
    assert "secret" not in log.read_text()


def test_the_command_leaves_out_who_opts_out_and_goes_on_after_a_kill(
    made: Made, tmp_path: Path, mlops: Mlops
) -> None:
    folders = [copy(made, f"p{number}", own=f"{number}\n") for number in range(5)]
    out = copy(made, "out", own="x\n")
    file = tmp_path / "fleet.txt"
    file.write_text("".join(f"{one}\n" for one in folders) + f"{out} no-update\n")
    words = ["fleet", "update", str(file), "--to", "main", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "modelyard", *words], start_new_session=True, cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any(branch_of(made, one) for one in folders) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {one: tip for one in folders if (tip := branch_of(made, one))}
    assert 0 < len(done) < 5
    for one in folders:
        assert git(one, "status", "--porcelain") == ""
    states = [one["state"] for one in json.loads(mlops(*words, "--json").out)]
    assert sorted(states) == ["opted out", *["updated"] * 5]
    assert {one: branch_of(made, one) for one in done} == done
    assert branch_of(made, out) == ""
