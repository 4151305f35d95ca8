"""A version on its way from workspace to workspace, with azure-ai-ml and Azure's answers made up.

Run in a generated project, where its requirements/cloud.txt is installed. No account, no network. Jobs,
environments, data, endpoints and the organization's registry are in memory, behind the signatures of
azure-ai-ml's own operations; MLflow and models are answered as in tests/azure_release.py. Prints `ok` and
the name of each check.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

sys.path.insert(1, str(Path.cwd()))

import pandas as pd
import yaml
from azure.ai.ml import MLClient, operations
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure_fake import SUBSCRIPTION, TRACKING_URI, FakeAzure
from azure_release import (
    CONTRACT,
    PROJECT,
    ROOT,
    Service,
    promoted,
    refusal,
    release,
    run_checks,
    signed_in,
    started,
)
from modelyard.azure import Workspace, tracked_in
from modelyard.contract.model import Contract, load_contract
from modelyard.delivery import batch, jobs, schedules, share, share_assets
from modelyard.delivery import refresh as refreshing
from modelyard.errors import CheckFailed, UsageError
from modelyard.events.event import BREACH_TAG
from modelyard.files import digest
from modelyard.models.adoption import DIGEST, TAKEN, adopt
from modelyard.models.assets import pin_environment
from modelyard.models.registry import Registry
from modelyard.models.version import CHAMPION
from modelyard.monitoring import azure_run
from modelyard.releases import azure_ab
from modelyard.serving.azure_collected import copy_collected


class Assets:
    """Versions of assets, behind the operations of azure-ai-ml."""

    def __init__(self, kind: type) -> None:
        self.held: dict[tuple[str, str], Any] = {}
        self.made: list[str] = []
        self.operations = mock.create_autospec(kind, instance=True)
        self.operations.get.side_effect = self.get
        self.operations.create_or_update.side_effect = self.create

    def get(self, name: str, version: str | None = None, label: str | None = None) -> Any:
        if label is not None:
            version = max((v for n, v in self.held if n == name), default=None)
        if (name, version) not in self.held:
            raise ResourceNotFoundError(f"no {name}:{version}")
        return self.held[name, str(version)]

    def create(self, asset: Any) -> Any:
        assert (asset.name, asset.version) not in self.held, "made once"
        self.held[asset.name, str(asset.version)] = asset
        self.made.append(f"{asset.name}:{asset.version}")
        return asset


class Jobs:
    """Jobs that pass through the given statuses, one at each look."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.submitted: dict[str, Any] = {}
        self.operations = mock.create_autospec(operations.JobOperations, instance=True)
        self.operations.get.side_effect = self.get
        self.operations.list.side_effect = self.children
        self.operations.create_or_update.side_effect = self.create
        self.throttled = 1

    def get(self, name: str) -> Any:
        if name not in self.submitted:
            raise ResourceNotFoundError(f"no job {name}")
        if self.throttled:
            self.throttled -= 1
            answer = SimpleNamespace(headers={"Retry-After": "3"}, status_code=429, reason="slow")
            raise HttpResponseError(message="too many", response=answer)
        self.status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        page = {"Studio": SimpleNamespace(endpoint="https://studio.example/run")}
        return SimpleNamespace(type="pipeline", status=self.status, services=page)

    def children(self, *, parent_job_name: str) -> list[Any]:
        assert parent_job_name in self.submitted
        return [SimpleNamespace(name="a", display_name="prepare", status=self.status)]

    def create(self, job: Any) -> Any:
        problems = job._validate().error_messages
        assert not problems, problems
        assert job.name not in self.submitted
        self.submitted[job.name] = job


def workspace(environment: str = "dev", **parts: Any) -> Workspace:
    """A workspace whose client has the given operations."""
    client = mock.create_autospec(MLClient, instance=True)
    for name, one in parts.items():
        setattr(client, name, one)
    here = Workspace(
        environment,
        PROJECT.environments[environment],
        SUBSCRIPTION,
        client,
        mock.Mock(),
    )
    here.__dict__["tracking_uri"] = TRACKING_URI
    return here


