"""Handling of messages, and the settings on which the code, the host and the infrastructure agree."""

from __future__ import annotations

import json
import logging
import re
import runpy
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from modelyard.errors import UsageError
from modelyard.events.event import BREACH_TAG, Queue
from modelyard.events.ledger import LEASE
from modelyard.events.receive import MAX_ATTEMPTS, NOTICE, receive
from modelyard.events.settings import read_settings

from tests import payloads
from tests.fakes import Azure
from tests.project import ROOT

GIVEN = {
    "EVENTS_CLIENT_ID": "client",
    "EVENTS_SUBSCRIPTION_ID": "subscription",
    "EVENTS_RESOURCE_GROUP": "group",
    "EVENTS_WORKSPACE": "workspace",
    "EVENTS_ENVIRONMENT": "dev",
    "EVENTS_STATE": "https://account.blob.core.windows.net/event-state",
    "EVENTS_COOL_DOWN_DAYS": "3",
}


def notices(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith(NOTICE)]


def test_the_outcome_is_logged(azure: Azure, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert receive("model-registered", payloads.registered(), 1, lambda: azure.services)
    assert "flight-delay:3 is tested by job model-test-" in caplog.text
    assert not notices(caplog)


def test_an_invalid_message_is_reported_and_goes_to_the_poison_queue_at_once(
    azure: Azure, caplog: pytest.LogCaptureFixture
) -> None:
    assert not receive("run-failed", b'{"id": "x"}', 1, lambda: azure.services)
    (notice,) = notices(caplog)
    assert "run-failed-poison: type: Field required" in notice.replace("eventType", "type")


def test_a_failure_is_raised_and_reported_at_the_last_attempt(
    azure: Azure, caplog: pytest.LogCaptureFixture
) -> None:
    azure.jobs.error = OSError("no\nnetwork")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert not notices(caplog)
        with pytest.raises(OSError, match="network"):
            receive("model-registered", payloads.registered(), attempt, lambda: azure.services)
    (notice,) = notices(caplog)
    assert "about flight-delay:3 failed 5 times" in notice
    assert "\n" not in notice


def test_settings_are_read_from_the_apps_environment() -> None:
    settings = read_settings(GIVEN | {"PATH": "x"}, ROOT)
    assert settings.cool_down.days == 3
    assert settings.model


def test_all_missing_and_wrong_settings_are_named_at_once() -> None:
    given = GIVEN | {"EVENTS_COOL_DOWN_DAYS": "often", "EVENTS_STATE": "account"}
    del given["EVENTS_WORKSPACE"]
    with pytest.raises(UsageError) as caught:
        read_settings(given, ROOT)
    for name in ("EVENTS_COOL_DOWN_DAYS", "EVENTS_STATE", "EVENTS_WORKSPACE"):
        assert name in str(caught.value)


def test_a_project_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"project\.yml does not exist"):
        _ = read_settings(GIVEN, tmp_path).model


class App:
    """In place of azure.functions' FunctionApp: records the bindings of each function."""

    def __init__(self) -> None:
        self.bindings: dict[str, dict[str, str]] = {}
        self.functions: dict[str, Callable[[Any, Any], None]] = {}

    def function_name(self, name: str) -> Callable[[Any], Any]:
        def add(function: Any) -> None:
            self.functions[name] = function
            self.bindings[name] = function.bindings

        return add

    def _binding(self, arg_name: str, queue_name: str, connection: str) -> Callable[[Any], Any]:
        def add(function: Any) -> Any:
            function.bindings = getattr(function, "bindings", {}) | {arg_name: queue_name}
            return function

        return add

    queue_trigger = queue_output = _binding


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    """The sample project's function app."""
    functions = types.SimpleNamespace(FunctionApp=App, QueueMessage=Any, Out={bytes: Any})
    monkeypatch.setitem(sys.modules, "azure", types.ModuleType("azure"))
    monkeypatch.setattr(sys.modules["azure"], "functions", functions, raising=False)
    monkeypatch.setitem(sys.modules, "azure.functions", functions)
    monkeypatch.delitem(sys.modules, "modelyard.events.triggers", raising=False)
    app = runpy.run_path(str(ROOT / "events" / "function_app.py"))["app"]
    monkeypatch.delitem(sys.modules, "modelyard.events.triggers", raising=False)
    assert isinstance(app, App)
    return app


def test_every_queue_has_a_trigger_and_a_poison_queue(app: App) -> None:
    assert app.bindings == {
        queue.replace("-", "_"): {"message": queue, "poison": f"{queue}-poison"}
        for queue in get_args(Queue)
    }


def test_a_message_that_is_no_event_is_put_into_the_poison_queue(app: App) -> None:
    message = types.SimpleNamespace(get_body=lambda: b"{}", dequeue_count=None)
    put: list[bytes] = []
    app.functions["run_failed"](message, types.SimpleNamespace(set=put.append))
    assert put == [b"{}"]


def test_infrastructure_and_code_have_the_same_queues_settings_and_tag() -> None:
    modules = ROOT / "infra" / "modules"
    storage = (modules / "event-storage.bicep").read_text(encoding="utf-8")
    events = (modules / "events.bicep").read_text(encoding="utf-8")
    for queue in get_args(Queue):
        assert f"  '{queue}'\n" in storage
        assert f"  '{queue}-poison'\n" in storage
        assert f"name: '{queue}'" in events
    assert sorted(re.findall("EVENTS_[A-Z_]+", events)) == sorted(GIVEN)
    assert f"data.RunTags.{BREACH_TAG}" in events


def test_the_settings_of_the_host_fit_the_code() -> None:
    host = json.loads((ROOT / "events" / "host.json").read_text(encoding="utf-8"))
    queues = host["extensions"]["queues"]
    assert queues["maxDequeueCount"] == MAX_ATTEMPTS
    # Event Grid has written both plain text and base64: the code tells them apart, the host cannot.
    assert queues["messageEncoding"] == "none"
    hours, minutes, seconds = map(int, host["functionTimeout"].split(":"))
    assert (hours * 60 + minutes) * 60 + seconds < LEASE.total_seconds()
    hours, minutes, seconds = map(int, queues["visibilityTimeout"].split(":"))
    again = (hours * 60 + minutes) * 60 + seconds
    # After a crash the claim has run out before the attempts have.
    assert again * (MAX_ATTEMPTS - 2) > LEASE.total_seconds()
    # A notice that sampling drops is a mail that nobody gets.
    assert host["logging"]["applicationInsights"]["samplingSettings"]["isEnabled"] is False
