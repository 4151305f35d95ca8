"""Fixtures that tests of several parts share."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.project import ROOT

sys.path.insert(0, str(ROOT / "src"))  # the science that the template brings

from modelyard.models.registry import Registry

# Before numpy is imported: workers share the cores, and threads that wait for each other take half of the time.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

from tests.bench import (  # noqa: F401 (fixtures)
    bench,
    mixed,
    mixed_bench,
    trained_bench,
    trained_once,
)
from tests.command import mlops  # noqa: F401 (a fixture)
from tests.small_project import make_small_project

# The collector takes a tenth of the tests' time as usual.
gc.set_threshold(100_000, 50, 50)

# The same examples in every run: a red build is about the change, not about luck.
settings.register_profile("toolkit", deadline=None, derandomize=True, database=None)
settings.load_profile("toolkit")


# Begun first: begun last, a worker would be alone with one of them.
LONG = ("test_tour.py", "test_recordings.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what killed processes leave behind among pytest's folders, which it deletes."""
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("t"))
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(autouse=True)
def own_tracking() -> Iterator[None]:
    """Take back the address of MLflow that a command has set for its process: the next test has another store."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if before is not None:
        os.environ["MLFLOW_TRACKING_URI"] = before


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables; making one takes seconds, copying it does not."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    Registry("test", f"sqlite:///{file}").versions()
    return file


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pipeline of a small project, which is the working folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return make_small_project(tmp_path)
