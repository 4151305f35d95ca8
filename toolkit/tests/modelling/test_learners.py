"""Projects with another learner or with derived features: everything after `model.py` works alike."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelyard.evaluation import shapley
from modelyard.modelling.predicting import predict
from modelyard.modelling.saving import load_model
from modelyard.serving import footprint

from tests.bench import MIXED, Bench
from tests.project import ROOT

LINEAR = """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    features = choose_features(rows, contract)
    words = ("words", OneHotEncoder(handle_unknown="ignore"), categorical_positions(features))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    is_regression = contract.kind == "regression"
    learner = Ridge() if is_regression else LogisticRegression(C=settings.c, max_iter=1000)
    learner = make_pipeline(ColumnTransformer([words], remainder=numbers), learner)
    return {"own": Candidate(learner, features)}
"""
FOREST = """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    is_regression = contract.kind == "regression"
    forest = RandomForestRegressor if is_regression else RandomForestClassifier
    learner = forest(15, min_samples_leaf=3, random_state=settings.seed)
    return {"own": Candidate(learner, choose_features(rows, contract))}
"""
TARGETS: dict[str, dict[str, Any]] = {
    "binary": {"column": "y", "kind": "binary", "positive": "yes"},
    "multiclass": {"column": "y", "kind": "multiclass", "classes": ["low", "mid", "high"]},
    "regression": {"column": "y", "kind": "regression"},
}
METRIC = {"binary": "roc_auc", "multiclass": "roc_auc_ovr", "regression": "r2"}
_numbers = itertools.count()


@pytest.fixture
def science(tmp_path, monkeypatch):
    """Use a copy of the template's package in a bench, with some texts replaced."""
    monkeypatch.syspath_prepend(str(tmp_path / "src"))

    def use(place: Bench, replaced: dict[str, dict[str, str]]) -> str:
        name = f"variant_{os.getpid()}_{next(_numbers)}"
        folder = tmp_path / "src" / name
        shutil.copytree(ROOT / "src" / "flight_delay", folder)
        for file, changes in replaced.items():
            text = (folder / file).read_text(encoding="utf-8")
            for old, new in changes.items():
                assert old in text
                text = text.replace(old, new)
            (folder / file).write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        train = importlib.import_module(f"{name}.train")
        place.settings, place.fit = train.Settings, train.fit
        return name

    return use


def other_learner(body: str) -> dict[str, dict[str, str]]:
    """`model.py` with another body of `build_candidates`."""
    text = (ROOT / "src" / "flight_delay" / "model.py").read_text(encoding="utf-8")
    start = text.index('    make = {"linear"')
    return {"model.py": {text[start : text.index("\n\ndef _boosting")]: body.lstrip("\n")}}


def of_kind(bench, mixed: pd.DataFrame, kind: str) -> Bench:
    """A bench of every type of feature, for a kind of problem."""
    table = mixed.drop(columns=["label", "value"])
    bands = pd.qcut(mixed["value"], 3, labels=["low", "mid", "high"]).astype(str)
    y = {"binary": mixed["label"], "multiclass": bands, "regression": mixed["value"]}[kind]
    types = {**MIXED, "y": "number" if kind == "regression" else "category"}
    return bench(table.assign(y=y), TARGETS[kind], types, time="when", sensitive=["group"])


@pytest.mark.parametrize(
    ("kind", "body"),
    [("binary", LINEAR), ("multiclass", FOREST), ("regression", LINEAR)],
    ids=["binary-linear", "multiclass-forest", "regression-linear"],
)
def test_another_learner_is_trained_measured_and_explained(
    bench, mixed, science, capfd, monkeypatch, kind, body
):
    for name, fewer in (("ROUNDS", 1), ("ASKED", 2), ("WARM_UP", 1)):
        monkeypatch.setattr(footprint, name, fewer)
    place = of_kind(bench, mixed, kind)
    science(place, other_learner(body))
    assert place.train("--c", "0.5") == 0
    assert "threshold" in capfd.readouterr().out or kind != "binary"
    training = place.evidence("training")
    assert training["params"]["c"] == 0.5
    assert training["details"]["stopped"] == "fitted" and training["details"]["iterations"] == 1
    constant, own = training["series"]["validation_loss"]
    assert own < constant
    assert place.assess() == 0
    assert capfd.readouterr().err == ""
    models = place.evidence("evaluation")["details"]["models"]
    assert models["challenger"][METRIC[kind]]["value"] > (0.5 if kind == "regression" else 0.8)
    assert place.evidence("importance")["details"]["features"][0]["name"] == "number"
    assert place.evidence("footprint")["metrics"]["latency_p95"] > 0


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_the_loss_of_a_learner_without_iterations_is_that_of_boosting(bench, mixed, science, kind):
    place = of_kind(bench, mixed, kind)
    assert place.train("--max-iterations", "1", "--learner", "boosting") == 0
    boosted = place.evidence("training")["series"]
    for name in ("model", "baseline"):
        shutil.rmtree(place.folder / name)
    science(place, other_learner(LINEAR))
    assert place.train() == 0
    # Both begin with the loss of a constant on the same rows: the log loss, or half the squared error.
    assert place.evidence("training")["series"]["validation_loss"][0] == pytest.approx(
        boosted["validation_loss"][0], rel=1e-6
    )


