"""A tour, walked as a person walks it, in a project whose files it must not touch."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from modelyard.contract.infer import infer
from modelyard.contract.reading import read_table
from modelyard.data.table import read_file
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import digest, read_json, write_json
from modelyard.monitoring.follow_contract import follow_contract
from modelyard.tour.copying import PLANTED, Tour, begin, find, plant, program
from modelyard.tour.progress import answer, known_role, places
from modelyard.tour.steps import ROLES, STEPS

from tests.command import Mlops
from tests.editing import edit
from tests.project import part_of_sample

CONTRACT = """\
version: 1
target: {column: bought ?, kind: binary, positive: "yes"}
columns:
  visits: {type: integer}
  price: {type: number}
  plan: {type: category}
  bought ?: {type: category, role: target}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a table of its own and things that the team has left there."""
    root = part_of_sample(tmp_path / "project", "azureml conf requirements src pyproject.toml")
    random = np.random.default_rng(0)
    visits, price = random.integers(1, 60, 800), random.uniform(1, 9, 800).round(2)
    plan = random.choice(["basic", "plus"], 800)
    chance = 1 / (1 + np.exp(4 - visits / np.nan_to_num(price, nan=5) / 3 - 2 * (plan == "plus")))
    bought = np.where(random.uniform(size=800) < chance, "yes", "no")
    price[::9] = np.nan
    table = pd.DataFrame({"visits": visits, "price": price, "plan": plan, "bought ?": bought})
    (root / "data").mkdir()
    table.to_csv(root / "data" / "shop.csv", index=False)
    (root / "conf" / "contract.yml").write_text(CONTRACT)
    asset = root / "azureml" / "data" / "training.yml"
    edit(asset, "flights.parquet", "shop.csv")
    monitor = root / "azureml" / "monitoring" / "monitor.yml"
    follow_contract(root, monitor)
    for name in (".mlflow/mlflow.db", ".runs/20260101-000000-aaaa/run.json"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("the team's")
    monkeypatch.chdir(root)
    return root


def of_the_team(root: Path) -> dict[str, str]:
    files = (one for one in root.rglob("*") if one.is_file() and ".tour" not in one.parts)
    return {str(one.relative_to(root)): digest(one) for one in files}


class Person:
    """Types commands in a folder, where MLFLOW_TRACKING_URI names the team's server."""

    def __init__(self, root: Path, mlops: Mlops) -> None:
        self.folder, self.mlops = root, mlops

    def types(self, command: str, codes: tuple[int, ...] = (0, 1)) -> str:
        (_, *words), _, file = shlex.split(command), *command.partition(" > ")[1:]
        team = patch.dict(os.environ, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
        with team, contextlib.chdir(self.folder):
            done = self.mlops(*words[: -2 if file else None], code=None)
            if file:
                Path(file).write_text(done.out, encoding="utf-8")
        assert done.code in codes, (command, done)
        return str(done.out)

    def looks(self) -> tuple[list[str], dict[str, Any]]:
        """The steps that are done, and the next one."""
        shown = json.loads(self.types("mlops tour --json"))
        assert Path(shown["folder"]).name == shown["role"]
        done = [one["step"] for one in shown["steps"] if one["state"] == "done"]
        following = [one for one in shown["steps"] if one["state"] == "next"]
        return done, following[0] if following else {}


def replace(file: Path, pattern: str, by: str) -> None:
    text, count = re.subn(pattern, by, file.read_text(encoding="utf-8"))
    assert count, pattern
    file.write_text(text, encoding="utf-8")


def drifted_most(copy: Path) -> str:
    [file] = copy.glob(".monitor/*/monitor.json")
    measures = read_json(file)["details"]["signals"]["data_drift"]["measures"]
    judged = [one for one in measures if one["reason"] is None]
    highest = max(judged, key=lambda one: one["value"] / one["threshold"], default={})
    return str(highest.get("feature", "none"))


def test_the_program_can_be_pasted_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "it's 50% [x]" / "mlops"
    beside.parent.mkdir()
    beside.touch()
    monkeypatch.setattr("sys.executable", str(beside.with_name("python")))
    assert shlex.split(program()) == [str(beside)]


@pytest.mark.parametrize(
    "role",
    [
        one if one == "data-scientist" else pytest.param(one, marks=pytest.mark.slow)
        for one in ROLES
    ],
)
def test_a_person_walks_the_whole_tour_and_nothing_of_the_team_changes(
    project: Path, mlops: Mlops, role: str
) -> None:
    before = of_the_team(project)
    me = Person(project, mlops)
    assert f"cd .tour/{role}" in me.types(f"mlops tour {role}")
    me.folder = copy = project / ".tour" / role
    gates = copy / "conf" / "gates.yml"
    replace(gates, "resamples: 500", "resamples: 50")
    replace(gates, "out_of_fold_below: 1000", "out_of_fold_below: 0")
    replace(gates, "# open_gates: ask", "open_gates: ask")
    replace(gates, "approval: automatic", "approval: model-validator")
    replace(gates, r"below_champion: 0\.01", "below_champion: 0.2")
    walked: list[str] = []
    while following := me.looks()[1]:
        step = following["step"]
        assert step not in walked, f"{step} was done, and is not seen to be"
        walked.append(step)
        walk(me, step, following["command"])
    me.types("mlops endpoint stop")
    assert walked == [one for one in ROLES[role] if STEPS[one].needs != "sensitive"]
    assert of_the_team(project) == before


def walk(me: Person, step: str, command: str) -> None:
    """Do a step as its text says it."""
    copy = me.folder
    contract, gates = copy / "conf" / "contract.yml", copy / "conf" / "gates.yml"
    pipeline = copy / "azureml" / "pipelines" / "train.yml"
    if step == "matters":
        [file] = copy.glob(".runs/*/assess/evidence/importance.json")
        features = read_json(file)["details"]["features"]
        best = max(features, key=lambda one: one["importance"])["name"]
        me.types(command.replace("COLUMN", next(o["name"] for o in features if o["name"] != best)))
        assert me.looks()[1]["step"] == "matters"
        command = command.replace("COLUMN", best)
    elif step == "missing":
        command = command.replace("COLUMN", "price")
    elif step == "drift":
        command, _, last = command.partition("; ")
        me.types(command)
        command = last.replace("COLUMN", drifted_most(copy))
    elif step == "feature":
        science = next(copy.glob("src/*/features.py"))
        replace(science, "    return rows\n", '    return rows.assign(a=rows["visits"] ** 2)\n')
    elif step == "refuse":
        replace(gates, r"floor: 0\.55, over_b", "floor: 0.999, over_b")
    elif step == "rule":
        replace(contract, r"(visits: .*?)(, max: \d+)?}", r"\1, max: 3}")
    elif step == "file":
        replace(pipeline, "      prepared:", "      prepard:")
    elif step in ("promote", "again"):
        command += " --accepted-by me"
    me.types(command, (2,) if step == "file" else (0, 1))
    if step == "leak":
        assert me.looks()[1]["step"] == "leak"
        ignored = f"{PLANTED}: {{type: category, role: ignored, why: later}}"
        replace(contract, rf"{PLANTED}: {{.*}}", ignored)
        me.types("mlops monitor --follow-contract")
    elif step == "refuse":
        replace(gates, r"floor: 0\.999", "floor: 0.55")
    elif step == "rule":
        replace(contract, ", max: 3}", "}")
    elif step == "file":
        replace(pipeline, "prepard:", "prepared:")


def test_steps_of_every_role_exist_and_none_is_done_at_the_beginning(project: Path) -> None:
    tour = begin(project, "data-scientist")
    assert {step for steps in ROLES.values() for step in steps} == set(STEPS)
    for role in ROLES:
        found = places(Tour(tour.folder, role, tour.started, {}, {}))
        assert {one.state for one in found} <= {"next", "to come", "does not apply"}
        assert [one.step for one in found if one.state == "does not apply"] == [
            one for one in ROLES[role] if STEPS[one].needs == "sensitive"
        ]
        assert "{" not in "".join(one.command + one.what for one in found)


def test_the_copy_knows_no_environment_on_azure(project: Path) -> None:
    tour = begin(project, "ml-engineer")
    text = (tour.folder / "conf" / "project.yml").read_text()
    assert "environments: {}" in text and "resource_group" not in text
    assert "resource_group" in (project / "conf" / "project.yml").read_text()


TARGETS: dict[str, tuple[str, Any]] = {
    "two classes": ("binary", lambda r: r.choice(["no", "yes"], 2000, p=[0.97, 0.03])),
    "a boolean": ("binary", lambda r: r.uniform(size=2000) < 0.3),
    "twelve classes": ("multiclass", lambda r: r.choice(list("abcdefghijkl"), 2000)),
    "a rare class": ("multiclass", lambda r: r.choice(list("abc"), 2000, p=[0.6, 0.39, 0.01])),
    "a number": ("regression", lambda r: r.normal(size=2000)),
    "a number with huge values": ("regression", lambda r: np.exp(3 * r.normal(size=2000))),
    "whole numbers": ("regression", lambda r: r.integers(0, 900, 2000)),
    "a number with gaps": (
        "regression",
        lambda r: np.where(r.uniform(size=2000) < 0.1, np.nan, r.normal(size=2000)),
    ),
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_planted_column_is_one_that_the_contract_warns_of(tmp_path: Path, name: str) -> None:
    kind, make = TARGETS[name]
    random = np.random.default_rng(0)
    rows = pd.DataFrame({f"x{i}": random.normal(size=2000) for i in range(4)})
    rows[PLANTED] = random.normal(size=2000)
    rows["y"] = make(random)
    rows.to_parquet(tmp_path / "t.parquet")
    contract = infer(read_file(tmp_path / "t.parquet"), "y", kind=kind).contract  # type: ignore[arg-type]
    plant(read_table(tmp_path / "t.parquet", contract), contract).to_parquet(tmp_path / "p.parquet")
    found = infer(read_file(tmp_path / "p.parquet"), "y", kind=kind)  # type: ignore[arg-type]
    [planted] = set(found.contract.columns) - set(rows.columns)
    assert PLANTED in planted and found.contract.columns[planted].role == "feature"
    assert [one for one in found.warnings if planted in one]


def test_an_answer_is_taken_only_where_something_is_asked_and_right(project: Path) -> None:
    tour = begin(project, "data-engineer")
    with pytest.raises(UsageError, match="the next step is no question: Your first report"):
        answer(tour, "plan")
    run = tour.folder / ".runs" / "20260101-000000-aaaa"
    (run / "register" / "page").mkdir(parents=True)
    (run / "register" / "page" / "report.html").write_text("a report")
    columns = [{"name": "plan", "nulls": 0.2}, {"name": "price", "nulls": 0.1}]
    write_json(
        run / "prepare" / "evidence" / "quality.json",
        {"details": {"columns": columns, "violations": []}},
    )
    with pytest.raises(CheckFailed, match="not price"):
        answer(tour, "price")
    assert answer(tour, " plan ") == "Read the data"
    again = find(project, None)
    assert again is not None and again.answers == {"missing": "plan"}
    shutil.rmtree(run)
    assert [one.state for one in places(again)][:3] == ["done", "done", "next"]


def test_what_a_tour_cannot_begin_with_is_said(project: Path) -> None:
    with pytest.raises(UsageError, match="did you mean `data-scientist`"):
        known_role("data-scientis")
    (project / "data" / "shop.csv").unlink()
    with pytest.raises(UsageError, match=r"shop\.csv is not on this machine"):
        begin(project, "data-scientist")
    assert not (project / ".tour" / "data-scientist").exists()
