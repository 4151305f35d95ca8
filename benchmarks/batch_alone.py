"""Prints, in a project, the seconds of scoring a table and of predicting its rows in memory: JSON, medians.

Both sides have the model in memory and the same chunks; one also reads, parses and writes.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from modelyard.modelling import load_model
from modelyard.modelling import predict as predict_rows
from modelyard.modelling.predicting import threads_for
from modelyard.scoring import batch, rows

data, output, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
batch.init()
deployed = batch._loaded()
alone = load_model(deployed.folder)  # as it was saved
_, stream = batch.open_source(data, data.name, batch.PART_ROWS)
chunks = [
    rows.read_chunk(chunk, deployed.contract).features
    for chunk in stream.chunks(lambda p: p - p % batch.CHUNK_ROWS + batch.CHUNK_ROWS)
]


def predict() -> None:
    """Predict all rows, which are in memory."""
    with threads_for(batch.CHUNK_ROWS):
        for chunk in chunks:
            predict_rows(alone, chunk, deployed.contract)


def score() -> None:
    """Score the table as a batch endpoint does."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    source, opened = batch.open_source(data, data.name, batch.PART_ROWS)
    batch.score_file(source, opened, output)


def timed(function: Callable[[], None]) -> float:
    """Time a call, in seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


times = [(timed(score), timed(predict)) for _ in range(rounds + 1)][1:]
print(json.dumps([statistics.median(column) for column in zip(*times, strict=True)]))
