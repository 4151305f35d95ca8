"""Saved models: what they hold, that they need no code of this project, and how they are asked."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flight_delay import model
from modelyard.errors import UsageError
from modelyard.modelling import predicting, saving
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

# A process that cannot import this package, as the one that serves the model.
ELSEWHERE = """
import json, sys
import numpy as np, pandas as pd

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == PACKAGE:
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refuse())
import mlflow.pyfunc, mlflow.sklearn

rows = pd.read_parquet(ROWS)
new = rows.head(3).assign(group="never seen", name=None, gaps=np.nan, maybe=True)
found = {}
for name in MODELS:
    for flavor in (mlflow.sklearn, mlflow.pyfunc):
        loaded = flavor.load_model(name)
        for frame in (rows, rows[rows.columns[::-1]], rows.head(1), new):
            key = f"{name} {flavor.__name__}"
            found.setdefault(key, []).append(np.asarray(loaded.predict(frame)).tolist())
print(json.dumps(found))
"""


def test_saved_models_work_where_this_package_is_not(trained_bench):
    rows = trained_bench.test_rows()[trained_bench.contract.features]
    rows.to_parquet(trained_bench.folder / "rows.parquet")
    models = [str(trained_bench.folder / name) for name in ("model", "baseline")]
    names = {
        "PACKAGE": model.__name__.partition(".")[0],
        "ROWS": str(trained_bench.folder / "rows.parquet"),
        "MODELS": models,
    }
    script = "\n".join(f"{name} = {value!r}" for name, value in names.items()) + ELSEWHERE
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=trained_bench.folder,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name, answers in json.loads(done.stdout.splitlines()[-1]).items():
        here = saving.load_model(trained_bench.folder / Path(name.split()[0]).name).predict(rows)
        in_order, reversed_columns, first, new = answers
        assert in_order == reversed_columns == here.tolist(), name
        assert first == here.tolist()[:1]
        assert set(new) <= {"yes", "no"}


def test_saving_says_nothing_and_needs_no_look_at_the_environment(trained_bench, capfd):
    capfd.readouterr()
    fitted = saving.load_model(trained_bench.folder / "model")
    saving.save_model(
        fitted, trained_bench.folder / "again", trained_bench.test_rows(), trained_bench.contract
    )
    assert capfd.readouterr() == ("", "")
    needed = (trained_bench.folder / "again" / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in needed] == list(saving.NEEDED_TO_LOAD)


def test_the_learners_own_distribution_is_required_also_behind_a_threshold():
    class Foreign(DummyClassifier):
        __module__ = "fairlearn.somewhere"

    model = Pipeline([("encode", StandardScaler()), ("learn", Foreign())])
    for made in (model, FixedThresholdClassifier(FrozenEstimator(model))):
        names = [line.partition("==")[0] for line in saving._requirements(made)]
        assert names == [*saving.NEEDED_TO_LOAD, "fairlearn"]


def test_the_signature_is_the_contracts(trained_bench):
    from mlflow.models import get_model_info

    signature = get_model_info(str(trained_bench.folder / "model")).signature
    types = {column.name: str(column.type) for column in signature.inputs}
    assert list(types) == trained_bench.contract.features
    assert types["whole"] == "DataType.long" and types["when"] == "DataType.datetime"
    assert types["number"] == "DataType.double" and types["group"] == "DataType.string"
    assert types["gaps"] == types["maybe"] == "Any"
    example = json.loads((trained_bench.folder / "model" / "input_example.json").read_text())
    assert len(example["data"]) == saving.EXAMPLE_ROWS


def test_a_folder_in_use_is_not_written_to(trained_bench, capsys):
    assert trained_bench.train() == 2
    assert "is not empty" in capsys.readouterr().err


def test_what_is_no_model_cannot_be_loaded(tmp_path, trained_bench):
    with pytest.raises(UsageError, match="holds no MLflow model"):
        saving.load_model(tmp_path / "nothing")
    described = trained_bench.folder / "model" / "MLmodel"
    here = described.read_text(encoding="utf-8")
    described.write_text(
        here.replace(f"python_version: {platform.python_version()}", "python_version: 3.9.1")
    )
    with pytest.raises(UsageError, match=r"saved with Python 3\.9 .* make setup PYTHON=python3\.9"):
        saving.load_model(trained_bench.folder / "model")
    described.write_text(here, encoding="utf-8")
    (trained_bench.folder / "model" / "model.pkl").write_bytes(b"broken")
    with pytest.raises(UsageError, match="cannot be loaded"):
        saving.load_model(trained_bench.folder / "model")


def test_models_that_others_saved_are_loaded_by_mlflow(tmp_path):
    import mlflow.sklearn

    fitted = LogisticRegression().fit([[0.0], [1.0]], [False, True])
    mlflow.sklearn.save_model(
        fitted, str(tmp_path / "other"), pip_requirements=[], serialization_format="pickle"
    )
    assert saving.load_model(tmp_path / "other").predict([[1.0]]).tolist() == [True]


def test_labels_follow_the_models_own_threshold(trained_bench):
    fitted = saving.load_model(trained_bench.folder / "model")
    rows = trained_bench.test_rows()
    made = predicting.predict(fitted, rows, trained_bench.contract)
    assert made.label.tolist() == (fitted.predict(rows) == "yes").tolist()
    assert made.label.tolist() == (made.score >= fitted.threshold).tolist()


class Certain:
    """Gives chances of 0.3, 0.5 and 0.7, and predicts yes from 0.5 on."""

    classes_, threshold = np.array(["no", "yes"]), 0.5

    def predict_proba(self, rows):
        chance = np.array([0.3, 0.5, 0.7])
        return np.column_stack([1 - chance, chance])


def test_a_score_at_the_threshold_is_positive(mixed_bench):
    made = predicting.predict(Certain(), mixed_bench.table.head(3), mixed_bench.contract)
    assert made.label.tolist() == [False, True, True]


def test_a_model_without_the_columns_or_the_class_says_so(trained_bench):
    fitted = saving.load_model(trained_bench.folder / "model")
    with pytest.raises(UsageError, match=r"cannot score these rows.*number"):
        predicting.predict(
            fitted, trained_bench.test_rows().drop(columns="number"), trained_bench.contract
        )
    other = DummyClassifier().fit([[0], [1]], ["maybe", "no"])
    with pytest.raises(UsageError, match=r"tells maybe, no apart.*one of them yes"):
        predicting.predict(other, trained_bench.test_rows(), trained_bench.contract)


def test_classes_are_brought_into_the_contracts_order(bench):
    table = pd.DataFrame({"x": np.arange(30.0), "y": ["a", "b", "c"] * 10})
    place = bench(
        table,
        {"column": "y", "kind": "multiclass", "classes": ["c", "a", "b"]},
        {"x": "number", "y": "category"},
    )
    fitted = DummyClassifier(strategy="prior").fit(
        table[["x"]], ["b"] * 20 + ["old"] * 7 + ["a"] * 3
    )
    made = predicting.predict(fitted, table, place.contract)
    assert made.score[0].tolist() == pytest.approx([0.0, 0.1, 2 / 3])
    assert set(made.label) == {2}
    foreign = DummyClassifier().fit(table[["x"]], ["old"] * 20 + ["older"] * 10)
    with pytest.raises(UsageError, match="none in the contract"):
        predicting.predict(foreign, table, place.contract)


@pytest.mark.parametrize(
    ("rows", "leaves", "leaf"), [(50, 4, 2), (266, 5, 5), (1_000, 20, 20), (10**6, 31, 20)]
)
def test_small_tables_get_small_trees(rows, leaves, leaf):
    settings = model.Settings().adapted(rows)
    assert (settings.max_leaf_nodes, settings.min_samples_leaf) == (leaves, leaf)
