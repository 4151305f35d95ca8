"""The sample project, made from the template once for all tests. They only read it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

TEMPLATE = Path(__file__).resolve().parents[2]


def _made() -> Path:
    """Make the project in a folder that is this test run's, whichever worker comes first."""
    place = Path(os.environ["MODELYARD_TEST_PROJECT"])
    with FileLock(place.with_name("project.lock")):
        if not (place / "flight-delay").exists():
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "cookiecutter",
                    str(TEMPLATE),
                    "--no-input",
                    "-o",
                    str(place),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            # Environments besides .venv install the toolkit from the wheel, which may be older here.
            subprocess.run(
                [
                    sys.executable,
                    TEMPLATE / "toolkit" / "build_wheel.py",
                    place / "flight-delay" / "requirements",
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
    return place / "flight-delay"


def _own_folder() -> None:
    """Name the folder in the environment, which the workers of a test run inherit."""
    import atexit

    folder = tempfile.mkdtemp(prefix="modelyard-tests-")
    os.environ["MODELYARD_TEST_PROJECT"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


if "MODELYARD_TEST_PROJECT" not in os.environ:
    _own_folder()
ROOT = _made()


def part_of_sample(root: Path, names: str) -> Path:
    """Copy parts of the sample project below `root`, which is returned: `part_of_sample(tmp_path, "azureml conf")`."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names.split():
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, root)
        else:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
    return root
