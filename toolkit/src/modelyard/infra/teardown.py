"""Taking an environment away: all of its resource group, in the order that Azure allows.

What there is to do is asked of Azure each time, so a call that was interrupted is repeated. Commands: azure-cli 2.91, and its extension ml.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from modelyard.console import counted
from modelyard.errors import CheckFailed
from modelyard.infra.before import GET, SUBSCRIPTION, Az, answered
from modelyard.infra.left import Removal, listed, within

LOCKS = "2020-05-01"
# What can be linked to a private link scope, which keeps it from being deleted, and where it says so.
LINKED = {
    "microsoft.insights/components": ("2020-02-02", "PrivateLinkScopedResources"),
    "microsoft.operationalinsights/workspaces": ("2025-02-01", "privateLinkScopedResources"),
}
LINKS = "2021-09-01"
WORKSPACE, WORKSPACES = "microsoft.machinelearningservices/workspaces", "2025-06-01"
ENDPOINTS = ("onlineEndpoints", "batchEndpoints")
VAULTS = "2024-11-01"
# A lock that was lifted holds for some moments more: seconds between attempts.
PAUSE, ATTEMPTS = 30.0, 10


@dataclass(frozen=True)
class Plan:
    """What a resource group holds, and what takes it away.

    Attributes:
        holds: lines about the resources.
        locks: that are lifted first, as Azure tells them.
        steps: what follows, in this order.
    """

    holds: list[str]
    locks: list[dict[str, Any]]
    steps: list[Removal]

    def lines(self) -> Iterator[str]:
        """Yield a line for each resource, lock and step."""
        yield from self.holds
        yield from (f"- {_lifting(lock)}" for lock in self.locks)
        yield from (f"- {step}" for step in self.steps)


@dataclass(frozen=True)
class Vault:
    """A key vault, which Azure keeps for some days after it is deleted."""

    name: str
    is_protected: bool
    is_deleted: bool = False

    @property
    def purging(self) -> Removal:
        """What deletes it for good, once it is deleted."""
        return Removal(
            f"{self.name} is deleted for good", ("keyvault", "purge", "--name", self.name)
        )

    def __str__(self) -> str:
        if self.is_protected:
            return f"{self.name} has purge protection: the next mlops infra deploy brings it back, secrets included"
        return f"{self.name} can be brought back for some days and keeps its name; --purge-vault, or az {shlex.join(self.purging.words)}"


def planned_teardown(az: Az, group: str, project: str) -> Plan:
    """Ask Azure what a resource group holds, and in which order it goes.

    Args:
        az: runs the Azure CLI with some words.
        group: the resource group.
        project: value of the tag `project` of what is ours.

    Raises:
        CheckFailed: the group does not go, or Azure does not answer.
    """
    if answered(az, "group", "exists", "--name", group) is not True:
        return Plan([f"{group} does not exist"], [], [])
    base = f"{SUBSCRIPTION}/resourceGroups/{group}"
    locks = _all(az, f"{base}/providers/Microsoft.Authorization/locks?api-version={LOCKS}")
    if above := [str(lock["id"]) for lock in locks if not within(group, lock["id"])]:
        raise CheckFailed(
            f"{group} cannot go while a lock of somebody else is above it: {', '.join(above)}; who made it lifts it"
        )
    resources = _all(az, f"{base}/resources?api-version=2021-04-01")
    return Plan([*_holds(group, resources, project)], locks, [*_steps(az, group, resources)])


def vaults_of(az: Az, group: str) -> list[Vault]:
    """Return the vaults of a resource group, those that were deleted and can be brought back included."""
    base = f"{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults"
    there = _all(az, f"{base}?api-version={VAULTS}")
    url = f"{SUBSCRIPTION}/providers/Microsoft.KeyVault/deletedVaults?api-version={VAULTS}"
    deleted = [one for one in _all(az, url) if within(group, one["properties"].get("vaultId"))]
    return [
        *(
            Vault(one["name"], one["properties"].get("enablePurgeProtection") is True)
            for one in there
        ),
        *(
            Vault(one["name"], one["properties"].get("purgeProtectionEnabled") is True, True)
            for one in deleted
        ),
    ]


def carry_out(az: Az, plan: Plan, say: Callable[[str], object]) -> None:
    """Do what a plan says; where that fails, put the locks back on what is still there.

    Raises:
        CheckFailed: Azure refuses a step.
    """
    # Asked first: without it `az` would ask on the terminal whether to install it.
    if plan.steps and az("extension", "show", "--name", "ml").returncode:
        raise CheckFailed("the Azure CLI lacks its extension ml: az extension add --name ml")
    with _lifted(az, plan.locks, say):
        for step in plan.steps:
            say(step.what)
            _run(az, step, say)


def purge(az: Az, vaults: Iterable[Vault], say: Callable[[str], object]) -> None:
    """Delete deleted vaults for good.

    Raises:
        CheckFailed: Azure refuses to.
    """
    for vault in vaults:
        if vault.is_deleted:
            say(vault.purging.what)
            _run(az, vault.purging, say)


def _holds(group: str, resources: list[dict[str, Any]], project: str) -> Iterator[str]:
    yield f"{group} holds {counted(len(resources), 'resource')}"
    for one in sorted(resources, key=lambda one: (one["type"].lower(), one["name"])):
        is_ours = (one.get("tags") or {}).get("project") == project
        yield f"  {one['type']} {one['name']}{'' if is_ours else f', without the tag project: {project}'}"


def _steps(az: Az, group: str, resources: list[dict[str, Any]]) -> Iterator[Removal]:
    for one in resources:
        if known := LINKED.get(one["type"].lower()):
            version, key = known
            there = answered(az, *GET, f"{one['id']}?api-version={version}")
            for link in there["properties"].get(key) or ():
                place = next(value for name, value in link.items() if name.lower() == "resourceid")
                yield Removal(
                    f"{one['name']} leaves its private link scope", _deletion(place, LINKS)
                )
    for one in resources:
        if one["type"].lower() != WORKSPACE:
            continue
        for kind in ENDPOINTS:
            for endpoint in _all(az, f"{one['id']}/{kind}?api-version={WORKSPACES}"):
                what = f"the endpoint {endpoint['name']} is deleted, with its deployments"
                yield Removal(what, _deletion(endpoint["id"], WORKSPACES))
        words = ("ml", "workspace", "delete", "--name", one["name"], "--resource-group", group)
        # Deleted otherwise, it keeps its name for 14 days.
        yield Removal(
            f"the workspace {one['name']} is deleted for good",
            (*words, "--permanently-delete", "--yes"),
        )
    yield Removal(
        f"{group} is deleted, with all that it holds", ("group", "delete", "--name", group, "--yes")
    )


def _deletion(identifier: str, version: str) -> tuple[str, ...]:
    return ("resource", "delete", "--ids", identifier, "--api-version", version)


def _lifting(lock: dict[str, Any]) -> Removal:
    place = str(lock["id"]).partition("/providers/Microsoft.Authorization/locks/")[0]
    url = f"{lock['id']}?api-version={LOCKS}"
    what = f"the lock {lock['name']} on {place.rpartition('/')[2]} is lifted"
    return Removal(what, ("rest", "--method", "delete", "--url", url))


@contextmanager
def _lifted(az: Az, locks: list[dict[str, Any]], say: Callable[[str], object]) -> Iterator[None]:
    """Lift locks; where anything fails afterwards, or somebody interrupts it, put them back."""
    off = []
    try:
        for lock in locks:
            off.append(lock)
            say(_lifting(lock).what)
            _run(az, _lifting(lock), say)
        yield
    except BaseException:
        for lock in off:
            _put_back(az, lock, say)
        raise


def _put_back(az: Az, lock: dict[str, Any], say: Callable[[str], object]) -> None:
    url, body = f"{lock['id']}?api-version={LOCKS}", {"properties": lock["properties"]}
    if az(*GET, url).returncode == 0:
        return
    done = az("rest", "--method", "put", "--url", url, "--body", json.dumps(body))
    refused = done.stderr.strip() if done.returncode else ""
    if not refused:
        say(f"the lock {lock['name']} is back: {lock['id']}")
    elif "notfound" not in refused.lower().replace(" ", ""):  # what it was on is gone
        say(
            f"the lock {lock['id']} is NOT back: {refused}; mlops infra deploy ENV --as-administrator puts those of the files back"
        )


def _run(az: Az, step: Removal, say: Callable[[str], object]) -> None:
    for attempt in range(ATTEMPTS):
        done = az(*step.words)
        if done.returncode == 0:
            return
        if "scopelocked" not in done.stderr.lower() or attempt == ATTEMPTS - 1:
            raise CheckFailed(
                f"Azure refuses; correct it and run the command again, which goes on: {step}\n{done.stderr.strip()}"
            )
        say("a lock still holds; it is asked again in a moment")
        time.sleep(PAUSE)


def _all(az: Az, url: str) -> list[dict[str, Any]]:
    return listed(az, _refused, url.partition("?")[0], *GET, url)


def _refused(said: str) -> None:
    raise CheckFailed(said)
