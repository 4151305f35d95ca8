"""Signing in from a pipeline: a fresh assertion for each token."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from modelyard import azure
from modelyard.errors import UsageError
from modelyard.sign_in import github_assertion, pipeline_credential

from tests.delivery.api import api


def has_identity(monkeypatch: pytest.MonkeyPatch, **classes: Any) -> None:
    """Put classes in the place of azure-identity's, which is not in .venv."""
    identity: Any = SimpleNamespace(ChainedTokenCredential=lambda *chain: list(chain), **classes)
    monkeypatch.setitem(sys.modules, "azure", SimpleNamespace(identity=identity))  # type: ignore[misc]
    monkeypatch.setitem(sys.modules, "azure.identity", identity)


def test_each_token_is_asked_for_with_a_fresh_assertion(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    away = [True, True, False]  # from its end: the first attempt finds GitHub away
    monkeypatch.setattr("time.sleep", lambda _: None)

    class Asks:
        def __init__(self, tenant: str, client: str, assertion: Any) -> None:
            assert (tenant, client) == ("t", "c")
            self.assertion = assertion

    has_identity(monkeypatch, ClientAssertionCredential=Asks)

    def answer(_: str, path: str, __: Any) -> Any:
        assert path.endswith("&audience=api://AzureADTokenExchange")
        if not away.pop():
            return 503
        given.append(f"assertion {len(given)}")
        return {"value": given[-1]}

    with api(answer) as url:
        credential: Any = pipeline_credential(
            {
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"{url}/token?job=1",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "token",
                "AZURE_TENANT_ID": "t",
                "AZURE_CLIENT_ID": "c",
            }
        )
        assert [credential.assertion(), credential.assertion()] == ["assertion 0", "assertion 1"]


def test_in_azure_pipelines_the_service_connection_signs_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_identity(monkeypatch, AzurePipelinesCredential=dict)
    found = pipeline_credential(
        {
            "SYSTEM_OIDCREQUESTURI": "https://dev.azure.com/acme/oidc",
            "SYSTEM_ACCESSTOKEN": "token",
            "AZURESUBSCRIPTION_CLIENT_ID": "c",
            "AZURESUBSCRIPTION_TENANT_ID": "t",
            "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID": "s",
        }
    )
    assert found == {  # what AzureCLI@2 says of its connection
        "tenant_id": "t",
        "client_id": "c",
        "service_connection_id": "s",
        "system_access_token": "token",
    }


def test_what_signs_in_by_itself_uses_the_credential_of_the_pipeline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """azureml-mlflow asks azure-identity's default chain, then somebody at a browser."""
    has_identity(monkeypatch, ClientAssertionCredential=lambda *_: "ours")
    plugin: Any = SimpleNamespace(DefaultAzureCredential=lambda: ["the browser"])
    monkeypatch.setitem(sys.modules, "azureml.mlflow._internal.utils", plugin)
    settings = {"ACTIONS_ID_TOKEN_REQUEST_URL": "x", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "y"}
    pipeline_credential({**settings, "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"})
    assert plugin.DefaultAzureCredential(authority="a") == ["ours"]
    assert sys.modules["azure.identity"].DefaultAzureCredential() == ["ours"]


def test_elsewhere_there_is_no_credential_of_a_pipeline() -> None:
    assert pipeline_credential({}) is None


def test_a_job_that_does_not_say_for_whom_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_identity(monkeypatch, ClientAssertionCredential=dict)
    settings = {"ACTIONS_ID_TOKEN_REQUEST_URL": "x", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "y"}
    with pytest.raises(UsageError, match="AZURE_TENANT_ID is not set"):
        pipeline_credential(settings)


def test_a_refusal_of_github_is_a_message() -> None:
    with api(lambda *_: None) as url, pytest.raises(UsageError, match="does not vouch"):
        github_assertion(f"{url}/token?job=1", "token")


def test_every_command_that_needs_azure_signs_in_as_the_pipeline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has_identity(
        monkeypatch,
        ClientAssertionCredential=lambda *_: "the pipeline",
        DefaultAzureCredential=lambda: "the default chain",
        ManagedIdentityCredential=lambda **_: "the compute",
    )
    for name in ("OBO_ENDPOINT", "DEFAULT_IDENTITY_CLIENT_ID", "SYSTEM_OIDCREQUESTURI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL", raising=False)
    assert azure.credential() == "the default chain"
    for name in ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        monkeypatch.setenv(name, "x")
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID"):
        monkeypatch.setenv(name, "y")
    assert azure.credential() == "the pipeline"
