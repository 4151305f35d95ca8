"""A/B tests of models whose true difference is known, 1,000 a case: coverage, and the rows that are stated."""

from __future__ import annotations

import json
import math
import sys

from benchmarks.measure import Figure, command
from benchmarks.project import ROOT

EXPERIMENTS = 1_000
MISSED, UNDECIDED = 0.05, 0.2  # promised: 95% coverage at all checks together, 80% power


def measure() -> list[Figure]:
    """Shares of the tests that break a promise; a limit allows for two standard errors of 1,000 tests."""
    words = (sys.executable, "-m", "tests.releases.simulated_tests", str(EXPERIMENTS))
    found = json.loads(command(*words, cwd=ROOT / "toolkit"))
    figures = []
    for case, shares in found.items():
        print(f"  {case}: {shares['rows']:,.0f} rows are stated, median")
        figures += [
            Figure(f"{case}: missed", shares["missed"], _limit(MISSED), unit=""),
            Figure(f"{case}: undecided", shares["undecided"], _limit(UNDECIDED), unit=""),
            Figure(f"{case}: not ended", shares["unfinished"], 0.01, unit=""),
        ]
    return figures


def _limit(share: float) -> float:
    return share + 2 * math.sqrt(share * (1 - share) / EXPERIMENTS)
