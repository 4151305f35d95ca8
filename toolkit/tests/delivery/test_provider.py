"""What is asked of the provider: one comment, the job's page, who approved."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from modelyard.delivery.provider import Approval, AzureDevOps, GitHub, Provider, provider
from modelyard.delivery.report import MOST, keep_comment
from modelyard.errors import CheckFailed, UsageError

from tests.delivery.api import api

COMMENTS = "/repos/acme/it/issues/3/comments"


class Comments:
    """The comments of a pull request, in the form of both providers."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def github(self, method: str, path: str, body: Any) -> Any:
        if method == "GET":
            page = int(path.partition("&page=")[2]) - 1
            found = list(enumerate(self.texts))[page * 100 : page * 100 + 100]
            return [{"url": f"{self.url}{COMMENTS}/{n}", "body": text} for n, text in found]
        return self._write(method, path, body["body"])

    def azure_devops(self, method: str, path: str, body: Any) -> Any:
        assert "api-version=7.1" in path
        if method == "GET":
            return {
                "value": [
                    {"id": n, "comments": [{"id": 1, "content": text}]}
                    for n, text in enumerate(self.texts)
                ]
            }
        text = body["content"] if method == "PATCH" else body["comments"][0]["content"]
        return self._write(method, path.partition("/comments/")[0], text)

    def _write(self, method: str, path: str, text: str) -> Any:
        if method == "POST":
            self.texts.append(text)
        else:
            self.texts[int(path.rpartition("/")[2])] = text
        return {}

    url = ""


def on_github(url: str) -> GitHub:
    return GitHub(
        {
            "GITHUB_API_URL": url,
            "GITHUB_SERVER_URL": "https://github.test",
            "GITHUB_REPOSITORY": "acme/it",
            "GITHUB_REF": "refs/pull/3/merge",
            "GITHUB_TOKEN": "token",
            "GITHUB_RUN_ID": "42",
            "GITHUB_SHA": "abc",
        }
    )


def on_azure_devops(url: str) -> AzureDevOps:
    return AzureDevOps(
        {
            "SYSTEM_COLLECTIONURI": f"{url}/acme/",
            "SYSTEM_TEAMPROJECTID": "p1",
            "SYSTEM_PULLREQUEST_PULLREQUESTID": "3",
            "SYSTEM_ACCESSTOKEN": "token",
            "SYSTEM_STAGENAME": "prod",
            "BUILD_REPOSITORY_ID": "r1",
            "BUILD_BUILDID": "42",
        }
    )


@pytest.fixture(params=["github", "azure_devops"])
def commented(request: pytest.FixtureRequest) -> Iterator[tuple[Provider, Comments]]:
    comments = Comments("<!-- mlops: infra -->\nnothing changes", "thanks!")
    with api(getattr(comments, request.param)) as url:
        comments.url = url
        make = on_github if request.param == "github" else on_azure_devops
        yield make(url), comments


def test_a_comment_of_the_same_topic_is_replaced_and_others_stay(
    commented: tuple[Provider, Comments], tmp_path: Path
) -> None:
    job, comments = commented
    page = tmp_path / "summary.md"
    for text in ("first", "second"):
        page.write_text(text)
        keep_comment(job, page, "sample")
    assert comments.texts == [
        "<!-- mlops: infra -->\nnothing changes",
        "thanks!",
        "<!-- mlops: sample -->\nsecond",
    ]


def test_a_comment_behind_a_hundred_others_is_found(tmp_path: Path) -> None:
    comments = Comments(*["hello"] * 150, "<!-- mlops: sample -->\nold")
    page = tmp_path / "summary.md"
    page.write_text("new")
    with api(comments.github) as url:
        comments.url = url
        keep_comment(on_github(url), page, "sample")
    assert len(comments.texts) == 151
    assert comments.texts[-1].endswith("new")


def test_a_page_that_is_too_long_is_cut_with_a_word(
    commented: tuple[Provider, Comments], tmp_path: Path
) -> None:
    job, comments = commented
    page = tmp_path / "summary.md"
    page.write_text("x" * (MOST + 1))
    keep_comment(job, page, "sample")
    assert comments.texts[-1].endswith("… the rest is in the job summary.")


def test_a_job_without_a_pull_request_has_nothing_to_comment_on(tmp_path: Path) -> None:
    settings = {"GITHUB_API_URL": "", "GITHUB_REPOSITORY": "a/b", "GITHUB_REF": "refs/heads/main"}
    with pytest.raises(UsageError, match="no pull request"):
        keep_comment(GitHub(settings), tmp_path, "sample")


