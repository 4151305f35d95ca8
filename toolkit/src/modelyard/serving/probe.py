"""A fresh process that holds one model and says what that costs: `python -m <package>.probe …`.

`footprint` starts it and tells it what to do, a word per line on standard input; each answer is a
line of JSON on standard output:

    load        read the model from its folder: {"seconds": s}
    memory      {"bytes": n}, or null where the system does not tell
    ask N       N rows, one call each: {"seconds": [s, …]}
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from modelyard.contract.model import Contract, load_contract
from modelyard.errors import UsageError
from modelyard.modelling.predicting import predict, threads_for
from modelyard.modelling.saving import load_model

STATUS = Path("/proc/self/status")


def answerer(folder: Path, contract: Contract) -> Callable[[pd.DataFrame], object]:
    """Load a model as the endpoint does, and return what answers one row.

    The one place to change where the endpoint has a faster way.
    """
    model = load_model(folder)
    return lambda row: predict(model, row, contract)


def main(argv: list[str]) -> int:
    """Arguments: the model's folder, the contract, a Parquet file of rows to ask about."""
    # What a model prints while it is loaded must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    folder, contract, rows = map(Path, argv)
    try:
        with threads_for(1):
            _serve(folder, load_contract(contract), pd.read_parquet(rows), say)
    except UsageError as error:
        say({"error": str(error)})
    return 0


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM; its highest so far where only that is known."""
    if STATUS.is_file():
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def _serve(
    folder: Path, contract: Contract, rows: pd.DataFrame, say: Callable[[dict[str, Any]], None]
) -> None:
    say({"ready": True})
    answer: Callable[[pd.DataFrame], object] | None = None
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "load":
            start = time.perf_counter()
            answer = answerer(folder, contract)
            say({"seconds": time.perf_counter() - start})
        elif verb == "memory":
            say({"bytes": resident_bytes()})
        elif verb == "ask" and answer is not None:
            seconds = []
            for number in range(int(words[0])):
                row = rows.iloc[[number % len(rows)]]
                start = time.perf_counter()
                answer(row)
                seconds.append(time.perf_counter() - start)
            say({"seconds": seconds})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
