"""Few held-out rows: every row is judged by models that have not seen it."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from modelyard.data.folds import copies
from modelyard.evaluation.held_out import held_out
from modelyard.evaluation.out_of_fold import out_of_fold
from modelyard.gates import Threshold
from modelyard.steps import prepare
from pydantic import BaseModel
from sklearn.metrics import roc_auc_score

from tests.bench import MIXED

F1 = Threshold(purpose="f1")


class Settings(BaseModel):
    """No settings."""


def folded(place, rows: pd.DataFrame) -> None:
    """Give a bench the folds that the step `prepare` would write."""
    same = copies(rows.drop(columns=place.contract.target.column))
    prepare.write_folds(prepare.folds(rows, same, place.contract), place.folder / "prepared")


@pytest.fixture
def fits(monkeypatch):
    """A project whose `fit` keeps what it was given, and predicts which of the fits it was."""
    given: list[tuple[pd.DataFrame, pd.DataFrame]] = []

    def fit(contract, train, validation, settings, log, purpose):
        assert purpose is F1
        given.append((train, validation))
        share = len(given) / 100
        model = SimpleNamespace(
            classes_=["no", "yes"],
            threshold=0.5,
            predict_proba=lambda rows: np.tile([1 - share, share], (len(rows), 1)),
        )
        return SimpleNamespace(model=model, baseline=model)

    module = ModuleType("remembering")
    module.fit, module.Settings = fit, Settings
    monkeypatch.setitem(sys.modules, "remembering", module)
    return given


@pytest.mark.parametrize("time", [None, "when"])
def test_no_row_is_predicted_by_a_model_that_has_seen_it_or_what_came_later(
    bench, mixed, fits, time
):
    rows = mixed.drop(columns="value").assign(name=[f"row {i}" for i in range(len(mixed))])
    types = {**MIXED, "label": "category"}
    place = bench(rows, {"column": "label", "kind": "binary", "positive": "yes"}, types, time=time)
    folded(place, rows)
    (place.folder / "model").mkdir()
    (place.folder / "model" / "settings.json").write_text("{}")
    judged = out_of_fold(
        place.folder / "prepared", place.folder / "model", "remembering", place.contract, F1
    )
    assert judged.method == "out-of-fold"
    assert len(fits) == 5
    for train, validation in fits:
        assert not set(train["name"]) & set(validation["name"])
    for number, score in enumerate(judged.predictions["challenger"].score):
        seen, row = pd.concat(fits[round(score * 100) - 1]), judged.rows.iloc[number]
        assert row["name"] not in set(seen["name"])
        if time:
            assert seen["when"].max() < row["when"]
    assert len(set(judged.rows["name"])) == len(judged.rows)
    assert len(judged.rows) == len(rows) if time is None else len(judged.rows) > len(rows) * 0.45


def test_evaluation_and_groups_are_judged_on_all_rows_and_the_champion_on_held_out_ones(
    bench, mixed
):
    rows = mixed[["number", "flag", "group", "label"]]
    types = {"number": "number", "flag": "boolean", "group": "category", "label": "category"}
    target = {"column": "label", "kind": "binary", "positive": "yes"}
    place = bench(rows, target, types, sensitive=["group"])
    folded(place, rows)
    place.training = "flight_delay.train"
    assert place.train(learner="linear") == 0
    place.make_champion()
    assert place.assess() == 0
    details = place.evidence("evaluation")["details"]
    assert details["judged_on"] == {
        "method": "out-of-fold",
        "rows": 600,
        "held_out": 120,
        "classes": details["judged_on"]["classes"],
        "error": None,
    }
    assert sum(details["judged_on"]["classes"].values()) == 600
    assert sum(map(sum, details["confusion"]["matrix"])) == 600
    assert details["models"]["champion"] is None
    assert details["comparisons"]["champion"]["roc_auc"]["difference"] == 0
    groups = place.evidence("fairness")["details"]["columns"][0]
    assert sum(group["rows"] for group in groups["groups"]) == 600
    apart = groups["disparities"]["selection_rate"]
    assert apart["groups"] == 4 and apart["over_champion"]["value"] == 0


def test_what_cannot_be_fitted_again_is_judged_on_held_out_rows_and_says_why(bench, mixed):
    rows = mixed[["number", "label"]]
    target = {"column": "label", "kind": "binary", "positive": "yes"}
    place = bench(rows, target, {"number": "number", "label": "category"})
    place.training = "flight_delay.train"
    assert place.train() == place.evaluate() == 0
    on = place.evidence("evaluation")["details"]["judged_on"]
    assert on["method"] == "held-out" and "folds.parquet cannot be read" in on["error"]


def test_a_table_of_few_distinct_rows_is_ranked_as_well_as_its_shares_allow(bench):
    """1,200 rows of twelve distinct ones: each combination is predicted by models that never saw it."""
    random = np.random.default_rng(0)
    cell = random.integers(0, 12, 1200)
    dept, gender = cell // 2, cell % 2
    chance = np.array([0.65, 0.6, 0.35, 0.33, 0.25, 0.07])[dept]
    rows = pd.DataFrame(
        {
            "dept": np.array(list("ABCDEF"))[dept],
            "gender": np.where(gender, "f", "m"),
            "y": random.random(1200) < chance,
        }
    )
    types = {"dept": "category", "gender": "category", "y": "boolean"}
    place = bench(rows, {"column": "y", "kind": "binary", "positive": True}, types)
    folded(place, rows)
    place.training = "flight_delay.train"
    assert place.train(learner="linear") == 0
    judged = held_out(*place.inputs(), training=place.training).judged
    assert judged.method == "out-of-fold" and len(judged.rows) == 1200
    best = roc_auc_score(rows["y"], chance)
    assert roc_auc_score(judged.truth, judged.predictions["baseline"].score) > best - 0.05
