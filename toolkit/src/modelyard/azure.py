"""Azure: the workspace of an environment, signing in, and requests that the SDKs do not send.

Azure's packages are imported inside functions: they are in requirements/cloud.txt, not in .venv.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from modelyard.errors import ModelyardError, UsageError
from modelyard.project import Environment, load_project
from modelyard.sign_in import pipeline_credential

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.credentials import TokenCredential

MANAGEMENT = "https://management.azure.com"
SUBSCRIPTION = "AZURE_SUBSCRIPTION_ID"
# The environment of conf/project.yml, in the steps that ask for it: what they do depends on where they run.
WHERE = "MLOPS_ENVIRONMENT"
_IN_JOBS = "AZUREML_ARM_SUBSCRIPTION"  # what Azure ML sets in its jobs
_TIMEOUT = 120.0
_PAUSE, _LONGEST_PAUSE = 10.0, 300.0  # seconds between attempts where Azure names none
_ATTEMPTS = 5  # of a request that no SDK sends
_PATIENCE = 1800.0  # seconds; a deployment scales or changes for some minutes
# 409: something else changes the resource, 429: too many requests; the rest: the service is away.
_LATER = (409, 429, 502, 503, 504)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")  # in messages of azure-ai-ml
_T = TypeVar("_T")

# Sends a request: method, address, headers, body. Gives status, headers in lower case, body.
Send = Callable[[str, str, Mapping[str, str], bytes | None], tuple[int, Mapping[str, str], bytes]]


class AzureFailed(ModelyardError):
    """Azure does not answer, or an operation failed there."""


@dataclass(frozen=True)
class Workspace:
    """The workspace of an environment of conf/project.yml, and a client that is signed in to it."""

    environment: str
    names: Environment
    subscription: str
    client: MLClient
    credential: TokenCredential

    @property
    def group_id(self) -> str:
        """Resource id of the resource group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.names.resource_group}"

    @functools.cached_property
    def tracking_uri(self) -> str:
        """The address of its MLflow server and model registry."""
        with azure_errors():
            return str(self.client.workspaces.get(self.names.workspace).mlflow_tracking_uri)


def open_workspace(root: Path, environment: str) -> Workspace:
    """Sign in to the workspace of an environment.

    Raises:
        UsageError: there is no such environment, Azure's packages are not installed, or no subscription
            is set.
    """
    names = load_project(root).environment(environment)
    subscription = os.environ.get(SUBSCRIPTION) or os.environ.get(_IN_JOBS)
    if not subscription:
        raise UsageError(
            f"{SUBSCRIPTION} is not set; set it to the subscription of {names.workspace}"
        )
    try:
        from azure.ai.ml import MLClient

        signed_in = credential()
    except ImportError:
        raise UsageError(
            "azure-ai-ml is not installed; the packages for Azure are in requirements/cloud.txt, which "
            "has an environment of its own"
        ) from None
    client = MLClient(signed_in, subscription, names.resource_group, names.workspace)
    return Workspace(environment, names, subscription, client, signed_in)


def use_workspace(root: Path, environment: str | None) -> Workspace | None:
    """Make the registry and MLflow server of an environment those of this process; None: leave them."""
    if environment is None:
        return None
    workspace = open_workspace(root, environment)
    os.environ["MLFLOW_TRACKING_URI"] = workspace.tracking_uri
    return workspace


