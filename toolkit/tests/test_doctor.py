"""What `mlops doctor` finds, and the remedy that it names."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections import namedtuple
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from modelyard import doctor
from modelyard.cli.doctor import doctor as look
from modelyard.errors import CheckFailed

from tests.editing import git, write_files
from tests.small_project import make_small_project

CONTRACT = """\
version: 1
target: {column: late, kind: regression}
columns: {distance: {type: integer}, late: {type: integer, role: target}}
"""
ASSET = "name: training\ntype: uri_file\npath: ../../table.csv\n"
LOCK = f"""\
# what pytest runs with
pytest=={version("pytest")} \\
    --hash=sha256:00
nothing-of-windows==1 ; sys_platform == 'win99' \\
    --hash=sha256:00
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    make_small_project(tmp_path)
    files = {
        "conf/contract.yml": CONTRACT,
        "azureml/data/training.yml": ASSET,
        "table.csv": "distance,late\n1,2\n",
        "requirements/dev.txt": LOCK,
        "requirements/uv.txt": "",
        "requirements/check_wheel.py": "def problems(folder): return []\n",
        "requirements/modelyard.txt": f"modelyard=={version('modelyard')} --hash=sha256:00\n",
    }
    write_files(tmp_path, files)
    for words in ("init", "add .", "commit -m x"):
        git(tmp_path, *words.split())
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    return tmp_path


def pin(root: Path, line: str) -> None:
    (root / "requirements" / "dev.txt").write_text(f"{line} \\\n    --hash=sha256:00\n")


def pin_toolkit(root: Path, number: str) -> None:
    (root / "requirements" / "modelyard.txt").write_text(f"modelyard=={number} --hash=sha256:00\n")


def replace_wheel(root: Path) -> None:
    record = (
        distribution("modelyard").read_text("RECORD") or ""
    ) + "modelyard/more.py,sha256=0,1\n"
    wheels = root / "requirements" / "wheels"
    wheels.mkdir()
    number = version("modelyard")
    with zipfile.ZipFile(wheels / f"modelyard-{number}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"modelyard-{number}.dist-info/RECORD", record)


def move(root: Path) -> None:
    (root / ".mlflow").mkdir()
    with sqlite3.connect(root / ".mlflow" / "mlflow.db") as store:
        store.execute("CREATE TABLE experiments (artifact_location TEXT)")
        store.execute("INSERT INTO experiments VALUES ('file:///elsewhere/.mlflow/artifacts/1')")


def wrong(root: Path) -> dict[str, doctor.Finding]:
    return {one.thing: one for one in doctor.examine(root) if one.is_fine is False}


def test_a_project_that_has_all_it_needs_has_nothing_to_mend(project: Path) -> None:
    assert wrong(project) == {}
    assert [one.remedy for one in doctor.examine(project) if one.thing == "git"] == [
        None,
        "make hooks",
    ]


@pytest.mark.parametrize(
    ("change", "thing", "found", "remedy"),
    [
        (lambda root: pin(root, "pytest==0.1"), "environment", "pytest .*==0.1", "make setup"),
        (lambda root: pin(root, "no-such==1"), "environment", "no-such is missing", "make setup"),
        (lambda root: pin_toolkit(root, "9.9"), "toolkit", "names 9.9", "make setup"),
        (replace_wheel, "toolkit", "other files", "make setup"),
        (lambda root: shutil.rmtree(root / ".git"), "git", "no commit", "git init"),
        (lambda root: (root / "table.csv").unlink(), "data", "does not exist", None),
        (lambda root: (root / "table.csv").write_text("far,late\n1,2\n"), "data", "distance", None),
        (lambda root: (root / "conf/contract.yml").write_text("a"), "data", "contract.yml", None),
        (move, "MLflow", "moved or copied", "mlops relocate"),
    ],
)
def test_a_fault_is_found_with_its_remedy(project: Path, change, thing, found, remedy) -> None:
    change(project)
    [(name, finding)] = wrong(project).items()
    assert name == thing
    assert re.search(found, finding.found), finding
    assert (finding.remedy or "").startswith(remedy or "")
    assert (finding.remedy is None) == (remedy is None)


@pytest.mark.parametrize(
    ("of", "is_fine", "found"),
    [
        ("HEAD", True, "the newest of"),
        ("HEAD^", None, "the newest is .*a newer toolkit"),
        ("away", None, "is not asked"),
        ("", None, r"no \.cruft\.json"),
    ],
)
def test_a_newer_template_is_told(project: Path, of: str, is_fine: bool | None, found: str) -> None:
    template = project / "template"
    template.mkdir()
    for words in ("init", *["commit --allow-empty -m x"] * 2):
        git(template, *words.split())
    source = "https://git.example/template" if of == "away" else str(template)
    commit = subprocess.check_output(
        ["git", "rev-parse", "HEAD^" if of == "HEAD^" else "HEAD"], cwd=template, text=True
    )
    state = {"template": source, "commit": commit.strip(), "context": {"cookiecutter": {}}}
    if of:
        (project / ".cruft.json").write_text(json.dumps(state))
    [one] = [one for one in doctor.examine(project) if one.thing == "template"]
    assert one.is_fine is is_fine and re.search(found, one.found), one
    assert (one.remedy is None) is bool(is_fine)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_that_does_not_complete_the_command_is_told_how(
    project: Path, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project / "home"))
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    [one] = [one for one in doctor.examine(project) if one.thing == "completion"]
    assert (one.is_fine, one.remedy) == (None, f"mlops --install-completion {shell}")
    file = project / "home" / doctor.COMPLETIONS[shell]
    file.parent.mkdir(parents=True)
    file.touch()
    [one] = [one for one in doctor.examine(project) if one.thing == "completion"]
    assert one.is_fine


