"""The state machine of a safe rollout: what comes next, and the one action that leads there.

Nothing here touches a server, a clock or a file. A stage says how the endpoint should look; `step`
compares that with how it does look and names the first difference to remove. So an action that was
lost, failed or done twice does no harm: the next look finds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from modelyard.errors import ModelyardError, UsageError
from modelyard.gates import Release
from modelyard.models.reasons import Reason

REGISTER, DEPLOY, SMOKE, INTEGRATION = "register", "deploy", "smoke tests", "integration tests"
MIRROR, RETIRE, RELEASED = "mirror", "retire", "released"
ROLLING_BACK, ROLLED_BACK, REFUSED = "rolling back", "rolled back", "refused"
ENDED = (RELEASED, ROLLED_BACK, REFUSED)
_CHECKED = (REGISTER, SMOKE, INTEGRATION)
COLOURS = ("blue", "green")
# Azure's names: who should answer, or has; and the status of an answer of the model other than 200.
DEPLOYMENT_HEADER = "azureml-model-deployment"
STATUS_HEADER = "ms-azureml-model-error-statuscode"
# Azure: "The maximum percentage of traffic you can mirror is 50 percent", and only to one deployment,
# which then takes no live traffic (how-to-safely-rollout-online-endpoints).
MOST_MIRRORED = 50
FEW_FAILURES = 3  # of actions in a row, before a release is called off
MANY_FAILURES = 6  # before cleaning up is left to the next call


class EndpointError(ModelyardError):
    """An endpoint could not do what it was asked."""


@dataclass(frozen=True)
class Deployment:
    """A deployment as it is: what it serves, and whether it answers."""

    name: str
    version: str
    healthy: bool = True


@dataclass(frozen=True)
class View:
    """An endpoint as it is. Traffic and mirror hold no zeros."""

    deployments: Mapping[str, Deployment]
    traffic: Mapping[str, int]
    mirror: Mapping[str, int]


@dataclass(frozen=True)
class Metrics:
    """What happened to a deployment's live and mirrored requests.

    Attributes:
        errors: answered with 5xx, or not at all.
        refused: answered with 4xx.
        p50_ms: median time to the answer; None without requests.
    """

    requests: int = 0
    errors: int = 0
    refused: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None

    @property
    def error_rate(self) -> float:
        """Share of requests that failed; 0 without requests."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def refusal_rate(self) -> float:
        """Share of requests that were refused; 0 without requests."""
        return self.refused / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Answer:
    """What a deployment said when it was asked directly."""

    status: int
    body: Any
    milliseconds: float


class Endpoint(Protocol):
    """An online endpoint with deployments behind it. Every method may be called twice.

    Raises:
        EndpointError: by every method, when it cannot be done.
    """

    name: str
    pause: float  # seconds between two looks at a stage that is watched

    def open(self) -> None:
        """Bring it up, where it is ours to bring up."""

    def rehearsal_url(self) -> str | None:
        """Where a rehearsal may send requests; None: only real ones count."""

    def view(self) -> View:
        """How the endpoint looks now."""

    def deploy(self, name: str, version: str) -> None:
        """Make a deployment serve a model version; it answers when this returns."""

    def set_traffic(self, percent: Mapping[str, int]) -> None:
        """Share live requests out; the percentages sum to 100, or there are none."""

    def set_mirror(self, percent: Mapping[str, int]) -> None:
        """Copy a share of the live requests to one deployment that has no traffic; {} ends that."""

    def invoke(self, deployment: str, payload: Any) -> Answer:
        """Ask one deployment, whatever the traffic."""

    def live_metrics(self, deployment: str, since: float) -> Metrics:
        """What happened to a deployment's live and mirrored requests since a moment (Unix time)."""

    def delete(self, name: str) -> None:
        """Remove a deployment that has no traffic."""


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
class Watch:
    """Wait a moment, then look again."""


Action = Deploy | SetTraffic | SetMirror | Delete | Check | Watch


@dataclass(frozen=True)
class Limits:
    """What a deployment must hold, whatever the old one does; None: no limit."""

    error_rate: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True)
class Visit:
    """A stage that is over, and what was measured in it."""

    stage: str
    entered: float
    left: float
    new: Metrics | None = None
    old: Metrics | None = None


