"""The checks that projects call find what they are for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from flight_delay.features import add_features
from flight_delay.model import Settings
from flight_delay.train import fit
from modelyard.contract import Contract, load_contract
from modelyard.imports import check_imports
from modelyard.modelling import Candidate, choose_features, save_model
from modelyard.testing import (
    check_component,
    check_fast_path,
    check_features,
    check_model,
    check_pipeline,
    small_table,
)
from pydantic import ConfigDict
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.project import ROOT, part_of_sample

COLUMNS: dict[str, Any] = {
    "size": {"type": "number", "min": 2, "max": 5, "nulls": 0.0},
    "rooms": "integer",
    "kind": {"type": "category", "categories": ["house", "flat"]},
    "name": "text",
    "sold": "datetime",
    "new": "boolean",
}
TARGETS: dict[str, Any] = {
    "binary": ({"column": "y", "kind": "binary", "positive": "yes"}, "category"),
    "multiclass": ({"column": "y", "kind": "multiclass", "classes": ["a", "b", "c"]}, "category"),
    "regression": ({"column": "y", "kind": "regression"}, "number"),
}
every_kind = pytest.mark.parametrize("kind", TARGETS)


def contract_of(kind: str) -> Contract:
    target, rule = TARGETS[kind]
    columns = {n: {"type": r} if isinstance(r, str) else r for n, r in COLUMNS.items()}
    return Contract.model_validate({"target": target, "columns": {**columns, "y": {"type": rule}}})


@every_kind
def test_a_small_table_keeps_to_the_contract(kind: str) -> None:
    table = small_table(contract_of(kind), rows=200)
    assert list(table.columns) == [*COLUMNS, "y"]
    assert table["size"].between(2, 5).all()
    assert set(table["kind"].dropna()) == {"house", "flat"}
    assert 0 < table["rooms"].isna().mean() < 0.2
    assert table["y"].nunique() == {"binary": 2, "multiclass": 3, "regression": 200}[kind]
    assert table.equals(small_table(contract_of(kind), rows=200))


def test_a_feature_of_its_own_row_passes() -> None:
    contract = contract_of("binary")
    check_features(lambda rows, _: rows, contract)
    check_features(lambda rows, _: rows.assign(ratio=rows["size"] / rows["rooms"]), contract)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda rows, _: rows.assign(rank=rows["size"].rank()), '"rank" of a row alone'),
        (lambda rows, _: rows.assign(x=np.arange(len(rows))), '"x" of a row'),
        (lambda rows, _: rows.assign(word=rows["rooms"].astype(str)), "integers are float64"),
        (lambda rows, _: rows.assign(leak=rows["y"]), "features only"),
        (lambda rows, _: rows.pop("size").to_frame(), "changed the table"),
        (lambda rows, _: rows.iloc[1:], "given 60 rows and returned 59"),
    ],
    ids=["rank", "position", "type", "target", "in place", "dropped"],
)
def test_a_feature_that_would_be_another_number_when_scored_is_found(
    function: Any, said: str
) -> None:
    with pytest.raises(AssertionError, match=said):
        check_features(function, contract_of("binary"))


@every_kind
def test_the_templates_model_passes(kind: str, tmp_path: Path) -> None:
    check_model(Settings, fit, contract_of(kind), tmp_path)
    assert check_fast_path(tmp_path / "model") in (
        "fast path",
        "fast encoding, learner's own prediction",
    )


def test_boosting_has_a_fast_path(tmp_path: Path) -> None:
    class Boosting(Settings):
        learner: Literal["auto", "boosting", "linear"] = "boosting"

    check_model(Boosting, fit, contract_of("binary"), tmp_path)
    assert check_fast_path(tmp_path / "model") == "fast path"


def test_another_learner_passes_and_is_asked_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())

    def own(contract: Contract, _: Settings, rows: pd.DataFrame) -> dict[str, Candidate]:
        return {"own": Candidate(linear, choose_features(rows, contract))}

    monkeypatch.setattr("flight_delay.train.build_candidates", own)
    check_model(Settings, fit, contract_of("binary"), tmp_path)
    said = check_fast_path(tmp_path / "model")
    assert said == "fast encoding, learner's own prediction"


def test_a_model_that_learns_nothing_is_found(tmp_path: Path) -> None:
    class Useless(Settings):
        learner: Literal["auto", "boosting", "linear"] = "boosting"
        learning_rate: float = 1e-12

    with pytest.raises(AssertionError, match="learns nothing"):
        check_model(Useless, fit, contract_of("regression"), tmp_path)


def test_settings_that_take_a_misspelt_name_are_found(tmp_path: Path) -> None:
    class Loose(Settings):
        model_config = ConfigDict(extra="ignore")

    with pytest.raises(AssertionError, match="a setting of any name"):
        check_model(Loose, fit, contract_of("binary"), tmp_path)


def test_a_component_that_lacks_a_setting_or_has_another_default_is_found(tmp_path: Path) -> None:
    component = ROOT / "azureml" / "components" / "train.yml"
    check_component(component, Settings)
    text = component.read_text(encoding="utf-8")
    for old, new, said in (
        ("default: 0.06", "default: 0.07", "0.07, in Settings 0.06"),
        ("  l2:\n", "  l3:\n", "no input `l2`"),
        ("  --l2 ${{inputs.l2}}\n", "", "lacks --l2"),
        (
            "inputs:\n",
            "inputs:\n  depth: {type: integer, default: 3}\n",
            "no field of Settings: depth",
        ),
    ):
        changed = tmp_path / "train.yml"
        changed.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(AssertionError, match=said):
            check_component(changed, Settings)


class Constant:
    """A model of a kind that has no fast path."""

    classes_ = np.array(["no", "yes"], dtype=object)

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        return np.full((len(rows), 2), 0.5)


def test_a_model_without_a_fast_path_is_served_by_its_own_prediction(tmp_path: Path) -> None:
    contract = contract_of("binary")
    rows = small_table(contract, rows=20)
    save_model(Constant(), tmp_path / "model", rows[contract.features], contract)
    assert check_fast_path(tmp_path / "model") == "model's own prediction"


def test_a_pipeline_runs_in_a_copy(tmp_path: Path) -> None:
    own = part_of_sample(tmp_path / "own", "azureml conf src")
    pipeline = own / "azureml" / "pipelines" / "train.yml"
    first, _, _ = pipeline.read_text(encoding="utf-8").partition("  train:\n")
    pipeline.write_text(first, encoding="utf-8")  # the whole one runs in each project's own tests
    before = sorted(own.rglob("*"))
    run = check_pipeline(pipeline, tmp_path / "copy")
    assert pd.read_parquet(run / "prepare" / "prepared" / "train.parquet").columns.size
    assert run.is_relative_to(tmp_path / "copy") and sorted(own.rglob("*")) == before


def test_imports_of_what_is_not_public_are_found_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "src" / "p").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    cell = {"cell_type": "code", "source": ["import modelyard.pipelines.run\n"]}
    files = {
        "src/p/a.py": "from modelyard.modelling import predict\nfrom modelyard.modelling.saving import x\n",
        "src/p/b.py": "import pandas\nfrom modelyard import cli, contract\n",
        "src/score.py": "from modelyard.serving.online import init, run\n",
        "notebooks/n.ipynb": json.dumps({"cells": [cell]}),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = {
        (problem.file.name, problem.line): problem.message for problem in check_imports(tmp_path)
    }
    assert found.keys() == {("a.py", 2), ("b.py", 2), ("n.ipynb", 1)}
    assert "use `modelyard.modelling`" in found["a.py", 2]
    assert "modelyard.cli" in found["b.py", 2]


def test_the_templates_project_imports_public_modules_only() -> None:
    assert check_imports(ROOT) == []
    contract = load_contract(ROOT / "conf" / "contract.yml")
    check_features(add_features, contract)
