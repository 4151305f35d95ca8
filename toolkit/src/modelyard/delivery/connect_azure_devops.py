"""The steps that connect a repository on Azure DevOps, by `az devops`, its REST API and `az identity`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from modelyard.delivery.connect import (
    Cli,
    Identities,
    Step,
    Wanted,
    az,
    contains,
    federated_step,
    find_identities,
    identity_name,
    parameters_step,
)
from modelyard.errors import UsageError

RESOURCE = "499b84ac-1321-427f-aa17-267ca6975798"  # Azure DevOps, for tokens of `az rest`
VERSION = "api-version=7.1-preview.1"
CONNECTIONS = "api-version=7.1-preview.4"  # the first with workload identity
APPROVAL = {"id": "8c6f20a7-a545-4486-9777-f762fafe0d4d", "name": "Approval"}
LOCK = {"id": "2ef31ad6-baa0-403a-8b45-2cbc9b4e5563", "name": "ExclusiveLock"}
# A check that the branch is one of those, by the task `evaluatebranchProtection`.
BRANCH = {"id": "fe1de3ee-a436-41b4-bb20-f6eb4cb879a7", "name": "Task Check"}
BRANCH_TASK = {
    "id": "86b05a0c-73e6-4f7d-b3cf-e38f3b39a75b",
    "name": "evaluatebranchProtection",
    "version": "0.0.1",
}
# Which pipelines may use what: nothing else in the project gets at an environment.
DEPLOY, READ = ("train", "deliver", "infra", "rollback"), ("infra", "audit")
TIDY = ("audit",)  # old deployments, which dev keeps none of
PIPELINES = (
    "check",
    "sample",
    "train",
    "deliver",
    "infra",
    "rollback",
    "audit",
    "update",
    "package",
)
BLOCKING = ("check", "sample")  # a pull request waits for these
INFRA = "/conf/gates.yml;/conf/project.yml;/events/*;/infra/*"  # what starts `infra`
REVIEWED = "Minimum number of reviewers"  # name of the type of a policy
DAY = 24 * 60  # minutes


class _Organization:
    """The REST API of a project."""

    def __init__(self, cli: Cli, organization: str, project: str) -> None:
        self.cli, self.name, self.project = cli, organization.rstrip("/"), project
        self.place = {"organization": self.name, "project": project}
        self._api = f"{self.name}/{quote(project)}/_apis"

    def ask(self, path: str) -> Any:
        return self.cli.ask(*self._rest("GET", path))

    def pipelines(self) -> dict[str, Any]:
        """Return the numbers of the pipelines, by name."""
        known = self.cli.ask(*az("pipelines list", **self.place)) or []
        return {one["name"]: one["id"] for one in known}

    def command(self, method: str, path: str) -> tuple[str, ...]:
        return self._rest(method, path, headers="Content-Type=application/json", body="@-")

    def _rest(self, method: str, path: str, **options: str) -> tuple[str, ...]:
        version = CONNECTIONS if path.startswith("serviceendpoint/") else VERSION
        url = f"{self._api}/{path}{'&' if '?' in path else '?'}{version}"
        return az("rest", method=method, url=url, resource=RESOURCE, **options)


def azure_devops_steps(
    cli: Cli, wanted: Wanted, organization: str, project: str, repository: str
) -> Iterator[Step]:
    """Yield what has to be so for the pipelines of a repository.

    Raises:
        UsageError: organization, project, repository or a reviewer does not exist, or `az` is not signed in.
    """
    there = _Organization(cli, organization, project)
    about = cli.ask(*az("devops project show", **there.place))
    found = cli.ask(*az("repos show", repository=repository, **there.place))
    if about is None or found is None:
        raise UsageError(
            f"{there.name}/{project} has no repository {repository}, or `az login` is of somebody who cannot see it"
        )
    branch = str(found.get("defaultBranch") or "refs/heads/main").removeprefix("refs/heads/")
    for environment in wanted.environments:
        name = f"{wanted.project.name}-{environment}"
        yield from _environment(there, wanted, name, environment, branch)
        identities = find_identities(cli, wanted, environment)
        if identities is None:
            wait = (
                f"mlops infra deploy {environment} --as-administrator makes "
                f"{identity_name(wanted, environment, 'ci')}; then once more"
            )
            yield Step(f"service connections and variables of {environment}", wait=wait)
            continue
        yield from _connections(there, wanted, environment, identities, about["id"])
        yield _variables(there, name, identities)
    yield from _pipelines(there, found["id"], repository, branch)
    for environment in wanted.environments:
        yield from _permissions(there, f"{wanted.project.name}-{environment}", repository)


def _environment(
    there: _Organization, wanted: Wanted, name: str, environment: str, branch: str
) -> Iterator[Step]:
    path = "distributedtask/environments"
    found = there.ask(f"{path}?name={name}")["value"]
    yield Step(f"environment {name}", () if found else there.command("POST", path), {"name": name})
    found = found or (there.ask(f"{path}?name={name}")["value"])
    reviewers = wanted.reviewers_of(environment)
    if not found:
        yield Step(f"checks of environment {name}", wait="they come with --apply, once it is there")
        return
    resource = {"type": "environment", "id": str(found[0]["id"]), "name": name}
    query = f"pipelines/checks/configurations?resourceType=environment&resourceId={resource['id']}&$expand=settings"
    checks = {_kind(one): one for one in there.ask(query)["value"]}

    def check(what: str, type_: Any, kept: Mapping[str, Any], **first: Any) -> Step:
        """What a team adds is kept, what it loosens is restored."""
        body = {"type": type_, "resource": resource, "timeout": 30 * DAY}
        body["settings"] = {**kept, **first}
        known = checks.get(_kind(body))
        if known is None:
            return Step(what, there.command("POST", "pipelines/checks/configurations"), body)
        settings = known.get("settings") or {}
        if contains(settings, kept) and not known.get("isDisabled"):
            return Step(what)
        path = f"pipelines/checks/configurations/{known['id']}"
        body |= {"settings": {**settings, **kept}, "isDisabled": False}
        return Step(what, there.command("PATCH", path), body)

    yield check(f"{name} is deployed by one run at a time", LOCK, {})
    if environment != "dev":  # pull requests train there
        inputs = {"allowedBranches": f"refs/heads/{branch}", "ensureProtectionOfBranch": "true"}
        task = {"displayName": "branch", "definitionRef": BRANCH_TASK, "retryInterval": 5}
        yield check(f"{name} is deployed from {branch} only", BRANCH, {"inputs": inputs}, **task)
    if reviewers:
        approvers = [{"id": _reviewer(there, one)} for one in reviewers]
        kept = {"approvers": approvers, "requesterCannotBeApprover": True}
        what = f"{name} is approved by {', '.join(reviewers)}, not by who started it"
        yield check(what, APPROVAL, kept, minRequiredApprovers=1)


def _kind(check: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the id of a check's type and, of one that runs a task, of the task."""
    task = (check.get("settings") or {}).get("definitionRef") or {}
    return str(check["type"]["id"]).lower(), task.get("id")


