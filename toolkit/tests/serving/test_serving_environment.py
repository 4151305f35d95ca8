"""Endpoints run where only requirements/serve.txt and the toolkit are installed, without the project's package."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from modelyard.contract import Contract
from modelyard.environments import environment_python
from modelyard.modelling import (
    assemble,
    categorical_positions,
    choose_features,
    encoder,
    fit_encoder,
    load_model,
    predict,
    save_model,
)
from modelyard.serving import payload, service
from sklearn.ensemble import HistGradientBoostingClassifier

from tests.bench import MIXED, mixed_table

# On a laptop only: they start and check endpoints, and measure models inside a pipeline.
OF_A_LAPTOP = {"server", "receiver", "inference_server"}

PACKAGE = """
from .scale import scaled

def add_features(rows, contract):
    return rows.assign(size=scaled(rows["number"]), late=rows["when"].dt.hour > 12)
"""
SCALE = """
import numpy as np
FACTOR = {factor}

def scaled(column):
    return np.round(column * FACTOR)
"""
ASK = """
import json, sys
from pathlib import Path
from modelyard.serving.service import Service, read_limits
found = Service(Path(sys.argv[1]), name="m", version="1", limits=read_limits())
status, content = found.answer(sys.stdin.buffer.read())
print(json.dumps([status, found.path, content["probabilities"]]))
"""


@pytest.fixture(scope="module")
def python(project: Path) -> Path:
    """Python of the environment that endpoints run in."""
    return environment_python(project, "serve")


@pytest.fixture(scope="module")
def rules() -> Contract:
    columns = {
        name: {"type": rule} if isinstance(rule, str) else rule for name, rule in MIXED.items()
    }
    return Contract.model_validate(
        {
            "target": {"column": "label", "kind": "binary", "positive": "yes"},
            "columns": {**columns, "label": {"type": "category"}},
        }
    )


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write and import a version of a project's package."""
    folder = tmp_path / "code" / "made_up_science"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(
        sys, "dont_write_bytecode", True
    )  # versions may have the same second and size

    def version(factor: float) -> ModuleType:
        (folder / "__init__.py").write_text(PACKAGE)
        (folder / "scale.py").write_text(SCALE.format(factor=factor))
        for name in ("made_up_science", "made_up_science.scale"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("made_up_science")

    yield version
    for name in ("made_up_science", "made_up_science.scale"):
        sys.modules.pop(name, None)


def saved(package: ModuleType, rules: Contract, folder: Path) -> Any:
    """Fit a small model with the package's derived features, save it, and return it."""
    table = mixed_table()
    rows = package.add_features(table[rules.features], rules)
    features = choose_features(rows, rules)
    encode = encoder(features, rules, 0)
    learner = HistGradientBoostingClassifier(
        max_iter=8, categorical_features=categorical_positions(features)
    ).fit(fit_encoder(encode, rows, table["label"].to_numpy()), table["label"])
    model = assemble(encode, learner, rules, add_features=package.add_features, threshold=0.5)
    save_model(model, folder, table[rules.features], rules, by_value=[package])
    return model


def body_of(rows: pd.DataFrame, rules: Contract) -> bytes:
    given = json.loads(rows[rules.features].to_json(orient="records", date_format="iso"))
    return json.dumps(given).encode()


def test_modules_of_the_endpoints_import_nothing_else(python: Path):
    folder = Path(service.__file__).parent
    names = sorted(path.stem for path in folder.glob("*.py") if path.stem not in OF_A_LAPTOP)
    modules = [f"modelyard.serving.{name}" for name in names] + ["modelyard.scoring.batch"]
    program = f"import importlib\nfor name in {modules}: importlib.import_module(name)"
    done = subprocess.run([python, "-P", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_model_with_derived_features_is_served_without_the_projects_package(
    python: Path, package: Any, rules: Contract, tmp_path: Path
):
    model = saved(package(3.0), rules, tmp_path / "model")
    rows = mixed_table().round({"number": 6}).head(30)
    done = subprocess.run(
        [python, "-P", "-c", ASK, tmp_path / "model"],
        input=body_of(rows, rules),
        capture_output=True,
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr.decode()
    status, path, chances = json.loads(done.stdout)
    assert (status, path) == (200, "fast path")
    assert chances == pytest.approx(predict(model, rows, rules).score.tolist(), abs=1e-9)


def test_two_versions_of_a_projects_functions_are_served_in_one_process(
    package: Any, rules: Contract, tmp_path: Path
):
    rows = mixed_table().round({"number": 6}).head(60)
    factors = {"old": 1.0, "new": 40.0}
    expected = {
        name: predict(saved(package(factor), rules, tmp_path / name), rows, rules).score.tolist()
        for name, factor in factors.items()
    }
    assert expected["old"] != expected["new"]
    services = {
        name: service.Service(tmp_path / name, name=name, version="1", limits=payload.Limits())
        for name in factors
    }
    for name in (*factors, *factors):
        assert services[name].path == "fast path"
        status, content = services[name].answer(body_of(rows, rules))
        assert status == 200
        assert content["probabilities"] == pytest.approx(expected[name], abs=1e-9)
        own = predict(load_model(tmp_path / name), rows, rules).score
        assert own.tolist() == pytest.approx(expected[name], abs=1e-12)