def submitted(
    found: Jobs, environments: Assets, data: Assets, **options: Any
) -> tuple[jobs.Ended, list[str]]:
    said: list[str] = []
    there = workspace(
        jobs=found.operations, environments=environments.operations, data=data.operations
    )
    options = {"inputs": {}, "name": "train-7", "wait": True, **options}
    file = ROOT / "azureml" / "pipelines" / "train.yml"
    with mock.patch("time.sleep"):
        return jobs.submit(ROOT, there, file, say=said.append, **options), said


def a_job_is_followed_until_it_has_really_ended() -> None:
    environments, data = Assets(operations.EnvironmentOperations), Assets(operations.DataOperations)
    data.held["training", "3"] = SimpleNamespace(version="3")
    for last, code in (("Completed", 0), ("Failed", 1), ("Canceled", 1), ("NotResponding", 1)):
        found = Jobs("Queued", "Running", "CancelRequested", "Paused", last)
        ended, said = submitted(found, environments, data)
        assert (ended.status == jobs.COMPLETED) is (code == 0), ended
        assert ended.steps == {"prepare": last}
        assert said[-1] == f"job train-7: {last}, https://studio.example/run", said
    (train,) = environments.made
    job = found.submitted["train-7"]
    assert job.inputs["pull_request"]._data == "none"
    assert job.inputs["data"]._data.path.endswith("training:3")
    assert {node.component.environment for node in job.jobs.values()} == {train}


def a_job_of_a_pull_request_says_so_since_its_version_is_no_challenger() -> None:
    environments, data = Assets(operations.EnvironmentOperations), Assets(operations.DataOperations)
    data.held["training", "3"] = SimpleNamespace(version="3")
    for settings in (
        {"GITHUB_REF": "refs/pull/12/merge"},
        {"SYSTEM_PULLREQUEST_PULLREQUESTID": "12"},
    ):
        found = Jobs("Completed")
        with mock.patch.dict(os.environ, settings):
            submitted(found, environments, data)
        job = found.submitted["train-7"]
        assert job.inputs["pull_request"]._data == "12"
        assert job.jobs["register"]._validate().passed


def a_job_of_a_name_is_submitted_once() -> None:
    environments, data = Assets(operations.EnvironmentOperations), Assets(operations.DataOperations)
    data.held["training", "3"] = SimpleNamespace(version="3")
    found = Jobs("Completed")
    submitted(found, environments, data)
    _, said = submitted(found, environments, data)
    assert said[0] == "job train-7 is there already: followed, not submitted again"
    assert len(found.submitted) == 1 and len(environments.made) == 1
    found.statuses = ["Failed", "Completed"]
    ended, said = submitted(found, environments, data)
    assert f"job train-7-2 is submitted to {PROJECT.environments['dev'].workspace}" in said
    assert (ended.name, ended.status) == ("train-7-2", jobs.COMPLETED)


def what_a_job_would_miss_is_said_before_it_is_submitted() -> None:
    environments, data = Assets(operations.EnvironmentOperations), Assets(operations.DataOperations)
    found = Jobs("Completed")
    message = refusal(UsageError, lambda: submitted(found, environments, data))
    assert "has no data asset training" in message and not found.submitted
    message = refusal(UsageError, lambda: submitted(found, environments, data, inputs={"dta": "x"}))
    assert message.startswith("train.yml has no input dta; it has data, contract"), message
    message = refusal(UsageError, lambda: submitted(found, environments, data, name="a b"))
    assert "'a b' cannot name a job" in message


def a_changed_environment_is_another_version() -> None:
    environments = Assets(operations.EnvironmentOperations)
    there = workspace(environments=environments.operations)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("azureml", "requirements"):
            shutil.copytree(ROOT / name, root / name)
        first = pin_environment(root, there, "azureml:serve@latest", print)
        assert pin_environment(root, there, "azureml:serve@latest", print) == first
        (root / "requirements" / "__pycache__").mkdir()
        (root / "requirements" / "__pycache__" / "check_wheel.pyc").write_bytes(b"compiled here")
        assert pin_environment(root, there, "azureml:serve@latest", print) == first
        (root / "requirements" / "serve.txt").write_text("other\n")
        assert pin_environment(root, there, "azureml:serve@latest", print) != first
    assert len(environments.made) == 2
    assert pin_environment(ROOT, there, "azureml:mine:4", print) == "azureml:mine:4"


