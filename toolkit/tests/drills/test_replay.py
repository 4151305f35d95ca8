"""Replaying a table: its periods, and the judgement of what was answered in each."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.contract import model as contract
from modelyard.drills import replay
from modelyard.evaluation import metrics

TARGETS = {
    "binary": ({"kind": "binary", "positive": "yes"}, "category"),
    "multiclass": ({"kind": "multiclass", "classes": ["a", "b", "c"]}, "category"),
    "regression": ({"kind": "regression"}, "number"),
}


def write_contract(folder: Path, kind: str = "binary", time: str | None = "at") -> Path:
    target, of_type = TARGETS[kind]
    rules = contract.Contract.model_validate(
        {
            "target": {"column": "label", **target},
            "time": time,
            "columns": {
                "key": {"type": "integer", "role": "identifier"},
                "at": {"type": "datetime"},
                "size": {"type": "number"},
                "label": {"type": of_type},
            },
        }
    )
    contract.save_contract(rules, folder / "contract.yml")
    return folder / "contract.yml"


def table(days: int, rows: int = 900) -> pd.DataFrame:
    random = np.random.default_rng(3)
    at = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        np.sort(random.integers(0, days * 86_400, rows)), "s"
    )
    return pd.DataFrame(
        {
            "key": range(rows),
            "at": at,
            "size": random.normal(size=rows),
            "label": random.choice(["yes", "no"], rows),
        }
    )


def split(folder: Path, content: pd.DataFrame) -> tuple[int, Path]:
    data = folder / "table.parquet"
    content.sample(frac=1, random_state=0).to_parquet(data, index=False)
    words = ["--data", data, "--contract", write_contract(folder), "--output", folder / "out"]
    return replay.main(["split", *map(str, words)]), folder / "out"


@pytest.mark.parametrize(
    ("days", "unit", "first"),
    [(360, "month", "2020-01"), (60, "week", "2019-12-30"), (12, "day", "2020-01-01")],
)
def test_a_table_is_cut_into_the_longest_calendar_unit_that_gives_enough_periods(
    tmp_path, days, unit, first
):
    code, out = split(tmp_path, table(days))
    index = json.loads((out / "periods.json").read_text())
    assert (code, index["unit"], index["periods"][0]["name"]) == (0, unit, first)
    parts = [pd.read_parquet(out / f"{p['name']}.parquet") for p in index["periods"]]
    assert [len(part) for part in parts] == [p["rows"] for p in index["periods"]]
    for part, period in zip(parts, index["periods"], strict=True):
        assert part["at"].is_monotonic_increasing
        assert part["at"].between(period["start"], period["end"], inclusive="left").all()
    keys = pd.concat(parts)["key"]
    assert keys.is_unique
    assert len(keys) == 900


def test_rows_without_time_or_target_are_left_out(tmp_path):
    content = table(360)
    content.loc[0:9, "at"] = pd.NaT
    content.loc[20:24, "label"] = None
    _, out = split(tmp_path, content)
    assert json.loads((out / "periods.json").read_text())["rows"] == 885


def test_without_a_time_column_there_is_nothing_to_replay(tmp_path, capsys):
    data = tmp_path / "table.csv"
    table(300).to_csv(data, index=False)
    path = write_contract(tmp_path, time=None)
    words = ["--data", data, "--contract", path, "--output", tmp_path / "out"]
    assert replay.main(["split", *map(str, words)]) == 2
    assert "--time" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_too_few_rows_are_refused(tmp_path, capsys):
    code, out = split(tmp_path, table(300, rows=100))
    assert code == 2
    assert "too few" in capsys.readouterr().err
    assert not out.exists()


@given(st.lists(st.integers(-(10**9), 10**9), min_size=250, max_size=600))
@settings(max_examples=25)
def test_numbers_as_time_make_equal_shares_that_lose_no_row(values):
    times = pd.Series(sorted(map(float, values)))
    unit, found = replay.periods(times)
    assert unit == "share"
    assert np.array_equal(np.concatenate([p.positions for p in found]), np.arange(len(times)))
    assert all(a.end == b.start for a, b in itertools.pairwise(found))


def collected(folder: Path, deployment: str, content: pd.DataFrame) -> None:
    at = folder / "answers" / deployment / "model_outputs" / "2020" / "01" / "01" / "00"
    at.mkdir(parents=True)
    content.assign(collected_at=pd.Timestamp("2020-01-01", tz="UTC")).to_parquet(at / "a.parquet")


@pytest.mark.parametrize("kind", TARGETS)
def test_answers_are_joined_with_the_truth_by_correlation_id(tmp_path, kind):
    random = np.random.default_rng(5)
    ids = [f"id-{i}" for i in range(300)]
    if kind == "regression":
        truth = random.normal(size=300)
        outputs = pd.DataFrame({"prediction": truth + random.normal(size=300) / 4})
        want = metrics.Prediction(*[outputs["prediction"].to_numpy()] * 2)
        metric, known = "mae", truth
    elif kind == "binary":
        truth = random.choice(["yes", "no"], 300)
        chance = np.clip((truth == "yes") * 0.4 + random.random(300) * 0.6, 0, 1)
        outputs = pd.DataFrame(
            {"prediction": np.where(chance > 0.5, "yes", "no"), "probability": chance}
        )
        want, metric, known = metrics.Prediction(chance, chance > 0.5), "roc_auc", truth == "yes"
    else:
        codes = random.integers(0, 3, 300)
        truth = np.array(["a", "b", "c"])[codes]
        scores = np.eye(3)[codes] * 0.6 + random.random((300, 3))
        scores /= scores.sum(axis=1, keepdims=True)
        outputs = pd.DataFrame(scores, columns=[f"probability_{c}" for c in "abc"])
        outputs["prediction"] = np.array(["a", "b", "c"])[scores.argmax(axis=1)]
        want, metric, known = (
            metrics.Prediction(scores, scores.argmax(axis=1)),
            "balanced_accuracy",
            codes,
        )
    outputs["correlationid"] = ids
    collected(tmp_path, "blue", outputs.sample(frac=1, random_state=1))
    (tmp_path / "truth").mkdir()
    later = pd.DataFrame(
        {"correlationid": [*ids[:200], "unknown"], "label": [*truth[:200], truth[0]]}
    )
    later.to_parquet(tmp_path / "truth" / "2020-01.parquet")
    words = {
        "contract": write_contract(tmp_path, kind),
        "answers": tmp_path / "answers",
        "truth": tmp_path / "truth",
        "metric": metric,
        "output": tmp_path / "live.json",
    }
    given_words = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    assert replay.main(["judge", *given_words]) == 0
    (found,) = json.loads((tmp_path / "live.json").read_text())
    assert (found["period"], found["deployment"], found["rows"]) == ("2020-01", "blue", 200)
    expected = metrics.values(kind, known[:200], want.at(np.arange(200)))[metric]
    assert found["value"] == pytest.approx(expected)
    assert found["low"] < found["value"] < found["high"]


def test_an_unknown_metric_is_refused_with_those_there_are(tmp_path, capsys):
    words = {
        "contract": write_contract(tmp_path),
        "answers": tmp_path,
        "truth": tmp_path,
        "metric": "auc",
        "output": tmp_path / "x.json",
    }
    given_words = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    assert replay.main(["judge", *given_words]) == 2
    assert "roc_auc" in capsys.readouterr().err
