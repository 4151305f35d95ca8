"""Waiting for collected rows: until inputs and outputs of all of them have arrived."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from modelyard.contract.model import save_contract
from modelyard.drills.traffic import DrillReceiver
from modelyard.serving.receiver import EVENT

from tests.drills.contracts import contract


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[DrillReceiver]:
    save_contract(contract("regression"), tmp_path / "contract.yml")
    with DrillReceiver(tmp_path / "collected", tmp_path / "contract.yml") as receiver:
        yield receiver  # type: ignore[misc]


def send(receiver: DrillReceiver, collection: str, *ids: str) -> None:
    column = {"model_inputs": "size", "model_outputs": "prediction"}[collection]
    rows = [{column: 1.0, "client_correlation_id": id} for id in ids]
    receiver.take({"ce-type": f"{EVENT}{collection}"}, json.dumps(rows).encode())


def test_rows_are_awaited_until_inputs_and_outputs_have_arrived(receiver: DrillReceiver) -> None:
    send(receiver, "model_inputs", "a", "b")
    send(receiver, "model_outputs", "a")
    late = threading.Timer(0.2, send, (receiver, "model_outputs", "b"))
    began = time.monotonic()
    late.start()
    assert receiver.wait_for(["a", "b"], timeout=20) == 0
    assert 0.1 < time.monotonic() - began < 10
    assert list(receiver.folder.rglob("*.parquet"))


def test_rows_that_never_arrive_are_counted(receiver: DrillReceiver) -> None:
    send(receiver, "model_inputs", "a", "b")
    send(receiver, "model_outputs", "a")
    assert receiver.wait_for(["a", "b", "c"], timeout=0.05) == 2