# --- versions on their way ---


@contextmanager
def two_workspaces() -> Iterator[tuple[Service, Service]]:
    """dev with a promoted v1 and a refused v2, and test without any version."""
    dev, test = Service(), Service()
    with dev.serving():
        promoted(dev)
        complete(dev, "run-1")
        registry = Registry(PROJECT.model, TRACKING_URI)
        known = registry.version("1")
        registry.register(run_id="run-1", source=known.source, tags={DIGEST: "other"})
    yield dev, test


def complete(service: Service, run: str) -> None:
    """Give a run what a training run leaves, and its version the digest of the model."""
    held = service.artifacts[run]
    for name in ("evidence/quality.json", "contract/contract.yml", "baseline/MLmodel"):
        held[name] = b"{}"
    with tempfile.TemporaryDirectory() as folder:
        for name, content in held.items():
            if name.startswith("model/"):
                (Path(folder) / name.removeprefix("model/")).write_bytes(content)
        wanted = digest(Path(folder))
    registry = Registry(PROJECT.model, TRACKING_URI)
    registry.tag(registry.version("1"), DIGEST, wanted)


def taken(dev: Service, test: Service, number: str = "1", **options: Any) -> share.Taken:
    """Take a version: what is read comes from dev, what is written goes to test."""
    source, target = workspace("dev"), workspace("test")
    files = share._files

    @contextmanager
    def read(*arguments: Any) -> Iterator[Any]:
        with FakeAzure.serving(dev), contextlib.ExitStack() as opened:
            found = opened.enter_context(files(*arguments))
            opened.pop_all()
        yield found

    with mock.patch.object(share, "_files", read), FakeAzure.serving(test):  # in real time
        return share.take(
            options.get("project", PROJECT), source, target, number, lambda line: None
        )


def a_version_is_taken_with_its_number_its_digest_and_its_evidence() -> None:
    with two_workspaces() as (dev, test):
        found = taken(dev, test)
        assert not found.unchanged and taken(dev, test).unchanged
        with test.serving():
            registry = Registry(PROJECT.model, TRACKING_URI)
            version = registry.version("1")
            assert version.tags[DIGEST] == found.digest and version.tags[TAKEN] == "dev"
            assert version.tags["decision"] == "promoted" and "role" not in version.tags
            assert registry.holder(CHAMPION) is None
            with tempfile.TemporaryDirectory() as folder, tracked_in(workspace()):
                assert registry.fetch(version, "prepared/test.parquet", Path(folder)).is_file()
                assert digest(registry.fetch(version, "model", Path(folder))) == found.digest


def what_was_refused_or_changed_is_not_taken() -> None:
    with two_workspaces() as (dev, test):
        assert "v2 was not promoted" in refusal(UsageError, lambda: taken(dev, test, "2"))
        dev.artifacts["run-1"]["model/MLmodel"] += b" "
        message = refusal(CheckFailed, lambda: taken(dev, test))
        assert "have changed since, or were not copied whole" in message
        assert not test.models.get(PROJECT.model)


def another_model_of_the_number_is_not_replaced() -> None:
    with two_workspaces() as (dev, test):
        with test.serving():
            promoted(test)
        message = refusal(CheckFailed, lambda: taken(dev, test))
        assert "has another v1" in message, message


def a_version_that_was_taken_is_champion_once_it_serves() -> None:
    with two_workspaces() as (dev, test):
        taken(dev, test)
        with test.serving():
            registry = Registry(PROJECT.model, TRACKING_URI)
            result = release("test", version="1")
            assert result.released and registry.holder(CHAMPION).number == "1"  # type: ignore[union-attr]
            assert adopt(registry, "1")


def an_approval_is_of_a_digest() -> None:
    file = Path(tempfile.mkdtemp()) / "approval.json"
    for right in (False, True):
        with two_workspaces() as (dev, test):
            found = taken(dev, test)
            digest_ = found.digest if right else "0" * 64
            file.write_text(f'{{"by": "ada", "at": "2026-11-02", "digest": "{digest_}"}}')
            with test.serving():
                result = release("test", version="1", approval=file)
            assert result.released is right
            if right:
                assert result.state is not None and result.state.approved_by == "ada"
    with two_workspaces() as (dev, test), test.serving():
        message = refusal(UsageError, lambda: release("test", approved_by="me"))
        assert "counts on this machine only" in message


