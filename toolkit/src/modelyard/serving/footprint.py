"""Footprint of a served model: bytes on disk, seconds to load, memory, milliseconds per answer.

Challenger and champion are measured alike, by the path that the online endpoint serves. Unlike other
evidence these are measurements of a machine, and differ a little from run to run.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.console import console, table
from modelyard.errors import UsageError
from modelyard.evaluation.held_out import HeldOut
from modelyard.evidence import write_evidence
from modelyard.serving import probe

# Other work runs on the same cores. Each figure is therefore the median of several rounds, in which the
# models take turns, so that a disturbance affects both.
ROUNDS = 5
ASKED = 20  # rows in a round
WARM_UP = 10
MOST_ROWS = 200


class Probe:
    """A new process that holds one model; see `probe`. `close` ends it.

    The process of a step is forked from an interpreter that has loaded far more than a model needs.
    """

    def __init__(self, model: Path, rows: Path) -> None:
        """Start the process; `rows` is a Parquet file to ask about."""
        self.model = model
        words = [str(path.resolve()) for path in (model, rows)]
        self._process = subprocess.Popen(  # noqa: S603 (this package's own module)
            [sys.executable, "-P", "-m", probe.__name__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def send(self, command: str) -> None:
        """Send a command, whose answer `receive` returns."""
        assert self._process.stdin is not None  # noqa: S101 (opened above)
        with suppress(BrokenPipeError):  # the last line that it wrote says why it has ended
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command and return the answer; see `receive`."""
        self.send(command)
        return self.receive()

    def receive(self) -> dict[str, Any]:
        """Read the next answer.

        Raises:
            UsageError: the model cannot be loaded or asked, or the process has ended.
        """
        assert self._process.stdout is not None  # noqa: S101 (opened above)
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise UsageError(
                f"the process that loads the model ended with exit code {code}: see the lines "
                "above; a negative code is a signal, -9 often means that memory ran out."
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UsageError(str(answer["error"]))
        return answer


@contextmanager
def loading(held: HeldOut, model: Path, champion: Path) -> Iterator[dict[str, Probe]]:
    """Start the processes of challenger and champion, and end them with the context.

    Each imports its packages, which takes longer than all that is measured, loads its model and answers a few
    requests; this process can do other work meanwhile.
    """
    rows = held.rows[held.contract.features]
    picked = np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(np.int64)
    folders = {"challenger": model}
    if held.champion.version:
        folders["champion"] = champion / "model"
    with tempfile.TemporaryDirectory(prefix="footprint-") as temporary:
        asked = Path(temporary) / "rows.parquet"
        rows.iloc[picked].to_parquet(asked)
        with started(folders, asked) as probes:
            yield probes


@contextmanager
def started(folders: Mapping[str, Path], rows: Path) -> Iterator[dict[str, Probe]]:
    """Start a process for each model; see `loading`."""
    probes = {name: Probe(folder, rows) for name, folder in folders.items()}
    try:
        for one in probes.values():
            for command in ("load", f"ask {WARM_UP}", "memory"):
                one.send(command)
        yield probes
    finally:
        for one in probes.values():
            one.close()


def footprint(held: HeldOut, probes: Mapping[str, Probe], evidence: Path) -> None:
    """Measure challenger and champion in turns, and write footprint.json.

    Raises:
        UsageError: the challenger cannot be measured. A champion that cannot be measured is no error:
            the evidence says so.
    """
    name, version = held.champion.name, held.champion.version
    measured, error = measure(probes)
    challenger, rival = measured["challenger"], measured.get("champion")
    details = {
        "models": {
            "challenger": challenger.figures,
            "champion": rival.figures if rival else None,
        },
        "paths": {"challenger": challenger.path, "champion": rival.path if rival else None},
        "champion": {"name": name, "version": version, "error": error},
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
    }
    write_evidence(
        evidence,
        "footprint",
        params={"rounds": ROUNDS, "rows_per_round": ASKED, "warm_up": WARM_UP},
        metrics=challenger.figures,
        details=details,
    )
    show(details)


@dataclass(frozen=True)
class Measured:
    """Measurements of a model.

    Attributes:
        figures: model_bytes, load_seconds, memory_bytes (None where the system does not report it),
            latency_p50 and latency_p95 in milliseconds.
        path: how it is served: by the fast path, or by the model's own prediction.
    """

    figures: dict[str, float | None]
    path: str


def measure(probes: Mapping[str, Probe]) -> tuple[dict[str, Measured], str | None]:
    """Measure models in turns.

    Returns:
        The measurements, and the reason why the champion has none, if it has none.

    Raises:
        UsageError: the challenger cannot be measured.
    """
    paths: dict[str, str] = {}
    memory: dict[str, float | None] = {}
    loads: dict[str, list[float]] = {name: [] for name in probes}
    asked: dict[str, list[list[float]]] = {name: [] for name in probes}
    failed: str | None = None
    for round_ in range(-1, ROUNDS):
        for name, process in probes.items():
            if name == "champion" and failed:
                continue
            try:
                if round_ < 0:
                    _ready, loaded, _warm, found = (process.receive() for _ in range(4))
                    paths[name], memory[name] = loaded["path"], found["bytes"]
                else:
                    loads[name].append(process.ask("load")["seconds"])
                    asked[name].append(process.ask(f"ask {ASKED}")["seconds"])
            except UsageError as error:
                if name == "challenger":
                    raise
                failed = str(error)
    return {
        name: Measured(
            {
                "model_bytes": size_of(process.model),
                "load_seconds": statistics.median(loads[name]),
                "memory_bytes": memory[name],
                "latency_p50": _milliseconds(asked[name], 50),
                "latency_p95": _milliseconds(asked[name], 95),
            },
            paths[name],
        )
        for name, process in probes.items()
        if name == "challenger" or not failed
    }, failed


def size_of(folder: Path) -> int:
    """Sum the bytes of all files of a model."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def show(details: Mapping[str, Any]) -> None:
    """Print the figures of both models."""
    models, champion, paths = details["models"], details["champion"], details["paths"]
    units = {
        "model on disk": ("model_bytes", 1e-6, "MB"),
        "time to load": ("load_seconds", 1, "s"),
        "memory of a process": ("memory_bytes", 1e-6, "MB"),
        "one answer, median": ("latency_p50", 1, "ms"),
        "one answer, 95th percentile": ("latency_p95", 1, "ms"),
    }
    known = [models["challenger"]] + ([models["champion"]] if models["champion"] else [])
    lines = [
        (label, *("–" if m[key] is None else f"{m[key] * unit:.3g} {sign}" for m in known))
        for label, (key, unit, sign) in units.items()
    ]
    lines.append(("answered by", *(path for path in paths.values() if path)))
    headings = ("", "challenger", *([f"champion {champion['version']}"] if len(known) > 1 else []))
    console().print(table("footprint", headings, lines, right=headings[1:]))
    if champion["error"]:
        print(f"champion {champion['version']} is not compared: {champion['error']}")


def _milliseconds(rounds: list[list[float]], percentile: float) -> float:
    """Take a percentile of each round's seconds, and the median of those in milliseconds."""
    return statistics.median(float(np.percentile(one, percentile)) for one in rounds) * 1000
