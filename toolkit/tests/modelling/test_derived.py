"""Derived features: added to the same rows, in training and where a model is asked."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from modelyard.errors import UsageError
from modelyard.modelling import derive
from modelyard.modelling.derived import DerivedFeatures

from tests.modelling.test_encoding import rules

ROWS = pd.DataFrame({"size": [3.0, 1.0, 2.0], "y": [True, False, True]})
RULES = rules({"size": "number"})


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda rows: rows[rows["size"] > 1], "given 3 rows and returned 2"),
        (lambda rows: rows.sort_values("size"), "in another order"),
        (lambda rows: rows[[]].assign(x=1), "lost .*size"),
        (lambda rows: rows["size"], "returned Series; expected a table"),
        (lambda rows: None, "returned NoneType; expected a table"),
        (lambda rows: pd.concat([rows, rows], axis=1), "size.* twice"),
        (lambda rows: rows.assign(**{"x": 1}).rename(columns={"x": 3}), "named .3. by a number"),
    ],
    ids=["dropped", "sorted", "lost", "a column", "nothing", "twice", "number"],
)
def test_whatever_else_is_done_to_rows_is_refused(function: Any, said: str) -> None:
    def add_features(rows: pd.DataFrame, _: object) -> Any:
        return function(rows)

    with pytest.raises(UsageError, match=said):
        derive(add_features, ROWS, RULES)
    with pytest.raises(UsageError, match=said):
        DerivedFeatures(add_features, RULES.model_dump()).transform(ROWS[["size"]])


def test_a_join_may_number_rows_anew() -> None:
    names = pd.DataFrame({"size": [1.0, 2.0, 3.0], "name": ["s", "m", "l"]})
    made = derive(lambda rows, _: rows.merge(names, how="left"), ROWS.iloc[::-1], RULES)
    assert made["name"].tolist() == ["m", "s", "l"]