@dataclass(frozen=True)
class State:
    """A release; all that has to survive a crash.

    Attributes:
        plan: its stages, in order, as decided when it began.
        new: name of the deployment that is being released; `old`: the one that served before.
        entered: when its stage began; what is measured in the stage counts from here (Unix time).
        resumed: when it was last taken up; patience counts from here.
        failures: of actions, in a row.
        reasons: every check so far.
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
    failures: int = 0
    history: tuple[Visit, ...] = ()
    reasons: tuple[Reason, ...] = ()

    @property
    def ended(self) -> bool:
        """Nothing more will happen."""
        return self.stage in ENDED

    @property
    def stuck(self) -> bool:
        """Cleaning up fails again and again; a person should look."""
        return self.stage in (ROLLING_BACK, RETIRE) and self.failures >= MANY_FAILURES


@dataclass(frozen=True)
class Observation:
    """What was found since the last step.

    Attributes:
        checks: results of the checks asked for last, if any were.
        new: metrics of the new deployment since its stage began; `old`: of the old one since the
            release began. None outside the stages that are watched.
        failed: the action that failed, and `error`: why.
        call_off: somebody asks for a rollback.
    """

    view: View
    now: float
    checks: tuple[Reason, ...] | None = None
    new: Metrics | None = None
    old: Metrics | None = None
    failed: Action | None = None
    error: str | None = None
    call_off: bool = False


def begin(
    view: View, *, id: str, endpoint: str, model: str, version: str, now: float, settings: Release
) -> State:
    """A new release, beside whatever serves now.

    A deployment that has the traffic but does not answer is nothing to go back to: the new one takes
    its place as if it were the first.

    Raises:
        UsageError: live traffic goes to several deployments, so there is no one old version.
    """
    serving = [name for name, percent in view.traffic.items() if percent]
    if len(serving) > 1:
        shares = ", ".join(f"{name} {view.traffic[name]}%" for name in sorted(serving))
        raise UsageError(
            f"endpoint `{endpoint}` shares its traffic out ({shares}) and no release of ours is under "
            "way; send all of it to one deployment first"
        )
    old = serving[0] if serving and _answers(view, serving[0]) else None
    new = COLOURS[1] if serving == [COLOURS[0]] else COLOURS[0]
    live = [f"{percent}%" for percent in settings.traffic] if old else ["100%"]
    mirror = [MIRROR] if old and settings.mirror else []
    plan = (REGISTER, DEPLOY, SMOKE, INTEGRATION, *mirror, *live, RETIRE, RELEASED)
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


def watched(state: State) -> bool:
    """The stage is one in which live requests are judged."""
    return state.stage == MIRROR or state.stage.endswith("%")


def step(
    state: State, seen: Observation, settings: Release, limits: Limits
) -> tuple[State, tuple[Action, ...]]:
    """The state that follows from what was seen, and what to do in it: one thing at most."""
    if state.ended:
        return state, ()
    if seen.call_off and state.stage != ROLLING_BACK:
        return _fail(state, seen, _called_off(state)), ()
    if seen.error is not None:
        state = replace(state, failures=state.failures + 1)
        if state.stage not in (ROLLING_BACK, RETIRE) and _hopeless(state, seen):
            return _fail(state, seen, _cannot(state, seen)), ()
    elif state.failures:
        state = replace(state, failures=0)
    if state.stage == REGISTER or (state.stage in _CHECKED and seen.checks is not None):
        return _checked(state, seen)
    if _past_deploy(state) and not _answers(seen.view, state.new):
        return _fail(state, seen, _died(state)), ()
    action = next_action(state, seen.view, settings)
    if action is not None:
        return state, (action,)
    if state.stage == ROLLING_BACK:
        return _enter(state, ROLLED_BACK, seen), ()
    if state.stage in (DEPLOY, RETIRE):
        return _onward(state, seen), ()
    if state.stage in _CHECKED:
        return _checked(state, seen)
    return _watch(state, seen, settings, limits)


def wanted(state: State, settings: Release) -> View:
    """How the endpoint should look in the state's stage, as far as the release is concerned."""
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
    """The first thing to do so that the endpoint looks as the stage wants; None: it does.

    The order keeps clients safe: what should answer is deployed and answers before traffic goes
    there, and traffic has gone before anything is deleted. Deployments that are not this release's
    are left alone.
    """
    want = wanted(state, settings)
    if view.mirror and view.mirror != want.mirror:
        return SetMirror({})
    for name, deployment in want.deployments.items():
        found = view.deployments.get(name)
        if found is None or not found.healthy or found.version != deployment.version:
            return Deploy(name, deployment.version)
    traffic = want.traffic
    if state.old is None and not traffic:  # whoever else has some keeps it
        traffic = {name: share for name, share in view.traffic.items() if name != state.new}
    if view.traffic != traffic:
        return SetTraffic(traffic)
    if view.mirror != want.mirror:
        return SetMirror(want.mirror)
    for ours in (state.new, state.old):
        if ours is not None and ours in view.deployments and ours not in want.deployments:
            return Delete(ours)
    return None