def _reviewer(there: _Organization, name: str) -> str:
    """Return the id of a user (an e-mail address) or of a group."""
    base = there.name.replace("https://dev.azure.com/", "https://vssps.dev.azure.com/")
    url = f"{base}/_apis/identities?searchFilter=General&filterValue={quote(name)}&{VERSION}"
    found = there.cli.ask(*az("rest", method="GET", url=url, resource=RESOURCE))
    if not found or len(found["value"]) != 1:
        raise UsageError(f"the reviewer {name} is not one user or group of {there.name}")
    return str(found["value"][0]["id"])


def _connections(
    there: _Organization, wanted: Wanted, environment: str, identities: Identities, project_id: str
) -> Iterator[Step]:
    """Yield one connection that deploys and one that reads, whose subjects go into infra/."""
    name = f"{wanted.project.name}-{environment}"
    subjects: dict[str, str] = {}
    for suffix, kind, client, parameter in (
        ("", "ci", identities.client, "ciSubject"),
        ("-reader", "ci-reader", identities.reader, "ciReaderSubject"),
    ):
        what = f"service connection {name}{suffix}, without a secret"
        query = f"serviceendpoint/endpoints?endpointNames={name}{suffix}"
        if not (found := there.ask(query)["value"]):
            body = _connection(there, f"{name}{suffix}", identities, client, project_id)
            yield Step(what, there.command("POST", "serviceendpoint/endpoints"), body)
            found = there.ask(query)["value"]
        elif found[0]["data"].get("subscriptionId") != identities.subscription or (
            found[0]["authorization"]["parameters"].get("serviceprincipalid") != client
        ):
            yield Step(
                what, wait="it signs in elsewhere: delete it on Azure DevOps, then once more"
            )
            continue
        else:
            yield Step(what)
        if not found:
            yield Step(
                f"who signs in as {name}{suffix}",
                wait="Azure DevOps says it with --apply, once the connection is there",
            )
            continue
        given = found[0]["authorization"]["parameters"]
        subject, issuer = (
            given[f"workloadIdentityFederation{one}"] for one in ("Subject", "Issuer")
        )
        subjects |= {parameter: subject, "ciIssuer": issuer}
        yield federated_step(there.cli, wanted, environment, kind, "azure-devops", issuer, subject)
    if subjects:
        yield parameters_step(wanted, environment, subjects)


def _connection(
    there: _Organization, name: str, identities: Identities, client: str, project_id: str
) -> dict[str, Any]:
    reference = {"projectReference": {"id": project_id, "name": there.project}, "name": name}
    return {
        "name": name,
        "type": "azurerm",
        "url": "https://management.azure.com/",
        "authorization": {
            "scheme": "WorkloadIdentityFederation",
            "parameters": {"tenantid": identities.tenant, "serviceprincipalid": client},
        },
        "data": {
            "environment": "AzureCloud",
            "scopeLevel": "Subscription",
            "creationMode": "Manual",
            "subscriptionId": identities.subscription,
            "subscriptionName": identities.subscription,
        },
        "serviceEndpointProjectReferences": [reference],
    }


