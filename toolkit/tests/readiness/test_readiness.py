"""Readiness: what is met is seen in files and evidence, what nobody knows is open, and open is not met."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from modelyard.errors import UsageError
from modelyard.files import write_json, write_text
from modelyard.models.registry import Registry
from modelyard.models.version import Version
from modelyard.readiness.criteria import CRITERIA
from modelyard.readiness.evidence import Seen
from modelyard.readiness.readiness import Line, Readiness, level_of, readiness, take_answer
from modelyard.readiness.responsibility import GROUPS, owners, stages

from tests.editing import edit, git
from tests.project import ROOT

LATER = (  # what a laptop's project has not, and `mlops add` brings
    "builds-automated", "compute-managed", "training-recurs", "release-automated", "environments-alike",
    "metrics-collected", "monitor-scheduled", "breach-retrains",
)  # fmt: skip
QUESTIONS = [one.name for one in CRITERIA if one.check is None]
CODEOWNERS = Path(".github/CODEOWNERS")
TAGS = {"git_commit": "abc", "dataset_digest": "d", "model_digest": "m"}
ROLES = Path(__file__).parents[2] / "docs" / "roles.md"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project as generated, in git, with a version that is the champion."""
    root = tmp_path / "project"
    ignore = shutil.ignore_patterns("wheels", "__pycache__")
    shutil.copytree(ROOT, root, ignore=ignore)
    for words in ("init -q", "add .", "commit -qm x"):
        git(root, *words.split())
    champion = Version("flight-delay", "1", "r", "s", TAGS)
    monkeypatch.setattr(Seen, "versions", [champion])
    monkeypatch.setattr(Seen, "champion", champion)
    monkeypatch.chdir(root)
    return root


def test_versions_and_champion_are_read_without_mlflow(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:1")  # not asked
    write_text(tmp_path / "conf/project.yml", "title: t\nname: n\npackage: p\nowner: o\nmodel: m\n")
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path)}"
    assert Seen(tmp_path, uri).registered == ([], None)
    registry = Registry("m", uri)
    for number in range(11):
        run = registry.client.create_run("0").info.run_id
        registry.register(run_id=run, source="file:///x", tags=TAGS | {"model_digest": str(number)})
    registry.client.delete_model_version("m", "9")
    registry.set_champion(registry.version("3"))
    assert Seen(tmp_path, uri).registered == (registry.versions(), registry.version("3"))


def line(root: Path, name: str) -> Line:
    return {one.name: one for one in readiness(root).lines}[name]


def connect(root: Path) -> None:
    subprocess.run(["git", "remote", "add", "origin", "git@host:a/b"], cwd=root, check=True)


def leave(root: Path, file: str, content: Any) -> None:
    write_json(root / file, content)


EVIDENCE = {
    "reproducible": lambda root: leave(
        root,
        ".mlflow/decisions/a-v1/reproduction.json",
        {"version": "1", "at": "2026-11-28T00:00:00", "evidence": {"data": "equal"}},
    ),
    "release-tested": lambda root: leave(
        root, ".endpoints/local/releases/a/release.json", {"details": {"stage": "released"}}
    ),
    "monitored": lambda root: leave(
        root,
        ".monitor/a/monitor.json",
        {"details": {"at": "2026-11-28T00:00:00", "signals": {"drift": {"verdict": "fine"}}}},
    ),
    "promotion-by-policy": lambda root: leave(
        root,
        ".mlflow/decisions/flight-delay-v1/evidence/decision.json",
        {"details": {"stage": "promoted"}},
    ),
    "rehearsed": lambda root: leave(root, ".drill/drill.json", {"periods": [{"failed": 0}]}),
    "builds-automated": connect,
    "release-automated": lambda root: None,
    "registry": lambda root: (
        (root / "conf" / "project.yml").open("a").write("\nregistry: shared\n")
    ),
}


def test_levels_are_reached_one_by_one_as_evidence_and_answers_come(project: Path) -> None:
    assert readiness(project).level == 0
    for name, make in EVIDENCE.items():
        if name != "release-automated":
            assert line(project, name).state != "met", name
        make(project)
        assert line(project, name).state == "met", name
    reached = []
    for name in QUESTIONS:
        assert line(project, name).state == "open"
        take_answer(project, name, is_met=True, why="so it is")
        assert line(project, name).state == "met"
        found = readiness(project)
        reached.append(found.level)
        level, lacking = level_of(
            project, "sqlite:///none", datetime.now(UTC).date()
        )  # what a fleet asks
        assert (level, lacking) == (
            found.level,
            [one for one in found.of(level + 1) if one.state != "met"],
        )
    assert (reached[-1], found.following) == (4, None)
    assert reached == sorted(reached) and set(reached) >= {1, 2, 3, 4}


