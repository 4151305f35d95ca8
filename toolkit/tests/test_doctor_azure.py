"""What `mlops doctor --azure` finds, with a program in the place of the Azure CLI that knows its answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from modelyard.doctor import Finding
from modelyard.doctor_azure import examine_azure
from modelyard.errors import UsageError

from tests.editing import edit
from tests.project import ROOT, part_of_sample

# Its answers by words of the command line; the first that fits counts. Null: it refuses.
PROGRAM = """#!{python}
import json, os, pathlib, sys
if os.environ.get("AZURE_CORE_OUTPUT") != "json":
    sys.exit("a table, which the user has set")
line = " ".join(sys.argv[1:])
with open({log!r}, "a") as file:
    file.write(line + chr(10))
for words, answer in json.loads(pathlib.Path({answers!r}).read_text()).items():
    if all(word in line for word in words.split()):
        if answer is None:
            sys.exit("ERROR: Forbidden")
        print(json.dumps(answer))
        sys.exit(0)
sys.exit("ERROR: nobody asks for " + line)
"""
FAMILY = "Standard DDSv4 Family Cluster Dedicated vCPUs"
TYPE = "Microsoft.MachineLearningServices"


def usage(kind: str, name: str, used: int, limit: int) -> dict[str, Any]:
    return {
        "type": f"{TYPE}/{kind}/usages",
        "name": {"value": name},
        "currentValue": used,
        "limit": limit,
    }


FINE: dict[str, Any] = {
    "account show": {
        "id": "a-subscription",
        "name": "Team",
        "state": "Enabled",
        "user": {"name": "ada@example.com", "type": "user"},
    },
    "group exists": True,
    "vmSizes": {
        "value": [{"name": "Standard_D4ds_v4", "family": "standardDDSv4Family", "vCPUs": 4}]
    },
    "usages": {
        "value": [
            usage("dedicatedCores", "Total Cluster Dedicated Regional vCPUs", 0, 100),
            usage("vmFamily", FAMILY, 4, 24),
            usage("vmFamily", FAMILY.replace("Dedicated", "LowPriority"), 0, -1),
            usage("vmFamily", "Standard NC Family Cluster Dedicated vCPUs", 0, 0),
        ]
    },
    "role assignment list": [
        {"roleDefinitionName": f"Flight delay {name}: Data scientist"}
        for name in ("dev", "test", "prod")
    ],
}

Ask = Callable[..., dict[str, list[Finding]]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Examine with changed answers; findings by thing."""
    log, answers = tmp_path / "log", tmp_path / "answers.json"
    program = tmp_path / "bin" / "az"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable, log=str(log), answers=str(answers)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))

    def examine(
        role: str | None = None, root: Path | None = None, **changed: Any
    ) -> dict[str, list[Finding]]:
        given = {key.replace("_", " "): one for key, one in changed.items()}
        answers.write_text(json.dumps(given | {k: v for k, v in FINE.items() if k not in given}))
        found: dict[str, list[Finding]] = {}
        for one in examine_azure(root or ROOT, role):
            found.setdefault(one.thing, []).append(one)
        verbs = {" ".join(line.split()[:2]) for line in log.read_text().splitlines()}
        reading = {"account show", "cloud show", "group exists", "role assignment", "rest --method"}
        assert verbs <= reading, "something else than reading was asked"
        return found

    return examine


def states(found: dict[str, list[Finding]]) -> dict[str, set[bool | None]]:
    return {thing: {one.is_fine for one in some} for thing, some in found.items()}


def test_who_has_all_that_is_needed_has_nothing_to_mend(ask: Ask) -> None:
    assert set(map(frozenset, states(ask("data-scientist")).values())) == {frozenset({True})}


def test_nobody_signed_in_is_the_only_finding(ask: Ask) -> None:
    [[one]] = ask(account_show=None).values()
    assert (one.is_fine, one.remedy) == (False, "az login")


def test_a_disabled_subscription_is_found(ask: Ask) -> None:
    [one] = ask(account_show=FINE["account show"] | {"state": "Disabled"})["subscription"]
    assert one.is_fine is False and "Disabled" in one.found


