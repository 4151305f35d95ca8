"""The interface that a release needs of an online endpoint, and the values that pass through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from modelyard.errors import ModelyardError

if TYPE_CHECKING:
    from modelyard.releases.release_record import Record

# Azure ML's headers: the deployment that should answer or has answered, and the status of a model's
# answer other than 200.
DEPLOYMENT_HEADER = "azureml-model-deployment"
STATUS_HEADER = "ms-azureml-model-error-statuscode"
# Azure: "The maximum percentage of traffic you can mirror is 50 percent", and only to one deployment,
# which then takes no live traffic (how-to-safely-rollout-online-endpoints).
MOST_MIRRORED = 50


class EndpointError(ModelyardError):
    """An endpoint does not answer, or an operation on it failed."""


@dataclass(frozen=True)
class Deployment:
    """A deployment, the version it serves, and whether it answers.

    Attributes:
        changing: it is being updated; until that has ended it may answer with the version before.
    """

    name: str
    version: str
    healthy: bool = True
    changing: bool = False


@dataclass(frozen=True)
class View:
    """The state of an endpoint at one moment. Traffic and mirror are percentages without zeros."""

    deployments: Mapping[str, Deployment]
    traffic: Mapping[str, int]
    mirror: Mapping[str, int]


@dataclass(frozen=True)
class Metrics:
    """Counts and latencies of a deployment's live and mirrored requests.

    Attributes:
        errors: answered with 5xx, or not at all.
        refused: answered with 4xx.
        p50_ms: median latency; None without requests.
    """

    requests: int = 0
    errors: int = 0
    refused: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None

    @property
    def error_rate(self) -> float:
        """Share of requests that failed; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def refusal_rate(self) -> float:
        """Share of requests that were refused; 0 without requests."""
        return self.refused / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Answer:
    """A deployment's answer to a direct request."""

    status: int
    body: Any
    milliseconds: float


class Endpoint(Protocol):
    """An online endpoint and its deployments. Every method can be repeated without harm.

    Raises:
        EndpointError: by every method, when the operation fails.
    """

    name: str
    pause: float  # seconds between two readings of live metrics
    rehearses: bool  # whether held-out rows may be sent where there are no live requests
    keeps_old: bool  # whether the old deployment may stay for a while after a release

    @property
    def record(self) -> Record | None:
        """The record of its releases, where others find it; None: on this machine."""

    def open(self) -> None:
        """Start the endpoint, if it runs on this machine; create it, if there is none on Azure."""

    def view(self) -> View:
        """Read the endpoint's state."""

    def deploy(self, name: str, version: str) -> None:
        """Make a deployment serve a model version; it answers when this returns."""

    def attach_autoscale(self, name: str) -> None:
        """Let a deployment scale as the one that serves, before it gets traffic."""

    def set_traffic(self, percent: Mapping[str, int]) -> None:
        """Split live requests over deployments; the percentages sum to 100, or there are none."""

    def set_mirror(self, percent: Mapping[str, int]) -> None:
        """Copy a share of the live requests to one deployment without traffic; {} ends it."""

    def invoke(self, deployment: str, payload: Any) -> Answer:
        """Send a request to one deployment, whatever the traffic."""

    def ask(self, payload: Any) -> Answer:
        """Send a request as clients do; the traffic decides which deployment answers."""

    def round_trip(self) -> float:
        """Measure a request that no deployment answers: milliseconds that are not the model's."""

    def live_metrics(self, deployment: str, since: float) -> Metrics:
        """Measure a deployment's live and mirrored requests since a moment (Unix time)."""

    def delete(self, name: str) -> None:
        """Remove a deployment that has no traffic."""


class Event(BaseModel):
    """A line of history.json: from when on a deployment serves a version, or is gone."""

    at: str
    event: str
    deployment: str
    version: str
