"""The part of the sample project that serving uses, with the wheel of the toolkit's present sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from tests.project import ROOT, part_of_sample

TOOLKIT = Path(__file__).resolve().parents[1]


def served_project() -> Path:
    """Make the project in the folder of this test run, once for all workers.

    The wheel that the template brings may be older than the sources; servers that run in the
    environment `serve` would then run old code.
    """
    place = ROOT.parent / "served" / ROOT.name
    with FileLock(ROOT.parent / "served.lock"):
        if not place.exists():
            made = place.with_name("incomplete")
            shutil.rmtree(made, ignore_errors=True)
            part_of_sample(made, "src conf azureml requirements")
            command = [sys.executable, str(TOOLKIT / "build_wheel.py"), str(made / "requirements")]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            made.rename(place)
    return place
