"""Releases to a managed endpoint of Azure ML, with Azure's own SDKs and its answers made up.

Run in a generated project, where its requirements/cloud.txt is installed. No account, no network, no
waiting: the clock is the fake's. Prints `ok` and the name of each check. With a number as argument, a
release is killed at so many moments.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import random
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(1, str(Path.cwd()))

import pandas as pd
import yaml
from azure_fake import SIGNED_IN, SUBSCRIPTION, TRACKING_URI, without_warnings
from azure_service import Service
from modelyard.cli.releases import status
from modelyard.errors import CheckFailed, UsageError
from modelyard.gates import Release
from modelyard.models.registry import Registry
from modelyard.models.version import CHAMPION
from modelyard.project import load_project
from modelyard.releases import release_checks
from modelyard.releases.azure_endpoint import AzureEndpoint
from modelyard.releases.release import ReleaseResult, force_rollback, run_release
from modelyard.releases.rollout import REFUSED, RELEASED, ROLLED_BACK, Limits

ROOT = Path.cwd()
PROJECT = load_project(ROOT)
NAMES = PROJECT.environments["prod"]
SETTINGS = Release(requests=100, seconds=0, keep_old_hours=24)
LIMITS = Limits(error_rate=0.01, p95_ms=50.0)
CONTRACT = {
    "version": 1,
    "target": {"column": "y", "kind": "regression"},
    "columns": {"x": {"type": "number"}, "y": {"type": "number", "role": "target"}},
}


def promoted(service: Service, *, like: str | None = None) -> str:
    """Register a version in the workspace, and make it the champion."""
    run = f"run-{len(service.runs) + 1}"
    service.runs[run] = {}
    registry = Registry(PROJECT.model, TRACKING_URI)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "test.parquet"
        pd.DataFrame({"x": [float(n) for n in range(200)], "y": [0.0] * 200}).to_parquet(rows)
        signature = {"signature": {"inputs": '[{"type": "double", "name": "x"}]'}}
        service.artifacts[run] = {
            "prepared/test.parquet": rows.read_bytes(),
            "model/contract.yml": yaml.safe_dump(CONTRACT).encode(),
            "model/MLmodel": json.dumps(signature).encode(),
        }
    version = registry.register(
        run_id=run, source=registry.source(run, "model"), tags={"model_digest": run}
    )
    registry.set_champion(version, registry.holder(CHAMPION))
    registry.tag(version, "decision", "promoted")
    return version.number


def release(environment: str = "prod", **options: Any) -> ReleaseResult:
    """Release the champion as another runner would: nothing is left here of the release before."""
    options = {"settings": SETTINGS, "limits": LIMITS, **options}
    return run_release(_runner(), endpoint=environment, **options)


def refusal(kind: type[Exception], call: Callable[[], object]) -> str:
    """The message of an error that is expected."""
    try:
        call()
    except kind as error:
        return str(error)
    raise AssertionError(f"expected {kind.__name__}")


def undo(environment: str = "prod") -> ReleaseResult:
    return force_rollback(_runner(), endpoint=environment, settings=SETTINGS)


def _runner() -> Path:
    """A machine with the project's files alone."""
    root = Path(tempfile.mkdtemp(prefix="runner-", dir=_PLACE))
    for name in ("azureml", "conf", "infra", "src", "requirements"):
        (root / name).symlink_to(ROOT / name)
    return root


_PLACE = tempfile.mkdtemp(prefix="azure-release-")


@contextlib.contextmanager
def started(**options: Any) -> Iterator[Service]:
    """A workspace with one version that was promoted."""
    with Service(**options).serving() as service:
        promoted(service)
        yield service


def served(service: Service) -> str:
    """The version that has all traffic."""
    (name,) = service.traffic
    return str(service.version(name))


# --- checks ---


