"""The record of a release on disk: its state, the lock of its endpoint, and its evidence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from modelyard.errors import UsageError
from modelyard.files import read_json, write_json
from modelyard.releases import rollout
from modelyard.releases.endpoint import Metrics
from modelyard.releases.rollout import State

_STATE = TypeAdapter(State)


def load_state(folder: Path) -> State | None:
    """Read the state of an endpoint's present or last release; None: there was none.

    Raises:
        UsageError: the file is damaged.
    """
    file = folder / "release.json"
    if not file.is_file():
        return None
    try:
        return _STATE.validate_python(read_json(file))
    except ValidationError as error:
        raise UsageError(
            f"{file} is not the state of a release ({error.error_count()} problems); move it away, and "
            "look at the endpoint with `mlops endpoint status`"
        ) from None


def save_state(folder: Path, state: State) -> None:
    """Write a state, whole or not at all."""
    write_json(folder / "release.json", asdict(state))


@contextlib.contextmanager
def release_lock(folder: Path) -> Iterator[None]:
    """Lock an endpoint for one release; the lock ends with the process.

    Raises:
        UsageError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "release.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        state = load_state(folder)
        stage = f" (v{state.version}, {state.stage})" if state else ""
        raise UsageError(
            f"another release to `{folder.name}` is running{stage}; wait until it has ended"
        ) from None
    try:
        yield
    finally:
        lock.release()


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
