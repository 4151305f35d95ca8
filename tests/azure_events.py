"""Runs the events' code against azure-storage-blob and azure-ai-ml, with Azure's answers made up.

Run in a generated project, where its requirements/cloud.txt is installed. No account, no network: the
SDKs' transport is replaced by a container of blobs that keeps to the conditions of each request, and
the workspace's jobs by one that has one job of a name. Prints `ok` and the name of each check.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "toolkit"))
logging.disable(logging.WARNING)

import requests  # noqa: E402
from azure.core.credentials import AccessToken  # noqa: E402
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError  # noqa: E402
from modelyard.events import reactions  # noqa: E402
from modelyard.events.event import read_event  # noqa: E402
from modelyard.events.jobs import AzureJobs  # noqa: E402
from modelyard.events.settings import Settings  # noqa: E402
from modelyard.events.store import BlobStore, Found  # noqa: E402

from tests import payloads  # type: ignore[attr-defined]  # noqa: E402

STATE = "https://account.blob.core.windows.net/event-state"


class Credential:
    """Gives a token that is good for everything."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken("token", 2**32)


class Blobs:
    """A container, answering like blob storage."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[bytes, str]] = {}
        self.lose_next_answer = False
        self._writes = 0

    def send(self, request: requests.PreparedRequest, **__: Any) -> requests.Response:
        """Answer one request; an answer that is lost is that of a write that happened."""
        name = urlsplit(str(request.url)).path.removeprefix("/event-state/")
        there = self.held.get(name)
        status, content, etag = self._answer(request, name, there)
        if self.lose_next_answer and request.method == "PUT":
            self.lose_next_answer = False
            raise requests.ReadTimeout("the connection was closed")
        told = requests.Response()
        told.status_code, told.url, told.raw = status, str(request.url), io.BytesIO(content)
        told.request = request
        now = "Mon, 02 Nov 2026 03:30:00 GMT"
        told.headers.update({"ETag": etag, "Last-Modified": now, "Date": now})
        if request.method == "GET" and status < 300:
            last = len(content) - 1
            told.headers.update(
                {
                    "Content-Length": str(len(content)),
                    "Content-Range": f"bytes 0-{last}/{len(content)}",
                    "x-ms-blob-type": "BlockBlob",
                }
            )
        else:
            code = {404: "BlobNotFound", 409: "BlobAlreadyExists", 412: "ConditionNotMet"}
            told.headers["x-ms-error-code"] = code.get(status, "")
        return told

    def _answer(
        self, request: requests.PreparedRequest, name: str, there: tuple[bytes, str] | None
    ) -> tuple[int, bytes, str]:
        if request.method == "GET":
            return (206, *there) if there else (404, b"", "")
        if request.headers.get("If-None-Match") == "*" and there:
            return 409, b"", there[1]
        wanted = request.headers.get("If-Match")
        if wanted and (not there or there[1] != wanted):
            return (412 if there else 404), b"", ""
        if request.method == "DELETE":
            del self.held[name]
            return 202, b"", ""
        body: Any = request.body or b""
        content = body.read() if hasattr(body, "read") else bytes(body)
        self._writes += 1
        self.held[name] = (content, f'"0x{self._writes}"')
        return 201, b"", self.held[name][1]


class Workspace:
    """The jobs of a workspace; a job of a name that is taken is refused, as Azure ML does."""

    def __init__(self) -> None:
        self.jobs = self
        self.held: dict[str, Any] = {}
        self.overtaken = False

    def get(self, name: str) -> Any:
        if name not in self.held:
            raise ResourceNotFoundError(f"no job {name}")
        return self.held[name]

    def create_or_update(self, job: Any) -> None:
        if self.overtaken:
            self.held.setdefault(job.name, "another's")
        if job.name in self.held:
            raise HttpResponseError("A job with this name already exists.")
        problems = job._validate().error_messages
        assert not problems, problems
        self.held[job.name] = job


def a_record_is_created_once(store: BlobStore, blobs: Blobs) -> None:
    etag = store.create("handled/a.json", b"one")
    assert etag
    assert store.read("handled/a.json") == Found(b"one", etag)
    assert store.create("handled/a.json", b"two") is None
    assert store.read("handled/b.json") is None


def a_record_is_replaced_only_as_it_was_seen(store: BlobStore, blobs: Blobs) -> None:
    first = store.create("a", b"one")
    assert first
    second = store.replace("a", b"two", first)
    assert second not in (None, first)
    assert store.replace("a", b"three", first) is None
    assert store.replace("never", b"three", first) is None
    assert blobs.held["a"][0] == b"two"


def a_record_is_removed_only_as_it_was_seen(store: BlobStore, blobs: Blobs) -> None:
    first = store.create("a", b"one")
    assert first
    second = store.replace("a", b"two", first)
    assert second
    store.remove("a", first)
    assert "a" in blobs.held
    store.remove("a", second)
    store.remove("a", second)
    assert not blobs.held


def a_write_whose_answer_was_lost_is_known_again(store: BlobStore, blobs: Blobs) -> None:
    blobs.lose_next_answer = True
    first = store.create("a", b"one")
    assert first == blobs.held["a"][1]
    blobs.lose_next_answer = True
    assert store.replace("a", b"two", first) == blobs.held["a"][1]


def events_become_jobs_of_the_pipeline_files(store: BlobStore, blobs: Blobs) -> None:
    services, workspace = made(store)
    model = services.settings.model
    registered = read_event("model-registered", payloads.registered(model))
    breach = read_event("monitor-breached", payloads.breached())
    for _ in range(2):
        reactions.handle(registered, services)
        reactions.handle(breach, services)
    test, retraining = workspace.held.values()
    assert test.inputs["model"].path == f"{model}:3"
    assert test.inputs["prepared"].path.endswith("/ExperimentRun/dcid.brave_bear_x1/prepared")
    (step,) = retraining.jobs.values()
    assert "--refresh" in step.command and "train.yml" in step.command
    assert step.environment_variables == {"MLOPS_ENVIRONMENT": "prod"}, "where it runs"
    assert retraining.tags["monitor_run"] == "calm_cat_y2"
    states = {name: json.loads(content)["by"] for name, (content, _) in blobs.held.items()}
    assert sorted(name.partition("/")[0] for name in states) == [
        *["handled"] * 2,
        "retraining.json",
    ]


def a_job_that_somebody_else_started_is_left_alone(store: BlobStore, blobs: Blobs) -> None:
    services, workspace = made(store)
    workspace.overtaken = True
    reactions.handle(read_event("monitor-breached", payloads.breached()), services)
    assert list(workspace.held.values()) == ["another's"]


def made(store: BlobStore) -> tuple[reactions.Services, Workspace]:
    """Services of this project, and the workspace in which its jobs start."""
    settings = Settings(
        client_id="c",
        subscription_id="s",
        resource_group="g",
        workspace="w",
        environment="prod",
        state=STATE,
        project=Path.cwd(),
    )
    workspace = Workspace()
    jobs = AzureJobs(settings, Credential())
    jobs.__dict__["_client"] = workspace
    now = datetime(2026, 11, 2, 3, 30, tzinfo=UTC)
    return reactions.Services(settings, store, jobs, print, lambda: now), workspace


CHECKS: tuple[Callable[[BlobStore, Blobs], None], ...] = (
    a_record_is_created_once,
    a_record_is_replaced_only_as_it_was_seen,
    a_record_is_removed_only_as_it_was_seen,
    a_write_whose_answer_was_lost_is_known_again,
    events_become_jobs_of_the_pipeline_files,
    a_job_that_somebody_else_started_is_left_alone,
)

for check in CHECKS:
    blobs = Blobs()
    with (
        mock.patch("requests.adapters.HTTPAdapter.send", blobs.send),
        mock.patch("time.sleep"),  # before a request is repeated
    ):
        check(BlobStore(STATE, Credential()), blobs)
    print("ok", check.__name__)
