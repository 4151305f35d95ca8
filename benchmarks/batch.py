"""Batch scoring against the model alone on rows in memory, and its memory on a small and a large table."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.measure import Figure, command
from benchmarks.project import PLACE, TRAIN, prepared_project

FEW, MANY = 1_000_000, int(os.environ.get("BATCH_ROWS") or 10_000_000)
TIMED = 3_000_000
ROUNDS = 3

# The flights over and over, in row groups of their own.
REPEAT = """
import sys
import pyarrow.parquet as pq
flights = pq.read_table("data/flights.parquet")
left = int(sys.argv[2])
with pq.ParquetWriter(sys.argv[1], flights.schema) as out:
    while left > 0:
        out.write_table(flights.slice(0, left))
        left -= min(left, len(flights))
"""

ALONE = Path(__file__).with_name("batch_alone.py")


def measure() -> list[Figure]:
    """Rows per second of Parquet and CSV, and peak memory."""
    project = prepared_project()
    python, mlops = project / ".venv/bin/python", project / ".venv/bin/mlops"
    command(mlops, "run", TRAIN, cwd=project)
    model = max((project / ".runs").glob("2*/train/model"))
    os.environ["AZUREML_MODEL_DIR"] = str(model)
    tables = PLACE / "batch"
    shutil.rmtree(tables, ignore_errors=True)
    tables.mkdir(parents=True)
    figures = []
    timed = tables / "timed.parquet"
    command(python, "-c", REPEAT, timed, str(TIMED), cwd=project)
    to_csv = "import sys, pyarrow.csv as c, pyarrow.parquet as p; c.write_csv(p.read_table(sys.argv[1]), sys.argv[2])"
    command(python, "-c", to_csv, timed, timed.with_suffix(".csv"), cwd=project)
    for suffix, name in ((".parquet", "Parquet"), (".csv", "CSV")):
        words: list[str | Path] = [
            timed.with_suffix(suffix),
            tables / "scored",
            str(ROUNDS),
        ]
        said = command(python, ALONE, *words, cwd=project)
        score, predict = json.loads(said.splitlines()[-1])
        print(f"  {name}: {TIMED / score:,.0f} rows/s; predict alone: {TIMED / predict:,.0f}")
        figures.append(
            Figure(f"batch scoring, {name} / predict on chunks in memory", score, 1 / 1.1, predict)
        )
    peaks = []
    for rows in (FEW, MANY):
        table = tables / f"{rows}.parquet"
        command(python, "-c", REPEAT, table, str(rows), cwd=project)
        peaks.append(peak(python, project, table, tables / "scored"))
        table.unlink()
    shutil.rmtree(tables)
    name = f"batch scoring, peak memory, {MANY:,} / {FEW:,} rows"
    return [*figures, Figure(name, peaks[1], 1.2, peaks[0], unit="MB")]


def peak(python: Path, project: Path, data: Path, output: Path) -> float:
    """Peak resident memory of a whole scoring process, MB."""
    shutil.rmtree(output, ignore_errors=True)
    words: list[str | Path] = [python, "src/batch_score.py", "--data", data, "--output", output]
    process = subprocess.Popen(words, cwd=project, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"scoring {data.name} ended with {process.returncode}")
    return used.ru_maxrss / 1024
