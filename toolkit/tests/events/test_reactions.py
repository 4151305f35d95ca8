"""Reactions to events: repeated, out of order, with crashes between."""

from __future__ import annotations

import contextlib
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.events.event import Event, Queue, read_event
from modelyard.events.ledger import LEASE, Busy
from modelyard.events.reactions import handle

from tests import payloads
from tests.fakes import PROJECT, Azure, Killed


def breach(run: str = "calm_cat_y2", time: str = "2026-11-02T03:20:00Z", event: str = "1") -> Event:
    return read_event("monitor-breached", payloads.breached(run, eventTime=time, id=event))


REGISTERED = read_event("model-registered", payloads.registered())
FAILED = read_event("run-failed", payloads.failed())


def test_a_registered_version_is_tested_on_the_rows_it_was_registered_with(azure: Azure) -> None:
    assert "flight-delay:3 is tested by job model-test-" in handle(REGISTERED, azure.services)
    ((name, job),) = azure.jobs.started.items()
    assert name == f"model-test-{REGISTERED.key}"
    assert job.pipeline == "model-test"
    kept = "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid.brave_bear_x1"
    assert job.inputs == {
        "model": "azureml:flight-delay:3",
        "baseline": f"{kept}/baseline",
        "prepared": f"{kept}/prepared",
        "contract": f"{kept}/contract/contract.yml",
    }


def test_a_version_of_another_model_is_ignored(azure: Azure) -> None:
    event = read_event("model-registered", payloads.registered("other-model"))
    assert handle(event, azure.services) == "other-model:3 is not a version of flight-delay"
    assert not azure.jobs.started


def test_a_version_without_a_run_is_not_tested(azure: Azure) -> None:
    body = payloads.changed(
        json.loads(payloads.registered()), {"ModelProperties": {"type": "test"}}
    )
    outcome = handle(read_event("model-registered", body), azure.services)
    assert "no training run" in outcome
    assert not azure.jobs.started


def test_a_failed_run_is_reported_to_operations(azure: Azure) -> None:
    handle(FAILED, azure.services)
    (notice,) = azure.notices
    assert notice.startswith("run brave_bear_x1 of experiment training failed in prod; az ml job")


def test_a_breach_starts_the_training_pipeline(azure: Azure) -> None:
    handle(breach(), azure.services)
    ((name, job),) = azure.jobs.started.items()
    assert name.startswith("retraining-")
    assert (job.pipeline, job.inputs) == ("retrain", {})
    assert job.tags["monitor_run"] == "calm_cat_y2"


@pytest.mark.parametrize("event", [REGISTERED, FAILED, breach()], ids=lambda event: event.queue)
def test_an_event_that_is_delivered_twice_has_one_reaction(azure: Azure, event: Event) -> None:
    first = handle(event, azure.services)
    again = event.model_copy(update={"id": "another delivery"})
    assert handle(event, azure.services) == f"handled before, by event {event.id}: {first}"
    assert first in handle(again, azure.services)
    assert len(azure.jobs.started) + len(azure.notices) == 1
    assert azure.jobs.refused == 0


def test_an_event_that_is_being_handled_is_busy(azure: Azure) -> None:
    azure.jobs.killed_before = True
    with pytest.raises(Killed):
        handle(REGISTERED, azure.services)
    with pytest.raises(Busy, match="flight-delay:3 has been claimed since 03:30:00"):
        handle(REGISTERED, azure.services)


@pytest.mark.parametrize("event", [REGISTERED, breach()], ids=lambda event: event.queue)
@pytest.mark.parametrize("moment", ["killed_before", "killed_after"])
def test_a_crash_neither_loses_nor_repeats_a_reaction(
    azure: Azure, event: Event, moment: str
) -> None:
    setattr(azure.jobs, moment, True)
    with pytest.raises(Killed):
        handle(event, azure.services)
    setattr(azure.jobs, moment, False)
    azure.wait(minutes=10)
    with pytest.raises(Busy):
        handle(event, azure.services)
    azure.wait(minutes=10)
    handle(event, azure.services)
    assert len(azure.jobs.started) == 1
    assert "handled before" in handle(event, azure.services)


@pytest.mark.parametrize("event", [REGISTERED, breach()], ids=lambda event: event.queue)
def test_after_an_error_the_next_attempt_begins_at_once(azure: Azure, event: Event) -> None:
    azure.jobs.error = OSError("no network")
    with pytest.raises(OSError, match="no network"):
        handle(event, azure.services)
    azure.jobs.error = None
    handle(event, azure.services)
    assert len(azure.jobs.started) == 1


def test_of_two_deliveries_at_the_same_moment_one_is_handled(azure: Azure) -> None:
    class Overtaken(type(azure.store)):  # type: ignore[misc]
        def create(self, name: str, content: bytes) -> str | None:
            azure.store.create(name, content.replace(b'"by": "', b'"by": "other'))
            return azure.store.create(name, content)

        read = azure.store.read

    services = azure.services
    object.__setattr__(services, "store", Overtaken())
    with pytest.raises(Busy):
        handle(REGISTERED, services)
    assert not azure.jobs.started


