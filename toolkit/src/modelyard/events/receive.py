"""From a message in a queue to what it leads to; `function_app` holds the triggers."""

from __future__ import annotations

import functools
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from modelyard.events.event import Queue, UnreadableEvent, read_event
from modelyard.events.jobs import AzureJobs
from modelyard.events.reactions import Services, handle
from modelyard.events.settings import read_settings
from modelyard.events.store import BlobStore

log = logging.getLogger(__name__)

# An alert rule looks for log messages that begin like this, and mails them (infra/modules/alerts.bicep).
NOTICE = "operations notice:"
# After so many attempts the host moves a message to the poison queue (host.json: maxDequeueCount).
MOST_ATTEMPTS = 5


def receive(queue: Queue, body: bytes, attempt: int, services: Services | None = None) -> bool:
    """Handle a message.

    Args:
        queue: that it came through.
        body: as it came.
        attempt: 1 for the first.
        services: default: those of Azure.

    Returns:
        False if nobody understands it: it belongs into the poison queue.

    Raises:
        Exception: it is to be tried again.
    """
    try:
        event = read_event(queue, body)
    except UnreadableEvent as error:
        notify(f"a message cannot be understood and is now in queue {queue}-poison: {error}")
        return False
    try:
        log.info("%s %s: %s", queue, event.id, handle(event, services or azure_services()))
    except Exception as error:
        if attempt >= MOST_ATTEMPTS:
            notify(
                f"event {event.id} about {event.data.about} failed {attempt} times and goes to queue "
                f"{queue}-poison: {type(error).__name__}: {error}"
            )
        raise
    return True


def notify(text: str) -> None:
    """Tell the operations address: one line, whatever the event said."""
    log.error("%s %s", NOTICE, " ".join(text.split()))


@functools.cache
def azure_services() -> Services:
    """Ledger and jobs on Azure, as the app's settings say."""
    from azure.identity import ManagedIdentityCredential

    settings = read_settings(os.environ, Path(__file__).parents[1] / "project")
    credential = ManagedIdentityCredential(client_id=settings.client_id)
    return Services(
        settings=settings,
        store=BlobStore(settings.state, credential),
        jobs=AzureJobs(settings, credential),
        notify=notify,
        now=lambda: datetime.now(UTC),
    )
