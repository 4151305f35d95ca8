"""An endpoint on Azure is parked and comes back, with Azure's own SDKs and its answers made up; see azure_release.py.

Prints `ok` and the name of each check. With a number N as argument, both are killed at every Nth request.
"""

from __future__ import annotations

import copy
import json
import pickle
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure_release import (
    _PLACE,
    _RECORD,
    NAMES,
    Service,
    _runner,
    promoted,
    refusal,
    release,
    run_checks,
    signed_in,
    started,
    undo,
)
from modelyard.errors import CheckFailed, UsageError
from modelyard.releases import parking
from modelyard.releases.azure_endpoint import AzureEndpoint
from modelyard.releases.parking import Plan
from modelyard.releases.release import tidy


def park(*, apply: bool = True) -> Plan | None:
    root = _runner()
    endpoint = AzureEndpoint.of_environment(root, "prod")
    return parking.park(root, endpoint, apply=apply, say=lambda line: None)


def unpark(*, apply: bool = True) -> Plan | None:
    root = _runner()
    endpoint = AzureEndpoint.of_environment(root, "prod")
    return parking.unpark(root, endpoint, apply=apply, say=lambda line: None)


def two_deployments(service: Service) -> None:
    """Two deployments, one of them with four instances, scaled by rules, some of whose requests the other sees."""
    release()
    promoted(service)
    release()
    assert service.endpoint is not None
    service.deployments["green"]["sku"]["capacity"] = 4
    service.deployments["green"]["properties"]["instanceType"] = "Standard_D4as_v4"
    target = service.deployments["green"]["id"]
    service.autoscale["rules-of-green"] = {
        "location": "westeurope",
        "tags": {"owner": "o"},
        "properties": {"targetResourceUri": target, "profiles": [{"name": "p"}]},
    }
    service.endpoint["properties"]["mirrorTraffic"] = {"blue": 20}


def what_is_there(service: Service) -> Any:
    """All of an endpoint that a client or the bill could notice."""
    assert service.endpoint is not None
    told = service.endpoint["properties"]
    return copy.deepcopy((service.deployments, service.autoscale, told))


def a_plan_changes_nothing_and_says_what_is_lost_and_saved() -> None:
    with started() as service:
        two_deployments(service)
        before, changes = what_is_there(service), list(service.changes)
        plan = park(apply=False)
        assert what_is_there(service) == before and service.changes == changes
        assert "parked" not in json.loads(service.blobs[_RECORD])
    assert plan is not None and not plan.done
    blue, green = plan.lines()
    assert blue.startswith("blue: v1 (digest run-1), 1 x ") and blue.endswith("0% of the traffic")
    assert green == (
        "green: v2 (digest run-2), 4 x Standard_D4as_v4 scaled by rules, 100% of the traffic"
    )
    assert plan.monthly == 5 * 170


def what_was_parked_comes_back_the_same() -> None:
    with started() as service:
        two_deployments(service)
        before = what_is_there(service)
        service.changes.clear()
        park()
        assert service.deployments == {} and service.traffic == {}
        assert service.changes == [
            "traffic {'green': 100} mirror {}",
            "traffic {} mirror {}",
            "delete blue",
            "delete green",
        ]
        again = park()
        assert again is not None and again.done
        del service.autoscale["rules-of-green"]  # somebody has tidied up
        plan = unpark()
        assert plan is not None and plan.done
        assert what_is_there(service) == before
        assert service.changes[-1] == "traffic {'green': 100} mirror {'blue': 20}"
        assert unpark() is None
        assert not service.leases


def a_parked_endpoint_takes_no_release_until_it_is_back() -> None:
    with started() as service:
        release()
        park()
        promoted(service)
        for call in (release, undo, lambda: tidy(_runner(), "prod")):
            assert "is parked since" in refusal(UsageError, call)
        unpark()
        assert service.version("blue") == "1"
        assert release().released