def test_a_step_without_a_token_is_told_to_be_given_one(tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.write_text("text")
    settings = {"GITHUB_API_URL": "", "GITHUB_REPOSITORY": "a/b", "GITHUB_REF": "refs/pull/3/merge"}
    with pytest.raises(UsageError, match="no GITHUB_TOKEN; give it"):
        keep_comment(GitHub(settings), page, "sample")


def test_a_refusal_of_the_provider_is_a_message(tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.write_text("text")
    with api(lambda *_: None) as url, pytest.raises(CheckFailed, match="404"):
        keep_comment(on_github(url), page, "sample")


def test_the_approval_on_github_is_of_the_environment_and_of_this_run() -> None:
    def answer(_: str, path: str, __: Any) -> Any:
        if path.endswith("/runs/42/approvals"):
            return [
                {"state": "approved", "user": {"login": "eve"}, "environments": [{"name": "test"}]},
                {"state": "rejected", "user": {"login": "bob"}, "environments": [{"name": "prod"}]},
                {"state": "approved", "user": {"login": "ada"}, "environments": [{"name": "prod"}]},
            ]
        if "/deployments?environment=prod&sha=abc" in path:
            return [{"statuses_url": f"{place}/statuses"}]
        return [
            {
                "state": "in_progress",
                "created_at": "2026-01-02T00:00:00Z",
                "log_url": "x/runs/42/job/1",
            },
            {
                "state": "in_progress",
                "created_at": "2025-01-01T00:00:00Z",
                "log_url": "x/runs/7/job/1",
            },
            {
                "state": "waiting",
                "created_at": "2026-01-01T00:00:00Z",
                "log_url": "x/runs/42/job/1",
            },
        ]

    with api(answer) as place:
        found = on_github(place).approval("prod")
        assert found == Approval(
            "ada", "2026-01-02T00:00:00Z", "https://github.test/acme/it/actions/runs/42"
        )
        assert on_github(place).approval("dev") is None


def test_the_approval_on_azure_devops_is_of_this_stage() -> None:
    def answer(_: str, path: str, __: Any) -> Any:
        if "/timeline" in path:
            return {
                "records": [
                    {"id": "s1", "type": "Stage", "identifier": "test"},
                    {"id": "s2", "type": "Stage", "identifier": "prod"},
                    {"id": "c1", "type": "Checkpoint", "parentId": "s1"},
                    {"id": "c2", "type": "Checkpoint", "parentId": "s2"},
                    {"id": "a1", "type": "Checkpoint.Approval", "parentId": "c1"},
                    {"id": "a2", "type": "Checkpoint.Approval", "parentId": "c2"},
                ]
            }
        assert "/pipelines/approvals/a2?" in path
        who = {"displayName": "Ada", "uniqueName": "ada@acme.test"}
        step = {"status": "approved", "actualApprover": who, "lastModifiedOn": "2026-01-02"}
        return {"steps": [step, {**step, "status": "pending"}]}

    with api(answer) as url:
        found = on_azure_devops(url).approval("prod")
    assert found is not None
    assert (found.by, found.at) == ("ada@acme.test", "2026-01-02")


def test_a_push_that_changes_workflows_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """GitHub's words; `permissions` of a job know no `workflows`."""
    said = (
        "refusing to allow a GitHub App to update workflow `a.yml` without `workflows` permission"
    )
    for words in ("init -q --bare there", "init -q here", "-C here remote add origin ../there"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)
    hook = tmp_path / "there" / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    hook.chmod(0o755)
    commit = "-c user.name=a -c user.email=a@b commit -q --allow-empty --message a"
    subprocess.run(["git", *commit.split()], cwd=tmp_path / "here", check=True)
    with pytest.raises(CheckFailed, match="`mlops upgrade` in a clone"):
        on_github("").open_pull_request(tmp_path / "here", "update", "title", "text")


def test_the_summary_is_shown_on_the_page_of_the_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "summary.md"
    page.write_text("# fine\n")
    shown = tmp_path / "shown.md"
    common = {"GITHUB_API_URL": "", "GITHUB_REPOSITORY": "a/b", "GITHUB_REF": "refs/heads/main"}
    GitHub({**common, "GITHUB_STEP_SUMMARY": str(shown)}).summarize(page)
    assert shown.read_text() == "# fine\n"
    temporary = tmp_path / "agent"
    temporary.mkdir()
    names = ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECTID", "BUILD_BUILDID")
    settings = {**dict.fromkeys(names, "x"), "AGENT_TEMPDIRECTORY": str(temporary)}
    AzureDevOps(settings).summarize(page)
    assert f"##vso[task.uploadsummary]{temporary / 'summary.md'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "in a job of"),
        ({"GITHUB_ACTIONS": "true"}, "GITHUB_API_URL"),
        ({"TF_BUILD": "True"}, "SYSTEM_COLLECTIONURI"),
    ],
)
def test_outside_of_a_job_the_provider_is_not_guessed(settings: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        provider(settings)