def a_component_is_shared_once_with_its_environment() -> None:
    """Under an address of the registry; where the record was lost, the registry's tag tells what it has."""
    components = Assets(operations.ComponentOperations)
    environments, data = Assets(operations.EnvironmentOperations), Assets(operations.DataOperations)
    registry = SimpleNamespace(
        components=components.operations, environments=environments.operations, data=data.operations
    )
    project = PROJECT.model_copy(update={"registry": "organization"})
    prefix = PROJECT.name.replace("-", "_")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("azureml", "conf", "requirements", "src"):
            shutil.copytree(ROOT / name, root / name)
        (root / "data").mkdir()
        (root / "data" / "flights.parquet").write_text("distance,late\n1,2\n")

        def give(what: str) -> list[str]:
            said: list[str] = []
            steps = share_assets.plan(root, project, what)
            share_assets.give(root, project, workspace("dev"), steps, said.append)
            return said

        with mock.patch.object(share_assets, "open_registry", return_value=registry):
            assert len(give("azureml/components/train.yml")) == 2
            assert give("azureml/components/train.yml") == []
            assert components.made == [f"{prefix}_train:1.0.0"], components.made
            assert environments.made == [f"{PROJECT.name}-train:1.0.0"], environments.made
            made = components.held[f"{prefix}_train", "1.0.0"]
            place = f"registries/organization/environments/{PROJECT.name}-train/versions/1.0.0"
            assert made.environment == f"azureml://{place}", made.environment
            assert made.tags["project"] == PROJECT.name and not made._validate().error_messages
            assert give("training")[1] == "who reads organization reads these rows"
            (root / share_assets.FILE).unlink()
            again = give("azureml/components/train.yml")
            assert len(again) == 2 and again[1].endswith("is in organization already"), again
            (root / share_assets.FILE).unlink()
            (root / "src" / "more.py").write_text("")
            message = refusal(CheckFailed, lambda: give("azureml/components/train.yml"))
            assert "organization has another component" in message, message


def the_batch_endpoint_scores_with_the_champion_and_not_with_the_latest() -> None:
    with two_workspaces() as (dev, _):
        environments = Assets(operations.EnvironmentOperations)
        there = workspace("dev", environments=environments.operations)
        made: dict[str, Any] = {}

        def keep(one: Any) -> Any:
            made[one.name] = one
            return SimpleNamespace(result=lambda: one)

        def get(name: str, endpoint: str | None = None) -> Any:
            if name not in made:
                raise ResourceNotFoundError(name)
            return made[name]

        for name, kind in (
            ("batch_endpoints", operations.BatchEndpointOperations),
            ("batch_deployments", operations.BatchDeploymentOperations),
        ):
            stub = mock.create_autospec(kind, instance=True)
            stub.get.side_effect, stub.begin_create_or_update.side_effect = get, keep
            setattr(there.client, name, stub)
        with dev.serving():
            assert batch.deploy_batch(ROOT, PROJECT, there, lambda line: None) == "1"
            batch.deploy_batch(ROOT, PROJECT, there, lambda line: None)
        assert there.client.batch_deployments.begin_create_or_update.call_count == 1
        endpoint = f"{PROJECT.environments['dev'].endpoint}-b"
        assert set(made) == {endpoint, "champion"}
        assert made["champion"].model == f"{PROJECT.model}:1", made["champion"].model
        assert made[endpoint].defaults == {"deployment_name": "champion"}


# --- what is collected ---

ENDPOINT = PROJECT.environments["dev"].endpoint
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


def event(time: datetime, batch: str, rows: list[dict[str, Any]] | None, **more: Any) -> bytes:
    """A line of the data collector, as Azure's documentation shows it."""
    line = {"specversion": "1.0", "type": "azureml.inference.inputs", "time": time.isoformat()}
    data = {} if rows is None else {"data": rows}
    return json.dumps({**line, **data, "correlationid": batch, "xrequestid": "r", **more}).encode()


