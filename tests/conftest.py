"""What every test of the template shares."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException
from hypothesis import settings

from tests.baked import BakedProject, bake

# The same examples in every run: a red build is about the change, not about luck.
settings.register_profile("template", deadline=None, derandomize=True, database=None)
settings.load_profile("template")


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
def baked(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., BakedProject]:
    """Make a project, once for the same answers. Its tests only read it."""
    made: dict[tuple[tuple[str, object], ...], BakedProject] = {}

    def project(**answers: object) -> BakedProject:
        key = tuple(sorted(answers.items()))
        if key not in made:
            made[key] = bake(tmp_path_factory.mktemp("baked"), **answers)
        return made[key]

    return project


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
