"""Reading what Event Grid puts into a queue."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.events.event import Queue, Registered, Run, UnreadableEvent, read_event

from tests import payloads

QUEUES: tuple[Queue, ...] = ("model-registered", "monitor-breached", "run-failed")


def test_the_documented_model_registered_event_is_read() -> None:
    event = read_event("model-registered", json.dumps(payloads.MODEL_REGISTERED).encode())
    assert isinstance(event.data, Registered)
    assert event.data.about == "sklearn_regression_model:20"
    assert event.data.properties == {"type": "test"}
    assert event.id == "831e1650-001e-001b-66ab-eeb76e069631"
    assert event.time == datetime(2017, 6, 26, 18, 41, 0, 958410, tzinfo=UTC)


def test_the_documented_run_status_changed_event_is_read() -> None:
    event = read_event("run-failed", json.dumps(payloads.RUN_STATUS_CHANGED).encode())
    assert isinstance(event.data, Run)
    assert event.data.name == "AutoML_ad912b2d-6467-4f32-a616-dbe4af6dd8fc_5"
    assert event.data.experiment == "automl-local-regression"
    assert event.data.breach is None


def test_the_documented_breach_is_read() -> None:
    event = read_event("monitor-breached", payloads.breached())
    assert isinstance(event.data, Run)
    assert event.data.breach == payloads.BREACH


@pytest.mark.parametrize(
    ("queue", "event"),
    [
        ("model-registered", payloads.MODEL_REGISTERED),
        ("run-failed", payloads.RUN_STATUS_CHANGED),
    ],
)
def test_schema_encoding_and_list_make_no_difference(queue: Queue, event: dict[str, Any]) -> None:
    plain = json.dumps(event).encode()
    seen = read_event(queue, plain)
    assert read_event(queue, payloads.cloud_event(event)) == seen
    assert read_event(queue, base64.b64encode(plain)) == seen
    assert read_event(queue, b"[" + plain + b"]") == seen


def test_the_case_of_the_datas_keys_makes_no_difference() -> None:
    written = payloads.RUN_STATUS_CHANGED | {
        "data": {k[0].upper() + k[1:]: v for k, v in payloads.RUN_STATUS_CHANGED["data"].items()}
    }
    assert read_event("run-failed", json.dumps(written).encode()) == read_event(
        "run-failed", json.dumps(payloads.RUN_STATUS_CHANGED).encode()
    )


def test_unknown_fields_are_ignored() -> None:
    body = payloads.changed(payloads.RUN_STATUS_CHANGED, {"parentRunId": {"a": [1]}}, new=1)
    assert read_event("run-failed", body).data.about.startswith("AutoML")


@pytest.mark.parametrize(
    ("queue", "body", "reason"),
    [
        ("run-failed", b"", "expected JSON"),
        ("run-failed", b'{"id": ', "expected JSON"),
        ("run-failed", b"bm8ganNvbg==", "expected JSON"),
        ("run-failed", b"\xff\xfe", "expected JSON"),
        ("run-failed", b"[" * 5000, "expected JSON"),
        ("run-failed", b"[]", "a list of 0"),
        ("run-failed", b"[{}, {}]", "a list of 2"),
        ("run-failed", b"{}", "id: Field required"),
        ("run-failed", payloads.registered(), "expected a RunStatusChanged event"),
        ("model-registered", payloads.failed(), "expected a ModelRegistered event"),
        (
            "model-registered",
            payloads.changed(payloads.MODEL_REGISTERED, {"ModelName": None}),
            "modelname",
        ),
        (
            "run-failed",
            payloads.changed(payloads.RUN_STATUS_CHANGED, {"runStatus": "Completed"}),
            "expected a failed run, found status 'Completed'",
        ),
        (
            "monitor-breached",
            payloads.changed(payloads.RUN_STATUS_CHANGED, {"runTags": {"other_tag": "x"}}),
            "expected the run tag azureml_modelmonitor_threshold_breached, found tags: other_tag",
        ),
        ("run-failed", payloads.failed(eventTime="soon"), "datetime"),
        (
            "run-failed",
            payloads.failed(eventTime="0001-01-01T00:00:00+14:00"),
            "not representable in UTC",
        ),
    ],
)
def test_an_invalid_event_is_refused_with_the_reason(
    queue: Queue, body: bytes, reason: str
) -> None:
    with pytest.raises(UnreadableEvent, match=reason):
        read_event(queue, body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(QUEUES), st.binary() | json_values.map(lambda v: json.dumps(v).encode()))
def test_any_message_is_read_or_unreadable(queue: Queue, body: bytes) -> None:
    with contextlib.suppress(UnreadableEvent):
        read_event(queue, body)


@given(
    st.sampled_from(QUEUES),
    st.sampled_from([payloads.registered(), payloads.failed(), payloads.breached()]),
    st.data(),
)
def test_a_damaged_event_is_read_or_unreadable(queue: Queue, body: bytes, data: Any) -> None:
    event = json.loads(body)
    place = data.draw(st.sampled_from([event, event["data"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(json_values)
    with contextlib.suppress(UnreadableEvent):
        read_event(queue, json.dumps(event).encode())


def test_the_key_depends_on_the_run_and_queue_not_on_the_delivery() -> None:
    first = read_event("monitor-breached", payloads.breached(id="1"))
    finalizing = payloads.breached(id="2", eventTime="2017-06-26T18:45:00Z")
    assert read_event("monitor-breached", finalizing).key == first.key
    assert read_event("monitor-breached", payloads.breached("other_run")).key != first.key
    as_failure = payloads.changed(json.loads(payloads.breached()), {"runStatus": "Failed"})
    assert read_event("run-failed", as_failure).key != first.key
