"""Reactions to events: test a registered version, retrain after a breach, report a failed run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from modelyard.events import ledger
from modelyard.events.cool_down import Last, begin_cool_down, release_turn, take_turn
from modelyard.events.event import RUN_PROPERTY, Event, Registered, Run
from modelyard.events.jobs import AzureJobs
from modelyard.events.ledger import Claim, Entry
from modelyard.events.settings import Settings
from modelyard.events.store import BlobStore

log = logging.getLogger(__name__)

# Path of a run's artifacts, among them the held-out rows, the baseline and the contract.
_ARTIFACTS = "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid."


@dataclass(frozen=True)
class Services:
    """Services that reactions use.

    Attributes:
        notify: sends a notice to operations.
    """

    settings: Settings
    store: BlobStore
    jobs: AzureJobs
    notify: Callable[[str], None]
    now: Callable[[], datetime]


def handle(event: Event, services: Services) -> str:
    """React to an event, once.

    Returns:
        The outcome, as a sentence.

    Raises:
        Busy: another process is handling it; try again later.
        Exception: the reaction failed; the event can be tried again.
    """
    mine = ledger.claim(services.store, event, services.now())
    if isinstance(mine, Entry):
        return f"handled before, by event {mine.event}: {mine.outcome}"
    try:
        outcome = _react(event, services)
    except Exception:
        _release(services.store, mine)
        raise
    if not ledger.finish(services.store, mine, outcome, services.now()):
        log.warning("the reaction to %s took longer than its claim lasts", event.data.about)
    return outcome


def _release(store: BlobStore, mine: Claim) -> None:
    try:
        ledger.release(store, mine)
    except Exception:  # the error of the reaction is the one to raise
        log.warning(
            "the claim of %s could not be released and stays until it expires",
            mine.entry.about,
            exc_info=True,
        )


def _react(event: Event, services: Services) -> str:
    data = event.data
    if isinstance(data, Registered):
        return _test(event, data, services)
    if event.queue == "monitor-breached":
        return _retrain(event, data, services)
    return _report(data, services)


def _test(event: Event, registered: Registered, services: Services) -> str:
    """Start the offline test of a registered model version."""
    model = services.settings.model
    if registered.model != model:
        return f"{registered.about} is not a version of {model}"
    run = registered.properties.get(RUN_PROPERTY)
    if not run:
        return (
            f"{registered.about} has no training run, so there are no held-out rows to test it on"
        )
    artifacts = f"{_ARTIFACTS}{run}"
    job = _job_name("model-test", event)
    services.jobs.submit(
        "model-test",
        job,
        {
            "model": f"azureml:{registered.about}",
            "baseline": f"{artifacts}/baseline",
            "prepared": f"{artifacts}/prepared",
            "contract": f"{artifacts}/contract/contract.yml",
        },
        {"model": registered.about, "event": event.id},
    )
    return f"{registered.about} is tested by job {job}"


def _retrain(event: Event, run: Run, services: Services) -> str:
    """Start the retraining pipeline, unless the cool-down of the latest one lasts."""
    job = _job_name("retraining", event)
    turn = take_turn(
        services.store,
        job,
        breach=event.time,
        now=services.now(),
        cool_down=services.settings.cool_down,
        exists=services.jobs.exists,
    )
    if isinstance(turn, Last):
        return f"the breach found by {run.name} is answered by retraining {turn.job}"
    try:
        services.jobs.submit("retrain", job, {}, {"monitor_run": run.name, "event": event.id})
    except Exception:
        with contextlib.suppress(Exception):  # else the turn expires
            release_turn(services.store, turn)
        raise
    if not begin_cool_down(services.store, turn, services.now()):
        log.warning("starting retraining %s took longer than its turn lasts", job)
    return f"the breach found by {run.name} started retraining {job}"


def _report(run: Run, services: Services) -> str:
    """Report a failed run to operations."""
    at = services.settings
    services.notify(
        f"run {run.name} of experiment {run.experiment or 'unknown'} failed in {at.environment}; "
        f"az ml job show --name {run.name} --workspace-name {at.workspace} "
        f"--resource-group {at.resource_group}"
    )
    return f"reported to operations that run {run.name} failed"


def _job_name(kind: str, event: Event) -> str:
    """Name a job after what the event is about: the workspace refuses a second job of a name."""
    return f"{kind}-{event.key}"
