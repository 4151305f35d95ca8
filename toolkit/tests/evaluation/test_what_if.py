"""Another value of a column: what the contract allows, what the model knows, and what it would predict."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelyard.contract.model import load_contract, save_contract
from modelyard.errors import UsageError
from modelyard.evaluation import shapley
from modelyard.evaluation.what_if import predicted_class
from modelyard.modelling import predicting, saving

from tests.bench import Bench


def ask(place: Bench, table: pd.DataFrame, *what_if: str, **options: Any) -> None:
    data = place.folder / "rows.csv"
    table.to_csv(data, index=False)
    folders = (place.folder / "model", place.folder / "prepared")
    shapley.explain_rows(*folders, data, what_if=what_if, **options)


def test_before_and_after_are_what_the_model_predicts_and_add_up(
    trained_bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = trained_bench.test_rows().head(2).drop(columns="label")
    capsys.readouterr()
    ask(trained_bench, rows, "number=1.5", "group=a", "gaps=", as_json=True)
    found = json.loads(capsys.readouterr().out)["explanations"]
    rules = trained_bench.contract
    model = saving.load_model(trained_bench.folder / "model")
    changed = rows.assign(number=1.5, group="a", gaps=np.nan)
    for one, before, after in zip(
        found,
        predicting.predict(model, rows, rules).score,
        predicting.predict(model, changed, rules).score,
        strict=True,
    ):
        other = one["what_if"]
        assert one["prediction"] == pytest.approx(before)
        assert other["prediction"] == pytest.approx(after)
        assert other["difference"] == pytest.approx(after - before)
        for each in (one, other):
            total = each["base"] + sum(part["contribution"] for part in each["contributions"])
            assert total == pytest.approx(each["prediction"])
        assert {part["column"]: part["value"] for part in other["contributions"]}["group"] == "a"
        assert [(c["column"], c["to"]) for c in other["changes"]] == [
            ("number", 1.5), ("group", "a"), ("gaps", None),
        ]  # fmt: skip
        assert [c["warning"] for c in other["changes"]] == [None] * 3


def test_the_value_that_a_row_has_changes_nothing(
    trained_bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = trained_bench.test_rows().head(1)
    capsys.readouterr()
    ask(trained_bench, rows, f"flag={rows['flag'].iloc[0]}", as_json=True)
    [one] = json.loads(capsys.readouterr().out)["explanations"]
    assert one["what_if"]["difference"] == 0
    assert one["what_if"]["contributions"] == one["contributions"]


def test_both_are_printed_with_what_changed_first_and_the_class(
    trained_bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = trained_bench.test_rows().sort_values("number").head(1)
    capsys.readouterr()
    ask(trained_bench, rows, "number=2.5", "flag=yes", "group=a")
    said = capsys.readouterr().out
    assert said.startswith("row 1: chance of label = yes is ")
    assert "with number = 2.5, flag = true, group = a it is " in said
    first = next(line for line in said.splitlines() if "→" in line)
    assert first.split()[0] == "number" and "→ 2.5" in first
    assert "the predicted class changes from not yes to yes" in said


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ("number=40", r'column "number": 40 is outside what the model was trained on: -\d.* to \d'),
        ("group=z", 'column "group": z is outside what the model was trained on: a, b, c'),
        (
            "when=2031-01-01",
            r'"when": 2031-01-01 00:00:00 is outside .*: 2020-01-01 00:00:00 to 20',
        ),
        ("flag=", r'"flag": \(missing\) is outside .*: no value was missing'),
    ],
)
def test_a_value_that_the_model_has_not_seen_is_warned_about(
    trained_bench: Bench, capsys: pytest.CaptureFixture[str], change: str, warning: str
) -> None:
    capsys.readouterr()
    ask(trained_bench, trained_bench.test_rows().head(1), change, as_json=True)
    said = capsys.readouterr()
    [one] = json.loads(said.out)["explanations"][0]["what_if"]["changes"]
    assert said.err == f"warning: {one['warning']}\n"
    assert re.search(warning, one["warning"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["number"], "expected COLUMN=VALUE, found 'number'"),
        (["numbr=1"], 'the model has no column "numbr"; did you mean `number`'),
        (["label=yes"], '"label" is no feature of the model, its role is target'),
        (["number=many"], "column \"number\": expected a number, found 'many'"),
        (["whole=1.5"], "expected a whole number, found '1.5'"),
        (["whole="], "expected a whole number, none may be missing, found ''"),
        (["whole=99"], "expected 0 to 8, found '99', which the data contract refuses"),
        (["group=q"], "expected one of a, b, c, found 'q'"),
        (["number=1", "number=2"], '"number" is given twice'),
    ],
)
def test_what_the_contract_refuses_is_refused_with_what_it_expects(
    trained_bench: Bench, changes: list[str], message: str
) -> None:
    path = trained_bench.folder / "model" / saving.CONTRACT_FILE
    rules = load_contract(path)
    columns = rules.columns | {
        "whole": rules.columns["whole"].model_copy(update={"min": 0, "max": 8}),
        "group": rules.columns["group"].model_copy(update={"categories": ("a", "b", "c")}),
    }
    save_contract(rules.model_copy(update={"columns": columns}), path)
    with pytest.raises(UsageError) as refused:
        ask(trained_bench, trained_bench.test_rows().head(1), *changes)
    assert message in str(refused.value)


def test_of_several_classes_the_one_that_the_row_has_is_followed(
    bench: Any, mixed: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    table = mixed[["number", "flag"]].assign(
        y=np.where(mixed["number"] > 0.5, "high", np.where(mixed["flag"], "mid", "low"))
    )
    target = {"column": "y", "kind": "multiclass", "classes": ["low", "mid", "high"]}
    place = bench(table, target, {"number": "number", "flag": "boolean", "y": "category"})
    assert place.train() == 0
    capsys.readouterr()
    rows = pd.DataFrame({"number": [1.5], "flag": [True]})
    ask(place, rows, "number=-1", as_json=True)
    [one] = json.loads(capsys.readouterr().out)["explanations"]
    assert one["about"] == one["what_if"]["about"] == "chance of y = high"
    assert one["prediction"] > 0.5 > one["what_if"]["prediction"]
    assert one["what_if"]["predicted"] == {"before": "high", "after": "mid"}


def test_a_number_has_no_class(bench: Any, mixed: pd.DataFrame) -> None:
    types = {"number": "number", "value": "number"}
    place = bench(mixed, {"column": "value", "kind": "regression"}, types)
    score = np.array([1.0])
    assert predicted_class(predicting.Prediction(score, score), place.contract) is None