def a_version_takes_over_step_by_step_and_a_bad_one_goes_back() -> None:
    with started() as service:
        assert release().released
        promoted(service)
        assert release().released
        assert release().unchanged
        bad = promoted(service)
        service.failing.add(bad)
        assert not release().released
    assert service.changes == [
        f"endpoint {NAMES.endpoint}",
        "deploy blue v1",
        "autoscale blue",
        "traffic {'blue': 100} mirror {}",
        "deploy green v2",
        "autoscale green",
        "traffic {'blue': 100} mirror {'green': 20}",
        "traffic {'blue': 100} mirror {}",
        "traffic {'blue': 90, 'green': 10} mirror {}",
        "traffic {'blue': 50, 'green': 50} mirror {}",
        "traffic {'green': 100} mirror {}",
        "deploy blue v3",
        "traffic {'green': 100} mirror {'blue': 20}",
        "traffic {'green': 100} mirror {}",
        "delete blue",
    ], service.changes


def the_endpoint_is_created_with_the_scoring_identity() -> None:
    with started() as service:
        assert release().released
    assert service.endpoint is not None
    (identity,) = service.endpoint["identity"]["userAssignedIdentities"]
    place = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{NAMES.resource_group}/providers"
    wanted = f"{place}/Microsoft.ManagedIdentity/userAssignedIdentities/{NAMES.scoring_identity}"
    assert identity == wanted, identity


def a_deployment_that_scales_serves_and_is_waited_for() -> None:
    with started() as service:
        release()
        promoted(service)
        service.passing["blue"] = ["Scaling"] * 40  # the old one, all the time
        service.after = lambda what: (
            service.passing.update(green=["Scaling"] * 6) if "50" in what else None
        )
        assert release().released
        assert "traffic {'blue': 90, 'green': 10} mirror {}" in service.changes


def a_rollback_waits_until_the_old_one_has_been_scaled() -> None:
    with started() as service:
        release()
        promoted(service)
        release()
        service.passing["green"] = ["Scaling"] * 3
        assert undo().state.stage == ROLLED_BACK  # type: ignore[union-attr]
        assert served(service) == "1" and service.changes[-1] == "delete green"


def the_way_to_azure_is_not_the_models_latency() -> None:
    quick = Limits(error_rate=0.01, p95_ms=20.0)
    with started(slow={"1": 15.0}) as service:
        assert release(limits=quick).released
        service.slow[promoted(service)] = 25.0
        result = release(limits=quick)
    assert result.state is not None
    (failed,) = [one for one in result.state.reasons if not one.passed]
    assert (failed.gate, failed.found) == (
        "integration tests: fast enough",
        "25.0 ms, without a round trip of 30.0 ms",
    ), failed


def throttling_is_waited_for_as_long_as_azure_says() -> None:
    with started() as service:
        release()
        promoted(service)
        service.throttled = [17, 23]
        service.slept.clear()
        assert release().released
    assert {17, 23} <= set(service.slept), service.slept


def metrics_that_are_away_roll_nothing_back() -> None:
    with started() as service:
        release()
        promoted(service)
        service.metrics_down = True
        assert "cannot be measured (mirror)" in refusal(CheckFailed, release)
        assert "delete green" not in service.changes and service.traffic == {"blue": 100}
        service.metrics_down = False
        assert release().released


def a_new_deployment_has_the_instances_and_the_rules_of_the_old_one() -> None:
    with started() as service:
        release()
        service.deployments["blue"]["sku"]["capacity"] = 4
        target = service.deployments["blue"]["id"]
        rules = [{"metricTrigger": {"metricResourceUri": target}}]
        service.autoscale["one"] = {
            "location": "westeurope",
            "tags": {"owner": "o"},
            "properties": {"targetResourceUri": target, "profiles": [{"rules": rules}]},
        }
        promoted(service)
        release()
    assert "deploy green v2 x4" in service.changes
    at = service.changes.index("autoscale green")
    assert not any("'green'" in change for change in service.changes[:at])
    made = service.autoscale[f"autoscale-{NAMES.endpoint}-green"]
    trigger = made["properties"]["profiles"][0]["rules"][0]["metricTrigger"]
    assert trigger["metricResourceUri"].endswith("/deployments/green") and made["tags"]


