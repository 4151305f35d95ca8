"""Ledger of handled events, so that an event that is delivered twice has one reaction.

An event is claimed before the reaction and marked as done after it. A claim expires, so that after a
crash the next delivery takes it over. The reaction may then begin twice; `jobs` refuses the second job.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from modelyard.events.event import Event
from modelyard.events.store import BlobStore

# Longer than a function may run (host.json: functionTimeout): no claim in use expires.
LEASE = timedelta(minutes=15)


class Busy(Exception):
    """Another process has the claim, or crashed with it: try again later."""


class Record(BaseModel):
    """What a blob holds."""

    model_config = ConfigDict(frozen=True)

    def serialized(self) -> bytes:
        """Serialize the record."""
        return self.model_dump_json(indent=2).encode()


class Entry(Record):
    """The ledger's record of an event.

    Attributes:
        by: id of the claim; unique.
        outcome: of the reaction.
    """

    state: Literal["claimed", "done"]
    at: datetime
    by: str
    queue: str
    event: str
    about: str
    outcome: str | None = None


@dataclass(frozen=True)
class Claim:
    """The right to handle an event."""

    name: str
    etag: str
    entry: Entry


def claim(store: BlobStore, event: Event, now: datetime) -> Claim | Entry:
    """Claim an event.

    Returns:
        The claim, or the record of an event that was handled before.

    Raises:
        Busy: another process has claimed it.
    """
    name = f"handled/{event.queue}/{event.key}.json"
    entry = Entry(
        state="claimed",
        at=now,
        by=secrets.token_hex(8),
        queue=event.queue,
        event=event.id,
        about=event.data.about,
    )
    etag = store.create(name, entry.serialized())
    if etag is None:
        found = store.read(name)
        if found is None:
            raise Busy(f"a claim of {entry.about} was released a moment ago")
        earlier = Entry.model_validate_json(found.content)
        if earlier.state == "done":
            return earlier
        if now < earlier.at + LEASE:
            raise Busy(f"{entry.about} has been claimed since {earlier.at:%H:%M:%S}")
        etag = store.replace(name, entry.serialized(), found.etag)
    if etag is None:
        raise Busy(f"{entry.about} was claimed by another process a moment ago")
    return Claim(name, etag, entry)


def finish(store: BlobStore, mine: Claim, outcome: str, now: datetime) -> bool:
    """Mark an event as handled; return False if the claim expired and another process took it over."""
    done = mine.entry.model_copy(update={"state": "done", "at": now, "outcome": outcome})
    return store.replace(mine.name, done.serialized(), mine.etag) is not None


def release(store: BlobStore, mine: Claim) -> None:
    """Release a claim, so that the next delivery can be handled at once."""
    store.remove(mine.name, mine.etag)