DERIVED = {
    "features.py": {
        "    return rows\n": "    return rows.assign(\n"
        '        sum=rows["number"] + rows["whole"],\n'
        '        pair=rows["group"].astype(str) + rows["flag"].astype(str),\n'
        '        night=rows["when"].dt.hour < 6,\n'
        '        whole=rows["whole"] % 3,\n'
        "    )\n"
    }
}


@pytest.fixture
def derived(mixed_bench, science) -> Bench:
    """A trained bench with three derived features, and one column overwritten."""
    mixed_bench.package = science(mixed_bench, DERIVED)
    assert mixed_bench.train() == 0
    return mixed_bench


def test_derived_features_are_learnt_from_by_what_they_hold(derived):
    seen = {f["name"]: f for f in derived.evidence("training")["details"]["features"]}
    assert {*derived.contract.features, "sum", "pair", "night"} == set(seen)
    assert (seen["sum"]["kind"], seen["night"]["kind"]) == ("number", "boolean")
    assert seen["pair"]["encoding"] == "8 categories"
    model = load_model(derived.folder / "model")
    learnt = model.estimator.estimator["encode"].transformers_
    categories = dict(
        zip(
            next(columns for name, _, columns in learnt if name == "category"),
            next(block for name, block, _ in learnt if name == "category")["encode"].categories_,
            strict=True,
        )
    )
    assert len(categories["pair"]) == 8


def test_one_row_is_predicted_as_it_is_among_others_and_importance_explains_raw_columns(derived):
    model, rows = load_model(derived.folder / "model"), derived.test_rows()
    together = predict(model, rows, derived.contract)
    alone = [predict(model, rows.iloc[[i]], derived.contract).score[0] for i in range(5)]
    np.testing.assert_allclose(alone, together.score[:5], rtol=0, atol=1e-12)
    assert derived.explain() == derived.evaluate() == 0
    features = {f["name"]: f for f in derived.evidence("importance")["details"]["features"]}
    assert set(features) == set(derived.contract.features)
    background = rows[derived.contract.features]
    found = shapley.explained(model, background.iloc[[3]], background, derived.contract)
    assert found.base + found.contributions.sum() == pytest.approx(found.prediction)
    assert found.prediction == pytest.approx(together.score[3])


def test_an_overwritten_column_is_learnt_from_as_it_was_overwritten(bench, science):
    random = np.random.default_rng(0)
    x = random.integers(0, 9, 600)
    table = pd.DataFrame(
        {"x": x, "y": np.where(x % 3 == 0, 5.0, 0.0) + random.normal(size=600) / 9}
    )
    place = bench(table, {"column": "y", "kind": "regression"}, {"x": "integer", "y": "number"})
    overwrite = {
        "    return rows\n": '    return rows.assign(x=(rows["x"] % 3 == 0).astype(int))\n'
    }
    science(place, {"features.py": overwrite})
    assert place.train() == 0
    made = predict(
        load_model(place.folder / "model"), pd.DataFrame({"x": [300, 301]}), place.contract
    )
    np.testing.assert_allclose(made.score, [5, 0], atol=0.1)


ELSEWHERE = """
import importlib.abc, json, sys
import pandas as pd

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refuse())
from pathlib import Path
from modelyard.modelling.saving import load_model
model = load_model(Path(sys.argv[2]))
assert "mlflow" not in sys.modules
print(json.dumps(model.predict(pd.read_parquet(sys.argv[3])).tolist()))
"""


def test_a_model_with_derived_features_is_loaded_without_the_project(derived):
    rows = derived.test_rows()[derived.contract.features]
    rows.to_parquet(derived.folder / "rows.parquet")
    words = [derived.package, str(derived.folder / "model"), str(derived.folder / "rows.parquet")]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *words], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == load_model(derived.folder / "model").predict(rows).tolist()
