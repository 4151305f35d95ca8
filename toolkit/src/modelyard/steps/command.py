"""The command line that all steps share."""

from __future__ import annotations

import argparse
from pathlib import Path

# What steps read, and what it is.
PATHS = {
    "contract": "conf/contract.yml",
    "gates": "conf/gates.yml",
    "prepared": "folder written by prepare",
    "model": "the challenger's folder",
    "baseline": "the baseline's folder",
    "champion": "folder with champion.json and, where there is a champion, model/",
}


def add_paths(parser: argparse.ArgumentParser, *names: str) -> None:
    """Give a step's command line an option for each of these paths, which are all required."""
    for name in names:
        parser.add_argument(f"--{name}", type=Path, required=True, help=PATHS[name])