def the_first_deployment_is_watched_and_scaled_before_any_traffic() -> None:
    with started() as service:
        release()
    base = f"{NAMES.endpoint}-blue"
    assert sorted(service.alerts) == [f"{base}-memory", f"{base}-processors"]
    made = [service.autoscale[f"autoscale-{base}"], *service.alerts.values()]
    assert "@@" not in json.dumps(made)
    (profile,) = made[0]["properties"]["profiles"]
    assert profile["capacity"] == {"minimum": "1", "maximum": "3", "default": "1"}
    target = service.deployments["blue"]["id"]
    assert made[0]["properties"]["targetResourceUri"].lower() == target.lower()
    assert {one["properties"]["scopes"][0].lower() for one in made[1:]} == {target.lower()}


def who_may_deploy_and_make_no_alerts_releases_and_is_told() -> None:
    with started(no_alerts=True) as service, contextlib.redirect_stderr(io.StringIO()) as said:
        assert release().released and not service.alerts
    assert "blue gets no autoscale and no alerts on its load" in said.getvalue()
    assert "AuthorizationFailed" in said.getvalue()


def another_runner_is_told_who_holds_the_lock_and_goes_on_after_it() -> None:
    with started() as service:
        release()
        promoted(service)
        told: list[str] = []

        def second(what: str) -> None:
            if "'green': 10}" in what:
                told.extend(refusal(UsageError, call) for call in (release, undo))

        service.after = second
        with mock.patch.dict(os.environ, {"GITHUB_ACTOR": "ada", "GITHUB_RUN_ID": "7"} | _GITHUB):
            assert release().released
        service.after = None
        assert len(told) == 2, told
        for message in told:
            assert (
                "is running (v2, 10%), by ada at https://github.com/o/r/actions/runs/7" in message
            )
        service.changes.clear()
        assert undo().state.stage == ROLLED_BACK  # type: ignore[union-attr]
    assert service.changes[0] == "traffic {'blue': 100} mirror {}", "at once: the old one was kept"


_GITHUB = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r"}


def everybody_sees_what_serves_and_how_far_a_release_is() -> None:
    with started() as service:
        release()
        promoted(service)
        service.metrics_down = True
        refusal(CheckFailed, release)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.chdir(_runner()):
            status("prod", as_json=True)
    found = json.loads(said.getvalue())
    assert found["release"] == "mirror" and found["endpoint"] == NAMES.endpoint
    assert [
        (one["name"], one["version"], one["traffic"], one["mirror"]) for one in found["deployments"]
    ] == [
        ("blue", "1", 100, 0),
        ("green", "2", 0, 20),
    ], found


def what_is_kept_longer_than_its_time_is_seen_by_a_reader() -> None:
    with started() as service:
        release()
        endpoint = AzureEndpoint.of_environment(_runner(), "prod")
        now, later = datetime.now(UTC), datetime.now(UTC) + timedelta(hours=25)
        assert endpoint.kept_too_long(24, later) == []
        promoted(service)
        release()
        assert endpoint.kept_too_long(24, now) == []
        assert endpoint.kept_too_long(24, later) == ["blue"]
        service.endpoint = None
        assert endpoint.kept_too_long(24, later) == []


def who_has_lost_the_lock_changes_nothing_any_more() -> None:
    with started() as service:
        release()
        promoted(service)

        def lose(what: str) -> None:
            if "'green': 10}" in what:
                (path,) = service.leases
                service.leases[path] = "another's"

        service.after = lose
        assert "was lost: this machine could not renew it" in refusal(UsageError, release)
        assert service.changes[-1] == "traffic {'blue': 90, 'green': 10} mirror {}"


def held_out_rows_are_sent_outside_prod_only() -> None:
    for environment, sent in (("test", True), ("prod", False)):
        said: list[str] = []
        with started():
            assert release(environment, say=said.append).released
        assert any("held-out rows" in one for one in said) is sent, (environment, said)


