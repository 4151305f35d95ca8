"""The endpoint against `mlflow models serve` and a bare inference server; one worker each, same model, same rows."""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.measure import Figure, command
from benchmarks.project import TRAIN, prepared_project

ROUNDS = 3
SECONDS = 4.0
CLIENTS = (1, 8)
LOAD = Path(__file__).with_name("load.py")

# One row per request, as each server wants it.
BODIES = """
import json, sys
from pathlib import Path
import pandas as pd
from modelyard.serving.server import model_to_serve
folder, place = model_to_serve(Path.cwd())[1], Path(sys.argv[1])
names = json.loads((folder / "input_example.json").read_text())["columns"]
rows = pd.read_parquet("data/flights.parquet")[names].sample(2000, random_state=0)
records = json.loads(rows.to_json(orient="records", date_format="iso"))
split = [{"dataframe_split": {"columns": names, "data": [[r[n] for n in names]]}} for r in records]
(place / "records.txt").write_text("\\n".join(json.dumps([r]) for r in records))
(place / "split.txt").write_text("\\n".join(map(json.dumps, split)))
print(folder)
"""

# What an endpoint costs at the least: the same fitted learner, asked about an array that is ready.
BARE = """
import numpy as np
from pathlib import Path
from modelyard.modelling import load_model

def init():
    global learner, array
    learner = load_model(Path({folder!r})).estimator_.estimator.steps[-1][1]
    array = np.zeros((1, learner.n_features_in_))
    learner.predict_proba(array)

def run(data):
    return learner.predict_proba(array).tolist()
"""


def measure() -> list[Figure]:
    """Requests per second and 99th percentile of one champion behind three servers, in turns."""
    project = prepared_project()
    champion_of(project)
    return measure_project(project)


def champion_of(project: Path) -> None:
    """Train and promote, where nobody has yet."""
    mlops = project / ".venv/bin/mlops"
    command(mlops, "run", TRAIN, cwd=project)
    if not any(v["champion"] for v in json.loads(command(mlops, "models", "--json", cwd=project))):
        command(mlops, "promote", cwd=project)


def measure_project(project: Path) -> list[Figure]:
    """The same of a project that has a champion of two classes."""
    place = project / "build"
    place.mkdir(exist_ok=True)
    python = project / ".venv/bin/python"
    folder = command(python, "-c", BODIES, place, cwd=project).splitlines()[-1]
    script = place / "bare.py"
    script.write_text(BARE.format(folder=folder), encoding="utf-8")
    with ExitStack() as stack:
        ports = [free_port() for _ in range(3)]
        servers = {
            "ours": (
                [project / ".venv/bin/mlops", "serve", "--no-collect", "--port", ports[0]],
                "/",
                "/score",
                "records.txt",
            ),
            "mlflow": (
                [
                    *(project / ".venv/bin/mlflow", "models", "serve", "--env-manager", "local"),
                    *("--workers", "1", "--model-uri", folder, "--port", ports[1]),
                ],
                "/ping",
                "/invocations",
                "split.txt",
            ),
            "bare": (
                [
                    project / ".environments/serve/bin/python",
                    *("-m", "azureml_inference_server_http", "--entry_script", script),
                    *("--worker_count", "1", "--port", ports[2]),
                ],
                "/",
                "/score",
                "records.txt",
            ),
        }
        for port, (words, probe, _, _) in zip(ports, servers.values(), strict=True):
            stack.enter_context(running(words, project, f"http://127.0.0.1:{port}{probe}"))
        seen: dict[tuple[str, int], list[dict[str, float]]] = {}
        for _ in range(ROUNDS + 1):
            for port, (name, (_, _, path, bodies)) in zip(ports, servers.items(), strict=True):
                for clients in CLIENTS:
                    url = f"http://127.0.0.1:{port}{path}"
                    found = load(url, place / bodies, clients)
                    seen.setdefault((name, clients), []).append(found)
    return figures(seen)


def figures(seen: dict[tuple[str, int], list[dict[str, float]]]) -> list[Figure]:
    """Medians over the rounds; the first one warmed up."""

    def median(name: str, clients: int, what: str) -> float:
        return statistics.median(found[what] for found in seen[name, clients][1:])

    for (name, clients), rounds in seen.items():
        print(
            f"  {name:<7} {clients} at once: {median(name, clients, 'per_second'):>6.0f} per second, "
            f"p50 {median(name, clients, 'p50') * 1000:>6.2f} ms, "
            f"p99 {median(name, clients, 'p99') * 1000:>6.2f} ms ({len(rounds) - 1} rounds)"
        )
    found = []
    for clients in CLIENTS:
        ours, mlflow, bare = (
            1 / median(name, clients, "per_second") for name in ("ours", "mlflow", "bare")
        )
        at_once = f"{clients} at once"
        found += [
            Figure(f"seconds per request, {at_once} / mlflow models serve", ours, 1 / 15, mlflow),
            Figure(f"seconds per request, {at_once} / bare inference server", ours, 1 / 2, bare),
        ]
    slow = [median(name, 8, "p99") for name in ("ours", "mlflow")]
    return [*found, Figure("p99, 8 at once / mlflow models serve", slow[0], 1 / 3, slow[1])]


def load(url: str, bodies: Path, clients: int, seconds: float = SECONDS) -> dict[str, float]:
    """Load a server from a process of its own; every answer must be 200."""
    words = [sys.executable, str(LOAD), url, str(bodies), str(seconds), str(clients)]
    found = json.loads(command(*words))
    if set(found["statuses"]) != {"200"}:
        raise RuntimeError(f"{url} answered {found['statuses']}")
    return dict(found)


@contextmanager
def running(words: list[object], project: Path, probe: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server, from when it answers until it is ended."""
    binaries = f"{project / '.venv/bin'}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": binaries,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        "AZUREML_MODEL_DIR": str(project),
    }
    log = project / "build" / "server.txt"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=project,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 120
        while not answers(probe):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{words[0]} did not start: {log}")
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
