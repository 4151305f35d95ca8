"""Connecting a repository: the plan, its steps on both providers, and that nothing is done twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from modelyard.delivery.connect import Cli, Step, Wanted, connect, federated_step
from modelyard.delivery.connect_azure_devops import APPROVAL, BRANCH, LOCK, azure_devops_steps
from modelyard.delivery.connect_github import github_steps, subject_prefix
from modelyard.errors import CheckFailed, UsageError

from tests.az import check
from tests.project import ROOT

TENANT, SUBSCRIPTION = "tenant", "sub"


class Azure(Cli):
    """Identities of the environments that are deployed, and who signs in as them."""

    def __init__(self, *deployed: str) -> None:
        self.deployed = deployed
        self.credentials: dict[str, list[dict[str, str]]] = {}
        self.done: list[str] = []

    def azure(self, words: tuple[str, ...], options: dict[str, str]) -> Any:
        if words[:2] == ("identity", "show"):
            name = options["--name"]
            if not any(f"-{one}-ci" in name for one in self.deployed):
                return None
            place = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/{name}"
            return {"clientId": f"client of {name}", "tenantId": TENANT, "id": place}
        assert words[:2] == ("identity", "federated-credential"), words
        known = self.credentials.setdefault(options["--identity-name"], [])
        if words[2] == "list":
            return known
        assert words[2] == "create"
        known.append({key: options[f"--{key}"] for key in ("name", "issuer", "subject")})
        return {}

    def ask(self, *command: str) -> Any:
        return self.call(command, None)

    def do(self, step: Step) -> None:
        self.done.append(step.what)
        if step.file:
            super().do(step)
        elif self.call(step.command, step.body) is None:
            raise CheckFailed(step.what)

    def call(self, command: tuple[str, ...], body: Any) -> Any:
        raise NotImplementedError


def options_of(command: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The words and the options of an `az` command."""
    first = next(at for at, word in enumerate(command) if word.startswith("--"))
    options = dict(zip(command[first::2], command[first + 1 :: 2], strict=True))
    check(command[1:])
    return command[1:first], options


class GitHubApi(Azure):
    """GitHub as `gh api` shows it."""

    subject: dict[str, Any] = {"use_default": True, "sub_claim_prefix": "repo:acme@1/it@2"}  # noqa: RUF012

    def __init__(self, *deployed: str) -> None:
        super().__init__(*deployed)
        self.store: dict[str, Any] = {
            "repos/acme/it": {"full_name": "acme/it", "default_branch": "main"},
            "repos/acme/it/actions/oidc/customization/sub": self.subject,
            "repos/acme/it/rulesets": [],
            "users/ada": {"id": 5},
            "orgs/acme/teams/validators": {"id": 6},
        }

    def call(self, command: tuple[str, ...], body: Any) -> Any:
        if command[0] == "az":
            return self.azure(*options_of(command))
        assert command[:2] == ("gh", "api")
        if command[2] != "--method":
            return self.store.get(command[2])
        method, place = command[3:5]
        assert command[5:] == (() if method == "DELETE" else ("--input", "-"))
        self._change(method, place, body)
        return {}

    def _change(self, method: str, place: str, body: dict[str, Any]) -> None:
        if place.endswith("/variables"):
            assert method == "POST"
            self.store[f"{place}/{body['name']}"] = body
        elif "/deployment-branch-policies" in place:
            place, _, number = place.partition("-policies/")
            place = place.removesuffix("-policies") + "-policies"
            known = self.store.setdefault(place, {"branch_policies": []})["branch_policies"]
            if method == "DELETE":
                known[:] = [one for one in known if str(one["id"]) != number]
            else:
                known.append({**body, "id": len(known)})
        elif place.endswith("/labels"):
            self.store[f"{place}/{body['name']}"] = body
        elif place.endswith("/rulesets"):
            self.store[place].append({"id": 9, "name": body["name"]})
            self.store[f"{place}/9"] = {**body, "id": 9, "source": "acme/it"}
        elif "/environments/" in place and place.count("/") == 4:
            reviewers = [
                {"type": one["type"], "reviewer": {"id": one["id"]}}
                for one in body["reviewers"] or ()
            ]
            rule = {
                "type": "required_reviewers",
                "reviewers": reviewers,
                "prevent_self_review": body["prevent_self_review"],
            }
            self.store[place] = {
                "protection_rules": [rule] if reviewers else [],
                "wait_timer": body["wait_timer"],
                "deployment_branch_policy": body["deployment_branch_policy"],
            }
        else:
            assert method in ("PUT", "PATCH")
            self.store[place] = body


