"""The state machine of a safe rollout: the stage that follows an observation, and the next action.

It uses no server, clock or file. A stage defines the wanted state of the endpoint; `step` compares it
with the observed one and returns the action that removes the first difference. So an action that was
lost, has failed or was repeated does no harm: the next observation shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelyard.errors import UsageError
from modelyard.gates import Release
from modelyard.models.reasons import Reason
from modelyard.releases.endpoint import Deployment, Metrics, View

REGISTER, DEPLOY, SMOKE, INTEGRATION = "register", "deploy", "smoke tests", "integration tests"
MIRROR, RETIRE, RELEASED = "mirror", "retire", "released"
ROLLING_BACK, ROLLED_BACK, REFUSED = "rolling back", "rolled back", "refused"
ENDED = (RELEASED, ROLLED_BACK, REFUSED)
_CHECKED = (REGISTER, SMOKE, INTEGRATION)
COLOURS = ("blue", "green")
FEW_FAILURES = 3  # of actions in a row, before a release is rolled back
TIMED_REQUESTS = 200  # of fewer, one pause of a server is the slowest twentieth
MANY_FAILURES = 6  # of actions in a row, before a rollback or clean-up stops with an error


@dataclass(frozen=True)
class Deploy:
    """See `Endpoint.deploy`."""

    name: str
    version: str


@dataclass(frozen=True)
class SetTraffic:
    """See `Endpoint.set_traffic`."""

    percent: Mapping[str, int]


@dataclass(frozen=True)
class SetMirror:
    """See `Endpoint.set_mirror`."""

    percent: Mapping[str, int]


@dataclass(frozen=True)
class Delete:
    """See `Endpoint.delete`."""

    name: str


@dataclass(frozen=True)
class Check:
    """Run the checks of a stage."""

    stage: str


@dataclass(frozen=True)
class Wait:
    """Wait for `Endpoint.pause`, then measure again."""


Action = Deploy | SetTraffic | SetMirror | Delete | Check | Wait


@dataclass(frozen=True)
class Limits:
    """Absolute limits of the new deployment, from section `serving` of the gates; None: no limit."""

    error_rate: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True)
class Visit:
    """A completed stage and its measurements."""

    stage: str
    entered: float
    left: float
    new: Metrics | None = None
    old: Metrics | None = None


@dataclass(frozen=True)
class State:
    """A release: everything that has to survive a crash. Times are Unix times.

    Attributes:
        plan: its stages in order, fixed at the beginning.
        new: name of the deployment under release; `old`: the one that served before.
        entered: beginning of the stage, from which its requests are counted.
        resumed: last resumption or change of stage, from which patience is counted.
        approval: who approved which digest and when, as the provider of CI says.
        failures: of actions, in a row.
        reasons: results of all checks.
        recorded: the evidence of the ended release was written.
    """

    id: str
    endpoint: str
    model: str
    version: str
    new: str
    old: str | None
    old_version: str | None
    plan: tuple[str, ...]
    stage: str
    started: float
    entered: float
    resumed: float
    approved_by: str | None = None
    approval: Mapping[str, str] | None = None
    failures: int = 0
    history: tuple[Visit, ...] = ()
    reasons: tuple[Reason, ...] = ()
    recorded: bool = False

    @property
    def ended(self) -> bool:
        """The release is over."""
        return self.stage in ENDED

    @property
    def stuck(self) -> bool:
        """A rollback or clean-up keeps failing and needs a person."""
        return self.stage in (ROLLING_BACK, RETIRE) and self.failures >= MANY_FAILURES


@dataclass(frozen=True)
class Observation:
    """The endpoint's state and measurements since the last step.

    Attributes:
        checks: results of the last `Check`, if there was one.
        new: metrics of the new deployment since its stage began; `old`: of the old one since the
            release began. None outside the stages with live requests.
        blind: why metrics could not be read, where there should be some.
        failed: the action that failed, and `error`: its reason.
        cancelled: a rollback was requested.
    """

    view: View
    now: float
    checks: tuple[Reason, ...] | None = None
    new: Metrics | None = None
    old: Metrics | None = None
    blind: str | None = None
    failed: Action | None = None
    error: str | None = None
    cancelled: bool = False


def begin(
    view: View, *, id: str, endpoint: str, model: str, version: str, now: float, settings: Release
) -> State:
    """Plan a release next to the deployment that serves now.

    A deployment with traffic that does not answer cannot be rolled back to: the new one replaces it
    like a first deployment.

    Raises:
        UsageError: live traffic goes to several deployments, so there is no single old version.
    """
    serving = [name for name, percent in view.traffic.items() if percent]
    if len(serving) > 1:
        shares = ", ".join(f"{name} {view.traffic[name]}%" for name in sorted(serving))
        raise UsageError(
            f"endpoint `{endpoint}` splits its traffic ({shares}) outside of a release; send all of it "
            "to one deployment first"
        )
    old = serving[0] if serving and _answers(view, serving[0]) else None
    new = COLOURS[1] if serving == [COLOURS[0]] else COLOURS[0]
    live = [f"{percent}%" for percent in settings.traffic] if old else ["100%"]
    mirror = [MIRROR] if old and settings.mirror else []
    retire = [] if old and settings.keep_old_hours else [RETIRE]
    plan = (REGISTER, DEPLOY, SMOKE, INTEGRATION, *mirror, *live, *retire, RELEASED)
    return State(
        id=id,
        endpoint=endpoint,
        model=model,
        version=version,
        new=new,
        old=old,
        old_version=view.deployments[old].version if old else None,
        plan=plan,
        stage=REGISTER,
        started=now,
        entered=now,
        resumed=now,
    )


def has_live_requests(state: State) -> bool:
    """Whether live requests are measured in the stage."""
    return state.stage == MIRROR or state.stage.endswith("%")


def step(
    state: State, seen: Observation, settings: Release, limits: Limits
) -> tuple[State, tuple[Action, ...]]:
    """Return the next state and at most one action to carry out in it."""
    if state.ended:
        return state, ()
    if seen.cancelled and state.stage != ROLLING_BACK:
        return _fail(state, seen, _cancelled(state)), ()
    if seen.error is not None:
        state = replace(state, failures=state.failures + 1)
        if state.stage not in (ROLLING_BACK, RETIRE) and _is_final(state, seen):
            reason = _reason(state, "the endpoint can be changed", "done", seen.error, False)
            return _fail(state, seen, reason), ()
    elif state.failures:
        state = replace(state, failures=0)
    if state.stage == REGISTER or (state.stage in _CHECKED and seen.checks is not None):
        return _checked(state, seen)
    is_deployed = state.stage in (SMOKE, INTEGRATION) or has_live_requests(state)
    if is_deployed and not _answers(seen.view, state.new):
        return _fail(state, seen, _down(state)), ()
    action = next_action(state, seen.view, settings)
    if action is not None:
        return state, (action,)
    if state.stage == ROLLING_BACK:
        return _enter(state, ROLLED_BACK, seen), ()
    if state.stage in (DEPLOY, RETIRE):
        return _onward(state, seen), ()
    if state.stage in _CHECKED:
        return _checked(state, seen)
    if seen.blind is not None:
        return state, (Wait(),)
    return _measured(state, seen, settings, limits)


def wanted(state: State, settings: Release) -> View:
    """Return the endpoint's wanted state in a stage, as far as the release is concerned."""
    new = {state.new: Deployment(state.new, state.version)}
    old = (
        {state.old: Deployment(state.old, state.old_version)}
        if state.old is not None and state.old_version is not None
        else {}
    )
    before = dict.fromkeys(old, 100)
    if state.stage in (REGISTER, ROLLING_BACK, ROLLED_BACK, REFUSED):
        return View(old, before, {})
    if state.stage in (RETIRE, RELEASED):
        return View(new, {state.new: 100}, {})
    both = {**old, **new}
    if state.stage == MIRROR:
        return View(both, before, {state.new: settings.mirror})
    if state.stage.endswith("%"):
        share = int(state.stage[:-1])
        return View(both, _without_zeros({**dict.fromkeys(old, 100 - share), state.new: share}), {})
    return View(both, before, {})


