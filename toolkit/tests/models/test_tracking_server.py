"""A tracking server in place of the local store: runs, registration and promotion, and a server that dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from modelyard.cli.models import models
from modelyard.errors import UsageError
from modelyard.models.champion import fetch_champion
from modelyard.models.registry import Registry, champion_in_sqlite
from modelyard.models.version import CHALLENGER, CHAMPION
from modelyard.pipelines import record
from modelyard.pipelines.run import run_pipeline
from modelyard.releases.promote import promote, rollback
from modelyard.reports.kinds import OF_STEPS
from modelyard.steps import register
from modelyard.tracking import tracking_uri

from tests.evidence_samples import binary


@dataclass
class Server:
    """A running `mlflow server`."""

    url: str
    store: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        until = time.monotonic() + 30
        while healthy(self.url) and time.monotonic() < until:
            time.sleep(0.05)

    def champion(self) -> str | None:
        """Who is champion, from its database: it need not be running."""
        found = champion_in_sqlite(f"sqlite:///{self.store}", "test")
        return found[0] if found else None


@pytest.fixture
def server(tmp_path: Path, empty_store: Path) -> Iterator[Server]:
    if sys.platform == "win32":
        pytest.skip("the server is killed by its process group")
    store = tmp_path / "server" / "mlflow.db"
    store.parent.mkdir()
    shutil.copy(empty_store, store)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", f"sqlite:///{store}"]
    command += ["--serve-artifacts", "--artifacts-destination", str(store.parent / "artifacts")]
    with (store.parent / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
    running = Server(f"http://127.0.0.1:{port}", store, process)
    until = time.monotonic() + 60
    while not healthy(running.url):
        assert time.monotonic() < until, (store.parent / "log.txt").read_text()
        assert process.poll() is None, (store.parent / "log.txt").read_text()
        time.sleep(0.1)
    yield running
    if process.poll() is None:
        running.kill()


def healthy(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_RUN_ID"):
        monkeypatch.setenv(name, "")  # so that what the test's own code sets is taken back
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def run_and_register(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Run the small pipeline, recorded, then the step `register` with the evidence of a sample."""

    def registered(*more: str) -> None:
        result = run_pipeline(pipeline, reuse=False)
        monkeypatch.setenv("MLOPS_RUN", str(result.folder))
        evidence = binary(champion=False)
        holder = Registry("test", tracking_uri()).holder(CHAMPION)
        if holder is not None:
            evidence = binary()
            evidence["evaluation"]["details"]["champion"]["version"] = holder.number
        words = ["--model-name", "test", "--contract", "text.txt", "--gates", "conf/gates.yml"]
        words += ["--project", "conf/project.yml"]
        files: dict[str, dict[str, Any]] = {
            name: {name: {"run": result.run_id}} for name in ("model", "baseline", "prepared")
        }
        for step, kinds in OF_STEPS.items():
            files[f"{step}-evidence"] = {kind: evidence[kind] for kind in kinds}
        for name, contents in files.items():
            folder = tmp_path / "outputs" / name
            folder.mkdir(parents=True, exist_ok=True)
            for kind, content in contents.items():
                (folder / f"{kind}.json").write_text(json.dumps(content), encoding="utf-8")
            words += [f"--{name}", str(folder)]
        for name in ("decision", "page"):
            words += [f"--{name}", str(tmp_path / "outputs" / name)]
        assert register.main([*words, *more]) == 0

    return registered


