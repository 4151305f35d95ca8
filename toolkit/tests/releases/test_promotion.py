"""The champion after promotions, refusals, rollbacks, races and crashes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow.tracking import MlflowClient
from modelyard.cli import app, models
from modelyard.errors import UsageError
from modelyard.models.mlflow_registry import MlflowModels
from modelyard.models.registry import Registry, champion_in_sqlite, registered
from modelyard.models.version import CHAMPION, Version
from modelyard.releases.promote import promote, retire, rollback

from tests.evidence_samples import costs, envelope, fair, judged_on
from tests.fake_endpoint import Killed
from tests.models.test_judge import evaluation
from tests.small_project import GATES, make_small_project


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    make_small_project(tmp_path)
    (tmp_path / ".mlflow").mkdir()
    shutil.copy(empty_store, tmp_path / ".mlflow" / "mlflow.db")
    return tmp_path


def registry_of(project: Path) -> Registry:
    return Registry("test", f"sqlite:///{project / '.mlflow' / 'mlflow.db'}")


def register(project: Path, former: dict[str, str] | None = None, **parts: Any) -> str:
    """Register a version whose evidence says what `parts` say; returns its number."""
    registry = registry_of(project)
    client = registry.client
    if client.get_experiment_by_name("tests") is None:
        client.create_experiment(
            "tests", artifact_location=(project / ".mlflow" / "artifacts").as_uri()
        )
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    run_id = client.create_run(experiment.experiment_id).info.run_id
    model = project / "model"
    model.mkdir(exist_ok=True)
    (model / "MLmodel").write_text(run_id, encoding="utf-8")
    client.log_artifacts(run_id, str(model), "model")
    seen = registry.holder(CHAMPION)
    content = evaluation(**parts)
    if seen and parts.get("champion"):
        content["details"]["champion"]["version"] = seen.number
    if former:
        content["details"]["champion"]["former"] = former
    for kind, evidence in (
        ("quality", envelope("quality", details={"rows": 10, "columns": [], "violations": []})),
        ("evaluation", envelope("evaluation", **content)),
    ):
        file = project / f"{kind}.json"
        file.write_text(json.dumps(evidence), encoding="utf-8")
        client.log_artifact(run_id, str(file), "evidence")
    source = f"{client.get_run(run_id).info.artifact_uri}/model"
    return registry.register(run_id=run_id, source=source, tags={"model_digest": run_id}).number


def champion(project: Path) -> str | None:
    holder = registry_of(project).holder(CHAMPION)
    return holder.number if holder else None


def roles(project: Path) -> dict[str, str | None]:
    registry = registry_of(project)
    versions, champion = registered("test", registry.uri)  # without MLflow
    assert (versions, champion) == (registry.versions(), registry.holder(CHAMPION))
    return {v.number: v.tags.get("role") for v in versions}


@pytest.fixture(autouse=True)
def _no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests' evidence is too small for a report, which has tests of its own."""
    monkeypatch.setattr("modelyard.reports.report.render", lambda evidence, about: "report")


def test_a_good_first_challenger_becomes_champion(project: Path) -> None:
    register(project)
    result = promote(project)
    assert result.decision.passed
    assert champion(project) == "1"
    assert roles(project) == {"1": "champion"}
    decision = json.loads(
        (result.folder / "evidence" / "decision.json").read_text(encoding="utf-8")
    )
    assert decision["details"]["stage"] == "promoted"


def test_open_gates_are_accepted_by_name_or_leave_the_champion_serving(project: Path) -> None:
    few = judged_on(50, no=30, yes=20)
    register(project, on=few)
    result = promote(project)
    assert not result.decision.promotable and champion(project) is None
    assert result.decision.stage == "open"
    assert registry_of(project).version("1").tags["decision"] == "open"
    assert promote(project, dry_run=True, accepted_by="Ada").decision.promotable
    assert champion(project) is None
    result = promote(project, accepted_by="Ada")
    assert champion(project) == "1"
    decision = json.loads((result.folder / "evidence" / "decision.json").read_text())["details"]
    assert decision["accepted_by"] == "Ada" and decision["open"] == ["enough rows to judge"]
    assert "Ada accepted that" in (result.folder / "card.md").read_text(encoding="utf-8")