class AzureDevOpsApi(Azure):
    """Azure DevOps as `az rest` and `az devops` show it."""

    def __init__(self, *deployed: str) -> None:
        super().__init__(*deployed)
        self.environments: list[dict[str, Any]] = []
        self.checks: list[dict[str, Any]] = []
        self.connections: list[dict[str, Any]] = []
        self.groups: dict[str, dict[str, Any]] = {}
        self.permissions: dict[str, list[dict[str, Any]]] = {}
        self.pipelines: list[dict[str, Any]] = []
        self.policies: list[dict[str, Any]] = []

    def call(self, command: tuple[str, ...], body: Any) -> Any:
        words, options = options_of(command)
        if words[0] == "identity":
            return self.azure(words, options)
        if words == ("rest",):
            return self._rest(options["--method"], options["--url"], body)
        if words == ("devops", "project", "show"):
            return {"id": "p1"}
        if words == ("repos", "show"):
            return {"id": "r1", "defaultBranch": "refs/heads/main"}
        if words == ("pipelines", "variable-group", "list"):
            return [one for name, one in self.groups.items() if name == options["--group-name"]]
        if words == ("pipelines", "variable-group", "create"):
            name, _, value = options["--variables"].partition("=")
            group = {"id": len(self.groups), "variables": {name: {"value": value}}}
            self.groups[options["--name"]] = group
        elif words[:3] == ("pipelines", "variable-group", "variable"):
            [group] = [
                one for one in self.groups.values() if str(one["id"]) == options["--group-id"]
            ]
            assert (words[3] == "update") == (options["--name"] in group["variables"])
            group["variables"][options["--name"]] = {"value": options["--value"]}
        elif words == ("pipelines", "list"):
            return self.pipelines
        elif words == ("pipelines", "create"):
            file = ROOT.parent / options["--yml-path"]
            self.pipelines.append(
                {"name": options["--name"], "id": len(self.pipelines), "file": file}
            )
        elif words == ("repos", "policy", "list"):
            return self.policies
        else:
            assert words[:2] == ("repos", "policy")
            self._policy(words[2], words[3] == "create", options)
        return {}

    def _policy(self, kind: str, is_new: bool, options: dict[str, str]) -> None:
        if is_new:
            name = {"build": "Build", "approver-count": "Minimum number of reviewers"}[kind]
            policy: dict[str, Any] = {"type": {"displayName": name}, "settings": {}}
            self.policies.append({**policy, "id": len(self.policies), "options": options})
        at = len(self.policies) - 1 if is_new else int(options["--id"])
        found, given = self.policies[at], options
        if "--enabled" in given:
            found["isEnabled"] = given["--enabled"] == "true"
        if "--blocking" in given:
            found["isBlocking"] = given["--blocking"] == "true"
        for option, key in (
            ("--display-name", "displayName"),
            ("--build-definition-id", "buildDefinitionId"),
            ("--creator-vote-counts", "creatorVoteCounts"),
            ("--minimum-approver-count", "minimumApproverCount"),
        ):
            if option in given:
                value = given[option]
                found["settings"][key] = {"true": True, "false": False}.get(value, value)

    def _rest(self, method: str, url: str, body: Any) -> Any:
        if "/identities?" in url:
            return {"value": [{"id": "id of ada"}]}
        path = url.partition("/_apis/")[2].partition("?")[0]
        name = (re.search(r"[?&](?:name|endpointNames)=([^&]+)", url) or [None, None])[1]
        if path == "distributedtask/environments":
            if method == "GET":
                return {"value": [one for one in self.environments if one["name"] == name]}
            self.environments.append({**body, "id": len(self.environments)})
        elif path == "pipelines/checks/configurations":
            if method == "GET":
                number = (re.search(r"resourceId=(\d+)", url) or ["", ""])[1]
                return {"value": [one for one in self.checks if one["resource"]["id"] == number]}
            self.checks.append({**body, "id": len(self.checks)})
        elif path.startswith("pipelines/checks/configurations/"):
            assert method == "PATCH"
            self.checks[int(path.rpartition("/")[2])].update(body)
        elif path == "distributedtask/variablegroups":
            found = (re.search(r"groupName=([^&]+)", url) or ["", ""])[1]
            return {"value": [{"id": 1}] if found in self.groups else []}
        elif path.startswith("pipelines/pipelinepermissions/"):
            if method == "GET":
                return {"pipelines": self.permissions.get(path, [])}
            self.permissions[path] = body["pipelines"]
        else:
            assert path == "serviceendpoint/endpoints"
            if method == "GET":
                return {"value": [one for one in self.connections if one["name"] == name]}
            given = {
                "workloadIdentityFederationSubject": f"sc://acme/p/{body['name']}",
                "workloadIdentityFederationIssuer": "https://vstoken.test/acme",
            }
            body["id"] = body["name"]
            given |= body["authorization"]["parameters"]
            self.connections.append({**body, "authorization": {"parameters": given}})
        return {}


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    """A copy of what is read and written, for dev and prod."""
    for name in (
        "conf/project.yml",
        ".github/branch-rules.json",
        "infra/dev.bicepparam",
        "infra/prod.bicepparam",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return Wanted(tmp_path, ("dev", "prod"), ("ada",))


def github(api: Azure, wanted: Wanted) -> Iterator[Step]:
    return github_steps(api, wanted, "acme/it")


def azure_devops(api: Azure, wanted: Wanted) -> Iterator[Step]:
    return azure_devops_steps(api, wanted, "https://dev.azure.com/acme", "p", "it")


PROVIDERS = [(GitHubApi, github), (AzureDevOpsApi, azure_devops)]
both = pytest.mark.parametrize(("api", "steps"), PROVIDERS, ids=["github", "azure-devops"])


def texts(wanted: Wanted) -> dict[str, str]:
    return {path.name: path.read_text() for path in (wanted.root / "infra").iterdir()}


@both
def test_a_plan_changes_nothing(api: Any, steps: Any, wanted: Wanted) -> None:
    there, before = api("dev", "prod"), texts(wanted)
    left = connect(steps(there, wanted), there, apply=False, say=lambda _: None)
    assert left > 10
    assert there.done == []
    assert texts(wanted) == before


@both
def test_applying_it_twice_does_everything_once(api: Any, steps: Any, wanted: Wanted) -> None:
    there = api("dev", "prod")
    assert connect(steps(there, wanted), there, apply=True, say=lambda _: None) == 0
    done = len(there.done)
    assert done > 10
    said: list[str] = []
    assert connect(steps(there, wanted), there, apply=True, say=said.append) == 0
    assert len(there.done) == done
    assert all(line.startswith("  is so") for line in said)


@both
def test_what_is_not_deployed_yet_waits(api: Any, steps: Any, wanted: Wanted) -> None:
    there = api("dev")
    said: list[str] = []
    assert connect(steps(there, wanted), there, apply=True, say=said.append) >= 1
    [line, *_] = [one for one in said if one.startswith("  later")]
    assert "mlops infra deploy prod --as-administrator" in line
    there.deployed = ("dev", "prod")
    assert connect(steps(there, wanted), there, apply=True, say=said.append) == 0


def test_prod_on_github_is_approved_and_comes_from_main_alone(wanted: Wanted) -> None:
    there = GitHubApi("dev", "prod")
    connect(github(there, wanted), there, apply=True, say=lambda _: None)
    prod, dev = (there.store[f"repos/acme/it/environments/{one}"] for one in ("prod", "dev"))
    assert prod["protection_rules"][0]["reviewers"] == [{"type": "User", "reviewer": {"id": 5}}]
    assert prod["protection_rules"][0]["prevent_self_review"]
    policies = there.store["repos/acme/it/environments/prod/deployment-branch-policies"]
    assert policies["branch_policies"] == [{"name": "main", "id": 0}]
    assert dev == {"protection_rules": [], "wait_timer": 0, "deployment_branch_policy": None}


def test_the_variables_on_github_are_those_that_the_workflows_read(wanted: Wanted) -> None:
    there = GitHubApi("dev", "prod")
    connect(github(there, wanted), there, apply=True, say=lambda _: None)
    names = {key.rpartition("/")[2] for key in there.store if "/variables/" in key}
    workflows = (ROOT / ".github" / "workflows").glob("*.yml")
    text = "".join(file.read_text(encoding="utf-8") for file in workflows)
    read = {one.replace("_TEST", "_PROD") for one in re.findall(r"vars\.([A-Z_]+)", text)}
    read |= {f"{name}DEV" for name in re.findall(r"format\('([A-Z_]+)\{0}'", text)}
    # The policy and who signs it are variables of the organization.
    assert read - {"AI_FACTORY_POLICY", "AI_FACTORY_POLICY_SIGNERS"} <= names
    assert json.loads(there.store["repos/acme/it/actions/variables/ENVIRONMENTS"]["value"]) == [
        "dev",
        "prod",
    ]


@pytest.mark.parametrize(
    ("subject", "prefix"),
    [
        ({"use_default": True, "sub_claim_prefix": "repo:acme@1/it@2"}, "repo:acme@1/it@2"),
        ({"use_default": True}, "repo:acme/it"),
        ({"use_default": False, "include_claim_keys": ["repo", "context"]}, "repo:acme/it"),
        (None, "repo:acme/it"),
    ],
)
def test_the_subject_is_in_the_form_that_github_says(
    monkeypatch: pytest.MonkeyPatch, wanted: Wanted, subject: Any, prefix: str
) -> None:
    monkeypatch.setattr(GitHubApi, "subject", subject)
    there = GitHubApi("dev", "prod")
    connect(github(there, wanted), there, apply=True, say=lambda _: None)
    text = (wanted.root / "infra" / "prod.bicepparam").read_text()
    assert f"param ciSubject = '{prefix}:environment:prod'\n" in text
    assert text.count("param ciSubject") == 1


def test_a_subject_without_an_environment_in_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"use_default": False, "include_claim_keys": ["actor"]}
    monkeypatch.setattr(GitHubApi, "subject", keys)
    with pytest.raises(UsageError, match="is customized"):
        subject_prefix(GitHubApi(), "acme/it")


