"""What counts as a difference between the evidence of then and of now."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from modelyard.errors import UsageError
from modelyard.git import git
from modelyard.models.registry import Registry
from modelyard.reproduce import checkout, difference, reproduce

EVIDENCE = {"metrics": {"rows": 87, "r2": 0.5}, "series": [{"x": 1}, {"x": 2}], "champion": "3"}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (EVIDENCE, None),
        (EVIDENCE | {"champion": None}, None),
        (
            EVIDENCE | {"metrics": {"rows": 87, "r2": 0.5000000000000001}},
            "metrics.r2: 0.5 before, 0.5000000000000001 now",
        ),
        (EVIDENCE | {"metrics": {"rows": 87}}, "metrics.r2 is missing"),
        (EVIDENCE | {"tags": {}}, "tags is new"),
        (EVIDENCE | {"series": [{"x": 1}, {"x": 3}]}, "series[1].x: 2 before, 3 now"),
        (EVIDENCE | {"series": [{"x": 1}]}, "series: [{'x': 1}, {'x': 2}] before"),
    ],
)
def test_the_first_difference_is_named_and_the_champion_of_the_day_is_none(
    now: Any, said: str | None
) -> None:
    found = difference(EVIDENCE, now)
    assert found is None if said is None else (found or "").startswith(said), found


def test_the_copy_of_a_killed_command_is_deleted_and_that_of_a_running_one_stays(
    tmp_path: Path,
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "--quiet")
    who = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    git(root, *who, "commit", "--quiet", "--allow-empty", "--message", "x")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, running = (tmp_path / f"reproduce-{pid}-x" for pid in (dead.pid, os.getpid()))
    for folder in (left, running):
        git(root, "worktree", "add", "--quiet", "--detach", str(folder / "project"), "HEAD")
    with checkout(root, "HEAD", tmp_path / "new"):
        assert not left.exists() and (running / "project").is_dir()
    assert len(git(root, "worktree", "list").splitlines()) == 2


@pytest.mark.parametrize(
    ("tags", "said"),
    [({}, "outside git"), ({"git_commit": "abc"}, "names no pipeline")],
)
def test_a_version_whose_run_does_not_tell_how_it_was_trained_is_refused(
    tmp_path: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    tags: dict[str, str],
    said: str,
) -> None:
    registry = Registry("m", f"sqlite:///{shutil.copy(empty_store, tmp_path)}")
    run = registry.client.create_run(
        "0"
    ).info.run_id  # as of a version that was taken from elsewhere
    registry.register(run_id=run, source="file:///x", tags=tags)
    monkeypatch.setattr("modelyard.reproduce.registry_of", lambda _: registry)
    with pytest.raises(UsageError, match=said):
        reproduce(tmp_path, "1")
