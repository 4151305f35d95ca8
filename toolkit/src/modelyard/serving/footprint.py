"""What a model costs to serve: `python -m <package>.footprint --contract C --model DIR …`.

Bytes on disk, seconds to load, memory of a process that serves it, milliseconds per answer; for the
challenger and the champion alike. Unlike other evidence these are measurements of a machine: they
differ a little from run to run.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.console import console, table
from modelyard.errors import UsageError
from modelyard.evaluation.held_out import HeldOut
from modelyard.evidence import write_evidence
from modelyard.serving import probe

# Other steps run at the same time, on the same cores. Each figure is therefore the median of several
# rounds, in which the models take turns: what disturbs one disturbs the other.
ROUNDS = 5
ASKED = 20  # rows in a round
WARM_UP = 10
MOST_ROWS = 200


class Probe:
    """A fresh process with one model; see `probe`. `close` ends it.

    Fresh, because a step is forked from an interpreter that has loaded far more than a model needs.
    """

    def __init__(self, model: Path, contract: Path, rows: Path) -> None:
        words = [str(path.resolve()) for path in (model, contract, rows)]
        self._process = subprocess.Popen(  # noqa: S603 (this package's own module)
            [sys.executable, "-m", probe.__name__, *words],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def tell(self, command: str) -> dict[str, Any]:
        """Give a command and return what the process says.

        Raises:
            UsageError: the model cannot be loaded or asked, or the process has died of it.
        """
        try:
            assert self._process.stdin is not None  # noqa: S101 (opened above)
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
            return self.hear()
        except BrokenPipeError:
            return self.hear()

    def hear(self) -> dict[str, Any]:
        """The next line that the process says."""
        assert self._process.stdout is not None  # noqa: S101 (opened above)
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise UsageError(
                f"the process that loads the model ended with exit code {code}: see the lines "
                "above; a negative code is a signal, -9 often means that memory ran out."
            )
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise UsageError(str(said["error"]))
        return said


def footprint(held: HeldOut, contract: Path, model: Path, champion: Path, evidence: Path) -> None:
    """Measure challenger and champion in turns, and write footprint.json.

    Args:
        held: rows to ask about.
        contract: conf/contract.yml.
        model: folder of the challenger.
        champion: folder with champion.json and, where there is a champion, model/.
        evidence: the folder to write to.

    Raises:
        UsageError: when the challenger cannot be measured. A champion that cannot be measured is no
            error: the evidence says so.
    """
    rows = held.rows[held.contract.features]
    picked = np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(np.int64)
    name, version = held.champion.name, held.champion.version
    folders = {"challenger": model} | ({"champion": champion / "model"} if version else {})
    with tempfile.TemporaryDirectory(prefix="footprint-") as temporary:
        asked = Path(temporary) / "rows.parquet"
        rows.iloc[picked].to_parquet(asked)
        models, error = measure(folders, contract, asked)
    details = {
        "models": {"champion": None, **models},
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
        metrics=models["challenger"],
        details=details,
    )
    show(details)


def measure(
    folders: Mapping[str, Path], contract: Path, rows: Path
) -> tuple[dict[str, dict[str, float | None]], str | None]:
    """Figures of each model: model_bytes, load_seconds, memory_bytes, latency_p50 and _p95 in
    milliseconds.

    Args:
        folders: of the challenger and, where there is one, the champion.
        contract: conf/contract.yml.
        rows: Parquet file of features to ask about.

    Returns:
        The figures, and why the champion has none, if it has none.

    Raises:
        UsageError: when the challenger cannot be measured.
    """
    probes = {name: Probe(folder, contract, rows) for name, folder in folders.items()}
    memory: dict[str, float | None] = {}
    loads: dict[str, list[float]] = {name: [] for name in probes}
    asked: dict[str, list[list[float]]] = {name: [] for name in probes}
    failed: str | None = None
    try:
        for round_ in range(-1, ROUNDS):
            for name, asking in list(probes.items()):
                try:
                    if round_ < 0:
                        asking.hear()
                        asking.tell("load")
                        asking.tell(f"ask {WARM_UP}")
                        memory[name] = asking.tell("memory")["bytes"]
                    else:
                        loads[name].append(asking.tell("load")["seconds"])
                        asked[name].append(asking.tell(f"ask {ASKED}")["seconds"])
                except UsageError as error:
                    if name == "challenger":
                        raise
                    failed = str(error)
                    probes.pop(name).close()
    finally:
        for one in probes.values():
            one.close()
    return {
        name: {
            "model_bytes": size_of(folders[name]),
            "load_seconds": statistics.median(loads[name]),
            "memory_bytes": memory[name],
            "latency_p50": _milliseconds(asked[name], 50),
            "latency_p95": _milliseconds(asked[name], 95),
        }
        for name in probes
    }, failed


def size_of(folder: Path) -> int:
    """Bytes of all files of a model."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def show(details: Mapping[str, Any]) -> None:
    """Print the figures of both models."""
    models, champion = details["models"], details["champion"]
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
    headings = ("", "challenger", *([f"champion {champion['version']}"] if len(known) > 1 else []))
    console().print(table("footprint", headings, lines, right=headings[1:]))
    if champion["error"]:
        print(f"champion {champion['version']} is not compared: {champion['error']}")


def _milliseconds(rounds: list[list[float]], percentile: float) -> float:
    """Median over rounds of a percentile of the answers' seconds."""
    return statistics.median(float(np.percentile(one, percentile)) for one in rounds) * 1000