def test_rules_that_somebody_has_loosened_are_restored(wanted: Wanted) -> None:
    there = GitHubApi("dev", "prod")
    connect(github(there, wanted), there, apply=True, say=lambda _: None)
    there.store["repos/acme/it/rulesets/9"]["enforcement"] = "disabled"
    prod = "repos/acme/it/environments/prod"
    there.store[prod]["protection_rules"] = [{"type": "wait_timer", "wait_timer": 30}]
    policies = there.store[f"{prod}/deployment-branch-policies"]["branch_policies"]
    policies.append({"name": "*", "id": 7})
    there.done.clear()
    connect(github(there, wanted), there, apply=True, say=lambda _: None)
    assert len(there.done) == 3
    assert [one["name"] for one in policies] == ["main"]
    assert there.store[prod]["wait_timer"] == 30
    assert there.store["repos/acme/it/rulesets/9"]["enforcement"] == "active"


def test_what_somebody_has_loosened_on_azure_devops_is_restored_and_what_is_stricter_stays(
    wanted: Wanted,
) -> None:
    there = AzureDevOpsApi("dev", "prod")
    connect(azure_devops(there, wanted), there, apply=True, say=lambda _: None)
    lock, branch, approval = there.checks[-3:]
    lock["isDisabled"] = True
    branch["settings"] = {"definitionRef": {"id": "of another task: business hours"}}
    approval["settings"] |= {"requesterCannotBeApprover": False, "minRequiredApprovers": 2}
    check, *_, infra, _, reviewed = there.policies
    check["isBlocking"] = reviewed["isEnabled"] = False
    infra["isBlocking"] = True
    reviewed["settings"]["minimumApproverCount"] = "2"
    there.groups["flight-delay-prod"]["variables"]["AZURE_SUBSCRIPTION_ID"]["value"] = "former"
    del there.groups["flight-delay-dev"]["variables"]["AZURE_SUBSCRIPTION_ID"]
    there.done.clear()
    connect(azure_devops(there, wanted), there, apply=True, say=lambda _: None)
    assert len(there.done) == 7
    assert branch["settings"] == {"definitionRef": {"id": "of another task: business hours"}}
    assert there.checks[-1]["settings"]["inputs"]["allowedBranches"] == "refs/heads/main"
    assert connect(azure_devops(there, wanted), there, apply=True, say=lambda _: None) == 0
    assert len(there.done) == 7
    assert approval["settings"]["minRequiredApprovers"] == 2
    assert reviewed["settings"]["minimumApproverCount"] == "2"
    assert (
        there.groups["flight-delay-prod"]["variables"]
        == there.groups["flight-delay-dev"]["variables"]
    )