def test_signals_that_breach_together_start_one_retraining(azure: Azure) -> None:
    outcomes = [handle(breach(f"signal_{n}"), azure.services) for n in range(4)]
    (job,) = azure.jobs.started
    assert [job in outcome for outcome in outcomes] == [True] * 4
    assert [" answered by " in outcome for outcome in outcomes] == [False, True, True, True]


def test_the_next_breach_counts_when_the_cool_down_is_over(azure: Azure) -> None:
    handle(breach("first", azure.now_as_event_time()), azure.services)
    azure.wait(days=6, hours=23)
    assert "answered by" in handle(breach("second", azure.now_as_event_time()), azure.services)
    azure.wait(hours=2)
    assert "started" in handle(breach("third", azure.now_as_event_time()), azure.services)
    assert len(azure.jobs.started) == 2


def test_a_breach_from_before_the_last_retraining_is_answered_by_it(azure: Azure) -> None:
    handle(breach("later", azure.now_as_event_time()), azure.services)
    azure.wait(days=30)
    old = breach("earlier", azure.now_as_event_time(days=31))
    assert "answered by" in handle(old, azure.services)
    assert len(azure.jobs.started) == 1


def test_another_breach_waits_while_a_retraining_is_being_started(azure: Azure) -> None:
    azure.jobs.killed_before = True
    with pytest.raises(Killed):
        handle(breach("first"), azure.services)
    azure.jobs.killed_before = False
    with pytest.raises(Busy, match="is being started"):
        handle(breach("second"), azure.services)
    azure.wait(seconds=LEASE.total_seconds())
    assert "started" in handle(breach("second"), azure.services)


def test_a_retraining_that_was_started_before_a_crash_answers_the_next_breach(azure: Azure) -> None:
    azure.jobs.killed_after = True
    with pytest.raises(Killed):
        handle(breach("first"), azure.services)
    azure.jobs.killed_after = False
    azure.wait(seconds=LEASE.total_seconds())
    assert "answered by" in handle(breach("second"), azure.services)
    assert len(azure.jobs.started) == 1


def test_a_retraining_that_cannot_start_leaves_the_last_cool_down_as_it_was(azure: Azure) -> None:
    handle(breach("first", azure.now_as_event_time()), azure.services)
    azure.wait(days=8)
    azure.jobs.error = OSError("no network")
    with pytest.raises(OSError, match="no network"):
        handle(breach("second", azure.now_as_event_time()), azure.services)
    azure.jobs.error = None
    late = breach("late", azure.now_as_event_time(days=5))
    assert "answered by" in handle(late, azure.services)
    assert "started" in handle(breach("second", azure.now_as_event_time()), azure.services)


def test_without_a_cool_down_every_breach_counts(azure: Azure) -> None:
    azure.settings = azure.settings.model_copy(update={"cool_down_days": 0})
    for run in ("first", "second"):
        handle(breach(run, azure.now_as_event_time()), azure.services)
        azure.wait(minutes=1)
    assert len(azure.jobs.started) == 2


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["model-registered", "monitor-breached", "run-failed"]),
        st.integers(0, 2),
        st.sampled_from(["fine", "error", "killed_before", "killed_after"]),
        st.integers(0, 20),
    ),
    max_size=15,
)


@given(STEPS)
def test_every_event_has_one_reaction_in_the_end_whatever_fails(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Queue, int, str, int]]
) -> None:
    project = tmp_path_factory.getbasetemp() / "project"
    (project / "conf").mkdir(parents=True, exist_ok=True)
    (project / "conf" / "project.yml").write_text(PROJECT)
    azure = Azure(project)
    events: dict[str, Event] = {}
    for queue, which, fault, minutes in steps:
        event = {
            "model-registered": lambda n: payloads.registered(version=n),
            "monitor-breached": lambda n: payloads.breached(f"monitor_{n}"),
            "run-failed": lambda n: payloads.failed(f"run_{n}"),
        }[queue](which)
        read = events.setdefault(f"{queue} {which}", read_event(queue, event))
        azure.jobs.error = OSError() if fault == "error" else None
        azure.jobs.killed_before = fault == "killed_before"
        azure.jobs.killed_after = fault == "killed_after"
        with contextlib.suppress(Busy, OSError, Killed):
            handle(read, azure.services)
        azure.wait(minutes=minutes)
    azure.jobs.error, azure.jobs.killed_before, azure.jobs.killed_after = None, False, False
    for event, _ in itertools.product(events.values(), range(2)):
        azure.wait(seconds=LEASE.total_seconds())
        handle(event, azure.services)
    tests = [name for name, job in azure.jobs.started.items() if job.pipeline == "model-test"]
    assert len(tests) == sum(name.startswith("model-registered") for name in events)
    assert len(azure.notices) == sum(name.startswith("run-failed") for name in events)
    retrainings = len(azure.jobs.started) - len(tests)
    assert retrainings == min(1, sum(name.startswith("monitor-breached") for name in events))
