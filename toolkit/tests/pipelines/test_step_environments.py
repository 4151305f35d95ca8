"""A step runs with the pip packages of its own environment, made once; what else it names is said."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import pytest
from modelyard import environments
from modelyard.errors import UsageError
from modelyard.pipelines.reader import load_pipeline
from modelyard.pipelines.store import installed
from modelyard.tracking import local_store

from tests.pipelines.other_peoples import problems, run

STEP = """\
type: pipeline
jobs:
  show:
    command: python show.py ${{inputs.word}}
    code: src
    environment: {image: some/image, conda_file: conda.yml}
    inputs: {word: a b}
"""
SHOW = "import sys\ntry:\n    import tiny\n    print(tiny.VERSION, sys.argv[1])\nexcept ImportError:\n    print('none')\n"


def wheel(folder: Path, version: str) -> Path:
    """A package of one module."""
    about = f"tiny-{version}.dist-info"
    path = folder / f"tiny-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", f"VERSION = '{version}'\n")
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def conda(azureml: Path) -> Path:
    """A conda file with a package that is not installed beside `mlops`."""
    (azureml / "src" / "show.py").write_text(SHOW)
    lines = f"tiny @ {wheel(azureml, '1.0').as_uri()}  # a comment\n# another\n"
    (azureml / "more.txt").write_text(lines)
    file = azureml / "conda.yml"
    file.write_text("dependencies:\n- python\n- pip\n- cudatoolkit=11\n- pip: [-r more.txt]\n")
    return file


def log(result: object) -> str:
    return (result.folder / "show" / "log.txt").read_text()  # type: ignore[attr-defined]


def test_a_step_has_the_packages_of_its_conda_file_and_they_are_installed_once(
    azureml: Path, conda: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert log(run(azureml, STEP)) == "1.0 a b\n"
    said = capsys.readouterr().err
    assert (
        "p.yml:6: `environment`: its pip packages are installed; not here: cudatoolkit=11, the image some/image"
        in said
    )
    assert "setting up .environments/step-" in said
    assert log(run(azureml, STEP)) == "1.0 a b\n"
    assert "setting up" not in capsys.readouterr().err
    assert log(run(azureml, STEP, here=True)) == "none\n"


def test_other_packages_are_another_environment_and_another_result(
    azureml: Path, conda: Path, empty_store: Path
) -> None:
    store = local_store(azureml.parent)
    store.parent.mkdir(parents=True, exist_ok=True)
    store.write_bytes(empty_store.read_bytes())
    run(azureml, STEP)
    assert run(azureml, STEP).unchanged
    assert not run(azureml, STEP, here=True).unchanged
    (azureml / "more.txt").write_text(f"tiny @ {wheel(azureml, '2.0').as_uri()}\n")
    assert log(run(azureml, STEP)) == "2.0 a b\n"
    assert len(list((azureml.parent / ".environments").glob("step-*/"))) == 2


def test_an_environment_that_was_left_half_made_is_made_anew(
    azureml: Path, conda: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = environments._uv

    def killed(*words: str, **options: bool) -> None:
        if words[0] == "pip":
            raise KeyboardInterrupt
        uv(*words, **options)

    monkeypatch.setattr(environments, "_uv", killed)
    with pytest.raises(KeyboardInterrupt):
        run(azureml, STEP)
    monkeypatch.setattr(environments, "_uv", uv)
    assert log(run(azureml, STEP)) == "1.0 a b\n"


def test_packages_that_cannot_be_installed_are_refused_with_their_line(
    azureml: Path, conda: Path
) -> None:
    conda.write_text("dependencies:\n- pip: ['tiny @ file:///gone/tiny-1.0-py3-none-any.whl']\n")
    with pytest.raises(
        UsageError, match=r"p\.yml:6: the environment of step `show` cannot be made"
    ):
        run(azureml, STEP)
    assert log(run(azureml, STEP, here=True)) == "none\n"


@pytest.mark.parametrize("own", [True, False])
def test_what_a_command_installs_with_pip_is_for_its_step_alone(
    azureml: Path, conda: Path, own: bool
) -> None:
    # What is there already is not installed again: without an index it could not be.
    there = "tiny" if own else "numpy"
    install = (
        f"pip install --no-index -q {there} && pip install --no-index -q {wheel(azureml, '3.0')}"
    )
    text = STEP if own else STEP.replace("conda_file: conda.yml", "version: 1")
    result = run(azureml, text.replace("python show.py", f"{install} && python show.py"))
    assert log(result).endswith("3.0 a b\n")
    assert importlib.util.find_spec("tiny") is None
    assert not list(result.folder.rglob("tiny.py"))
    made = list(
        (azureml.parent / ".environments").glob("step-*/lib/*/site-packages/tiny-*.dist-info")
    )
    assert [path.name for path in made] == (["tiny-1.0.dist-info"] if own else [])


def test_an_environment_by_name_is_that_of_the_project(azureml: Path, conda: Path) -> None:
    (azureml / "environments").mkdir()
    (azureml / "environments" / "e.yml").write_text("name: mine\nconda_file: ../conda.yml\n")
    for name in ("azureml:mine@latest", "file:environments/e.yml"):
        text = STEP.replace("{image: some/image, conda_file: conda.yml}", name)
        assert log(run(azureml, text)) == "1.0 a b\n"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("dependencies: 1\n", "p.yml:6: conda_file: expected a mapping with a list `dependencies`"),
        ("a: [\n", "conda.yml:2: not valid YAML"),
        ("dependencies: [{pip: [-r gone.txt]}]\n", "-r gone.txt: the file does not exist"),
        (None, "p.yml:6: conda_file: conda.yml does not exist"),
    ],
)
def test_a_broken_conda_file_is_refused_with_its_line(
    azureml: Path, conda: Path, written: str | None, message: str
) -> None:
    conda.unlink() if written is None else conda.write_text(written)
    assert message in problems(azureml, STEP)


@pytest.mark.parametrize(
    ("environment", "note"),
    [
        (
            "azureml:unknown:1",
            "`environment` is not made here: the step runs in the environment that",
        ),
        ("{image: some/image}", "`environment` is not made here"),
        (
            "{conda_file: {dependencies: [numpy=1.2]}}",
            "`mlops` is installed in; not here: numpy=1.2",
        ),
        (
            "{conda_file: {dependencies: [python=2.7, {pip: [./a, b]}]}}",
            "installed; not here: ./a, python 2.7",
        ),
    ],
)
def test_what_is_not_made_here_is_said(azureml: Path, environment: str, note: str) -> None:
    (azureml / "p.yml").write_text(
        STEP.replace("{image: some/image, conda_file: conda.yml}", environment)
    )
    assert any(note in str(one) for one in load_pipeline(azureml / "p.yml").notes)


def test_the_libraries_of_another_python_are_its_own(azureml: Path, conda: Path) -> None:
    run(azureml, STEP)
    (python,) = (azureml.parent / ".environments").glob("step-*/bin/python")
    before = installed(python)
    assert before != installed()
    installed.cache_clear()
    (path,) = python.parents[1].glob("lib/*/site-packages/tiny-1.0.dist-info")
    path.rename(path.with_name("tiny-1.1.dist-info"))
    assert installed(python) != before
