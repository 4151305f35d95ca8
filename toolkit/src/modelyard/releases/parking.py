"""Taking an endpoint's deployments and their cost away, and bringing the same ones back.

What was there is written down beside the record of releases before anything is changed, and stays until all of it is back:
both ways can be repeated, and go on where they were stopped. The endpoint itself stays, with its address and identity.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard.azure import MANAGEMENT
from modelyard.errors import CheckFailed, UsageError
from modelyard.infra.costs import INSTANCES
from modelyard.models.adoption import DIGEST
from modelyard.models.registry import Registry, registry_of
from modelyard.project import author, origin
from modelyard.releases.azure_endpoint import VERSION_TAG, AzureEndpoint
from modelyard.releases.release_record import Parked

API = "2025-06-01"
_READ_ONLY = {"id", "name", "type", "systemData"}
_OF_AZURE = "AzureAsyncOperationUri"  # among the properties of a deployment, about its last change


@dataclass(frozen=True)
class Plan:
    """What parking takes away, or unparking brings back; `done` where nothing is left to do.

    Attributes:
        monthly: dollars; None where the size of an instance has no price here.
    """

    parked: Parked
    monthly: float | None
    done: bool = False

    def lines(self) -> Iterator[str]:
        """Yield a line for each deployment."""
        for name, body in sorted(self.parked.deployments.items()):
            size, count = _size(body)
            scales = " scaled by rules" if _scaled(self.parked, name) else ""
            share = self.parked.traffic.get(name, 0)
            yield (
                f"{name}: v{_version(body)} (digest {self.parked.digests[name][:12]}), "
                f"{count} x {size}{scales}, {share}% of the traffic"
            )

    @property
    def cost(self) -> str:
        """What it costs, in words."""
        if self.monthly is None:
            return "a sum that is not known here: the size of an instance has no price"
        return f"about {self.monthly:.0f} dollars a month"


def park(
    root: Path, endpoint: AzureEndpoint, *, apply: bool, say: Callable[[str], object]
) -> Plan | None:
    """Say what an endpoint would lose, or take it away.

    Args:
        root: of the project.
        endpoint: of an environment.
        apply: False changes nothing.
        say: takes a line about each change.

    Returns:
        What is parked; None where the endpoint has no deployment.

    Raises:
        UsageError: a release runs, or has not ended; a deployment is there that was not when the endpoint was parked.
    """
    record = endpoint.record
    if not apply:
        known = record.parked() or _found(root, endpoint)
        return _plan(known, done=not _there(endpoint)) if known.deployments else None
    with record.lock(_holder(root)):
        known = record.parked() or _found(root, endpoint)
        if not known.deployments:
            return None
        state = record.load()
        if state is not None and not state.ended:
            raise UsageError(
                f"a release of v{state.version} to `{endpoint.name}` has not ended ({state.stage}): "
                "`mlops release` resumes it, `mlops release --rollback` cancels it; park it then"
            )
        there = _there(endpoint)
        if strangers := sorted(there.keys() - known.deployments.keys()):
            raise UsageError(
                f"`{endpoint.name}` was parked on {known.at}, and has {', '.join(strangers)} since; "
                "unpark it first, or delete what came later"
            )
        record.keep(known)
        view = endpoint.view()
        if view.mirror:
            endpoint.set_mirror({})
        if view.traffic:
            say(f"`{endpoint.name}` answers no more requests")
            endpoint.set_traffic({})
        for name in sorted(there):
            record.keep(known)  # refused where the lock was lost
            endpoint.delete(name)
            say(f"{name} is deleted")
    return _plan(known, done=not there)


def unpark(
    root: Path, endpoint: AzureEndpoint, *, apply: bool, say: Callable[[str], object]
) -> Plan | None:
    """Say what would come back, or bring it back: the same versions, sizes, rules and traffic.

    Returns:
        What came back; None where the endpoint is not parked.

    Raises:
        UsageError: a version is not in the registry any more; a release runs.
        CheckFailed: a version has another digest than when it was parked; a deployment does not start.
    """
    record = endpoint.record
    if not apply:
        known = record.parked()
        if known is not None:
            _check_digests(root, known)
        return _plan(known) if known else None
    with record.lock(_holder(root)):
        known = record.parked()
        if known is None:
            return None
        _check_digests(root, known)
        for name, body in sorted(known.deployments.items()):
            record.keep(known)  # refused where the lock was lost
            if _serves(endpoint, name, body):
                continue
            say(f"{name} comes back with v{_version(body)}: some minutes")
            endpoint.management("PUT", _address(endpoint, name), body)
            if not _serves(endpoint, name, body):
                raise CheckFailed(
                    f"{name} does not start; read its log in the studio, then unpark again. The "
                    "endpoint stays parked until all of it is back"
                )
        there = {str(one["name"]) for _, one in endpoint.autoscales()}
        for name, body in known.autoscale.items():
            if name not in there:
                endpoint.put_autoscale(name, body)
        record.keep(known)
        endpoint.set_traffic(known.traffic)
        if known.mirror:
            endpoint.set_mirror(known.mirror)
        record.keep(None)
        say(f"`{endpoint.name}` answers requests")
    return _plan(known, done=True)


def _holder(root: Path) -> str:
    return f"{author(root)} at {origin()}"


def _found(root: Path, endpoint: AzureEndpoint) -> Parked:
    """Read what an endpoint has."""
    bodies, view = _there(endpoint), endpoint.view()
    registry = registry_of(root)
    return Parked(
        datetime.now(UTC).isoformat(timespec="seconds"),
        author(root),
        dict(view.traffic),
        dict(view.mirror),
        bodies,
        {name: _digest(registry, _version(body)) for name, body in bodies.items()},
        {str(one["name"]): _writable(one) for name, one in endpoint.autoscales() if name in bodies},
    )


def _there(endpoint: AzureEndpoint) -> dict[str, dict[str, Any]]:
    """Return the deployments as they are written, by name."""
    url = f"{MANAGEMENT}{endpoint.id}/deployments?api-version={API}"
    found: dict[str, dict[str, Any]] = {}
    while url:
        page = endpoint.management("GET", url)
        found |= {one["name"].rpartition("/")[2]: _writable(one) for one in page["value"]}
        url = page.get("nextLink")
    return found


def _writable(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body without what Azure says of it and takes from nobody."""
    body = {key: value for key, value in one.items() if key not in _READ_ONLY}
    properties = {k: v for k, v in body["properties"].items() if k != "provisioningState"}
    if isinstance(more := properties.get("properties"), Mapping):
        properties["properties"] = {k: v for k, v in more.items() if k != _OF_AZURE}
    return body | {"properties": properties}


