"""Release of a registered version to an online endpoint, stage by stage; see rollout.py for the rules.

Each state is written to disk before its actions. A release that was killed at any moment is resumed or
rolled back by the next call.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.errors import CheckFailed, ModelyardError, UsageError
from modelyard.files import new_id, write_json
from modelyard.gates import Release, load_gates
from modelyard.models.adoption import adopt
from modelyard.models.reasons import Reason
from modelyard.models.registry import Registry, promotion_lock, registry_of
from modelyard.models.version import CHAMPION
from modelyard.project import author, endpoint_folder, load_project, origin
from modelyard.releases import release_checks, rollout
from modelyard.releases.endpoint import Answer, Endpoint, EndpointError, Metrics, View
from modelyard.releases.endpoints import LOCAL, open_endpoint
from modelyard.releases.release_record import FileRecord, LockLost, evidence
from modelyard.releases.rollout import Action, Limits, Observation, State

if TYPE_CHECKING:
    from modelyard.serving.sample_rows import Rows

_RECENT = 3.0  # seconds; a request in this time means that there is live traffic


# Runs the checks of a stage, register, smoke tests or integration tests, before there is live traffic.
Checks = Callable[[str, State, Endpoint], tuple[Reason, ...]]
# Sends requests while the context is open.
Traffic = contextlib.AbstractContextManager[object]
Ask = Callable[[Any], Answer]
Progress = Callable[[State, Observation], None]


def _silent(message: str) -> None:
    """Ignore a message."""


@dataclass(frozen=True)
class ReleaseResult:
    """The result of a release.

    Attributes:
        folder: holds release.json, the evidence; None if nothing was done.
        unchanged: the endpoint served this version already.
    """

    state: State | None
    folder: Path | None
    unchanged: bool = False

    @property
    def released(self) -> bool:
        """Whether the version serves."""
        return self.unchanged or (self.state is not None and self.state.stage == rollout.RELEASED)


def run_release(
    root: Path,
    version: str | None = None,
    *,
    endpoint: str | Endpoint = LOCAL,
    progress: Progress | None = None,
    settings: Release | None = None,
    limits: Limits | None = None,
    traffic: Callable[[Ask], Traffic] | None = None,
    approved_by: str | None = None,
    approval: Path | None = None,
    say: Callable[[str], None] = _silent,
) -> ReleaseResult:
    """Release a version, or resume an interrupted release.

    Args:
        root: the project.
        version: its number; default: that of the interrupted release, else the champion.
        endpoint: `local`, an environment of conf/project.yml, or an endpoint.
        progress: gets each state with its observation.
        settings: default: section `release` of conf/gates.yml.
        limits: default: from section `serving` of conf/gates.yml.
        traffic: sends live requests with the given function during the stages that need them; default:
            held-out rows are sent if there are no live requests.
        approved_by: name of the person who approved this release; on this machine only.
        approval: file with the approval of the CI provider; see `read_approval`.
        say: gets messages for the user.

    Raises:
        UsageError: there is no such version; another release to the endpoint is running or interrupted;
            an approval of a name alone, for an endpoint on Azure.
        ModelyardError: the endpoint cannot be cleaned up; the next call tries again.
    """
    context = _ReleaseContext(root, endpoint, settings, limits, say)
    if approved_by and context.endpoint.record is not None:
        raise UsageError(
            "--approved-by is a word that anybody can write, and counts on this machine only: on Azure an "
            "approval is that of the CI provider, and comes with --approval FILE (`mlops ci approval`)"
        )
    given = release_checks.read_approval(approval) if approval else None
    with context.lock():
        state = context.last()
        context.endpoint.open()
        if state is None or state.ended:
            number = version or context.champion()
            view = context.endpoint.view()
            if _serves(view, number):
                return ReleaseResult(state, None, unchanged=True)
            state = rollout.begin(
                view,
                id=new_id(),
                endpoint=context.endpoint.name,
                model=context.project.model,
                version=number,
                now=time.time(),
                settings=context.settings,
            )
        elif version not in (None, state.version):
            raise UsageError(
                f"a release of v{state.version} to `{state.endpoint}` has not ended ({state.stage}): "
                "`mlops release` resumes it, `mlops release --rollback` cancels it"
            )
        else:
            say(f"resuming the release of v{state.version} at: {state.stage}")
            state = rollout.resume(state, time.time())
        if given:
            state = replace(state, approved_by=given["by"], approval=given)
        elif approved_by:
            state = replace(state, approved_by=approved_by)
        released = state.version
        state = context.drive(
            state, progress, traffic=lambda: context.traffic(released, traffic), cancelled=False
        )
        return ReleaseResult(state, context.write_evidence(state))


def force_rollback(
    root: Path,
    *,
    endpoint: str | Endpoint = LOCAL,
    progress: Progress | None = None,
    settings: Release | None = None,
) -> ReleaseResult:
    """Cancel the release that has not ended, or undo the last one, unless that is done.

    Raises:
        UsageError: there is nothing to roll back.
    """
    context = _ReleaseContext(root, endpoint, settings, None, _silent)
    with context.lock():
        state = context.last()
        if state is None:
            raise UsageError(f"there was no release to `{context.endpoint.name}`")
        if state.stage == rollout.ROLLED_BACK:
            return ReleaseResult(state, context.write_evidence(state))
        now = time.time()
        state = rollout.reopen(state, now) if state.ended else rollout.resume(state, now)
        context.endpoint.open()
        state = context.drive(state, progress, cancelled=True)
        return ReleaseResult(state, context.write_evidence(state))


def tidy(root: Path, endpoint: str | Endpoint) -> str:
    """Delete the old deployment that a release has kept, if its time is over; say what was done."""
    context = _ReleaseContext(root, endpoint, None, None, _silent)
    with context.lock():
        state = context.last()
        if state is None or state.stage != rollout.RELEASED or state.old is None:
            return f"`{context.endpoint.name}` keeps no old deployment"
        view = context.endpoint.view()
        if state.old not in view.deployments or state.old in (*view.traffic, *view.mirror):
            return f"`{context.endpoint.name}` keeps no old deployment"
        left = state.entered + context.settings.keep_old_hours * 3600 - time.time()
        if left > 0:
            return f"{state.old} (v{state.old_version}) is kept for {left / 3600:.1f} hours more"
        context.endpoint.delete(state.old)
        return f"{state.old} (v{state.old_version}) is deleted"


def drive(
    state: State,
    endpoint: Endpoint,
    checks: Checks,
    *,
    settings: Release,
    limits: Limits,
    save: Callable[[State], None],
    progress: Progress | None = None,
    traffic: Callable[[], Traffic] = contextlib.nullcontext,
    cancelled: bool = False,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> State:
    """Observe, step, save and act until the release has ended.

    Raises:
        CheckFailed: clean-up failed MANY_FAILURES times; the state is kept for the next call.
    """
    save(state)
    with contextlib.ExitStack() as sending:
        is_sending = False
        found: tuple[Reason, ...] | None = None
        failed: Action | None = None
        error: str | None = None
        while True:
            seen = _observe(state, endpoint, clock, sleep)
            seen = replace(
                seen, checks=found, failed=failed, error=error or seen.error, cancelled=cancelled
            )
            if progress is not None:
                progress(state, seen)
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
                    "its traffic is unchanged; the same command tries again"
                )
            if seen.blind is not None and seen.now - state.resumed > settings.patience:
                raise CheckFailed(
                    f"the requests of `{state.endpoint}` cannot be measured ({state.stage}): {seen.blind}\n"
                    "its traffic is unchanged, nothing is rolled back for that; the same command goes on, "
                    "`mlops release --rollback` takes it back"
                )
            if not is_sending and any(isinstance(one, rollout.Wait) for one in actions):
                sending.enter_context(traffic())
                is_sending = True
            for action in actions:
                try:
                    found = _perform(action, state, endpoint, checks, sleep)
                except LockLost:
                    raise
                except (ModelyardError, OSError) as problem:
                    if state.stage == rollout.REGISTER:
                        raise
                    failed, error = action, str(problem)
    if progress is not None:
        progress(state, seen)
    return state


def _observe(
    state: State, endpoint: Endpoint, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Observation:
    view = _view(endpoint, sleep)
    if not rollout.has_live_requests(state):
        return Observation(view, clock())
    try:
        new = endpoint.live_metrics(state.new, state.entered)
        old: Metrics | None = None
        if state.old is not None and state.old in view.deployments:
            old = endpoint.live_metrics(state.old, state.started)
    except EndpointError as error:
        return Observation(view, clock(), blind=str(error))
    return Observation(view, clock(), new=new, old=old)


def _view(endpoint: Endpoint, sleep: Callable[[float], None]) -> View:
    """Read the endpoint's state; retry if the service does not answer."""
    for _ in range(rollout.FEW_FAILURES - 1):
        try:
            return endpoint.view()
        except EndpointError:
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
        case rollout.Wait():
            sleep(endpoint.pause)
    return None


