"""Record of a drill: its plan, and what happened in each period."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from modelyard.console import listed


@dataclass(frozen=True)
class Plan:
    """Settings of a drill.

    Attributes:
        history: number of periods that the first model is trained on.
        until: name of the last period to replay; None for all.
        rows: sent to the endpoint in each period, evenly spread over it.
        request_rows: rows per request.
        cool_down: number of periods between two retrainings, at least.
        break_one: release a model that breaks its callers, in the last period.
    """

    history: int = 3
    until: str | None = None
    rows: int = 2_000
    request_rows: int = 20
    cool_down: int = 2
    break_one: bool = True


@dataclass
class Event:
    """A training, decision or release of a version."""

    kind: str
    version: str
    why: str = ""


@dataclass
class PeriodRecord:
    """A replayed period, with the keys of drill.json."""

    name: str
    start: str
    end: str
    requests: int = 0
    rows: int = 0
    failed: int = 0
    version: str = ""
    live: dict[str, Any] | None = None
    monitor: dict[str, Any] | None = None
    events: list[Event] = field(default_factory=list)

    @property
    def breached(self) -> list[dict[str, Any]]:
        """Breaches that the monitor found."""
        return list(self.monitor["breached"]) if self.monitor else []

    def line(self) -> str:
        """Return the record in one line."""
        features = list(dict.fromkeys(breach["feature"] for breach in self.breached))
        parts = [f"{self.name}: {self.rows:,} rows served by v{self.version}"]
        if self.failed:
            parts.append(f"{self.failed} requests failed")
        unjudged = self.monitor["unjudged"] if self.monitor else []
        if features:
            parts.append(f"breach of {listed(features, 3)}")
        else:
            parts.append(
                f"no breach, not judged whole: {', '.join(unjudged)}" if unjudged else "fine"
            )
        parts += [f"v{event.version} {event.kind}" for event in self.events]
        return "; ".join(parts)
