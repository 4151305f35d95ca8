"""Drives a release against a managed endpoint through azure-ai-ml, with Azure's answers made up.

Run in a generated project, where its requirements/cloud.txt is installed. No account, no network: the
SDK's own transport is replaced, so that what is checked is the body of every request that would leave.
Prints what changed, one line per change.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(Path.cwd()))
logging.disable(logging.WARNING)

import requests  # noqa: E402
from azure.ai.ml import MLClient  # noqa: E402
from azure.core.credentials import AccessToken  # noqa: E402
from azure.core.pipeline.transport import RequestsTransport  # noqa: E402
from azure.core.pipeline.transport._requests_basic import RequestsTransportResponse  # noqa: E402
from azure.core.rest import HttpRequest  # noqa: E402
from azure.core.rest._requests_basic import RestRequestsTransportResponse  # noqa: E402
from modelyard.gates import Release  # noqa: E402
from modelyard.models.reasons import Reason  # noqa: E402
from modelyard.project import load_project  # noqa: E402
from modelyard.releases import rollout  # noqa: E402
from modelyard.releases.azure_endpoint import AzureEndpoint  # noqa: E402
from modelyard.releases.release import drive  # noqa: E402

WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers"
    "/Microsoft.MachineLearningServices/workspaces/mlw"
)
STARTED = time.time()


class Credential:
    """Gives a token that reads like one of Azure ML's."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        def part(content: dict[str, str]) -> str:
            return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

        token = f"{part({'alg': 'none'})}.{part({'aud': 'https://ml.azure.com'})}.x"
        return AccessToken(token, int(STARTED) + 10**6)


def Answer(request: Any, content: Any) -> Any:
    """What the service might say, as the SDK's two generations of clients expect it."""
    told = requests.Response()
    told.status_code, told.reason, told.url = 200, "OK", request.url
    told.headers["content-type"] = "application/json"
    told.raw = io.BytesIO(json.dumps(content).encode())
    if isinstance(request, HttpRequest):
        answer = RestRequestsTransportResponse(request=request, internal_response=told)
        answer.read()
        return answer
    told._content = told.raw.read()
    return RequestsTransportResponse(request, told)


