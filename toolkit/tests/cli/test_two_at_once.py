"""Two commands that edit one project at the same time: the second waits, and keeps what the first has written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from modelyard.files import editing, read_text
from modelyard.pipelines.new_step import PIPELINE, add_step

from tests.project import ROOT


def _step(root: Path) -> None:
    add_step(root, "first")


def _decision(root: Path) -> None:
    file = root / "docs" / "decisions" / f"{datetime.now(UTC).date()}-stop.md"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("first", encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "first", "files", "both"),
    [
        (["new", "step", "second"], _step, PIPELINE.as_posix(), ("first:", "second:")),
        (["add", "step", "second", "--apply"], _step, PIPELINE.as_posix(), ("first:", "second:")),
        (
            ["charter", "--decision", "stop", "--because", "second"],
            _decision,
            "docs/decisions/*-stop*.md",
            ("first", "second"),
        ),
    ],
)
def test_what_the_first_has_written_stays(
    tmp_path: Path,
    command: list[str],
    first: Callable[[Path], None],
    files: str,
    both: tuple[str, ...],
) -> None:
    root = tmp_path / "project"
    shutil.copytree(ROOT, root)
    words = [sys.executable, "-m", "modelyard", *command]
    with editing(root):
        second = subprocess.Popen(words, cwd=root, stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert second.stderr.readline().startswith("waiting until another command that edits")
        first(root)
    assert second.communicate()[1] == ""
    text = "".join(read_text(file) for file in sorted(root.glob(files)))
    assert [word for word in both if word in text] == [*both]
