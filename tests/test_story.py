"""One change from pull request to production and beyond, on both providers, with one Azure behind every command."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

import pandas as pd
import pytest

from tests.baked import ROOT, BakedProject
from tests.rehearsal import STUB, AzureDevOps, Event, GitHub

sys.path.insert(0, str(ROOT / "tests"))  # scripts of the packages for Azure import each other so

from azure_cloud import Asked, Cloud, Workspace, run_in
from azure_fake import SUBSCRIPTION
from azure_processes import BEGIN, CLIENT, ORDINARY, SERVER

pytestmark = pytest.mark.slow

Bake = Callable[..., BakedProject]
Provider = type[GitHub] | type[AzureDevOps]
ANSWERS = {
    "serving": "online-and-batch",
    "release_approval": "model-validator",
    "profile": "factory",
}
# What takes long, or the network, and has tests of its own is only written down.
RECORDED = [["ci", "lint"], ["ci", "audit"], ["ci", "changes"], ["events", "deploy"]]
# An environment of which a what-if tells one change, and in which nothing is deployed yet.
AZ = f"""{STUB}
case "$*" in
  "account show"*) echo '{{"id": "{SUBSCRIPTION}", "tenantId": "t"}}' ;;
  "group exists"*) echo true ;;
  "deployment group what-if"*) echo '{{"changes": [{{"changeType": "Modify", "resourceId": "g/providers/T/a"}}]}}' ;;
  rest*) echo ResourceNotFound >&2; exit 3 ;;
