"""Releases to an endpoint on which any operation fails, any process dies or is killed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from modelyard.errors import CheckFailed, UsageError
from modelyard.gates import Release
from modelyard.models.reasons import Reason
from modelyard.releases import rollout
from modelyard.releases.endpoint import Deployment, Endpoint, EndpointError, Metrics
from modelyard.releases.release import drive
from modelyard.releases.release_record import FileRecord, evidence
from modelyard.releases.rollout import (
    REFUSED,
    RELEASED,
    ROLLED_BACK,
    Limits,
    State,
)
from pydantic import ValidationError

from tests.fake_endpoint import FAULTS, FakeEndpoint, Killed

SETTINGS = Release(requests=100, seconds=2, patience=600)
LIMITS = Limits(error_rate=0.01, p95_ms=100.0)


def fine(stage: str, state: State, endpoint: Endpoint) -> tuple[Reason, ...]:
    return (Reason(stage, "fine", "fine", True),)


def begun(endpoint: FakeEndpoint, version: str, settings: Release = SETTINGS) -> State:
    return rollout.begin(
        endpoint.view(),
        id="r",
        endpoint="fake",
        model="test",
        version=version,
        now=endpoint.now,
        settings=settings,
    )


def go(endpoint: FakeEndpoint, state: State, **options: object) -> State:
    arguments = {
        "settings": SETTINGS,
        "limits": LIMITS,
        "save": lambda found: None,
        "clock": endpoint.clock,
        "sleep": endpoint.sleep,
        **options,
    }
    checks = arguments.pop("checks", fine)
    ended = drive(state, endpoint, checks, **arguments)  # type: ignore[arg-type]
    endpoint.served = endpoint.served or ended.stage == RELEASED
    return ended


@pytest.fixture
def serving() -> FakeEndpoint:
    """An endpoint on which v1 answers everybody."""
    endpoint = FakeEndpoint()
    assert go(endpoint, begun(endpoint, "1")).stage == RELEASED
    endpoint.log.clear()
    return endpoint


def changes(endpoint: FakeEndpoint) -> list[str]:
    return [line for line in endpoint.log if line not in ("view", "metrics")]


def test_a_first_version_answers_everybody_once_it_was_tested() -> None:
    endpoint = FakeEndpoint()
    ended = go(endpoint, begun(endpoint, "1"))
    assert ended.stage == RELEASED
    assert changes(endpoint) == ["deploy blue v1", "traffic {'blue': 100}"]
    assert [visit.stage for visit in ended.history] == [
        "register",
        "deploy",
        "smoke tests",
        "integration tests",
        "100%",
        "retire",
    ]


def test_a_good_version_takes_over_step_by_step(serving: FakeEndpoint) -> None:
    assert go(serving, begun(serving, "2")).stage == RELEASED
    assert changes(serving) == [
        "deploy green v2",
        "mirror {'green': 20}",
        "mirror {}",
        "traffic {'blue': 90, 'green': 10}",
        "traffic {'blue': 50, 'green': 50}",
        "traffic {'green': 100}",
        "delete blue",
    ]


def test_the_next_release_takes_the_free_colour(serving: FakeEndpoint) -> None:
    go(serving, begun(serving, "2"))
    go(serving, begun(serving, "3"))
    assert {name: one.version for name, one in serving.deployments.items()} == {"blue": "3"}


@pytest.mark.parametrize("stage", ["register", "smoke tests", "integration tests"])
def test_a_failed_check_ends_the_release_before_any_live_request(
    serving: FakeEndpoint, stage: str
) -> None:
    def checks(asked: str, state: State, endpoint: Endpoint) -> tuple[Reason, ...]:
        return (Reason(asked, "fine", "not fine", asked != stage),)

    ended = go(serving, begun(serving, "2"), checks=checks)
    assert ended.stage == (REFUSED if stage == "register" else ROLLED_BACK)
    assert not any(line.startswith(("traffic", "mirror")) for line in changes(serving))
    assert set(serving.deployments) == {"blue"}
    assert [reason.gate for reason in ended.reasons if not reason.passed] == [stage]


def test_a_version_that_does_not_start_is_tried_once(serving: FakeEndpoint) -> None:
    serving.broken = {"2"}
    ended = go(serving, begun(serving, "2"))
    assert ended.stage == ROLLED_BACK
    assert changes(serving) == ["deploy green v2", "delete green"]
    assert ended.reasons[-1].found == "v2 does not start"


@pytest.mark.parametrize("errors", [0.02, 0.5, 1.0])
def test_a_version_with_more_errors_than_allowed_is_out_before_it_answers_anybody(
    serving: FakeEndpoint, errors: float
) -> None:
    serving.wrong = {"2": errors}
    ended = go(serving, begun(serving, "2"))
    assert ended.stage == ROLLED_BACK
    assert changes(serving)[-2:] == ["mirror {}", "delete green"]
    assert "mirror: answers without errors" in [one.gate for one in ended.reasons if not one.passed]


def test_a_version_much_slower_than_the_old_one_is_rolled_back(serving: FakeEndpoint) -> None:
    serving.latency = {"1": 10.0, "2": 36.0}
    ended = go(serving, begun(serving, "2"))
    assert ended.stage == ROLLED_BACK
    assert ended.reasons[-1].gate == "mirror: not slower than v1"


def test_a_slower_version_within_the_margin_is_released(serving: FakeEndpoint) -> None:
    serving.latency = {"1": 10.0, "2": 34.0}
    assert go(serving, begun(serving, "2")).stage == RELEASED


def test_a_version_slower_than_the_limit_is_rolled_back_however_slow_the_old_one_is(
    serving: FakeEndpoint,
) -> None:
    serving.latency = {"1": 200.0, "2": 101.0}
    ended = go(serving, begun(serving, "2"))
    assert ended.stage == ROLLED_BACK
    assert [one.gate for one in ended.reasons if not one.passed] == ["mirror: fast enough"]


@pytest.mark.parametrize(
    ("requests", "p95", "seconds", "passed"),
    [(120, 40.0, 3, True), (120, 140.0, 3, None), (200, 140.0, 3, False), (120, 140.0, 601, False)],
)
def test_a_pause_in_a_few_requests_is_no_slow_version(
    serving: FakeEndpoint, requests: int, p95: float, seconds: float, passed: bool | None
) -> None:
    state = replace(begun(serving, "2"), stage="mirror", resumed=0.0)
    new, old = Metrics(requests, 0, 0, 5.0, p95), Metrics(500, 0, 0, 5.0, 30.0)
    seen = rollout.Observation(serving.view(), seconds, new=new, old=old)
    found = rollout.judge(state, seen, SETTINGS, LIMITS)
    assert (None if found is None else all(one.passed for one in found)) == passed


@pytest.mark.parametrize(
    ("quiet", "end", "found"),
    [
        ("release", RELEASED, "3 with 0 errors; its tests decide (release.quiet)"),
        ("roll back", ROLLED_BACK, "3"),
    ],
)
def test_a_quiet_endpoint_is_decided_about_when_patience_ends(
    serving: FakeEndpoint, quiet: str, end: str, found: str
) -> None:
    def pass_time(seconds: float) -> None:
        serving.now += 301
        for name in (*serving.traffic, *serving.mirror):
            serving.requests.setdefault(name, []).append((serving.now, 1))

    settings = SETTINGS.model_copy(update={"quiet": quiet})
    ended = go(serving, begun(serving, "2"), sleep=pass_time, settings=settings)
    assert ended.stage == end
    reason = next(one for one in ended.reasons if one.gate == "mirror: enough requests to judge")
    assert (reason.found, reason.passed) == (found.replace("3", "2"), end == RELEASED)


def test_a_quiet_endpoint_is_not_released_to_with_errors(serving: FakeEndpoint) -> None:
    def pass_time(seconds: float) -> None:
        serving.now += 301
        for name in (*serving.traffic, *serving.mirror):
            serving.requests.setdefault(name, []).append((serving.now, 5))

    serving.wrong = {"2": 1.0}
    assert go(serving, begun(serving, "2"), sleep=pass_time).stage == ROLLED_BACK


@pytest.mark.parametrize(("new", "end"), [(0.205, RELEASED), (0.22, ROLLED_BACK)])
def test_what_fails_for_the_old_deployment_too_is_not_held_against_the_new_one(
    serving: FakeEndpoint, new: float, end: str
) -> None:
    def pass_time(seconds: float) -> None:
        serving.now += 1
        for name in (*serving.traffic, *serving.mirror):
            serving.requests.setdefault(name, []).append((serving.now, 1000))

    serving.wrong = {"1": 0.2, "2": new}
    assert go(serving, begun(serving, "2"), sleep=pass_time).stage == end


def test_metrics_that_cannot_be_read_are_no_reason_to_roll_back(
    serving: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pass_time(seconds: float) -> None:
        serving.now += 100

    def refuse(deployment: str, since: float) -> None:
        raise EndpointError("Azure Monitor answers 503")

    saved: list[State] = []
    with monkeypatch.context() as patch:
        patch.setattr(serving, "live_metrics", refuse)
        with pytest.raises(CheckFailed, match=r"cannot be measured \(mirror\): Azure Monitor"):
            go(serving, begun(serving, "2"), save=saved.append, sleep=pass_time)
    assert serving.traffic == {"blue": 100} and serving.mirror == {"green": 20}
    assert go(serving, rollout.resume(saved[-1], serving.now)).stage == RELEASED


def test_an_old_deployment_that_is_kept_makes_a_rollback_a_matter_of_traffic(
    serving: FakeEndpoint,
) -> None:
    keeping = SETTINGS.model_copy(update={"keep_old_hours": 24})
    state = go(serving, begun(serving, "2", keeping), settings=keeping)
    assert state.stage == RELEASED and set(serving.deployments) == {"blue", "green"}
    serving.log.clear()
    back = go(serving, rollout.reopen(state, serving.now), settings=keeping)
    assert back.stage == ROLLED_BACK
    assert changes(serving) == ["traffic {'blue': 100}", "delete green"]
    # The next release takes the place of what was kept.
    go(serving, begun(serving, "2", keeping), settings=keeping)
    go(serving, begun(serving, "3", keeping), settings=keeping)
    assert {name: one.version for name, one in serving.deployments.items()} == {
        "green": "2",
        "blue": "3",
    }


def test_a_deployment_that_is_being_updated_is_waited_for_before_its_tests(
    serving: FakeEndpoint,
) -> None:
    state = replace(begun(serving, "2"), stage="deploy")
    serving.deployments["green"] = Deployment("green", "2", changing=True)
    seen = rollout.Observation(serving.view(), serving.now)
    assert rollout.step(state, seen, SETTINGS, LIMITS)[1] == (rollout.Deploy("green", "2"),)
    old = replace(serving.deployments["blue"], changing=True)
    serving.deployments |= {"green": Deployment("green", "2"), "blue": old}
    seen = rollout.Observation(serving.view(), serving.now)
    assert rollout.step(state, seen, SETTINGS, LIMITS)[0].stage == "smoke tests"


@pytest.mark.parametrize(
    "stage", ["register", "deploy", "smoke tests", "mirror", "10%", "50%", "100%", "retire"]
)
def test_a_release_cancelled_in_any_stage_leaves_the_old_version_alone(
    serving: FakeEndpoint, stage: str
) -> None:
    found: list[State] = []
    go(serving, begun(serving, "2"), save=found.append)
    state = next(one for one in found if one.stage == stage)
    ended = go(serving, rollout.resume(state, serving.now), cancelled=True)
    if stage == "register":
        assert ended.stage == REFUSED
        return
    assert ended.stage == ROLLED_BACK
    assert serving.traffic == {"blue": 100}
    assert {name: one.version for name, one in serving.deployments.items()} == {"blue": "1"}


def test_a_release_that_ended_well_is_undone_by_deploying_the_version_before(
    serving: FakeEndpoint,
) -> None:
    state = go(serving, begun(serving, "2"))
    serving.log.clear()
    assert go(serving, rollout.reopen(state, serving.now)).stage == ROLLED_BACK
    assert changes(serving) == ["deploy blue v1", "traffic {'blue': 100}", "delete green"]


def test_there_must_be_something_to_undo(serving: FakeEndpoint) -> None:
    first = replace(begun(serving, "2"), stage=RELEASED, old=None)
    with pytest.raises(UsageError, match="was the first on `fake`"):
        rollout.reopen(first, 0)
    with pytest.raises(UsageError, match="was refused; there is nothing"):
        rollout.reopen(replace(first, stage=REFUSED), 0)


def test_an_endpoint_shared_by_others_is_not_touched(serving: FakeEndpoint) -> None:
    serving.deployments["green"] = Deployment("green", "7")
    serving.traffic = {"blue": 60, "green": 40}
    with pytest.raises(UsageError, match=r"splits its traffic \(blue 60%, green 40%\)"):
        begun(serving, "2")


def test_an_old_deployment_that_dies_is_started_again_before_it_gets_its_requests_back(
    serving: FakeEndpoint,
) -> None:
    saved: list[State] = []
    go(serving, begun(serving, "2"), save=saved.append)
    halfway = next(one for one in saved if one.stage == "50%")
    go(serving, rollout.reopen(saved[-1], serving.now))
    serving.deployments = {
        "blue": Deployment("blue", "1", healthy=False),
        "green": Deployment("green", "2", healthy=False),
    }
    serving.traffic = {"blue": 50, "green": 50}
    serving.log.clear()
    assert go(serving, rollout.resume(halfway, serving.now)).stage == ROLLED_BACK
    assert changes(serving) == ["deploy blue v1", "traffic {'blue': 100}", "delete green"]


def test_an_old_deployment_that_dies_while_the_new_one_is_tested_comes_back(
    serving: FakeEndpoint,
) -> None:
    serving.faults[serving.calls + 4] = "old dies"
    assert go(serving, begun(serving, "2")).stage == RELEASED
    assert "deploy blue v1" in changes(serving)


def test_a_deployment_that_is_dead_for_good_is_replaced_by_the_next_version(
    serving: FakeEndpoint,
) -> None:
    serving.die("blue")
    serving.broken = {"1"}
    assert go(serving, begun(serving, "2")).stage == RELEASED
    assert changes(serving) == ["deploy green v2", "traffic {'green': 100}"]


def test_a_bad_version_does_not_replace_one_that_is_dead(serving: FakeEndpoint) -> None:
    serving.die("blue")
    serving.wrong = {"2": 1.0}
    serving.served = False
    assert go(serving, begun(serving, "2")).stage == ROLLED_BACK
    assert serving.traffic == {} and set(serving.deployments) == {"blue"}


def test_a_left_over_of_the_same_name_is_replaced(serving: FakeEndpoint) -> None:
    serving.deployments["green"] = Deployment("green", "7")
    assert go(serving, begun(serving, "2")).stage == RELEASED
    assert serving.deployments["green"].version == "2"


def test_cleaning_up_that_fails_again_and_again_is_left_to_the_next_call(
    serving: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[State] = []

    def refuse(name: str) -> None:
        raise EndpointError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(serving, "delete", refuse)
        with pytest.raises(CheckFailed, match="the disk is full"):
            go(serving, begun(serving, "2"), save=saved.append)
    assert serving.traffic == {"green": 100}
    assert go(serving, rollout.resume(saved[-1], serving.now)).stage == RELEASED


def test_a_state_survives_the_disk(serving: FakeEndpoint, tmp_path: Path) -> None:
    state = go(serving, begun(serving, "2"))
    record = FileRecord(tmp_path)
    record.save(state)
    assert record.load() == state
    assert evidence(state)["details"]["verdict"] == "release"
    (tmp_path / "release.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="is not the state of a release"):
        record.load()


@pytest.mark.parametrize("traffic", [(10, 50), (50, 10, 100), (10, 10, 100), (0, 100), ()])
def test_the_shares_of_the_new_version_rise_to_all(traffic: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        Release(traffic=traffic)


class Releases(RuleBasedStateMachine):
    """Releases one after the other, each with faults at some calls, resumed until it has ended.

    The endpoint itself asserts what must hold at every call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.endpoint = FakeEndpoint()
        self.number = 0
        self.live: str | None = None
        self.state: State | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="releases-")
        self.record = FileRecord(Path(self._folder.name))

    @initialize(first=st.booleans(), keep=st.sampled_from([0.0, 24.0]))
    def start(self, first: bool, keep: float) -> None:
        self.settings = SETTINGS.model_copy(update={"keep_old_hours": keep})
        if not first:
            self._release(bad=None)
            self._run(cancelled=False)

    @rule(
        bad=st.sampled_from([None, "does not start", "errors", "slow"]),
    )
    @precondition(lambda self: self.state is None)
    def release(self, bad: str | None) -> None:
        self._release(bad)

    def _release(self, bad: str | None) -> None:
        self.number += 1
        version = str(self.number)
        if bad == "does not start":
            self.endpoint.broken.add(version)
        elif bad == "errors":
            self.endpoint.wrong[version] = 0.2
        elif bad == "slow":
            self.endpoint.latency[version] = 500.0
        self.bad = bad is not None
        self.endpoint.faults.clear()
        for name in self.endpoint.traffic:  # as an endpoint does when it is opened
            self.endpoint.deployments[name] = replace(self.endpoint.deployments[name], healthy=True)
        self.state = begun(self.endpoint, version, self.settings)
        self.record.save(self.state)

    @rule(offset=st.integers(0, 40), fault=st.sampled_from(FAULTS))
    def disturb(self, offset: int, fault: str) -> None:
        self.endpoint.faults[self.endpoint.calls + offset] = fault

    @rule(cancelled=st.sampled_from([False, False, True]))
    @precondition(lambda self: self.state is not None)
    def run(self, cancelled: bool) -> None:
        self._run(cancelled=cancelled)

    def _run(self, *, cancelled: bool) -> None:
        state = self.record.load()
        assert state is not None
        try:
            state = go(
                self.endpoint,
                rollout.resume(state, self.endpoint.now),
                save=self.record.save,
                settings=self.settings,
                cancelled=cancelled,
            )
        except (Killed, EndpointError, CheckFailed):
            return
        finally:
            self.endpoint.served = self.endpoint.served or self.live is not None
        self._ended(state)

    def _ended(self, state: State) -> None:
        traffic = self.endpoint.traffic
        assert not self.endpoint.mirror
        if state.stage == RELEASED:
            assert not self.bad, "a bad version must never get through"
            assert traffic == {state.new: 100}
            kept = {state.old} if self.settings.keep_old_hours and state.old else set()
            assert set(self.endpoint.deployments) - kept == {state.new}
            self.live = state.version
        else:
            assert traffic == ({state.old: 100} if state.old else {})
            assert state.new not in self.endpoint.deployments or state.stage == REFUSED
        if self.live is not None:
            (serving,) = traffic
            assert self.endpoint.deployments[serving].version == self.live
        self.state = None

    @invariant()
    def clients_are_served(self) -> None:
        self.endpoint.check()

    def teardown(self) -> None:
        """Without further faults, every release comes to its end."""
        self.endpoint.faults.clear()
        if self.state is not None:
            self._run(cancelled=False)
            assert self.state is None
        self._folder.cleanup()


Releases.TestCase.settings = hypothesis_settings(max_examples=80, stateful_step_count=12)
TestReleases = Releases.TestCase