def next_action(state: State, view: View, settings: Release) -> Action | None:
    """Return the next action towards the wanted state; None: it is reached.

    The order protects clients: a deployment answers before it gets traffic, and has lost its traffic
    before it is deleted. Deployments of others are not changed.
    """
    want = wanted(state, settings)
    if view.mirror and view.mirror != want.mirror:
        return SetMirror({})
    for name, deployment in want.deployments.items():
        found = view.deployments.get(name)
        changing = found is not None and found.changing and name == state.new
        if found is None or not found.healthy or found.version != deployment.version or changing:
            return Deploy(name, deployment.version)
    traffic = want.traffic
    if state.old is None and not traffic:  # other deployments keep their traffic
        traffic = {name: share for name, share in view.traffic.items() if name != state.new}
    if view.traffic != traffic:
        return SetTraffic(traffic)
    if view.mirror != want.mirror:
        return SetMirror(want.mirror)
    for own in (state.new, state.old):
        if own is not None and own in view.deployments and own not in want.deployments:
            return Delete(own)
    return None


def resume(state: State, now: float) -> State:
    """Resume a release: reset its failures, and count patience from now."""
    return replace(state, resumed=now, failures=0)


def reopen(state: State, now: float) -> State:
    """Roll back a completed release, by deploying the version before it again.

    Raises:
        UsageError: there was none before it, or it was refused.
    """
    name = f"{state.model} v{state.version}"
    if state.stage != RELEASED:
        raise UsageError(f"the release of {name} was {state.stage}; there is nothing to roll back")
    if state.old is None:
        raise UsageError(
            f"{name} was the first on `{state.endpoint}`; there is no version to go back to"
        )
    reasons = (*state.reasons, _cancelled(state))
    state = replace(resume(state, now), reasons=reasons, recorded=False)
    return replace(state, stage=ROLLING_BACK, entered=now)


