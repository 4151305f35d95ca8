"""The steps that connect a repository on GitHub, by `gh api` and, for its identities, `az`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from modelyard.delivery.connect import (
    Cli,
    Step,
    Wanted,
    contains,
    federated_step,
    find_identities,
    identity_name,
    parameters_step,
)
from modelyard.errors import UsageError
from modelyard.files import read_json

ISSUER = "https://token.actions.githubusercontent.com"
LABEL = {"name": "train-full", "color": "0e8a16", "description": "Train this change on Azure ML"}
RULES = ".github/branch-rules.json"
# `update` opens pull requests with the job's token.
TOKEN = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": True}


def github_steps(cli: Cli, wanted: Wanted, repository: str) -> Iterator[Step]:
    """Yield what has to be so for the workflows of a repository, OWNER/NAME.

    Raises:
        UsageError: the repository or a reviewer does not exist, or `gh` or `az` is not signed in.
    """
    path = f"repos/{repository}"
    about = cli.ask("gh", "api", path)
    if about is None:
        raise UsageError(
            f"{repository} does not exist, or `gh auth login` is of somebody who cannot see it"
        )
    repository = about["full_name"]
    path, branch = f"repos/{repository}", about["default_branch"]
    prefix = subject_prefix(cli, repository)
    deployed = []
    for environment in wanted.environments:
        # infra/ makes the subject of pull requests from this one: PREFIX:pull_request.
        subject = {"ciSubject": f"{prefix}:environment:{environment}"}
        yield parameters_step(wanted, environment, subject)
        yield from _environment(cli, wanted, path, environment, branch)
        identities = find_identities(cli, wanted, environment)
        if identities is None:
            name = identity_name(wanted, environment, "ci")
            wait = (
                f"mlops infra deploy {environment} --as-administrator makes {name}; then once more"
            )
            yield Step(f"{environment} knows its identities", wait=wait)
            continue
        deployed.append(environment)
        # By hand or by Bicep: who may sign in is what infra/ says, and the weekly audit reads from the branch.
        rests = ("ci-reader", "github-actions-audit", ISSUER, f"{prefix}:ref:refs/heads/{branch}")
        yield federated_step(cli, wanted, environment, *rests)
        of_environment = {
            "AZURE_CLIENT_ID": identities.client,
            "AZURE_TENANT_ID": identities.tenant,
            "AZURE_SUBSCRIPTION_ID": identities.subscription,
        }
        for name, value in of_environment.items():
            yield _variable(cli, f"{path}/environments/{environment}", name, value)
        of_repository = {
            "AZURE_TENANT_ID": identities.tenant,
            f"AZURE_SUBSCRIPTION_ID_{environment.upper()}": identities.subscription,
            f"AZURE_READER_CLIENT_ID_{environment.upper()}": identities.reader,
        }
        for name, value in of_repository.items():
            yield _variable(cli, f"{path}/actions", name, value)
    if deployed:
        yield _variable(cli, f"{path}/actions", "ENVIRONMENTS", json.dumps(deployed))
    yield from _rules(cli, wanted, path)


def subject_prefix(cli: Cli, repository: str) -> str:
    """Return what the subjects of a repository's jobs begin with.

    Repositories that were made or renamed since 2026-07-15 have their owner's and their own number in it, and
    GitHub says so; on GitHub Enterprise Server and in older ones it is repo:OWNER/NAME.

    Raises:
        UsageError: the subject is customized, so that it has no environment in it.
    """
    found: dict[str, Any] = (
        cli.ask("gh", "api", f"repos/{repository}/actions/oidc/customization/sub") or {}
    )
    keys = found.get("include_claim_keys")
    if not found.get("use_default", True) and keys and keys[:2] != ["repo", "context"]:
        raise UsageError(
            f"the subject of {repository} is customized ({', '.join(keys)}); expected `repo` and `context`, which name "
            f"the environment: gh api --method PUT repos/{repository}/actions/oidc/customization/sub -F use_default=true"
        )
    return str(found.get("sub_claim_prefix") or f"repo:{repository}")


def _send(method: str, place: str) -> tuple[str, ...]:
    return ("gh", "api", "--method", method, place, "--input", "-")


def _environment(
    cli: Cli, wanted: Wanted, path: str, environment: str, branch: str
) -> Iterator[Step]:
    names = wanted.reviewers_of(environment)
    reviewers = [_reviewer(cli, name) for name in names]
    first = environment == "dev"  # pull requests train there
    policy = None if first else {"protected_branches": False, "custom_branch_policies": True}
    found = cli.ask("gh", "api", f"{path}/environments/{environment}")
    rules = found["protection_rules"] if found else ()
    body = {
        "reviewers": reviewers or None,
        "prevent_self_review": bool(reviewers),
        "deployment_branch_policy": policy,
        # What is left out would be none again: a team's own stays.
        "wait_timer": next((one["wait_timer"] for one in rules if "wait_timer" in one), 0),
    }
    what = f"environment {environment}: "
    what += (
        f"approved by {', '.join(names)}, not by who started it"
        if names
        else "nobody has to approve"
    )
    same = found is not None and _state(found) == (reviewers, bool(reviewers), policy)
    command = _send("PUT", f"{path}/environments/{environment}")
    yield Step(what, () if same else command, body)
    if not first:
        place = f"{path}/environments/{environment}/deployment-branch-policies"
        known = (cli.ask("gh", "api", place) or {}).get("branch_policies", ())
        there = branch in [one["name"] for one in known]
        what = f"{environment} is deployed from {branch}"
        yield Step(what, () if there else _send("POST", place), {"name": branch})
        for one in known:
            if one["name"] != branch:
                what = f"{environment} is not deployed from {one['name']}"
                number = one["id"]
                yield Step(what, ("gh", "api", "--method", "DELETE", f"{place}/{number}"))


def _state(found: dict[str, Any]) -> tuple[list[dict[str, Any]], bool, Any]:
    rules = [one for one in found["protection_rules"] if one["type"] == "required_reviewers"]
    reviewers = [
        {"type": one["type"], "id": one["reviewer"]["id"]}
        for rule in rules
        for one in rule["reviewers"]
    ]
    alone = any(rule.get("prevent_self_review") for rule in rules)
    return reviewers, alone, found["deployment_branch_policy"]


def _reviewer(cli: Cli, name: str) -> dict[str, Any]:
    organization, slash, team = name.partition("/")
    place = f"orgs/{organization}/teams/{team}" if slash else f"users/{name}"
    found = cli.ask("gh", "api", place)
    if found is None:
        raise UsageError(f"the reviewer {name} does not exist; a team is ORGANIZATION/TEAM")
    return {"type": "Team" if slash else "User", "id": found["id"]}


def _variable(cli: Cli, place: str, name: str, value: str) -> Step:
    found = cli.ask("gh", "api", f"{place}/variables/{name}")
    scope = place.rpartition("/environments/")[2] if "/environments/" in place else "the repository"
    what = f"variable {name} of {scope}: {value}"
    if found is None:
        command = _send("POST", f"{place}/variables")
        return Step(what, command, {"name": name, "value": value})
    command = _send("PATCH", f"{place}/variables/{name}")
    same = found["value"] == value
    return Step(what, () if same else command, {"name": name, "value": value})


def _rules(cli: Cli, wanted: Wanted, path: str) -> Iterator[Step]:
    body = read_json(wanted.root / RULES)
    known = cli.ask("gh", "api", f"{path}/rulesets") or []
    number = next((one["id"] for one in known if one["name"] == body["name"]), None)
    found = cli.ask("gh", "api", f"{path}/rulesets/{number}") if number else None
    what = f"rules of the branch as {RULES} has them"
    same = found is not None and all(contains(found.get(key), value) for key, value in body.items())
    place = ("PUT", f"{path}/rulesets/{number}") if number else ("POST", f"{path}/rulesets")
    yield Step(what, () if same else _send(*place), body)
    found = cli.ask("gh", "api", f"{path}/labels/{LABEL['name']}")
    command = _send("POST", f"{path}/labels")
    yield Step(f"label {LABEL['name']}", () if found else command, LABEL)
    place = ("PUT", f"{path}/actions/permissions/workflow")
    found = cli.ask("gh", "api", place[1])
    same = found is not None and contains(found, TOKEN)
    what = "the token of a job reads, unless its workflow says more"
    yield Step(what, () if same else _send(*place), TOKEN)
