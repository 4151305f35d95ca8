"""The code that a step's result depends on: its own, and the modules of the toolkit it reaches."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.pipelines import code
from modelyard.pipelines.code import step_code
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


@pytest.mark.parametrize(("changed", "counts"), [("fit", True), ("more", True), ("unused", False)])
def test_a_module_of_the_project_counts_exactly_if_the_step_reaches_it(
    toolkit: Path, project: Path, changed: str, counts: bool
) -> None:
    before = step_code(project, "own.fit").digest
    change(project / "own" / f"{changed}.py")
    assert (step_code(project, "own.fit").digest != before) == counts


@pytest.mark.parametrize(("changed", "counts"), [("more", True), ("unused", False)])
def test_a_module_that_the_command_names_counts_with_what_it_imports(
    toolkit: Path, project: Path, changed: str, counts: bool
) -> None:
    words = ("--metrics", "own.fit", "${{inputs.x}}")
    before = step_code(project, "modelyard.far", words).digest
    change(project / "own" / f"{changed}.py")
    assert (step_code(project, "modelyard.far", words).digest != before) == counts


@pytest.mark.parametrize(
    ("text", "module"), [("import importlib\n", "own.fit"), ("", None)], ids=["by name", "shell"]
)
def test_the_whole_code_folder_counts_where_imports_cannot_be_followed(
    toolkit: Path, project: Path, text: str, module: str | None
) -> None:
    (project / "own" / "fit.py").write_text(text, encoding="utf-8")
    before = step_code(project, module).digest
    change(project / "own" / "unused.py")
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
