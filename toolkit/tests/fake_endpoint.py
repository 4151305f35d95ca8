"""An endpoint in memory with planned faults, which asserts that its rules are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from modelyard.releases.endpoint import Answer, Deployment, EndpointError, Metrics, View

FAULTS = ("fail", "fail late", "killed before", "killed after", "old dies", "new dies")


class Killed(BaseException):
    """The process was killed; files that it had written stay."""


class FakeEndpoint:
    """See `modelyard.releases.endpoint.Endpoint`.

    Attributes:
        faults: number of a call → what happens at it.
        broken: versions that do not start.
        wrong: version → share of its requests that fail.
    """

    name = "fake"
    pause = 1.0
    rehearses = True
    keeps_old = True
    record = None

    def __init__(self) -> None:
        self.now = 1000.0
        self.calls = 0
        self.faults: dict[int, str] = {}
        self.broken: set[str] = set()
        self.wrong: dict[str, float] = {}
        self.latency: dict[str, float] = {}
        self.deployments: dict[str, Deployment] = {}
        self.traffic: dict[str, int] = {}
        self.mirror: dict[str, int] = {}
        self.seen: dict[str, Deployment] = {}
        self.requests: dict[str, list[tuple[float, int]]] = {}
        self.log: list[str] = []
        self.served = False

    def sleep(self, seconds: float) -> None:
        """Let a second pass with requests."""
        self.now += 1
        for name in (*self.traffic, *self.mirror):
            self.requests.setdefault(name, []).append((self.now, 50))

    def clock(self) -> float:
        return self.now

    def view(self) -> View:
        self._call("view", lambda: None)
        self.seen = dict(self.deployments)
        return View(dict(self.deployments), dict(self.traffic), dict(self.mirror))

    def deploy(self, name: str, version: str) -> None:
        def act() -> None:
            known = self.deployments.get(name)
            assert not (known and known.version != version and self.traffic.get(name))
            self.deployments[name] = Deployment(name, version, healthy=False)
            if version in self.broken:
                raise EndpointError(f"v{version} does not start")
            self.deployments[name] = Deployment(name, version)

        self._call(f"deploy {name} v{version}", act)

    def set_traffic(self, percent: Mapping[str, int]) -> None:
        def act() -> None:
            assert sum(percent.values()) == 100 or (not percent and not self.served)
            for name in percent:
                assert self.seen[name].healthy, f"{name} was known to be down"
                if not self.deployments[name].healthy:
                    raise EndpointError(f"{name} is down")
            assert not set(percent) & set(self.mirror), "live or mirrored traffic, not both"
            self.traffic = dict(percent)

        self._call(f"traffic {dict(percent)}", act)

    def set_mirror(self, percent: Mapping[str, int]) -> None:
        def act() -> None:
            assert len(percent) <= 1 and all(0 < share <= 50 for share in percent.values())
            assert not set(percent) & set(self.traffic), "live or mirrored traffic, not both"
            assert set(percent) <= set(self.deployments)
            self.mirror = dict(percent)

        self._call(f"mirror {dict(percent)}", act)

    def invoke(self, deployment: str, payload: Any) -> Answer:
        raise NotImplementedError

    def ask(self, payload: Any) -> Answer:
        raise NotImplementedError

    def round_trip(self) -> float:
        return 0.0

    def open(self) -> None:
        """Do nothing."""

    def attach_autoscale(self, name: str) -> None:
        """Do nothing."""

    def live_metrics(self, deployment: str, since: float) -> Metrics:
        self._call("metrics", lambda: None)
        version = self.deployments[deployment].version if deployment in self.deployments else ""
        found = sum(n for at, n in self.requests.get(deployment, []) if at >= since)
        errors = round(found * self.wrong.get(version, 0.0))
        p95 = self.latency.get(version, 5.0) if found else None
        return Metrics(found, errors, 0, p95, p95)

    def delete(self, name: str) -> None:
        def act() -> None:
            assert name not in self.traffic and name not in self.mirror
            self.deployments.pop(name, None)

        self._call(f"delete {name}", act)

    def die(self, name: str) -> None:
        """End a deployment's process."""
        if name in self.deployments:
            self.deployments[name] = replace(self.deployments[name], healthy=False)

    def _call(self, what: str, act: Callable[[], None]) -> None:
        fault = self.faults.pop(self.calls, None)
        self.calls += 1
        self.log.append(f"{what}{f' ({fault})' if fault else ''}")
        if fault == "old dies":
            self.die(max(self.traffic, key=lambda one: self.traffic[one], default=""))
        elif fault == "new dies":
            self.die(next((name for name in self.deployments if name not in self.traffic), ""))
        if fault == "killed before":
            raise Killed
        if fault == "fail":
            raise EndpointError("the service is away")
        act()
        self.check()
        if fault == "killed after":
            raise Killed
        if fault == "fail late":
            raise EndpointError("no answer came in time")

    def check(self) -> None:
        """Assert what clients rely on at every moment."""
        assert sum(self.traffic.values()) == 100 or (not self.traffic and not self.served)
        assert set(self.traffic) | set(self.mirror) <= set(self.deployments)
