"""Cool-down of retraining: several signals and several runs of a monitor report the same drift."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.events.ledger import LEASE, Busy, Record
from modelyard.events.store import BlobStore

_NAME = "retraining.json"


class Last(Record):
    """The record of the latest retraining.

    Attributes:
        job: its name.
        begun: when a process began to start it.
        started: when it was started; None if it is being started, or the process crashed.
        by: id of the write; unique.
    """

    job: str
    begun: datetime
    started: datetime | None = None
    by: str


@dataclass(frozen=True)
class Turn:
    """The right to start a retraining; `before` is the record that it replaced."""

    etag: str
    last: Last
    before: Last | None


def take_turn(
    store: BlobStore,
    job: str,
    *,
    breach: datetime,
    now: datetime,
    cool_down: timedelta,
    exists: Callable[[str], bool],
) -> Turn | Last:
    """Take the right to start a retraining for a breach.

    Args:
        store: with the record of the latest retraining.
        job: name of the retraining that would be started.
        breach: when it was found; a retraining that was started later answers it.
        now: the time.
        cool_down: time after the start of a retraining in which no other is started.
        exists: whether there is a job of a name; called after a crash.

    Returns:
        The right, or the retraining that already answers this breach.

    Raises:
        Busy: another retraining is being started.
    """
    found = store.read(_NAME)
    last = None if found is None else Last.model_validate_json(found.content)
    if last is not None and last.started is None and last.job != job:
        if now < last.begun + LEASE:
            raise Busy(f"retraining {last.job} is being started")
        if exists(last.job):
            last = last.model_copy(update={"started": last.begun})
    if (
        last is not None
        and last.started is not None
        and (last.job == job or breach < last.started + cool_down)
    ):
        return last
    mine = Last(job=job, begun=now, by=secrets.token_hex(8))
    etag = (
        store.create(_NAME, mine.serialized())
        if found is None
        else store.replace(_NAME, mine.serialized(), found.etag)
    )
    if etag is None:
        raise Busy("another retraining began a moment ago")
    return Turn(etag, mine, last)


def begin_cool_down(store: BlobStore, turn: Turn, now: datetime) -> bool:
    """Record that the retraining was started; return False if the right had expired."""
    return _replace(store, turn, turn.last.model_copy(update={"started": now}))


def release_turn(store: BlobStore, turn: Turn) -> None:
    """Release the right, so that the next breach can start a retraining."""
    if turn.before is None:
        store.remove(_NAME, turn.etag)
    else:
        _replace(store, turn, turn.before)


def _replace(store: BlobStore, turn: Turn, last: Last) -> bool:
    content = last.model_copy(update={"by": secrets.token_hex(8)}).serialized()
    return store.replace(_NAME, content, turn.etag) is not None
