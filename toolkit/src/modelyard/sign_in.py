"""Signing in to Azure from a pipeline, without a secret and for as long as the job takes.

The assertion with which a provider vouches for a job lives ten minutes, and so the Azure CLI, which keeps the
one of its login, is refused a token for another audience later on (AADSTS700024). Here each token is asked for
with a fresh assertion.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from modelyard.errors import UsageError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

AUDIENCE = "api://AzureADTokenExchange"
_TIMEOUT, _PAUSES = 30, (2, 10, 30)  # seconds
_CONNECTION = "AZURESUBSCRIPTION_"  # what AzureCLI@2 says of its service connection begins so


def pipeline_credential(settings: Mapping[str, str] = os.environ) -> TokenCredential | None:
    """Return the credential of a job of GitHub Actions or Azure Pipelines; None elsewhere.

    Libraries that sign in by themselves use it from then on, too. azureml-mlflow would try azure-identity's
    default chain, which has no such credential, then ask somebody at a browser that is not there.

    Raises:
        UsageError: the job may ask for assertions, and does not say for whom.
    """
    if url := settings.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        from azure.identity import ClientAssertionCredential

        token = settings["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
        tenant, client = (_given(settings, f"AZURE_{name}_ID") for name in ("TENANT", "CLIENT"))
        found = ClientAssertionCredential(tenant, client, lambda: github_assertion(url, token))
        return _everywhere(found)
    if settings.get("SYSTEM_OIDCREQUESTURI") and settings.get(f"{_CONNECTION}CLIENT_ID"):
        from azure.identity import AzurePipelinesCredential

        found = AzurePipelinesCredential(
            tenant_id=_given(settings, f"{_CONNECTION}TENANT_ID"),
            client_id=settings[f"{_CONNECTION}CLIENT_ID"],
            service_connection_id=_given(settings, f"{_CONNECTION}SERVICE_CONNECTION_ID"),
            system_access_token=_given(settings, "SYSTEM_ACCESSTOKEN"),
        )
        return _everywhere(found)
    return None


def _everywhere(credential: TokenCredential) -> TokenCredential:
    """Put a credential in the place of azure-identity's default chain, in this process."""
    identity: Any = importlib.import_module("azure.identity")

    def chain(*_: Any, **__: Any) -> Any:
        return identity.ChainedTokenCredential(credential)

    identity.DefaultAzureCredential = chain
    loaded: dict[str, Any] = dict(sys.modules)
    for name, module in loaded.items():
        if name.startswith("azureml.mlflow") and hasattr(module, "DefaultAzureCredential"):
            module.DefaultAzureCredential = chain
    return credential


def github_assertion(url: str, token: str) -> str:
    """Ask GitHub to vouch for this job, again where it is away: a release asks every hour.

    Raises:
        UsageError: GitHub refuses or does not answer.
    """
    request = Request(f"{url}&audience={AUDIENCE}", headers={"Authorization": f"bearer {token}"})  # noqa: S310
    pauses = [*_PAUSES]
    while True:
        try:
            with urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 (GitHub's own address)
                return str(json.load(answer)["value"])
        except (OSError, KeyError, ValueError) as error:
            if not pauses or getattr(error, "code", 500) < 500:
                raise UsageError(f"GitHub does not vouch for this job: {error}") from None
            time.sleep(pauses.pop(0))


def _given(settings: Mapping[str, str], name: str) -> str:
    if value := settings.get(name):
        return value
    raise UsageError(f"{name} is not set; `mlops connect` sets it up for the pipelines")