@pytest.mark.parametrize(
    ("role", "held", "is_fine"),
    [
        ("data-scientist", ["Flight delay dev: Data scientist"], True),
        ("data-scientist", ["Flight delay dev: Data engineer"], False),
        ("data-scientist", ["Flight delay test: Data scientist"], False),
        (None, ["Flight delay dev: Data engineer"], True),
        (None, ["acme dev: ML engineer"], True),
        (None, ["Owner"], True),
        (None, ["Reader"], False),
        (None, [], False),
    ],
)
def test_roles_are_compared_with_the_personas(ask: Ask, role, held, is_fine) -> None:
    found = ask(role, role_assignment_list=[{"roleDefinitionName": one} for one in held])
    assert next(one for one in found["roles"] if one.found.startswith("dev")).is_fine is is_fine


def test_roles_that_one_may_not_list_are_open(ask: Ask) -> None:
    assert states(ask(role_assignment_list=None))["roles"] == {None}


@pytest.mark.parametrize(
    ("usages", "is_fine"),
    [
        ([usage("dedicatedCores", "Total", 0, 100), usage("vmFamily", FAMILY, 20, 24)], False),
        ([usage("dedicatedCores", "Total", 95, 100), usage("vmFamily", FAMILY, 0, 24)], False),
        ([usage("vmFamily", "standardDDSv4Family", 0, 24)], True),
        ([usage("vmFamily", "standardDDSv4Family", 20, 24)], False),
        ([usage("vmFamily", "Standard NC Family Cluster Dedicated vCPUs", 0, 0)], None),
        ([usage("workspaces", FAMILY, 24, 24), usage("vmFamily", FAMILY, 0, -1)], None),
    ],
)
def test_quota_is_what_is_left_to_the_family_and_to_all(ask: Ask, usages, is_fine) -> None:
    dev = next(one for one in ask(usages={"value": usages})["quota"] if one.found.startswith("dev"))
    assert dev.is_fine is is_fine, dev


def test_quota_is_asked_of_the_region_that_the_cluster_is_in(ask: Ask, tmp_path: Path) -> None:
    root = part_of_sample(tmp_path / "project", "conf infra")
    with (root / "infra" / "dev.bicepparam").open("a", encoding="utf-8") as file:
        file.write("param trainingLocation = 'northeurope'\n")
    regions = [one.found.split()[-1] for one in ask(root=root)["quota"]]
    assert regions == ["northeurope", "westeurope", "westeurope"]


def test_a_size_that_the_region_does_not_have_is_found(ask: Ask) -> None:
    assert states(ask(vmSizes={"value": []}))["quota"] == {False}


def test_an_environment_that_is_not_there_has_its_names_looked_up(ask: Ask) -> None:
    free = {"nameAvailable": True}
    found = ask(group_exists=False, checkNameAvailability=free, checknameavailability=free)
    assert states(found)["environments"] == {None}
    assert states(found)["names"] == {True} and "roles" not in found
    taken = {"nameAvailable": False, "message": "it is taken"}
    found = ask(group_exists=False, checkNameAvailability=taken, checknameavailability=taken)
    assert states(found)["names"] == {False}
    assert all("it is taken" in one.found for one in found["names"])
    assert any("func-acme-flight-delay-dev" in one.found for one in found["names"])


def test_names_that_one_may_not_ask_for_are_open(ask: Ask) -> None:
    found = ask(group_exists=False, checkNameAvailability=None)
    assert states(found)["names"] == {None}


def test_what_azure_refuses_to_say_is_open_and_said(ask: Ask) -> None:
    [one] = ask(usages=None)["Azure"]
    assert one.is_fine is None and "Forbidden" in one.found


def test_without_the_azure_cli_that_is_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    [one] = examine_azure(ROOT)
    assert one.is_fine is False and "az" in one.found


def test_a_role_that_does_not_exist_is_wrong_usage(ask: Ask) -> None:
    with pytest.raises(UsageError, match="ml-engineer"):
        ask("ml-enginer")