def collected(service: Service) -> None:
    """Two deployments that collected rows in October, and ground truth of some of them."""
    for deployment, day, first in (("blue", 1, 0.0), ("green", 20, 10.0)):
        time = datetime(2026, 10, day, 5, 30, tzinfo=UTC)
        own = {"client_correlation_id": f"own-{deployment}"}
        rows: list[dict[str, Any]] = [{"x": first}, {"x": first + 1, **own}]
        lines = [event(time, f"b-{deployment}", rows), b"", event(time, "large", None), b"{}"]
        place = f"modelDataCollector/{ENDPOINT}/{deployment}/model_inputs/{time:%Y/%m/%d/%H}"
        service.blobs[f"/container/{place}/instance.jsonl"] = b"\n".join(lines)
    truth(service, "first", {"b-blue_0": 100.0, "own-blue": 101.0, "unknown": 1.0}, day=25)


def truth(service: Service, name: str, known: dict[str, float], day: int, **more: str) -> None:
    """A delivery of ground truth."""
    at = pd.Timestamp(2026, 10, day, tz="UTC")
    table = pd.DataFrame(
        {"correlationid": list(known), "y": list(known.values()), "known_at": at, **more}
    )
    target = io.BytesIO()
    table.to_parquet(target)
    service.blobs[f"/container/ground_truth/{name}.parquet"] = target.getvalue()


def storage(**parts: Any) -> Workspace:
    """A workspace whose default datastore is the fake's."""
    there = workspace("dev", **parts)
    store = {"account_name": "store", "container_name": "container", "protocol": "https"}
    default = SimpleNamespace(**store, endpoint="core.windows.net")
    there.client.datastores = mock.Mock()
    there.client.datastores.get_default.return_value = default
    token = AccessToken("t", 2**33)
    credential = SimpleNamespace(get_token=lambda *scopes, **options: token)
    return replace(there, credential=credential)


def contract() -> Contract:
    file = Path(tempfile.mkdtemp()) / "contract.yml"
    file.write_text(yaml.safe_dump(CONTRACT))
    return load_contract(file)


def collected_rows_have_the_folders_and_types_of_this_machine() -> None:
    folder = Path(tempfile.mkdtemp())
    with Service().serving() as service:
        collected(service)
        found = copy_collected(
            storage(),
            ENDPOINT,
            ["blue", "green"],
            contract(),
            folder,
            MONDAY - timedelta(days=20),
            MONDAY,
        )
    assert found.rows == {
        ("blue", "model_inputs"): 0,  # collected before that
        ("blue", "model_outputs"): 0,
        ("green", "model_inputs"): 2,
        ("green", "model_outputs"): 0,
    }, found.rows
    (file,) = (folder / ENDPOINT / "green" / "model_inputs" / "2026/10/20/05").glob("*.parquet")
    table = pd.read_parquet(file)
    assert list(table["correlationid"]) == ["b-green_0", "own-green"] and list(table["x"]) == [
        10,
        11,
    ]
    assert len(found.notes) == 2 and "its rows are in a file of their own" in found.notes[0]
    assert (folder / "ground_truth" / "first.parquet").is_file()


def the_monitor_measures_what_has_traffic_now_and_a_breach_tags_its_run() -> None:
    endpoints = mock.Mock()
    endpoints.get.return_value.traffic = {"blue": 0, "green": 90, "red": 10}
    there = storage(online_endpoints=endpoints)
    asked: list[tuple[str, str]] = []

    def measure(root: Path, file: Path, **options: Any) -> Any:
        asked.append(options["target"])
        assert options["collected"].name == "collected"
        name = options["target"][1]
        breaches = ("drift",) if name == "red" else ()
        return SimpleNamespace(breaches=breaches, signals=breaches)

    folder = Path(tempfile.mkdtemp())
    (folder / "contract.yml").write_text(yaml.safe_dump(CONTRACT))
    champion = SimpleNamespace(paths={"model": folder})
    file = ROOT / "azureml" / "monitoring" / "monitor.yml"
    registry = mock.Mock()
    with (
        Service().serving(),
        mock.patch.object(azure_run, "run_monitor", measure),
        mock.patch.object(azure_run, "locate_champion", return_value=champion),
        mock.patch.object(azure_run, "Registry", return_value=registry),
        mock.patch.dict(os.environ, MLFLOW_RUN_ID="calm_cat"),
    ):
        azure_run.monitor_endpoint(
            ROOT, file, there, at=MONDAY, output=folder, say=lambda line: None
        )
        assert asked == [(ENDPOINT, "green"), (ENDPOINT, "red")], asked
        registry.client.set_tag.assert_called_once_with("calm_cat", BREACH_TAG, "red: drift")
        endpoints.get.return_value.traffic = {}
        message = refusal(
            UsageError,
            lambda: azure_run.monitor_endpoint(
                ROOT, file, there, at=MONDAY, output=folder, say=lambda line: None
            ),
        )
    assert "has traffic: there is nothing to monitor" in message