def test_privacy_is_shown_by_the_anonymity_of_the_champions_table(project: Path) -> None:
    principles = project / "conf" / "principles.yml"
    said = "privacy_and_security: {evidence: [anonymity]}"
    edit(principles, "privacy_and_security: {}", said)
    assert line(project, "privacy and security").state == "open"
    found = {"passed": True, "why": "k = 7 is at least 5", "columns": ["age"], "sha256": "a"}
    content = {"evidence": "anonymity", "details": found}
    leave(project, ".mlflow/anonymity/anonymity.json", content)
    data = {"details": {"source": {"sha256": "a"}}}
    leave(project, ".mlflow/decisions/flight-delay-v1/evidence/data.json", data)
    shown = line(project, "privacy and security")
    assert (shown.state, shown.said) == ("met", "anonymity: k = 7 is at least 5, by age")


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("code-versioned", ".git"),
        ("builds-automated", ".github"),
        ("code-tested", "tests"),
        ("environments-defined", "requirements/train.txt"),
        ("compute-managed", "infra/modules/compute.bicep"),
        ("training-recurs", "azureml/schedules/retrain.yml"),
        ("features-shared", "src/flight_delay/features.py"),
        ("scoring-tested", "tests/test_serving.py"),
        ("release-automated", ".github/workflows/deliver.yml"),
        ("environments-alike", "infra/test.bicepparam"),
        ("metrics-collected", "azureml/endpoints/online-deployment.yml"),
        ("monitor-scheduled", "azureml/schedules/monitor.yml"),
        ("breach-retrains", "events/function_app.py"),
    ],
)
def test_what_a_project_lacks_is_not_met_and_has_a_remedy(
    project: Path, name: str, lacks: str
) -> None:
    connect(project)
    assert line(project, name).state == "met"
    place = project / lacks
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    found = line(project, name)
    assert found.state == "not met" and found.remedy
    assert found.remedy.startswith("mlops add") or name not in LATER
    if "/" in lacks and name != "metrics-collected":
        write_text(place, "# later\n")  # nothing in it shows a criterion
        assert line(project, name).state == "not met"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        (
            "reproducible",
            {"version": "1", "at": "2026", "evidence": {"data": "rows: 1 before, 2 now"}},
        ),
        ("rehearsed", {"periods": [{"failed": 0}, {"failed": 3}]}),
    ],
)
def test_evidence_against_a_criterion_is_not_met(project: Path, name: str, make: Any) -> None:
    files = {
        "reproducible": ".mlflow/decisions/a-v1/reproduction.json",
        "rehearsed": ".drill/drill.json",
    }
    leave(project, files[name], make)
    assert line(project, name).state == "not met"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (".mlflow/decisions/flight-delay-v1/evidence/decision.json", []),
        (".mlflow/anonymity/anonymity.json", {"evidence": "fairness", "details": {}}),
        (".mlflow/decisions/a-v1/reproduction.json", {"version": "1", "at": "2026", "evidence": []}),
        (".mlflow/decisions/a-v1/reproduction.json", {"version": "1", "at": "2026", "evidence": {}}),
        (".monitor/a/monitor.json", {"details": {"at": "2026", "signals": {"drift": 1}}}),
        (".drill/drill.json", {"periods": [1]}),
        (".drill/drill.json", {"periods": []}),
        (".drill/drill.json", {"periods": [{"failed": "0"}]}),
        (".drill/drill.json", {}),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_and_not_taken_for_none(
    project: Path, file: str, content: Any
) -> None:
    leave(project, file, content)
    with pytest.raises(UsageError, match=file):
        readiness(project)


