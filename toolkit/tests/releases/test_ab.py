"""Two deployments compared by what really happened, and how often chance is taken for a difference."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelyard.contract import model as contract
from modelyard.evaluation import metrics
from modelyard.evidence import read_evidence
from modelyard.releases import ab

ALPHA = 0.05
CONTRACT = """\
version: 1
target: {column: late, kind: binary, positive: true}
columns:
  x: {type: number}
  late: {type: boolean, role: target}
"""
GATES = """\
evaluation: {resamples: 200}
promotion:
  binary: {metric: roc_auc, floor: 0.5, below_champion: 0.02}
"""
START = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """conf/ of a binary problem."""
    (tmp_path / "contract.yml").write_text(CONTRACT, encoding="utf-8")
    (tmp_path / "gates.yml").write_text(GATES, encoding="utf-8")
    return tmp_path


def collect(
    root: Path, deployment: str, ids: list[str], score: np.ndarray, at: datetime = START
) -> None:
    """Write answers as the receiver does."""
    folder = (
        root / ".collected" / "local" / deployment / "model_outputs" / "2024" / "03" / "01" / "00"
    )
    folder.mkdir(parents=True, exist_ok=True)
    content = pd.DataFrame({"prediction": score >= 0.5, "probability": score, "correlationid": ids})
    content["collected_at"] = pd.Series([at] * len(ids)).astype("datetime64[us, UTC]")
    content.to_parquet(folder / f"{len(list(folder.iterdir()))}.parquet")


def happen(root: Path, ids: list[str], late: np.ndarray, known: datetime = START) -> None:
    """Write ground truth."""
    folder = root / ".collected" / "ground_truth"
    folder.mkdir(parents=True, exist_ok=True)
    content = pd.DataFrame({"correlationid": ids, "late": late})
    content["known_at"] = pd.Series([known] * len(ids)).astype("datetime64[us, UTC]")
    content.to_parquet(folder / f"{len(list(folder.iterdir()))}.parquet")


def scores(late: np.ndarray, skill: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=len(late))
    return 1 / (1 + np.exp(-(skill * (late - 0.5) + noise)))


def compared(root: Path, *words: str, code: int = 0) -> dict[str, Any]:
    found = ab.main(
        [
            *("--contract", str(root / "contract.yml"), "--gates", str(root / "gates.yml")),
            *("--collected", str(root / ".collected"), "--evidence", str(root / "evidence")),
            *(words or ("--a", "blue", "--b", "green")),
        ]
    )
    assert found == code
    details: dict[str, Any] = {} if code else read_evidence(root / "evidence", "ab")["details"]
    return details


def truth(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(rows) < 0.3


def split_traffic(root: Path, rows: int, skill_a: float, skill_b: float) -> None:
    late = truth(2 * rows)
    ids = [f"r{n}" for n in range(2 * rows)]
    collect(root, "blue", ids[:rows], scores(late[:rows], skill_a, 1))
    collect(root, "green", ids[rows:], scores(late[rows:], skill_b, 2))
    happen(root, ids, late)


@pytest.mark.parametrize(
    ("skill_a", "skill_b", "verdict"), [(0.5, 2.0, "B"), (2.0, 0.5, "A"), (1.0, 1.0, "wait")]
)
def test_the_better_deployment_is_found_where_the_rows_suffice(
    project: Path, skill_a: float, skill_b: float, verdict: str
) -> None:
    split_traffic(project, 1500, skill_a, skill_b)
    details = compared(project)
    assert details["verdict"] == verdict
    assert not details["paired"]
    assert (details["rows_more"] > 0) == (verdict == "wait")
    difference = details["differences"]["roc_auc"]
    assert difference["low"] < difference["at_one_look"]["low"]
    assert difference["at_one_look"]["high"] < difference["high"]


def test_mirrored_rows_are_compared_in_pairs_which_takes_fewer_of_them(project: Path) -> None:
    late = truth(1500)
    ids = [f"r{n}" for n in range(1500)]
    one = scores(late, 1.0, 1)
    collect(project, "blue", ids, one)
    collect(project, "green", ids[::-1], np.clip(one + 0.02 * (late - 0.5), 0, 1)[::-1])
    happen(project, ids, late)
    details = compared(project)
    assert details["paired"]
    assert details["verdict"] == "B"
    unpaired = math.hypot(0.016, 0.016)
    assert details["differences"]["roc_auc"]["standard_error"] < unpaired / 5


def test_two_models_that_answer_alike_are_not_worth_more_rows(project: Path) -> None:
    late = truth(400)
    ids = [f"r{n}" for n in range(400)]
    for deployment in ("blue", "green"):
        collect(project, deployment, ids, scores(late, 1.0, 1))
    happen(project, ids, late)
    details = compared(project)
    assert (details["verdict"], details["differences"]["roc_auc"]["difference"]) == ("stop", 0.0)


def test_few_rows_say_nothing(project: Path) -> None:
    split_traffic(project, 99, 0.0, 5.0)
    details = compared(project)
    assert (details["verdict"], details["rows_needed"]) == ("wait", None)


def test_truth_counts_once_and_the_latest_word_on_it(project: Path) -> None:
    late = truth(600)
    ids = [f"r{n}" for n in range(600)]
    collect(project, "blue", ids[:300], scores(late[:300], 1.0, 1))
    collect(project, "blue", ids[:300], 1 - scores(late[:300], 1.0, 1))  # a request sent again
    collect(project, "green", ids[300:], scores(late[300:], 1.0, 2))
    happen(project, ids, ~late)
    happen(project, ids[:500], late[:500], START + timedelta(days=1))
    details = compared(project)
    a, b = details["sides"]["A"], details["sides"]["B"]
    assert (a["rows"], a["collected"], b["rows"]) == (300, 300, 300)
    auc = metrics.values("binary", late[:300], metrics.Prediction(*both(late[:300])))["roc_auc"]
    assert a["metrics"]["roc_auc"] == pytest.approx(auc)


def both(late: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = scores(late, 1.0, 1)
    return found, found >= 0.5


def test_a_stretch_of_time_tells_versions_of_one_deployment_apart(project: Path) -> None:
    late = truth(600)
    ids = [f"r{n}" for n in range(600)]
    collect(project, "blue", ids[:200], scores(late[:200], 1.0, 1))
    collect(
        project, "blue", ids[200:400], scores(late[200:400], 1.0, 2), START + timedelta(hours=1)
    )
    collect(project, "blue", ids[400:], scores(late[400:], 1.0, 3), START + timedelta(hours=2))
    happen(project, ids, late)
    details = compared(
        project,
        *("--a", "blue@/2024-03-01T00:30", "--b", "blue@2024-03-01T00:30/2024-03-01T01:30"),
        *("--b", "blue@2024-03-01T02:00+00:00/", "--name-a", "v1", "--name-b", "v2"),
    )
    a, b = details["sides"]["A"], details["sides"]["B"]
    assert (a["name"], a["rows"], b["name"], b["rows"]) == ("v1", 200, "v2", 400)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--a", "red", "--b", "green"), "deployments with collected data are blue, green"),
        (("--a", "blue@noon/", "--b", "green"), "expected times such as"),
        (
            ("--a", "blue@2024-01-01", "--b", "green"),
            "expected DEPLOYMENT or DEPLOYMENT@SINCE/UNTIL",
        ),
        (("--a", "blue", "--b", "green", "--minimal-difference", "0"), "Name one above 0"),
    ],
)
def test_what_cannot_be_compared_is_said(
    project: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    split_traffic(project, 10, 1.0, 1.0)
    compared(project, *words, code=2)
    assert message in capsys.readouterr().err


def test_without_ground_truth_nothing_is_compared(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compared(project, code=2)
    assert "holds no ground truth" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_other_kinds_of_problems_are_compared_by_their_own_metric(
    tmp_path: Path, kind: str
) -> None:
    chance = np.random.default_rng(0)
    rows = 2000
    ids = [f"r{n}" for n in range(rows)]
    target = {
        "multiclass": "{column: y, kind: multiclass, classes: [a, b, c]}",
        "regression": "{column: y, kind: regression}",
    }[kind]
    type = "category" if kind == "multiclass" else "number"
    (tmp_path / "contract.yml").write_text(
        f"version: 1\ntarget: {target}\ncolumns:\n  x: {{type: number}}\n"
        f"  y: {{type: {type}, role: target}}\n",
        encoding="utf-8",
    )
    metric = {"multiclass": "balanced_accuracy", "regression": "mae"}[kind]
    (tmp_path / "gates.yml").write_text(
        json.dumps({"promotion": {kind: {"metric": metric, "floor": 0, "below_champion": 0.05}}}),
        encoding="utf-8",
    )
    rules = contract.load_contract(tmp_path / "contract.yml")
    index = chance.integers(0, 3, rows)
    names = np.array(["a", "b", "c"], dtype=object)
    real = names[index] if kind == "multiclass" else chance.normal(size=rows)
    (tmp_path / ".collected" / "ground_truth").mkdir(parents=True)
    pd.DataFrame({"correlationid": ids, "y": real, "known_at": pd.Timestamp(START)}).to_parquet(
        tmp_path / ".collected" / "ground_truth" / "t.parquet"
    )
    for deployment, right in (("blue", 0.3), ("green", 0.9)):
        folder = tmp_path / ".collected" / "local" / deployment / "model_outputs" / "h"
        folder.mkdir(parents=True)
        hit = chance.random(rows) < right
        if kind == "multiclass":
            said = np.where(hit, index, (index + 1) % 3)
            content = pd.DataFrame({"prediction": names[said]})
            for i, name in enumerate(names):
                content[f"probability_{name}"] = np.where(said == i, 0.8, 0.1)
        else:
            content = pd.DataFrame({"prediction": real + np.where(hit, 0.1, 1.0)})
        content["correlationid"], content["collected_at"] = ids, pd.Timestamp(START)
        content.to_parquet(folder / "o.parquet")
    details = compared(tmp_path)
    assert (details["verdict"], details["metric"]) == ("B", metric)
    assert rules.kind == kind


def looks(rows: int) -> np.ndarray:
    """Numbers of rows at which somebody looks: often, from the first hundred on."""
    return np.unique(np.geomspace(200, rows, 40).astype(int))


def decisions(difference: float, experiments: int, rows: int, minimal: float) -> list[str]:
    """Verdicts of experiments on a difference of two shares, stopped at the first decision."""
    chance = np.random.default_rng(3)
    ended = []
    for _ in range(experiments):
        a = (chance.random(rows) < 0.7 + difference).cumsum()
        b = (chance.random(rows) < 0.7 + 2 * difference).cumsum()
        verdict = "wait"
        for count in looks(rows):
            one, other = a[count - 1] / count, b[count - 1] / count
            error = math.sqrt((one * (1 - one) + other * (1 - other)) / count)
            verdict = ab.decide(other - one, error, 2 * int(count), minimal, ALPHA).choice
            if verdict != "wait":
                break
        ended.append(verdict)
    return ended


def test_looking_often_does_not_turn_chance_into_a_decision() -> None:
    rows, experiments = 4000, 250
    ended = decisions(0.0, experiments=experiments, rows=rows, minimal=0.001)
    wrong = sum(one in ("A", "B") for one in ended) / experiments
    assert wrong <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / experiments)
    # An interval for a single look, looked at as often, is wrong several times as often.
    shares = (np.random.default_rng(3).random((2, experiments, rows)) < 0.7).cumsum(axis=2)
    a, b = shares[:, :, looks(rows) - 1] / looks(rows)
    error = np.sqrt((a * (1 - a) + b * (1 - b)) / looks(rows))
    assert (np.abs(b - a) > 1.96 * error).any(axis=1).mean() > 4 * ALPHA


def test_a_difference_of_interest_is_found_with_the_promised_rows() -> None:
    minimal = 0.05
    error = math.sqrt(2 * 0.8 * 0.2)  # of one row of each side
    needed = ab.sample_size(error / math.sqrt(1000), 2000, minimal, ALPHA)
    ended = decisions(minimal, experiments=200, rows=needed // 2, minimal=minimal)
    found = sum(one == "B" for one in ended) / len(ended)
    assert found >= ab.POWER - 2 * math.sqrt(ab.POWER * (1 - ab.POWER) / len(ended))
    assert "A" not in ended


def test_without_a_difference_the_comparison_ends_by_stopping() -> None:
    ended = decisions(0.0, experiments=60, rows=40_000, minimal=0.04)
    assert ended.count("stop") >= 0.9 * len(ended)


def test_rows_needed_grow_with_the_square_of_what_is_looked_for() -> None:
    once = [ab.fixed_sample(0.01, 1000, minimal, ALPHA) for minimal in (0.02, 0.01)]
    assert once == [1963, 7849]  # (1.95996 + 0.84162)² · 1000 · (0.01 / minimal)²
    always = [ab.sample_size(0.01, 1000, minimal, ALPHA) for minimal in (0.02, 0.01)]
    assert all(1.5 * one < other < 4 * one for one, other in zip(once, always, strict=True) if one)


def test_the_interval_is_the_published_one() -> None:
    """Evaluated by hand for t = 100, rho² = (5.9915 + ln 6.9915) / 10,000, alpha = 0.05."""
    rho2 = (-2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))) / 10_000
    expected = math.sqrt(
        2 * (100 * rho2 + 1) * math.log(math.sqrt(100 * rho2 + 1) / 0.05) / (100**2 * rho2)
    )
    assert ab.half_width(1 / math.sqrt(100), 100, 0.05) == pytest.approx(expected)
    assert ab.half_width(1.0, 10_000, 0.05) < 1.6 * 1.96
