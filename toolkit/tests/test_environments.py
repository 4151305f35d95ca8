"""Environments that are made when they are first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from modelyard import environments
from modelyard.environments import environment_python
from modelyard.errors import UsageError


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of every call of uv, in whose place an empty environment is made."""
    (tmp_path / "requirements" / "wheels").mkdir(parents=True)
    (tmp_path / "requirements" / "serve.txt").write_text("a==1")
    (tmp_path / "requirements" / "modelyard.txt").write_text("--find-links wheels\nmodelyard==1\n")
    (tmp_path / "requirements" / "wheels" / "modelyard-1-py3-none-any.whl").write_bytes(b"1")
    calls: list[list[str]] = []

    def uv(*words: str, quiet: bool = True) -> None:
        calls.append([word for word in words if not word.startswith("-")])
        if words[0] == "venv":
            python = environments._python(Path(words[-1]))
            python.parent.mkdir(parents=True)
            python.touch()

    monkeypatch.setattr(environments, "_uv", uv)
    return calls


def verbs(calls: list[list[str]]) -> list[str]:
    return [words[0] for words in calls]


def _another_version(requirements: Path) -> None:
    (requirements / "serve.txt").write_text("a==2")


def _another_toolkit(requirements: Path) -> None:
    (requirements / "modelyard.txt").write_text("modelyard==2\n")


def _another_build(requirements: Path) -> None:
    (requirements / "wheels" / "modelyard-1-py3-none-any.whl").write_bytes(b"2")


@pytest.mark.parametrize("change", [_another_version, _another_toolkit, _another_build])
def test_an_environment_is_made_once_and_anew_when_its_requirements_change(
    tmp_path: Path, calls: list[list[str]], change: Callable[[Path], None]
) -> None:
    said: list[str] = []
    python = environment_python(tmp_path, "serve", said.append)
    assert python.is_relative_to(tmp_path / ".environments" / "serve")
    assert environment_python(tmp_path, "serve", said.append) == python
    assert verbs(calls) == ["venv", "pip"]
    assert "2 packages" in said.pop()
    assert not said
    change(tmp_path / "requirements")
    assert environment_python(tmp_path, "serve", said.append) == python
    assert verbs(calls) == ["venv", "pip"] * 2
    assert [path.name for path in python.parents[2].glob("*serve*/")] == ["serve"]


def test_the_toolkit_is_installed_beside_the_projects_requirements_only(
    tmp_path: Path, calls: list[list[str]]
) -> None:
    environment_python(tmp_path, "serve")
    assert [Path(word).name for word in calls[-1][-2:]] == ["serve.txt", "modelyard.txt"]
    calls.clear()
    environment_python(tmp_path, "checkov")
    own = Path(environments.__file__).parent / "requirements" / "checkov.txt"
    assert [word for word in calls[-1] if word.endswith(".txt")] == [str(own)]


def test_a_project_can_pin_a_version_of_its_own(tmp_path: Path, calls: list[list[str]]) -> None:
    (tmp_path / "requirements" / "checkov.txt").write_text("checkov==9")
    environment_python(tmp_path, "checkov")
    assert str(tmp_path / "requirements" / "checkov.txt") in calls[-1]


@pytest.mark.parametrize("file", ["serve.txt", "modelyard.txt"])
def test_missing_requirements_are_named(tmp_path: Path, calls: list[list[str]], file: str) -> None:
    (tmp_path / "requirements" / file).unlink()
    with pytest.raises(UsageError, match=f"{file} does not exist; restore it from git"):
        environment_python(tmp_path, "serve")
    assert not calls


def test_an_incomplete_environment_is_not_used(
    tmp_path: Path, calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*words: str, quiet: bool = True) -> None:
        if words[0] == "pip":
            raise KeyboardInterrupt
        stand_in(*words)

    stand_in = environments._uv
    with monkeypatch.context() as patch:
        patch.setattr(environments, "_uv", interrupted)
        with pytest.raises(KeyboardInterrupt):
            environment_python(tmp_path, "serve")
    (tmp_path / ".environments" / "serve").mkdir()  # as an interrupted copy leaves it
    assert environment_python(tmp_path, "serve").exists()
    assert verbs(calls) == ["venv", "venv", "pip"]


def test_an_environment_that_many_need_at_once_is_made_once(
    tmp_path: Path, calls: list[list[str]]
) -> None:
    threads = [
        threading.Thread(target=environment_python, args=(tmp_path, "serve", str)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verbs(calls) == ["venv", "pip"]
