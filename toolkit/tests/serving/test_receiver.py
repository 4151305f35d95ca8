"""The receiver keeps every collected row, with the types of the contract."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from modelyard.errors import UsageError
from modelyard.serving.collected_files import contract_file, digest_of
from modelyard.serving.receiver import Receiver

CONTRACT = """
target: {column: late, kind: multiclass, classes: [no, yes, "1"]}
columns:
  late: {type: category, role: target}
  id: {type: integer, role: identifier}
  on: {type: number}
  n: {type: integer}
  ok: {type: boolean}
  word: {type: text}
  at: {type: datetime}
"""
ROW = {"on": 1.5, "n": 3, "ok": True, "word": "ø", "at": "2013-05-01T10:00:00.000001"}


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "contract.yml"
    path.write_text(CONTRACT, encoding="utf-8")
    return path


def post(receiver: Receiver, records: Any, kind: str = "model_inputs", **headers: str) -> int:
    """Send as azureml-ai-monitoring does; returns the status."""
    body = records if isinstance(records, bytes) else json.dumps(records).encode()
    names = {"ce-type": f"azureml.inference.{kind}", "ce-x-request-id": "batch", **headers}
    url = f"http://{receiver.address}/modeldata/log"
    request = urllib.request.Request(url, data=body, headers=names)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def test_rows_are_kept_by_the_hour_with_the_contracts_types(contract, tmp_path):
    moment = datetime(2013, 2, 28, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
    empty = dict.fromkeys(ROW)
    with Receiver(tmp_path / "kept", contract, clock=lambda: moment) as receiver:
        assert post(receiver, [ROW, empty]) == 200
    (file,) = (tmp_path / "kept").rglob("*.parquet")
    known = contract_file(tmp_path / "kept", digest_of(str(file)))
    assert known.read_text(encoding="utf-8") == CONTRACT
    assert file.parent == tmp_path / "kept/local/blue/model_inputs/2013/03/01/01"
    table = pq.read_table(file)
    assert [f"{item.name}: {item.type}" for item in table.schema] == [
        *("on: double", "n: int64", "ok: bool", "word: string", "at: timestamp[ns]"),
        *("correlationid: string", "collected_at: timestamp[us, tz=UTC]"),
    ]
    first, second = table.drop_columns("at").to_pylist()
    same = {"collected_at": moment.astimezone(UTC)}
    assert first == {key: ROW[key] for key in ("on", "n", "ok", "word")} | same | {
        "correlationid": "batch_0"
    }
    assert second == dict.fromkeys(("on", "n", "ok", "word")) | same | {"correlationid": "batch_1"}
    assert str(table["at"][0].as_py()) == "2013-05-01 10:00:00.000001"


def test_answers_have_a_column_for_each_class(contract, tmp_path):
    row = {"prediction": "yes", "probability_no": 0.2, "probability_yes": 0.7, "probability_1": 0.1}
    own = {**row, "client_correlation_id": "mine"}
    with Receiver(tmp_path / "kept", contract) as receiver:
        assert post(receiver, [row, own], "model_outputs") == 200
        receiver.flush()
        kept = ds.dataset(tmp_path / "kept/local/blue/model_outputs", format="parquet")
        found = kept.to_table().drop_columns("collected_at").to_pylist()
    assert found == [row | {"correlationid": "batch_0"}, row | {"correlationid": "mine"}]


def test_each_deployment_has_a_folder_and_none_leads_out_of_it(contract, tmp_path):
    with Receiver(tmp_path / "kept", contract) as receiver:
        names = {"ce-endpoint-name": "flights", "ce-deployment-name": "green"}
        assert post(receiver, [ROW], **names) == 200
        assert post(receiver, [ROW], **{"ce-endpoint-name": "../.."}) == 400
        assert post(receiver, [ROW], "../../model_inputs") == 400
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["contracts", "flights"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"x", [{**ROW, "n": "many"}], [{"at": "x"}]])
def test_what_the_collector_does_not_send_is_refused_and_harms_nothing(contract, tmp_path, body):
    with Receiver(tmp_path / "kept", contract) as receiver:
        assert post(receiver, body) == 400
        assert post(receiver, [ROW]) == 200
    assert receiver.rows["model_inputs"] == 1


def test_rows_of_many_senders_are_all_kept_once(contract, tmp_path):
    with Receiver(tmp_path / "kept", contract) as receiver:

        def send(sender: int) -> None:
            for n in range(20):
                post(receiver, [ROW] * 50, **{"ce-x-request-id": f"{sender}-{n}"})

        threads = [threading.Thread(target=send, args=(sender,)) for sender in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    kept = ds.dataset(tmp_path / "kept/local/blue/model_inputs", format="parquet").to_table()
    ids = kept["correlationid"].to_pylist()
    assert len(ids) == len(set(ids)) == receiver.rows["model_inputs"] == 8_000
    assert not list((tmp_path / "kept").rglob("*.part"))


def test_rows_that_cannot_be_written_wait_and_then_are_refused(contract, tmp_path, monkeypatch):
    monkeypatch.setattr("modelyard.serving.receiver.FLUSH_ROWS", 3)
    monkeypatch.setattr("modelyard.serving.receiver.FLUSH_SECONDS", 60)
    blocked = tmp_path / "kept" / "local"
    blocked.parent.mkdir()
    blocked.touch()
    with Receiver(tmp_path / "kept", contract) as receiver:
        assert [post(receiver, [ROW] * 2) for _ in range(3)] == [200, 200, 500]
        blocked.unlink()
        assert post(receiver, [ROW]) == 200
    kept = ds.dataset(tmp_path / "kept/local/blue/model_inputs", format="parquet").to_table()
    assert len(kept) == receiver.rows["model_inputs"] == 5


def test_a_missing_or_wrong_contract_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"contract\.yml does not exist"):
        Receiver(tmp_path, tmp_path / "contract.yml")
    (tmp_path / "contract.yml").write_text("columns: 3")
    with pytest.raises(UsageError, match=r"contract\.yml:1: target: "):
        Receiver(tmp_path, tmp_path / "contract.yml")


def test_a_receiver_of_its_own_process_says_where_it_is_and_writes_at_its_end(contract, tmp_path):
    address = tmp_path / "address.json"
    command = [sys.executable, "-m", "modelyard.serving.receiver", "--folder", tmp_path / "kept"]
    command += ["--contract", contract, "--address", address]
    process = subprocess.Popen(list(map(str, command)))
    try:
        while not address.is_file():
            assert process.poll() is None
            time.sleep(0.02)
        receiver = SimpleNamespace(address=json.loads(address.read_text())["address"])
        assert post(receiver, [ROW]) == 200
    finally:
        process.terminate()
    assert process.wait(60) == 0
    assert len(list((tmp_path / "kept").rglob("*.parquet"))) == 1
