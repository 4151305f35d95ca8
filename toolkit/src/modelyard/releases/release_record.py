"""The record of a release: its state, the lock of its endpoint, and its evidence."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from modelyard.azure import azure_errors
from modelyard.console import counted
from modelyard.errors import UsageError
from modelyard.events.store import BlobLease, BlobStore
from modelyard.files import has_file, read_json, write_json
from modelyard.releases import rollout
from modelyard.releases.endpoint import Metrics
from modelyard.releases.rollout import State


@dataclass(frozen=True)
class Parked:
    """What an endpoint had when it was parked, as Azure Resource Manager has it: all that is needed to bring it back.

    Attributes:
        at: when, and `by`: who.
        traffic: percent by deployment; `mirror` likewise.
        deployments: their bodies, by name.
        digests: of the models, by deployment.
        autoscale: the autoscale settings of the deployments, by their names.
    """

    at: str
    by: str
    traffic: Mapping[str, int]
    mirror: Mapping[str, int]
    deployments: Mapping[str, Mapping[str, Any]]
    digests: Mapping[str, str]
    autoscale: Mapping[str, Mapping[str, Any]]


_STATE, _PARKED = TypeAdapter(State), TypeAdapter(Parked)

LEASE_SECONDS = 60  # after a kill, a release can be taken up so much later
_RENEW_SECONDS = 15.0


class FileRecord:
    """The state of an endpoint's present or last release, and its lock, in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> State | None:
        """Read the state; None: there was no release.

        Raises:
            UsageError: it is damaged.
        """
        file = self._folder / "release.json"
        return _state(read_json(file), str(file)) if has_file(file) else None

    def parked(self) -> Parked | None:
        """Read what a parked endpoint had; None: it is not parked."""
        return None  # an endpoint of this machine is stopped instead

    def save(self, state: State) -> None:
        """Write the state, whole or not at all; the lock is held."""
        write_json(self._folder / "release.json", asdict(state))

    @contextlib.contextmanager
    def lock(self, holder: str = "") -> Iterator[None]:
        """Lock the endpoint for one release; the lock ends with the process.

        Args:
            holder: who takes it and where, for those who are refused meanwhile.

        Raises:
            UsageError: another process holds it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._folder / "release.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise _held(self._folder.name, self.load(), "") from None
        try:
            yield
        finally:
            lock.release()


class BlobRecord:
    """A record in a workspace's storage, where every runner and colleague finds it; see `FileRecord`.

    State and lock are one leased blob: whoever has lost the lease cannot write the state any more, and
    changes nothing without having written it.
    """

    def __init__(self, store: BlobStore, endpoint: str) -> None:
        self._store, self._endpoint = store, endpoint
        self._name = f"releases/{endpoint}.json"
        self._lease: BlobLease | None = None
        self._held: dict[str, Any] = {}  # the content, while the lock is held

    def load(self) -> State | None:
        content = self._content()
        return _state(content["state"], f"blob {self._name}") if content.get("state") else None

    def parked(self) -> Parked | None:
        content = self._content().get("parked")
        return _valid(_PARKED, content, f"blob {self._name}") if content else None

    def save(self, state: State) -> None:
        """See `FileRecord`.

        Raises:
            UsageError: the lock was lost, so that another process may go on with this release.
        """
        self._write(state=asdict(state))

    def keep(self, parked: Parked | None) -> None:
        """Write what a parked endpoint had; None: it is back. See `save`."""
        self._write(parked=asdict(parked) if parked else None)

    @contextlib.contextmanager
    def lock(self, holder: str) -> Iterator[None]:
        with azure_errors():
            self._lease = self._store.lease(self._name, LEASE_SECONDS)
        if self._lease is None:
            known = self._content()
            raise _held(self._endpoint, self.load(), known.get("holder", "somebody"))
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(self._lease, ended), daemon=True)
        try:
            self._held = self._content()
            self._write(holder=holder)
            renewing.start()
            yield
        finally:
            ended.set()
            with contextlib.suppress(Exception):  # else it ends by itself
                self._lease.release()
            self._lease = None

    def _content(self) -> dict[str, Any]:
        with azure_errors():
            found = self._store.read(self._name)
        if found is None or not found.content:
            return {}
        try:
            return dict(json.loads(found.content))
        except (ValueError, TypeError):
            raise UsageError(
                f"blob {self._name} is not the state of a release; {_DAMAGED}"
            ) from None

    def _write(self, **changed: Any) -> None:
        self._held |= changed
        content = json.dumps(self._held, indent=1).encode()
        with azure_errors():
            is_held = self._lease is not None and self._lease.write(content)
        if not is_held:
            raise LockLost(
                f"the lock of `{self._endpoint}` was lost: this machine could not renew it in time. Its "
                "traffic is as the release left it; `mlops release` goes on, from here or elsewhere"
            )

    @staticmethod
    def _renew(lease: BlobLease, ended: threading.Event) -> None:
        while not ended.wait(_RENEW_SECONDS):
            with contextlib.suppress(
                Exception
            ):  # tried again; without it the next write is refused
                lease.renew()


Record = FileRecord | BlobRecord


class LockLost(UsageError):
    """Another process may have taken the release over."""


_DAMAGED = "move it away, and look at the endpoint with `mlops endpoint status`"


_T = TypeVar("_T")


def _state(content: Any, place: str) -> State:
    return _valid(_STATE, content, place)


def _valid(kind: TypeAdapter[_T], content: Any, place: str) -> _T:
    try:
        return kind.validate_python(content)
    except ValidationError as error:
        problems = counted(error.error_count(), "problem")
        raise UsageError(
            f"{place} is not the state of a release ({problems}); {_DAMAGED}"
        ) from None


def _held(endpoint: str, state: State | None, holder: str) -> UsageError:
    who = f", by {holder}" if holder else ""
    what = f"another command is changing `{endpoint}`{who}"
    if state and not state.ended:
        what = f"another release to `{endpoint}` is running (v{state.version}, {state.stage}){who}"
    return UsageError(f"{what}; wait until it has ended")


def evidence(state: State) -> dict[str, Any]:
    """Make the content of release.json, in the envelope of all evidence files."""
    verdict = "release" if state.stage == rollout.RELEASED else "refuse"
    measured = {
        f"{visit.stage}.{name}": value
        for visit in state.history
        if visit.new is not None
        for name, value in _figures(visit.new).items()
    }
    return {
        "evidence": "release",
        "params": {"endpoint": state.endpoint, "approved_by": state.approved_by},
        "metrics": measured,
        "series": {},
        "tags": {"verdict": verdict, "stage": state.stage, "model_version": state.version},
        "details": {
            "verdict": verdict,
            "stage": state.stage,
            "release": state.id,
            "endpoint": state.endpoint,
            "model": {"name": state.model, "version": state.version},
            "before": {"version": state.old_version} if state.old_version else None,
            "deployments": {"new": state.new, "old": state.old},
            "approved_by": state.approved_by,
            "approval": dict(state.approval) if state.approval else None,
            "started": _iso(state.started),
            "ended": _iso(state.entered),
            "stages": [
                {
                    "stage": visit.stage,
                    "entered": _iso(visit.entered),
                    "left": _iso(visit.left),
                    "new": visit.new and asdict(visit.new),
                    "old": visit.old and asdict(visit.old),
                }
                for visit in state.history
            ],
            "reasons": [asdict(reason) for reason in state.reasons],
        },
    }


def _figures(metrics: Metrics) -> Mapping[str, float | None]:
    return {
        "requests": metrics.requests,
        "error_rate": metrics.error_rate,
        "refusal_rate": metrics.refusal_rate,
        "p95_ms": metrics.p95_ms,
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
