"""A model of the sample project, trained by its own steps, and a server that answers with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock
from modelyard.contract.model import TableRules, load_contract, save_contract
from modelyard.modelling.predicting import threads_for
from modelyard.serving.receiver import Receiver
from modelyard.serving.server import Server, start_server
from modelyard.testing import small_table

from tests.project import ROOT
from tests.served_project import served_project

ROWS = 800
MODULES = {"prepare": "modelyard.steps.prepare", "train": "flight_delay.train"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As an endpoint has: on a busy machine, scikit-learn's threads wait for each other."""
    with threads_for(1):
        yield


class Endpoint:
    """A running server and a client of it."""

    def __init__(self, server: Server, receiver: Receiver, model: Path) -> None:
        self.server, self.receiver, self.model = server, receiver, model
        self.client = httpx.Client(base_url=server.url, timeout=30)

    def score(self, body: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(
            "/score", content=content, headers={"Content-Type": "application/json"}
        )

    def processes(self) -> list[int]:
        """The server's process and its workers."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "-g", str(self.server.pid)], capture_output=True, text=True
        )
        return [int(word) for word in found.stdout.split()]


@pytest.fixture(scope="session")
def trained() -> Path:
    """A folder with prepared rows and a model; made once for all workers."""
    place = ROOT.parent / "trained"
    with FileLock(f"{place}.lock"):
        if not (place / "done").exists():
            _train(place)
            (place / "done").touch()
    return place


def _train(place: Path) -> None:
    contract = place / "contract.yml"
    rules = load_contract(ROOT / "conf" / "contract.yml")
    save_contract(rules.model_copy(update={"table": TableRules()}), contract)
    table = place / "table.parquet"
    small_table(rules, ROWS).to_parquet(table)
    given = {"contract": contract, "evidence": place / "evidence"}
    steps: dict[str, dict[str, Any]] = {
        "prepare": given | {"data": table, "prepared": place / "prepared"},
        "train": given
        | {"prepared": place / "prepared", "model": place / "model"}
        | {"baseline": place / "baseline", "gates": ROOT / "conf" / "gates.yml"}
        | {"learner": "boosting", "max-iterations": 40},
    }
    for step, options in steps.items():
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        command = [sys.executable, "-m", MODULES[step], *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "src")
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def project() -> Path:
    """A project whose servers run the toolkit's present sources."""
    return served_project()


@pytest.fixture(scope="session")
def endpoint(
    project: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """One server per worker, with data collection."""
    folder = tmp_path_factory.mktemp("endpoint")
    model = trained / "model"
    with Receiver(folder / "collected", model / "contract.yml") as receiver:
        server = start_server(
            project,
            model,
            name="delay",
            version="7",
            collect_to=receiver.address,
            log=folder / "log.txt",
        )
        try:
            server.wait_ready()
            one = Endpoint(server, receiver, model)
            yield one
            one.client.close()
        finally:
            server.stop()


@pytest.fixture(scope="session")
def records(trained: Path) -> list[dict[str, Any]]:
    """Rows that the model was not trained on, as a sender would write them."""
    import pandas as pd

    rows = pd.read_parquet(trained / "prepared" / "test.parquet")
    return json.loads(rows.to_json(orient="records", date_format="iso"))