def test_a_retired_size_of_a_cluster_is_found(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = part_of_sample(tmp_path / "project", "conf infra")
    file = copy / "infra" / "dev.bicepparam"
    edit(file, "Standard_D4ds_v4", "Standard_NC6")
    monkeypatch.setattr("tests.test_doctor_azure.ROOT", copy)
    [one] = ask()["sizes"]
    assert one.is_fine is False and "was retired on 2023-09-06" in one.found


def test_the_command_wants_azure_for_a_role(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modelyard", "doctor", "--role", "data-scientist"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, "add --azure" in done.stderr) == (2, True)


CLOUD = {
    "name": "AzureCloud",
    "suffixes": {
        "storageEndpoint": "core.example",
        "keyvaultDns": ".vault.example",
        "acrLoginServerEndpoint": ".registry.example",
    },
}
HOSTS = [
    "stacmeflightdelaydev.blob.core.example",
    "stacmeflightdelaydev.file.core.example",
    "kvacmeflightdelaydev.vault.example",
    "cracmeflightdelaydev.registry.example",
    "0f.workspace.westeurope.api.azureml.ms",
]


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A project whose dev has private endpoints only."""
    root = part_of_sample(tmp_path / "closed", "conf infra")
    file = root / "infra" / "dev.bicepparam"
    edit(file, "network = 'public'", "network = 'managed-vnet'")
    return root


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Addresses of hosts, None where nothing knows one; at 10.9.9.9 nobody answers."""
    addresses: dict[str, str | None] = dict.fromkeys(HOSTS, "10.20.0.5")

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        found = addresses.get(host)
        if found is None:
            raise socket.gaierror(f"{host} is not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port))]

    class Open:
        def close(self) -> None: ...

    def connect(address: tuple[str, int], _timeout: float) -> Open:
        if address[0] == "10.9.9.9":
            raise TimeoutError
        return Open()

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    return addresses


ANSWERS = {"workspaces/mlw": {"properties": {"workspaceId": "0f"}}, "cloud_show": CLOUD}


def test_the_hosts_of_a_closed_environment_answer_at_private_addresses(
    ask: Ask, closed: Path, network: dict[str, str | None]
) -> None:
    (found,) = ask(root=closed, **ANSWERS)["network"]
    assert (found.is_fine, found.found) == (True, "dev: its 5 hosts answer at private addresses")
    assert "network" not in ask(**ANSWERS)  # the others are public


UNREACHED = [
    ("203.0.114.7", "is 203.0.114.7 here, an address of the internet, where it is closed"),
    (None, "has no address here"),
    ("10.9.9.9", "does not answer at 10.9.9.9, port 443"),
]


@pytest.mark.parametrize(("host", "reason"), zip(HOSTS, cycle(UNREACHED), strict=False))
def test_a_host_that_is_not_reached_is_named_with_its_reason(
    ask: Ask,
    closed: Path,
    network: dict[str, str | None],
    host: str,
    reason: tuple[str | None, str],
) -> None:
    address, said = reason
    network[host] = address
    (found,) = ask(root=closed, **ANSWERS)["network"]
    assert (found.is_fine, found.found) == (False, f"dev: {host} {said}")
    assert "DNS" in found.remedy


def test_a_vault_that_was_there_already_is_looked_up_under_its_own_name(
    ask: Ask, closed: Path, network: dict[str, str | None]
) -> None:
    file = closed / "infra" / "dev.bicepparam"
    vault = "param keyVaultId = '/s/providers/Microsoft.KeyVault/vaults/kv-hub'"
    file.write_text(f"{file.read_text('utf-8')}{vault}\n", "utf-8")
    (found,) = ask(root=closed, **ANSWERS)["network"]
    assert found.found == "dev: kv-hub.vault.example has no address here"


def test_a_workspace_that_azure_does_not_tell_of_leaves_its_host_out(
    ask: Ask, closed: Path, network: dict[str, str | None]
) -> None:
    left, reached = ask(root=closed, **(ANSWERS | {"workspaces/mlw": None}))["network"]
    assert left.is_fine is None and "mlw-acme-flight-delay-dev is not told" in left.found
    assert reached.found == "dev: its 4 hosts answer at private addresses"
