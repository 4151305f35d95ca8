"""What a project needs on Azure, asked of the Azure CLI as the person who is signed in; nothing is changed.

Addresses and commands: Microsoft.MachineLearningServices 2024-10-01 (usages, vmSizes), azure-cli 2.91 (account show, group exists,
role assignment list --include-groups --include-inherited).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from modelyard.doctor import Finding
from modelyard.doctor_network import examine_network, is_private
from modelyard.errors import CheckFailed, ModelyardError, UsageError
from modelyard.files import has_file, read_json, read_text
from modelyard.infra.before import GET, SUBSCRIPTION, Az, answered, ask, taken
from modelyard.infra.snapshot import Planned
from modelyard.project import GIVEN, load_project
from modelyard.retirements import Retirement, known
from modelyard.yaml_files import read_mapping

TIMEOUT = 60  # seconds, of one question
API = "2024-10-01"
LOCATION = f"{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations"
ALL_RIGHTS = {"Owner", "Contributor"}
# Fields of conf/project.yml, and the function app, whose names are unique in the whole of Azure.
NAMES = {
    "storage_account": ("Microsoft.Storage/storageAccounts", "2025-01-01"),
    "key_vault": ("Microsoft.KeyVault/vaults", "2024-11-01"),
    "container_registry": ("Microsoft.ContainerRegistry/registries", "2025-04-01"),
    "function_app": ("Microsoft.Web/sites", "2024-11-01"),
}


@dataclass(frozen=True)
class Cluster:
    """The cluster of an environment, as its parameter file has it."""

    environment: str
    region: str
    size: str
    nodes: int
    is_dedicated: bool


def examine_azure(root: Path, role: str | None = None) -> list[Finding]:
    """Look at sign-in, subscription, and per environment roles, sizes, quota and names.

    Args:
        root: of the project.
        role: who one is, such as `data-scientist`; None: any persona's role will do.

    Raises:
        UsageError: there is no such role.
    """
    program = shutil.which("az")
    if program is None:
        return [Finding("Azure", False, "az is not on the PATH: https://aka.ms/azure-cli")]

    az = partial(ask, program, timeout=TIMEOUT)
    personas = _personas(root, role)
    try:
        account = answered(az, "account", "show")
    except CheckFailed:
        return [Finding("sign-in", False, "nobody is signed in", "az login")]
    who = account["user"]["name"]
    findings = [Finding("sign-in", True, who), _subscription(account)]
    try:
        project, clusters = load_project(root), list(_clusters(root))
        findings += _retired(clusters, known(root).rows)
        for region in dict.fromkeys(one.region for one in clusters):
            there = [one for one in clusters if one.region == region]
            findings += _quota(az, region, there)
        for name, environment in project.environments.items():
            group = environment.resource_group
            if answered(az, "group", "exists", "--name", group) is not True:
                findings += _not_deployed(az, root, name, group)
            else:
                findings += _roles(az, name, group, who, personas)
                if is_private(root, name):
                    findings += examine_network(az, root, name, project.region_of(name))
    except (ModelyardError, OSError, subprocess.TimeoutExpired) as error:
        findings.append(Finding("Azure", None, f"not asked in full: {error}"))
    return findings


def _personas(root: Path, role: str | None) -> list[str]:
    """Return titles of personas, as their roles on Azure end.

    Raises:
        UsageError: `role` is none of them.
    """
    file = root / "infra" / "modules" / "persona-roles.json"
    table = read_json(file) if has_file(file) else {}
    titles = {one["title"].lower().replace(" ", "-"): str(one["title"]) for one in table.values()}
    if role is not None and role not in titles:
        raise UsageError(f"there is no role `{role}`; infra/ has {', '.join(titles)}")
    return [titles[role]] if role else list(titles.values())


def _subscription(account: Mapping[str, Any]) -> Finding:
    name, state = account["name"], account.get("state")
    if state != "Enabled":
        remedy = "az account set --subscription NAME"
        return Finding("subscription", False, f"{name} is {state}", remedy)
    return Finding("subscription", True, f"{name} ({account['id']})")


def _clusters(root: Path) -> Iterator[Cluster]:
    """Read the clusters of the parameter files."""
    project = load_project(root)
    for name in project.environments:
        file = root / "infra" / f"{name}.bicepparam"
        text = read_text(file) if has_file(file) else ""
        given = dict(re.findall(r"^param (\w+) = '?([\w.-]+)'?", text, re.MULTILINE))
        if "clusterSize" in given and given.get("clusterMaximum", "").isdigit():
            dedicated = given.get("clusterPriority", "Dedicated") == "Dedicated"
            region = given.get("trainingLocation", project.region_of(name))
            yield Cluster(
                name, region, given["clusterSize"], int(given["clusterMaximum"]), dedicated
            )


def _retired(clusters: list[Cluster], rows: Sequence[Retirement]) -> Iterator[Finding]:
    today = datetime.now(UTC).date()
    for one in clusters:
        for row in rows:
            if "size" in row.keys and row.pattern.fullmatch(one.size):
                is_fine = False if row.date <= today else None
                found = f"{one.environment}: {one.size}: {row.message(today)}"
                yield Finding("sizes", is_fine, found)


def _quota(az: Az, region: str, clusters: list[Cluster]) -> Iterator[Finding]:
    """Compare the cores of each cluster at its largest with what is left of the quota."""
    if not clusters:
        return
    urls = {what: f"{LOCATION}/{region}/{what}?api-version={API}" for what in ("vmSizes", "usages")}
    answers = {what: answered(az, *GET, url)["value"] for what, url in urls.items()}
    sizes = {str(one["name"]).lower(): one for one in answers["vmSizes"]}
    for one in clusters:
        known = sizes.get(one.size.lower())
        if known is None:
            found = f"{one.environment}: {one.size} is not offered in {region}"
            remedy = f"az rest --method get --url '{urls['vmSizes']}' --query value[].name"
            yield Finding("quota", False, found, remedy)
            continue
        wanted = one.nodes * int(known["vCPUs"])
        left = _left(answers["usages"], str(known["family"]), dedicated=one.is_dedicated)
        what = f"{one.environment}: {one.nodes} × {one.size} take {wanted} cores of {region}"
        if left is None:
            yield Finding("quota", None, f"{what}; Azure does not say how many are left")
        elif left < wanted:
            remedy = "https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas"
            yield Finding("quota", False, f"{what}, {left:.0f} are left", remedy)
        else:
            yield Finding("quota", True, what)


def _left(usages: list[dict[str, Any]], family: str, *, dedicated: bool) -> float | None:
    """Return the cores that are left to a family in a subscription; None where nothing tells.

    Nodes of low priority share one limit; of the others each family has one, and all together another.
    """
    kind = "dedicatedCores" if dedicated else "lowPriorityCores"
    left = []
    for one in usages:
        place = str(one["type"]).split("/")
        name = str(one["name"]["value"])
        of_family = (
            dedicated
            and place[1] == "vmFamily"
            and _plain(name).startswith(_plain(family))
            and "lowpriority" not in _plain(name)
        )
        if (place[1] == kind or of_family) and len(place) == 3 and one["limit"] >= 0:
            left.append(float(one["limit"] - one["currentValue"]))
    return min(left, default=None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _not_deployed(az: Az, root: Path, name: str, group: str) -> Iterator[Finding]:
    """Say that an environment is not there, and which of its names somebody else has."""
    remedy = f"mlops infra deploy {name} --as-administrator"
    yield Finding("environments", None, f"{name} is not deployed: no {group}", remedy)
    unasked: list[str] = []
    given = read_mapping(root / "conf" / "project.yml")["environments"][name]
    app = load_project(root).environment(name).function_app
    named = {**given, "function_app": app if (root / "events").is_dir() else None}
    names = [
        Planned(*kind, named[field], "", {}) for field, kind in NAMES.items() if named.get(field)
    ]
    faults = [fault for one in names for fault in taken(az, one, unasked.append)]
    yield from (Finding("names", False, fault, "mlops infra rename SUFFIX") for fault in faults)
    yield from (Finding("names", None, f"{name}: {said}") for said in unasked)
    if not faults and not unasked and names:
        yield Finding(
            "names", True, f"{name}: {', '.join(str(one.name) for one in names)} are free"
        )


def _roles(az: Az, name: str, group: str, who: str, personas: list[str]) -> Iterator[Finding]:
    """Compare the roles that somebody has in an environment with those of the personas."""
    words = ("role", "assignment", "list", "--assignee", who, "--resource-group", group)
    more = ("--include-groups", "--include-inherited")
    try:
        held = {str(one["roleDefinitionName"]) for one in answered(az, *words, *more)}
    except CheckFailed as error:
        yield Finding("roles", None, f"{name}: not told: {error}")
        return
    # A stage between test and prod has the roles of test, where they are an organization's.
    called = {name} if name in GIVEN else {name, "test"}
    wanted = [f" {one}: {title}" for title in personas for one in called]
    fitting = [one for one in held if one.endswith(tuple(wanted))]
    if fitting or held & ALL_RIGHTS:
        yield Finding("roles", True, f"{name}: {', '.join(fitting or sorted(held & ALL_RIGHTS))}")
        return
    lacks = personas[0] if len(personas) == 1 else "a persona of infra/modules/persona-roles.json"
    remedy = (
        "az ad group member add --group GROUP --member-id "
        "$(az ad signed-in-user show --query id --output tsv)"
    )
    has = ", ".join(sorted(held)) or "no role"
    yield Finding("roles", False, f"{name}: {has}; not that of {lacks}", remedy)