@contextlib.contextmanager
def tracked_in(workspace: Workspace) -> Iterator[None]:
    """Let MLflow use the server of a workspace: its plug-in for Azure ML reads the variable, whatever it is told."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = workspace.tracking_uri
    try:
        yield
    finally:
        if before is None:
            del os.environ["MLFLOW_TRACKING_URI"]
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before


def credential() -> TokenCredential:
    """The credential for Azure: in a job that of the user or the compute, in a pipeline its own, else the default."""
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    if os.environ.get("OBO_ENDPOINT"):  # the job has `identity: {type: user_identity}`
        from azure.ai.ml.identity import AzureMLOnBehalfOfCredential

        return AzureMLOnBehalfOfCredential()
    if client := os.environ.get("DEFAULT_IDENTITY_CLIENT_ID"):
        return ManagedIdentityCredential(client_id=client)
    return pipeline_credential() or DefaultAzureCredential()


@contextlib.contextmanager
def azure_errors() -> Iterator[None]:
    """Raise errors of Azure's packages as AzureFailed."""
    from azure.ai.ml.exceptions import MlException
    from azure.core.exceptions import AzureError

    try:
        yield
    except (AzureError, MlException) as error:
        text = " ".join(_COLOUR.sub("", str(error)).split())
        raise AzureFailed(f"Azure: {text}") from error


def or_none(read: Callable[[], _T]) -> _T | None:
    """Read something with Azure's packages; None where there is none of it."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return read()
    except ResourceNotFoundError:
        return None


def patiently(action: Callable[[], _T], sleep: Callable[[float], None] = time.sleep) -> _T:
    """Do something with Azure's packages; wait while Azure says that it is busy.

    Azure's clients themselves repeat what was throttled, but a few times only, and nothing that is
    refused because something else changes the same resource.

    Raises:
        AzureFailed: it failed, or Azure was busy for half an hour.
    """
    from azure.core.exceptions import HttpResponseError

    until, attempt = time.monotonic() + _PATIENCE, 0
    while True:
        try:
            # azure-ai-ml prints dots while it waits; standard output is for results.
            with azure_errors(), contextlib.redirect_stdout(sys.stderr):
                return action()
        except AzureFailed as error:
            cause = error.__cause__
            if not isinstance(cause, HttpResponseError) or cause.status_code not in _LATER:
                raise
            headers = cause.response.headers if cause.response is not None else {}
            pause = retry_after(headers, attempt)
            if time.monotonic() + pause > until:
                raise
            attempt += 1
            sleep(pause)


def retry_after(headers: Mapping[str, str], attempt: int) -> float:
    """Return the seconds after which Azure asks to be asked again, else growing ones.

    It says so in milliseconds, seconds, or as the time of the next request.
    """
    named = {key.lower(): value for key, value in headers.items()}
    for key in ("retry-after-ms", "x-ms-retry-after-ms"):
        if named.get(key, "").isdecimal():
            return min(float(named[key]) / 1000, _PATIENCE)
    text = named.get("retry-after", "")
    if text.isdecimal():
        return min(float(text), _PATIENCE)
    with contextlib.suppress(ValueError):
        until = parsedate_to_datetime(text).timestamp() - time.time()
        return min(max(until, 0.0), _PATIENCE)
    return float(min(_PAUSE * 2**attempt, _LONGEST_PAUSE) * random.uniform(0.8, 1.2))  # noqa: S311


def sender() -> Send:
    """Return a function that sends requests on a connection that is kept alive.

    It raises AzureFailed if no answer comes.
    """
    import requests

    session = requests.Session()

    def send(
        method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            answer = session.request(method, url, data=body, headers=headers, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise AzureFailed(f"{url.split('/')[2]} does not answer: {error}") from None
        return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content

    return send


def send_patiently(
    send: Send,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request; where Azure is throttling or away, wait as long as it says and send it again."""
    for attempt in range(_ATTEMPTS - 1):
        found = send(method, url, headers, body)
        if found[0] not in (429, 502, 503, 504):
            return found
        sleep(retry_after(found[1], attempt))
    return send(method, url, headers, body)


def storage_container(workspace: Workspace) -> str:
    """Return the address of the container of the workspace's default datastore."""
    with azure_errors():
        store: Any = workspace.client.datastores.get_default()
    return f"{store.protocol}://{store.account_name}.blob.{store.endpoint}/{store.container_name}"