def test_a_service_connection_that_signs_in_elsewhere_is_named(wanted: Wanted) -> None:
    there, said = AzureDevOpsApi("dev", "prod"), []
    connect(azure_devops(there, wanted), there, apply=True, say=lambda _: None)
    there.connections[0]["data"]["subscriptionId"] = "former"
    assert connect(azure_devops(there, wanted), there, apply=True, say=said.append) == 1
    [line] = [one for one in said if one.startswith("  later")]
    assert "service connection flight-delay-dev" in line and "signs in elsewhere" in line


def test_on_azure_devops_connections_have_no_secret_and_their_subjects_sign_in(
    wanted: Wanted,
) -> None:
    there = AzureDevOpsApi("dev", "prod")
    connect(azure_devops(there, wanted), there, apply=True, say=lambda _: None)
    assert [one["name"] for one in there.connections] == [
        "flight-delay-dev",
        "flight-delay-dev-reader",
        "flight-delay-prod",
        "flight-delay-prod-reader",
    ]
    subjects = {
        name: [one["subject"] for one in known] for name, known in there.credentials.items()
    }
    assert subjects["id-acme-flight-delay-prod-ci"] == ["sc://acme/p/flight-delay-prod"]
    assert subjects["id-acme-flight-delay-prod-ci-reader"] == [
        "sc://acme/p/flight-delay-prod-reader"
    ]
    text = (wanted.root / "infra" / "prod.bicepparam").read_text()
    assert "param ciSubject = 'sc://acme/p/flight-delay-prod'\n" in text
    assert "param ciIssuer = 'https://vstoken.test/acme'\n" in text