def retraining_is_on_new_rows_or_does_not_begin() -> None:
    root = Path(tempfile.mkdtemp())
    (root / "conf").mkdir()
    shutil.copy(ROOT / "conf" / "project.yml", root / "conf")
    columns = {**CONTRACT["columns"], "who": {"type": "category", "role": "identifier"}}
    contract = {**CONTRACT, "columns": columns, "group": "who"}
    (root / "conf" / "contract.yml").write_text(yaml.safe_dump(contract))
    data = Assets(operations.DataOperations)
    tables: dict[str, pd.DataFrame] = {}
    latest: list[str] = []
    with Service().serving() as service:
        models = mock.create_autospec(operations.ModelOperations, instance=True)
        models.list.return_value = []
        there = storage(data=data.operations, models=models)

        def create(asset: Any) -> None:
            data.create(asset)
            tables[asset.version] = pd.read_parquet(asset.path)
            service.blobs["/container/training/table.parquet"] = Path(asset.path).read_bytes()
            asset.path = "azureml://datastores/workspaceblobstore/paths/training/table.parquet"
            latest.append(asset.version)

        def get(name: str, version: str | None = None, label: str | None = None) -> Any:
            return data.get(name, version or (latest[-1] if latest else None))

        data.operations.create_or_update.side_effect, data.operations.get.side_effect = create, get

        def again(**options: Any) -> refreshing.Refreshed:
            options = {"data": None, "now": MONDAY, **options}
            return refreshing.refresh(root, there, say=lambda line: None, **options)

        def trained(on: refreshing.Refreshed, **tags: str) -> None:
            file = {"dataset_sha256": on.version + "0" * 48}
            models.list.return_value.append(SimpleNamespace(tags=file | tags))

        assert "name the first table with --data" in refusal(UsageError, again)
        table = root / "table.parquet"
        pd.DataFrame({"x": [1.0], "y": [2.0], "who": ["a"], "note": ["n"]}).to_parquet(table)
        first = again(data=table)
        assert (first.before, first.added) == (None, 0)
        # A job that fails trains no model: what was registered for it is new until one has been.
        assert again() == again(data=table) == first
        trained(first, role="pull request 3")
        assert again() == first
        trained(replace(first, version="of another table"))  # as a step of the team's made it
        assert "nothing is new" in refusal(CheckFailed, again)
        trained(first)
        assert "the table is registered already" in refusal(CheckFailed, lambda: again(data=table))
        assert "nothing is new" in refusal(CheckFailed, again)
        collected(service)
        second = again()
        assert (second.before, second.added) == (first.version, 2)
        rows = tables[second.version]
        assert rows[["x", "y"]].to_numpy().tolist() == [[1, 2], [0, 100], [1, 101]]
        assert rows["note"].isna().tolist() == [False, True, True]
        assert again() == second
        trained(second)
        assert "nothing is new: no ground truth has become known since 2026-10-25" in refusal(
            CheckFailed, again
        )
        truth(service, "second", {"b-green_0": 7.0}, day=30, who="b")
        third = again()
        assert third.added == 1
        assert tables[third.version]["who"].tolist() == ["a", None, None, "b"]
        # A table as people write it is read as the contract says; what it leaves out keeps its zeros.
        contract["columns"]["y"] = {"type": "number", "written": {"decimal": ","}}
        (root / "conf" / "contract.yml").write_text(yaml.safe_dump(contract))
        (root / "table.csv").write_text("x;y;who;zip\n1.5;2,5;NA;01067\n")
        truth(service, "third", {"b-green_0": 8.0}, day=31, who="b")
        fourth = again(data=root / "table.csv")
        rows = tables[fourth.version]
        assert rows[["x", "y"]].to_numpy().tolist() == [[1.5, 2.5], [10, 8]], rows
        assert (rows["zip"].tolist(), rows["who"].tolist()) == (["01067", None], [None, "b"])


