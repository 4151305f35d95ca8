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

# Both sides have the model in memory and the same chunks; one also reads, parses and writes.
COMPARE = """
import json, shutil, statistics, sys, time
from pathlib import Path
from modelyard.modelling import load_model, predict as predict_rows
from modelyard.modelling.predicting import threads_for
from modelyard.scoring import batch, rows
data, output, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
batch.init()
deployed = batch._loaded()
alone = load_model(deployed.folder)  # as it was saved
_, stream = batch.open_source(data, data.name)
chunks = [
    rows.read_chunk(chunk, deployed.contract).features
    for chunk in stream.chunks(lambda p: p - p % batch.CHUNK_ROWS + batch.CHUNK_ROWS)
]

def predict():
    with threads_for(batch.CHUNK_ROWS):
        for chunk in chunks:
            predict_rows(alone, chunk, deployed.contract)

def score():
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    source, stream = batch.open_source(data, data.name)
    batch.score_file(source, stream, output)

def timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start

times = [(timed(score), timed(predict)) for _ in range(rounds + 1)][1:]
print(json.dumps([statistics.median(column) for column in zip(*times)]))
"""


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
        said = command(python, "-c", COMPARE, *words, cwd=project)
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
