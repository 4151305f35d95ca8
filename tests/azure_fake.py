"""As much of Azure as a model registry needs, within this process: every request of every SDK ends here.

It holds what a workspace holds (versions of models, runs, their artifacts) and answers like Azure Resource
Manager, Azure ML's MLflow and artifact services, and blob storage. What it does not know, it refuses.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, unquote, urlsplit

import requests

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
WORKSPACE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-test"
    "/providers/Microsoft.MachineLearningServices/workspaces/mlw-test"
)
TRACKING_URI = f"azureml://westeurope.api.azureml.ms/mlflow/v1.0{WORKSPACE}"
# Whoever has these is let in: what azure-identity takes for a service principal.
SIGNED_IN = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "any"}


class Crash(BaseException):
    """The process ends here, as if it had been killed."""


def without_warnings() -> None:
    """Keep azure-ai-ml from looking through the whole stack for each part of a preview: most of a release's time here."""
    from azure.ai.ml._utils import _experimental

    _experimental._should_skip_warning = lambda: True


def token() -> str:
    """A bearer token that says nothing but what its readers look at."""
    claims = {
        "aud": "https://ml.azure.com",
        "exp": int(time.time()) + 86400,
        "oid": "o",
        "tid": "t",
    }
    parts = [{"alg": "none"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*encoded, "AAAA"])


