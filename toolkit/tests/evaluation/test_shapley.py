"""Contributions to one prediction: they add up, agree with exact Shapley values, and say errors."""

from __future__ import annotations

import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from modelyard.errors import UsageError
from modelyard.evaluation import shapley
from modelyard.modelling import predicting, saving


class Additive:
    """y = 3 a - 2 b + 5 (c and d together)."""

    def predict(self, rows):
        both = rows["c"].to_numpy() * rows["d"].to_numpy()
        return 3 * rows["a"].to_numpy() - 2 * rows["b"].to_numpy() + 5 * both


RULES = SimpleNamespace(
    kind="regression", features=["a", "b", "c", "d"], target=SimpleNamespace(column="y")
)


def exact(predict, row: pd.DataFrame, background: pd.DataFrame) -> np.ndarray:
    """Shapley values by their definition: over all subsets of the other columns."""
    names = list(row.columns)

    def worth(known: tuple[str, ...]) -> float:
        mixed = background.copy()
        for name in known:
            mixed[name] = row[name].iloc[0]
        return float(predict(mixed).mean())

    result = []
    for name in names:
        others = [n for n in names if n != name]
        total = 0.0
        for size in range(len(others) + 1):
            weight = (
                math.factorial(size)
                * math.factorial(len(names) - size - 1)
                / math.factorial(len(names))
            )
            for chosen in itertools.combinations(others, size):
                total += weight * (worth((*chosen, name)) - worth(chosen))
        result.append(total)
    return np.array(result)


@pytest.fixture
def numbers() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(4).normal(size=(60, 4)), columns=list("abcd"))


@pytest.mark.parametrize("seed", range(4))
def test_contributions_are_the_exact_shapley_values_within_their_stated_error(numbers, seed):
    row = pd.DataFrame([[1.0, -2.0, 1.5, 0.5]], columns=list("abcd"))
    found = shapley.explained(Additive(), row, numbers, RULES, seed=seed)
    wanted = exact(Additive().predict, row, numbers)
    # Every row of the background is used, so what is additive has no error from drawing.
    assert found.contributions[:2] == pytest.approx(wanted[:2])
    assert np.all(np.abs(found.contributions - wanted) <= 1.5 * found.errors + 1e-9)


def test_contributions_and_base_add_up_to_the_prediction(numbers):
    for at in range(5):
        row = numbers.iloc[[at]] * 2
        found = shapley.explained(Additive(), row, numbers, RULES)
        assert found.base + found.contributions.sum() == pytest.approx(found.prediction)
        assert found.prediction == pytest.approx(float(Additive().predict(row)[0]))


def test_a_wide_table_is_walked_in_parts_to_the_same_figures(numbers, monkeypatch):
    whole = shapley.explained(Additive(), numbers.iloc[[0]], numbers, RULES)
    asked = []

    class Watched(Additive):
        def predict(self, rows):
            asked.append(len(rows))
            return super().predict(rows)

    monkeypatch.setattr(shapley, "WALKED_CELLS", 7 * 4 * 5)  # seven walks
    parts = shapley.explained(Watched(), numbers.iloc[[0]], numbers, RULES)
    assert max(asked) == 7 * 5 and sum(asked) == 2 * 60 * 5
    assert parts.contributions.tolist() == whole.contributions.tolist()


def test_a_row_like_all_others_has_nothing_to_explain(numbers):
    same = pd.concat([numbers.iloc[[0]]] * 30, ignore_index=True)
    found = shapley.explained(Additive(), numbers.iloc[[0]], same, RULES)
    assert found.contributions == pytest.approx(np.zeros(4))
    assert found.errors == pytest.approx(np.zeros(4))


def test_the_same_row_is_explained_alike_every_time(numbers):
    row = numbers.iloc[[3]]
    one, other = (shapley.explained(Additive(), row, numbers, RULES) for _ in "ab")
    assert one.contributions.tolist() == other.contributions.tolist()


def explain(place, table: pd.DataFrame, **options: object) -> None:
    data = place.folder / "rows.csv"
    table.to_csv(data, index=False)
    shapley.explain_rows(place.folder / "model", place.folder / "prepared", data, **options)


def test_every_type_of_column_is_explained_and_adds_up(trained_bench, capsys):
    rows = trained_bench.test_rows().drop(columns="label").head(4)
    capsys.readouterr()
    explain(trained_bench, rows, as_json=True)
    found = json.loads(capsys.readouterr().out)["explanations"]
    assert [one["row"] for one in found] == [1, 2, 3, 4]
    rules = trained_bench.contract
    loaded = saving.load_model(trained_bench.folder / "model")
    said = predicting.predict(loaded, rows, rules).score
    for one, prediction in zip(found, said, strict=True):
        parts = one["contributions"]
        assert [part["column"] for part in parts] == rules.features
        total = one["base"] + sum(part["contribution"] for part in parts)
        assert total == pytest.approx(one["prediction"])
        assert one["prediction"] == pytest.approx(prediction)
        assert one["about"] == "chance of label = yes"


def test_one_row_is_printed_as_a_table_the_largest_part_first(trained_bench, capsys):
    rows = trained_bench.test_rows().head(3)
    capsys.readouterr()
    explain(trained_bench, rows, number=2)
    said = capsys.readouterr().out
    assert said.startswith("row 2: chance of label = yes is ")
    assert "row 1" not in said and "±" in said


def test_several_classes_are_explained_by_the_class_that_is_predicted(bench, mixed, capsys):
    table = mixed[["number", "flag"]].assign(
        y=np.where(mixed["value"] > 2, "high", np.where(mixed["flag"], "mid", "low"))
    )
    target = {"column": "y", "kind": "multiclass", "classes": ["low", "mid", "high"]}
    place = bench(table, target, {"number": "number", "flag": "boolean", "y": "category"})
    assert place.train() == 0
    capsys.readouterr()
    rows = pd.DataFrame({"number": [9.0], "flag": [True]})
    explain(place, rows, as_json=True)
    one = json.loads(capsys.readouterr().out)["explanations"][0]
    assert one["about"] == "chance of y = high"
    assert one["prediction"] > 0.5


@pytest.mark.parametrize(
    ("change", "number", "message"),
    [
        (lambda rows: rows.drop(columns="number"), None, 'has no column "number"'),
        (
            lambda rows: rows.assign(number="many"),
            None,
            'column "number", row 1: expected a number',
        ),
        (lambda rows: rows, 9, "expected a number from 1 to 3, found 9"),
        (lambda rows: pd.concat([rows] * 50), None, "at most 100 are explained at once"),
        (lambda rows: rows.head(0), None, "no rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_the_reason(trained_bench, change, number, message):
    rows = change(trained_bench.test_rows().head(3))
    with pytest.raises(UsageError, match=message):
        explain(trained_bench, rows, number=number)


def test_a_model_without_its_contract_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no contract\.yml"):
        shapley.model_contract(tmp_path)
