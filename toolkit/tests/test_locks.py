"""Locks are moved whole, or not at all, and what moved is named."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from modelyard.locks import upgrade_locks

from tests.command import Mlops

BEFORE = (
    "numpy==1.0 ; python_version < '3.12' \\\n    --hash=sha256:00\nnumpy==1.5\ngone==1\nstays==2\n"
)
AFTER = "numpy==1.0\nnumpy==2.0\ncame==3\nstays==2\n"


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock in a project whose Makefile writes AFTER, then ends with the code in the file `code`."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "project.yml").touch()
    (tmp_path / "requirements").mkdir()
    file = tmp_path / "requirements" / "dev.txt"
    file.write_text(BEFORE)
    (tmp_path / "after").write_text(AFTER)
    (tmp_path / "Makefile").write_text(
        "upgrade-locks:\n\t@cp after requirements/dev.txt && exit $$(cat code)\n"
    )
    (tmp_path / "code").write_text("0")
    monkeypatch.chdir(tmp_path)
    return file


def test_what_moved_came_and_went_is_named(lock: Path, mlops: Mlops) -> None:
    found = json.loads(mlops("upgrade-locks", "--json").out)
    moved = {one["package"]: (one["before"], one["after"]) for one in found}
    assert moved == {"came": (None, "3"), "gone": ("1", None), "numpy": ("1.0, 1.5", "1.0, 2.0")}


def test_when_one_lock_fails_all_are_as_before(lock: Path, mlops: Mlops) -> None:
    (lock.parents[1] / "code").write_text("1")
    assert "as they were before" in mlops("upgrade-locks", code=2).err
    assert lock.read_text() == BEFORE


def test_interrupted_it_leaves_all_locks_as_before(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        lock.write_text(AFTER)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        upgrade_locks(lock.parents[1])
    assert lock.read_text() == BEFORE