def _variables(there: _Organization, name: str, identities: Identities) -> Step:
    variable, value = "AZURE_SUBSCRIPTION_ID", identities.subscription
    what = f"variable group {name}: {variable}"
    words, place = "pipelines variable-group", there.place
    found = there.cli.ask(*az(f"{words} list", group_name=name, **place))
    if not found:
        given = f"{variable}={value}"
        return Step(what, az(f"{words} create", name=name, variables=given, **place))
    known = (found[0].get("variables") or {}).get(variable)
    if known and known.get("value") == value:
        return Step(what)
    words += f" variable {'update' if known else 'create'}"
    group = str(found[0]["id"])
    return Step(what, az(words, group_id=group, name=variable, value=value, **place))


def _pipelines(there: _Organization, repository: str, name: str, branch: str) -> Iterator[Step]:
    numbers = there.pipelines()
    for one in PIPELINES:
        create = az(
            "pipelines create",
            name=f"{name}-{one}",
            repository=name,
            repository_type="tfsgit",
            branch=branch,
            yml_path=f".azuredevops/{one}.yml",
            skip_first_run="true",
            **there.place,
        )
        yield Step(f"pipeline {name}-{one}", () if f"{name}-{one}" in numbers else create)
    scope = {"branch": branch, "repository_id": repository, **there.place}
    found = there.cli.ask(*az("repos policy list", **scope)) or []
    # Those that were made meanwhile have their numbers now.
    numbers = there.pipelines()

    def policy(what: str, words: str, known: Any, kept: Mapping[str, str], **first: str) -> Step:
        """What a team adds is kept; one that is off, or no longer blocks, is put right."""
        if known is None:
            words = f"repos policy {words} create"
            return Step(what, az(words, enabled="true", **kept, **first, **scope))
        now = {"blocking": known["isBlocking"], **known["settings"]}
        if known["isEnabled"] and all(
            str(now.get(_camel(name))).lower() in (value, "true" if name == "blocking" else value)
            for name, value in kept.items()
        ):
            return Step(what)
        words = f"repos policy {words} update"
        return Step(what, az(words, id=str(known["id"]), enabled="true", **kept, **there.place))

    shown = {one.get("settings", {}).get("displayName"): one for one in found}
    for one in (*BLOCKING, "infra", "train"):
        what = f"pull requests start {one}"
        what += {"train": " when somebody queues it (train-full)"}.get(one, "")
        number = numbers.get(f"{name}-{one}")
        if number is None:
            yield Step(what, wait="it comes with --apply, once the pipeline is there")
            continue
        yield policy(
            what,
            "build",
            shown.get(one),
            {"build_definition_id": str(number), "blocking": str(one in BLOCKING).lower()},
            display_name=one,
            valid_duration="0",
            queue_on_source_update_only="false",
            manual_queue_only=str(one == "train").lower(),
            **({"path_filter": INFRA} if one == "infra" else {}),
        )
    reviewed = next((one for one in found if one["type"]["displayName"] == REVIEWED), None)
    yield policy(
        f"{branch} takes what somebody else has approved",
        "approver-count",
        reviewed,
        {"blocking": "true", "creator_vote_counts": "false"},
        minimum_approver_count="1",
        allow_downvotes="false",
        reset_on_source_push="true",
    )


def _camel(name: str) -> str:
    """Return the name that REST has for an option of `az`."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _permissions(there: _Organization, name: str, repository: str) -> Iterator[Step]:
    """Yield which pipelines may use an environment, its service connections and its variables."""
    deploy = DEPLOY if name.endswith("-dev") else DEPLOY + TIDY
    places = (
        ("environment", f"distributedtask/environments?name={name}", deploy),
        ("endpoint", f"serviceendpoint/endpoints?endpointNames={name}", deploy),
        ("endpoint", f"serviceendpoint/endpoints?endpointNames={name}-reader", READ),
        ("variablegroup", f"distributedtask/variablegroups?groupName={name}", deploy),
    )
    numbers = there.pipelines()
    for kind, query, names in places:
        what = f"{', '.join(names)} may use {query.partition('=')[2]} ({kind})"
        found = there.ask(query)["value"]
        wanted = [
            numbers[f"{repository}-{one}"] for one in names if f"{repository}-{one}" in numbers
        ]
        if not found or len(wanted) < len(names):
            yield Step(what, wait="it comes with --apply, once all of these are there")
            continue
        path = f"pipelines/pipelinepermissions/{kind}/{found[0]['id']}"
        given = {one["id"] for one in there.ask(path)["pipelines"] if one["authorized"]}
        body = {"pipelines": [{"id": one, "authorized": True} for one in wanted]}
        yield Step(what, () if given >= set(wanted) else there.command("PATCH", path), body)
