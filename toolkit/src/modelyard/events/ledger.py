"""What was handled already, so that an event told twice is acted upon once.

An event is claimed before anything is done and marked as done afterwards. A claim runs out: whoever
is told again after a crash takes it over. What is done in between may thus begin twice, and has to be
refused the second time (see `jobs`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from modelyard.events.event import Event
from modelyard.events.store import Store

# Longer than a function may run (host.json: functionTimeout), so that no living claim is taken over.
LEASE = timedelta(minutes=15)


class Busy(Exception):
    """Somebody else is at it, or crashed a moment ago: to be tried again."""


class Entry(BaseModel):
    """What the ledger says of one event.

    Attributes:
        by: of the claim; no two are the same.
        outcome: what was done.
    """

    model_config = ConfigDict(frozen=True)

    state: Literal["claimed", "done"]
    at: datetime
    by: str
    queue: str
    event: str
    about: str
    outcome: str | None = None

    def written(self) -> bytes:
        """As it is kept."""
        return self.model_dump_json(indent=2).encode()


@dataclass(frozen=True)
class Claim:
    """An event that is ours to handle."""

    name: str
    etag: str
    entry: Entry


def claim(store: Store, event: Event, now: datetime) -> Claim | Entry:
    """Claim an event, or find that it was handled.

    Returns:
        The claim, or the entry of an event that was handled before.

    Raises:
        Busy: somebody else has claimed it.
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
    etag = store.create(name, entry.written())
    if etag is None:
        found = store.read(name)
        if found is None:
            raise Busy(f"a claim of {entry.about} was given back a moment ago")
        earlier = Entry.model_validate_json(found.content)
        if earlier.state == "done":
            return earlier
        if now < earlier.at + LEASE:
            raise Busy(f"{entry.about} is claimed since {earlier.at:%H:%M:%S}")
        etag = store.replace(name, entry.written(), found.etag)
    if etag is None:
        raise Busy(f"{entry.about} was claimed by somebody else a moment ago")
    return Claim(name, etag, entry)


def finish(store: Store, mine: Claim, outcome: str, now: datetime) -> bool:
    """Mark an event as handled; False if the claim ran out and somebody else has taken it over."""
    done = mine.entry.model_copy(update={"state": "done", "at": now, "outcome": outcome})
    return store.replace(mine.name, done.written(), mine.etag) is not None


def give_back(store: Store, mine: Claim) -> None:
    """Let the next attempt begin at once."""
    store.remove(mine.name, mine.etag)
