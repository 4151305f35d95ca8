"""Texts that hardly ever repeat are learnt from by their words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from modelyard.contract.infer import infer
from modelyard.data.table import as_table
from modelyard.errors import UsageError
from modelyard.evaluation import evaluate_model
from modelyard.modelling.saving import load_model
from modelyard.modelling.word_scores import WordScores

WORDS = ["red", "green", "loud", "quiet", "late", "early", "broken", "fine", "the", "was", "it"]
TARGETS = {
    "multiclass": {"column": "y", "kind": "multiclass", "classes": ["bad", "good", "odd"]},
    "regression": {"column": "y", "kind": "regression"},
}


def complaints(rows: int, seed: int = 0) -> pd.DataFrame:
    """Unique texts; what they say lies in their words."""
    random = np.random.default_rng(seed)
    said = [" ".join(random.choice(WORDS, 8)) + f" {number}" for number in range(rows)]
    return pd.DataFrame({"text": said})


def judged(texts: pd.Series, kind: str) -> list[object]:
    bad, odd = texts.str.contains("broken"), texts.str.contains("green") & (kind == "multiclass")
    if kind == "regression":
        return list(10.0 * bad + np.arange(len(texts)) % 2)
    return list(np.where(odd, "odd", np.where(bad, "bad", "good")))


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_a_table_of_unique_texts_alone_gets_a_model(bench, kind):
    table = complaints(600)
    table["y"] = judged(table["text"], kind)
    types = {"text": "text", "y": "number" if kind == "regression" else "category"}
    place = bench(table, TARGETS[kind], types)
    assert place.train() == 0
    (feature,) = place.evidence("training")["details"]["features"]
    assert feature["encoding"] == "words of 480 texts"
    found = evaluate_model(load_model(place.folder / "model"), place.test_rows(), place.contract)
    metric = {"multiclass": "roc_auc_ovr", "regression": "r2"}[kind]
    assert found[metric] > 0.9


@pytest.mark.parametrize(
    "texts",
    [
        ["x1", "x2", "x3"],  # single words: by their characters
        ["冷たい水", "熱いお茶", "冷たいお茶"],
        ["", None, "?!"],  # nothing to count
        [None, None, None],
    ],
)
def test_any_text_is_scored(texts):
    column = np.array(texts * 20, dtype=object)[:, None]
    target = np.array([0.0, 1.0, 5.0] * 20)
    encode = WordScores("regression")
    known = encode.fit_transform(column, target)
    assert known.shape == (60, 1) and np.isfinite(known).all()
    new = encode.transform(np.array([["never seen"], [None]], dtype=object))
    assert new.shape == (2, 1) and np.isfinite(new).all()


def test_the_rows_that_are_learnt_from_are_scored_without_themselves():
    random = np.random.default_rng(0)
    column = np.array([f"word{i} other{i}" for i in range(200)], dtype=object)[:, None]
    target = np.array(random.random(200) < 0.5)
    encode = WordScores("binary")
    seen = encode.fit_transform(column, target)[:, 0]
    again = encode.transform(column)[:, 0]  # by what learnt each text by heart
    assert again[target].min() > again[~target].max()
    assert abs(seen[target].mean() - seen[~target].mean()) < 0.1


def test_texts_of_a_table_without_any_other_column_are_no_identifiers(tmp_path):
    table = complaints(100)
    table["y"] = judged(table["text"], "binary")
    assert infer(as_table(table, tmp_path / "t.csv"), "y").contract.features == ["text"]
    short = table.assign(text=[f"offer {i}" for i in range(100)])
    assert infer(as_table(short, tmp_path / "t.csv"), "y").contract.features == ["text"]
    beside = short.assign(x=np.arange(100) % 7)
    assert infer(as_table(beside, tmp_path / "t.csv"), "y").contract.features == ["x"]
    codes = table.assign(text=[f"A{i}" for i in range(100)])
    with pytest.raises(UsageError, match=r"no column that a model could learn from.*every row has"):
        infer(as_table(codes, tmp_path / "t.csv"), "y")
