"""Checks before a deployment: what Azure would refuse late, or not undo."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.errors import CheckFailed
from modelyard.files import parse_answer
from modelyard.infra.compiler import Target, planned
from modelyard.infra.snapshot import Planned

Az = Callable[..., "subprocess.CompletedProcess[str]"]
SUBSCRIPTION = "/subscriptions/{subscriptionId}"  # `az rest` fills it in
TIMEOUT = 600  # seconds for a question; a deployment has no limit
GET = ("rest", "--method", "get", "--url")
# Needed, and in no file: a deployment registers the providers of its own resources only.
UNNAMED = {
    "Microsoft.App": "the subnet of the function app",
    # The first endpoint of a subscription fails with SubscriptionNotRegistered: github.com/MicrosoftLearning/mslearn-azure-ml/issues/106
    "Microsoft.Cdn": "online endpoints",
    "Microsoft.Notebooks": "notebooks of the workspace",
    "Microsoft.PolicyInsights": "policies and online endpoints",
}
# Types whose names are unique in the whole of Azure, and what of a namespace asks.
GLOBAL = {
    "microsoft.containerregistry/registries": "checkNameAvailability",
    "microsoft.keyvault/vaults": "checkNameAvailability",
    "microsoft.storage/storageaccounts": "checkNameAvailability",
    "microsoft.web/sites": "checknameavailability",
}
LOCATIONS = "2022-12-01"  # of the API that tells a region's zones
STORAGE = "microsoft.storage/storageaccounts"
ZONES = ("zrs", "gzrs", "ragzrs")
CLUSTER = "microsoft.machinelearningservices/workspaces/computes"
WORKSPACE = "microsoft.machinelearningservices/workspaces"
ENDPOINT = "microsoft.machinelearningservices/workspaces/onlineendpoints"
TRIGGER = "microsoft.datafactory/factories/triggers"


@dataclass(frozen=True)
class Fixed:
    """A property that a deployment cannot change.

    Attributes:
        kept: tells from what is there and what is wanted whether Azure takes it.
    """

    path: str
    kept: Callable[[str, str], bool]
    remedy: str


def _same(there: str, wanted: str) -> bool:
    return there.lower() == wanted.lower()


def _same_region(there: str, wanted: str) -> bool:
    return _same(there.replace(" ", ""), wanted.replace(" ", ""))


def _same_zones(there: str, wanted: str) -> bool:
    return _zoned(there) == _zoned(wanted)


def _zoned(sku: str) -> bool:
    return sku.lower().rpartition("_")[2] in ZONES


_ANEW = "write what is there, or make the environment anew: mlops infra teardown (docs/infrastructure.md)"
_CLUSTER_ANEW = "write what is there, or delete the cluster first: az ml compute delete"
FIXED = {
    "microsoft.keyvault/vaults": [Fixed("properties.softDeleteRetentionInDays", _same, _ANEW)],
    STORAGE: [
        Fixed(
            "sku.name",
            _same_zones,
            "write a replication of the same kind; between zones and none Azure converts on request: "
            "az storage account migration start",
        )
    ],
    WORKSPACE: [
        Fixed("properties.hbiWorkspace", _same, _ANEW),
        Fixed("properties.keyVault", _same, _ANEW),
        Fixed("properties.managedNetwork.isolationMode", _same, _ANEW),
    ],
    CLUSTER: [
        Fixed("location", _same_region, _CLUSTER_ANEW),
        Fixed("properties.properties.vmSize", _same, _CLUSTER_ANEW),
        Fixed("properties.properties.vmPriority", _same, _CLUSTER_ANEW),
    ],
}


@dataclass(frozen=True)
class Ready:
    """What a deployment takes besides its parameter file.

    Attributes:
        parameters: more of them, such as `recoverVault=true`.
        triggers: addresses, with VERB for what is asked, of started triggers, which Azure refuses to deploy until they are stopped.
    """

    parameters: tuple[str, ...]
    triggers: tuple[str, ...]


def ask(
    program: str, *words: str, timeout: float | None = TIMEOUT
) -> subprocess.CompletedProcess[str]:
    """Run the Azure CLI with some words; it answers in JSON, where a user has set another output too."""
    return subprocess.run(  # noqa: S603 (the installed Azure CLI)
        [program, *words],
        env={**os.environ, "AZURE_CORE_OUTPUT": "json"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def answered(az: Az, *words: str) -> Any:
    """Return what the Azure CLI answers, read as JSON.

    Raises:
        CheckFailed: it refuses.
    """
    done = az(*words)
    if done.returncode:
        raise CheckFailed(f"az {' '.join(words)} failed: {done.stderr.strip()}")
    return parse_answer(done.stdout, "az", *words)


def _told(az: Az, say: Callable[[str], object], what: str, *words: str) -> dict[str, Any] | None:
    """Return what the Azure CLI answers; where it refuses, None, and it is said what was not asked."""
    done = az(*words)
    if done.returncode:
        say(f"not asked whether {what}: {done.stderr.strip()}")
        return None
    return parse_answer(done.stdout, "az", *words) or {}


def check_before(
    az: Az,
    parameters: Path,
    target: Target,
    *,
    exists: bool,
    as_administrator: bool,
    what_if: bool,
    say: Callable[[str], object],
) -> Ready:
    """Ask Azure what it would refuse in the middle of a deployment, and say all of it at once.

    Args:
        az: runs the Azure CLI with some words.
        parameters: the parameter file.
        target: the resource group.
        exists: whether the group is there.
        as_administrator: whether roles are deployed as well; providers are registered then.
        what_if: nothing is changed, so no provider is registered.
        say: takes a line for the user.

    Raises:
        CheckFailed: Azure would refuse the deployment, or does not answer.
    """
    given = {"asAdministrator": as_administrator, "makeEndpoint": True}
    wanted, group = planned(parameters, given, target), target.group
    if as_administrator:
        _register(az, wanted, what_if=what_if, say=say)
    faults = [*_zones_missing(az, wanted, say)]
    more: list[str] = []
    triggers: list[str] = []
    for one in wanted:
        if one.name is None or one.kind not in {*FIXED, *GLOBAL, TRIGGER, ENDPOINT}:
            continue
        path = address(one, group)
        there = _get(az, f"{path}?api-version={one.version}") if exists else None
        if there is None:
            if one.kind == "microsoft.keyvault/vaults" and _is_deleted(az, one, say):
                say(f"the deleted vault {one.name} is brought back; its secrets are in it")
                more.append("recoverVault=true")
            elif one.kind == ENDPOINT:
                more.append("makeEndpoint=true")
            elif one.kind in GLOBAL:
                faults += taken(az, one, say)
            continue
        faults += _changed(one, there)
        if one.kind == TRIGGER and _at(there, "properties.runtimeState") == "Started":
            triggers.append(f"{path}/VERB?api-version={one.version}")
    if faults:
        raise CheckFailed("Azure would refuse this deployment:\n" + "\n".join(faults))
    return Ready(tuple(more), tuple(triggers))


def switch(az: Az, triggers: tuple[str, ...], verb: str) -> None:
    """Stop or start triggers.

    Raises:
        CheckFailed: Azure refuses.
    """
    for trigger in triggers:
        answered(az, "rest", "--method", "post", "--url", trigger.replace("VERB", verb))


def address(one: Planned, group: str) -> str:
    """Return the path of a resource for `az rest`."""
    namespace, *types = one.type.split("/")
    names = (one.name or "").split("/")
    pairs = "/".join(f"{kind}/{name}" for kind, name in zip(types, names, strict=True))
    return f"{SUBSCRIPTION}/resourceGroups/{group}/providers/{namespace}/{pairs}"


def _get(az: Az, url: str) -> dict[str, Any] | None:
    done = az(*GET, url)
    if done.returncode == 0:
        found = parse_answer(done.stdout, "az", *GET, url)
        return found if isinstance(found, dict) else None
    if "notfound" in done.stderr.lower().replace(" ", ""):
        return None
    raise CheckFailed(f"az rest --url {url} failed: {done.stderr.strip()}")


def _register(
    az: Az, wanted: list[Planned], *, what_if: bool, say: Callable[[str], object]
) -> None:
    """Register the resource providers that the subscription has not used yet."""
    query = "[?registrationState=='Registered'].namespace"
    found = answered(az, "provider", "list", "--query", query)
    known = {str(one).lower() for one in found or ()}
    names = {one.type.partition("/")[0] for one in wanted} | set(UNNAMED)
    for name in sorted(one for one in names if one.lower() not in known):
        if what_if:
            say(f"{name} is not registered yet; a deployment as administrator registers it")
            continue
        say(f"registering {name}")
        done = az("provider", "register", "--namespace", name, "--wait")
        if done.returncode:
            raise CheckFailed(f"{name} cannot be registered: {done.stderr.strip()}")


def _zones_missing(az: Az, wanted: list[Planned], say: Callable[[str], object]) -> Iterator[str]:
    """Yield what would be spread over zones in a region that has none."""
    spread = [
        one
        for one in wanted
        if (one.kind == STORAGE and _zoned(str(one.value("sku.name"))))
        or one.value("properties.zoneRedundant") is True
    ]
    if not spread:
        return
    url = f"{SUBSCRIPTION}/locations?api-version={LOCATIONS}"
    found = _told(az, say, "the region has availability zones", *GET, url)
    if found is None:
        return
    zones = {one["name"]: one.get("availabilityZoneMappings") for one in found.get("value", [])}
    for one in spread:
        region = str(one.value("location")).lower().replace(" ", "")
        if region not in zones:
            say(f"not asked whether {region} has availability zones: Azure does not list it here")
        elif not zones[region]:
            yield (
                f"{one.name} ({one.type}) would be spread over availability zones, and {region} has none; "
                "write a storageSku without ZRS, and zoneRedundant = false"
            )


def _is_deleted(az: Az, vault: Planned, say: Callable[[str], object]) -> bool:
    url = f"{SUBSCRIPTION}/providers/Microsoft.KeyVault/deletedVaults?api-version={vault.version}"
    found = _told(az, say, f"{vault.name} is a deleted vault", *GET, url)
    return vault.name in {one.get("name") for one in (found or {}).get("value", [])}


def taken(az: Az, one: Planned, say: Callable[[str], object]) -> Iterator[str]:
    """Yield why a name cannot be had; what Azure does not tell is said."""
    namespace = one.type.partition("/")[0]
    url = f"{SUBSCRIPTION}/providers/{namespace}/{GLOBAL[one.kind]}?api-version={one.version}"
    body = json.dumps({"name": one.name, "type": one.type})
    what = f"the name {one.name} is free"
    answer = _told(az, say, what, "rest", "--method", "post", "--url", url, "--body", body)
    if answer and answer.get("nameAvailable") is False:
        yield (
            f"{one.name} ({one.type}) is not free: {answer.get('message', answer.get('reason'))}; "
            "give all names a suffix: mlops infra rename SUFFIX"
        )


def _changed(one: Planned, there: dict[str, Any]) -> Iterator[str]:
    for fixed in FIXED.get(one.kind, []):
        is_, wanted = _at(there, fixed.path), one.value(fixed.path)
        if is_ is None or wanted is None or fixed.kept(str(is_), str(wanted)):
            continue
        what = fixed.path.rpartition(".")[2]
        yield f"{one.name}: {what} is {is_} and cannot become {wanted}; {fixed.remedy}"


def _at(body: Any, path: str) -> Any:
    for key in path.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return body