def _onward(state: State, seen: Observation, reasons: tuple[Reason, ...] = ()) -> State:
    following = state.plan[state.plan.index(state.stage) + 1]
    return _enter(replace(state, reasons=(*state.reasons, *reasons)), following, seen)


def _enter(state: State, stage: str, seen: Observation) -> State:
    visit = Visit(state.stage, state.entered, seen.now, seen.new, seen.old)
    return replace(
        state,
        stage=stage,
        entered=seen.now,
        resumed=seen.now,
        failures=0,
        history=(*state.history, visit),
    )


def _fail(state: State, seen: Observation, *reasons: Reason) -> State:
    """End a release that has changed nothing as refused; roll back any other."""
    state = replace(state, reasons=(*state.reasons, *reasons))
    return _enter(state, REFUSED if state.stage == REGISTER else ROLLING_BACK, seen)


def _checked(state: State, seen: Observation) -> tuple[State, tuple[Action, ...]]:
    if seen.checks is None:
        return state, (Check(state.stage),)
    if all(reason.passed for reason in seen.checks):
        return _onward(state, seen, seen.checks), ()
    return _fail(state, seen, *seen.checks), ()


def _measured(
    state: State, seen: Observation, settings: Release, limits: Limits
) -> tuple[State, tuple[Action, ...]]:
    reasons = judge(state, seen, settings, limits)
    if reasons is None:
        return state, (Wait(),)
    if all(reason.passed for reason in reasons):
        return _onward(state, seen, reasons), ()
    return _fail(state, seen, *reasons), ()