class Service:
    """One endpoint and its deployments."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.endpoint: dict[str, Any] = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "tags": {"kept": "yes"},
            "properties": {
                "authMode": "AADToken",
                "traffic": {},
                "mirrorTraffic": {},
                "provisioningState": "Succeeded",
                "scoringUri": f"https://{name}.example/score",
                "properties": {},
            },
        }
        self.deployments: dict[str, dict[str, Any]] = {}
        self.changes: list[str] = []

    def send(self, transport: Any, request: Any, **options: Any) -> Any:
        path = urlsplit(request.url).path
        place = f"{WORKSPACE}/onlineEndpoints/{self.name}"
        body = json.loads(request.data or request.content) if request.method == "PUT" else {}
        if path == place:
            if request.method == "PUT":
                before, self.endpoint = self.endpoint, self._stored(body)
                told = self.endpoint["properties"]
                assert self.endpoint["tags"] == before["tags"], "an update keeps the rest"
                assert told["authMode"] == before["properties"]["authMode"]
                self._check(told["traffic"], told["mirrorTraffic"])
                self.changes.append(f"traffic {told['traffic']} mirror {told['mirrorTraffic']}")
            return Answer(request, {"id": place, "name": self.name, **self.endpoint})
        if path == f"{place}/deployments":
            return Answer(request, {"value": list(self.deployments.values())})
        if found := re.fullmatch(rf"{re.escape(place)}/deployments/(\w+)", path):
            return self._deployment(request, found[1], body)
        if path == f"{place}/token":
            return Answer(request, {"accessToken": "t"})
        if path.endswith("/workspaces/mlw"):
            told = {"mlFlowTrackingUri": "azureml://westeurope.example/mlflow/v1.0"}
            known = {"id": WORKSPACE, "name": "mlw", "location": "westeurope", "properties": told}
            return Answer(request, known)
        return self._asset(request, path, body)

    def _stored(self, body: dict[str, Any]) -> dict[str, Any]:
        told = body["properties"]
        told["provisioningState"] = "Succeeded"
        told["scoringUri"] = f"https://{self.name}.example/score"
        told.setdefault("traffic", {})
        told.setdefault("mirrorTraffic", {})
        return body

    def _check(self, traffic: dict[str, int], mirror: dict[str, int]) -> None:
        """What the service would refuse."""
        assert sum(traffic.values()) in (0, 100), traffic
        assert len(mirror) <= 1 and sum(mirror.values()) <= 50, mirror
        assert not set(traffic) & set(mirror), "live or mirrored traffic, not both"
        assert set(traffic) | set(mirror) <= set(self.deployments)

    def _deployment(self, request: Any, name: str, body: dict[str, Any]) -> Any:
        if request.method == "DELETE":
            assert not self.endpoint["properties"]["traffic"].get(name)
            del self.deployments[name]
            self.changes.append(f"delete {name}")
            return Answer(request, {})
        if request.method == "PUT":
            told = body["properties"]
            variables = told["environmentVariables"]
            model = told["model"]
            assert model.endswith(f"/versions/{variables['MODEL_VERSION']}"), model
            assert told["codeConfiguration"]["scoringScript"] == "score.py"
            told |= {"provisioningState": "Succeeded", "scaleSettings": {"scaleType": "Default"}}
            for collection in told["dataCollector"]["collections"].values():
                collection["dataCollectionMode"] = collection["dataCollectionMode"].capitalize()
            self.deployments[name] = {"id": urlsplit(request.url).path, "name": name, **body}
            self.changes.append(f"deploy {name} v{variables['MODEL_VERSION']}")
        return Answer(request, self.deployments[name])

    def _asset(self, request: Any, path: str, body: dict[str, Any]) -> Any:
        """Code, environments and models: there is whatever is asked for."""
        if found := re.search(r"/(models|environments|codes|data)/([^/]+)/versions/([^/]+)$", path):
            kind, _, version = found.groups()
            properties = body.get("properties") or {"isAnonymous": False}
            if kind == "models":
                properties |= {
                    "modelUri": "azureml://x",
                    "modelType": "mlflow_model",
                    "flavors": {},
                }
            if kind == "codes":
                properties |= {"codeUri": "https://store.example/container/code"}
            content = {"id": path, "name": version, "properties": properties}
            return Answer(request, content)
        if found := re.search(r"/(models|environments|codes)/([^/]+)(/versions)?$", path):
            latest = {"id": f"{path}/1", "name": "1", "properties": {"latestVersion": "1"}}
            if path.endswith("/versions"):
                return Answer(request, {"value": [latest]})
            return Answer(request, {"id": path, "name": found[2], **latest})
        if "comp=metadata" in request.url:
            return Answer(request, {})
        raise AssertionError(f"unexpected: {request.method} {request.url}")


class Monitor:
    """Azure Monitor and the scoring address."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.failing: set[str] = set()

    def __call__(self, method: str, url: str, headers: Any, body: bytes | None) -> Any:
        parts = urlsplit(url)
        if parts.path == "/score":
            assert headers["Authorization"].startswith("Bearer ey")
            told = {"predictions": [1], "from": headers["azureml-model-deployment"]}
            return 200, {}, json.dumps(told).encode()
        asked = {key: value[0] for key, value in parse_qs(parts.query).items()}
        assert parts.path.endswith(
            f"/onlineEndpoints/{self.service.name}/providers/Microsoft.Insights/metrics"
        )
        deployment = re.search(r"deployment eq '(\w+)'", asked["$filter"])
        assert deployment is not None
        if asked["metricnames"].startswith("RequestLatency"):
            series = [{"metadatavalues": [], "data": [{"average": 12.0}, {}]}]
        else:
            code = "500" if deployment[1] in self.failing else "200"
            series = [self._series("200", "200", 90), self._series("424", code, 60)]
            if code == "200":
                series[1] = self._series("200", "200", 60)
        return 200, {}, json.dumps({"value": [{"timeseries": series}]}).encode()

    @staticmethod
    def _series(status: str, model_status: str, count: int) -> dict[str, Any]:
        named = {"statuscode": status, "modelstatuscode": model_status}
        return {
            "metadatavalues": [{"name": {"value": k}, "value": v} for k, v in named.items()],
            "data": [{"average": float(count)}],
        }


def main() -> None:
    """Release v1, then v2, then a v3 that fails."""
    project = load_project(Path.cwd())
    service = Service(project.environments["dev"].endpoint)
    monitor = Monitor(service)
    RequestsTransport.send = lambda transport, request, **more: service.send(transport, request)
    credential = Credential()
    client = MLClient(credential, WORKSPACE.split("/")[2], "rg", "mlw")
    endpoint = AzureEndpoint(
        client,
        credential,
        service.name,
        model=project.model,
        deployment_file=Path.cwd() / "azureml" / "endpoints" / "online-deployment.yml",
        send=monitor,
    )
    settings = Release(requests=100, seconds=0)

    def check(stage: str, state: Any, endpoint: Any) -> tuple[Reason, ...]:
        if stage == rollout.SMOKE:
            answer = endpoint.invoke(state.new, {"input_data": []})
            assert answer.body["from"] == state.new
        return (Reason(stage, "", "", True),)

    for version in ("1", "2", "3"):
        if version == "3":
            monitor.failing.add("blue")
        state = rollout.begin(
            endpoint.view(),
            id=version,
            endpoint=service.name,
            model=project.model,
            version=version,
            now=time.time(),
            settings=settings,
        )
        state = drive(
            state,
            endpoint,
            check,
            settings=settings,
            limits=rollout.Limits(error_rate=0.01, p95_ms=100.0),
            save=lambda found: None,
        )
        service.changes.append(f"v{version} {state.stage}")
    print("\n".join(service.changes))


if __name__ == "__main__":
    main()
