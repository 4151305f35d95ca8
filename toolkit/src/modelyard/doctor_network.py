"""Whether this machine reaches an environment whose services have private endpoints only."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLong
from pathlib import Path
from typing import Any

from modelyard.doctor import Finding
from modelyard.errors import CheckFailed
from modelyard.files import has_file, read_json, read_text
from modelyard.infra.before import GET, SUBSCRIPTION, Az, answered
from modelyard.yaml_files import read_mapping

API = "2024-10-01"
TIMEOUT = 4  # seconds, of a name and of a connection
_GIVEN = re.compile(r"^param (\w+) = '([^'$]*)'", re.MULTILINE)
REMEDY = "join its network (VPN, or a peered one) and let its DNS answer: docs/infrastructure.md, The network"


def is_private(root: Path, environment: str) -> bool:
    """Whether the parameter file of an environment closes its services."""
    return _given(root, environment).get("network") == "managed-vnet"


def examine_network(az: Az, root: Path, environment: str, region: str) -> Iterator[Finding]:
    """Look up the hosts of an environment that is deployed, and connect to them."""
    cloud = answered(az, "cloud", "show")
    names = read_mapping(root / "conf" / "project.yml")["environments"][environment]
    hosts = _hosts(cloud["suffixes"], names, _given(root, environment))
    try:
        hosts.append(_workspace_host(az, root, str(cloud["name"]), names, region))
    except (CheckFailed, OSError, LookupError, ValueError) as error:
        said = f"{environment}: the host of {names['workspace']} is not told: {error}"
        yield Finding("network", None, said)
    with ThreadPoolExecutor(len(hosts)) as threads:
        faults = [fault for fault in threads.map(_unreached, hosts) if fault]
    for fault in faults:
        yield Finding("network", False, f"{environment}: {fault}", REMEDY)
    if not faults:
        said = f"{environment}: its {len(hosts)} hosts answer at private addresses"
        yield Finding("network", True, said)


def _given(root: Path, environment: str) -> dict[str, str]:
    """Return the texts that a parameter file gives."""
    file = root / "infra" / f"{environment}.bicepparam"
    return dict(_GIVEN.findall(read_text(file))) if has_file(file) else {}


def _hosts(
    suffixes: Mapping[str, str], names: Mapping[str, Any], given: Mapping[str, str]
) -> list[str]:
    vault, registry = (
        given.get(parameter, "").rpartition("/")[2] or str(names[field])
        for parameter, field in (
            ("keyVaultId", "key_vault"),
            ("containerRegistryId", "container_registry"),
        )
    )
    storage = suffixes["storageEndpoint"]
    return [
        *(f"{names['storage_account']}.{part}.{storage}" for part in ("blob", "file")),
        f"{vault}{suffixes['keyvaultDns']}",
        f"{registry}{suffixes['acrLoginServerEndpoint']}",
    ]


def _workspace_host(az: Az, root: Path, cloud: str, names: Mapping[str, Any], region: str) -> str:
    group, workspace = names["resource_group"], names["workspace"]
    path = f"{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices"
    url = f"{path}/workspaces/{workspace}?api-version={API}"
    found = answered(az, *GET, url)["properties"]["workspaceId"]
    clouds = read_json(root / "infra" / "modules" / "clouds.json")
    return f"{found}.workspace.{region}.{clouds[cloud]['workspace'].removeprefix('privatelink.')}"


def _unreached(host: str) -> str | None:
    """Return why a host is not reached at a private address; None where it is."""
    thread = ThreadPoolExecutor(1)
    try:
        found = thread.submit(socket.getaddrinfo, host, 443, type=socket.SOCK_STREAM).result(
            TIMEOUT
        )
    except (OSError, TooLong):
        return f"{host} has no address here"
    finally:
        thread.shutdown(wait=False)
    addresses = sorted({str(one[4][0]) for one in found})
    public = [one for one in addresses if not ipaddress.ip_address(one).is_private]
    if public:
        return f"{host} is {public[0]} here, an address of the internet, where it is closed"
    try:
        socket.create_connection((addresses[0], 443), TIMEOUT).close()
    except OSError:
        return f"{host} does not answer at {addresses[0]}, port 443"
    return None