@dataclass
class FakeAzure:
    """The store, and the answers from it.

    Attributes:
        workspace: its resource id.
        store: name of the storage account that has the artifacts of runs.
        models: name → version → properties, as Resource Manager has them.
        runs: run id → tags.
        artifacts: run id → path → content.
        writes: what was written, in order.
        missed: what was asked for that Azure's MLflow does not have.
        before_write: called before a write with its description; may raise.
    """

    workspace: str = WORKSPACE
    store: str = "fakeaccount"
    models: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    runs: dict[str, dict[str, str]] = field(default_factory=dict)
    artifacts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    before_write: Callable[[str], None] = lambda what: None
    down: bool = False

    @property
    def tracking_uri(self) -> str:
        """The address of its MLflow server."""
        return f"azureml://westeurope.api.azureml.ms/mlflow/v1.0{self.workspace}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[FakeAzure]:
        """Answer every request of this process."""

        def send(_: Any, request: requests.PreparedRequest, **__: Any) -> requests.Response:
            if self.down:
                raise requests.ConnectionError(f"nothing at {request.url}: Connection refused")
            return self.answer(request)

        with mock.patch("requests.adapters.HTTPAdapter.send", send):
            yield self

    def answer(self, request: requests.PreparedRequest) -> requests.Response:
        """Find the service that a request is for."""
        address = urlsplit(str(request.url))
        path, query = unquote(address.path), parse_qs(address.query)
        body: Any = request.body or b""
        if hasattr(body, "read"):
            body = body.read()
        content = body.encode() if isinstance(body, str) else bytes(body)
        host = address.netloc
        if host == "login.microsoftonline.com":
            return self.login(request, path)
        if host == "management.azure.com":
            return self.manager(request, path.removeprefix(self.workspace), content)
        if host.endswith(".blob.core.windows.net"):
            return self.blob(request, path.removeprefix("/artifacts/"), content, query)
        if path.startswith("/mlflow/"):
            return self.mlflow(request, path.partition("/api/2.0/mlflow/")[2], query)
        if path.startswith("/history/"):
            return self.artifact(request, path, query, content)
        return _unknown(request)

    def login(self, request: requests.PreparedRequest, path: str) -> requests.Response:
        """A token for everybody who asks."""
        place = f"https://login.microsoftonline.com{path.partition('/v2.0')[0]}"
        if path.endswith("/.well-known/openid-configuration"):
            found = {"issuer": f"{place}/v2.0", "authorization_endpoint": f"{place}/authorize"}
            return _answer(request, 200, found | {"token_endpoint": f"{place}/token"})
        if path.endswith("/token"):
            given = {"token_type": "Bearer", "expires_in": 86400, "access_token": token()}
            return _answer(request, 200, given)
        return _unknown(request)

    def manager(
        self, request: requests.PreparedRequest, path: str, content: bytes
    ) -> requests.Response:
        """Models of the workspace; nothing else is asked for."""
        if path == "/metadata/endpoints":
            return _answer(request, 200, [])
        place = re.fullmatch(r"/models/([^/]+)(/versions(?:/([^/]+))?)?", path)
        if place is None:
            return _unknown(request)
        name, below, version = place.groups()
        versions = self.models.get(name, {})
        if request.method == "PUT" and version:
            asked = json.loads(content)["properties"]
            there = versions.get(version)
            if there and there["modelUri"] != asked["modelUri"]:
                return _answer(request, 400, _error("UserError", "Asset paths cannot be updated."))
            self._write(f"{name} v{version}: {json.dumps(asked.get('tags'), sort_keys=True)}")
            kept = {"flavors": {}, "isArchived": False, "description": "", **asked}
            self.models.setdefault(name, {})[version] = kept
            return _answer(request, 200 if there else 201, self._model(name, version))
        if request.method != "GET" or not versions:
            return _answer(request, 404, _error("NotFound", f"no model {name}"))
        if version:
            if version not in versions:
                return _answer(request, 404, _error("NotFound", f"no version {version}"))
            return _answer(request, 200, self._model(name, version))
        if below:
            newest_first = sorted(versions, key=int, reverse=True)
            return _answer(request, 200, {"value": [self._model(name, v) for v in newest_first]})
        last = max(map(int, versions))
        properties = {"latestVersion": str(last), "nextVersion": str(last + 1), "isArchived": False}
        return _answer(
            request,
            200,
            {"id": f"{self.workspace}/models/{name}", "name": name, "properties": properties},
        )

    def mlflow(
        self, request: requests.PreparedRequest, path: str, query: dict[str, list[str]]
    ) -> requests.Response:
        """Runs; what Azure does not have of MLflow 3 is not there."""
        if path != "runs/get":
            self.missed.append(path)
            return _answer(request, 404, {"error_code": "ENDPOINT_NOT_FOUND", "message": path})
        run = query["run_id"][0]
        if run not in self.runs:
            code = "RESOURCE_DOES_NOT_EXIST"
            return _answer(request, 404, {"error_code": code, "message": f"no run {run}"})
        info = {
            "run_id": run,
            "run_uuid": run,
            "experiment_id": "e1",
            "status": "RUNNING",
            "lifecycle_stage": "active",
            "artifact_uri": f"{self.tracking_uri}/experiments/training/runs/{run}/artifacts",
        }
        tags = [{"key": key, "value": value} for key, value in self.runs[run].items()]
        return _answer(request, 200, {"run": {"info": info, "data": {"tags": tags}}})

    def artifact(
        self,
        request: requests.PreparedRequest,
        path: str,
        query: dict[str, list[str]],
        content: bytes,
    ) -> requests.Response:
        """Addresses to write artifacts to and read them from."""
        place = re.search(r"/experiments/[^/]+/runs/([^/]+)/artifacts(.*)", path)
        if place is None:
            return _unknown(request)
        run, verb = place.groups()
        held = self.artifacts.setdefault(run, {})

        def information(one: str) -> dict[str, str]:
            return {
                "path": one,
                "container": run,
                "origin": "r",
                "contentUri": self._blob(run, one),
            }

        if verb == "/batch/metadata":
            paths = [one["path"] for one in json.loads(content)["paths"]]
            errors = {
                one: {"error": {"code": "UserError", "message": f"Resource Conflict: {one} exists"}}
                for one in paths
                if one in held
            }
            places = {one: information(one) for one in paths}
            found = {"artifacts": {}, "artifactContentInformation": places, "errors": errors}
            return _answer(request, 200, found)
        if verb == "":
            listed = [{"path": one, "container": run, "origin": "r"} for one in sorted(held)]
            return _answer(request, 200, {"value": listed})
        if verb in ("/contentinfo", "/contentInfo"):
            one = query["path"][0]
            if one not in held:
                return _answer(request, 404, _error("NotFound", one))
            return _answer(request, 200, information(one))
        return _unknown(request)

    def blob(
        self,
        request: requests.PreparedRequest,
        path: str,
        content: bytes,
        query: dict[str, list[str]],
    ) -> requests.Response:
        """One blob per artifact."""
        run, _, name = path.partition("/")
        if request.method == "PUT":
            if query.get("comp") == ["metadata"]:
                return _answer(request, 200, b"")
            self._write(f"artifact {name}")
            self.artifacts.setdefault(run, {})[name] = content
            return _answer(request, 201, b"", {"ETag": "e", "Last-Modified": _NOW})
        held = self.artifacts.get(run, {}).get(name)
        if held is None:
            return _answer(request, 404, b"")
        headers = {"ETag": "e", "Last-Modified": _NOW, "Content-Length": str(len(held))}
        if "x-ms-range" in request.headers:
            headers["Content-Range"] = f"bytes 0-{len(held) - 1}/{len(held)}"
        return _answer(request, 206 if "Content-Range" in headers else 200, held, headers)

    def _model(self, name: str, version: str) -> dict[str, Any]:
        identity = f"{self.workspace}/models/{name}/versions/{version}"
        return {"id": identity, "name": version, "properties": self.models[name][version]}

    def _blob(self, run: str, name: str) -> str:
        place = f"https://{self.store}.blob.core.windows.net/artifacts"
        return f"{place}/{run}/{name}?sv=fake&sig=fake"

    def _write(self, what: str) -> None:
        self.before_write(what)
        self.writes.append(what)


_NOW = "Mon, 02 Nov 2026 10:00:00 GMT"


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _unknown(request: requests.PreparedRequest) -> requests.Response:
    raise NotImplementedError(f"the fake has no answer to {request.method} {request.url}")


def _answer(
    request: requests.PreparedRequest,
    status: int,
    content: object,
    headers: dict[str, str] | None = None,
) -> requests.Response:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    response = requests.Response()
    response.status_code = status
    response.reason = "OK" if status < 400 else "Refused"
    response.url = str(request.url)
    response.request = request
    response.headers.update({"Content-Type": "application/json", **(headers or {})})
    response.raw = _Raw(raw)
    response.encoding = "utf-8"
    return response


class _Raw(BytesIO):
    """What requests and azure-core read of urllib3's response."""

    version = 11
    enforce_content_length = False

    def stream(self, amount: int = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:
        while part := self.read(amount):
            yield part

    def read(self, amount: int | None = -1, **_: Any) -> bytes:
        return super().read(-1 if amount is None else amount)

    def release_conn(self) -> None:
        """There is none."""
