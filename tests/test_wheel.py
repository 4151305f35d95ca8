"""The toolkit's wheel: the same as its sources, and what installers make of it."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.baked import ROOT, TEMPLATE
from tests.wheels import pin, write_wheel

REQUIREMENTS = TEMPLATE / "requirements"
UV = str(Path(sys.executable).with_name("uv"))


@pytest.fixture(scope="module")
def build_wheel() -> ModuleType:
    """The script that builds the wheel, as a module."""
    spec = importlib.util.spec_from_file_location("build_wheel", ROOT / "toolkit/build_wheel.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def uv(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run uv without a network and without the user's settings."""
    given = [UV, *map(str, words), "--offline", "--no-config", "--no-cache"]
    return subprocess.run(given, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An empty environment; returns its interpreter."""
    place = tmp_path / "environment"
    done = uv("venv", "--python", sys.executable, place)
    assert done.returncode == 0, done.stderr
    return place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def version(python: Path) -> str:
    """What the installed toolkit says of itself."""
    code = "import modelyard; print(modelyard.__version__)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


def members(wheel: Path) -> set[tuple[str, int]]:
    """The files in a wheel, each with its checksum."""
    with zipfile.ZipFile(wheel) as archive:
        return {(one.filename, one.CRC) for one in archive.infolist()}


def digest(wheel: Path) -> str:
    """The SHA-256 of a wheel."""
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_the_projects_wheel_is_what_the_toolkit_builds(
    build_wheel: ModuleType, tmp_path: Path
) -> None:
    """`make wheel` builds it and writes the line that pins it."""
    built = build_wheel.built(tmp_path)
    (kept,) = REQUIREMENTS.glob("wheels/*.whl")
    assert built.name == kept.name
    # Not bytes: pytest takes an hour to write their difference.
    stale = sorted({member for member, _ in members(built) ^ members(kept)})
    assert not stale, f"`make wheel` was not run after these changed: {stale}"
    assert digest(built) == digest(kept)
    assert (REQUIREMENTS / "modelyard.txt").read_text("utf-8") == build_wheel.pin(kept)


def test_the_wheel_is_stored_uncompressed_and_holds_what_a_project_needs() -> None:
    """Stored, a version costs git the difference to the one before."""
    (wheel,) = REQUIREMENTS.glob("wheels/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        members = archive.infolist()
    assert {member.compress_type for member in members} == {zipfile.ZIP_STORED}
    names = {member.filename for member in members}
    assert "modelyard/py.typed" in names
    sources = ROOT / "toolkit" / "src"
    kept = {
        path.relative_to(sources).as_posix()
        for path in (sources / "modelyard").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert kept <= names
    assert not [name for name in names if "/tests/" in name]


def small(folder: Path, said: str, number: str = "1.0") -> str:
    """A wheel called modelyard below `folder`/wheels; returns the lines that pin it."""
    name = f"modelyard-{number}-py3-none-any.whl"
    code = {"modelyard/__init__.py": f"__version__ = {said!r}\n"}
    return pin(write_wheel(folder / "wheels" / name, code, number))


def test_a_wheel_of_the_same_version_with_other_bytes_is_installed(
    tmp_path: Path, environment: Path
) -> None:
    """As the Makefile does: without --reinstall-package the old one would stay, without a word."""
    makefile = (TEMPLATE / "Makefile").read_text(encoding="utf-8")
    assert "--reinstall-package modelyard" in makefile
    pinned = tmp_path / "modelyard.txt"
    sync = ("pip", "sync", "--require-hashes", "--python", environment, pinned)
    pinned.write_text(small(tmp_path, "first"))
    assert uv(*sync).returncode == 0
    assert version(environment) == "first"
    pinned.write_text(small(tmp_path, "second"))
    assert uv(*sync).returncode == 0
    assert version(environment) == "first"
    assert uv(*sync, "--reinstall-package", "modelyard").returncode == 0
    assert version(environment) == "second"


def test_the_wheel_is_found_from_any_folder(tmp_path: Path, environment: Path) -> None:
    """--find-links counts from the file in which it stands."""
    (tmp_path / "requirements").mkdir()
    pinned = tmp_path / "requirements" / "modelyard.txt"
    pinned.write_text(small(pinned.parent, "here"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ("pip", "sync", "--require-hashes", "--python", environment)
    done = uv(*words, "../requirements/modelyard.txt", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert version(environment) == "here"


def test_a_strangers_higher_version_is_not_taken_for_the_toolkit(tmp_path: Path) -> None:
    """Locks are resolved with the pinned line, and name everything but the toolkit."""
    pinned = small(tmp_path, "ours")
    stranger = tmp_path / "stranger"
    small(stranger, "theirs", "9.9")
    (tmp_path / "modelyard.txt").write_text(pinned)
    (tmp_path / "bare.in").write_text("modelyard\n")
    (tmp_path / "train.in").write_text("-r modelyard.txt\nmodelyard\n")
    links = ("--find-links", tmp_path / "wheels", "--find-links", stranger / "wheels")
    words = ("pip", "compile", "--no-index", "--generate-hashes", *links)
    bare = uv(*words, "bare.in", cwd=tmp_path)
    assert "modelyard==9.9" in bare.stdout, bare.stderr
    ours = uv(*words, "train.in", cwd=tmp_path)
    assert "modelyard==1.0" in ours.stdout, ours.stderr
    kept = uv(*words, "train.in", "--no-emit-package", "modelyard", cwd=tmp_path)
    assert kept.returncode == 0
    assert not [line for line in kept.stdout.splitlines() if line.startswith("modelyard")]
    for lock in REQUIREMENTS.glob("*.txt"):
        names = [line for line in lock.read_text("utf-8").splitlines() if "modelyard==" in line]
        assert not names or lock.name == "modelyard.txt"


def test_a_strangers_bytes_of_our_version_are_not_installed(
    tmp_path: Path, environment: Path
) -> None:
    (tmp_path / "modelyard.txt").write_text(small(tmp_path, "ours"))
    small(tmp_path, "theirs")
    done = uv(
        "pip", "sync", "--require-hashes", "--python", environment, tmp_path / "modelyard.txt"
    )
    assert done.returncode != 0
    assert "modelyard" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: None, ""),
        (lambda folder: shutil.rmtree(folder / "wheels"), ""),  # it comes from a feed
        (lambda folder: small(folder, "ours"), "has other bytes"),
        (
            lambda folder: small(folder, "old", "0.9"),
            "wheels/modelyard-0.9-py3-none-any.whl is not",
        ),
    ],
    ids=["as it came", "from a feed", "replaced", "two of them"],
)
def test_what_is_wrong_with_the_wheels_of_a_project_is_named(
    tmp_path: Path, change: object, said: str
) -> None:
    (tmp_path / "modelyard.txt").write_text(small(tmp_path, "came with the template"))
    shutil.copy(REQUIREMENTS / "check_wheel.py", tmp_path)
    assert callable(change)
    change(tmp_path)
    done = subprocess.run(
        [sys.executable, tmp_path / "check_wheel.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == bool(said)
    assert said in done.stderr
