"""Azure in memory: records, jobs, a clock that is set, and a crash."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modelyard.events.reactions import Services
from modelyard.events.settings import Settings
from modelyard.events.store import Found

# conf/project.yml
PROJECT = "title: t\nname: n\npackage: p\nowner: o\nmodel: flight-delay\n"


class Killed(BaseException):
    """The process was killed: no code of its own handles it."""


class MemoryStore:
    """A `Store` in memory."""

    def __init__(self) -> None:
        self.records: dict[str, Found] = {}
        self._lock = threading.Lock()
        self._writes = 0

    def read(self, name: str) -> Found | None:
        return self.records.get(name)

    def create(self, name: str, content: bytes) -> str | None:
        with self._lock:
            return None if name in self.records else self._write(name, content)

    def replace(self, name: str, content: bytes, etag: str) -> str | None:
        with self._lock:
            found = self.records.get(name)
            return self._write(name, content) if found and found.etag == etag else None

    def remove(self, name: str, etag: str) -> None:
        with self._lock:
            found = self.records.get(name)
            if found and found.etag == etag:
                del self.records[name]

    def _write(self, name: str, content: bytes) -> str:
        self._writes += 1
        self.records[name] = Found(content, str(self._writes))
        return str(self._writes)


@dataclass(frozen=True)
class Job:
    """A job that was started."""

    pipeline: str
    inputs: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass
class MemoryJobs:
    """`Jobs` in memory; names are unique, as on Azure.

    Attributes:
        refused: number of jobs whose name was taken.
        error: raised instead of starting a job.
        killed_after: the process ends when the job is started.
    """

    started: dict[str, Job] = field(default_factory=dict)
    refused: int = 0
    error: Exception | None = None
    killed_before: bool = False
    killed_after: bool = False

    def exists(self, name: str) -> bool:
        return name in self.started

    def submit(
        self, pipeline: str, name: str, inputs: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        if self.killed_before:
            raise Killed
        if self.error is not None:
            raise self.error
        if name in self.started:
            self.refused += 1
        else:
            self.started[name] = Job(pipeline, dict(inputs), dict(tags))
        if self.killed_after:
            raise Killed


class Azure:
    """Azure and the services for reactions."""

    def __init__(self, project: Path, cool_down_days: float = 7) -> None:
        self.store = MemoryStore()
        self.jobs = MemoryJobs()
        self.notices: list[str] = []
        self.time = datetime(2026, 11, 2, 3, 30, tzinfo=UTC)
        self.settings = Settings(
            client_id="client",
            subscription_id="subscription",
            resource_group="group",
            workspace="workspace",
            environment="prod",
            state="https://account/event-state",
            cool_down_days=cool_down_days,
            project=project,
        )

    def wait(self, **by: float) -> None:
        self.time += timedelta(**by)

    def now_as_event_time(self, **ago: float) -> str:
        return (self.time - timedelta(**ago)).isoformat()

    @property
    def services(self) -> Services:
        return Services(
            self.settings, self.store, self.jobs, self.notices.append, lambda: self.time
        )
