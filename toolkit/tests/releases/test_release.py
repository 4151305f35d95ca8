"""Releases of registered versions to a local endpoint with stub servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest
import yaml
from modelyard.errors import UsageError
from modelyard.gates import Release
from modelyard.models.version import CHAMPION
from modelyard.releases import release_checks
from modelyard.releases.local_endpoint import LocalEndpoint
from modelyard.releases.release import force_rollback, run_release
from modelyard.releases.release_record import FileRecord
from modelyard.releases.rollout import RELEASED, ROLLED_BACK, Limits

from tests.releases.test_promotion import registry_of
from tests.small_project import make_small_project
from tests.stub_server import start_stub

QUICK = Release(requests=20, seconds=0, patience=60)
LIMITS = Limits(error_rate=0.05, p95_ms=5000.0)
CONTRACT = {
    "version": 1,
    "target": {"column": "y", "kind": "regression"},
    "columns": {"x": {"type": "number"}, "y": {"type": "number", "role": "target"}},
}
SIGNATURE = {"signature": {"inputs": '[{"type": "double", "name": "x"}]'}}


def local(root: Path) -> LocalEndpoint:
    """See `endpoints.open_local`; the servers are stubs."""
    registry = registry_of(root)
    return LocalEndpoint(
        root,
        "local",
        model="test",
        start=start_stub,
        download=lambda version, target: registry.download(
            registry.version(version), "model", target
        ),
        collect=False,
    )


def predictor(folder: Path) -> release_checks.Predict:
    factor = json.loads((folder / "behaviour.json").read_text(encoding="utf-8")).get("factor", 1)
    return lambda records: [record["x"] * factor for record in records]


@pytest.fixture
def project(
    tmp_path: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """A project whose servers are stubs; all its processes are stopped afterwards."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    make_small_project(tmp_path)
    gates = {"promotion": {"regression": {"metric": "r2", "floor": 0}}}
    (tmp_path / "conf" / "gates.yml").write_text(yaml.safe_dump(gates), encoding="utf-8")
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "mlflow.db").write_bytes(empty_store.read_bytes())
    monkeypatch.setattr(release_checks, "predictor", predictor)
    monkeypatch.setattr("modelyard.releases.release.open_endpoint", lambda root, name: local(root))
    yield tmp_path
    local(tmp_path).close()


def promoted(project: Path, **behaviour: object) -> str:
    """Register a version whose servers have a behaviour, and make it the champion."""
    registry = registry_of(project)
    client = registry.client
    if client.get_experiment_by_name("tests") is None:
        artifacts = (project / ".mlflow" / "artifacts").as_uri()
        client.create_experiment("tests", artifact_location=artifacts)
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    run_id = client.create_run(experiment.experiment_id).info.run_id
    model, prepared = project / "model", project / "prepared"
    for folder in (model, prepared):
        folder.mkdir(exist_ok=True)
    for name, content in (
        ("behaviour.json", behaviour),
        ("contract.yml", CONTRACT),
        ("MLmodel", SIGNATURE),
    ):
        (model / name).write_text(json.dumps(content), encoding="utf-8")
    rows = pd.DataFrame(
        {"x": [float(n) for n in range(1000)], "y": [float(n) for n in range(1000)]}
    )
    rows.to_parquet(prepared / "test.parquet")
    client.log_artifacts(run_id, str(model), "model")
    client.log_artifacts(run_id, str(prepared), "prepared")
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    version = registry.register(run_id=run_id, source=source, tags={"model_digest": run_id})
    registry.set_champion(version, registry.holder(CHAMPION))
    registry.tag(version, "decision", "promoted")
    return version.number


def serving(project: Path) -> dict[str, int]:
    """Version → percent of the traffic."""
    view = local(project).view()
    assert all(view.deployments[name].healthy for name in view.traffic)
    return {view.deployments[name].version: percent for name, percent in view.traffic.items()}


class Clients:
    """A client that sends requests all the time, and keeps every answer."""

    def __init__(self, url: str) -> None:
        self.url, self.stop = url, threading.Event()
        self.answers: list[tuple[int, str]] = []
        self.thread = threading.Thread(target=self.ask, daemon=True)

    def __enter__(self) -> Clients:
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop.set()
        self.thread.join()

    def ask(self) -> None:
        with httpx.Client(trust_env=False, timeout=30) as http:
            while not self.stop.wait(0.005):
                payload = {"input_data": [{"x": 1.0}], "correlation_ids": ["a"]}
                answer = http.post(f"{self.url}/score", json=payload)
                named = answer.headers.get("azureml-model-deployment", "")
                self.answers.append((answer.status_code, named))


def test_the_champion_is_released_and_the_next_one_replaces_it_unnoticed(project: Path) -> None:
    promoted(project)
    said: list[str] = []
    first = run_release(project, settings=QUICK, limits=LIMITS, say=said.append)
    assert first.released and serving(project) == {"1": 100}
    assert said == ["no live requests: held-out rows of v1 are sent"]
    truth = pd.read_parquet(project / ".collected" / "ground_truth")
    assert len(truth) >= QUICK.requests and truth["correlationid"].is_unique
    assert run_release(project, settings=QUICK).unchanged

    promoted(project, factor=2)
    said.clear()
    with Clients(local(project).url) as clients:
        while not clients.answers:
            time.sleep(0.01)
        second = run_release(project, settings=QUICK, limits=LIMITS, say=said.append)
    assert second.released and serving(project) == {"2": 100}
    assert said == ["the new version is judged by the live requests"]
    assert {status for status, _ in clients.answers} == {200}
    assert {name for _, name in clients.answers} == {"blue", "green"}
    assert second.folder is not None
    evidence = json.loads((second.folder / "release.json").read_text(encoding="utf-8"))
    assert evidence["details"]["verdict"] == "release"
    stages = [stage["stage"] for stage in evidence["details"]["stages"]]
    assert stages[4:] == ["mirror", "10%", "50%", "100%", "retire"]
    assert registry_of(project).version("2").tags["release"] == "released (local)"
    history = json.loads((project / ".endpoints/local/history.json").read_text(encoding="utf-8"))
    assert [(one["event"], one["version"]) for one in history] == [
        ("deployed", "1"),
        ("deployed", "2"),
        ("deleted", "1"),
    ]

    undone = force_rollback(project)
    assert undone.state is not None and undone.state.stage == ROLLED_BACK
    assert serving(project) == {"1": 100}
    again = force_rollback(project)  # by a pipeline that was killed after the endpoint's part
    assert again.state is not None and again.state.history == undone.state.history
    assert serving(project) == {"1": 100}


