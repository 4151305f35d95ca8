"""What an event leads to."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from modelyard.events import ledger
from modelyard.events.cool_down import Last, begin_cool_down, give_up, take_turn
from modelyard.events.event import RUN_PROPERTY, Event, Registered, Run
from modelyard.events.jobs import Jobs
from modelyard.events.ledger import Claim, Entry
from modelyard.events.settings import Settings
from modelyard.events.store import Store

log = logging.getLogger(__name__)

# Where the artifacts of a run are; a version's rows, baseline and contract are with the run it came from.
_ARTIFACTS = "azureml://datastores/workspaceartifactstore/paths/ExperimentRun/dcid."


@dataclass(frozen=True)
class Services:
    """What reactions are made with.

    Attributes:
        notify: tells the operations address.
    """

    settings: Settings
    store: Store
    jobs: Jobs
    notify: Callable[[str], None]
    now: Callable[[], datetime]


def handle(event: Event, services: Services) -> str:
    """React to an event, once.

    Returns:
        What was done, in words.

    Raises:
        Busy: somebody else is handling it; to be tried again.
        Exception: whatever went wrong; the event can be tried again.
    """
    mine = ledger.claim(services.store, event, services.now())
    if isinstance(mine, Entry):
        return f"handled before, by event {mine.event}: {mine.outcome}"
    try:
        outcome = _react(event, services)
    except Exception:
        _give_back(services.store, mine)
        raise
    if not ledger.finish(services.store, mine, outcome, services.now()):
        log.warning("%s took longer than its claim lasts", event.data.about)
    return outcome


def _give_back(store: Store, mine: Claim) -> None:
    try:
        ledger.give_back(store, mine)
    except Exception:  # what went wrong in the first place is what is to be seen
        log.warning("the claim of %s stays until it runs out", mine.entry.about, exc_info=True)


def _react(event: Event, services: Services) -> str:
    data = event.data
    if isinstance(data, Registered):
        return _test(event, data, services)
    if event.queue == "monitor-breached":
        return _retrain(event, data, services)
    return _tell(data, services)


def _test(event: Event, registered: Registered, services: Services) -> str:
    """Start the offline test of a registered model version."""
    model = services.settings.model
    if registered.model != model:
        return f"{registered.about} is not a version of {model}"
    run = registered.properties.get(RUN_PROPERTY)
    if not run:
        return f"{registered.about} came from no training run: there are no held-out rows to test it on"
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
    """Start the retraining pipeline, unless one was started lately."""
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
        services.jobs.submit("train", job, {}, {"monitor_run": run.name, "event": event.id})
    except Exception:
        with contextlib.suppress(Exception):  # the turn runs out by itself
            give_up(services.store, turn)
        raise
    if not begin_cool_down(services.store, turn, services.now()):
        log.warning("starting retraining %s took longer than its turn lasts", job)
    return f"the breach found by {run.name} started retraining {job}"


def _tell(run: Run, services: Services) -> str:
    """Tell the operations address of a failed run."""
    where = services.settings
    services.notify(
        f"run {run.name} of experiment {run.experiment or 'unknown'} failed in {where.environment}; "
        f"az ml job show --name {run.name} --workspace-name {where.workspace} "
        f"--resource-group {where.resource_group}"
    )
    return f"told operations that run {run.name} failed"


def _job_name(what: str, event: Event) -> str:
    """The same whenever the same thing is told: a second job of a name is refused."""
    return f"{what}-{event.key}"
