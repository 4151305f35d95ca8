"""Tests of a running endpoint."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