def test_on_azure_devops_each_environment_is_locked_and_prod_is_approved(wanted: Wanted) -> None:
    there = AzureDevOpsApi("dev", "prod")
    connect(azure_devops(there, wanted), there, apply=True, say=lambda _: None)
    kinds = [(one["resource"]["name"], one["type"]["id"]) for one in there.checks]
    assert kinds == [
        ("flight-delay-dev", LOCK["id"]),
        ("flight-delay-prod", LOCK["id"]),
        ("flight-delay-prod", BRANCH["id"]),
        ("flight-delay-prod", APPROVAL["id"]),
    ]
    assert there.checks[-1]["settings"]["approvers"] == [{"id": "id of ada"}]


def test_on_azure_devops_pull_requests_wait_for_check_and_sample(wanted: Wanted) -> None:
    there = AzureDevOpsApi("dev", "prod")
    connect(azure_devops(there, wanted), there, apply=True, say=lambda _: None)
    builds = {
        one["settings"]["displayName"]: (
            one["options"]["--blocking"],
            one["options"]["--manual-queue-only"],
            "--path-filter" in one["options"],
        )
        for one in there.policies
        if "--display-name" in one["options"]
    }
    assert builds == {
        "check": ("true", "false", False),
        "sample": ("true", "false", False),
        "infra": ("false", "false", True),
        "train": ("false", "true", False),
    }


