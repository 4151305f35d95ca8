"""The release of an environment, its approval, and what a later job is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from modelyard.delivery import release
from modelyard.delivery.provider import Approval
from modelyard.delivery.release import (
    challenger_of,
    champion_of,
    deploy_commands,
    run_all,
    say_output,
    write_approval,
)
from modelyard.errors import CheckFailed, UsageError

from tests.project import ROOT

VERSIONS = [
    {"version": "8", "champion": False, "tags": {"model_digest": "8" * 64}},
    {"version": "7", "champion": True, "tags": {"model_digest": "7" * 64}},
    {"version": "6", "champion": False, "tags": {}},
]


def test_the_newest_version_waits_until_it_is_judged() -> None:
    assert challenger_of(VERSIONS) == "8"
    assert challenger_of(VERSIONS[1:]) is None, "the champion"
    assert challenger_of([{**VERSIONS[0], "tags": {"decision": "refused"}}]) is None
    assert challenger_of([]) is None
    unmerged = {"version": "9", "champion": False, "tags": {"role": "pull request 3"}}
    assert challenger_of([unmerged, *VERSIONS]) == "8"


class Job:
    """A provider that knows of one approval, or of none."""

    pull_request = None

    def __init__(self, given: Approval | None) -> None:
        self.given = given

    def approval(self, environment: str) -> Approval | None:
        assert environment == "prod"
        return self.given


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "azureml" / "endpoints").mkdir(parents=True)
    (tmp_path / "conf").mkdir()
    asks_for(tmp_path, "model-validator")
    return tmp_path


def asks_for(root: Path, approval: str) -> None:
    text = (ROOT / "conf" / "gates.yml").read_text(encoding="utf-8")
    changed = re.sub("^  approval: [a-z-]+", f"  approval: {approval}", text, flags=re.MULTILINE)
    (root / "conf" / "gates.yml").write_text(changed, encoding="utf-8")


def has(root: Path, *kinds: str) -> None:
    for kind in kinds:
        (root / "azureml" / "endpoints" / f"{kind}-endpoint.yml").touch()


def test_what_is_released_is_what_the_project_has(root: Path) -> None:
    has(root, "online")
    online = ["release", "--endpoint", "prod", "--version", "7"]
    assert deploy_commands(root, "prod", "7") == [online]
    has(root, "batch")
    assert [words[0] for words in deploy_commands(root, "prod", "7")] == [
        "release",
        "promote",
        "batch",
    ]
    (root / "azureml/endpoints/online-endpoint.yml").unlink()
    assert [words[0] for words in deploy_commands(root, "prod", "7")] == ["promote", "batch"]


@pytest.mark.parametrize(
    ("gone", "then"),
    [("7", [["rollback", "--environment", "prod"]]), ("8", [])],
    ids=["a release that made the champion", "one that had not ended"],
)
def test_the_champion_goes_back_only_if_it_is_the_version_that_goes(
    root: Path, monkeypatch: pytest.MonkeyPatch, gone: str, then: list[list[str]]
) -> None:
    has(root, "online")
    details = {"model": {"version": gone}, "before": {"version": "6"}}
    answers = {"release": (0, details), "models": (0, VERSIONS)}
    monkeypatch.setattr(release, "_ask", lambda _, command: answers[command[0]])
    ran: list[list[str]] = []
    monkeypatch.setattr(release, "run_all", lambda _, commands: ran.extend(commands) or 0)
    assert release.roll_back(root, "prod") == 0
    assert ran == then


def test_a_way_back_that_fails_leaves_the_champion(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(root, "online")
    monkeypatch.setattr(release, "_ask", lambda *_: (2, None))
    assert release.roll_back(root, "prod") == 2


def test_an_approval_is_written_with_the_digest_and_given_to_the_release(root: Path) -> None:
    has(root, "online")
    job: Any = Job(Approval("ada", "2026-01-02", "https://run"))
    assert "ada approved" in write_approval(root, job, VERSIONS, "prod", "7")
    assert json.loads((root / "build/approval.json").read_text()) == {
        "by": "ada",
        "at": "2026-01-02",
        "url": "https://run",
        "digest": "7" * 64,
    }
    assert deploy_commands(root, "prod", "7")[0][-2:] == ["--approval", "build/approval.json"]


def test_without_an_approval_that_is_asked_for_nothing_goes_on(root: Path) -> None:
    with pytest.raises(CheckFailed, match="nobody has approved"):
        write_approval(root, Job(None), VERSIONS, "prod", "7")  # type: ignore[arg-type]


def test_an_approval_of_another_run_is_not_used(root: Path) -> None:
    has(root, "online")
    write_approval(root, Job(Approval("ada", "x", "y")), VERSIONS, "prod", "7")  # type: ignore[arg-type]
    asks_for(root, "automatic")
    said = write_approval(root, Job(None), VERSIONS, "prod", "8")  # type: ignore[arg-type]
    assert "without an approval" in said
    assert "--approval" not in deploy_commands(root, "prod", "8")[0]


@pytest.mark.parametrize("version", ["6", "9"])
def test_a_version_without_a_digest_cannot_be_approved(root: Path, version: str) -> None:
    with pytest.raises(UsageError, match=f"has no v{version} with a digest"):
        write_approval(root, Job(None), VERSIONS, "prod", version)  # type: ignore[arg-type]


def test_later_jobs_are_told_the_version_in_the_way_of_the_provider(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    say_output("version", champion_of(VERSIONS, "dev"), {"GITHUB_OUTPUT": str(output)})
    assert output.read_text() == "version=7\n"
    say_output("version", "7", {"TF_BUILD": "True"})
    line = "##vso[task.setvariable variable=version;isOutput=true]7\n"
    assert capsys.readouterr().out == line


def test_no_champion_is_no_version() -> None:
    with pytest.raises(CheckFailed, match="no champion"):
        champion_of(VERSIONS[:1], "dev")


def test_the_first_command_that_fails_is_the_last(root: Path) -> None:
    assert run_all(root, [["no-such-command"], ["docs"]]) == 2