def test_a_champion_that_was_trained_with_uncommitted_changes_is_not_traced(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line(project, "champion-traced").state == "met"
    dirty = Version("flight-delay", "1", "r", "s", TAGS | {"git_commit": "abc-dirty"})
    monkeypatch.setattr(Seen, "champion", dirty)
    assert line(project, "champion-traced").state == "not met"


def test_an_answer_counts_for_a_year_and_no_is_an_answer(project: Path) -> None:
    take_answer(project, "deployed", is_met=True, why="resource group rg-a")
    for day, why in (date(2099, 1, 1), "a year ago"), (date(2020, 1, 1), "a day to come"):
        then = {one.name: one for one in readiness(project, day).lines}["deployed"]
        assert then.state == "open" and why in then.said and "rg-a" in then.said
    take_answer(project, "deployed", is_met=False, why="not yet")
    assert line(project, "deployed").state == "not met"


def test_the_next_step_is_the_one_that_takes_least_of_the_next_level(project: Path) -> None:
    first = readiness(project)
    assert (first.level, first.following.name) == (0, "data-gathered")  # type: ignore[union-attr]
    take_answer(project, "data-gathered", is_met=True, why="a pipeline")
    following = readiness(project).following
    assert following is not None
    assert (following.name, following.remedy) == ("builds-automated", "mlops connect")


def test_questions_that_nobody_asks_and_answers_without_a_reason_are_refused(project: Path) -> None:
    with pytest.raises(UsageError, match="did you mean `deployed`"):
        take_answer(project, "deploied", is_met=True, why="a")
    with pytest.raises(UsageError, match="say why"):
        take_answer(project, "deployed", is_met=True, why=" ")
    (project / "conf" / "readiness.yml").write_text("answers:\n  deployed: {met: perhaps}\n")
    with pytest.raises(UsageError, match=r"readiness\.yml:2: .*met"):
        readiness(project)


def test_principles_that_nobody_filled_are_open(project: Path) -> None:
    principles = [one for one in readiness(project).lines if one.area == "principles"]
    assert len(principles) == 6
    assert {one.state for one in principles} == {"open"}
    file = project / "conf" / "principles.yml"
    edit(file, "inclusiveness: {}", "inclusiveness: {reason: asked}")
    assert line(project, "inclusiveness").state == "met"


def test_accountable_roles_have_code_owners_and_groups(project: Path) -> None:
    assert line(project, "code owners").state == line(project, "groups").state == "open"
    assert "conf/gates.yml (model-validator)" in line(project, "code owners").said
    wanted = {path for one in stages().values() for path in one.paths}
    with (project / CODEOWNERS).open("a") as file:
        file.writelines(f"/{path} @organization/some\n" for path in sorted(wanted))
    assert line(project, "code owners").state == "met"
    for name in ("dev", "prod"):
        parameters = project / "infra" / f"{name}.bicepparam"
        parameters.write_text(re.sub(r"(\w+s): ''", r"\1: 'an-id'", parameters.read_text()))
    assert line(project, "groups").state == "met"


@pytest.mark.parametrize(
    ("rules", "is_met"),
    [
        (["* @all"], False),
        (["* @all", "/conf/ @a", "notebooks/ @b", "/azureml/ @c", "src @d", "infra/** @e"], True),
        (["/conf/ @a", "notebooks/ @b", "/azureml/ @c", "src @d", "infra/ @e", "* @all"], False),
        (["/configuration/ @a", "notebooks @b", "/azureml/ @c", "src @d", "infra @e"], False),
        (["/conf/ # @a", "notebooks @b", "/azureml/ @c", "src @d", "infra @e"], False),
    ],
)
def test_the_last_rule_that_matches_decides_who_owns_a_file(
    project: Path, rules: list[str], is_met: bool
) -> None:
    (project / CODEOWNERS).write_text("\n".join(rules))
    assert owners(project).is_met is (True if is_met else None)


def test_every_stage_has_one_accountable_role_and_says_something_of_all_six() -> None:
    for name, stage in stages().items():
        assert set(stage.roles) == set(GROUPS), name
        assert stage.accountable in GROUPS
        assert any("R" in letters for letters in stage.roles.values()), name


def test_the_table_of_the_documents_is_that_of_the_check() -> None:
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in ROLES.read_text(encoding="utf-8").splitlines()
        if row.startswith("| ")
    ]
    [heading] = [
        row for row in rows if row[1:] and set(row[1:]) == {one.replace("-", " ") for one in GROUPS}
    ]
    said = {
        row[0]: dict(zip(heading[1:], row[1:], strict=True)) for row in rows if row[0] in stages()
    }
    for name, stage in stages().items():
        assert said[name] == {role.replace("-", " "): one for role, one in stage.roles.items()}


def test_the_command_prints_json_and_writes_a_page(project: Path) -> None:
    command = [sys.executable, "-m", "modelyard", "readiness", "--json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["level"], found["name"]) == (0, "No MLOps")
    text = Path(found["page"]).read_text(encoding="utf-8")
    assert [one["what"] for one in found["lines"] if escape(one["what"]) not in text] == []


def some_readiness() -> Readiness:
    """Every state, with long words."""
    lines = [
        Line(one.name, one.level, one.area, one.what, state, "w" * 70 + " and so on", one.remedy, 1)
        for one, state in zip(CRITERIA, ("met", "not met", "open") * len(CRITERIA), strict=False)
    ]
    lines.append(Line("fairness", None, "principles", "Fairness", "open", "nobody", None, 0))
    return Readiness("Flight delay", 1, lines, lines[5])
