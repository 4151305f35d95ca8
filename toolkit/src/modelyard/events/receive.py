"""Handling of a queue's message, with services on Azure."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from modelyard.events.event import Queue, UnreadableEvent, read_event
from modelyard.events.jobs import AzureJobs
from modelyard.events.reactions import Services, handle
from modelyard.events.settings import read_settings
from modelyard.events.store import BlobStore

log = logging.getLogger(__name__)

# An alert rule mails log messages that begin like this (infra/modules/alerts.bicep).
NOTICE = "operations notice:"
# After so many attempts the host moves a message to the poison queue (host.json: maxDequeueCount).
MAX_ATTEMPTS = 5


def receive(queue: Queue, body: bytes, attempt: int, services: Callable[[], Services]) -> bool:
    """Handle a message.

    Args:
        queue: in which the message was.
        body: of the message.
        attempt: 1 for the first.
        services: gives the services; it is called for events that can be read.

    Returns:
        False if the message is not a valid event and belongs into the poison queue.

    Raises:
        Exception: handling failed; the host delivers the message again.
    """
    try:
        event = read_event(queue, body)
    except UnreadableEvent as error:
        notify(f"a message is not a valid event and is now in queue {queue}-poison: {error}")
        return False
    try:
        log.info("%s %s: %s", queue, event.id, handle(event, services()))
    except Exception as error:
        if attempt >= MAX_ATTEMPTS:
            notify(
                f"event {event.id} about {event.data.about} failed {attempt} times and goes to queue "
                f"{queue}-poison: {type(error).__name__}: {error}"
            )
        raise
    return True


def notify(text: str) -> None:
    """Log a notice to operations, on one line."""
    log.error("%s %s", NOTICE, " ".join(text.split()))


@functools.cache
def azure_services(project: Path) -> Services:
    """Return the services on Azure that the app's settings name.

    Raises:
        UsageError: a setting is missing or wrong.
    """
    from azure.identity import ManagedIdentityCredential

    settings = read_settings(os.environ, project)
    credential = ManagedIdentityCredential(client_id=settings.client_id)
    return Services(
        settings=settings,
        store=BlobStore(settings.state, credential),
        jobs=AzureJobs(settings, credential),
        notify=notify,
        now=lambda: datetime.now(UTC),
    )
