"""An environment is taken away: a small Azure that refuses what Azure refuses, asked in words of `az`."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from modelyard.errors import CheckFailed, UsageError
from modelyard.infra import deploy, teardown

from tests import az
from tests.small_infra import PROJECT

GROUP = "rg-acme-small-dev"
BASE = f"/subscriptions/s/resourceGroups/{GROUP}"
STORE = f"{BASE}/providers/Microsoft.Storage/storageAccounts/st"
VAULT = f"{BASE}/providers/Microsoft.KeyVault/vaults/kv"
LOGS = f"{BASE}/providers/Microsoft.OperationalInsights/workspaces/log"
WORKSPACE = f"{BASE}/providers/Microsoft.MachineLearningServices/workspaces/mlw"
ENDPOINT = f"{WORKSPACE}/onlineEndpoints/small"
LINK = "/subscriptions/s/resourceGroups/rg-hub/providers/microsoft.insights/privatelinkscopes/hub/scopedresources/log"


def lock_on(place: str) -> str:
    return f"{place}/providers/Microsoft.Authorization/locks/not-to-be-deleted"


@dataclass
class Azure:
    """A resource group and what it holds.

    Attributes:
        broken: part of the words of a command that fails, or interrupts.
        slow: how often a lock still holds after it was lifted.
    """

    resources: set[str] = field(default_factory=lambda: {STORE, VAULT, LOGS, WORKSPACE})
    children: set[str] = field(default_factory=lambda: {ENDPOINT})
    links: set[str] = field(default_factory=lambda: {LINK})
    locks: dict[str, Any] = field(
        default_factory=lambda: {
            lock_on(place): {"level": "CanNotDelete", "notes": place} for place in (STORE, VAULT)
        }
    )
    deleted_vaults: set[str] = field(default_factory=set)
    protected: bool = False
    exists: bool = True
    broken: str = ""
    interrupts: bool = False
    slow: int = 0
    changes: list[str] = field(default_factory=list)

    def __call__(self, *words: str, **_: object) -> subprocess.CompletedProcess[str]:
        az.check(words)
        try:
            if self.broken and self.broken in " ".join(words):
                if self.interrupts:
                    raise KeyboardInterrupt
                raise RuntimeError("Azure is away")
            answer = self.answer(*words)
        except RuntimeError as refused:
            return subprocess.CompletedProcess(words, 1, "", str(refused))
        return subprocess.CompletedProcess(words, 0, json.dumps(answer), "")

    def answer(self, *words: str) -> Any:
        match words:
            case ("group", "exists", *_):
                return self.exists
            case ("extension" | "account", *_):
                return {"id": "s"}
            case ("rest", "--method", "get", "--url", url):
                return self.get(url.partition("?")[0].replace("{subscriptionId}", "s"))
        self.changes.append(" ".join(words))
        match words:
            case ("rest", "--method", "delete", "--url", url):
                del self.locks[url.partition("?")[0]]
            case ("rest", "--method", "put", "--url", url, "--body", body):
                identifier = url.partition("?")[0]
                if (
                    identifier.partition("/providers/Microsoft.Authorization")[0]
                    not in self.resources
                ):
                    raise RuntimeError("ResourceNotFound")
                self.locks[identifier] = json.loads(body)["properties"]
            case ("resource", "delete", "--ids", identifier, *_):
                (self.links if identifier == LINK else self.children).remove(identifier)
            case ("ml", "workspace", "delete", *_, "--permanently-delete", "--yes"):
                assert not self.children, "its endpoints come first"
                self.unlocked()
                self.resources.remove(WORKSPACE)
            case ("group", "delete", *_):
                assert not self.links, "it is linked to a scope"
                assert WORKSPACE not in self.resources, "it would keep its name"
                self.unlocked()
                self.exists, self.resources, self.deleted_vaults = False, set(), {"kv"}
            case ("keyvault", "purge", "--name", name):
                self.deleted_vaults.remove(name)
            case _:
                raise AssertionError(words)
        return None

    def unlocked(self) -> None:
        if self.locks or self.slow:
            self.slow -= 1
            raise RuntimeError("(ScopeLocked) cannot perform delete operation")

    def get(self, url: str) -> Any:
        if url in self.locks:
            return {"id": url}
        if url == LOGS:
            found = [{"resourceId": one} for one in self.links]
            return {"properties": {"privateLinkScopedResources": found}}
        if url.endswith("/deletedVaults"):
            about = {"vaultId": VAULT, "purgeProtectionEnabled": self.protected}
            other = {"name": "kv-other", "properties": {"vaultId": VAULT.replace("-dev", "-prod")}}
            return {
                "value": [{"name": one, "properties": about} for one in self.deleted_vaults]
                + [other]
            }
        if not self.exists:
            raise RuntimeError("Not Found({})")
        if url.endswith("/locks"):
            locks = [
                {"id": one, "name": one.rpartition("/")[2], "properties": p}
                for one, p in self.locks.items()
            ]
            return {"value": locks}
        if url.endswith("/resources"):
            return {
                "value": [
                    {
                        "id": one,
                        "name": one.rpartition("/")[2],
                        "type": "/".join(one.split("/")[6:8]),
                        "tags": {"project": "small"} if one != STORE else None,
                    }
                    for one in self.resources
                ]
            }
        if url.endswith("/vaults"):
            return {
                "value": [{"name": "kv", "properties": {"enablePurgeProtection": self.protected}}]
            }
        if url.endswith("Endpoints"):
            found = [one for one in self.children if one.startswith(url)]
            return {"value": [{"id": one, "name": one.rpartition("/")[2]} for one in found]}
        raise RuntimeError(f"Not Found({url})")


Run = Callable[..., None]


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Azure:
    there = Azure()
    monkeypatch.setattr(deploy, "azure_cli", lambda: "az")
    monkeypatch.setattr(deploy, "ask", lambda _, *words, **options: there(*words, **options))
    monkeypatch.setattr(teardown.time, "sleep", lambda _: None)
    return there


@pytest.fixture
def tear_down(tmp_path: Path) -> Run:
    text = PROJECT.replace("    storage:", "    workspace: w\n    endpoint: e\n    storage:")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "project.yml").write_text(
        f"package: p\nowner: a@example.com\nmodel: m\n{text}"
    )
    root = tmp_path
    return lambda environment="dev", **options: deploy.tear_down(root, environment, **options)


def test_a_plan_says_what_is_there_and_how_it_goes_and_changes_nothing(
    azure: Azure, tear_down: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    tear_down()
    said = capsys.readouterr().out
    assert azure.changes == []
    assert "Microsoft.Storage/storageAccounts st, without the tag project: small" in said
    assert "Microsoft.KeyVault/vaults kv\n" in said
    order = [
        "the lock not-to-be-deleted on st is lifted",
        "log leaves its private link scope",
        "the endpoint small is deleted",
        "the workspace mlw is deleted for good",
        f"{GROUP} is deleted",
        "kv can be brought back for some days",
    ]
    places = [said.index(one) for one in order]
    assert places == sorted(places)


def test_what_the_plan_says_is_done_in_its_order(
    azure: Azure, tear_down: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    tear_down()
    planned = [
        " ".join(shlex.split(line.partition(": az ")[2]))
        for line in capsys.readouterr().out.splitlines()
        if line[0] == "-"
    ]
    tear_down(apply=True)
    assert azure.changes == planned
    assert (azure.exists, azure.locks, azure.deleted_vaults) == (False, {}, {"kv"})


@pytest.mark.parametrize("interrupts", [False, True])
@pytest.mark.parametrize(
    "broken",
    [f"delete --url {lock_on(VAULT)}", LINK, ENDPOINT, "ml workspace delete", "group delete"],
)
def test_a_failure_half_way_puts_the_locks_back_and_another_call_goes_on(
    azure: Azure, tear_down: Run, broken: str, interrupts: bool
) -> None:
    before = dict(azure.locks)
    azure.broken, azure.interrupts = broken, interrupts
    with pytest.raises(KeyboardInterrupt if interrupts else CheckFailed):
        tear_down(apply=True)
    assert azure.locks == before
    azure.broken = ""
    tear_down(apply=True)
    assert (azure.exists, azure.locks, azure.deleted_vaults) == (False, {}, {"kv"})


def test_a_lock_comes_back_on_what_is_still_there_only(
    azure: Azure, tear_down: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    azure.resources.remove(STORE)  # Azure had begun
    azure.broken = "group delete"
    with pytest.raises(CheckFailed):
        tear_down(apply=True)
    assert list(azure.locks) == [lock_on(VAULT)]
    assert "NOT back" not in capsys.readouterr().out


def test_a_lock_that_does_not_come_back_is_said(
    azure: Azure, tear_down: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    azure.broken = ENDPOINT
    lost = azure.answer

    def refusing(*words: str) -> Any:
        if "put" in words:
            raise RuntimeError("AuthorizationFailed")
        return lost(*words)

    azure.answer = refusing  # type: ignore[method-assign]
    with pytest.raises(CheckFailed, match="run the command again, which goes on"):
        tear_down(apply=True)
    assert f"the lock {lock_on(STORE)} is NOT back: AuthorizationFailed" in capsys.readouterr().out


def test_a_lock_that_holds_for_a_moment_more_is_waited_for(azure: Azure, tear_down: Run) -> None:
    azure.slow = 3
    tear_down(apply=True)
    assert not azure.exists


def test_a_lock_above_the_group_is_somebody_elses(azure: Azure, tear_down: Run) -> None:
    azure.locks[lock_on("/subscriptions/s")] = {"level": "ReadOnly"}
    with pytest.raises(CheckFailed, match="while a lock of somebody else is above it"):
        tear_down(apply=True)
    assert azure.changes == []


def test_prod_is_confirmed_with_the_groups_name(azure: Azure, tear_down: Run) -> None:
    for given in (None, GROUP):
        with pytest.raises(UsageError, match=r"confirm with .* rg-acme-small-prod"):
            tear_down("prod", apply=True, confirm=given)
    assert azure.changes == []


def test_the_deleted_vault_is_purged_where_that_is_said_also_by_a_later_call(
    azure: Azure, tear_down: Run
) -> None:
    tear_down(apply=True)
    tear_down(apply=True, purge_vault=True)
    assert azure.changes[-1] == "keyvault purge --name kv" and azure.deleted_vaults == set()


def test_a_protected_vault_is_not_purged_and_nothing_is_changed(
    azure: Azure, tear_down: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    azure.protected = True
    with pytest.raises(UsageError, match="leave --purge-vault out: kv has purge protection"):
        tear_down(apply=True, purge_vault=True)
    assert azure.changes == []
    tear_down(apply=True)
    assert "kv has purge protection: the next mlops infra deploy" in capsys.readouterr().out


def test_without_the_extension_that_deletes_a_workspace_no_lock_is_lifted(
    azure: Azure, tear_down: Run
) -> None:
    azure.broken = "extension show"
    with pytest.raises(CheckFailed, match="az extension add --name ml"):
        tear_down(apply=True)
    assert azure.changes == []