def resume(state: State, now: float) -> State:
    """Take a release up again: patience and failures start afresh."""
    return replace(state, resumed=now, failures=0)


def reopen(state: State, now: float) -> State:
    """Roll back a release that has ended well, by deploying the version before it again.

    Raises:
        UsageError: there was none before it, or it was rolled back already.
    """
    name = f"{state.model} v{state.version}"
    if state.stage != RELEASED:
        raise UsageError(f"the release of {name} was {state.stage}; there is nothing to roll back")
    if state.old is None:
        raise UsageError(f"{name} was the first on `{state.endpoint}`; there is none to go back to")
    state = replace(resume(state, now), reasons=(*state.reasons, _called_off(state)))
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
    """Refused where nothing was touched yet, else the way back."""
    state = replace(state, reasons=(*state.reasons, *reasons))
    return _enter(state, REFUSED if state.stage == REGISTER else ROLLING_BACK, seen)


def _checked(state: State, seen: Observation) -> tuple[State, tuple[Action, ...]]:
    if seen.checks is None:
        return state, (Check(state.stage),)
    if all(reason.passed for reason in seen.checks):
        return _onward(state, seen, seen.checks), ()
    return _fail(state, seen, *seen.checks), ()


def _watch(
    state: State, seen: Observation, settings: Release, limits: Limits
) -> tuple[State, tuple[Action, ...]]:
    reasons = judge(state, seen, settings, limits)
    if reasons is None:
        return state, (Watch(),)
    if all(reason.passed for reason in reasons):
        return _onward(state, seen, reasons), ()
    return _fail(state, seen, *reasons), ()


def judge(
    state: State, seen: Observation, settings: Release, limits: Limits
) -> tuple[Reason, ...] | None:
    """Whether the new deployment does its live work well enough; None: too early to say.

    So many errors that the stage cannot end well any more end it at once.
    """
    new, old = seen.new or Metrics(), seen.old
    needed = settings.requests
    if limits.error_rate is not None and new.errors > limits.error_rate * max(needed, new.requests):
        return (_errors(state, new, limits.error_rate),)
    if new.requests < needed or seen.now - state.resumed < settings.seconds:
        if seen.now - state.resumed <= settings.patience:
            return None
        return (_too_few(state, new, settings),)
    reasons = []
    if limits.error_rate is not None:
        reasons.append(_errors(state, new, limits.error_rate))
    if limits.p95_ms is not None:
        reasons.append(_slow(state, new, limits.p95_ms))
    if old is not None and old.requests >= needed:
        name, margin = f"v{state.old_version}", settings.more_errors
        for gate, found, before in (
            (f"no more errors than {name}", new.error_rate, old.error_rate),
            (f"refuses no more than {name}", new.refusal_rate, old.refusal_rate),
        ):
            reasons.append(
                _reason(
                    state,
                    gate,
                    f"≤ {before + margin:.2%}",
                    f"{found:.2%}",
                    found <= before + margin,
                )
            )
        if new.p95_ms is not None and old.p95_ms is not None:
            most = max(old.p95_ms * settings.slower_times, old.p95_ms + settings.slower_ms)
            reasons.append(_slow(state, new, most, f"not slower than {name}"))
    return tuple(reasons)


def _past_deploy(state: State) -> bool:
    return state.stage in (SMOKE, INTEGRATION) or watched(state)


def _answers(view: View, name: str) -> bool:
    return name in view.deployments and view.deployments[name].healthy


def _hopeless(state: State, seen: Observation) -> bool:
    """Deploying a version that does not start is not tried twice; other things may pass."""
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
        f"the log of deployment {state.new} says why",
    )


def _slow(state: State, new: Metrics, most: float, gate: str = "fast enough") -> Reason:
    found = "nothing" if new.p95_ms is None else f"{new.p95_ms:.1f} ms"
    passed = new.p95_ms is not None and new.p95_ms <= most
    return _reason(state, gate, f"p95 ≤ {most:.1f} ms", found, passed)


def _too_few(state: State, new: Metrics, settings: Release) -> Reason:
    return _reason(
        state,
        "enough requests to judge by",
        f"≥ {settings.requests} in {settings.patience:g} s",
        str(new.requests),
        False,
        "send more traffic, or ask for fewer requests in conf/gates.yml",
    )


def _called_off(state: State) -> Reason:
    return _reason(state, "left to go on", "nobody objects", "a rollback was asked for", False)


def _died(state: State) -> Reason:
    return _reason(
        state,
        "the new deployment is up",
        "answering",
        "down",
        False,
        f"the log of deployment {state.new} says why",
    )


def _cannot(state: State, seen: Observation) -> Reason:
    return _reason(state, "the endpoint does as it is told", "done", seen.error or "", False)