def test_a_server_without_logged_models_does_all_and_never_sees_its_password_written(
    server: Server,
    without_logged_models: tuple[str, list[str]],
    run_and_register: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url, asked = without_logged_models
    word = "pass word/7"
    with_password = url.replace("http://", "http://ada:pass%20word%2F7@")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", with_password)
    monkeypatch.setenv("MLOPS_GIT_COMMIT", "c0ffee")
    run_and_register()
    assert promote(tmp_path).decision.stage == "promoted"
    run_and_register()
    promoted = promote(tmp_path)
    assert not promoted.compared_again
    assert server.champion() == "2"
    restored, replaced = rollback(tmp_path)
    assert (restored.number, replaced.number) == ("1", "2")
    assert server.champion() == "1"
    assert promote(tmp_path, "2", dry_run=True).decision.passed
    models(as_json=True)
    capture = capfd.readouterr()
    assert [one["champion"] for one in json.loads(capture.out.splitlines()[-1])] == [False, True]
    registry = Registry("test", tracking_uri())
    parents = registry.client.search_runs(
        [e.experiment_id for e in registry.client.search_experiments()],
        filter_string="tags.mlops.runs.pipeline = 'copy'",
    )
    tags = registry.version("2").tags
    assert tags["dataset_digest"] == binary()["data"]["details"]["digest"]
    assert tags["git_commit"] == "c0ffee"
    assert {run.info.status for run in parents} == {"FINISHED"}
    assert len(parents) == 2
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == word
    assert os.environ["MLFLOW_TRACKING_URI"] == url
    assert fetch_champion("test", url, tmp_path / "champion") == "1"
    registry.download(registry.version("2"), "evidence", tmp_path / "evidence")
    registry.keep(registry.version("2").run_id, tmp_path / "evidence", "release/1")
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    for secret in (word, "pass%20word%2F7"):
        assert secret not in capture.out + capture.err
        assert secret.encode() not in written
    before = registry.holder(CHALLENGER)
    run_and_register("--pull-request", "12")
    assert registry.version("3").tags["role"] == "pull request 12"
    assert registry.holder(CHALLENGER) == before
    assert asked == []
    with pytest.raises(HTTPError):  # so that the server would have noticed
        urlopen(f"{url}/api/2.0/mlflow/logged-models/m-1")
    assert asked


@pytest.fixture
def without_logged_models(server: Server) -> Iterator[tuple[str, list[str]]]:
    """The server behind one that answers 404 to MLflow 3's API of logged models, as Azure ML does.

    azure-sdk-for-python#44896. Yields the address, and the paths that were asked for and are not there.
    """
    asked: list[str] = []

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            if "logged-models" in self.path:
                asked.append(self.path)
                status, content = 404, b"{}"
            else:
                kept = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                request = Request(f"{server.url}{self.path}", body, kept, method=self.command)
                try:
                    with urlopen(request, timeout=60) as answer:
                        status, content = answer.status, answer.read()
                except HTTPError as error:
                    status, content = error.code, error.read()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    front = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    threading.Thread(target=front.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{front.server_address[1]}", asked
    front.shutdown()
    front.server_close()


def test_a_server_that_dies_during_a_promotion_keeps_its_champion(
    server: Server,
    run_and_register: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    run_and_register()
    promote(tmp_path)
    run_and_register()

    def render(evidence: object, about: object) -> str:
        server.kill()  # the gates have said yes; nothing is written yet
        return "report"

    monkeypatch.setattr("modelyard.reports.report.render", render)
    with pytest.raises(UsageError, match="no server answers there") as error:
        promote(tmp_path)
    assert error.value.exit_code == 2
    assert f"the model registry at {server.url} failed" in str(error.value)
    assert "v2 was to be promoted" in str(error.value)
    assert server.champion() == "1"
    # With nobody to ask, there is no champion to compare with: that must not pass for a first model.
    for command in (lambda: promote(tmp_path), lambda: rollback(tmp_path), models):
        with pytest.raises(UsageError, match="no server answers there"):
            command()


@pytest.fixture
def nowhere(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a server that is not there, for the small project."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    return url


def test_without_its_server_a_champion_is_unknown_and_not_missing(
    nowhere: str, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match=f"the model registry at {nowhere} failed: no server answers"
    ):
        fetch_champion("test", tracking_uri(), tmp_path)
    assert not (tmp_path / "champion.json").exists()


def test_without_its_server_a_run_is_kept_here_and_registration_says_why_at_once(
    nowhere: str, pipeline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_pipeline(pipeline)
    assert (result.folder / "left" / "out" / "text.txt").is_file()
    assert "MLflow has no complete record of this run" in capsys.readouterr().err
    assert "Traceback" not in (result.folder / "mlflow.log").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=f"MLflow at {nowhere} failed: no server answers there"):
        record.parent_run_id(result.folder)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("azureml://host/mlflow/v1.0", "names no workspace"),
        (
            "azureml://host/mlflow/v1.0/subscriptions/s/resourceGroups/r"
            "/providers/Microsoft.MachineLearningServices/workspaces/w",
            r"the packages for it are in requirements/cloud\.txt",
        ),
        ("carrier-pigeon://coop", r"model registry at carrier-pigeon://coop failed"),
    ],
)
def test_an_address_that_leads_nowhere_is_wrong_usage(
    pipeline: Path, monkeypatch: pytest.MonkeyPatch, uri: str, message: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UsageError, match=message):
        rollback(pipeline.parents[2])


def test_a_database_password_is_not_told(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who = "ada:hush"
    address = f"postgresql://{who}@127.0.0.1:1/db?password=hush"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(
        UsageError, match=r"model registry at postgresql://127\.0\.0\.1:1/db"
    ) as error:
        rollback(pipeline.parents[2])
    assert "hush" not in str(error.value)
