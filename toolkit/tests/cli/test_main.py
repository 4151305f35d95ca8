"""The command line: quick help, exit codes, and messages instead of tracebacks."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from modelyard.cli import app, main
from modelyard.console import console, table
from modelyard.models import registry
from modelyard.models.registry import Located

from tests.bench import Bench
from tests.project import ROOT

HEAVY = ("numpy", "pandas", "pydantic", "rich", "yaml", "mlflow", "sklearn", "jinja2")


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Call `mlops` with these words; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["mlops", *words])
    with pytest.raises(SystemExit) as leaving:
        main()
    code = leaving.value.code
    assert isinstance(code, int)
    return code


def test_the_command_line_imports_no_heavy_library() -> None:
    program = f"import sys, modelyard.cli; print(*set({HEAVY!r}) & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, [])


def test_help_says_a_whole_sentence_about_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out.partition("-h, --help")[2].splitlines()[2:]
    listed = [line for line in shown if line and not line.endswith(":")]
    assert len(listed) == len(app.registered_commands) + len(app.registered_groups)
    for line in listed:
        assert re.fullmatch(r" *[a-z-]+  +[A-Z].*[^.]\.", line), line


def test_a_command_that_does_not_exist_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "rnu") == 2
    assert "rnu" in capsys.readouterr().err


def test_a_users_mistake_is_a_message_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "models") == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} is not inside a project")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("promote --version=", "--version: the value is empty"),
        ("explain --data ''", "--data: the value is empty"),
        ("release --rollback --version 1", "--version: no effect with --rollback"),
        ("upgrade --undo --preview", "--preview: no effect with --undo"),
        ("monitor --environment dev --reference a.csv", "--reference: no effect with"),
        ("monitor --follow-contract --at 2026-05-01", "--at: no effect with --follow-contract"),
        ("fleet update fleet.txt --to v1 --preview --push", "--push: no effect with --preview"),
        ("submit a.yml --environment dev --collected prod", "--collected: no effect without"),
        ("policy check nowhere", "'nowhere' does not exist"),
        ("monitor --collected nowhere", "'nowhere' does not exist"),
        ("readiness --why x", "--why: no effect without --answer"),
    ],
)
def test_an_option_without_a_value_or_an_effect_is_refused(
    pipeline: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    message: str,
) -> None:
    assert call(monkeypatch, *shlex.split(words)) == 2
    assert message in capsys.readouterr().err


def test_a_key_of_the_projects_file_that_nothing_reads_is_warned_about(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = pipeline.parents[2] / "conf" / "project.yml"
    file.write_text(file.read_text(encoding="utf-8") + "regoin: westeurope\n", encoding="utf-8")
    call(monkeypatch, "check")
    said = capsys.readouterr().out
    assert (
        "regoin: no such field; did you mean `region`?" in said
        and "warning: conf/project.yml:" in said
    )


def test_a_fault_of_the_program_shows_its_traceback(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("modelyard.pipelines.azure_check.load_pipeline", broken)
    assert call(monkeypatch, "check", str(pipeline)) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said and "a fault of the program" in said


def test_what_a_terminal_cannot_show_is_no_fault(pipeline: Path, empty_store: Path) -> None:
    (store := pipeline.parents[2] / ".mlflow").mkdir()
    shutil.copy(empty_store, store / "mlflow.db")
    done = subprocess.run(
        [sys.executable, "-m", "modelyard", "run", str(pipeline)],
        cwd=pipeline.parents[2],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"? first: completed" in done.stdout


def test_a_command_whose_output_nobody_reads_has_not_refused() -> None:
    line = f"{sys.executable} -m modelyard docs run | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True)
    assert (done.returncode, done.stderr) == (141, b"")


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("[x] and [/x] :warning:", table("[red]t", ["[b]"], [["[/b]"]]))
    said = capsys.readouterr().out
    assert all(word in said for word in ("[x] and [/x] :warning:", "[red]t", "[b]", "[/b]"))


def test_an_interrupted_command_is_neither_a_refusal_nor_a_fault(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("modelyard.pipelines.azure_check.load_pipeline", interrupted)
    assert call(monkeypatch, "check", str(pipeline)) == 130
    assert "the same command resumes" in capsys.readouterr().err


def test_a_run_prints_its_result_as_json(
    pipeline: Path,
    tmp_path: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / ".mlflow").mkdir()
    shutil.copy(empty_store, tmp_path / ".mlflow" / "mlflow.db")
    assert call(monkeypatch, "run", str(pipeline), "--json", "--input", "text=text.txt") == 0
    result = json.loads(capsys.readouterr().out)
    assert not result["unchanged"] and result["decision"] is None
    assert (Path(result["folder"]) / "right" / "out" / "text.txt").is_file()
    assert call(monkeypatch, "run", str(pipeline), "--input", "text") == 2
    assert "--input expects NAME=VALUE, found 'text'" in capsys.readouterr().err


def test_a_contract_is_inferred_into_the_project(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "azureml" / "data").mkdir()
    (tmp_path / "azureml" / "data" / "training.yml").write_text(
        "type: uri_file\nname: training\npath: ../../t.csv\n", encoding="utf-8"
    )
    rows = "".join(f"{i},{i % 7},{'yes' if i % 3 else 'no'}\n" for i in range(300))
    (tmp_path / "t.csv").write_text(f"a,b,c\n{rows}", encoding="utf-8")
    assert call(monkeypatch, "contract", "--data", "t.csv", "--target", "d") == 2
    assert not (tmp_path / "conf" / "contract.yml").exists()
    assert call(monkeypatch, "contract", "--data", "t.csv", "--target", "c") == 0
    assert "column: c" in (tmp_path / "conf" / "contract.yml").read_text(encoding="utf-8")


def test_a_contract_that_the_champion_cannot_follow_begins_a_new_line(
    pipeline: Path,
    tmp_path: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tmp_path / "table.csv"
    lines = [f"{row},{row % 7},{row % 3},{row % 2}" for row in range(300)]
    table.write_text("\n".join(["a,b,c,d", *lines]), encoding="utf-8")
    assert call(monkeypatch, "contract", "--data", str(table), "--target", "d") == 0
    (tmp_path / ".mlflow").mkdir(exist_ok=True)
    shutil.copy(empty_store, tmp_path / ".mlflow" / "mlflow.db")
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(tmp_path / "conf" / "contract.yml", model)
    champion = Located("4", {"model": model})
    monkeypatch.setattr(registry, "locate", lambda *_: champion)
    for target, begins in (("d", False), ("c", True)):
        capsys.readouterr()
        words = ("contract", "--data", str(table), "--target", target, "--force")
        assert call(monkeypatch, *words) == 0
        said = capsys.readouterr().out
        assert ('champion v4 is no rival, it predicts "d"' in said) == begins


def test_a_prediction_is_explained(
    pipeline: Path,
    trained_bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = {name: trained_bench.folder / name for name in ("model", "prepared")}
    found = [Located("1", paths)] * 3 + [None]
    monkeypatch.setattr(registry, "locate", lambda *_: found.pop(0))
    rows = str(trained_bench.part("test"))
    capsys.readouterr()
    assert call(monkeypatch, "explain", "--data", rows, "--row", "2", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["explanations"]
    parts = sum(one["contribution"] for one in row["contributions"])
    assert row["row"] == 2 and row["base"] + parts == pytest.approx(row["prediction"])
    words = ("explain", "--data", rows, "--row", "2", "--json", "--what-if")
    assert call(monkeypatch, *words, "number=2", "--what-if", "flag=true") == 0
    (supposed,) = json.loads(capsys.readouterr().out)["explanations"]
    assert supposed["what_if"].pop("difference") != 0 and supposed.pop("what_if")
    assert supposed == row
    assert call(monkeypatch, *words, "number=much") == 2
    assert "column \"number\": expected a number, found 'much'" in capsys.readouterr().err
    assert call(monkeypatch, "explain", "--data", rows) == 2
    assert "model `test` has no champion" in capsys.readouterr().err


def test_the_check_refuses_imports_of_what_is_not_public_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("azureml", "conf", "requirements", "src"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "check") == 0
    (own := tmp_path / "src" / "own.py").write_text("\nfrom modelyard.cli import app, main\n")
    capsys.readouterr()
    assert call(monkeypatch, "check") == 1
    shown = capsys.readouterr()
    assert f"{own}:2" in shown.err and "modelyard.cli" in shown.err, shown


def test_the_documents_are_listed_and_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "docs") == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed
    for page in listed:
        assert call(monkeypatch, "docs", page) == 0
        assert capsys.readouterr().out.startswith("# ")
    assert call(monkeypatch, "docs", listed[0] + "x") == 2
    assert f"did you mean `{listed[0]}`" in capsys.readouterr().err


def test_what_helps_people_and_fleets_has_an_example_and_prints_json() -> None:
    wanted = "doctor tour add charter readiness reproduce fleet policy reuse share upgrade upgrade-locks explain anonymity"
    for name in wanted.split():
        command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
        for one in getattr(command, "commands", {"": command}).values():
            assert f"xample: mlops {name}" in one.help, one.name
            assert "--json" in [option for param in one.params for option in param.opts], one.name


SHELLS = {
    "bash": {"COMP_WORDS": "mlops {}", "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "mlops {}"},
    "fish": {"_TYPER_COMPLETE_ARGS": "mlops {}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_completes(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_MLOPS_COMPLETE", f"complete_{shell}")
    for name, value in SHELLS[shell].items():
        monkeypatch.setenv(name, value.format(""))
    assert call(monkeypatch) == 0
    known = set(re.findall(r"[a-z][a-z-]+", capsys.readouterr().out))
    assert {"tour", "readiness", "doctor", "endpoint", "run"} <= known
    assert set(typer.main.get_command(app).commands) <= known  # type: ignore[attr-defined]
    for name, value in SHELLS[shell].items():
        monkeypatch.setenv(name, value.format("tour model-v").replace("1", "2"))
    assert call(monkeypatch) == 0
    assert "model-validator" in capsys.readouterr().out
