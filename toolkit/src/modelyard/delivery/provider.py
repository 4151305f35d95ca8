"""The provider that runs this job: its pull request, its job summary, and who approved."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from modelyard.errors import CheckFailed, UsageError
from modelyard.project import pull_request

TIMEOUT = 30  # seconds
PAGE = 100  # comments at once, the most GitHub gives
WORKFLOWS = (
    "a job's own token may not change workflows: run `mlops upgrade` in a clone and push its commit, or give the step a "
    "GITHUB_TOKEN that may (docs/delivery.md)"
)


@dataclass(frozen=True)
class Approval:
    """Who approved a deployment and when, as the provider says."""

    by: str
    at: str
    url: str


def provider(settings: Mapping[str, str] = os.environ) -> Provider:
    """Return the provider of this job.

    Raises:
        UsageError: this is no job of a provider, or the job was not given what its API needs.
    """
    if settings.get("GITHUB_ACTIONS") == "true":
        return GitHub(settings)
    if settings.get("TF_BUILD", "").lower() == "true":
        return AzureDevOps(settings)
    raise UsageError("this runs in a job of GitHub Actions or Azure Pipelines only")


class _Settings(dict[str, str]):
    """Environment variables of a job."""

    def __missing__(self, name: str) -> str:
        raise UsageError(f"the job has no {name}; give it to the step as `env`")


class GitHub:
    """GitHub, or GitHub Enterprise Server."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings = _Settings(settings)
        self._api = f"{settings['GITHUB_API_URL']}/repos/{settings['GITHUB_REPOSITORY']}"
        self.pull_request = pull_request(settings)

    def summarize(self, page: Path) -> None:
        """Put a Markdown file on the page of this job."""
        with Path(self._settings["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as file:
            file.write(page.read_text(encoding="utf-8"))

    def comments(self) -> Iterator[tuple[str, str]]:
        """Yield the address and the text of the pull request's comments."""
        number = 1
        while True:
            query = f"per_page={PAGE}&page={number}"
            found = self._ask("GET", f"{self._api}/issues/{self.pull_request}/comments?{query}")
            yield from ((one["url"], one["body"]) for one in found)
            if len(found) < PAGE:
                return
            number += 1

    def comment(self, text: str) -> None:
        """Comment on the pull request."""
        self._ask("POST", f"{self._api}/issues/{self.pull_request}/comments", {"body": text})

    def edit(self, address: str, text: str) -> None:
        """Replace a comment."""
        self._ask("PATCH", address, {"body": text})

    def approval(self, environment: str) -> Approval | None:
        """Return who approved that this run deploys to an environment."""
        # state, user and environments of each review; no time:
        # https://docs.github.com/rest/actions/workflow-runs#get-the-review-history-for-a-workflow-run
        run = self._settings["GITHUB_RUN_ID"]
        given = self._ask("GET", f"{self._api}/actions/runs/{run}/approvals")
        by = [
            one["user"]["login"]
            for one in given
            if one["state"] == "approved"
            and environment in [each["name"] for each in one["environments"]]
        ]
        if not by:
            return None
        url = f"{self._settings['GITHUB_SERVER_URL']}/{self._settings['GITHUB_REPOSITORY']}"
        url += f"/actions/runs/{run}"
        return Approval(by[-1], self._begun(environment, run), url)

    def open_pull_request(self, root: Path, branch: str, title: str, text: str) -> str:
        """Push the commit that is checked out to a branch, and open a pull request unless there is one."""
        token = b64encode(f"x-access-token:{self._settings['GITHUB_TOKEN']}".encode()).decode()
        _push(root, branch, f"basic {token}")
        owner = self._settings["GITHUB_REPOSITORY"].partition("/")[0]
        found = self._ask("GET", f"{self._api}/pulls?state=open&head={owner}:{branch}")
        if not found:
            body = {
                "title": title,
                "head": branch,
                "base": self._settings["GITHUB_REF_NAME"],
                "body": text,
            }
            return str(self._ask("POST", f"{self._api}/pulls", body)["html_url"])
        self._ask("PATCH", found[0]["url"], {"title": title})
        return str(found[0]["html_url"])

    def _begun(self, environment: str, run: str) -> str:
        """Return when the deployment began: a review has no time, and lets it begin at once."""
        query = f"environment={quote(environment)}&sha={self._settings['GITHUB_SHA']}"
        for deployment in self._ask("GET", f"{self._api}/deployments?{query}"):
            statuses = self._ask("GET", deployment["statuses_url"])
            of_run = [one for one in statuses if f"/runs/{run}" in (one.get("log_url") or "")]
            begun = [one["created_at"] for one in of_run if one["state"] == "in_progress"]
            if begun:
                return str(min(begun))
        raise CheckFailed(f"GitHub knows no deployment to {environment} that run {run} has begun")

    def _ask(self, method: str, url: str, body: Any = None) -> Any:
        headers = {"Accept": "application/vnd.github+json"}
        return _ask(method, url, self._settings["GITHUB_TOKEN"], body, headers)


class AzureDevOps:
    """Azure DevOps Services, or Azure DevOps Server; see `GitHub`."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings = _Settings(settings)
        project = (
            f"{settings['SYSTEM_COLLECTIONURI'].rstrip('/')}/{settings['SYSTEM_TEAMPROJECTID']}"
        )
        self._api = f"{project}/_apis"
        self._page = f"{project}/_build/results?buildId={settings['BUILD_BUILDID']}"
        self.pull_request = pull_request(settings)

    def summarize(self, page: Path) -> None:
        # A tab of the run's page is named after the file.
        copy = Path(self._settings["AGENT_TEMPDIRECTORY"]) / page.name
        shutil.copyfile(page, copy)
        print(f"##vso[task.uploadsummary]{copy}")

    def comments(self) -> Iterator[tuple[str, str]]:
        for thread in self._ask("GET", self._threads())["value"]:
            for one in thread["comments"]:
                if not one.get("isDeleted") and not thread.get("isDeleted"):
                    path = f"{self._threads()}/{thread['id']}/comments/{one['id']}"
                    yield path, one.get("content", "")

    def comment(self, text: str) -> None:
        comment = {"parentCommentId": 0, "content": text, "commentType": "text"}
        self._ask("POST", self._threads(), {"comments": [comment], "status": "closed"})

    def edit(self, address: str, text: str) -> None:
        self._ask("PATCH", address, {"content": text})

    def approval(self, environment: str) -> Approval | None:
        """Return the last approval of this stage; a check of its environment asks for it."""
        # The timeline's record of a check, Stage > Checkpoint > Checkpoint.Approval, has the approval's id; who approved and
        # when is in its steps: https://learn.microsoft.com/rest/api/azure/devops/approvalsandchecks/approvals/get
        build = self._settings["BUILD_BUILDID"]
        records = self._ask("GET", f"{self._api}/build/builds/{build}/timeline")["records"]
        above = {one["id"]: one.get("parentId") for one in records}
        stage = self._settings["SYSTEM_STAGENAME"]
        stages = {
            one["id"] for one in records if one["type"] == "Stage" and one["identifier"] == stage
        }
        found = []
        for one in records:
            if one["type"] == "Checkpoint.Approval" and above.get(one["parentId"]) in stages:
                path = f"{self._api}/pipelines/approvals/{one['id']}?$expand=steps"
                steps = self._ask("GET", path)["steps"]
                found += [each for each in steps if each["status"] == "approved"]
        if not found:
            return None
        last = max(found, key=lambda one: str(one["lastModifiedOn"]))
        who = last["actualApprover"]
        return Approval(
            who.get("uniqueName") or who["displayName"], last["lastModifiedOn"], self._page
        )

    def open_pull_request(self, root: Path, branch: str, title: str, text: str) -> str:
        _push(root, branch, f"bearer {self._settings['SYSTEM_ACCESSTOKEN']}")
        url = f"{self._api}/git/repositories/{self._settings['BUILD_REPOSITORY_ID']}/pullrequests"
        source = f"refs/heads/{branch}"
        query = f"searchCriteria.status=active&searchCriteria.sourceRefName={source}"
        found = self._ask("GET", f"{url}?{query}")["value"]
        if not found:
            target = self._settings["BUILD_SOURCEBRANCH"]
            body = {
                "sourceRefName": source,
                "targetRefName": target,
                "title": title,
                "description": text,
            }
            return f"pull request {self._ask('POST', url, body)['pullRequestId']}"
        number = found[0]["pullRequestId"]
        self._ask("PATCH", f"{url}/{number}", {"title": title})
        return f"pull request {number}"

    def _threads(self) -> str:
        repository = self._settings["BUILD_REPOSITORY_ID"]
        return f"{self._api}/git/repositories/{repository}/pullRequests/{self.pull_request}/threads"

    def _ask(self, method: str, url: str, body: Any = None) -> Any:
        url += ("&" if "?" in url else "?") + "api-version=7.1"
        return _ask(method, url, self._settings["SYSTEM_ACCESSTOKEN"], body, {})


Provider = GitHub | AzureDevOps


def _push(root: Path, branch: str, authorization: str) -> None:
    """Push with the job's token, which is no argument: other processes would see it there."""
    git = shutil.which("git") or "git"
    header = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraheader",
        "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: {authorization}",
    }
    command = [git, "push", "--force", "origin", f"HEAD:refs/heads/{branch}"]
    done = subprocess.run(  # noqa: S603
        command, cwd=root, env={**os.environ, **header}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip()
        if "`workflows` permission" in said:  # GitHub's words; no `permissions` of a job give it
            said += f"\n{WORKFLOWS}"
        raise CheckFailed(f"git push to {branch} failed: {said}")


def _ask(method: str, url: str, token: str, body: Any, headers: Mapping[str, str]) -> Any:
    sent = None if body is None else json.dumps(body).encode()
    request = Request(url, sent, {"Authorization": f"Bearer {token}", **headers}, method=method)  # noqa: S310
    request.add_header("Content-Type", "application/json")
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 (the address is the provider's)
            return json.loads(answer.read() or b"null")
    except HTTPError as error:
        said = error.read().decode(errors="replace")[:300]
        raise CheckFailed(f"{method} {url}: {error.code} {error.reason}: {said}") from None
    except URLError as error:
        raise CheckFailed(f"{method} {url}: {error.reason}") from None