@pytest.mark.parametrize(
    ("behaviour", "stage"),
    [
        ({"fails live": True}, "mirror: answers without errors"),
        ({"does not start": True}, "deploy: the endpoint can be changed"),
        ({"dies": True}, "smoke tests: answers a real row"),
    ],
)
def test_a_bad_version_is_rolled_back_and_no_client_meets_it(
    project: Path, behaviour: dict[str, bool], stage: str
) -> None:
    promoted(project)
    run_release(project, settings=QUICK, limits=LIMITS)
    promoted(project, **behaviour)
    with Clients(local(project).url) as clients:
        result = run_release(project, settings=QUICK, limits=LIMITS)
    assert not result.released and serving(project) == {"1": 100}
    assert set(local(project).view().deployments) == {"blue"}
    assert set(clients.answers) == {(200, "blue")}
    assert result.state is not None
    assert next(reason.gate for reason in result.state.reasons if not reason.passed) == stage


def test_a_server_that_does_not_say_what_its_model_says_is_found_out(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(project)
    monkeypatch.setattr(release_checks, "predictor", lambda folder: lambda records: [0.0] * 100)
    result = run_release(project, settings=QUICK, limits=LIMITS)
    assert result.state is not None and result.state.stage == ROLLED_BACK
    failed = [reason for reason in result.state.reasons if not reason.passed]
    assert [(one.gate, one.found) for one in failed] == [
        ("integration tests: same predictions as the model", "1 of 100 rows")
    ]
    assert serving(project) == {}


def test_a_release_that_asks_for_approval_waits_for_a_name(project: Path) -> None:
    promoted(project)
    asked = QUICK.model_copy(update={"approval": "model-validator"})
    refused = run_release(project, settings=asked, limits=LIMITS)
    assert not refused.released and serving(project) == {}
    given = run_release(project, settings=asked, limits=LIMITS, approved_by="Ada")
    assert given.released
    assert registry_of(project).version("1").tags["release_approved_by"] == "Ada"


def test_a_version_that_was_not_promoted_is_not_released(project: Path) -> None:
    promoted(project)
    registry = registry_of(project)
    known = registry.version("1")
    registry.register(run_id=known.run_id, source=known.source, tags={"model_digest": "other"})
    result = run_release(project, "2", settings=QUICK, limits=LIMITS)
    assert not result.released
    assert result.state is not None
    assert result.state.reasons[0].advice == "mlops promote --version 2"
    with pytest.raises(UsageError, match="has no version 3"):
        run_release(project, "3", settings=QUICK, limits=LIMITS)


def test_of_two_releases_at_once_one_is_told(project: Path) -> None:
    promoted(project)
    with FileRecord(project / ".endpoints" / "local").lock():
        with pytest.raises(UsageError, match="another command is changing `local`"):
            run_release(project, settings=QUICK)
        with pytest.raises(UsageError, match="another command is changing `local`"):
            force_rollback(project)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.releases import test_release as here
from modelyard.releases import local_endpoint, release, release_checks
release_checks.predictor = here.predictor
release.open_endpoint = lambda root, name: here.local(root)
left = int(sys.argv[1])
write = local_endpoint.LocalEndpoint._write
def counted(self, control):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    write(self, control)
    if left == 0 and sys.argv[2] == "after":
        os.kill(os.getpid(), signal.SIGKILL)
local_endpoint.LocalEndpoint._write = counted
release.run_release(Path.cwd(), settings=here.QUICK, limits=here.LIMITS)
"""


@pytest.mark.parametrize(
    ("writes", "when", "action"),
    [
        (1, "before", "resume"),
        pytest.param(5, "after", "roll back", marks=pytest.mark.slow),
    ],
)
def test_a_release_that_was_killed_is_taken_up_or_rolled_back(
    project: Path, writes: int, when: str, action: str
) -> None:
    promoted(project)
    run_release(project, settings=QUICK, limits=LIMITS)
    promoted(project)
    with Clients(local(project).url) as clients:
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(writes), when],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        view = local(project).view()
        assert sum(view.traffic.values()) == 100
        assert all(view.deployments[name].healthy for name in view.traffic)
        state = FileRecord(project / ".endpoints" / "local").load()
        assert state is not None and not state.ended
        if action == "resume":
            with pytest.raises(UsageError, match="a release of v2 to `local` has not ended"):
                run_release(project, "1", settings=QUICK, limits=LIMITS)
            result = run_release(project, settings=QUICK, limits=LIMITS)
        else:
            result = force_rollback(project, settings=QUICK)
    assert result.state is not None
    assert result.state.stage == (RELEASED if action == "resume" else ROLLED_BACK)
    assert serving(project) == {"2" if action == "resume" else "1": 100}
    assert len(local(project).view().deployments) == 1
    assert {status for status, _ in clients.answers} == {200}
