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

import modelyard
import pytest
import typer
from modelyard.cli import app
from modelyard.console import console, table
from modelyard.models import registry
from modelyard.models.registry import Located

from tests.bench import Bench
from tests.command import Mlops
from tests.project import part_of_sample

HEAVY = ("numpy", "pandas", "pydantic", "rich", "yaml", "mlflow", "sklearn", "jinja2")


def test_the_command_line_imports_no_heavy_library() -> None:
    program = f"import sys, modelyard.cli; print(*set({HEAVY!r}) & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, [])


def test_help_says_a_whole_sentence_about_every_command(
    mlops: Mlops,
) -> None:
    shown = mlops("--help").out.partition("-h, --help")[2].splitlines()[2:]
    listed = [line for line in shown if line and not line.endswith(":")]
    assert len(listed) == len(app.registered_commands) + len(app.registered_groups)
    for line in listed:
        assert re.fullmatch(r" *[a-z-]+  +[A-Z].*[^.]\.", line), line


def test_the_command_says_its_version(mlops: Mlops) -> None:
    assert mlops("--version").out == f"modelyard {modelyard.__version__}\n"


def test_a_command_that_does_not_exist_is_wrong_usage(
    mlops: Mlops,
) -> None:
    assert "rnu" in mlops("rnu", code=2).err


def test_a_users_mistake_is_a_message_without_a_traceback(
    tmp_path: Path, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert mlops("models", code=2).err.startswith(f"error: {tmp_path} is not inside a project")


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
    mlops: Mlops,
    words: str,
    message: str,
) -> None:
    assert message in mlops(*shlex.split(words), code=2).err


def test_a_key_of_the_projects_file_that_nothing_reads_is_warned_about(
    pipeline: Path, mlops: Mlops
) -> None:
    file = pipeline.parents[2] / "conf" / "project.yml"
    file.write_text(file.read_text(encoding="utf-8") + "regoin: westeurope\n", encoding="utf-8")
    said = mlops("check", code=None).out
    assert (
        "regoin: no such field; did you mean `region`?" in said
        and "warning: conf/project.yml:" in said
    )


def test_a_fault_of_the_program_shows_its_traceback(
    pipeline: Path, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("modelyard.pipelines.azure_check.load_pipeline", broken)
    said = mlops("check", str(pipeline), code=2).err
    assert "Traceback" in said and "a fault of the program" in said


def test_what_a_terminal_cannot_show_is_no_fault() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "modelyard", "docs", "contract"],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"????" in done.stdout  # a rule


def test_a_command_whose_output_nobody_reads_has_not_refused() -> None:
    line = f"{sys.executable} -m modelyard docs run | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True)
    assert (done.returncode, done.stderr) == (141, b"")


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("[x] and [/x] :warning:", table("[red]t", ["[b]"], [["[/b]"]]))
    said = capsys.readouterr().out
    assert all(word in said for word in ("[x] and [/x] :warning:", "[red]t", "[b]", "[/b]"))


