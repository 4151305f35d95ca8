"""The worst cohorts: found where one was planted, and nowhere in noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from modelyard.contract.model import Contract
from modelyard.evaluation.cohorts import cohorts
from modelyard.evaluation.held_out import Champion, HeldOut
from modelyard.gates import Gates
from modelyard.modelling.predicting import Prediction

TYPES = {
    "size": "number",
    "gaps": "number",
    "kind": "category",
    "flag": "boolean",
    "empty": "number",
    "huge": "number",
    "when": "datetime",
    "words": "text",
}
Planted = Callable[[pd.DataFrame], pd.Series]


def nowhere(table: pd.DataFrame) -> pd.Series:
    return pd.Series(False, index=table.index)


def held(rows: int, kind: str, planted: Planted = nowhere, seed: int = 0) -> HeldOut:
    """Judged rows of which a fifth is predicted wrong, and half of the planted ones."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "size": random.normal(size=rows),
            "gaps": np.where(random.random(rows) < 0.2, np.nan, random.normal(size=rows)),
            "kind": random.choice(["a", "b", "c", "d", "e", None], rows),
            "flag": random.random(rows) < 0.5,
            "empty": np.full(rows, np.nan),
            "huge": random.normal(size=rows) * 1e300,
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows), "h"),
            "words": [f"text {at}" for at in range(rows)],
        }
    )
    wrong = random.random(rows) < np.where(planted(table), 0.5, 0.2)
    target: dict[str, object] = {"column": "y", "kind": kind}
    if kind == "regression":
        truth = random.lognormal(sigma=0.5, size=rows) * np.where(planted(table), 3, 1)
        score = label = np.zeros(rows)
    else:
        truth = random.integers(0, 2 if kind == "binary" else 4, rows)
        label = (truth + wrong) % (2 if kind == "binary" else 4)
        score = np.eye(4)[label] if kind == "multiclass" else label.astype(float)
        target |= {"positive": 1} if kind == "binary" else {"classes": [0, 1, 2, 3]}
    types = TYPES | {"y": "number" if kind == "regression" else "integer"}
    columns = {name: {"type": type_} for name, type_ in types.items()}
    return HeldOut(
        Contract.model_validate({"target": target, "columns": columns}),
        Gates(promotion={}),
        "accuracy",
        table.assign(y=truth),
        truth,
        model=None,
        predictions={"challenger": Prediction(score, label)},
        champion=Champion(None, None),
    )


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_planted_cohort_is_found_with_its_rule_rows_and_error(kind: str) -> None:
    found = cohorts(
        held(8_000, kind, lambda table: table["kind"].isin(["b", "c"]) & (table["size"] > 0))
    )
    worst = found["nodes"][found["worst"]]
    assert "kind is b or c" in worst["rule"]
    assert any(part.startswith("size > ") for part in worst["rule"])
    assert worst["error"]["low"] < worst["error"]["value"] < worst["error"]["high"]
    assert worst["more"]["low"] > 0
    assert 400 < worst["rows"] < 900
    everyone = found["nodes"][0]
    assert everyone["rule"] == [] and not everyone["worse"]
    assert everyone["rows"] == found["judged_on"] == 8_000 - found["found_on"]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_noise_has_no_worst_cohort(kind: str) -> None:
    found = [cohorts(held(1_500, kind, seed=seed)) for seed in range(40)]
    assert all(one["comparisons"] > 2 for one in found), "each tree had something to say"
    # Of 40 at a confidence of 95% two would be fair; the correction is on the safe side.
    assert sum(one["worst"] is not None for one in found) <= 2


def test_missing_values_are_a_condition() -> None:
    found = cohorts(held(6_000, "binary", lambda table: table["gaps"].isna()))
    assert found["nodes"][found["worst"]]["rule"] == ["gaps is missing"]


def test_rows_that_belong_together_are_no_evidence_for_each_other() -> None:
    once = held(300, "binary", lambda table: table["flag"], seed=3)
    copied = np.tile(np.arange(300), 20)
    prediction = once.predictions["challenger"].at(copied)
    many = HeldOut(
        once.contract,
        once.gates,
        once.metric,
        once.rows.iloc[copied].reset_index(drop=True),
        once.truth[copied],
        model=None,
        predictions={"challenger": prediction},
        champion=once.champion,
    )
    found = cohorts(many)
    worst = [node["error"] for node in found["nodes"]]
    # As wide as for 150 rows, not as for 3,000.
    assert worst[0]["high"] - worst[0]["low"] > 0.1


def test_few_rows_are_said_to_be_too_few() -> None:
    found = cohorts(held(150, "binary"))
    assert (found["nodes"], found["worst"]) == ([], None)
    assert found["why"] == "150 rows are too few: each half needs 100"


def test_the_same_rows_give_the_same_cohorts() -> None:
    one, other = (cohorts(held(3_000, "binary", lambda table: table["flag"])) for _ in "ab")
    assert one == other and one["worst"] is not None
