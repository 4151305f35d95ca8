"""Attributions of a model in two windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from modelyard.contract import model as contract
from modelyard.monitoring import attribution
from modelyard.monitoring.drift import normalized_discounted_cumulative_gain
from modelyard.monitoring.groups import split
from modelyard.monitoring.plan import Attribution
from modelyard.monitoring.windows import Window


class Weighted:
    """A regression that is a sum with known weights."""

    def __init__(self, **weights: float) -> None:
        self.weights = weights

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return sum(weight * rows[name].to_numpy() for name, weight in self.weights.items())


@pytest.fixture
def rules() -> contract.Contract:
    columns = {name: {"type": "number"} for name in ("big", "small", "idle", "y")}
    return contract.Contract.model_validate(
        {"target": {"column": "y", "kind": "regression"}, "columns": columns}
    )


def test_attributions_of_a_sum_are_its_weights(rules: contract.Contract) -> None:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.normal(size=(2_000, 3)), columns=["big", "small", "idle"])
    per_row = attribution.attributions(Weighted(big=4, small=-1), rows, rules)
    found = dict(zip(rules.features, per_row.mean(axis=1), strict=True))
    # The mean distance of two standard normals is 2 / sqrt(pi).
    assert found["big"] == pytest.approx(4 * 2 / np.sqrt(np.pi), rel=0.05)
    assert found["small"] == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)
    assert found["idle"] == 0.0


def test_a_sample_gives_every_row_the_same_chance(
    rules: contract.Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "ROWS", 400)
    rows = pd.DataFrame({"big": np.arange(4_000.0), "small": 1.0, "idle": np.nan})
    files = []
    for i, part in enumerate(np.array_split(rows, 9)):
        files.append(tmp_path / f"{i}.parquet")
        part.to_parquet(files[-1])
    found, total = attribution.sampled(Window(tuple(map(str, files))), rules)
    assert (len(found), total) == (400, 4_000)
    assert found["big"].is_unique
    assert found["big"].mean() == pytest.approx(2_000, abs=3 * 1_155 / 20)
    assert found["idle"].isna().all()


def compared(reference: Path, production: Path) -> Attribution:
    return Attribution(Window((str(production),)), Window((str(reference),)))


def test_the_ranking_changes_where_the_most_important_column_is_constant(
    rules: contract.Contract, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.normal(size=(500, 3)), columns=["big", "small", "idle"])
    same, constant = tmp_path / "same.parquet", tmp_path / "constant.parquet"
    rows.to_parquet(same)
    rows.assign(big=0.0).to_parquet(constant)

    def gain(production: Path) -> float:
        found = attribution.measure(compared(same, production), Weighted(big=4, small=1), rules)
        assert set(found["attributions"]["production"]) == {"big", "small", "idle"}
        return found["measures"][0]["value"]

    assert gain(same) == pytest.approx(1.0)
    assert gain(constant) < 0.9


@pytest.mark.parametrize(("rows", "each"), [(100, 1), (1_000, 1), (1_000, 50)])
def test_rankings_of_unchanged_rows_exceed_the_noise_as_rarely_as_promised(
    rows: int, each: int
) -> None:
    random, experiments, beyond = np.random.default_rng(0), 40, 0
    weights = np.array([[1.0], [0.97], [0.9], [0.3], [0.0]])  # the first three change places
    for _ in range(experiments):
        sides = [
            weights * random.exponential(size=(5, rows // each)).repeat(each, axis=1)
            for _ in range(2)
        ]
        splits = split([pa.array(np.arange(rows) // each)], 0.5) if each > 1 else None
        value = normalized_discounted_cumulative_gain(*(side.mean(axis=1) for side in sides))
        noise = attribution.ranking_noise(*sides, splits)
        assert 0 <= noise < 0.2 * each
        beyond += 1 - value > noise
    assert beyond <= 2  # 0.4 are expected


def test_too_few_rows_are_not_compared(rules: contract.Contract, tmp_path: Path) -> None:
    pd.DataFrame({"big": np.arange(150.0), "small": 0.0, "idle": 0.0}).to_parquet(
        tmp_path / "r.parquet"
    )
    pd.DataFrame({"big": [1.0]}).to_parquet(tmp_path / "p.parquet")
    signal = compared(tmp_path / "r.parquet", tmp_path / "p.parquet")
    found = attribution.measure(signal, Weighted(big=1), rules)
    assert found["unmeasured"] == "the production window has 1 rows; at least 100 are needed"


def test_a_feature_may_be_called_self() -> None:
    columns = {name: {"type": "number"} for name in ("self", "y")}
    goal = {"column": "y", "kind": "regression"}
    rules = contract.Contract.model_validate({"target": goal, "columns": columns})
    rows = pd.DataFrame({"self": np.random.default_rng(0).normal(size=2_000)})
    model = Weighted()
    model.weights = {"self": 1.0}
    found = attribution.attributions(model, rows, rules)
    assert found.mean() == pytest.approx(2 / np.sqrt(np.pi), rel=0.05)
