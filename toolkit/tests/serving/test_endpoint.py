"""The endpoint as clients see it: the real server, over HTTP."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pyarrow.dataset as ds
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from modelyard.contract import load_contract
from modelyard.errors import ModelyardError
from modelyard.gates import load_gates
from modelyard.modelling import load_model, predict
from modelyard.serving.receiver import Receiver
from modelyard.serving.server import start_server
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.project import ROOT

CHECKS = (
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)


def until(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_answers_are_the_models_own_on_rows_it_has_not_seen(endpoint, trained, records):
    rules = load_contract(trained / "model" / "contract.yml")
    rows = pd.read_parquet(trained / "prepared" / "test.parquet")
    expected = predict(load_model(trained / "model"), rows, rules)
    one_by_one = [endpoint.score([record]).json() for record in records[:20]]
    together = endpoint.score({"input_data": records}).json()
    answers = {
        "few": [answer["predictions"][0] for answer in one_by_one],
        "many": together["predictions"],
    }
    if rules.kind == "regression":
        for found in answers.values():
            np.testing.assert_allclose(found, expected.score[: len(found)], atol=1e-6)
        return
    for found in answers.values():
        if rules.kind == "binary":
            labels = [label == rules.target.positive for label in found]
            assert labels == expected.label[: len(found)].tolist()
        else:
            classes = rules.target.classes or ()
            assert found == [classes[place] for place in expected.label[: len(found)]]
    chances = together["probabilities"]
    for found in (chances, [answer["probabilities"][0] for answer in one_by_one]):
        numbers = [list(row.values()) if isinstance(row, dict) else row for row in found]
        np.testing.assert_allclose(numbers, expected.score[: len(found)], atol=1e-6)


def test_answer_and_log_name_the_model_and_the_log_says_which_path_answers(endpoint, records):
    answer = endpoint.score(records[:2])
    assert answer.status_code == 200
    assert answer.json()["model"] == {"name": "delay", "version": "7"}
    log = endpoint.server.log.read_text(encoding="utf-8")
    assert "delay version 7 answers requests, by the fast path" in log
    assert len(set(answer.json()["correlation_ids"])) == 2


def test_both_forms_get_the_same_answer(endpoint, records):
    columns = list(records[0])
    split = {"columns": columns, "data": [[row[name] for name in columns] for row in records[:5]]}
    one, other = endpoint.score(records[:5]).json(), endpoint.score({"input_data": split}).json()
    assert one["predictions"] == other["predictions"]


def test_wrong_bodies_get_400_with_field_rule_and_row(endpoint, records):
    settings = yaml.safe_load((ROOT / "azureml/endpoints/online-deployment.yml").read_text())
    most = int(settings["environment_variables"]["MAX_REQUEST_ROWS"])
    described = endpoint.client.get("/swagger.json?version=3").json()
    first = described["components"]["schemas"]["Record"]["required"][0]
    without = {name: value for name, value in records[0].items() if name != first}
    cases: dict[str, tuple[Any, Any]] = {
        "json": (b"{", None),
        "rows": (records[:1] * (most + 1), None),
        "form": ("text", None),
        "extra column": ([{**records[0], "never heard of": 1}], 1),
        "missing column": ([records[0], without], 2),
        "type": ([records[0], records[0], {**records[0], first: {}}], 3),
        "size": (b"[" + b" " * 5_000_000 + b"]", None),
    }
    for rule, (body, row) in cases.items():
        answer = endpoint.score(body)
        assert answer.status_code == 400, rule
        found = answer.json()["errors"][0]
        assert (found["rule"], found["row"]) == (rule, row)
        assert "Traceback" not in answer.text
    assert endpoint.score([]).json()["errors"][0]["rule"] == "rows"
    assert endpoint.score(records[:1]).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_said_to_be_wrong(endpoint, method):
    assert endpoint.client.request(method, "/score").status_code == 405


def test_other_paths_are_not_there(endpoint):
    assert endpoint.client.get("/").text == "Healthy"
    assert endpoint.client.get("/nothing").status_code == 404


def test_a_sender_that_breaks_off_or_is_slow_holds_up_nobody(endpoint, records):
    address = (endpoint.server.url.split("/")[2].split(":")[0], endpoint.client.base_url.port)
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[{"
    slow = [socket.create_connection(address) for _ in range(2)]
    for connection in slow:
        connection.sendall(head)
    with socket.create_connection(address) as gone:
        gone.sendall(head)
    assert endpoint.score(records[:1]).status_code == 200
    for connection in slow:
        connection.close()
    with socket.create_connection(address) as rude:
        rude.sendall(b"\x00\xff garbage\r\n\r\n")
    assert endpoint.score(records[:1]).status_code == 200


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_no_request_that_the_description_suggests_breaks_it(endpoint, mode):
    """Right and wrong bodies, made by schemathesis: no 5xx, and every answer as described."""
    schema = schemathesis.openapi.from_url(f"{endpoint.server.url}/swagger.json?version=3.1")
    seen: Counter[int] = Counter()

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(case=schema["/score"]["POST"].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call(base_url=endpoint.server.url)
        seen[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    ask()
    assert set(seen) <= {200, 400}
    assert seen[200] or mode is not schemathesis.GenerationMode.POSITIVE
    assert seen[400] > 10 or mode is not schemathesis.GenerationMode.NEGATIVE


def test_every_version_of_the_description_is_served(endpoint):
    for version, (key, value) in {
        "2": ("swagger", "2.0"),
        "3": ("openapi", "3.0.3"),
        "3.1": ("openapi", "3.1.0"),
    }.items():
        content = endpoint.client.get(f"/swagger.json?version={version}").json()
        assert content[key] == value
        assert content["info"]["title"] == "delay"


def test_latency_errors_and_memory_are_within_the_gates(endpoint, records):
    gate = load_gates(ROOT / "conf" / "gates.yml").serving
    bodies = [json.dumps([record]).encode() for record in records]
    for body in bodies[:20]:
        endpoint.score(body)
    times, errors = [], 0
    for n in range(200):
        start = time.perf_counter()
        errors += endpoint.score(bodies[n % len(bodies)]).status_code >= 500
        times.append((time.perf_counter() - start) * 1000)
    assert statistics.quantiles(times, n=20)[-1] <= gate.p95_milliseconds
    assert errors / len(times) <= gate.error_share
    resident = sum(psutil.Process(pid).memory_info().rss for pid in endpoint.processes())
    assert resident / 2**20 <= gate.memory_megabytes


def collected(receiver: Receiver, collection: str) -> pd.DataFrame:
    receiver.flush()
    files = receiver.folder / "local" / "blue" / collection
    if not files.exists():
        return pd.DataFrame()
    return ds.dataset(files, format="parquet").to_table().to_pandas().set_index("correlationid")


def test_every_row_that_is_answered_is_collected_with_its_answer(endpoint, trained, records):
    rules = load_contract(trained / "model" / "contract.yml")
    asked, told, chances = {}, {}, {}
    for start in range(0, 60, 7):
        body = records[start : start + 7]
        answer = endpoint.score(body).json()
        for n, one in enumerate(answer["correlation_ids"]):
            asked[one], told[one] = body[n], answer["predictions"][n]
            chances[one] = answer.get("probabilities", [None] * len(body))[n]
    own = {"data": records[:2], "correlation_ids": ["mine 1", "mine 2"]}
    assert endpoint.score(own).json()["correlation_ids"] == ["mine 1", "mine 2"]
    # Rows arrive in the order in which they were answered, inputs before outputs.
    until(lambda: "mine 2" in collected(endpoint.receiver, "model_outputs").index)

    inputs = collected(endpoint.receiver, "model_inputs")
    outputs = collected(endpoint.receiver, "model_outputs")
    assert set(inputs.index) == set(outputs.index) >= {*asked, "mine 1", "mine 2"}
    for kept in (inputs, outputs):  # other tests may have sent the same ids of their own twice
        assert not kept.loc[[*asked, "mine 1", "mine 2"]].index.duplicated().any()
    assert list(inputs.columns) == [*rules.features, "collected_at"]
    sent_rows = pd.DataFrame(asked.values())
    for name in rules.features:
        kept = inputs.loc[list(asked), name]
        kind = rules.columns[name].type
        if kind == "datetime":
            assert kept.tolist() == pd.to_datetime(sent_rows[name]).tolist()
        elif kind in ("number", "integer"):
            np.testing.assert_array_equal(kept.astype(float), sent_rows[name].astype(float))
        else:
            assert kept.where(kept.notna(), None).tolist() == [row[name] for row in asked.values()]
    assert outputs.loc[list(told), "prediction"].tolist() == list(told.values())
    if rules.kind == "binary":
        assert outputs.loc[list(told), "probability"].tolist() == list(chances.values())


def test_collecting_keeps_to_the_sampling_rate_and_keeps_pairs_together(
    project, trained, tmp_path, records
):
    with Receiver(tmp_path / "collected", trained / "model" / "contract.yml") as receiver:
        server = start_server(
            project,
            trained / "model",
            name="delay",
            version="7",
            deployment="green",
            collect_to=receiver.address,
            log=tmp_path / "log.txt",
            environment={"AZUREML_MDC_SAMPLE_RATE": "50"},
        )
        try:
            server.wait_ready()
            for _ in range(60):
                httpx.post(f"{server.url}/score", json=(records * 2)[:200])
        finally:
            server.stop()
    assert 2_000 <= receiver.rows["model_inputs"] <= 10_000
    assert receiver.rows["model_inputs"] == receiver.rows["model_outputs"]
    kept = [
        set(
            ds.dataset(tmp_path / "collected/local/green" / name, format="parquet")
            .to_table(columns=["correlationid"])["correlationid"]
            .to_pylist()
        )
        for name in ("model_inputs", "model_outputs")
    ]
    assert kept[0] == kept[1]
    assert not server.is_alive()


def test_a_server_that_cannot_start_says_why(project, tmp_path):
    (tmp_path / "model").mkdir()
    server = start_server(
        project, tmp_path / "model", name="delay", version="1", log=tmp_path / "log.txt"
    )
    with pytest.raises(ModelyardError, match="holds no MLflow model"):
        server.wait_ready()
    server.stop()


@pytest.mark.parametrize(("signal_", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_nothing_is_left_of_a_server_however_its_starter_ends(
    project, trained, tmp_path, signal_, code
):
    """`mlops serve`, with a model of this test for the champion."""
    starter = f"""
import sys
from pathlib import Path
from modelyard import cli
from modelyard.serving import server as serving
serving.model_to_serve = lambda root, version: ("7", Path({str(trained / "model")!r}))
with serving._listen("127.0.0.1", 0) as free:
    port = free.getsockname()[1]
sys.argv[1:] = ["serve", "--port", str(port), "--no-collect"]
cli.main()
"""
    log = tmp_path / "log.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", starter], stdout=out, stderr=out, cwd=project
        )
    until(lambda: "Ctrl-C ends it" in log.read_text() or process.poll() is not None, 120)
    said = log.read_text()
    assert process.poll() is None, said
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 2
    folder = Path(children[0].cwd())
    command = shlex.split(re.findall("curl .*", said)[0])
    answer = httpx.post(command[2], content=command[-1].encode())
    assert answer.json()["model"]["version"] == "7"
    process.send_signal(signal_)
    assert process.wait(60) == code
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    assert not folder.exists()
    assert "Traceback" not in log.read_text()