def two_versions_are_compared_by_what_their_deployments_collected() -> None:
    asked: dict[str, Any] = {}

    def compare(root: Path, a: str, b: str, **options: Any) -> dict[str, Any]:
        asked.update(options, a=options["periods_of"]("1"), b=options["periods_of"]("2"))
        asked["files"] = sorted(file.name for file in options["collected"].rglob("*.parquet"))
        asked["refused"] = refusal(UsageError, lambda: options["periods_of"]("9"))
        return {}

    with started() as service, mock.patch.object(azure_ab, "ab_report", compare):
        release("dev")
        promoted(service)
        release("dev")
        now = datetime.now(UTC)  # as a deployment is tagged; not of the clock, which runs ahead
        for time, name in ((MONDAY - timedelta(days=900), "old"), (now, "new")):
            place = f"modelDataCollector/{ENDPOINT}/green/model_outputs/{time:%Y/%m/%d/%H}"
            line = event(time, "b", [{"prediction": 1.0}])
            service.blobs[f"/container/{place}/{name}.jsonl"] = line
        root = Path(tempfile.mkdtemp())
        shutil.copytree(ROOT / "azureml", root / "azureml")
        shutil.copytree(ROOT / "conf", root / "conf")
        (root / "conf" / "contract.yml").write_text(yaml.safe_dump(CONTRACT))
        azure_ab.compare_on_azure(root, "dev", "v1", "v2")
    assert asked["files"] == ["new.parquet"], asked["files"]
    assert asked["a"][0].startswith("blue@20") and asked["b"][0].startswith("green@20"), asked
    assert asked["endpoint"] == ENDPOINT and "v9 is not deployed to" in asked["refused"]


def schedules_of_an_environment_are_applied() -> None:
    for environment, wanted in (
        ("dev", {"monitor.yml": "applied", "retrain.yml": "applied"}),
        ("prod", {"monitor.yml": "applied", "retrain.yml": "for dev only"}),
    ):
        environments = Assets(operations.EnvironmentOperations)
        there = workspace(environment, environments=environments.operations)
        made: dict[str, Any] = {}
        there.client.schedules = mock.create_autospec(operations.ScheduleOperations, instance=True)
        there.client.schedules.begin_create_or_update.side_effect = lambda one, made=made: (
            made.update({one.name: one}) or mock.Mock()
        )
        assert schedules.apply_schedules(ROOT, there, lambda line: None) == wanted
        (step,) = made["monitor"].create_job.jobs.values()
        assert step.environment_variables == {"MLOPS_ENVIRONMENT": environment}
        assert len(environments.made) == 1
        made["monitor"]._to_rest_object()


CHECKS: list[Callable[[], None]] = [
    a_job_is_followed_until_it_has_really_ended,
    a_job_of_a_pull_request_says_so_since_its_version_is_no_challenger,
    a_job_of_a_name_is_submitted_once,
    what_a_job_would_miss_is_said_before_it_is_submitted,
    a_changed_environment_is_another_version,
    a_version_is_taken_with_its_number_its_digest_and_its_evidence,
    what_was_refused_or_changed_is_not_taken,
    another_model_of_the_number_is_not_replaced,
    a_version_that_was_taken_is_champion_once_it_serves,
    an_approval_is_of_a_digest,
    a_component_is_shared_once_with_its_environment,
    the_batch_endpoint_scores_with_the_champion_and_not_with_the_latest,
    collected_rows_have_the_folders_and_types_of_this_machine,
    the_monitor_measures_what_has_traffic_now_and_a_breach_tags_its_run,
    retraining_is_on_new_rows_or_does_not_begin,
    two_versions_are_compared_by_what_their_deployments_collected,
    schedules_of_an_environment_are_applied,
]


def main() -> None:
    """Run the checks."""
    with signed_in():
        run_checks(CHECKS, sys.argv[1:])


if __name__ == "__main__":
    main()
