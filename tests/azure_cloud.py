"""Azure and a provider of pipelines in one state, for a whole story: a server on this machine that many processes ask.

The workspaces are those of azure_service.py, one for each environment of the project. Whoever signs in does it with
an assertion of the provider that lives ten minutes, has a token that says who it is, and changes its own environment only.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import requests
from azure_fake import SUBSCRIPTION, _answer
from azure_service import Service
from modelyard.events.event import BREACH_TAG
from modelyard.files import digest
from modelyard.project import load_project
from modelyard.serving.payload import Limits
from modelyard.serving.service import Service as Model

ASSERTION_LIVES = TOKEN_LIVES = 600.0
# Ends a job's run: what Azure ML's clients ask of its MLflow, beside what azure_fake.py knows.
_LOGGED = ("runs/log-batch", "runs/log-metric", "runs/log-parameter", "runs/log-inputs")


class Asked(NamedTuple):
    """A request of Azure: in which environment, by whom."""

    environment: str
    identity: str
    method: str
    path: str


@dataclass
class Workspace(Service):
    """A workspace of the cloud: real models answer, and jobs run.

    Attributes:
        execute: runs a job; returns whether it has completed.
        events: what Event Grid is told.
        served: digests of the models that have answered.
    """

    environment: str = ""
    execute: Callable[[Workspace, str], bool] = lambda workspace, job: True
    events: list[tuple[str, str]] = field(default_factory=list)
    served: set[str] = field(default_factory=set)
    seen_traffic: list[dict[str, int]] = field(default_factory=list)
    _models: dict[str, tuple[str, Model]] = field(default_factory=dict)
    _threads: dict[str, threading.Thread] = field(default_factory=dict)
    _ended: dict[str, bool] = field(default_factory=dict)
    place: Path = Path()

    def manager(self, request: Any, path: str, content: bytes) -> Any:
        found = super().manager(request, path, content)
        if self.endpoint is not None:
            self.seen_traffic.append(dict(self.traffic))
        return found

    def mlflow(self, request: Any, path: str, query: dict[str, list[str]]) -> Any:
        body = json.loads(request.body) if request.body else {}
        if path in _LOGGED:
            return _answer(request, 200, {})
        if path in ("runs/search", "experiments/search"):
            return _answer(request, 200, {})
        if path == "runs/set-tag":
            self.runs.setdefault(body["run_id"], {})[body["key"]] = body["value"]
            if body["key"] == BREACH_TAG:
                self.events.append(("monitor-breached", body["run_id"]))
            return _answer(request, 200, {})
        if path == "runs/create":
            run = f"{self.environment}-{len(self.runs) + 1}"
            self.runs[run] = {one["key"]: one["value"] for one in body.get("tags", [])}
            return Service.mlflow(self, request, "runs/get", {"run_id": [run]})
        return super().mlflow(request, path, query)

    # jobs

    def begin(self, job: str) -> None:
        def run() -> None:
            self._ended[job] = self.execute(self, job)

        self._threads[job] = threading.Thread(target=run, daemon=True)
        self._threads[job].start()

    def status(self, job: str) -> str:
        before = self.jobs[job]["properties"]["status"]
        if before == "Queued":
            return "Running"
        return "Completed" if self._ended[job] else "Failed"

    def wait_for(self, job: str) -> None:
        """Wait until a job that runs has ended."""
        self._threads[job].join()

    def command(self, job: str) -> tuple[str, dict[str, str]]:
        """The command line of the only step of a job, and its environment variables."""
        (step,) = self.jobs[job]["properties"]["jobs"].values()
        kept = self.assets[step["componentId"]]
        return kept["properties"]["componentSpec"]["command"], step["environment_variables"]

    def table(self, job: str, folder: Path) -> Path:
        """Write the table that a job trains on to a file."""
        place = self.jobs[job]["properties"]["inputs"]["data"]["uri"]
        asset = place if "/" in place else None
        name, _, version = place.removeprefix("azureml:").partition(":")
        asset = asset or f"{self.workspace}/data/{name}/versions/{version}"
        path = self.assets[asset]["properties"]["dataUri"].partition("/paths/")[2]
        file = folder / str(path.rpartition("/")[2])
        file.write_bytes(self.blobs[f"/container/{path}"])
        return file

    def fire(self, schedule: str) -> str:
        """Begin the job of a schedule, as its time has come; returns its name."""
        kept = self.assets[f"{self.workspace}/schedules/{schedule}"]
        job = f"{schedule}-{len(self.jobs) + 1}"
        definition = kept["properties"]["action"]["jobDefinition"]
        self.jobs[job] = {"properties": definition | {"status": "Running"}}
        self.begin(job)
        self.wait_for(job)
        return job

    # serving

    def folder_of(self, version: str) -> Path:
        """Write the model of a version, as its artifacts are, to a folder."""
        (versions,) = self.models.values()
        run = versions[version]["modelUri"].partition("/jobs/")[2].partition("/")[0]
        folder = self.place / f"{run}-v{version}"
        for name, content in self.artifacts[run].items():
            if name.startswith("model/"):
                file = folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        return Path(folder / "model")

    def _score(self, request: Any) -> Any:
        if "Authorization" not in request.headers:
            return _answer(request, 401, b"")
        version = self.asked(request)
        if version not in self._models:
            folder = self.folder_of(version)
            limits = Limits(rows=1000, bytes=2**22)
            self._models[version] = (
                digest(folder),
                Model(folder, name="m", version=version, limits=limits),
            )
        known, model = self._models[version]
        self.served.add(known)
        self.clock += 0.005
        status, content = model.answer(request.body)
        return _answer(request, status, content)


@dataclass
class Registry(Service):
    """The organization's registry: models, environments and their files, each asset in a container of its own.

    Attributes:
        sources: resource name of a workspace → the workspace that it imports from.
    """

    account: str = "registry"
    environment: str = "registry"
    sources: dict[str, Workspace] = field(default_factory=dict)

    def _found(self, request: Any) -> Any:
        address = urlsplit(str(request.url))
        path = unquote(address.path)
        if address.netloc.startswith(self.account):
            return self._record(request, path, parse_qs(address.query))
        if path.endswith("/discovery"):
            told = {"subscriptionId": SUBSCRIPTION, "resourceGroup": "rg-registry"}
            told["primaryRegionResourceProviderUri"] = "https://westeurope.api.azureml.ms/"
            return _answer(request, 200, told)
        body = json.loads(request.body) if request.body else {}
        registry, _, path = path.partition("/registries/")[2].partition("/")
        if path == "import":
            self._import(registry, **body["properties"])
            return _answer(request, 200, b"")
        place = f"azureml://registries/{registry}/{path}"
        if path.endswith("/versions"):  # newest first
            known = [one for one in reversed(self.assets) if one.startswith(place)]
            return _answer(
                request, 200, {"value": [{**self.assets[one], "id": one} for one in known]}
            )
        kind, name, _, version = path.split("/")
        if kind in ("tempdatarefs", "datarefs"):  # where to write to, and to read from
            container = self._container(name, version)
            given = {"credentialType": "SAS", "sasUri": f"{container}?sig=fake"}
            where = {"blobUri": container, "credential": given}
            return _answer(request, 200, {"blobReferenceForConsumption": where})
        if request.method == "PUT":
            assert place not in self.assets, "versions do not change"
            body["properties"].setdefault("flavors", {})
        return self._kept(request, place, self.assets, body)

    def _container(self, name: str, version: str) -> str:
        return f"https://{self.account}.blob.core.windows.net/{name}-{version}"

    def _import(
        self,
        registry: str,
        sourceAssetId: str,
        destinationName: str,
        destinationVersion: str,
        referenceType: str,
    ) -> None:
        """Copy an asset of a workspace."""
        workspace, kind, name, _, version = sourceAssetId.split("/")[-5:]
        place = f"{kind}/{destinationName}/versions/{destinationVersion}"
        place, source = f"azureml://registries/{registry}/{place}", self.sources[workspace]
        assert referenceType == "Id" and place not in self.assets, "shared once"
        if kind == "models":
            container = self._container(destinationName, destinationVersion)
            folder = source.folder_of(version)
            for file in filter(Path.is_file, folder.rglob("*")):
                blob = f"/{container.rpartition('/')[2]}/model/{file.relative_to(folder)}"
                self.blobs[blob] = file.read_bytes()
            known = {**source.models[name][version], "modelUri": f"{container}/model"}
            self.assets[place] = {"properties": known}
        else:
            self.assets[place] = source.assets[
                f"{source.workspace}/{kind}/{name}/versions/{version}"
            ]


class Cloud:
    """Workspaces, the organization's registry, and the provider.

    Attributes:
        approved: environment → who approved that this run deploys there.
        comments: of the pull request.
        asked: every request of Azure.
        busy: requests that are answered with 429 once: a part of their address.
    """

    def __init__(self, project: Path, execute: Callable[[Workspace, str], bool]) -> None:
        self.project = load_project(project)
        self.lock = threading.RLock()
        self.begin = time.time() // 60 * 60
        self.approved: dict[str, str] = {}
        self.comments: list[str] = []
        self.asked: list[Asked] = []
        self.busy: list[str] = []
        self.refused: list[str] = []
        self.workspaces: dict[str, Workspace] = {}
        for name, names in self.project.environments.items():
            group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{names.resource_group}"
            self.workspaces[name] = Workspace(
                workspace=f"{group}/providers/Microsoft.MachineLearningServices/workspaces/{names.workspace}",
                account=f"store{name}",
                store=f"artifacts{name}",
                environment=name,
                execute=execute,
                place=project.parent / f"served-{name}",
            )
        self.registry = Registry(
            sources={one.workspace.rpartition("/")[2]: one for one in self.workspaces.values()}
        )

    @property
    def clock(self) -> float:
        """Seconds since the story began."""
        return float(sum(one.clock for one in self.workspaces.values()))

    def sleep(self, seconds: float) -> None:
        self.workspaces["dev"].clock += seconds

    def answer(self, request: requests.PreparedRequest) -> Any:
        """Answer a request of Azure, or of the sign-in."""
        address = urlsplit(str(request.url))
        if address.netloc == "login.microsoftonline.com":
            return self._login(request, address.path)
        query = parse_qs(address.query)
        if address.netloc == "identity.example":  # of a function app
            token = self._token(query["client_id"][0])
            ends = int(self.begin + self.clock + TOKEN_LIVES)
            return _answer(
                request, 200, {"access_token": token, "expires_on": ends, "token_type": "Bearer"}
            )
        if address.netloc == "dev.azure.com":
            return _answer(
                request, 200, {"oidcToken": self._assertion(query["serviceConnectionId"][0])}
            )
        if address.netloc == "management.azure.com" and address.path == "/metadata/endpoints":
            return _answer(request, 200, [])
        there = self._workspace(address.netloc, unquote(address.path))
        path = re.sub(r"^.*/(workspaces|registries)/[^/]+", "", unquote(address.path))
        identity = self._identity(request)
        if path == "/score" and "azureml-model-deployment" not in request.headers:
            time.sleep(0.05)  # clients of a rehearsal send as fast as they are answered
        with self.lock:
            self.asked.append(Asked(there.environment, identity, str(request.method), path))
            for one in self.busy:
                if one in str(request.url):
                    self.busy.remove(one)
                    return _answer(request, 429, b"{}", {"Retry-After": "7"})
            if refusal := self._refusal(request, there, identity):
                self.refused.append(refusal)
                return _answer(
                    request, 403, {"error": {"code": "AuthorizationFailed", "message": refusal}}
                )
        if (job := re.fullmatch(r"/jobs/([^/]+)", path)) and isinstance(there, Workspace):
            with self.lock:
                runs = there.jobs.get(job[1], {}).get("properties", {}).get("status") == "Running"
            if runs and request.method == "GET":
                there.wait_for(job[1])
        with self.lock:
            return there.answer(request)

    def _workspace(self, host: str, path: str) -> Workspace | Registry:
        if host.startswith(f"{self.registry.account}.") or "/registries/" in path:
            return self.registry
        for one in self.workspaces.values():
            if host.startswith((f"{one.account}.", f"{one.store}.")):
                return one
            if f"{one.workspace.partition('/providers')[0]}/" in f"{path}/":
                return one
        raise NotImplementedError(f"{host}{path}")

    def _refusal(self, request: Any, there: Workspace | Registry, identity: str) -> str | None:
        """Who changes an environment is of it, and dev shares; a token ends. Blobs of artifacts have their own signature."""
        if any(one in str(request.url) for one in ("sig=", ".scoring.example", "/discovery/")):
            return None
        if not identity:
            return f"{request.method} {request.url} without a token that is valid"
        changes = request.method in ("PUT", "DELETE", "PATCH") or "/import?" in str(request.url)
        owner = "dev" if there is self.registry else there.environment
        own = identity.partition("-")[0] == owner
        # What a job of prod collected trains in dev; docs/delivery.md says which rights it needs for that.
        gives = (identity, there.environment) == ("prod-job", "dev")
        if (
            changes
            and not own
            and not (gives and not re.search("/(models|.*Endpoints)/", str(request.url)))
        ):
            return f"{identity} may not {request.method} {request.url}"
        return None

    # signing in

    def _assertion(self, identity: str) -> str:
        return f"{identity}@{self.clock}"

    def _login(self, request: requests.PreparedRequest, path: str) -> Any:
        if not path.endswith("/token"):
            return self.workspaces["dev"].login(request, path)
        content: Any = request.body
        given = {name: value[0] for name, value in parse_qs(content.decode()).items()}
        if "client_assertion" in given:
            identity, _, at = given["client_assertion"].partition("@")
            if identity != given["client_id"] or self.clock - float(at) > ASSERTION_LIVES:
                problem = {
                    "error": "invalid_client",
                    "error_description": "AADSTS700024: not in time",
                }
                return _answer(request, 401, problem)
        token = self._token(given["client_id"])
        told = {"token_type": "Bearer", "expires_in": int(TOKEN_LIVES), "access_token": token}
        return _answer(request, 200, told)

    def _token(self, identity: str) -> str:
        claims = {
            "aud": "https://ml.azure.com",
            "exp": int(self.begin + self.clock + TOKEN_LIVES),
            "oid": identity,
            "tid": "t",
        }
        parts = [
            base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=")
            for one in ({"alg": "none"}, claims)
        ]
        return ".".join([*parts, "AAAA"])

    def _identity(self, request: requests.PreparedRequest) -> str:
        """Who a token belongs to; empty where there is none, or it has ended."""
        kind, _, token = str(request.headers.get("Authorization", "")).partition(" ")
        if kind.lower() != "bearer" or token.count(".") != 2:
            return ""
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return str(claims["oid"]) if claims["exp"] > self.begin + self.clock else ""

    # the provider

    def provider(self, method: str, path: str, body: Any) -> Any:
        """Answer a request of the provider's API; None: there is nothing."""
        if found := re.fullmatch(r"/oidc\?identity=(\w*)&audience=.*", path):
            return {"value": self._assertion(found[1])}
        if re.search(r"/(issues/3/comments|pullRequests/3/threads)(\?|$)", path):
            if method == "POST":
                self.comments.append(body.get("body") or body["comments"][0]["content"])
                return {}
            known = enumerate(self.comments)
            if "/issues/" in path:
                return [{"url": f"{self.url}/comments/{n}", "body": text} for n, text in known]
            threads = [{"id": n, "comments": [{"id": 1, "content": text}]} for n, text in known]
            return {"value": threads}
        if method == "PATCH" and (found := re.search(r"/(?:comments|threads)/(\d+)", path)):
            self.comments[int(found[1])] = body.get("body") or body["content"]
            return {}
        if re.match("/repos/acme/it/actions/runs/[0-9]+/approvals", path):
            return [
                {"state": "approved", "user": {"login": who}, "environments": [{"name": name}]}
                for name, who in self.approved.items()
            ]
        if found := re.match(r"/repos/acme/it/deployments\?environment=\w+&sha=(\d+)", path):
            return [{"statuses_url": f"{self.url}/statuses/{found[1]}"}]
        if found := re.match(r"/statuses/(\d+)", path):
            begun = {"state": "in_progress", "created_at": "2026-01-02T00:00:00Z"}
            return [
                {**begun, "log_url": f"https://github.test/acme/it/actions/runs/{found[1]}/job/1"}
            ]
        if "/timeline" in path:
            kinds = ("Stage", "Checkpoint", "Checkpoint.Approval")
            return {
                "records": [
                    {
                        "id": f"{kind}-{name}",
                        "type": kind,
                        "identifier": name,
                        "parentId": f"{above}-{name}",
                    }
                    for name in self.approved
                    for kind, above in zip(kinds, ("", *kinds), strict=False)
                ]
            }
        if found := re.search(r"/pipelines/approvals/Checkpoint.Approval-(\w+)\?", path):
            who = {"displayName": self.approved[found[1]]}
            step = {
                "status": "approved",
                "actualApprover": who,
                "lastModifiedOn": "2026-01-02T00:00:00Z",
            }
            return {"steps": [step]}
        return None

    url = ""

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer on loopback; yields the address."""
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path != "/azure":
                    found = cloud.provider(self.command, self.path, json.loads(content or b"null"))
                    self._say(404 if found is None else 200, {}, json.dumps(found).encode())
                    return
                meant = self.headers["X-Meant"]
                if meant.startswith("sleep:"):
                    cloud.sleep(float(meant.partition(":")[2]))
                    self._say(200, {}, b"")
                    return
                request = requests.PreparedRequest()
                request.method, request.url, request.body = self.command, meant, content
                request.headers = requests.structures.CaseInsensitiveDict(dict(self.headers))
                try:
                    answer = cloud.answer(request)
                    self._say(answer.status_code, answer.headers, answer.raw.read())
                except Exception as error:
                    cloud.refused.append(
                        f"{type(error).__name__}: {error} ({self.command} {meant})"
                    )
                    self._say(599, {}, str(error).encode())

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any

            def _say(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() != "content-length" or self.command == "HEAD":
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(content)))
                self.send_header("X-Clock", str(cloud.clock))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self.url
        finally:
            server.shutdown()
            server.server_close()


def run_in(
    folder: Path, command: list[str], env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command of a job."""
    return subprocess.run(
        command, cwd=folder, env=dict(env), capture_output=True, text=True, check=False
    )