def judge(
    state: State, seen: Observation, settings: Release, limits: Limits
) -> tuple[Reason, ...] | None:
    """Judge the live requests of the new deployment; None: too early.

    Errors are held against those of the old deployment where it has had enough requests: what both
    depend on fails for both. More errors than are allowed for the whole stage end it at once; latency
    alone does after TIMED_REQUESTS.
    """
    new, old, needed = seen.new or Metrics(), seen.old, settings.requests
    if old is not None and old.requests < needed:
        old = None
    most = limits.error_rate
    if old is not None:
        most = max(most or 0.0, old.error_rate + settings.more_errors)
    if most is not None and new.errors > most * max(needed, new.requests):
        return (_errors(state, new, most),)
    waited = seen.now - state.resumed
    if (new.requests < needed or waited < settings.seconds) and waited <= settings.patience:
        return None
    if new.requests < needed:
        return (_too_few(state, new, settings),)
    reasons = []
    if most is not None:
        reasons.append(_errors(state, new, most))
    slow = [] if limits.p95_ms is None else [_slow(state, new, limits.p95_ms)]
    if old is not None:
        name, margin = f"v{state.old_version}", old.refusal_rate + settings.more_errors
        reasons.append(
            _reason(
                state,
                f"refuses no more requests than {name}",
                f"≤ {margin:.2%}",
                f"{new.refusal_rate:.2%}",
                new.refusal_rate <= margin,
            )
        )
        if new.p95_ms is not None and old.p95_ms is not None:
            most = max(old.p95_ms * settings.slower_times, old.p95_ms + settings.slower_ms)
            slow.append(_slow(state, new, most, f"not slower than {name}"))
    is_slow_only = all(one.passed for one in reasons) and not all(one.passed for one in slow)
    if is_slow_only and new.requests < TIMED_REQUESTS and waited <= settings.patience:
        return None
    return (*reasons, *slow)


def _answers(view: View, name: str) -> bool:
    return name in view.deployments and view.deployments[name].healthy


def _is_final(state: State, seen: Observation) -> bool:
    """Whether to stop retrying: a version that does not start is deployed once, other actions thrice."""
    is_new = isinstance(seen.failed, Deploy) and seen.failed.name == state.new
    return is_new or state.failures >= FEW_FAILURES


def _without_zeros(percent: Mapping[str, int]) -> dict[str, int]:
    return {name: share for name, share in percent.items() if share}


def _reason(
    state: State, gate: str, expected: str, found: str, passed: bool, advice: str = ""
) -> Reason:
    return Reason(f"{state.stage}: {gate}", expected, found, passed, "" if passed else advice)


def _errors(state: State, new: Metrics, most: float) -> Reason:
    return _reason(
        state,
        "answers without errors",
        f"errors ≤ {most:.2%}",
        f"{new.errors} of {new.requests}",
        new.error_rate <= most,
        f"read the log of deployment {state.new}",
    )


def _slow(state: State, new: Metrics, most: float, gate: str = "fast enough") -> Reason:
    found = "nothing" if new.p95_ms is None else f"{new.p95_ms:.1f} ms"
    passed = new.p95_ms is not None and new.p95_ms <= most
    return _reason(state, gate, f"p95 ≤ {most:.1f} ms", found, passed)


def _too_few(state: State, new: Metrics, settings: Release) -> Reason:
    """Decide about a quiet endpoint, as conf/gates.yml says; no figure of these requests is judged."""
    passed = settings.quiet == "release"
    decided = f" with {new.errors} errors; its tests decide (release.quiet)" if passed else ""
    return _reason(
        state,
        "enough requests to judge",
        f"≥ {settings.requests} in {settings.patience:g} s",
        f"{new.requests}{decided}",
        passed,
        "send more traffic, or ask for fewer requests in conf/gates.yml",
    )


def _cancelled(state: State) -> Reason:
    return _reason(state, "not cancelled", "no rollback requested", "rollback requested", False)


def _down(state: State) -> Reason:
    return _reason(
        state,
        "the new deployment answers",
        "answering",
        "down",
        False,
        f"read the log of deployment {state.new}",
    )
