"""Background processes that start slowly, end while they start, or never become ready."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import httpx
import psutil
import pytest
from modelyard.releases import processes
from modelyard.releases.endpoint import EndpointError
from modelyard.releases.local_endpoint import LocalEndpoint
from modelyard.releases.processes import Processes

from tests.stub_server import start_stub

CONTRACT = {
    "version": 1,
    "target": {"column": "y", "kind": "regression"},
    "columns": {"x": {"type": "number"}, "y": {"type": "number"}},
}


def start(folder: Path, code: str) -> Path:
    """Start a process that runs the code, with the path of the file it has to write as `ready`."""
    (folder / "started.py").write_text(
        f"import os, pathlib, sys, time\nready = pathlib.Path(sys.argv[1])\n{code}\n",
        encoding="utf-8",
    )
    ready = folder / "ready"
    Processes(folder).start("router", "started", ready, ready=ready, cwd=folder)
    return ready


@pytest.fixture
def no_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process shows its mark yet, as between a start and the first reading of its environment."""
    monkeypatch.setattr(psutil, "process_iter", lambda: iter(()))


@pytest.mark.usefixtures("no_marks")
def test_a_process_is_awaited_although_its_mark_is_not_readable_yet(tmp_path: Path) -> None:
    code = "time.sleep(0.5)\nready.write_text(str(os.getpid()))\ntime.sleep(60)"
    process = psutil.Process(int(start(tmp_path, code).read_text(encoding="utf-8")))
    assert process.is_running()
    process.kill()


@pytest.mark.usefixtures("no_marks")
def test_a_process_that_ends_is_reported_at_once_with_its_log(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(EndpointError, match=r"ended with code 3 while it started") as error:
        start(tmp_path, "print('the port is taken', flush=True)\nsys.exit(3)")
    assert time.monotonic() - began < processes.START_SECONDS / 5
    assert "the port is taken" in str(error.value) and "router.log" in str(error.value)


@pytest.mark.usefixtures("no_marks")
def test_a_process_that_ends_after_it_was_ready_is_not_taken_for_running(tmp_path: Path) -> None:
    (tmp_path / "ready").write_text("of an earlier process", encoding="utf-8")
    with pytest.raises(EndpointError, match="ended with code 0"):
        start(tmp_path, "")


def test_a_process_that_never_becomes_ready_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "START_SECONDS", 0.5)
    code = "open('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    with pytest.raises(EndpointError, match=r"did not start within 0.5 s"):
        start(tmp_path, code)
    pid = tmp_path / "pid"
    assert not pid.exists() or not psutil.pid_exists(int(pid.read_text(encoding="utf-8") or 0))


@pytest.fixture
def slow_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python process sleeps before it runs anything."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import time\ntime.sleep(1)\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


@pytest.mark.usefixtures("slow_starts")
def test_an_endpoint_opens_although_router_receiver_and_server_start_slowly(tmp_path: Path) -> None:
    def download(version: str, target: Path) -> Path:
        target.mkdir(parents=True, exist_ok=True)
        for name, content in (("behaviour.json", {}), ("contract.yml", CONTRACT)):
            (target / name).write_text(json.dumps(content), encoding="utf-8")
        return target

    endpoint = LocalEndpoint(tmp_path, "local", model="test", start=start_stub, download=download)
    try:
        endpoint.open()
        endpoint.deploy("blue", "1")
        endpoint.set_traffic({"blue": 100})
        answer = httpx.post(
            f"{endpoint.url}/score", json={"input_data": [{"x": 1}]}, trust_env=False, timeout=60
        )
        assert answer.status_code == 200
    finally:
        endpoint.close()