def _address(endpoint: AzureEndpoint, name: str) -> str:
    place = f"{MANAGEMENT}{endpoint.id}/deployments/{urllib.parse.quote(name)}"
    return f"{place}?api-version={API}"


def _serves(endpoint: AzureEndpoint, name: str, body: Mapping[str, Any]) -> bool:
    """Wait until a deployment does not change any more; tell whether it answers, with the version of `body`."""
    there = endpoint.settled(name)
    if there is None or there.provisioning_state != "Succeeded":
        return False
    return str((there.tags or {}).get(VERSION_TAG)) == str(
        (body.get("tags") or {}).get(VERSION_TAG)
    )


def _check_digests(root: Path, parked: Parked) -> None:
    registry = registry_of(root)
    for name, body in parked.deployments.items():
        now, before = _digest(registry, _version(body)), parked.digests[name]
        if now != before:
            raise CheckFailed(
                f"v{_version(body)} of {name} has the digest {now[:12]} and had {before[:12]} when it was "
                "parked: another model under the same number. Release a version instead (`mlops release`), "
                "after deleting what is written down"
            )


def _digest(registry: Registry, version: str) -> str:
    digest = registry.version(version).tags.get(DIGEST)
    if not digest:
        raise UsageError(f"v{version} has no digest in the registry; it cannot be told apart later")
    return str(digest)


def _version(body: Mapping[str, Any]) -> str:
    tagged = (body.get("tags") or {}).get(VERSION_TAG)
    return str(tagged or str(body["properties"]["model"]).rpartition("/")[2])


def _size(body: Mapping[str, Any]) -> tuple[str, int]:
    return str(body["properties"]["instanceType"]), int(body["sku"].get("capacity") or 1)


def _scaled(parked: Parked, name: str) -> bool:
    targets = (str(one["properties"].get("targetResourceUri")) for one in parked.autoscale.values())
    return any(target.rpartition("/")[2].lower() == name.lower() for target in targets)


def _plan(parked: Parked, *, done: bool = False) -> Plan:
    costs = []
    for body in parked.deployments.values():
        size, count = _size(body)
        price = INSTANCES.get(size.lower())
        costs.append(None if price is None else price * count)
    known = [one for one in costs if one is not None]
    return Plan(parked, float(sum(known)) if len(known) == len(costs) else None, done)
