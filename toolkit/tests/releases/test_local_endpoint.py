"""An endpoint on this machine: its router, its deployments, and their processes."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from modelyard.releases.endpoint import EndpointError
from modelyard.releases.local_endpoint import LocalEndpoint
from modelyard.releases.processes import MARK

from tests.stub_server import start_stub

NAMED = "azureml-model-deployment"
HTTP = httpx.Client(trust_env=False)


def write_model(root: Path, version: str, **behaviour: object) -> None:
    folder = root / "registry" / f"v{version}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "behaviour.json").write_text(json.dumps(behaviour), encoding="utf-8")


def download(root: Path, version: str, target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    source = root / "registry" / f"v{version}" / "behaviour.json"
    (target / "behaviour.json").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return target


def local(root: Path) -> LocalEndpoint:
    return LocalEndpoint(
        root,
        "local",
        model="test",
        start=start_stub,
        download=lambda version, target: download(root, version, target),
        collect=False,
    )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEndpoint]:
    """blue with v1 and green with v2, which answers twice as much; blue has the traffic."""
    root = tmp_path_factory.mktemp("endpoint")
    write_model(root, "1")
    write_model(root, "2", factor=2)
    write_model(root, "3", **{"does not start": True})
    endpoint = local(root)
    try:
        endpoint.open()
        endpoint.deploy("blue", "1")
        endpoint.deploy("green", "2")
        yield endpoint
    finally:
        endpoint.close()


@pytest.fixture
def endpoint(started: LocalEndpoint) -> LocalEndpoint:
    """As `started`, whatever the test before did."""
    started.set_mirror({})
    started.deploy("blue", "1")
    started.set_traffic({"blue": 100})
    started.deploy("green", "2")
    return started


def ask(endpoint: LocalEndpoint, x: float = 1, **headers: str) -> httpx.Response:
    return HTTP.post(f"{endpoint.url}/score", json={"input_data": [{"x": x}]}, headers=headers)


def test_requests_are_shared_out_by_percentage_and_the_answer_names_who_gave_it(
    endpoint: LocalEndpoint,
) -> None:
    endpoint.set_traffic({"blue": 70, "green": 30})
    answers = [ask(endpoint) for _ in range(200)]
    given = Counter(answer.headers[NAMED] for answer in answers)
    assert 30 <= given["green"] <= 95
    for answer in answers:
        assert answer.json()["predictions"] == [2 if answer.headers[NAMED] == "green" else 1]


def test_a_change_of_traffic_holds_from_the_next_request_on(endpoint: LocalEndpoint) -> None:
    for name in ("green", "blue", "green"):
        endpoint.set_traffic({name: 100})
        assert {ask(endpoint).headers[NAMED] for _ in range(5)} == {name}


def test_a_header_addresses_one_deployment_and_such_requests_are_neither_mirrored_nor_counted(
    endpoint: LocalEndpoint,
) -> None:
    endpoint.set_mirror({"green": 50})
    before = [endpoint.live_metrics(name, 0).requests for name in ("blue", "green")]
    for _ in range(10):
        assert ask(endpoint, **{NAMED: "blue"}).json()["predictions"] == [1]
        assert ask(endpoint, **{NAMED: "green"}).json()["predictions"] == [2]
    assert [endpoint.live_metrics(name, 0).requests for name in ("blue", "green")] == before
    missing = ask(endpoint, **{NAMED: "red"})
    assert missing.status_code == 404
    assert missing.json() == {"error": {"message": "the endpoint has no deployment 'red'"}}


def test_mirrored_requests_are_answered_by_the_old_deployment_and_counted_for_the_new(
    endpoint: LocalEndpoint,
) -> None:
    before = endpoint.live_metrics("green", 0).requests
    endpoint.set_mirror({"green": 50})
    assert {ask(endpoint).headers[NAMED] for _ in range(100)} == {"blue"}
    endpoint._drain("green")
    assert 20 <= endpoint.live_metrics("green", 0).requests - before <= 80


def test_what_the_model_refuses_arrives_as_on_azure(endpoint: LocalEndpoint) -> None:
    before = endpoint.live_metrics("blue", 0)
    answer = HTTP.post(f"{endpoint.url}/score", content=b"{")
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-statuscode"] == "400"
    assert answer.json() == {"error": {"message": "not JSON"}}
    assert endpoint.invoke("blue", b"{").status == 400
    after = endpoint.live_metrics("blue", 0)
    assert (after.refused - before.refused, after.errors - before.errors) == (1, 0)


@pytest.mark.parametrize(
    ("traffic", "message"),
    [
        ({"blue": 90}, "sums to 100"),
        ({"blue": 50, "green": 60}, "sums to 100"),
        ({"blue": 200, "green": -100}, "sums to 100"),
        ({"red": 100}, "has no deployment red"),
    ],
)
def test_traffic_that_could_not_be_is_refused(
    endpoint: LocalEndpoint, traffic: dict[str, int], message: str
) -> None:
    with pytest.raises(EndpointError, match=message):
        endpoint.set_traffic(traffic)
    assert endpoint.view().traffic == {"blue": 100}


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ({"green": 51}, "at most 50%"),
        ({"green": 10, "blue": 10}, "to one deployment"),
        ({"blue": 10}, "has live traffic"),
        ({"red": 10}, "has no deployment red"),
    ],
)
def test_a_mirror_that_azure_would_refuse_is_refused(
    endpoint: LocalEndpoint, mirror: dict[str, int], message: str
) -> None:
    with pytest.raises(EndpointError, match=message):
        endpoint.set_mirror(mirror)
    endpoint.set_mirror({"green": 10})
    with pytest.raises(EndpointError, match="gets mirrored traffic"):
        endpoint.set_traffic({"green": 100})


def test_a_deployment_with_traffic_is_not_deleted(endpoint: LocalEndpoint) -> None:
    with pytest.raises(EndpointError, match="blue has traffic"):
        endpoint.delete("blue")
    endpoint.delete("green")
    endpoint.delete("green")
    assert set(endpoint.view().deployments) == {"blue"}
    assert marked(endpoint, "green") == []


def marked(endpoint: LocalEndpoint, role: str) -> list[int]:
    """Process ids that carry the endpoint's mark for a role."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == f"{endpoint.folder.resolve()}#{role}":
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_the_router_keeps_no_connection_to_a_deployment_that_is_deleted(
    endpoint: LocalEndpoint,
) -> None:
    server = json.loads((endpoint.folder / "control.json").read_text())["deployments"]["green"]
    router = psutil.Process(json.loads((endpoint.folder / "router.json").read_text())["pid"])

    def connected() -> bool:
        ports = [one.raddr.port for one in router.net_connections("tcp") if one.raddr]
        return httpx.URL(server["url"]).port in ports

    assert ask(endpoint, **{NAMED: "green"}).status_code == 200
    assert connected()
    endpoint.delete("green")
    assert not connected()