esac
"""
WRITE_TABLE = """
import sys
from sklearn import datasets
datasets.load_breast_cancer(as_frame=True).frame.to_csv(sys.argv[1], index=False)
"""


@dataclass
class Story:
    """A project on a provider, its cloud, and a process that runs its commands."""

    provider: Provider
    folder: Path
    cloud: Cloud
    surroundings: Mapping[str, str]
    clients: Mapping[str, str]
    commands: list[str] = field(default_factory=list)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    def happens(self, workflow: str, event: Event) -> str:
        """Run a workflow for an event; returns its result."""
        story = self

        class Played(self.provider):  # type: ignore[name-defined]
            def surroundings(self, identity: str) -> Mapping[str, str]:
                return story.about(identity, event)

            def run(self, script: str, identity: str, *rest: Any) -> str:
                began, before = time.time(), len(story.cloud.asked)
                try:
                    said = str(super().run(script, identity, *rest))
                    print(f"{time.time() - began:5.1f} s {identity} {script}\n{said}")
                    return said
                except subprocess.CalledProcessError as error:
                    print(f"{script}: {error.returncode}\n{error.stdout}\n{error.stderr}")
                    raise
                finally:
                    story.asked.append((script, requests_of(story.cloud.asked[before:])))

        played = Played(BakedProject(self.folder), self.folder, event, self.clients)
        before = len(played.calls)
        result: str = played.start(workflow)
        for identity, command in played.calls[before:]:
            # A comment is the provider's: that Azure was signed in to before it is of no account.
            who = "" if "ci comment" in command else identity
            self.commands.append(f"{who} {command}".replace(str(self.folder), "."))
        return result

    def about(self, identity: str, event: Event) -> dict[str, str]:
        """What a provider tells a step of a job with an identity on Azure; that of a pull request has no Azure."""
        pull, url = event.name == "pull_request", self.cloud.url
        place, found = self.folder / ".venv", dict(self.surroundings)
        if pull:
            del found[SERVER]
            found[ORDINARY] = "1"
        if self.provider is GitHub:
            found |= {
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": url,
                "GITHUB_SERVER_URL": "https://github.test",
                "GITHUB_REPOSITORY": "acme/it",
                "GITHUB_REF": "refs/pull/3/merge" if pull else "refs/heads/main",
                "GITHUB_RUN_ID": event.run,
                "GITHUB_SHA": event.run,
                "GITHUB_ACTOR": "ada",
                "GITHUB_STEP_SUMMARY": str(place / "summary.md"),
            }
            if identity:
                found["ACTIONS_ID_TOKEN_REQUEST_URL"] = f"{url}/oidc?identity={identity}"
                found["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "token"
            return found
        found |= {
            "TF_BUILD": "True",
            "SYSTEM_COLLECTIONURI": f"{url}/acme/",
            "SYSTEM_TEAMPROJECTID": "p1",
            "SYSTEM_STAGENAME": identity,
            "BUILD_BUILDID": event.run,
            "BUILD_REPOSITORY_ID": "r1",
            "BUILD_REQUESTEDFOR": "ada",
            "AGENT_TEMPDIRECTORY": str(place),
            "SYSTEM_PULLREQUEST_PULLREQUESTID": "3" if pull else "",
        }
        if identity:
            found["SYSTEM_OIDCREQUESTURI"] = "https://dev.azure.com/acme/oidc"
            for name, value in (
                ("CLIENT", identity),
                ("TENANT", "t"),
                ("SERVICE_CONNECTION", identity),
            ):
                found[f"AZURESUBSCRIPTION_{name}_ID"] = value
        return found


@contextmanager
def begun(
    provider: Provider, project: Path, azure: Path, tmp_path: Path, jobs: Path, one_job: Lock
) -> Iterator[Story]:
    """Make a project for a provider, its cloud, and the process for its commands.

    Azure ML uses a step's results again, so that the same training for the other provider only registers.
    """
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    for part in ("data", "conf/contract.yml", "conf/gates.yml", "azureml"):
        if (jobs / part).is_dir():
            shutil.copytree(jobs / part, folder / part, dirs_exist_ok=True)
        else:
            shutil.copy(jobs / part, folder / part)
    paths = [tmp_path / "site", folder / "src", ROOT / "toolkit" / "src", ROOT / "tests"]
    (tmp_path / "site").mkdir()
    patch = "import os\nif 'STORY_SERVER' in os.environ:\n    import azure_processes\n    azure_processes.redirect()\n"
    (tmp_path / "site" / "sitecustomize.py").write_text(patch)

    def execute(workspace: Workspace, job: str) -> bool:
        """Run a job of Azure ML as its workspace's own identity, on this machine."""
        environment = dict(surroundings) | {
            "AZURE_TENANT_ID": "t",
            "AZURE_CLIENT_ID": f"{workspace.environment}-job",
            "AZURE_CLIENT_SECRET": "any",
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "MLFLOW_TRACKING_URI": workspace.tracking_uri,
            "PATH": f"{folder / '.venv' / 'bin'}:/usr/bin:/bin",
            "HOME": str(tmp_path),
        }
        began = time.time()
        if workspace.jobs[job]["properties"]["experimentName"] == "training":
            table = workspace.table(job, tmp_path)
            environment |= {ORDINARY: "1"}
            words = ["run", TRAIN, "--here", "--input", f"data={table}"]
            with one_job:
                shutil.copytree(folder / "azureml", jobs / "azureml", dirs_exist_ok=True)
                done = run_in(jobs, [str(azure), "-m", "modelyard", *words], environment)
                for result in jobs.glob(".runs/index/*.json"):
                    if "register" in result.read_text():
                        result.unlink()
        else:
            command, variables = workspace.command(job)
            environment |= variables | {
                "MLFLOW_RUN_ID": job,
                "IDENTITY": f"{workspace.environment}-job",
            }
            done = run_in(folder, ["bash", "-c", command], environment)
        print(
            f"{time.time() - began:5.1f} s job {job}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return bool(done.returncode == 0)

    cloud = Cloud(folder, execute)
    compiler = ROOT / "toolkit" / "bicep_reader" / "stand_in.py"
    subprocess.run([sys.executable, compiler, tmp_path / "azure" / "bin"], check=True)
    socket = tmp_path / "processes"
    client = {
        "python": sys.executable,
        "azure_python": azure,
        "socket": socket,
        "client_python": folder / ".venv" / "bin" / "python",
        "recorded": RECORDED,
    }
    mlops = CLIENT.format(**client, record=folder / ".venv" / "bin" / "record.txt")
    clients = {"mlops": mlops, "python": CLIENT.format(**client, record="")}
    clients |= {"az": AZ, "gh": STUB}
    # Each job of a pipeline begins with a clone, and no job sees what another one left there.
    clients["make"] = f"{STUB}\ncd {folder} && rm -rf build .mlflow .endpoints .monitor .runs\n"
    with cloud.serving() as url:
        surroundings = {
            SERVER: url.removeprefix("http://"),
            BEGIN: str(cloud.begin),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "AZURE_CONFIG_DIR": str(tmp_path / "azure"),  # with the Bicep compiler
            "PYTHONWARNINGS": "ignore",
            "AZUREML_ARTIFACTS_DEFAULT_TIMEOUT": "100000",  # seconds pass at once here
        }
        script = ROOT / "tests" / "azure_processes.py"
        process = subprocess.Popen(
            [azure, "-W", "ignore", script, socket], env=os.environ | dict(surroundings)
        )
        try:
            while not socket.exists():
                assert process.poll() is None
                time.sleep(0.05)
            yield Story(provider, folder, cloud, surroundings, clients)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


@pytest.fixture
def table(baked: Bake, azure_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a table of its own, and gates that are quick to judge."""
    folder = tmp_path_factory.mktemp("jobs") / "project"
    shutil.copytree(baked(**ANSWERS).path, folder)
    (folder / "data").mkdir(exist_ok=True)
    table = folder / "data" / "table.csv"
    subprocess.run([azure_python, "-c", WRITE_TABLE, table], check=True)
    words = ["contract", "--data", table, "--target", "target"]
    found = os.environ | {"PYTHONPATH": f"{folder / 'src'}:{ROOT / 'toolkit' / 'src'}"}
    subprocess.run(
        [azure_python, "-m", "modelyard", *map(str, words)], cwd=folder, env=found, check=True
    )
    for file, old, new in (
        ("conf/gates.yml", "resamples: 500", "resamples: 50"),
        ("azureml/pipelines/train.yml", "learner: auto", "learner: linear"),
    ):
        change(folder / file, old, new)
    return folder


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def requests_of(asked: list[Asked]) -> list[str]:
    """The different requests of a command: how often one is repeated depends on the minute, and azure-ai-ml sends
    those of a job's components and files in threads, in any order. Artifacts are read and written with a signature,
    that was asked for: jobs do it, too.
    """
    lines = set()
    for one in asked:
        if not one.identity.endswith("-job") and not one.path.startswith(("/score", "/artifacts/")):
            path = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "#", one.path)
            path = re.sub("[0-9a-f]*[0-9][0-9a-f]*", "#", path)
            path = re.sub("^(/container/[^/]+)/.*", r"\1", path)
            lines.add(f"{one.identity} {one.method} {one.environment}{path}")
    return sorted(lines)


PUSH, TRAIN = Event("push"), "azureml/pipelines/train.yml"
REACT = """
import sys
from pathlib import Path
from modelyard.events.receive import azure_services, receive
assert receive("monitor-breached", sys.argv[1].encode(), 1, lambda: azure_services(Path.cwd()))
"""


def drifted(story: Story, deployment: str, number: int = 200) -> None:
    """Let a deployment of prod collect rows that are unlike the training data, and their truth become known."""
    prod, now = story.cloud.workspaces["prod"], datetime.now(UTC) - timedelta(days=2)
    rows = pd.read_csv(story.folder / "data" / "table.csv").nlargest(number, "mean area")
    features = rows.drop(columns="target") * 0.999  # no copies
    names = [f"r{n}" for n in range(number)]
    lines = []
    for name, row in zip(names, features.to_dict("records"), strict=True):
        event = {"specversion": "1.0", "type": "azureml.inference.inputs", "time": now.isoformat()}
        data = [{**row, "client_correlation_id": name}]
        lines.append(json.dumps({**event, "correlationid": name, "xrequestid": name, "data": data}))
    place = f"modelDataCollector/{story.cloud.project.environments['prod'].endpoint}/{deployment}"
    file = f"/container/{place}/model_inputs/{now:%Y/%m/%d/%H}/instance.jsonl"
    prod.blobs[file] = "\n".join(lines).encode()
    truth = pd.DataFrame({"correlationid": names, "target": rows["target"] == 1})
    truth["known_at"] = pd.Timestamp(now)
    target = io.BytesIO()
    truth.to_parquet(target)
    prod.blobs["/container/ground_truth/first.parquet"] = target.getvalue()


def react(story: Story, azure: Path, job: str) -> None:
    """Let the function app of prod read what Event Grid says of a job."""
    names, prod = story.cloud.project.environments["prod"], story.cloud.workspaces["prod"]
    tags = prod.runs[job]
    data = {"runId": job, "runStatus": "Failed", "runTags": tags, "experimentName": "monitoring"}
    kind = "Microsoft.MachineLearningServices.RunStatusChanged"
    event = {
        "id": "e1",
        "eventType": kind,
        "eventTime": datetime.now(UTC).isoformat(),
        "data": data,
    }
    environment = dict(story.surroundings) | {
        "IDENTITY_ENDPOINT": "https://identity.example/token",
        "IDENTITY_HEADER": "h",
        "EVENTS_CLIENT_ID": "prod-events",
        "EVENTS_SUBSCRIPTION_ID": SUBSCRIPTION,
        "EVENTS_RESOURCE_GROUP": names.resource_group,
        "EVENTS_WORKSPACE": names.workspace,
        "EVENTS_ENVIRONMENT": "prod",
        "EVENTS_STATE": f"https://{prod.account}.blob.core.windows.net/event-state",
    }
    done = run_in(story.folder, [str(azure), "-c", REACT, json.dumps(event)], environment)
    assert done.returncode == 0, done.stderr


def reported(story: Story, azure: Path) -> str:
    """Write the exit report of the model from what prod has kept, and read it."""
    environment = dict(story.surroundings) | {
        "AZURE_TENANT_ID": "t",
        "AZURE_CLIENT_ID": "prod-reader",
        "AZURE_CLIENT_SECRET": "any",
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
    }
    words = ["charter", "--exit", "--environment", "prod"]
    done = run_in(story.folder, [str(azure), "-m", "modelyard", *words], environment)
    assert done.returncode == 0, done.stderr
    return (story.folder / "docs" / "exit-report.md").read_text(encoding="utf-8")


def digest_of(workspace: Workspace, version: str) -> str:
    (versions,) = workspace.models.values()
    return str(versions[version]["tags"]["model_digest"])


def champion(workspace: Workspace) -> str | None:
    """The version with the highest turn."""
    versions = workspace.models.get("flight-delay", {})
    turns = {int(one["tags"].get("champion_turn", 0)): number for number, one in versions.items()}
    return turns[max(turns)] if max(turns, default=0) else None


def evidence(workspace: Workspace, version: str) -> list[dict[str, Any]]:
    """What releases of a version have left, oldest first."""
    (versions,) = workspace.models.values()
    run = versions[version]["modelUri"].partition("/jobs/")[2].partition("/")[0]
    found = workspace.artifacts[run].items()
    return [json.loads(text)["details"] for name, text in found if name.endswith("/release.json")]


def serves(workspace: Workspace) -> dict[str, int]:
    """Live requests in percent, by version."""
    return {workspace.version(name): share for name, share in workspace.traffic.items()}


def test_a_change_goes_to_production_and_a_worse_one_comes_back_on_both_providers(
    baked: Bake, azure_python: Path, tmp_path: Path, table: Path
) -> None:
    def play(provider: Provider) -> Story:
        place = tmp_path / provider.__name__
        with begun(provider, projects[provider], azure_python, place, table, one_job) as story:
            tell(story, azure_python)
        return story

    one_job = Lock()
    projects = {
        provider: baked(ci_provider=name, **ANSWERS).path
        for provider, name in ((GitHub, "github-actions"), (AzureDevOps, "azure-devops"))
    }
    with ThreadPoolExecutor(2) as both:
        one, other = both.map(play, projects)
    assert one.commands == other.commands
    for mine, theirs in zip(one.asked, other.asked, strict=True):
        assert mine == theirs
    for environment, workspace in one.cloud.workspaces.items():
        assert workspace.changes == other.cloud.workspaces[environment].changes


def proposed(story: Story) -> None:
    """Open a pull request that fails, and mend it: one comment says how what it trains compares, without Azure."""
    pipeline = story.folder / TRAIN
    fine = pipeline.read_text(encoding="utf-8")

    def pushed(base: str, change: str) -> tuple[str, str]:
        """Push a change of the pipeline to be merged into another; return the result, and the comment."""
        for content in (base, change):
            pipeline.write_text(content, encoding="utf-8")
            for words in ("init -q", "add --all", "commit -q --allow-empty --message change"):
                subprocess.run(["git", *words.split()], cwd=story.folder, check=True)
        result = story.happens("sample", Event("pull_request"))
        (comment,) = story.cloud.comments  # kept up to date, not repeated
        return result, comment

    result, comment = pushed("", fine.replace("max_iterations: 500", "max_iterations: 0"))
    assert result == "failure" and "No pipeline has run" in comment
    result, comment = pushed(fine, fine)
    assert result == "success" and "not worse than champion v1" in comment
    pages = {page.name for page in (story.folder / "build" / "summary").iterdir()}
    assert pages == {"summary.md", "report.html", "card.html"}
    assert story.cloud.asked == []


def checked(story: Story) -> None:
    """Check the pull request, and tell it what would change in each environment: who asks can only read."""
    before = len(story.commands)
    assert story.happens("check", Event("pull_request")) == "success"
    assert story.happens("infra", Event("pull_request")) == "success"
    told = story.cloud.comments[1:]  # the first is about the sample
    assert [one.splitlines()[1].split()[1] for one in told] == ["dev:", "test:", "prod:"]
    assert all("1 change of 1 resource" in one for one in told)
    asked = [one for one in story.commands[before:] if " az deployment" in one]
    assert [one.split()[0] for one in asked] == ["dev-reader", "test-reader", "prod-reader"]
    assert all("what-if" in one and "ProviderNoRbac" in one for one in asked)


def deployed(story: Story) -> None:
    """Merge it: dev, test and prod are deployed in this order, each by its own identity."""
    before = len(story.commands)
    assert story.happens("infra", PUSH) == "success"
    asked = [one.split(" --")[0] for one in story.commands[before:] if " az deployment" in one]
    assert asked == [f"{one} az deployment group create" for one in ("dev", "test", "prod")]


def tell(story: Story, azure: Path) -> None:
    """Let the story happen, and look at each station."""
    cloud = story.cloud
    dev, test, prod = (cloud.workspaces[one] for one in ("dev", "test", "prod"))

    proposed(story)
    checked(story)
    deployed(story)

    # merged: trained and promoted in dev, taken to test; nobody has approved prod
    cloud.approved = {"test": "grace"}
    cloud.busy = ["/jobs/train-42", "metricnames=RequestsPerMinute"]
    assert story.happens("train", PUSH) == "failure"
    assert champion(dev) == "1"
    first = digest_of(dev, "1")
    assert (serves(test), test.served) == ({"1": 100}, {first})
    assert prod.endpoint is None and champion(prod) is None
    (release,) = evidence(test, "1")
    assert (release["approved_by"], release["approval"]["digest"]) == ("grace", first)

    # shared once; who takes it out of the registry asks dev for nothing
    shared = [name.split("/")[5] for name in cloud.registry.assets]
    assert shared == ["flight-delay", "serve", "flight-delay-evidence"]
    (environment,) = (name for name in cloud.registry.assets if "/environments/" in name)
    (deployment,) = test.deployments.values()
    assert deployment["properties"]["environmentId"] == environment
    for script, lines in story.asked:
        if "mlops take" in script:
            assert not [line for line in lines if " dev/" in line]

    # other bytes under its name go nowhere
    cloud.approved["prod"] = "edsger"
    by_hand = Event("workflow_dispatch", inputs={"version": "1"})
    (file,) = (name for name in cloud.registry.blobs if name.endswith("model/MLmodel"))
    right = cloud.registry.blobs[file]
    cloud.registry.blobs[file] = right + b" "
    assert story.happens("deliver", by_hand) == "failure"
    assert story.commands[-1].startswith("dev mlops share")
    cloud.registry.blobs[file] = right

    # approved: the same bytes
    assert story.happens("deliver", by_hand) == "success"
    assert digest_of(prod, "1") == digest_of(test, "1") == first
    assert (serves(prod), prod.served, champion(prod)) == ({"1": 100}, {first}, "1")
    (release,) = evidence(prod, "1")
    assert (release["approved_by"], release["approval"]["digest"]) == ("edsger", first)
    for one in (test, prod):
        scoring = [body for path, body in one.batch.items() if path.endswith("/champion")]
        assert [body["properties"]["model"]["assetId"].rpartition("/")[2] for body in scoring] == [
            "1"
        ]

    # a week later nothing is new
    assert story.happens("train", Event("schedule")) == "success"
    assert story.commands[-1] == "dev mlops ci refresh --environment dev"

    # what prod collects is unlike the training data: a breach, and dev trains with the rows
    drifted(story, "blue")
    job = prod.fire("monitor")
    assert [(queue, run) for queue, run in prod.events] == [("monitor-breached", job)]
    react(story, azure, job)
    for workspace in (prod, dev):
        for one in list(workspace.jobs):
            workspace.wait_for(one)
            assert workspace.status(one) != "Failed" or one == job, one
    assert champion(dev) == "1" and set(dev.models["flight-delay"]) == {"1", "2"}

    # the next schedule judges what the breach has trained, and delivers it past a deployment that scales
    prod.passing["blue"] = ["Scaling"] * 4
    assert story.happens("train", Event("schedule")) == "success"
    assert not [one for one in story.commands if "--name train-42" in one][1:]
    second = digest_of(dev, "2")
    assert second != first
    assert (serves(prod), champion(prod)) == ({"2": 100}, "2")
    assert prod.served == test.served == {first, second}

    # a version that fails in prod only
    prod.failing = {"3"}
    change(
        story.folder / "azureml/pipelines/train.yml", "max_iterations: 500", "max_iterations: 400"
    )
    assert story.happens("train", Event("push", run="43")) == "failure"
    assert (champion(dev), serves(test)) == ("3", {"3": 100})
    assert (serves(prod), champion(prod)) == ({"2": 100}, "2")
    (release,) = evidence(prod, "3")
    assert (release["stage"], release["before"]["version"]) == ("rolled back", "2")

    # one button
    back = Event("workflow_dispatch", inputs={"environment": "test"})
    assert story.happens("rollback", back) == "success"
    assert (serves(test), champion(test)) == ({"2": 100}, "2")

    # what the exit report of the model would say
    report = reported(story, azure)
    assert "| champion v2, prod | linear |" in report
    assert "| v3 | v2 | rolled back | edsger |" in report

    assert cloud.refused == []
    assert cloud.busy == []
    for one in (dev, test, prod):
        assert not [path for path in one.missed if "logged-models" in path]
        assert {sum(shares.values()) for shares in one.seen_traffic} <= {0, 100}