def test_on_azure_devops_only_the_pipelines_of_the_project_get_at_prod(wanted: Wanted) -> None:
    there = AzureDevOpsApi("dev", "prod")
    connect(azure_devops(there, wanted), there, apply=True, say=lambda _: None)
    names = {one["id"]: one["name"] for one in there.pipelines}
    place = "pipelines/pipelinepermissions/endpoint/flight-delay-prod"
    assert [names[one["id"]] for one in there.permissions[place]] == [
        "it-train",
        "it-deliver",
        "it-infra",
        "it-rollback",
        "it-audit",  # deletes what a release has kept
    ]
    assert "it-audit" not in [
        names[one["id"]] for one in there.permissions[place.replace("prod", "dev")]
    ]
    readers = there.permissions[f"{place}-reader"]
    assert [names[one["id"]] for one in readers] == ["it-infra", "it-audit"]


def test_a_reviewer_that_does_not_exist_is_named(wanted: Wanted) -> None:
    nobody = Wanted(wanted.root, ("prod",), ("nobody",))
    there = GitHubApi("prod")
    with pytest.raises(UsageError, match="reviewer nobody does not exist"):
        connect(github(there, nobody), there, apply=True, say=lambda _: None)


@pytest.mark.parametrize(
    ("name", "issuer", "subject", "verb"),
    [
        ("it", "i", "s", None),
        ("another", "i", "s", None),
        ("it", "retired", "s", "update"),
        ("it", "i", "renamed", "update"),
        ("another", "retired", "s", "create"),
    ],
)
def test_who_signs_in_is_changed_where_issuer_or_subject_differ(
    wanted: Wanted, name: str, issuer: str, subject: str, verb: str | None
) -> None:
    class Has(Cli):
        def ask(self, *command: str) -> Any:
            return [{"name": name, "issuer": issuer, "subject": subject}]

    step = federated_step(Has(), wanted, "dev", "ci", "it", "i", "s")
    assert step.is_open is (verb is not None)
    assert verb is None or step.command[3] == verb


def test_a_misspelt_option_of_az_is_found() -> None:
    with pytest.raises(AssertionError, match="does not know"):
        options_of(("az", "identity", "show", "--nmae", "x", "--resource-group", "g"))


def test_the_programs_are_asked_for_json_and_given_the_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    script = """#!/bin/sh
case "$1" in
  missing) echo "HTTP 404: Not Found" >&2; exit 1 ;;
  wrong) echo "HTTP 401: Bad credentials" >&2; exit 1 ;;
  write) cat > "$BODY" ;;
esac
echo '{"id": 5}'
"""
    (tmp_path / "gh").write_text(script)
    (tmp_path / "gh").chmod(0o755)
    monkeypatch.setenv("BODY", str(tmp_path / "body"))
    cli = Cli()
    assert cli.ask("gh", "read") == {"id": 5}
    assert cli.ask("gh", "missing") is None
    with pytest.raises(UsageError, match="401"):
        cli.ask("gh", "wrong")
    cli.do(Step("a variable", ("gh", "write"), {"name": "A"}))
    assert json.loads((tmp_path / "body").read_text()) == {"name": "A"}
    with pytest.raises(CheckFailed, match="a variable: HTTP 401"):
        cli.do(Step("a variable", ("gh", "wrong")))
