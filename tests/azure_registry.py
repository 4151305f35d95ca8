"""Register, promote, refuse and roll back on a fake of Azure ML, with Azure's own SDKs; no account needed.

Run in a project that has a finished run, with the packages of requirements/cloud.txt. Prints what it saw.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(1, str(Path.cwd()))

from azure.ai.ml.identity import AzureMLOnBehalfOfCredential
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure_fake import SIGNED_IN, TRACKING_URI, Crash, FakeAzure
from modelyard.azure import credential
from modelyard.cli.models import models
from modelyard.errors import UsageError
from modelyard.models.champion import fetch_champion
from modelyard.models.registry import Registry, RegistryError
from modelyard.models.version import CHALLENGER, CHAMPION
from modelyard.project import load_project
from modelyard.releases import promote as promoting
from modelyard.releases.promote import promote, retire, rollback
from modelyard.steps import register as step

ROOT = Path.cwd()
RUN = min(folder.parents[1] for folder in ROOT.glob(".runs/*/register/decision"))
MODEL = load_project(ROOT).model
PLACES = {
    "prepared": "prepare/prepared",
    "model": "train/model",
    "baseline": "train/baseline",
    "prepare-evidence": "prepare/evidence",
    "train-evidence": "train/evidence",
    "assess-evidence": "assess/evidence",
}


def registry() -> Registry:
    return Registry(MODEL, TRACKING_URI)


def champion() -> str | None:
    found = registry().holder(CHAMPION)
    return found.number if found else None


def roles() -> dict[str, str]:
    return {version.number: version.tags["role"] for version in registry().versions()}


@contextlib.contextmanager
def job(name: str) -> Iterator[None]:
    """What a step finds in its environment when Azure ML runs it."""
    os.environ["MLFLOW_RUN_ID"] = name
    try:
        yield
    finally:
        del os.environ["MLFLOW_RUN_ID"]


def register(
    azure: FakeAzure, name: str, *, change: Callable[[Path], None] = lambda run: None
) -> int:
    """Run the step `register` as the job `name` does, on a copy of the run that `change` has changed."""
    azure.runs[name] = {"mlops.runs.run": RUN.name}
    with tempfile.TemporaryDirectory() as folder, job(name):
        run = Path(folder) / "run"
        shutil.copytree(RUN, run)
        (run / "train" / "model" / "made_by.txt").write_text(name, encoding="utf-8")
        change(run)
        words = ["--model-name", MODEL]
        words += ["--contract", "conf/contract.yml", "--gates", "conf/gates.yml"]
        words += ["--project", "conf/project.yml"]
        for port, place in PLACES.items():
            words += [f"--{port}", str(run / place)]
        for port in ("decision", "page"):
            (run / port).mkdir()
            words += [f"--{port}", str(run / port)]
        return step.main(words)


def with_a_violation(run: Path) -> None:
    file = run / PLACES["prepare-evidence"] / "quality.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    content["details"]["violations"] = [{"column": "x", "rule": "y", "count": 1}]
    file.write_text(json.dumps(content), encoding="utf-8")


def said(command: Callable[[], object]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        command()
    return out.getvalue()


def refusal(command: Callable[[], object]) -> UsageError:
    """Why a command refuses."""
    try:
        command()
    except UsageError as error:
        return error
    raise AssertionError("it did not refuse")


def a_job_registers_its_model_with_its_evidence(azure: FakeAzure) -> None:
    assert registry().versions() == []
    assert champion() is None
    assert register(azure, "job-1") == 0
    kept = azure.models[MODEL]["1"]
    assert kept["modelUri"].endswith("/jobs/job-1/outputs/artifacts/paths/model/")
    assert kept["modelType"] == "mlflow_model"
    assert kept["properties"] == {"mlops.run_id": "job-1"}
    assert kept["tags"]["role"] == "challenger"
    paths = azure.artifacts["job-1"]
    assert {"model/MLmodel", "baseline/MLmodel", "contract/contract.yml"} <= set(paths)
    assert {"evidence/evaluation.json", "evidence/decision.json"} <= set(paths)
    found = registry().holder(CHALLENGER)
    assert found is not None
    assert found.number == "1"


def the_same_job_registers_once(azure: FakeAzure) -> None:
    known = registry().version("1")
    again = registry().register(run_id=known.run_id, source=known.source, tags=known.tags)
    assert again.number == "1"
    assert list(azure.models[MODEL]) == ["1"]


def a_dry_run_changes_nothing(azure: FakeAzure) -> None:
    before = copy.deepcopy(azure.models)
    assert promote(ROOT, dry_run=True).decision.passed
    assert azure.models == before


def a_good_challenger_becomes_champion(azure: FakeAzure) -> None:
    assert promote(ROOT).decision.stage == "promoted"
    assert champion() == "1"
    assert roles() == {"1": "champion"}
    [decision] = [
        p for p in azure.artifacts["job-1"] if p.endswith("/decision.json") and p[:9] == "decision/"
    ]
    content = json.loads(azure.artifacts["job-1"][decision])
    assert content["details"]["stage"] == "promoted"


def the_champion_is_brought_to_the_next_run(azure: FakeAzure) -> None:
    with tempfile.TemporaryDirectory() as folder, job("job-2"):
        output = Path(folder)
        assert fetch_champion(MODEL, TRACKING_URI, output) == "1"
        assert json.loads((output / "champion.json").read_text())["version"] == "1"
        assert (output / "model" / "MLmodel").is_file()
        assert (output / "model" / "made_by.txt").read_text() == "job-1"


def a_second_version_is_compared_with_the_champion_of_today(azure: FakeAzure) -> None:
    register(azure, "job-2")
    result = promote(ROOT)
    assert result.compared_again
    assert result.decision.champion == "1"
    assert result.decision.stage == "promoted", result.decision.reasons
    assert roles() == {"1": "retired", "2": "champion"}
    assert azure.models[MODEL]["2"]["tags"]["previous_champion"] == "1"


def a_refused_version_leaves_the_champion(azure: FakeAzure) -> None:
    register(azure, "job-3", change=with_a_violation)
    result = promote(ROOT)
    assert result.decision.stage == "refused"
    assert roles() == {"1": "retired", "2": "champion", "3": "challenger"}
    promote(
        ROOT
    )  # a second refusal of the same version keeps its evidence beside that of the first


def the_versions_are_listed(azure: FakeAzure) -> None:
    listed = json.loads(said(lambda: models(as_json=True)))
    assert [(one["version"], one["champion"]) for one in listed] == [
        ("3", False),
        ("2", True),
        ("1", False),
    ]


def a_rollback_restores_the_champion_before(azure: FakeAzure) -> None:
    restored, replaced = rollback(ROOT)
    assert (restored.number, replaced.number) == ("1", "2")
    assert roles() == {"1": "champion", "2": "retired", "3": "challenger"}


def a_retired_champion_leaves_none(azure: FakeAzure) -> None:
    assert retire(ROOT).number == "1"
    assert champion() is None
    assert roles() == {"1": "retired", "2": "retired", "3": "challenger"}
    registry().set_champion(registry().version("1"))
    assert champion() == "1"


def a_crash_before_any_write_leaves_exactly_one_champion(azure: FakeAzure) -> None:
    def crash_at(number: int) -> Callable[[str], None]:
        def before(what: str) -> None:
            nonlocal number
            if number == 0:
                raise Crash(what)
            number -= 1

        return before

    # Every attempt compares the same two versions: measured the first time only.
    measure = promoting._compare_again
    measured: dict[str, Any] = {}

    def compared(*between: Any) -> Any:
        if not measured:
            measured.update(measure(*between))
        return copy.deepcopy(measured)

    start = copy.deepcopy(azure.models)
    seen = []
    for writes in range(20):
        azure.models = copy.deepcopy(start)
        azure.before_write = crash_at(writes)
        try:
            with mock.patch.object(promoting, "_compare_again", compared):
                promote(ROOT, "2")
            crashed = False
        except Crash:
            crashed = True
        azure.before_write = lambda what: None
        seen.append(str(champion()))
        registry().reconcile()
        assert list(roles().values()).count("champion") == 1
        assert roles()[str(champion())] == "champion"
        if not crashed:
            break
    assert writes > 4
    assert seen == sorted(seen)  # the old one until the one write, the new one from it on
    assert {seen[0], seen[-1]} == {"1", "2"}


def a_number_that_somebody_else_takes_first_is_not_lost(azure: FakeAzure) -> None:
    answer = azure.manager

    def manager(request: Any, path: str, content: bytes) -> Any:
        if request.method == "PUT" and path.endswith("/versions/4"):
            taken = copy.deepcopy(azure.models[MODEL]["3"])
            azure.models[MODEL].setdefault("4", taken | {"tags": {"role": "challenger"}})
        return answer(request, path, content)

    with mock.patch.object(azure, "manager", manager):
        register(azure, "job-5")
    assert registry().version("5").run_id == "job-5"
    assert registry().version("4").run_id == "job-3"


def of_two_who_promote_at_once_one_is_told(azure: FakeAzure) -> None:
    """Both have read the same turn; the later version has it, for everybody alike."""
    one, other = registry().version("1"), registry().version("5")

    def before(what: str) -> None:
        if "champion_turn" in what:
            azure.before_write = lambda _: None
            turn = max(int(v["tags"].get("champion_turn", 0)) for v in azure.models[MODEL].values())
            azure.models[MODEL][other.number]["tags"]["champion_turn"] = str(turn + 1)

    azure.before_write = before
    told = refusal(lambda: registry().set_champion(one))
    assert isinstance(told, RegistryError)
    assert "v1 was to be champion, but v5 is" in str(told)
    registry().reconcile()
    assert [number for number, role in roles().items() if role == "champion"] == ["5"]


def a_workspace_that_does_not_answer_changes_nothing(azure: FakeAzure) -> None:
    before = copy.deepcopy(azure.models)
    azure.down = True
    commands = (lambda: promote(ROOT, "2"), lambda: rollback(ROOT), lambda: models(as_json=True))
    for command in commands:
        with mock.patch("time.sleep"):  # between attempts
            error = refusal(command)
        assert error.exit_code == 2
        assert "the model registry at azureml://" in str(error)
        assert "no server answers there" in str(error)
    azure.down = False
    assert azure.models == before


def an_address_without_a_workspace_is_refused(azure: FakeAzure) -> None:
    nowhere = "azureml://westeurope.api.azureml.ms/mlflow/v1.0"
    assert "names no workspace" in str(refusal(lambda: Registry(MODEL, nowhere)))


def a_job_asks_as_its_user_or_its_compute(azure: FakeAzure) -> None:
    for name, kind in (
        ("OBO_ENDPOINT", AzureMLOnBehalfOfCredential),
        ("DEFAULT_IDENTITY_CLIENT_ID", ManagedIdentityCredential),
        ("NOTHING_OF_AZURE", DefaultAzureCredential),
    ):
        os.environ[name] = "http://127.0.0.1:1"
        assert isinstance(credential(), kind), name
        del os.environ[name]


def nothing_was_asked_for_that_azure_does_not_have(azure: FakeAzure) -> None:
    """Logged models above all: MLflow 3 asks for them in passing, and hides that it got no answer."""
    assert azure.missed == []


CHECKS: list[Callable[[FakeAzure], None]] = [
    a_job_registers_its_model_with_its_evidence,
    the_same_job_registers_once,
    a_dry_run_changes_nothing,
    a_good_challenger_becomes_champion,
    the_champion_is_brought_to_the_next_run,
    a_second_version_is_compared_with_the_champion_of_today,
    a_refused_version_leaves_the_champion,
    the_versions_are_listed,
    a_rollback_restores_the_champion_before,
    a_retired_champion_leaves_none,
    a_crash_before_any_write_leaves_exactly_one_champion,
    a_number_that_somebody_else_takes_first_is_not_lost,
    of_two_who_promote_at_once_one_is_told,
    a_workspace_that_does_not_answer_changes_nothing,
    an_address_without_a_workspace_is_refused,
    a_job_asks_as_its_user_or_its_compute,
    nothing_was_asked_for_that_azure_does_not_have,
]

if __name__ == "__main__":
    os.environ.update(SIGNED_IN, MLFLOW_TRACKING_URI=TRACKING_URI)
    with FakeAzure().serving() as fake:
        for check in CHECKS:
            check(fake)
            print(f"ok {check.__name__}", flush=True)
