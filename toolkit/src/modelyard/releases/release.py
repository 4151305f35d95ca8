"""Releases a registered version to an online endpoint, stage by stage; see rollout.py for the rules.

The state is on disk before anything is done in it. A release that was killed, at any moment, is taken
up by the next call, or rolled back by it.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from modelyard.errors import CheckFailed, ModelyardError, UsageError
from modelyard.files import read_json, write_json
from modelyard.gates import Gates, Release, load_gates
from modelyard.models.reasons import Reason
from modelyard.models.registry import Registry
from modelyard.models.version import CHAMPION
from modelyard.project import endpoint_folder, load_project
from modelyard.releases import release_checks, rollout
from modelyard.releases.rollout import Action, Endpoint, Limits, Metrics, Observation, State, View
from modelyard.tracking import tracking_uri

if TYPE_CHECKING:
    from modelyard.releases.local_endpoint import LocalEndpoint
    from modelyard.serving.sample_rows import Rows

LOCAL = "local"
_RECENT = 3.0  # seconds; requests newer than that mean that somebody sends some
_STATE = TypeAdapter(State)


class Checks(Protocol):
    """What has to be true of a version before it answers anybody."""

    def __call__(self, stage: str, state: State, endpoint: Endpoint) -> tuple[Reason, ...]:
        """Results of the checks of a stage: register, smoke tests or integration tests."""


# Live traffic for the stages that are watched; it is sent while the context lasts.
Sender = contextlib.AbstractContextManager[object]
Watcher = Callable[[State, Observation], None]


def _silent(message: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class ReleaseResult:
    """How a release ended.

    Attributes:
        folder: holds release.json, the evidence; None where there was nothing to do.
        unchanged: the endpoint serves this version already.
    """

    state: State | None
    folder: Path | None
    unchanged: bool = False

    @property
    def released(self) -> bool:
        """The version serves."""
        return self.unchanged or (self.state is not None and self.state.stage == rollout.RELEASED)


def run_release(
    root: Path,
    version: str | None = None,
    *,
    endpoint: str | Endpoint = LOCAL,
    watch: Watcher | None = None,
    settings: Release | None = None,
    limits: Limits | None = None,
    traffic: Callable[[str], Sender] | None = None,
    approved_by: str | None = None,
    say: Callable[[str], None] = _silent,
) -> ReleaseResult:
    """Release a version, or take up the release that was interrupted.

    Args:
        root: the project.
        version: its number; default: the one whose release was interrupted, else the champion.
        endpoint: `local`, an environment of conf/project.yml, or an endpoint.
        watch: told of every state and what was seen in it.
        settings: default: section `release` of conf/gates.yml.
        limits: default: from section `serving` of conf/gates.yml.
        traffic: makes what sends live requests to the given address while stages are watched;
            default: the endpoint gets real held-out rows when nobody else sends any.
        approved_by: who approved this release.
        say: told what a person should know.

    Raises:
        UsageError: no such version; another release is under way, here or of another version.
        ModelyardError: the endpoint cannot be brought into a clean state; the next call tries again.
    """
    here = _Workplace(root, endpoint, settings, limits, say)
    with alone(here.folder):
        state = here.last()
        here.endpoint.open()
        if state is None or state.ended:
            number = version or here.champion()
            view = here.endpoint.view()
            if _serves(view, number):
                return ReleaseResult(state, None, unchanged=True)
            state = rollout.begin(
                view,
                id=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
                endpoint=here.endpoint.name,
                model=here.project.model,
                version=number,
                now=time.time(),
                settings=here.settings,
            )
        elif version not in (None, state.version):
            raise UsageError(
                f"a release of v{state.version} to `{state.endpoint}` is under way ({state.stage}): "
                "`mlops release` resumes it, `mlops release --rollback` calls it off"
            )
        else:
            say(f"taking up the release of v{state.version} at: {state.stage}")
            state = rollout.resume(state, time.time())
        if approved_by:
            state = replace(state, approved_by=approved_by)
        version_now = state.version
        state = here.drive(
            state, watch, traffic=lambda: here.traffic(version_now, traffic), call_off=False
        )
        return ReleaseResult(state, here.conclude(state))


def force_rollback(
    root: Path,
    *,
    endpoint: str | Endpoint = LOCAL,
    watch: Watcher | None = None,
    settings: Release | None = None,
) -> ReleaseResult:
    """Call off the release that is under way, or undo the last one.

    Raises:
        UsageError: there is nothing to roll back.
    """
    here = _Workplace(root, endpoint, settings, None, _silent)
    with alone(here.folder):
        state = here.last()
        if state is None:
            raise UsageError(f"nothing was ever released to `{here.endpoint.name}`")
        now = time.time()
        state = rollout.reopen(state, now) if state.ended else rollout.resume(state, now)
        here.endpoint.open()
        state = here.drive(state, watch, call_off=True)
        return ReleaseResult(state, here.conclude(state))


def drive(
    state: State,
    endpoint: Endpoint,
    checks: Checks,
    *,
    settings: Release,
    limits: Limits,
    save: Callable[[State], None],
    watch: Watcher | None = None,
    traffic: Callable[[], Sender] = contextlib.nullcontext,
    call_off: bool = False,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> State:
    """Look, step, save, act; until the release has ended.

    Raises:
        CheckFailed: cleaning up failed again and again; the state is kept for the next call.
    """
    save(state)
    with contextlib.ExitStack() as sending:
        is_sending = False
        found: tuple[Reason, ...] | None = None
        failed: Action | None = None
        error: str | None = None
        while True:
            seen = _look(state, endpoint, clock, sleep)
            seen = replace(
                seen, checks=found, failed=failed, error=error or seen.error, call_off=call_off
            )
            if watch is not None:
                watch(state, seen)
            found, failed, error = None, None, None
            following, actions = rollout.step(state, seen, settings, limits)
            if following != state:
                save(following)
                state = following
            if state.ended:
                break
            if state.stuck:
                raise CheckFailed(
                    f"`{state.endpoint}` cannot be cleaned up ({state.stage}): {seen.error}\n"
                    "its traffic is where it was; the same command tries again"
                )
            if not is_sending and any(isinstance(one, rollout.Watch) for one in actions):
                sending.enter_context(traffic())
                is_sending = True
            for action in actions:
                try:
                    found = _perform(action, state, endpoint, checks, sleep)
                except (ModelyardError, OSError) as problem:
                    if state.stage == rollout.REGISTER:
                        raise
                    failed, error = action, str(problem)
    if watch is not None:
        watch(state, seen)
    return state


def _look(
    state: State, endpoint: Endpoint, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Observation:
    view = _view(endpoint, sleep)
    if not rollout.watched(state):
        return Observation(view, clock())
    try:
        new = endpoint.live_metrics(state.new, state.entered)
        old: Metrics | None = None
        if state.old is not None and state.old in view.deployments:
            old = endpoint.live_metrics(state.old, state.started)
    except rollout.EndpointError as error:
        return Observation(view, clock(), error=str(error))
    return Observation(view, clock(), new=new, old=old)


def _view(endpoint: Endpoint, sleep: Callable[[float], None]) -> View:
    """How the endpoint looks; a service that is away for a moment is asked again."""
    for _ in range(rollout.FEW_FAILURES - 1):
        try:
            return endpoint.view()
        except rollout.EndpointError:
            sleep(endpoint.pause)
    return endpoint.view()


def _perform(
    action: Action,
    state: State,
    endpoint: Endpoint,
    checks: Checks,
    sleep: Callable[[float], None],
) -> tuple[Reason, ...] | None:
    match action:
        case rollout.Deploy(name, version):
            endpoint.deploy(name, version)
        case rollout.SetTraffic(percent):
            endpoint.set_traffic(percent)
        case rollout.SetMirror(percent):
            endpoint.set_mirror(percent)
        case rollout.Delete(name):
            endpoint.delete(name)
        case rollout.Check(stage):
            return checks(stage, state, endpoint)
        case rollout.Watch():
            sleep(endpoint.pause)
    return None


def load_state(folder: Path) -> State | None:
    """The endpoint's release, under way or the last one.

    Raises:
        UsageError: the file was damaged.
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
    """Keep a state for the next call, whole or not at all."""
    write_json(folder / "release.json", asdict(state))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One release at a time on an endpoint; the lock goes with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "release.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        state = load_state(folder)
        doing = f" (v{state.version}, {state.stage})" if state else ""
        raise UsageError(
            f"another release to `{folder.name}` is going on{doing}; wait until it has ended"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _serves(view: View, version: str) -> bool:
    serving = [name for name, percent in view.traffic.items() if percent]
    return (
        len(serving) == 1
        and view.deployments[serving[0]].version == version
        and view.deployments[serving[0]].healthy
    )


def evidence(state: State) -> dict[str, Any]:
    """release.json, in the envelope of every evidence file."""
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
            "started": _written(state.started),
            "ended": _written(state.entered),
            "stages": [
                {
                    "stage": visit.stage,
                    "entered": _written(visit.entered),
                    "left": _written(visit.left),
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


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


class _Workplace:
    """What a release needs of this project; what is slow to get is got when it is needed."""

    def __init__(
        self,
        root: Path,
        endpoint: str | Endpoint,
        settings: Release | None,
        limits: Limits | None,
        say: Callable[[str], None],
    ) -> None:
        gates = load_gates(root / "conf" / "gates.yml")
        self.root, self.say = root, say
        self.project = load_project(root)
        self.settings = settings or gates.release
        self.limits = limits or serving_limits(gates)
        self.endpoint = open_endpoint(root, endpoint) if isinstance(endpoint, str) else endpoint
        self.folder = endpoint_folder(root, self.endpoint.name)
        self._rows: tuple[str, Rows] | None = None

    @cached_property
    def registry(self) -> Registry:
        """The model's registry."""
        return Registry(self.project.model, tracking_uri(self.root))

    def last(self) -> State | None:
        """The release under way, or the last one, whose evidence a kill may have prevented."""
        state = load_state(self.folder)
        if state is not None and state.ended and not self._evidence(state).is_file():
            self.conclude(state)
        return state

    def _evidence(self, state: State) -> Path:
        return self.folder / "releases" / state.id / "release.json"

    def champion(self) -> str:
        """Number of the version to release when none is named."""
        champion = self.registry.holder(CHAMPION)
        if champion is None:
            raise UsageError(
                f"model `{self.project.model}` has no champion to release; `mlops promote` makes one"
            )
        return champion.number

    def drive(
        self,
        state: State,
        watch: Watcher | None,
        *,
        traffic: Callable[[], Sender] = contextlib.nullcontext,
        call_off: bool,
    ) -> State:
        """See `drive`."""
        return drive(
            state,
            self.endpoint,
            self.checks,
            settings=self.settings,
            limits=self.limits,
            save=lambda found: save_state(self.folder, found),
            watch=watch,
            traffic=traffic,
            call_off=call_off,
        )

    def checks(self, stage: str, state: State, endpoint: Endpoint) -> tuple[Reason, ...]:
        """See `Checks`."""
        if stage == rollout.REGISTER:
            version = self.registry.version(state.version)
            return release_checks.registration(version, self.settings.approval, state.approved_by)
        rows = self.rows(state.version)
        if stage == rollout.SMOKE:
            return release_checks.smoke(endpoint, state, rows)
        ask = release_checks.asking(self.model_folder(state.version))
        return release_checks.integration(endpoint, state, rows, ask, self.limits)

    def traffic(self, version: str, given: Callable[[str], Sender] | None) -> Sender:
        """The caller's own traffic; else held-out rows, where nobody sends any."""
        url = self.endpoint.rehearsal_url()
        if url is None:
            return contextlib.nullcontext()
        if given is not None:
            return given(url)
        recent = time.time() - _RECENT
        serving = self.endpoint.view().traffic
        if any(self.endpoint.live_metrics(name, recent).requests for name in serving):
            self.say("live requests are coming in; they are what the new version is judged by")
            return contextlib.nullcontext()
        self.say(f"nobody sends requests: held-out rows of v{version} are sent in their place")
        from modelyard.releases.rehearsal import Rehearsal

        truth = self.root / ".collected" / "ground_truth"
        return Rehearsal(url, self.rows(version), ground_truth=truth)

    def model_folder(self, version: str) -> Path:
        """A version's model, copied from the registry."""
        found = self.registry.version(version)
        return self.registry.download(found, "model", self.folder / "models" / f"v{version}")

    def rows(self, version: str) -> Rows:
        """Held-out rows of a version, read from the registry once."""
        from modelyard.serving.sample_rows import read_rows

        if self._rows is not None and self._rows[0] == version:
            return self._rows[1]
        with tempfile.TemporaryDirectory(prefix="release-") as temporary:
            file = self.registry.fetch(
                self.registry.version(version), "prepared/test.parquet", Path(temporary)
            )
            rows = read_rows(file, self.model_folder(version))
        self._rows = version, rows
        return rows

    def conclude(self, state: State) -> Path:
        """Write the evidence, and note with the version how its release ended."""
        file = self._evidence(state)
        version = self.registry.version(state.version)
        self.registry.tag(version, "release", f"{state.stage} ({state.endpoint})")
        if state.approved_by:
            self.registry.tag(version, "release_approved_by", state.approved_by)
        write_json(file, evidence(state))
        self.registry.keep(version.run_id, file, f"release/{state.id}")
        return file.parent


def open_endpoint(root: Path, name: str) -> Endpoint:
    """The endpoint of that name: of an environment of conf/project.yml, else a local one."""
    project = load_project(root)
    if name in project.environments:
        from modelyard.releases.azure_endpoint import AzureEndpoint

        return AzureEndpoint.of_environment(root, name)
    return open_local(root, name)


def open_local(root: Path, name: str = LOCAL) -> LocalEndpoint:
    """A local endpoint; nothing is started yet."""
    from modelyard.releases.local_endpoint import LocalEndpoint
    from modelyard.serving.server import start_server

    project = load_project(root)

    def bring(version: str, target: Path) -> Path:
        registry = Registry(project.model, tracking_uri(root))
        return registry.download(registry.version(version), "model", target)

    return LocalEndpoint(root, name, model=project.model, start=start_server, bring=bring)


def serving_limits(gates: Gates) -> Limits:
    """What section `serving` of conf/gates.yml asks of an endpoint."""
    return Limits(gates.serving.error_share, gates.serving.p95_milliseconds)
