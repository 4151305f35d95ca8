"""The scoring script of the online endpoint, on Azure ML and behind `mlops serve`."""

import sys
from pathlib import Path

# The server runs this file by its path; the package stands beside it.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from {{ cookiecutter.package_name }}.online import init, run

__all__ = ["init", "run"]