def test_a_full_disk_is_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1e12, 1e12, 1e9))
    assert wrong(project)["disk"].remedy == "mlops clean"


def test_another_python_than_the_projects_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", "/elsewhere")
    assert "/elsewhere" in wrong(project)["Python"].found


def test_only_what_is_not_the_teams_is_mended_without_asking(project: Path) -> None:
    shutil.rmtree(project / ".git")
    move(project)
    safe = {one.thing: one.is_safe for one in doctor.examine(project) if one.is_fine is False}
    assert safe == {"git": False, "MLflow": True}


def test_the_command_mends_what_it_may_and_says_what_is_left(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    move(project)
    (project / "table.csv").unlink()
    (project / "Makefile").write_text("setup:\n\ttouch made\n")
    command = [sys.executable, "-m", "modelyard", "doctor"]
    done = subprocess.run([*command, "--fix"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 1
    assert "failed, see above: make hooks" in done.stderr
    assert (project / "made").is_file()
    assert {one.thing for one in doctor.examine(project) if one.is_fine is False} == {"data"}
    monkeypatch.chdir(project)
    capsys.readouterr()
    with pytest.raises(CheckFailed, match=r"to mend: .*data"):
        look(as_json=True)
    found = {one["thing"]: one["is_fine"] for one in json.loads(capsys.readouterr().out)}
    assert (found["data"], found["MLflow"]) == (False, True)


@pytest.mark.parametrize(
    ("folder", "found", "told"),
    [("infra", None, True), ("infra", Path("bicep"), False), ("other", None, False)],
)
def test_a_missing_bicep_compiler_is_told_where_there_is_infrastructure(
    project: Path, monkeypatch: pytest.MonkeyPatch, folder: str, found: Path | None, told: bool
) -> None:
    (project / folder).mkdir()
    monkeypatch.setattr(doctor, "compiler", lambda: found)
    said = [one for one in doctor.examine(project) if "Bicep compiler" in one.found]
    assert [(one.is_fine, one.remedy) for one in said] == [(None, doctor.INSTALL)] * told
