"""A workspace of Azure ML in memory: beside its registry (azure_fake.py) assets, jobs, schedules, endpoints, metrics, and blobs with leases."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import requests
from azure_fake import FakeAzure, _answer
from modelyard.azure import send_patiently
from modelyard.releases.azure_endpoint import AzureEndpoint
from modelyard.releases.release import drive

_WORKSPACE = re.compile(
    r"^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Mach\w+/\w+/[^/]+"
)
_TIME, _SLEEP = time.time, time.sleep
_API = "westeurope.api.azureml.ms"


@dataclass
class Service(FakeAzure):
    """An endpoint beside the registry: deployments that take their time, traffic, metrics, blobs, leases.

    Attributes:
        account: name of the storage account of its default datastore.
        assets: path → body of code, components, environments, data and schedules.
        jobs: name → body; `run` gives the outcome of one.
        batch: path → body of batch endpoints and their deployments.
        clock: seconds that have passed by sleeping and by requests.
        slow: version → milliseconds that a request takes.
        failing: versions that answer live requests with 500.
        throttled: answers of metrics that are refused first, with a Retry-After.
        after: called after each change with its description.
        count: number of requests so far; at `kill` the process ends, before or after it.
    """

    account: str = "store"
    assets: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    batch: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock: float = 0.0
    slow: dict[str, float] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    metrics_down: bool = False
    throttled: list[int] = field(default_factory=list)
    endpoint: dict[str, Any] | None = None
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)
    passing: dict[str, list[str]] = field(default_factory=dict)
    autoscale: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    no_alerts: bool = False
    blobs: dict[str, bytes] = field(default_factory=dict)
    leases: dict[str, str] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    count: int = 0
    kill: tuple[int, str] | None = None
    file: Path | None = None
    after: Callable[[str], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        dropped = {"before_write", "after", "kill", "file"}
        return {name: value for name, value in self.__dict__.items() if name not in dropped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, before_write=lambda what: None, after=None)
        self.kill = self.file = None

    def answer(self, request: requests.PreparedRequest) -> requests.Response:
        """Answer, and write the state to the file that outlives this process."""
        if self.kill == (self.count, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        self.clock += 0.03
        found: requests.Response = self._found(request)
        self.count += 1
        if self.file is not None:
            new = self.file.with_suffix(".new")
            new.write_bytes(pickle.dumps(self))
            new.replace(self.file)
        if self.kill == (self.count - 1, "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    def _found(self, request: requests.PreparedRequest) -> Any:
        address = urlsplit(str(request.url))
        if address.netloc == f"{self.account}.scoring.example":
            return self._score(request)
        if address.netloc == f"{self.account}.blob.core.windows.net":
            return self._record(request, address.path, parse_qs(address.query))
        if address.path.startswith("/discovery"):
            return _answer(request, 200, {"api": f"https://{_API}"})
        if address.path.endswith("/children"):  # the steps of a job
            return _answer(request, 200, {"value": []})
        return super().answer(request)

    def manager(self, request: Any, path: str, content: bytes) -> Any:
        whole = urlsplit(str(request.url)).path
        path = _WORKSPACE.sub("", whole)
        body = json.loads(content) if content and request.method == "PUT" else {}
        if "Microsoft.Insights/autoscalesettings" in path:
            if request.method == "PUT":
                self.autoscale[path.rpartition("/")[2]] = body
                self._changed(
                    f"autoscale {body['properties']['targetResourceUri'].rpartition('/')[2]}"
                )
                return _answer(request, 201, body)
            value = [{"name": name, **one} for name, one in self.autoscale.items()]
            return _answer(request, 200, {"value": value})
        if "Microsoft.Insights/metricAlerts/" in path:
            if self.no_alerts:
                return _answer(request, 403, {"error": {"code": "AuthorizationFailed"}})
            self.alerts[path.rpartition("/")[2]] = body
            return _answer(request, 201, body)
        if "/onlineEndpoints/" in path:
            return self._online(request, whole, path.partition("/onlineEndpoints/")[2], body)
        if path == "":
            told = {
                "mlFlowTrackingUri": self.tracking_uri,
                "discoveryUrl": f"https://{_API}/discovery{self.workspace}",
                "workspaceId": self.workspace.rpartition("/")[2],
            }
            return _answer(
                request,
                200,
                {"id": whole, "name": "mlw", "location": "westeurope", "properties": told},
            )
        if path in ("/datastores", "/datastores/workspaceblobstore"):
            store = {
                "datastoreType": "AzureBlob",
                "accountName": self.account,
                "containerName": "container",
                "endpoint": "core.windows.net",
                "protocol": "https",
                "credentials": {"credentialsType": "None"},
                "isDefault": True,
            }
            place = f"{self.workspace}/datastores/workspaceblobstore"
            one = {"id": place, "name": "workspaceblobstore", "properties": store}
            return _answer(request, 200, one if path.endswith("store") else {"value": [one]})
        if path.startswith("/jobs/"):
            return self._job(request, path.rpartition("/")[2], body)
        if path.startswith("/batchEndpoints/"):
            return self._kept(request, whole, self.batch, body)
        if found := re.match(r"/(environments|codes|components|data|schedules)/", path):
            return self._asset(request, whole, found[1], body)
        return super().manager(request, path, content)

    def _kept(self, request: Any, path: str, held: dict[str, Any], body: Any) -> Any:
        """What was put there, and nothing else."""
        if request.method == "PUT":
            told = body["properties"] | {"provisioningState": "Succeeded"}
            self._write(path.partition("/workspaces/")[2].partition("/")[2])
            held[path] = {"location": "westeurope", **body, "properties": told}
        if path not in held:
            return _answer(request, 404, {"error": {"code": "NotFound", "message": path}})
        return _answer(request, 200, {**held[path], "id": path, "name": path.rpartition("/")[2]})

    def _asset(self, request: Any, path: str, kind: str, body: Any) -> Any:
        """Versions; of an asset itself, the last one that was made."""
        if path.endswith("/startPendingUpload"):
            place = f"https://{self.account}.blob.core.windows.net/container/{path.split('/')[-4]}"
            given = {"credentialType": "SAS", "sasUri": f"{place}?sig=fake"}
            where = {"blobUri": place, "credential": given}
            return _answer(request, 200, {"blobReferenceForConsumption": where})
        if request.method == "PUT" or "/versions/" in path or kind == "schedules":
            return self._kept(request, path, self.assets, body)
        place = path.removesuffix("/versions")
        found = [one for one in self.assets if one.startswith(f"{place}/versions/")]
        if not found and kind != "codes":
            return _answer(request, 404, {"error": {"code": "NotFound", "message": path}})
        if path.endswith("/versions"):
            versions = [
                {**self.assets[one], "id": one, "name": one.rpartition("/")[2]}
                for one in reversed(found)
            ]
            return _answer(request, 200, {"value": versions})
        last = {"latestVersion": found[-1].rpartition("/")[2], "isArchived": False}
        return _answer(
            request, 200, {"id": place, "name": place.rpartition("/")[2], "properties": last}
        )

    def _job(self, request: Any, name: str, body: Any) -> Any:
        if request.method == "PUT":
            assert name not in self.jobs, "a job of a name is submitted once"
            self._write(f"job {name}")
            studio = {"jobServiceType": "Studio", "endpoint": f"https://ml.example/{name}"}
            body["properties"] |= {"status": "Queued", "services": {"Studio": studio}}
            self.jobs[name] = body
            self.begin(name)
        if name not in self.jobs:
            return _answer(request, 404, {"error": {"code": "NotFound", "message": name}})
        if request.method == "GET":
            self.jobs[name]["properties"]["status"] = self.status(name)
        place = f"{self.workspace}/jobs/{name}"
        return _answer(request, 200, {**self.jobs[name], "id": place, "name": name})

    def begin(self, job: str) -> None:
        """Begin what a job does."""

    def status(self, job: str) -> str:
        """Say how far a job is."""
        return "Completed"

    def mlflow(self, request: Any, path: str, query: dict[str, list[str]]) -> Any:
        """Also experiments and runs that are made."""
        if path == "experiments/get-by-name":
            error = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no experiment"}
            return _answer(request, 404, error)
        if path == "experiments/create":
            return _answer(request, 200, {"experiment_id": "e1"})
        if path == "runs/create":
            run = f"run-{len(self.runs) + 1}"
            self.runs[run] = {}
            return super().mlflow(request, "runs/get", {"run_id": [run]})
        if path == "runs/update":
            run = json.loads(request.body)["run_id"]
            return _answer(request, 200, {"run_info": {"run_id": run}})
        return super().mlflow(request, path, query)

    # the endpoint

    def _online(self, request: Any, whole: str, place: str, body: dict[str, Any]) -> Any:
        name, _, rest = place.partition("/")
        identity = whole.partition("/deployments")[0]
        if rest.startswith("providers/Microsoft.Insights/metrics"):
            return self._metrics(request, parse_qs(urlsplit(request.url).query))
        if rest == "token":
            return _answer(request, 200, {"accessToken": "scoring"})
        if rest == "deployments":
            return _answer(
                request, 200, {"value": [self._seen(one) for one in list(self.deployments)]}
            )
        if rest.startswith("deployments/"):
            return self._deployment(request, whole, rest.rpartition("/")[2], body)
        assert rest == "", rest
        if request.method == "PUT":
            told = body["properties"]
            told |= {
                "provisioningState": "Succeeded",
                "scoringUri": f"https://{self.account}.scoring.example/score",
            }
            traffic = told.setdefault("traffic", {})
            mirror = told.setdefault("mirrorTraffic", {})
            told.setdefault("properties", {})
            if self.endpoint is None:
                self._changed(f"endpoint {name}")
            else:
                self._check(traffic, mirror)
                assert self.endpoint["tags"] == body["tags"], "an update keeps the rest"
                self._changed(f"traffic {traffic} mirror {mirror}")
            self.endpoint = {"id": identity, "name": name, **body}
        if self.endpoint is None:
            return _answer(request, 404, {"error": {"code": "NotFound", "message": name}})
        return _answer(request, 200, self.endpoint)

    def _check(self, traffic: dict[str, int], mirror: dict[str, int]) -> None:
        """What the service would refuse, and what clients rely on."""
        # None at all is how requests are turned off.
        assert sum(traffic.values()) == 100 or not traffic, traffic
        assert len(mirror) <= 1 and sum(mirror.values()) <= 50, mirror
        live = {one for one, share in traffic.items() if share}
        assert not live & set(mirror), "live or mirrored traffic, not both"
        assert live | set(mirror) <= set(self.deployments)
        for one in live | set(mirror):
            state = self.deployments[one]["properties"]["provisioningState"]
            assert state not in ("Creating", "Failed", "Deleting"), (one, state)

    @property
    def traffic(self) -> dict[str, int]:
        """Live requests, in percent."""
        shares = self.endpoint["properties"]["traffic"] if self.endpoint else {}
        return {name: share for name, share in shares.items() if share}

    def version(self, name: str) -> str:
        return str(self.deployments[name]["tags"]["model_version"])

    def _deployment(self, request: Any, whole: str, name: str, body: dict[str, Any]) -> Any:
        if request.method == "GET":
            if name not in self.deployments:
                return _answer(request, 404, {"error": {"code": "NotFound", "message": name}})
            return _answer(request, 200, self._seen(name))
        if self.passing.get(name):
            conflict = {"error": {"code": "Conflict", "message": f"{name} is changing"}}
            return _answer(request, 409, conflict, {"Retry-After": "11"})
        if request.method == "DELETE":
            assert not self.traffic.get(name)
            del self.deployments[name]
            self._changed(f"delete {name}")
            return _answer(request, 200, {})
        told = body["properties"]
        variables = told["environmentVariables"]
        assert told["model"].endswith(f"/versions/{variables['MODEL_VERSION']}"), told["model"]
        assert not self.traffic.get(name), "what serves is not replaced at once"
        told["scaleSettings"] = {"scaleType": "Default"}
        for collection in told["dataCollector"]["collections"].values():
            collection["dataCollectionMode"] = collection["dataCollectionMode"].capitalize()
        kind = "Updating" if name in self.deployments else "Creating"
        self.deployments[name] = {"id": whole, "name": name, **body}
        self.passing[name] = [kind, kind]
        size = f" x{body['sku']['capacity']}" if body["sku"]["capacity"] > 1 else ""
        self._changed(f"deploy {name} v{variables['MODEL_VERSION']}{size}")
        return _answer(request, 201, self._seen(name))

    def _seen(self, name: str) -> dict[str, Any]:
        """A deployment; its state passes with each look at it."""
        passing = self.passing.get(name)
        one = self.deployments[name]
        one["properties"]["provisioningState"] = passing.pop(0) if passing else "Succeeded"
        return one

    def _metrics(self, request: Any, query: dict[str, list[str]]) -> Any:
        if self.throttled:
            wait = self.throttled.pop(0)
            return _answer(request, 429, b"{}", {"Retry-After": str(wait)})
        if self.metrics_down:
            return _answer(request, 503, b"{}")
        found = re.search(r"deployment eq '(\w+)'", query["$filter"][0])
        assert found is not None
        if query["metricnames"][0].startswith("RequestLatency"):
            series = [{"metadatavalues": [], "data": [{"average": 12.0}, {}]}]
        else:
            bad = found[1] in self.deployments and self.version(found[1]) in self.failing
            rare = [_series("499", str(code), 0) for code in range(400, 410)]
            series = [*rare, _series("200", "200", 100), _series("424", "500", 60 if bad else 0)]
            series = series[: int(query.get("top", ["10"])[0])]
        return _answer(request, 200, {"value": [{"timeseries": series}]})

    def in_a_process(self, file: Path, action: Callable[[], object]) -> int:
        """Call `action` in a process of its own, which keeps the state of Azure in the file; return its exit code."""
        self.file = file
        file.write_bytes(pickle.dumps(self))
        pid = os.fork()
        if pid == 0:
            try:
                with self.serving():
                    action()
                os._exit(0)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                os._exit(3)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def asked(self, request: Any) -> str:
        """The version of the deployment that a scoring request is for."""
        named = request.headers.get("azureml-model-deployment")
        return self.version(named or max(self.traffic, key=lambda one: self.traffic[one]))

    def _score(self, request: Any) -> Any:
        if "Authorization" not in request.headers:
            return _answer(request, 401, b"")
        _SLEEP(0.002)  # whoever sends without a pause would leave the release no processor
        version = self.asked(request)
        self.clock += self.slow.get(version, 5.0) / 1000
        try:
            rows = json.loads(request.body)["input_data"]
        except ValueError:
            return _answer(request, 424, b"", {"ms-azureml-model-error-statuscode": "400"})
        told = {"predictions": [row["x"] for row in rows], "model": {"version": version}}
        return _answer(request, 200, told)

    # the record

    def _record(self, request: Any, path: str, query: dict[str, list[str]]) -> Any:
        headers = {"ETag": "e", "Last-Modified": "Mon, 02 Nov 2026 03:30:00 GMT"}
        held, lease = self.leases.get(path), request.headers.get("x-ms-lease-id")
        if query.get("comp") == ["lease"]:
            action = request.headers["x-ms-lease-action"]
            if action == "acquire":
                if held:
                    return _refused(request, 409, "LeaseAlreadyPresent")
                lease = request.headers["x-ms-proposed-lease-id"]
                self.leases[path] = lease
                return _answer(request, 201, b"", {**headers, "x-ms-lease-id": lease})
            if lease != held:
                return _refused(request, 409, "LeaseIdMismatchWithLeaseOperation")
            if action == "release":
                del self.leases[path]
            return _answer(request, 200, b"", {**headers, "x-ms-lease-id": str(lease)})
        if query.get("comp") == ["list"]:
            return self._listed(request, path, query)
        if query.get("comp") == ["metadata"]:
            return _answer(request, 200, b"", headers)
        if request.method == "HEAD":
            return _answer(request, 200 if path in self.blobs else 404, b"", headers)
        if request.method == "GET":
            if path not in self.blobs:
                return _refused(request, 404, "BlobNotFound")
            content = self.blobs[path]
            if not content:
                return (
                    _refused(request, 416, "InvalidRange")
                    if "x-ms-range" in request.headers
                    else _answer(request, 200, b"", {**headers, "Content-Length": "0"})
                )
            size = len(content)
            headers |= {"Content-Length": str(size), "Content-Range": f"bytes 0-{size - 1}/{size}"}
            return _answer(request, 206, content, {**headers, "x-ms-blob-type": "BlockBlob"})
        if request.headers.get("If-None-Match") == "*" and path in self.blobs:
            return _refused(request, 409, "BlobAlreadyExists")
        if held and lease != held:
            code = "LeaseIdMissing" if not lease else "LeaseIdMismatchWithBlobOperation"
            return _refused(request, 412, code)
        if lease and not held:
            return _refused(request, 412, "LeaseNotPresentWithBlobOperation")
        body: Any = request.body or b""
        self.blobs[path] = body.read() if hasattr(body, "read") else bytes(body)
        return _answer(request, 201, b"", headers)

    def _listed(self, request: Any, container: str, query: dict[str, list[str]]) -> Any:
        """The names of a container's blobs that begin with a prefix."""
        prefix, place = query.get("prefix", [""])[0], f"{container}/"
        names = sorted(name.removeprefix(place) for name in self.blobs if name.startswith(place))
        blobs = "".join(
            f"<Blob><Name>{name}</Name><Properties><BlobType>BlockBlob</BlobType></Properties></Blob>"
            for name in names
            if name.startswith(prefix)
        )
        place = f'ServiceEndpoint="https://{self.account}.blob.core.windows.net/" ContainerName="{container[1:]}"'
        text = f"<?xml version='1.0'?><EnumerationResults {place}><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
        return _answer(request, 200, text.encode(), {"Content-Type": "application/xml"})

    def _changed(self, what: str) -> None:
        self.changes.append(what)
        if self.after is not None:
            self.after(what)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Service]:
        """Answer every request of this process; nobody waits in earnest."""

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.clock += seconds

        def elapsed() -> float:
            return self.clock

        def now() -> float:
            return _TIME() + self.clock

        with (
            super().serving(),
            mock.patch("time.sleep", sleep),
            mock.patch("time.time", now),
            mock.patch.dict(drive.__kwdefaults__, sleep=sleep, clock=now),
            mock.patch.dict(AzureEndpoint.__init__.__kwdefaults__, sleep=sleep),
            mock.patch.dict(send_patiently.__kwdefaults__, sleep=sleep),
            mock.patch("time.perf_counter", elapsed),
        ):
            yield self


def _series(status: str, model_status: str, count: int) -> dict[str, Any]:
    named = {"statuscode": status, "modelstatuscode": model_status}
    values = [{"name": {"value": key}, "value": value} for key, value in named.items()]
    return {"metadatavalues": values, "data": [{"average": float(count)}]}


def _refused(request: Any, status: int, code: str) -> Any:
    return _answer(request, status, b"", {"x-ms-error-code": code})
