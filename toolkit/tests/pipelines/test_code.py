"""The code that a step's result depends on: its own, and the modules of the toolkit it reaches."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.pipelines import code
from modelyard.pipelines.code import step_code
from modelyard.pipelines.snapshot import snapshot
from modelyard.pipelines.store import installed


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A toolkit of three modules: `near` imports `far`, and nothing imports `apart`."""
    folder = tmp_path / "toolkit" / "modelyard"
    folder.mkdir(parents=True)
    for name, text in {
        "__init__": "__version__ = '1'\n",
        "near": "from modelyard.far import x\nimport numpy\n",
        "far": "x = 1\n",
        "apart": "x = 1\n",
    }.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(code, "TOOLKIT", folder.parent)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A code folder with the module `own.fit`, which uses the toolkit's `near`."""
    folder = tmp_path / "src"
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "__init__.py").touch()
    (folder / "own" / "fit.py").write_text("from modelyard.near import x\nfrom . import more\n")
    (folder / "own" / "more.py").touch()
    (folder / "own" / "unused.py").touch()
    return folder


def change(file: Path) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")


@pytest.mark.parametrize(
    ("changed", "counts"),
    [("near", True), ("far", True), ("__init__", True), ("apart", False)],
)
@pytest.mark.parametrize("own", [True, False])
def test_a_module_of_the_toolkit_counts_exactly_if_the_step_reaches_it(
    toolkit: Path, project: Path, own: bool, changed: str, counts: bool
) -> None:
    folder, module = (project, "own.fit") if own else (None, "modelyard.near")
    before = step_code(folder, module).digest
    change(toolkit / f"{changed}.py")
    assert (step_code(folder, module).digest != before) == counts


@pytest.mark.parametrize(
    "changed", ["own/fit.py", "own/unused.py", "own/words/list.txt", ".hidden"]
)
@pytest.mark.parametrize("module", ["own.fit", "modelyard.far", None])
def test_every_file_of_the_snapshot_counts(
    toolkit: Path, project: Path, changed: str, module: str | None
) -> None:
    (project / "own" / "words").mkdir()
    for name in ("own/words/list.txt", ".hidden"):
        (project / name).touch()
    before = step_code(project, module).digest
    change(project / changed)
    assert step_code(project, module).digest != before


@pytest.mark.parametrize(
    ("rules", "path", "counts"),
    [
        ("*.log", "own/a.log", False),
        ("*.log\n!a.log", "own/a.log", True),
        ("/notes", "notes/a.txt", False),
        ("/notes", "own/notes/a.txt", True),
        ("own/**/b.txt", "own/x/y/b.txt", False),
        ("data/", "own/data/a.txt", False),
        ("data/", "own/data", True),
        ("a?.txt", "ab.txt", False),
        ("# a.txt", "a.txt", True),
        ("", "__pycache__/a.pyc", False),
        ("", ".mlflow/mlflow.db", False),
    ],
)
@pytest.mark.parametrize("ignore_file", [".amlignore", ".gitignore"])
def test_a_file_counts_exactly_if_azure_ml_uploads_it(
    project: Path, ignore_file: str, rules: str, path: str, counts: bool
) -> None:
    (project / ignore_file).write_text(rules, encoding="utf-8")
    before = step_code(project, None).digest
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    change(project / path)
    assert (step_code(project, None).digest != before) == counts
    assert (path in snapshot(project, [])) == counts


def test_amlignore_takes_the_place_of_gitignore(project: Path) -> None:
    (project / ".gitignore").write_text("*.txt")
    (project / ".amlignore").write_text("*.log")
    (project / "a.txt").touch()
    assert "a.txt" in snapshot(project, [])


def test_included_files_count_and_stand_beside_the_code(project: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "a.txt").write_text("1")
    (tmp_path / "one.txt").touch()
    includes = [tmp_path / "shared", tmp_path / "one.txt"]
    assert {"shared/a.txt", "one.txt", "own/fit.py"} <= snapshot(project, includes).keys()
    before = step_code(project, "own.fit", includes=includes).digest
    change(tmp_path / "shared" / "a.txt")
    assert step_code(project, "own.fit", includes=includes).digest != before


def test_a_module_of_the_toolkit_counts_if_the_command_names_what_imports_it(
    toolkit: Path, project: Path
) -> None:
    before = step_code(project, "modelyard.far", ("--metrics", "own.fit")).digest
    change(toolkit / "near.py")
    assert step_code(project, "modelyard.far", ("--metrics", "own.fit")).digest != before


@pytest.mark.parametrize(
    ("text", "module"), [("import importlib\n", "own.fit"), ("", None)], ids=["by name", "shell"]
)
def test_the_whole_toolkit_counts_where_imports_cannot_be_followed(
    toolkit: Path, project: Path, text: str, module: str | None
) -> None:
    (project / "own" / "fit.py").write_text(text, encoding="utf-8")
    before = step_code(project, module).digest
    change(toolkit / "apart.py")
    assert step_code(project, module).digest != before


def test_libraries_are_found_through_the_toolkit(toolkit: Path, project: Path) -> None:
    assert step_code(project, "own.fit").imports == ("numpy",)


def test_the_version_of_the_toolkit_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"purelib": str(tmp_path)})
    digests = []
    for name in ("numpy-1.0", "modelyard-0.1.0", "modelyard-0.2.0"):
        (tmp_path / f"{name}.dist-info").mkdir()
        installed.cache_clear()
        digests.append(installed())
    installed.cache_clear()
    assert len(set(digests)) == 1


def test_libraries_of_what_only_a_function_imports_are_not_waited_for(project: Path) -> None:
    (project / "own" / "fit.py").write_text("import csv\ndef f():\n    from . import more\n")
    (project / "own" / "more.py").write_text("import numpy\n")
    found = step_code(project, "own.fit")
    assert (found.imports, found.later) == ((), ("numpy",))
    change(project / "own" / "more.py")
    assert step_code(project, "own.fit").digest != found.digest


@pytest.mark.parametrize("line", ["from modelyard import far", "from modelyard import (x, far)"])
def test_a_module_that_is_imported_from_its_package_counts(
    toolkit: Path, project: Path, line: str
) -> None:
    (toolkit / "near.py").write_text(f"{line}\nfrom numpy import array\n", encoding="utf-8")
    found = step_code(project, "own.fit")
    assert found.imports == ("numpy",)  # what is imported from a library is no library
    change(toolkit / "far.py")
    assert step_code(project, "own.fit").digest != found.digest


def test_the_project_s_own_modules_count_when_they_are_imported_from_the_package(
    project: Path,
) -> None:
    (project / "own" / "fit.py").write_text("from own import more\n", encoding="utf-8")
    before = step_code(project, "own.fit").digest
    change(project / "own" / "more.py")
    assert step_code(project, "own.fit").digest != before