def test_clients_do_not_notice_a_deployment_that_dies_while_another_has_traffic(
    endpoint: LocalEndpoint,
) -> None:
    endpoint.set_traffic({"blue": 50, "green": 50})
    before = endpoint.live_metrics("green", 0).errors
    (pid,) = marked(endpoint, "green")
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)
    answers = [ask(endpoint) for _ in range(20)]
    assert {(one.status_code, one.headers[NAMED]) for one in answers} == {(200, "blue")}
    assert endpoint.live_metrics("green", 0).errors > before
    assert not endpoint.view().deployments["green"].healthy
    endpoint.deploy("green", "2")
    assert endpoint.view().deployments["green"].healthy


def test_without_any_deployment_that_answers_the_router_says_so(endpoint: LocalEndpoint) -> None:
    (pid,) = marked(endpoint, "blue")
    os.kill(pid, signal.SIGKILL)
    answer = ask(endpoint)
    assert answer.status_code == 502
    assert answer.json() == {"error": {"message": "no deployment answers; tried blue"}}
    endpoint.open()
    assert ask(endpoint).status_code == 200


def test_a_version_that_does_not_start_gets_no_traffic(endpoint: LocalEndpoint) -> None:
    with pytest.raises(EndpointError, match="the model cannot be loaded"):
        endpoint.deploy("green", "3")
    with pytest.raises(EndpointError, match="green does not answer"):
        endpoint.set_traffic({"green": 100})
    assert ask(endpoint).headers[NAMED] == "blue"


def test_an_endpoint_comes_back_as_it_was(endpoint: LocalEndpoint) -> None:
    endpoint.set_traffic({"blue": 60, "green": 40})
    url = endpoint.url
    endpoint.close()
    for role in ("router", "blue", "green"):
        assert marked(endpoint, role) == []
    with pytest.raises(EndpointError, match="is not running"):
        _ = endpoint.url
    again = local(endpoint.root)
    again.open()
    assert again.url == url
    assert again.view().traffic == {"blue": 60, "green": 40}
    assert {ask(again).status_code for _ in range(10)} == {200}


def test_a_process_that_only_has_the_number_of_ours_is_left_alone(
    endpoint: LocalEndpoint,
) -> None:
    file = endpoint.folder / "control.json"
    control = json.loads(file.read_text(encoding="utf-8"))
    (pid,) = marked(endpoint, "green")
    control["deployments"]["green"]["pid"] = os.getpid()
    file.write_text(json.dumps(control), encoding="utf-8")
    assert not endpoint.view().deployments["green"].healthy
    endpoint.delete("green")
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_server_whose_start_was_interrupted_does_not_stay_behind(
    endpoint: LocalEndpoint,
) -> None:
    stray = start_stub(
        endpoint.root,
        endpoint.folder / "models" / "v2",
        name="test",
        version="2",
        log=endpoint.folder / "logs" / "green.log",
        environment={MARK: f"{endpoint.folder.resolve()}#green"},
    )
    assert len(marked(endpoint, "green")) == 2
    endpoint.delete("green")
    assert marked(endpoint, "green") == []
    with pytest.raises(httpx.ConnectError):
        HTTP.get(stray.url)
