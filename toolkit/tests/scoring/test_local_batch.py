"""`mlops score`: its model, its environment, its messages, and the common end with its script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from modelyard.errors import ModelyardError, UsageError
from modelyard.models.registry import Located
from modelyard.scoring import local_batch as score
from modelyard.scoring.local_batch import ScoreProgress
from rich.console import Console

from tests.small_project import make_small_project

SUMMARY = {
    "model": {"name": "test", "version": "3", "digest": "d"},
    "rows": 30,
    "scored": 29,
    "rejected": 1,
    "parts": 2,
    "files": [],
    "passed_over": ["README.md", ".x"],
}
TELL = f"""
import json, os, signal, sys, time
def tell(event, **what):
    print(json.dumps({{"event": event, **what}}), flush=True)
def begin(done=0):
    tell("reading", file="t.csv", bytes=3)
    tell("scoring", model="test", version="3", files=1, rows=30, done=done)
SUMMARY = {SUMMARY!r}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_small_project(tmp_path)
    champion = Located("3", {"model": tmp_path / "model"})
    monkeypatch.setattr(score, "locate", lambda *words: champion)
    monkeypatch.setattr(score, "environment_python", lambda *words: Path(sys.executable))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(project: Path, *lines: str) -> None:
    path = project / "src" / "batch_score.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([TELL, *lines]), encoding="utf-8")


def run(project: Path, **options: Any) -> tuple[score.Scored, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    found = score.score(
        project, project / "t.csv", project / "out", progress=events.append, **options
    )
    return found, events


def test_the_champion_is_asked_with_the_words_that_were_given(project):
    script(
        project,
        "begin()",
        "names = ('AZUREML_MODEL_DIR', 'MODEL_NAME', 'MODEL_VERSION')",
        "tell('finished', **SUMMARY, words=sys.argv[1:], env=[os.environ[name] for name in names])",
    )
    found, _ = run(project, part_rows=7, max_rejected=0.5, overwrite=True)
    assert found.summary["env"] == [str(project / "model"), "test", "3"]
    words = found.summary["words"]
    pairs = dict(pairwise(words))
    assert pairs["--data"] == str(project / "t.csv")
    assert pairs["--output"] == str(project / "out")
    assert pairs["--part-rows"] == "7"
    assert pairs["--max-rejected"] == "0.5"
    assert "--overwrite" in words


def test_rows_of_an_earlier_call_are_told_from_new_ones(project, capsys):
    script(project, "begin(20)", "tell('scored', rows=10)", "tell('finished', **SUMMARY)")
    found, events = run(project)
    assert [event["event"] for event in events] == ["reading", "scoring", "scored", "finished"]
    assert (found.new_rows, found.complaint) == (10, "")
    found.print(Console(width=200), "out")
    said = capsys.readouterr().out
    assert "30 rows: 29 scored by test v3, 1 rejected, 2 parts in out" in said
    assert "20 of them were scored before" in said
    assert "passed over, no tables: README.md, .x" in said


def test_a_refusal_keeps_the_summary_and_says_why(project):
    script(
        project,
        "begin()",
        "tell('finished', **SUMMARY)",
        "sys.exit('1 of 30 rows are rejected')",
    )
    found, _ = run(project)
    assert found.complaint == "1 of 30 rows are rejected"
    assert found.summary["rejected"] == 1


def test_broken_input_is_the_scripts_own_message(project):
    script(project, "print('error: t.csv is empty', file=sys.stderr)", "sys.exit(2)")
    with pytest.raises(UsageError, match=r"^t\.csv is empty$"):
        run(project)


def test_ctrl_c_ends_the_script_and_says_that_it_resumes(project):
    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "scored":
            raise KeyboardInterrupt

    script(
        project,
        "open('pid', 'w').write(str(os.getpid()))",
        "begin()",
        "tell('scored', rows=10)",
        "time.sleep(60)",
    )
    with pytest.raises(score.Interrupted, match="the same command resumes") as ended:
        score.score(project, project / "t.csv", project / "out", progress=stop)
    assert ended.value.exit_code == 130
    assert not alive(int((project / "pid").read_text()))


def test_a_killed_script_is_told_from_a_refusal(project):
    script(project, "begin()", "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ModelyardError, match=r"was killed .signal 9.*the same command resumes"):
        run(project)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_the_script_ends_when_mlops_is_killed(project):
    script(
        project,
        "begin()",
        "print(os.getpid(), file=open('pid', 'w'), flush=True)",
        "import threading",
        "threading.Thread(target=lambda: (os.read(0, 1), os._exit(2))).start()",
        "time.sleep(60)",
    )
    caller = (
        "import sys; from pathlib import Path; from modelyard.scoring import local_batch as score;"
        "from modelyard.models.registry import Located;"
        "score.environment_python = lambda *words: Path(sys.executable);"
        f"score.locate = lambda *words: Located('3', {{'model': Path({str(project)!r})}});"
        f"score.score(Path({str(project)!r}), Path('t'), Path('o'), progress=lambda event: None)"
    )
    process = subprocess.Popen([sys.executable, "-c", caller], cwd=project)
    pid = project / "pid"
    wait_for(lambda: process.poll() is not None or (pid.exists() and pid.read_text().strip()))
    assert process.poll() is None
    child = int(pid.read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not alive(child))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_without_a_champion_it_says_how_to_get_one(project, monkeypatch):
    monkeypatch.setattr(score, "locate", lambda *words: None)
    with pytest.raises(UsageError, match=r"test has no champion.*--version"):
        run(project)


def test_progress_in_a_log_is_a_line_now_and_then(monkeypatch, capsys):
    now = iter(range(1000))
    monkeypatch.setattr(score.time, "monotonic", lambda: float(next(now)))
    with ScoreProgress(Console(width=120)) as watch:
        watch({"event": "reading", "file": "t.csv", "bytes": 3})
        watch(
            {"event": "scoring", "model": "m", "version": "1", "rows": 100, "done": 20, "files": 1}
        )
        for _ in range(4):
            watch({"event": "scored", "rows": 20})
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert 1 <= len(lines) < 4
    assert all("of 100 rows" in line and "rows/s" in line and "s left" in line for line in lines)


def test_the_summary_is_json_for_a_machine(project, monkeypatch, capsys):
    from modelyard.cli import app

    script(
        project, "begin()", "tell('finished', **SUMMARY)", "sys.exit('1 of 30 rows are rejected')"
    )
    monkeypatch.chdir(project)
    with pytest.raises(SystemExit) as ended:
        app(["score", "--data", "t.csv", "--output", "out", "--json"])
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out) == SUMMARY
