"""A managed online endpoint of Azure ML, read and changed through azure-ai-ml.

Its requests were tested against simulated answers of the service, without an Azure account. Azure's
packages are imported inside functions: they are in requirements/cloud.txt, not in .venv.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import re
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from modelyard.azure import (
    MANAGEMENT,
    AzureFailed,
    Send,
    Workspace,
    or_none,
    patiently,
    send_patiently,
    sender,
    storage_container,
    use_workspace,
)
from modelyard.events.store import BlobStore
from modelyard.files import has_file
from modelyard.models.adoption import ENVIRONMENT
from modelyard.models.assets import pin_environment
from modelyard.project import load_project
from modelyard.releases.endpoint import (
    DEPLOYMENT_HEADER,
    STATUS_HEADER,
    Answer,
    Deployment,
    EndpointError,
    Metrics,
    View,
)
from modelyard.releases.release_record import BlobRecord
from modelyard.yaml_files import read_mapping

FOLDER = Path("azureml") / "endpoints"
RULES = Path("infra") / "modules" / "deployment-rules.json"
VERSION_TAG, SINCE_TAG = "model_version", "deployed_since"
METRICS_API, AUTOSCALE_API = "2023-10-01", "2022-10-01"
PROD = "prod"  # the environment in which only real requests count
# A deployment in any other state answers (azure.ai.ml: DeploymentProvisioningState).
_DOWN = ("Failed", "Creating", "Deleting")
_CHANGING = ("Creating", "Deleting", "Scaling", "Updating")
_SETTLING = 3600.0  # seconds until a deployment that changes is given up
_ACCESS = 600.0  # seconds for which a token and an address are used again
_ROUND_TRIPS = 10


class NotAllowed(EndpointError):
    """Somebody lacks a right."""


class AzureEndpoint:
    """See `endpoint.Endpoint`."""

    pause = 20.0  # seconds; the service has metrics per minute
    keeps_old = True

    def __init__(
        self,
        root: Path,
        workspace: Workspace,
        *,
        send: Send | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = workspace.names.endpoint
        self.model = load_project(root).model
        self.rehearses = workspace.environment != PROD
        self._root, self.workspace, self._folder = root, workspace, root / FOLDER
        self._client, self._send, self._sleep = workspace.client, send or sender(), sleep
        self._access: tuple[float, str, str] | None = None

    @classmethod
    def of_environment(cls, root: Path, environment: str) -> AzureEndpoint:
        """Connect to the endpoint of an environment, and use the registry of its workspace.

        Raises:
            UsageError: see `open_workspace`.
        """
        workspace = use_workspace(root, environment)
        assert workspace is not None  # noqa: S101 (an environment was named)
        return cls(root, workspace)

    @functools.cached_property
    def record(self) -> BlobRecord:
        """The record of releases, in the storage of the workspace."""
        store = BlobStore(storage_container(self.workspace), self.workspace.credential)
        return BlobRecord(store, self.name)

    @functools.cached_property
    def id(self) -> str:
        """Resource id of the endpoint; a release asks for metrics often, and it never changes."""
        return str(self._do(self._get).id)

    def open(self) -> None:
        """Create the endpoint of the file where there is none, with the identity of conf/project.yml."""
        from azure.ai.ml import load_online_endpoint

        if self._do(lambda: or_none(self._get)) is not None:
            return
        changes: list[dict[str, Any]] = [{"name": self.name}]
        if identity := self.workspace.names.scoring_identity:
            place = f"{self.workspace.group_id}/providers/Microsoft.ManagedIdentity"
            assigned = [{"resource_id": f"{place}/userAssignedIdentities/{identity}"}]
            changes.append(
                {"identity": {"type": "user_assigned", "user_assigned_identities": assigned}}
            )
        endpoint = load_online_endpoint(
            self._folder / "online-endpoint.yml", params_override=changes
        )
        self._do(lambda: self._client.online_endpoints.begin_create_or_update(endpoint).result())

    def view(self) -> View:
        endpoint = self._do(self._get)
        found = self._do(lambda: list(self._client.online_deployments.list(self.name)))
        return View(
            {
                one.name: Deployment(
                    one.name,
                    _version(one),
                    one.provisioning_state not in _DOWN,
                    one.provisioning_state == "Updating",
                )
                for one in found
            },
            _without_zeros(endpoint.traffic),
            _without_zeros(endpoint.mirror_traffic),
        )

    def deploy(self, name: str, version: str) -> None:
        from azure.ai.ml import load_online_deployment

        known = self.settled(name)
        if (
            known is not None
            and known.provisioning_state not in _DOWN
            and _version(known) == version
        ):
            return
        deployment = load_online_deployment(
            self._folder / "online-deployment.yml",
            params_override=[
                {"name": name},
                {"endpoint_name": self.name},
                {"model": f"azureml:{self.model}:{version}"},
                {"environment": self._environment(version)},
                {f"tags.{VERSION_TAG}": version},
                {f"tags.{SINCE_TAG}": datetime.now(UTC).isoformat(timespec="seconds")},
                {"environment_variables.MODEL_NAME": self.model},
                {"environment_variables.MODEL_VERSION": version},
            ],
        )
        names = self.workspace.names
        deployment.instance_type = names.instance_type or deployment.instance_type
        deployment.instance_count = max(
            names.instance_count or deployment.instance_count or 1, self._scaled_to(name)
        )
        self._do(
            lambda: self._client.online_deployments.begin_create_or_update(deployment).result()
        )

    def _environment(self, version: str) -> str:
        """Return what a version is served in: what was shared with it, else the file's environment."""
        tags = self._do(lambda: self._client.models.get(self.model, version)).tags or {}
        if tags.get(ENVIRONMENT):
            return str(tags[ENVIRONMENT])
        reference = str(read_mapping(self._folder / "online-deployment.yml")["environment"])
        return pin_environment(self._root, self.workspace, reference, _say)

    def deployed_since(self) -> dict[str, tuple[str, str]]:
        """Return version and time of each deployment; an empty time where it was not released from here."""
        found = self._do(lambda: list(self._client.online_deployments.list(self.name)))
        return {
            one.name: (_version(one), str((one.tags or {}).get(SINCE_TAG, ""))) for one in found
        }

    def kept_too_long(self, hours: float, now: datetime) -> list[str]:
        """Return deployments without traffic whose successor has served for longer than so many hours.

        It takes the right to read, and not the record of releases. Without an endpoint there are none.
        """
        if self._do(lambda: or_none(self._get)) is None:
            return []
        view, since = self.view(), self.deployed_since()
        live = [since[name][1] for name in view.traffic]
        if not live or any(not time for time in live):
            return []
        served = now - max(datetime.fromisoformat(time) for time in live)
        old = set(view.deployments) - set(view.traffic) - set(view.mirror)
        return sorted(old) if served > timedelta(hours=hours) else []

    def attach_autoscale(self, name: str) -> None:
        """Give a deployment alerts on its load, and rules to scale by: those of another one of this endpoint, or the first ones.

        Who may deploy may not always do that; then it is said.
        """
        try:
            known = {target.lower(): (target, one) for target, one in self.autoscales()}
            for path, body in self._first_rules(name).items():
                if not known or "autoscalesettings/" not in path:
                    self.management("PUT", f"{self._insights}/{path}", body)
            if known and name.lower() not in known:
                self._copy_autoscale(name, *next(iter(known.values())))
        except NotAllowed as error:
            _say(f"{name} gets no autoscale and no alerts on its load: {error}")

    def _first_rules(self, name: str) -> dict[str, Any]:
        """Return what watches and scales a deployment, each by its address."""
        file = self._root / RULES
        if not has_file(file):
            _say(f"{name} gets no autoscale and no alerts on its load: there is no {RULES}")
            return {}
        endpoint = self._do(self._get)
        words = {
            "endpoint": self.name,
            "deployment": name,
            "deploymentId": f"{self.id}/deployments/{name}",
            "location": str(endpoint.location),
            "actionGroupId": f"{self.workspace.group_id}/providers/Microsoft.Insights/actionGroups/ag-{self.workspace.names.base}",
        }
        text = re.sub("@@([a-zA-Z]+)@@", lambda found: words[found[1]], file.read_text("utf-8"))
        deployment = self._deployment(name)
        instances = int((deployment and deployment.instance_count) or 1)
        rules: dict[str, Any] = json.loads(text)
        for body in rules.values():
            body["tags"] = dict(endpoint.tags or {})
            for profile in body["properties"].get("profiles", []):
                least = max(instances, int(profile["capacity"]["minimum"]))
                most = max(least, int(profile["capacity"]["maximum"]))
                profile["capacity"] = {
                    "minimum": str(least),
                    "maximum": str(most),
                    "default": str(least),
                }
        return rules

    def _copy_autoscale(self, name: str, other: str, rules: Mapping[str, Any]) -> None:
        place = f"{self.id}/deployments/"
        text = re.sub(
            re.escape(place + other) + r"(?![\w-])",
            place + name,
            json.dumps({"location": rules["location"], "properties": rules["properties"]}),
            flags=re.IGNORECASE,
        )
        body = json.loads(text) | {"tags": rules.get("tags") or {}}
        title = f"autoscale-{self.name}-{name}"
        body["properties"]["name"] = title
        self.put_autoscale(title, body)

    def autoscales(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the autoscale settings of this endpoint, each with the name of its deployment."""
        place = f"{self.id}/deployments/"
        for one in self.management("GET", f"{self._rules}?api-version={AUTOSCALE_API}")["value"]:
            target = str(one["properties"].get("targetResourceUri", ""))
            if target.lower().startswith(place.lower()):
                yield target[len(place) :], one

    def put_autoscale(self, title: str, body: Mapping[str, Any]) -> None:
        """Write an autoscale setting."""
        self.management("PUT", f"{self._rules}/{title}?api-version={AUTOSCALE_API}", body)

    @property
    def _insights(self) -> str:
        return f"{MANAGEMENT}{self.workspace.group_id}/providers/Microsoft.Insights"

    @property
    def _rules(self) -> str:
        return f"{self._insights}/autoscalesettings"

    def set_traffic(self, percent: Mapping[str, int]) -> None:
        self._share("traffic", percent)

    def set_mirror(self, percent: Mapping[str, int]) -> None:
        self._share("mirror_traffic", percent)

    def _share(self, field: str, percent: Mapping[str, int]) -> None:
        def change() -> None:
            endpoint = self._get()
            setattr(endpoint, field, dict(percent))
            self._client.online_endpoints.begin_create_or_update(endpoint).result()

        self._do(change)

    def invoke(self, deployment: str, payload: Any) -> Answer:
        """Send a request without the SDK's `invoke`.

        That one takes only files of valid JSON, hides the status, and keeps the deployment's header
        for all later calls (it changes its dictionary of default headers).
        """
        return self._answer(payload, {DEPLOYMENT_HEADER: deployment})

    def ask(self, payload: Any) -> Answer:
        return self._answer(payload, {})

    def round_trip(self) -> float:
        """Measure requests without a token, which the endpoint refuses before any deployment."""
        address = self._scoring()[0]
        times = []
        for _ in range(_ROUND_TRIPS):
            started = time.perf_counter()
            with _endpoint_errors():
                status, given, _ = self._send("POST", address, {}, b"{}")
            if status == 401 and given.get("connection", "").lower() != "close":
                times.append((time.perf_counter() - started) * 1000)
        return min(times, default=0.0)

    def live_metrics(self, deployment: str, since: float) -> Metrics:
        """Read Azure Monitor, which is some minutes behind.

        Requests are counted per minute, from the first whole one: what came before `since` was another
        stage's, or a test's. Latencies are means over minutes (supported metrics of
        Microsoft.MachineLearningServices/workspaces/onlineEndpoints).
        """
        since = math.ceil(since / 60) * 60
        if since >= time.time():
            return Metrics()
        counts = self._query(
            "RequestsPerMinute",
            f"deployment eq '{deployment}' and statusCode eq '*' and modelStatusCode eq '*'",
            since,
        )
        requests = errors = refused = 0
        for series in counts:
            labels = {
                one["name"]["value"].lower(): one["value"] for one in series["metadatavalues"]
            }
            count = round(sum(point.get("average") or 0 for point in series["data"]))
            code = _code(labels.get("statuscode")), _code(labels.get("modelstatuscode"))
            requests += count
            if code[0] == 200:
                continue
            if 400 <= (code[1] or code[0]) < 500 and code[0] != 408:
                refused += count
            else:
                errors += count
        p50, p95 = (
            self._mean(f"RequestLatency_{level}", deployment, since) for level in ("P50", "P95")
        )
        return Metrics(requests, errors, refused, p50, p95)

    def delete(self, name: str) -> None:
        if self.settled(name) is None:
            return
        self._do(lambda: self._client.online_deployments.begin_delete(name, self.name).result())

    def _do(self, action: Callable[[], Any]) -> Any:
        """Do something with the SDK, patiently."""
        with _endpoint_errors():
            return patiently(action, self._sleep)

    def _get(self) -> Any:
        return self._client.online_endpoints.get(self.name)

    def _deployment(self, name: str) -> Any:
        """Read a deployment; None: there is none."""
        return self._do(
            lambda: or_none(lambda: self._client.online_deployments.get(name, self.name))
        )

    def settled(self, name: str) -> Any:
        """Wait until a deployment neither changes nor scales; return it, None where there is none."""
        waited = 0.0
        while True:
            found = self._deployment(name)
            if found is None or found.provisioning_state not in _CHANGING:
                return found
            if waited >= _SETTLING:
                raise EndpointError(
                    f"deployment {name} has been {found.provisioning_state} for an hour"
                )
            self._sleep(self.pause)
            waited += self.pause

    def _scaled_to(self, new: str) -> int:
        """Return the instances of the deployment with the most live requests; 0 without one."""
        traffic = {name: share for name, share in self.view().traffic.items() if name != new}
        if not traffic:
            return 0
        old = self._deployment(max(traffic, key=lambda name: traffic[name]))
        return int(old.instance_count or 0) if old is not None else 0

    def _scoring(self) -> tuple[str, str]:
        """Return the address for requests, and a token."""
        if self._access is None or time.monotonic() > self._access[0]:
            endpoint = self._do(self._get)
            keys = self._do(lambda: self._client.online_endpoints.get_keys(self.name))
            key = getattr(keys, "access_token", None) or getattr(keys, "primary_key", None)
            self._access = time.monotonic() + _ACCESS, str(endpoint.scoring_uri), str(key)
        return self._access[1:]

    def _answer(self, payload: Any, headers: Mapping[str, str]) -> Answer:
        address, key = self._scoring()
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {key}",
            **headers,
        }
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        took = 0.0

        def timed(*request: Any) -> Any:
            nonlocal took
            started = time.perf_counter()
            found = self._send(*request)
            took = (time.perf_counter() - started) * 1000
            return found

        with _endpoint_errors():
            status, given, text = send_patiently(
                timed, "POST", address, headers, body, sleep=self._sleep
            )
        try:
            content = json.loads(text)
        except ValueError:
            content = text.decode(errors="replace")
        return Answer(int(given.get(STATUS_HEADER, status)), content, took)

    def management(self, method: str, url: str, body: Any = None) -> Any:
        """Send a request to Azure Resource Manager."""
        token = self.workspace.credential.get_token(f"{MANAGEMENT}/.default").token
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        with _endpoint_errors():
            status, _, text = send_patiently(
                self._send, method, url, headers, content, sleep=self._sleep
            )
        if status not in (200, 201, 202):
            refused = NotAllowed if status == 403 else EndpointError
            raise refused(
                f"{method} {urllib.parse.urlsplit(url).path}: Azure answers {status}: "
                f"{text[:300].decode(errors='replace')}"
            )
        return json.loads(text or b"null")

    def _mean(self, metric: str, deployment: str, since: float) -> float | None:
        found = self._query(metric, f"deployment eq '{deployment}'", since)
        values = [
            point["average"]
            for series in found
            for point in series["data"]
            if point.get("average") is not None
        ]
        return sum(values) / len(values) if values else None

    def _query(self, metric: str, condition: str, since: float) -> list[dict[str, Any]]:
        period = (datetime.fromtimestamp(at, UTC) for at in (since, max(time.time(), since + 60)))
        parameters = {
            "api-version": METRICS_API,
            "metricnames": metric,
            "timespan": "/".join(at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in period),
            "interval": "PT1M",
            "aggregation": "Average",
            "$filter": condition,
            "top": "1000",  # series; without it the first ten
        }
        url = f"{MANAGEMENT}{self.id}/providers/Microsoft.Insights/metrics"
        found = self.management("GET", f"{url}?{urllib.parse.urlencode(parameters)}")
        return [series for one in found["value"] for series in one["timeseries"]]


@contextlib.contextmanager
def _endpoint_errors() -> Iterator[None]:
    try:
        yield
    except AzureFailed as error:
        raise EndpointError(str(error)) from error


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _version(deployment: Any) -> str:
    """Return a deployment's model version: from its tag, else from the id of its model."""
    if tagged := (deployment.tags or {}).get(VERSION_TAG):
        return str(tagged)
    found = re.search(r"(?:/versions/|:)([^/:]+)$", str(deployment.model))
    return found[1] if found else "unknown"


def _code(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _without_zeros(percent: Mapping[str, int] | None) -> dict[str, int]:
    return {name: int(share) for name, share in (percent or {}).items() if share}
