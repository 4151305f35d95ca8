"""One retraining per breach: several signals, and several runs of a monitor, tell of the same drift."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from modelyard.events.ledger import LEASE, Busy
from modelyard.events.store import Store

_NAME = "retraining.json"


class Last(BaseModel):
    """The retraining that was started last, or is being started.

    Attributes:
        job: its name.
        begun: when somebody set about to start it.
        started: when it was started; None: not yet, or a crash came between.
        by: of the write; no two are the same.
    """

    model_config = ConfigDict(frozen=True)

    job: str
    begun: datetime
    started: datetime | None = None
    by: str

    def written(self) -> bytes:
        """As it is kept."""
        return self.model_dump_json(indent=2).encode()


@dataclass(frozen=True)
class Turn:
    """The right to start a retraining; `before` is the one before it, if any."""

    etag: str
    last: Last
    before: Last | None


def take_turn(
    store: Store,
    job: str,
    *,
    breach: datetime,
    now: datetime,
    cool_down: timedelta,
    exists: Callable[[str], bool],
) -> Turn | Last:
    """Whether a breach starts a retraining.

    Args:
        store: where the last one is kept.
        job: name of the retraining that would be started.
        breach: when it was found. A breach from before the last retraining was answered by it.
        now: the time.
        cool_down: how long after a retraining no other is started.
        exists: whether a job was started, by name; asked after a crash.

    Returns:
        The turn, or the retraining that answers this breach already.

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
        store.create(_NAME, mine.written())
        if found is None
        else store.replace(_NAME, mine.written(), found.etag)
    )
    if etag is None:
        raise Busy("another retraining took the turn a moment ago")
    return Turn(etag, mine, last)


def begin_cool_down(store: Store, turn: Turn, now: datetime) -> bool:
    """The retraining was started; False if the turn ran out and somebody else has it."""
    return _replace(store, turn, turn.last.model_copy(update={"started": now}))


def give_up(store: Store, turn: Turn) -> None:
    """Let another breach have the turn."""
    if turn.before is None:
        store.remove(_NAME, turn.etag)
    else:
        _replace(store, turn, turn.before)


def _replace(store: Store, turn: Turn, last: Last) -> bool:
    content = last.model_copy(update={"by": secrets.token_hex(8)}).written()
    return store.replace(_NAME, content, turn.etag) is not None
