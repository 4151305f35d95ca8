"""Options that steps share."""

from __future__ import annotations

import argparse
from pathlib import Path

# Help of the paths that steps read.
PATHS = {
    "contract": "conf/contract.yml",
    "gates": "conf/gates.yml",
    "prepared": "folder written by prepare",
    "model": "the challenger's folder",
    "baseline": "the baseline's folder",
    "champion": "folder with champion.json and, where there is a champion, model/",
}


def add_paths(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add a required option for each of these paths."""
    for name in names:
        parser.add_argument(f"--{name}", type=Path, required=True, help=PATHS[name])