def test_open_gates_that_refuse_are_not_accepted(project: Path) -> None:
    stated = "open_gates: refuse\n" + GATES
    (project / "conf" / "gates.yml").write_text(stated, encoding="utf-8")
    register(project, on=judged_on(50, no=30, yes=20))
    result = promote(project, accepted_by="Ada")
    assert result.decision.stage == "refused" and result.decision.accepted_by is None
    assert champion(project) is None


def test_the_command_says_what_is_open_and_ends_with_1(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    register(project, on=judged_on(50, no=30, yes=20))
    for words, code, said in (
        ((), 1, "v1 is not judged in full: enough rows to judge"),
        ((), 1, "mlops promote --accepted-by NAME"),
        (("--accepted-by", "Ada"), 0, "open gates are accepted by Ada: enough rows to judge"),
    ):
        with pytest.raises(SystemExit) as ended:
            app(["promote", *words])
        assert ended.value.code == code
        assert said in " ".join(capsys.readouterr().out.split())


def test_a_refused_challenger_leaves_the_champion_serving(project: Path) -> None:
    register(project)
    promote(project)
    register(project, champion=(-0.2, -0.3, -0.1))
    result = promote(project)
    assert not result.decision.passed
    assert champion(project) == "1"
    assert roles(project) == {"1": "champion", "2": "challenger"}


def test_a_challenger_that_met_another_champion_is_compared_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(project)
    register(project)
    promote(project, "1")
    asked = []

    def again(root: Path, registry: Registry, challenger: Version, rival: Version) -> Any:
        asked.append((challenger.number, rival.number))
        content = evaluation(champion=(-0.2, -0.3, -0.1))
        content["details"]["champion"]["version"] = rival.number
        return {"evaluation": envelope("evaluation", **content)}

    monkeypatch.setattr("modelyard.releases.promote._compare_again", again)
    result = promote(project, "2")
    assert asked == [("2", "1")]
    assert result.compared_again
    assert not result.decision.passed
    assert champion(project) == "1"


def test_a_challenger_is_compared_again_on_its_own_rows_with_the_models_of_the_registry(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"model": "MLmodel", "baseline": "MLmodel", "prepared": "test.parquet"}
    given: dict[str, str] = {}

    def held_out(*, contract: Path, champion: Path, **inputs: Any) -> None:
        given["contract"] = contract.read_text(encoding="utf-8")
        given["champion"] = (champion / "model" / "MLmodel").read_text(encoding="utf-8")
        for name, file in parts.items():
            given[name] = (inputs[name] / file).read_text(encoding="utf-8")

    def assess(held: None, model: Path, champion: Path, evidence: Path) -> None:
        assert (model / "MLmodel").read_text(encoding="utf-8") == given["model"]
        content = evaluation(champion=(0.1, 0.05, 0.2))
        content["details"]["champion"] = json.loads((champion / "champion.json").read_text())
        for kind in ("evaluation", "fairness", "footprint"):
            (evidence / f"{kind}.json").write_text(json.dumps(envelope(kind, **content)))

    monkeypatch.setattr("modelyard.evaluation.held_out.held_out", held_out)
    monkeypatch.setattr("modelyard.steps.assess.assess", assess)
    registry = registry_of(project)
    runs = [registry.version(register(project)).run_id for _ in range(2)]
    for run in runs:
        for name, file in {**parts, "contract": "contract.yml"}.items():
            if name != "model":
                registry.client.log_text(run, f"{name} of {run}", f"{name}/{file}")
    promote(project, "1")
    assert promote(project, "2").decision.passed
    names = ("baseline", "prepared", "contract")
    assert given == {
        **{name: f"{name} of {runs[1]}" for name in names},
        "model": runs[1],
        "champion": runs[0],
    }


def test_a_better_challenger_replaces_the_champion_and_rollback_brings_it_back(
    project: Path,
) -> None:
    register(project)
    promote(project)
    register(project, champion=(0.1, 0.05, 0.2))
    promote(project)
    assert roles(project) == {"1": "retired", "2": "champion"}
    restored, replaced = rollback(project)
    assert (restored.number, replaced.number) == ("1", "2")
    assert champion(project) == "1"
    assert roles(project) == {"1": "champion", "2": "retired"}


def test_a_new_line_replaces_the_champion_and_rollback_says_which_line_it_goes_back_to(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register(project)
    promote(project)
    register(project, former={"version": "1", "why": 'it predicts "late"'})
    result = promote(project)
    assert not result.compared_again
    assert roles(project) == {"1": "retired", "2": "champion"}
    monkeypatch.chdir(project)
    models.rollback()
    said = capsys.readouterr().out
    assert "champion is test v1 again; v2 is retired" in said
    assert 'v1 is of the line of versions before v2: it predicts "late"' in said
    assert roles(project) == {"1": "champion", "2": "retired"}


def test_a_rollback_that_was_killed_is_ended_and_goes_no_further(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registry_of(project)
    for _ in range(3):
        register(project)
        newest = registry.versions()[0]
        registry.set_champion(newest, registry.holder(CHAMPION))
    appoint = MlflowModels.appoint

    def killed(self: MlflowModels, number: str, role: str) -> None:
        appoint(self, number, role)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MlflowModels, "appoint", killed)
        rollback(project)
    assert [version.number for version in rollback(project)] == ["2", "3"]
    assert roles(project) == {"1": "retired", "2": "champion", "3": "retired"}
    assert [version.number for version in rollback(project)] == ["1", "2"]


def test_a_retired_champion_leaves_none_and_the_next_version_is_the_first_again(
    project: Path,
) -> None:
    with pytest.raises(UsageError, match="nothing to retire"):
        retire(project)
    register(project)
    promote(project)
    assert retire(project).number == "1"
    assert champion(project) is None
    assert champion_in_sqlite(f"sqlite:///{project / '.mlflow' / 'mlflow.db'}", "test") is None
    assert roles(project) == {"1": "retired"}
    with pytest.raises(UsageError, match="no champion; nothing to roll back"):
        rollback(project)
    promote(project, "1")
    assert roles(project) == {"1": "champion"}


def test_evidence_that_a_gate_asks_for_and_that_is_missing_is_made_before_judging(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = {"model_megabytes": {"most": 0.2}}
    asked = {**yaml.safe_load(GATES), "fairness": {}, "footprint": budget}
    (project / "conf" / "gates.yml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    register(project)
    seen: list[str | None] = []

    def compared(root: Path, registry: Registry, challenger: Any, champion: Any) -> Any:
        seen.append(champion and champion.number)
        made = {"fairness": fair("binary", champion=False), "footprint": costs(champion=False)}
        return {"evaluation": envelope("evaluation", **evaluation()), **made}

    monkeypatch.setattr("modelyard.releases.promote._compare_again", compared)
    result = promote(project)
    assert seen == [None] and result.compared_again
    assert [r.gate for r in result.decision.reasons if not r.passed] == ["model on disk"]
    assert champion(project) is None
    assert (result.folder / "evidence" / "footprint.json").is_file()


def test_a_decision_is_signed_and_its_card_is_kept_with_the_version(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    register(project)
    promote(project, dry_run=True)
    folder = promote(project).folder
    said = (folder / "card.md").read_text(encoding="utf-8")
    assert "promoted to champion by ada on 20" in said
    decided = json.loads((folder / "evidence" / "decision.json").read_text(encoding="utf-8"))
    assert decided["details"]["decided"]["by"] == "ada"
    registry = registry_of(project)
    kept = registry.fetch(registry.version("1"), "decision", tmp_path_factory.mktemp("kept"))
    (card,) = kept.glob("*/card.md")
    assert card.read_text(encoding="utf-8") == said
    assert card.with_suffix(".html").is_file()


def test_a_dry_run_is_no_approval(project: Path) -> None:
    register(project)
    said = (promote(project, dry_run=True).folder / "card.md").read_text(encoding="utf-8")
    assert "None yet" in said


def test_a_dry_run_changes_nothing(project: Path) -> None:
    register(project)
    assert promote(project, dry_run=True).decision.passed
    assert champion(project) is None


@pytest.mark.parametrize(
    ("number", "message"),
    [(None, "has no challenger"), ("7", "has no version 7; versions: none yet")],
)
def test_there_must_be_something_to_promote(
    project: Path, number: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        promote(project, number)


def test_the_champion_is_not_promoted_twice(project: Path) -> None:
    register(project)
    promote(project)
    with pytest.raises(UsageError, match="v1 is the champion already"):
        promote(project)


def test_rollback_needs_an_earlier_champion(project: Path) -> None:
    with pytest.raises(UsageError, match="has no champion"):
        rollback(project)
    register(project)
    promote(project)
    with pytest.raises(UsageError, match="is the first champion"):
        rollback(project)
    assert champion(project) == "1"


def test_registering_the_same_result_again_makes_no_second_version(project: Path) -> None:
    number = register(project)
    registry = registry_of(project)
    known = registry.version(number)
    again = registry.register(run_id=known.run_id, source=known.source, tags=dict(known.tags))
    assert again.number == number
    assert len(registry.versions()) == 1


def test_what_a_pull_request_has_trained_is_not_the_challenger(project: Path) -> None:
    merged = register(project)
    registry = registry_of(project)
    known = registry.version(merged)
    unmerged = registry.register(
        run_id=known.run_id, source=known.source, tags={"model_digest": "x"}, role="pull request 3"
    )
    assert unmerged.number != merged
    assert promote(project).decision.version == merged


def test_the_embedded_store_answers_like_mlflow(project: Path) -> None:
    uri = f"sqlite:///{project / '.mlflow' / 'mlflow.db'}"
    assert champion_in_sqlite(uri, "test") is None
    register(project)
    promote(project)
    found = champion_in_sqlite(uri, "test")
    assert found is not None
    number, folder = found
    assert number == "1"
    assert (folder / "MLmodel").is_file()


WRITES = ("set_registered_model_alias", "set_model_version_tag", "log_artifacts")
PROMOTE = """
import os, sys
from pathlib import Path
import modelyard.reports.report
from modelyard.releases.promote import promote
from tests.releases.test_promotion import kill_before_write
modelyard.reports.report.render = lambda evidence, about: "report"
kill_before_write(int(sys.argv[1]), setattr, lambda: os._exit(9))
promote(Path.cwd())
os._exit(0)
"""


def kill_before_write(
    writes: int, patch: Callable[[Any, str, Any], None], kill: Callable[[], None]
) -> None:
    """Call `kill` in place of the registry's next write after `writes` of them."""
    left = [writes]

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def write(*words: Any, **options: Any) -> Any:
            if left[0] == 0:
                kill()
            left[0] -= 1
            return original(*words, **options)

        return write

    for name in WRITES:
        patch(MlflowClient, name, counted(getattr(MlflowClient, name)))


def promote_in_this_process(project: Path, writes: int) -> bool:
    def kill() -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        kill_before_write(writes, patch.setattr, kill)
        try:
            promote(project)
        except Killed:
            return False
    return True


def promote_in_a_process(project: Path, writes: int) -> bool:
    done = start_promotion(project, writes)
    errors = done.communicate()[1].decode()
    assert done.returncode in (0, 9), errors
    return done.returncode == 0


def start_promotion(project: Path, writes: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROMOTE, str(writes)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    "promote_until",
    [promote_in_this_process, pytest.param(promote_in_a_process, marks=pytest.mark.slow)],
)
def test_a_crash_before_any_write_of_a_promotion_leaves_exactly_one_champion(
    project: Path, promote_until: Callable[[Path, int], bool]
) -> None:
    register(project)
    promote(project)
    register(project, champion=(0.1, 0.05, 0.2))
    for writes in range(20):
        ended = promote_until(project, writes)
        assert champion(project) in ("1", "2")
        registry_of(project).reconcile()
        assert list(roles(project).values()).count("champion") == 1
        decided = registry_of(project).holder("champion")
        assert decided.tags["decision"] == "promoted"
        assert "decision" in registry_of(project).kept(decided)
        if ended:
            break
        if champion(project) == "2":
            rollback(project)
    else:
        pytest.fail("the promotion has not ended after 20 writes")
    assert writes >= 3
    assert champion(project) == "2"


def test_two_promotions_at_once_judge_one_after_the_other(project: Path) -> None:
    register(project)
    promote(project)
    register(project, champion=(0.1, 0.05, 0.2))
    both = [start_promotion(project, writes=10**6) for _ in range(2)]
    errors = [process.communicate()[1].decode() for process in both]
    assert sum(process.returncode == 0 for process in both) == 1
    assert sum("is the champion already" in error for error in errors) == 1
    assert champion(project) == "2"