def a_release_killed_at_any_moment_goes_on(moments: int) -> None:
    """Kill a release before or after one of its requests; let others go on, or roll back."""
    file = Path(_PLACE) / "service"
    with started() as service:
        release()
        promoted(service)
        ready = pickle.dumps(service)
    bad = pickle.loads(ready)
    bad.failing = {"2"}

    lengths = {}
    for good in (True, False):
        service = pickle.loads(ready) if good else pickle.loads(pickle.dumps(bad))
        service.count = 0
        assert service.in_a_process(file, release) == 0
        lengths[good] = pickle.loads(file.read_bytes()).count
    rng = random.Random(7)
    stopped = 0
    for _ in range(moments):
        good, undone = rng.random() < 0.6, rng.random() < 0.3
        service = pickle.loads(ready if good else pickle.dumps(bad))
        service.count, moment = 0, rng.randrange(lengths[good])
        service.kill = (moment, rng.choice(["before", "after"]))
        what = f"good={good} undone={undone} kill={service.kill}"
        code = service.in_a_process(file, release)
        stopped += code == -signal.SIGKILL
        service = pickle.loads(file.read_bytes())
        assert sum(service.traffic.values()) == 100, what
        with service.serving():
            holders = Registry(PROJECT.model, TRACKING_URI)
            assert holders.holder(CHAMPION).number == "2", what  # type: ignore[union-attr]
        service.leases.clear()  # a minute later
        state = json.loads(service.blobs[_RECORD])["state"] or {}
        begun = state.get("version") == "2" and state["stage"] != ROLLED_BACK
        code = service.in_a_process(file, undo if undone and begun and code else release)
        assert code == 0, what
        service = pickle.loads(file.read_bytes())
        ended = json.loads(service.blobs[_RECORD])["state"]
        assert ended["stage"] in (RELEASED, ROLLED_BACK, REFUSED), what
        assert sum(service.traffic.values()) == 100 and not service.leases, what
        assert served(service) == ("2" if ended["stage"] == RELEASED else "1"), what
        assert good or ended["stage"] != RELEASED, what
    # How often metrics are read depends on the minute, so some moments are after the end.
    assert stopped >= moments * 0.6, stopped


_RECORD = f"/container/releases/{NAMES.endpoint}.json"

CHECKS: list[Callable[[], None]] = [
    a_version_takes_over_step_by_step_and_a_bad_one_goes_back,
    the_endpoint_is_created_with_the_scoring_identity,
    a_deployment_that_scales_serves_and_is_waited_for,
    a_rollback_waits_until_the_old_one_has_been_scaled,
    the_way_to_azure_is_not_the_models_latency,
    throttling_is_waited_for_as_long_as_azure_says,
    metrics_that_are_away_roll_nothing_back,
    a_new_deployment_has_the_instances_and_the_rules_of_the_old_one,
    the_first_deployment_is_watched_and_scaled_before_any_traffic,
    who_may_deploy_and_make_no_alerts_releases_and_is_told,
    another_runner_is_told_who_holds_the_lock_and_goes_on_after_it,
    everybody_sees_what_serves_and_how_far_a_release_is,
    what_is_kept_longer_than_its_time_is_seen_by_a_reader,
    who_has_lost_the_lock_changes_nothing_any_more,
    held_out_rows_are_sent_outside_prod_only,
]


@contextlib.contextmanager
def signed_in() -> Iterator[None]:
    """Sign in to the Azure of this process, and predict without a model."""
    logging.disable(logging.WARNING)
    without_warnings()
    os.environ.update(SIGNED_IN, AZURE_SUBSCRIPTION_ID=SUBSCRIPTION)
    predictions: Any = lambda folder: lambda records: [row["x"] for row in records]  # noqa: E731
    with mock.patch.object(release_checks, "predictor", predictions):
        yield


def run_checks(checks: list[Callable[[], None]], wanted: list[str]) -> None:
    """Run the checks of these names; without names, all."""
    for check in checks:
        if check.__name__ in (wanted or [check.__name__]):
            check()
            print(f"ok {check.__name__}", flush=True)


def main() -> None:
    """Run every check, and kill a release at as many moments as the argument says."""
    with signed_in():
        run_checks(CHECKS, sys.argv[2:])
        if moments := int(sys.argv[1]) if len(sys.argv) > 1 else 0:
            a_release_killed_at_any_moment_goes_on(moments)
            print(f"ok killed at {moments} moments")


if __name__ == "__main__":
    main()
