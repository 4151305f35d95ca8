"""A/B tests of deployments by collected predictions and ground truth."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelyard.errors import UsageError
from modelyard.evaluation import metrics
from modelyard.evidence import read_evidence
from modelyard.modelling.predicting import Prediction
from modelyard.releases.ab_report import ab_report, deployed, rows_lacking, show

from tests.releases.simulated_tests import Case, answers

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
    configure(tmp_path, CONTRACT, GATES)
    return tmp_path


def configure(root: Path, contract: str, gates: str) -> None:
    (root / "conf").mkdir()
    (root / "conf" / "contract.yml").write_text(contract, encoding="utf-8")
    (root / "conf" / "gates.yml").write_text(gates, encoding="utf-8")


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


def compared(root: Path, a: str = "blue", b: str = "green", **options: Any) -> dict[str, Any]:
    return ab_report(root, a, b, **options)


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
    assert (details["verdict"], details["rows_lacking"]) == ("wait", 2)
    # No interval is valid yet; the rows are those that a difference of interest needs, no constant.
    assert details["differences"]["roc_auc"]["low"] is None
    assert details["rows_more"] == details["rows_needed"] - 198 > 5_000


def test_of_several_truths_of_a_row_the_latest_counts_and_of_several_answers_the_first(
    project: Path,
) -> None:
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
    auc = metrics.values("binary", late[:300], Prediction(*both(late[:300])))["roc_auc"]
    assert a["metrics"]["roc_auc"] == pytest.approx(auc)


def both(late: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = scores(late, 1.0, 1)
    return found, found >= 0.5


def test_versions_of_one_deployment_are_compared_by_their_periods(project: Path) -> None:
    late = truth(600)
    ids = [f"r{n}" for n in range(600)]
    parts = (slice(0, 200), slice(200, 400), slice(400, 600))
    for hour, part in enumerate(parts):
        answers = scores(late[part], 1.0, hour + 1)
        collect(project, "blue", ids[part], answers, START + timedelta(hours=hour))
    happen(project, ids, late)
    deploy(project, ("00:00", "1"), ("00:30", "2"), ("01:30", "1"), ("01:50", "2"))
    details = compared(project, "v1", "2")
    a, b = details["sides"]["A"], details["sides"]["B"]
    assert (a["name"], a["rows"], b["name"], b["rows"]) == ("v1", 200, "v2", 400)
    details = compared(project, "blue@/2024-03-01T00:30", "blue@2024-03-01T02:00+00:00/")
    assert [side["rows"] for side in details["sides"].values()] == [200, 200]


def deploy(root: Path, *events: tuple[str, str]) -> None:
    """Write the history of an endpoint on which blue served versions from given times on."""
    folder = root / ".endpoints" / "local"
    folder.mkdir(parents=True)
    history = [
        {
            "at": f"2024-03-01T{at}:00+00:00",
            "event": "deployed",
            "deployment": "blue",
            "version": version,
        }
        for at, version in events
    ]
    (folder / "history.json").write_text(json.dumps(history), encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"a": "red"}, "deployments with collected data: blue, green"),
        ({"a": "blue@noon/"}, "expected times such as"),
        ({"a": "blue@2024-01-01"}, "expected DEPLOYMENT or DEPLOYMENT@SINCE/UNTIL"),
        ({"minimal_difference": 0.0}, "expected a smallest difference above 0"),
        ({"a": "v7"}, "v7 was never deployed to `local`; versions that were: none"),
    ],
)
def test_a_comparison_that_is_not_possible_is_refused_with_the_reason(
    project: Path, words: dict[str, Any], message: str
) -> None:
    split_traffic(project, 10, 1.0, 1.0)
    with pytest.raises(UsageError, match=message):
        compared(project, **words)


def test_without_ground_truth_nothing_is_compared(project: Path) -> None:
    with pytest.raises(UsageError, match="holds no ground truth"):
        compared(project)


def test_a_version_is_found_in_every_stretch_it_was_deployed(tmp_path: Path) -> None:
    events = [
        ("10:00", "deployed", "blue", "1"),
        ("11:00", "deployed", "green", "2"),
        ("12:00", "deleted", "blue", "1"),
        ("13:00", "deployed", "blue", "1"),
    ]
    folder = tmp_path / ".endpoints" / "local"
    folder.mkdir(parents=True)
    keys = ("at", "event", "deployment", "version")
    content = [dict(zip(keys, event, strict=True)) for event in events]
    (folder / "history.json").write_text(json.dumps(content), encoding="utf-8")
    assert deployed(tmp_path, "local", "1") == ["blue@10:00/12:00", "blue@13:00/"]
    assert deployed(tmp_path, "local", "2") == ["green@11:00/"]
    with pytest.raises(UsageError, match="versions that were: v1, v2"):
        deployed(tmp_path, "local", "3")


def test_the_report_prints_both_sides_and_the_decision(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split_traffic(project, 1500, 0.5, 2.0)
    show(compared(project))
    printed = capsys.readouterr().out
    assert "roc_auc *" in printed and "1,500 and 1,500 rows" in printed
    assert "decide for B, green (B is better: the interval is above 0)" in printed


def test_rows_of_a_group_count_together_where_the_ground_truth_names_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """60 persons of 50 rows each, whose answers are all right or all wrong."""
    contract = CONTRACT + "  who: {type: category, role: identifier}\ngroup: who\n"
    (project / "conf" / "contract.yml").write_text(contract, encoding="utf-8")
    random = np.random.default_rng(0)
    who = np.arange(3000) % 60
    late, right = truth(60)[who], (random.random(60) < 0.8)[who]
    ids = [f"r{n}" for n in range(3000)]
    for deployment, rows in (("blue", who % 2 == 0), ("green", who % 2 == 1)):
        chosen = np.where(right == late, 0.9, 0.1)[rows] + random.normal(0, 0.01, rows.sum())
        collect(project, deployment, list(np.array(ids)[rows]), chosen)
    happen(project, ids, late)
    show(apart := compared(project))
    assert (
        "count as independent, so the interval may be too narrow: add who"
        in capsys.readouterr().out
    )
    file = next((project / ".collected" / "ground_truth").iterdir())
    pd.read_parquet(file).assign(who=who).to_parquet(file)
    show(together := compared(project))
    printed = capsys.readouterr().out
    assert "rows of one who count together" in printed and "independent" not in printed
    errors = [one["differences"]["accuracy"]["standard_error"] for one in (together, apart)]
    # Of 50 equal rows each person is one observation: the error of 60, not of 3,000.
    assert 4 < errors[0] / errors[1] < 10
    assert (apart["rows_lacking"], together["verdict"]) == (0, "wait")
    assert together["rows_lacking"] > 0


def test_rows_to_wait_for_are_those_of_the_wanted_difference_not_of_the_present_one(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split_traffic(project, 150, 1.0, 1.4)
    details = compared(project, minimal_difference=0.01)
    found = details["differences"]["roc_auc"]
    assert details["verdict"] == "wait" and found["low"] < 0 < found["high"]
    # The standard error falls with the square root; 80% power takes at least 2.8 of it.
    least = 300 * (2.8 * found["standard_error"] / 0.01) ** 2
    assert details["rows_more"] == details["rows_needed"] - 300 > least
    assert details["rows_at_the_latest"] > details["rows_needed"]
    show(details)
    printed = capsys.readouterr().out
    assert re.search(r"wait for about \d+,000 more rows \(the interval contains 0\)", printed)


def test_answers_without_any_error_have_shown_none_yet(project: Path) -> None:
    late = truth(300)
    ids = [f"r{n}" for n in range(600)]
    collect(project, "blue", ids[:300], np.where(late, 0.9, 0.1))
    collect(project, "green", ids[300:], np.where(late, 0.8, 0.2))
    happen(project, ids, np.tile(late, 2))
    details = compared(project)
    assert details["verdict"] == "wait"
    assert details["differences"]["roc_auc"]["high"] > 0.05


def test_a_rare_class_is_waited_for_where_the_metric_counts_it_apart() -> None:
    case = Case("multiclass", "balanced_accuracy", True)
    sides = answers(case, 400, np.random.default_rng(0))
    rare = np.flatnonzero(sides["A"].truth == 2)[5:]
    kept = np.setdiff1d(np.arange(400), rare)
    few = {label: side.at(kept) for label, side in sides.items()}
    assert rows_lacking(case.contract, few, len(kept), "balanced_accuracy") == 3 * len(kept)
    assert rows_lacking(case.contract, few, len(kept), "accuracy") == 0


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
    metric = {"multiclass": "balanced_accuracy", "regression": "mae"}[kind]
    configure(
        tmp_path,
        f"version: 1\ntarget: {target}\ncolumns:\n  x: {{type: number}}\n"
        f"  y: {{type: {type}, role: target}}\n",
        json.dumps({"promotion": {kind: {"metric": metric, "floor": 0, "below_champion": 0.05}}}),
    )
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
    assert read_evidence(tmp_path / ".endpoints" / "local" / "ab", "ab")["details"] == details