def test_an_interrupted_command_is_neither_a_refusal_nor_a_fault(
    pipeline: Path, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("modelyard.pipelines.azure_check.load_pipeline", interrupted)
    assert "the same command resumes" in mlops("check", str(pipeline), code=130).err


def test_a_run_prints_its_result_as_json(
    pipeline: Path,
    tmp_path: Path,
    empty_store: Path,
    mlops: Mlops,
) -> None:
    (tmp_path / ".mlflow").mkdir()
    shutil.copy(empty_store, tmp_path / ".mlflow" / "mlflow.db")
    result = json.loads(mlops("run", str(pipeline), "--json", "--input", "text=text.txt").out)
    assert not result["unchanged"] and result["decision"] is None
    assert (Path(result["folder"]) / "right" / "out" / "text.txt").is_file()
    assert (
        "--input expects NAME=VALUE, found 'text'"
        in mlops("run", str(pipeline), "--input", "text", code=2).err
    )


def test_a_contract_is_inferred_into_the_project(
    pipeline: Path, tmp_path: Path, mlops: Mlops
) -> None:
    (tmp_path / "azureml" / "data").mkdir()
    (tmp_path / "azureml" / "data" / "training.yml").write_text(
        "type: uri_file\nname: training\npath: ../../t.csv\n", encoding="utf-8"
    )
    rows = "".join(f"{i},{i % 7},{'yes' if i % 3 else 'no'}\n" for i in range(300))
    (tmp_path / "t.csv").write_text(f"a,b,c\n{rows}", encoding="utf-8")
    mlops("contract", "--data", "t.csv", "--target", "d", code=2)
    assert not (tmp_path / "conf" / "contract.yml").exists()
    mlops("contract", "--data", "t.csv", "--target", "c")
    assert "column: c" in (tmp_path / "conf" / "contract.yml").read_text(encoding="utf-8")


def test_a_contract_that_the_champion_cannot_follow_begins_a_new_line(
    pipeline: Path, tmp_path: Path, empty_store: Path, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.csv"
    lines = [f"{row},{row % 7},{row % 3},{row % 2}" for row in range(300)]
    table.write_text("\n".join(["a,b,c,d", *lines]), encoding="utf-8")
    mlops("contract", "--data", str(table), "--target", "d")
    (tmp_path / ".mlflow").mkdir(exist_ok=True)
    shutil.copy(empty_store, tmp_path / ".mlflow" / "mlflow.db")
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(tmp_path / "conf" / "contract.yml", model)
    champion = Located("4", {"model": model})
    monkeypatch.setattr(registry, "locate", lambda *_: champion)
    for target, begins in (("d", False), ("c", True)):
        words = ("contract", "--data", str(table), "--target", target, "--force")
        said = mlops(*words).out
        assert ('champion v4 is no rival, it predicts "d"' in said) == begins


def test_a_prediction_is_explained(
    pipeline: Path, trained_bench: Bench, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {name: trained_bench.folder / name for name in ("model", "prepared")}
    found = [Located("1", paths)] * 3 + [None]
    monkeypatch.setattr(registry, "locate", lambda *_: found.pop(0))
    rows = str(trained_bench.part("test"))
    (row,) = json.loads(mlops("explain", "--data", rows, "--row", "2", "--json").out)[
        "explanations"
    ]
    parts = sum(one["contribution"] for one in row["contributions"])
    assert row["row"] == 2 and row["base"] + parts == pytest.approx(row["prediction"])
    words = ("explain", "--data", rows, "--row", "2", "--json", "--what-if")
    (supposed,) = json.loads(mlops(*words, "number=2", "--what-if", "flag=true").out)[
        "explanations"
    ]
    assert supposed["what_if"].pop("difference") != 0 and supposed.pop("what_if")
    assert supposed == row
    assert (
        "column \"number\": expected a number, found 'much'"
        in mlops(*words, "number=much", code=2).err
    )
    assert "model `test` has no champion" in mlops("explain", "--data", rows, code=2).err


def test_the_check_refuses_imports_of_what_is_not_public_with_file_and_line(
    tmp_path: Path, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    part_of_sample(tmp_path, "azureml conf requirements src")
    monkeypatch.chdir(tmp_path)
    mlops("check")
    (own := tmp_path / "src" / "own.py").write_text("\nfrom modelyard.cli import app, main\n")
    shown = mlops("check", code=1)
    assert f"{own}:2" in shown.err and "modelyard.cli" in shown.err, shown


def test_the_documents_are_listed_and_shown(
    mlops: Mlops,
) -> None:
    listed = [line.split()[0] for line in mlops("docs").out.splitlines()]
    assert listed
    for page in listed:
        assert mlops("docs", page).out.startswith("# ")
    assert f"did you mean `{listed[0]}`" in mlops("docs", listed[0] + "x", code=2).err


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
def test_every_command_completes(shell: str, mlops: Mlops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_MLOPS_COMPLETE", f"complete_{shell}")
    for name, value in SHELLS[shell].items():
        monkeypatch.setenv(name, value.format(""))
    known = set(re.findall(r"[a-z][a-z-]+", mlops().out))
    assert {"tour", "readiness", "doctor", "endpoint", "run"} <= known
    assert set(typer.main.get_command(app).commands) <= known  # type: ignore[attr-defined]
    for name, value in SHELLS[shell].items():
        monkeypatch.setenv(name, value.format("tour model-v").replace("1", "2"))
    assert "model-validator" in mlops().out