def another_model_under_the_same_number_is_refused() -> None:
    with started() as service:
        release()
        park()
        (versions,) = service.models.values()
        versions["1"]["tags"]["model_digest"] = "another"
        service.changes.clear()
        for apply in (False, True):
            said = refusal(CheckFailed, lambda apply=apply: unpark(apply=apply))
            assert "digest another and had run-1" in said
        assert service.changes == [] and not service.leases


def a_release_that_has_not_ended_is_not_parked() -> None:
    with started() as service:
        release()
        promoted(service)
        service.metrics_down = True
        refusal(CheckFailed, release)
        service.changes.clear()
        assert "has not ended (mirror)" in refusal(UsageError, park)
        assert service.changes == []


def a_deployment_that_came_later_is_not_deleted() -> None:
    with started() as service:
        release()
        blue = copy.deepcopy(service.deployments["blue"])
        park()
        service.deployments["mine"] = blue | {"name": "mine"}
        assert "has mine since" in refusal(UsageError, park)
        assert "mine" in service.deployments


def an_endpoint_without_deployments_has_nothing_to_park() -> None:
    with started() as service:
        release()
        service.deployments.clear()
        assert service.endpoint is not None
        service.endpoint["properties"]["traffic"] = {}
        assert park(apply=False) is None and park() is None and unpark() is None


def a_size_without_a_price_costs_an_unknown_sum() -> None:
    with started() as service:
        release()
        service.deployments["blue"]["properties"]["instanceType"] = "Standard_X1"
        plan = park(apply=False)
    assert plan is not None and plan.monthly is None and "not known here" in plan.cost


def both_go_on_after_a_kill_at_any_request(every: int) -> None:
    """Kill one before or after a request; the next call, from another machine, ends it."""
    file = Path(_PLACE) / "parked"
    with started() as service:
        two_deployments(service)
        before = what_is_there(service)
        ready = pickle.dumps(service)

    for action in (park, unpark):
        service = pickle.loads(ready)
        service.count = 0
        assert service.in_a_process(file, action) == 0
        whole = pickle.loads(file.read_bytes())
        for moment in range(0, whole.count, every):
            for when in ("before", "after"):
                service = pickle.loads(ready)
                service.count, service.kill = 0, (moment, when)
                what = f"{action.__name__} killed {when} request {moment}"
                assert service.in_a_process(file, action) == -signal.SIGKILL, what
                service = pickle.loads(file.read_bytes())
                service.leases.clear()  # a minute later
                assert service.in_a_process(file, action) == 0, what
                service = pickle.loads(file.read_bytes())
                assert not service.leases, what
                if action is park:
                    assert (service.deployments, service.traffic) == ({}, {}), what
                    assert service.in_a_process(file, unpark) == 0, what
                    service = pickle.loads(file.read_bytes())
                assert what_is_there(service) == before, what
                assert json.loads(service.blobs[_RECORD])["parked"] is None, what
        ready = pickle.dumps(whole)  # parked, for the way back


CHECKS: list[Callable[[], None]] = [
    a_plan_changes_nothing_and_says_what_is_lost_and_saved,
    what_was_parked_comes_back_the_same,
    a_parked_endpoint_takes_no_release_until_it_is_back,
    another_model_under_the_same_number_is_refused,
    a_release_that_has_not_ended_is_not_parked,
    a_deployment_that_came_later_is_not_deleted,
    an_endpoint_without_deployments_has_nothing_to_park,
    a_size_without_a_price_costs_an_unknown_sum,
]


def main() -> None:
    """Run every check, and with a number N kill both ways at every Nth request."""
    assert NAMES.endpoint
    with signed_in():
        run_checks(CHECKS, sys.argv[2:])
        if every := int(sys.argv[1]) if len(sys.argv) > 1 else 0:
            both_go_on_after_a_kill_at_any_request(every)
            print("ok killed")


if __name__ == "__main__":
    main()