def _serves(view: View, version: str) -> bool:
    serving = [name for name, percent in view.traffic.items() if percent]
    return (
        len(serving) == 1
        and view.deployments[serving[0]].version == version
        and view.deployments[serving[0]].healthy
    )


class _ReleaseContext:
    """Project, settings and endpoint of a release; the registry and rows are read when needed."""

    def __init__(
        self,
        root: Path,
        endpoint: str | Endpoint,
        settings: Release | None,
        limits: Limits | None,
        say: Callable[[str], None],
    ) -> None:
        gates = load_gates(root / "conf" / "gates.yml")
        serving = gates.serving
        self.root, self.say = root, say
        self.project = load_project(root)
        self.settings = settings or gates.release
        self.limits = limits or Limits(serving.error_share, serving.p95_milliseconds)
        self.endpoint = open_endpoint(root, endpoint) if isinstance(endpoint, str) else endpoint
        self.folder = endpoint_folder(root, self.endpoint.name)
        self.record = self.endpoint.record or FileRecord(self.folder)
        if not self.endpoint.keeps_old:
            self.settings = self.settings.model_copy(update={"keep_old_hours": 0.0})
        self._rows: tuple[str, Rows] | None = None

    @cached_property
    def registry(self) -> Registry:
        """Registry of the project's model."""
        return registry_of(self.root)

    def last(self) -> State | None:
        """Read the present or last release; write its evidence if a kill has prevented that."""
        state = self.record.load()
        if state is not None and state.ended and not state.recorded:
            self.write_evidence(state)
        return state

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the endpoint, which is not parked; see `Record.lock`."""
        with self.record.lock(f"{author(self.root)} at {origin()}"):
            if parked := self.record.parked():
                raise UsageError(
                    f"`{self.endpoint.name}` is parked since {parked.at}, by {parked.by}; "
                    "bring it back first: mlops unpark ENVIRONMENT --apply"
                )
            yield

    def champion(self) -> str:
        """Return the champion's number."""
        champion = self.registry.holder(CHAMPION)
        if champion is None:
            raise UsageError(
                f"model `{self.project.model}` has no champion to release; `mlops promote` makes one"
            )
        return champion.number

    def drive(
        self,
        state: State,
        progress: Progress | None,
        *,
        traffic: Callable[[], Traffic] = contextlib.nullcontext,
        cancelled: bool,
    ) -> State:
        """Run the release; see `drive`."""
        return drive(
            state,
            self.endpoint,
            self.checks,
            settings=self.settings,
            limits=self.limits,
            save=self.record.save,
            progress=progress,
            traffic=traffic,
            cancelled=cancelled,
        )

    def checks(self, stage: str, state: State, endpoint: Endpoint) -> tuple[Reason, ...]:
        """Run the checks of a stage; see `Checks`."""
        if stage == rollout.REGISTER:
            version = self.registry.version(state.version)
            return release_checks.registration(
                version, self.settings.approval, state.approved_by, state.approval
            )
        rows = self.rows(state.version)
        if stage == rollout.SMOKE:
            endpoint.attach_autoscale(state.new)
            return release_checks.smoke(endpoint, state, rows)
        predict = release_checks.predictor(self.model_folder(state.version))
        return release_checks.integration(endpoint, state, rows, predict, self.limits)

    def traffic(self, version: str, given: Callable[[Ask], Traffic] | None) -> Traffic:
        """Return the caller's traffic, or held-out rows if there are no live requests."""
        if not self.endpoint.rehearses:
            return contextlib.nullcontext()
        if given is not None:
            return given(self.endpoint.ask)
        recent = time.time() - _RECENT
        # Azure Monitor is minutes behind: what it tells of now are the requests of the checks before.
        serving = () if self.endpoint.record else self.endpoint.view().traffic
        if any(self.endpoint.live_metrics(name, recent).requests for name in serving):
            self.say("the new version is judged by the live requests")
            return contextlib.nullcontext()
        seen = "" if self.endpoint.record else "no live requests: "
        self.say(f"{seen}held-out rows of v{version} are sent")
        from modelyard.releases.held_out_traffic import HeldOutTraffic

        truth = None if self.endpoint.record else self.root / ".collected" / "ground_truth"
        return HeldOutTraffic(self.endpoint.ask, self.rows(version), ground_truth=truth)

    def model_folder(self, version: str) -> Path:
        """Copy a version's model from the registry; return its folder."""
        found = self.registry.version(version)
        return self.registry.download(found, "model", self.folder / "models" / f"v{version}")

    def rows(self, version: str) -> Rows:
        """Read held-out rows of a version from the registry, once."""
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

    def write_evidence(self, state: State) -> Path:
        """Write the evidence, and tag the version with the result; return the evidence's folder.

        A version that was taken from another workspace is the champion of this one once it serves.
        """
        if state.stage == rollout.RELEASED:
            with promotion_lock(self.root):
                adopt(self.registry, state.version)
        file = self.folder / "releases" / state.id / "release.json"
        version = self.registry.version(state.version)
        self.registry.tag(version, "release", f"{state.stage} ({state.endpoint})")
        if state.approved_by:
            self.registry.tag(version, "release_approved_by", state.approved_by)
        write_json(file, evidence(state))
        # In a folder of its own if it was interrupted: Azure ML does not replace artifacts.
        self.registry.keep(version.run_id, file, f"release/{state.id}/{secrets.token_hex(2)}")
        self.record.save(replace(state, recorded=True))
        return file.parent
