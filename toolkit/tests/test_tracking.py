"""The embedded database is made once and whole, however many processes need it at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIRST = """
import sys
from modelyard.models.registry import Registry
print(Registry("m", sys.argv[1]).versions())
"""


def test_processes_that_open_the_store_for_the_first_time_do_not_disturb_each_other(
    tmp_path: Path,
) -> None:
    uri = f"sqlite:///{tmp_path / '.mlflow' / 'mlflow.db'}"
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", FIRST, uri],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert [text.splitlines()[-1] for text in said] == ["[]"] * 3
    assert [path.name for path in (tmp_path / ".mlflow").glob("[!.]*")] == ["mlflow.db"]
    assert not (tmp_path / ".mlflow" / ".mlflow.db.new").exists()
