"""A managed online endpoint of Azure ML, read and changed through azure-ai-ml.

Its requests were tested against simulated answers of the service, without an Azure account. Azure's
packages are imported inside functions: they are in requirements/cloud.txt, not in .venv.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.errors import UsageError
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

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import TokenCredential

DEPLOYMENT_FILE = Path("azureml") / "endpoints" / "online-deployment.yml"
VERSION_TAG = "model_version"
MANAGEMENT = "https://management.azure.com"
METRICS_API = "2023-10-01"
_TIMEOUT = 120.0

# Sends a request: method, address, headers, body. Gives status, headers in lower case, body.
Send = Callable[[str, str, Mapping[str, str], bytes | None], tuple[int, Mapping[str, str], bytes]]


def send(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request with the standard library.

    Raises:
        EndpointError: no answer came.
    """
    request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()
    except OSError as error:
        raise EndpointError(
            f"{urllib.parse.urlsplit(url).netloc} does not answer: {error}"
        ) from None


class AzureEndpoint:
    """See `endpoint.Endpoint`."""

    pause = 20.0  # seconds; the service has metrics per minute

    def __init__(
        self,
        client: MLClient,
        credential: TokenCredential,
        name: str,
        *,
        model: str,
        deployment_file: Path,
        send: Send = send,
    ) -> None:
        self.name, self.model = name, model
        self._client, self._credential = client, credential
        self._file, self._send = deployment_file, send

    @classmethod
    def of_environment(cls, root: Path, environment: str) -> AzureEndpoint:
        """Connect to the endpoint of an environment of conf/project.yml, with this machine's login.

        Raises:
            UsageError: Azure's packages are not installed, or no subscription is set.
        """
        project = load_project(root)
        there = project.environments[environment]
        subscription = os.environ.get("AZURE_SUBSCRIPTION_ID")
        if not subscription:
            raise UsageError(
                f"AZURE_SUBSCRIPTION_ID is not set; set it to the subscription of {there.workspace}"
            )
        try:
            from azure.ai.ml import MLClient
            from azure.identity import DefaultAzureCredential
        except ImportError:
            raise UsageError(
                "azure-ai-ml is not installed; install requirements/cloud.txt to release to Azure"
            ) from None
        credential = DefaultAzureCredential()
        client = MLClient(credential, subscription, there.resource_group, there.workspace)
        return cls(
            client,
            credential,
            there.endpoint,
            model=project.model,
            deployment_file=root / DEPLOYMENT_FILE,
        )

    def open(self) -> None:
        """Do nothing: the service keeps the endpoint running."""

    def test_traffic_url(self) -> None:
        return None

    def view(self) -> View:
        with _azure_errors():
            endpoint = self._client.online_endpoints.get(self.name)
            found = list(self._client.online_deployments.list(self.name))
        return View(
            {
                one.name: Deployment(one.name, _version(one), one.provisioning_state == "Succeeded")
                for one in found
            },
            _without_zeros(endpoint.traffic),
            _without_zeros(endpoint.mirror_traffic),
        )

    def deploy(self, name: str, version: str) -> None:
        from azure.ai.ml import load_online_deployment

        known = self.view().deployments.get(name)
        if known is not None and known.healthy and known.version == version:
            return
        with _azure_errors():
            deployment = load_online_deployment(
                self._file,
                params_override=[
                    {"name": name},
                    {"endpoint_name": self.name},
                    {"model": f"azureml:{self.model}:{version}"},
                    {f"tags.{VERSION_TAG}": version},
                    {"environment_variables.MODEL_NAME": self.model},
                    {"environment_variables.MODEL_VERSION": version},
                ],
            )
            self._client.online_deployments.begin_create_or_update(deployment).result()

    def set_traffic(self, percent: Mapping[str, int]) -> None:
        with _azure_errors():
            endpoint = self._client.online_endpoints.get(self.name)
            endpoint.traffic = dict(percent)
            self._client.online_endpoints.begin_create_or_update(endpoint).result()

    def set_mirror(self, percent: Mapping[str, int]) -> None:
        with _azure_errors():
            endpoint = self._client.online_endpoints.get(self.name)
            endpoint.mirror_traffic = dict(percent)
            self._client.online_endpoints.begin_create_or_update(endpoint).result()

    def invoke(self, deployment: str, payload: Any) -> Answer:
        """Send a request without the SDK's `invoke`.

        That one takes only files of valid JSON, hides the status, and keeps the deployment's header
        for all later calls (it changes its dictionary of default headers).
        """
        with _azure_errors():
            endpoint = self._client.online_endpoints.get(self.name)
            keys = self._client.online_endpoints.get_keys(self.name)
        key = getattr(keys, "access_token", None) or getattr(keys, "primary_key", None)
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {key}",
            DEPLOYMENT_HEADER: deployment,
        }
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        started = time.perf_counter()
        status, given, text = self._send("POST", str(endpoint.scoring_uri), headers, body)
        took = (time.perf_counter() - started) * 1000
        try:
            content = json.loads(text)
        except ValueError:
            content = text.decode(errors="replace")
        return Answer(int(given.get(STATUS_HEADER, status)), content, took)

    def live_metrics(self, deployment: str, since: float) -> Metrics:
        """Read Azure Monitor, which is some minutes behind.

        Requests are counted per minute; latencies are means over minutes (supported metrics of
        Microsoft.MachineLearningServices/workspaces/onlineEndpoints).
        """
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
        if name not in self.view().deployments:
            return
        with _azure_errors():
            self._client.online_deployments.begin_delete(name, self.name).result()

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
        with _azure_errors():
            endpoint = self._client.online_endpoints.get(self.name)
            token = self._credential.get_token(f"{MANAGEMENT}/.default").token
        period = (datetime.fromtimestamp(at, UTC) for at in (since, max(time.time(), since + 60)))
        parameters = {
            "api-version": METRICS_API,
            "metricnames": metric,
            "timespan": "/".join(at.strftime("%Y-%m-%dT%H:%M:%SZ") for at in period),
            "interval": "PT1M",
            "aggregation": "Average",
            "$filter": condition,
        }
        url = f"{MANAGEMENT}{endpoint.id}/providers/Microsoft.Insights/metrics"
        status, _, text = self._send(
            "GET",
            f"{url}?{urllib.parse.urlencode(parameters)}",
            {"Authorization": f"Bearer {token}"},
            None,
        )
        if status != 200:
            raise EndpointError(f"Azure Monitor answers {status}: {text[:300].decode()}")
        return [series for one in json.loads(text)["value"] for series in one["timeseries"]]


@contextlib.contextmanager
def _azure_errors() -> Iterator[None]:
    """Raise errors of Azure's packages as EndpointError."""
    from azure.ai.ml.exceptions import MlException
    from azure.core.exceptions import AzureError

    try:
        yield
    except (AzureError, MlException) as error:
        raise EndpointError(f"Azure ML: {error}") from error


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
