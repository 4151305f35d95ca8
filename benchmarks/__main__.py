"""`python -m benchmarks [NAME …]`: measure, print a table, write build/benchmarks.json. Without names: all.

Exit code 1 if a ratio or a limit is missed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks import ab_report, batch, fleet, fuzz, generate, monitor, project, serving, tables
from benchmarks.measure import Figure

BENCHMARKS = {
    "ab_report": ab_report.measure,
    "fleet": fleet.measure,
    "generate": generate.measure,
    "run": project.measure_run,
    "journey": project.measure_journey,
    "batch": batch.measure,
    "serving": serving.measure,
    "fuzz": fuzz.measure,
    "monitor": monitor.measure,
    "tables": tables.measure_tables,
}


def main() -> int:
    """Run the benchmarks that are named, or all."""
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        print(
            f"no benchmark {', '.join(unknown)}; there is: {', '.join(BENCHMARKS)}", file=sys.stderr
        )
        return 2
    figures: list[Figure] = []
    print(f"{'what':<58} {'measured':>10} {'against':>10} {'figure':>8} {'limit':>7}")
    for name in names:
        print(f"{name} …", flush=True)
        for figure in BENCHMARKS[name]():
            figures.append(figure)
            mark = "" if figure.met else "  MISSED"
            measured = f"{figure.seconds:.3g} {figure.unit}"
            against = f"{figure.against:.3g} {figure.unit}" if figure.against else ""
            print(
                f"{figure.name:<58} {measured:>10} {against:>10} "
                f"{figure.value:>8.2f} {figure.limit:>7.2f}{mark}",
                flush=True,
            )
    out = Path("build") / "benchmarks.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(
        json.dumps([figure.__dict__ for figure in figures], indent=2) + "\n", encoding="utf-8"
    )
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
