"""What every test of the template shares."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException
from filelock import FileLock
from hypothesis import settings

from tests.baked import BakedProject, bake

# The collector takes a tenth of the tests' time as usual.
gc.set_threshold(100_000, 50, 50)

# The same examples in every run: a red build is about the change, not about luck.
settings.register_profile("template", deadline=None, derandomize=True, database=None)
settings.load_profile("template")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each worker its part of the whole projects to begin with: at the end, short tests are left to share."""
    whole = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    cuts = [len(quick) * worker // workers for worker in range(workers + 1)]
    items[:] = [
        item
        for worker in range(workers)
        for item in (*whole[worker::workers], *quick[cuts[worker] : cuts[worker + 1]])
    ]


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder for all workers of a test run: the first one makes it, the others wait."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = place / name, place / f"{name}.done"
        with FileLock(place / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session", autouse=True)
def neutral_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's Cookiecutter settings, git settings and policy out of the tests."""
    home = tmp_path_factory.mktemp("home")
    config = home / "cookiecutter.yml"
    config.write_text(f"replay_dir: {home}/replay\ncookiecutters_dir: {home}/cookiecutters\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOKIECUTTER_CONFIG", str(config))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "Ada")
            patch.setenv(f"GIT_{role}_EMAIL", "ada@example.com")
        patch.delenv("AI_FACTORY_POLICY", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what killed processes and Cookiecutter's rendered hooks leave behind among pytest's folders, which it deletes."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("t"))
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(scope="session")
def baked(once: Once) -> Callable[..., BakedProject]:
    """Make a project, once for the same answers. Its tests only read it."""

    def project(**answers: object) -> BakedProject:
        key = json.dumps(answers, sort_keys=True)
        name = f"baked-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        (path,) = once(name, lambda folder: bake(folder, **answers)).iterdir()
        return BakedProject(path)

    return project


@pytest.fixture(scope="session")
def azure_python(once: Once, baked: Callable[..., BakedProject]) -> Path:
    """The interpreter of an environment made from requirements/cloud.txt, as on Azure ML."""
    requirements = baked(serving="online-and-batch").path / "requirements"

    def make(folder: Path) -> None:
        uv, place = Path(sys.executable).parent / "uv", ["--python", folder / "environment"]
        pinned = ["--require-hashes", requirements / "cloud.txt", requirements / "modelyard.txt"]
        for words in (
            ["venv", "--python", sys.executable, folder / "environment"],
            ["pip", "sync", "--compile-bytecode", *place, *pinned],
        ):
            subprocess.run([uv, "--quiet", *map(str, words)], check=True)

    return once("azure", make) / "environment" / "bin" / "python"


@pytest.fixture
def refusal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Try to make a project; return why it was refused, after a look at what is left on disk."""

    def refused(**answers: object) -> str:
        into = tmp_path / "refused"
        into.mkdir(exist_ok=True)
        with pytest.raises(FailedHookException):
            bake(into, **answers)
        assert list(into.iterdir()) == []
        message = capfd.readouterr().err
        assert "No project was made" in message
        return message.partition("Traceback")[0]

    return refused
