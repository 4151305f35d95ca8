"""Checks that a project's own tests call: of its features, model, pipeline and serving.

Each check raises AssertionError with what was found and what to do. All of them work on small made-up
tables that follow the project's contract, so that they need neither the sample nor a network.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ValidationError

from modelyard.console import shown
from modelyard.contract.made_up import small_table
from modelyard.contract.model import Contract, TableRules, load_contract, save_contract
from modelyard.data.parts import target_of
from modelyard.errors import UsageError
from modelyard.evaluation.metrics import values
from modelyard.files import project_root, write_text
from modelyard.modelling.derived import AddFeatures, check_derived
from modelyard.modelling.live_metrics import LiveMetrics
from modelyard.modelling.predicting import predict
from modelyard.modelling.saving import load_model, save_model
from modelyard.pipelines.run import run_pipeline
from modelyard.serving.payload import Limits
from modelyard.serving.service import Service
from modelyard.steps.train import Fit, package_of
from modelyard.yaml_files import dump, read_yaml

__all__ = [
    "check_component",
    "check_fast_path",
    "check_features",
    "check_model",
    "check_pipeline",
    "small_copy",
    "small_table",
]

_Settings = TypeVar("_Settings", bound=BaseModel)
ALONE = 20  # rows that are given to add_features one by one
SHOWN = 5  # values in a message
LEARNT = 0.99  # of a constant's loss: what depends on the features lowers it by far more
TOLERANCE = 1e-6  # between the endpoint's answer and the model's prediction
RESAMPLES = 50  # of a pipeline under test; fewer are refused


def check_features(add_features: AddFeatures, contract: Contract) -> None:
    """Check that a feature of a row depends on that row alone.

    An endpoint gives the function one row at a time. A feature that looks at other rows, such as a rank,
    is another number there than it was in training.

    Args:
        add_features: the project's function.
        contract: of the table.

    Raises:
        AssertionError: rows are added, dropped or reordered, a column of the contract is lost, the table
            is changed in place, or a value depends on other rows, on their order, or on the target.
    """
    rows = small_table(contract, rows=60)[contract.features]
    given = rows.copy()
    try:
        made = add_features(rows, contract)
    except KeyError as error:
        raise AssertionError(
            f"add_features needs {error}, but gets the contract's features only: {contract.features}. "
            "The target and columns of another role are not known when a row is scored."
        ) from error
    assert rows.equals(given), (
        "add_features changed the table that it was given: return rows.assign(…) or a copy"
    )
    try:
        check_derived(rows, made)
    except UsageError as error:
        raise AssertionError(str(error)) from None
    alone = pd.concat([add_features(_row(rows, at, contract), contract) for at in range(ALONE)])
    turned = add_features(rows.iloc[::-1], contract).iloc[::-1]
    for name in made.columns:
        _assert_same(alone[name], made[name].iloc[:ALONE], f'"{name}" of a row alone')
        _assert_same(turned[name], made[name], f'"{name}" of rows in another order')


def check_model(
    settings: type[_Settings], fit: Fit[_Settings], contract: Contract, folder: Path
) -> None:
    """Check that training on a small table gives models that are of use and that can be saved.

    Args:
        settings: the project's hyperparameters; the defaults are used.
        fit: the project's training.
        contract: of the table.
        folder: an empty folder to save models in.

    Raises:
        AssertionError: a model cannot be asked about one row, predicts what is no number, learns
            nothing of a target that depends on the features, or predicts otherwise once it is loaded;
            or a setting of an unknown name is accepted.
    """
    with suppress(ValidationError):
        settings.model_validate({"no such setting": 0})
        raise AssertionError(
            f"{settings.__name__} accepts a setting of any name, so that a misspelt one is lost: "
            'set model_config = ConfigDict(extra="forbid")'
        )
    table = small_table(contract, rows=900)
    train, validation, test = table.iloc[:500], table.iloc[500:700], table.iloc[700:]
    with LiveMetrics() as log:
        made = fit(contract, train, validation, settings(), log, None)
    losses = made.learned.losses
    assert losses[made.learned.iterations] < LEARNT * losses[0], (
        f"the model learns nothing: its validation loss is {losses[made.learned.iterations]:.4g}, that "
        f"of a constant {losses[0]:.4g}, although the target of this table depends on the features"
    )
    truth = target_of(test, contract)
    for name, model in {"model": made.model, "baseline": made.baseline}.items():
        found = predict(model, test, contract)
        assert np.isfinite(found.score).all(), f"the {name} predicts what is no number"
        one = predict(model, test.iloc[[0]], contract)
        _assert_close(one.score, found.score[:1], f"the {name}'s prediction of a row alone")
        values(contract.kind, truth, found)
        save_model(
            model,
            folder / name,
            test[contract.features],
            contract,
            by_value=[package_of(settings)],
        )
        again = predict(load_model(folder / name), test, contract)
        _assert_close(again.score, found.score, f"the saved {name}'s prediction")


def check_component(path: Path, settings: type[BaseModel]) -> None:
    """Check that a component has an input for each setting and no other, and passes it on.

    Args:
        path: azureml/components/train.yml.
        settings: the project's hyperparameters.

    Raises:
        AssertionError: an input is missing, has another default or is not in the command, or there is
            one with a default that is no setting.
    """
    content = read_yaml(path)
    for name, field in settings.model_fields.items():
        given = content["inputs"].get(name)
        assert given is not None, f"{path}: no input `{name}`, which is a field of Settings"
        assert given.get("default") == field.default, (
            f"{path}: the default of `{name}` is {given.get('default')!r}, in Settings {field.default!r}"
        )
        option = f"--{name.replace('_', '-')} ${{{{inputs.{name}}}}}"
        assert option in content["command"], f"{path}: the command lacks {option}"
    inputs = [name for name, given in content["inputs"].items() if "default" in given]
    unknown = sorted(set(inputs) - settings.model_fields.keys())
    assert not unknown, f"{path}: no field of Settings: {', '.join(unknown)}; remove these inputs"


def small_copy(root: Path, folder: Path) -> Path:
    """Copy what runs of a project need, with a small table in the place of its own.

    The copy's contract asks for no number of rows, and its gates for few resamples of the held-out rows; models are
    not fitted again for predictions out of fold.

    Args:
        root: of the project.
        folder: where the copy is made.

    Returns:
        The copy's folder.
    """
    copy = folder / "project"
    for name in ("azureml", "conf", "src"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    contract = load_contract(copy / "conf" / "contract.yml")
    save_contract(contract.model_copy(update={"table": TableRules()}), copy / "conf/contract.yml")
    small_table(contract).to_parquet(copy / "table.parquet")
    changes: dict[str, dict[str, Any]] = {
        "azureml/data/training.yml": {"path": "../../table.parquet"},
        "conf/gates.yml": {"evaluation": {"resamples": RESAMPLES, "out_of_fold_below": 0}},
    }
    for file, changed in changes.items():
        write_text(copy / file, dump(dict(read_yaml(copy / file)) | changed))
    return copy


def check_pipeline(path: Path, folder: Path) -> Path:
    """Run a pipeline of the project on a small table, in a copy of the project.

    Args:
        path: the pipeline's file.
        folder: an empty folder for the copy.

    Returns:
        The folder of the run: a folder for each step, with a folder for each of its outputs.

    Raises:
        ModelyardError: a step fails, or the pipeline is broken.
    """
    root = project_root(path.resolve().parent)
    copy = small_copy(root, folder)
    return run_pipeline(copy / path.resolve().relative_to(root)).folder


def check_fast_path(folder: Path) -> str:
    """Check that an endpoint answers as the model predicts, and refuses what breaks the contract.

    Args:
        folder: of a saved model.

    Returns:
        What answers single rows: "fast path"; "fast encoding, learner's own prediction", where the learner
        is no histogram gradient boosting; or "model's own prediction".

    Raises:
        AssertionError: an answer differs by more than 1e-6, or a broken request is not refused.
        UsageError: the model cannot be loaded or asked.
    """
    service = Service(folder, name="test", version="0", limits=Limits())
    contract = service.contract
    rows = small_table(contract, rows=20, seed=1)[contract.features]
    expected = predict(service.model, rows, contract)
    for at in range(len(rows)):
        body = {
            "input_data": json.loads(rows.iloc[[at]].to_json(orient="records", date_format="iso"))
        }
        status, content = service.answer(json.dumps(body).encode())
        assert status == 200, f"expected an answer to {body}, found {status}: {content}"
        _assert_close(
            _score(content, contract), expected.score[at : at + 1], "the endpoint's answer"
        )
    status, content = service.answer(b'{"input_data": [{"no such column": 1}]}')
    assert status == 400, f"expected 400 for a row of other columns, found {status}: {content}"
    if service.fast is not None and service.fast.direct is None:
        return "fast encoding, learner's own prediction"
    return service.path


def _row(rows: pd.DataFrame, at: int, contract: Contract) -> pd.DataFrame:
    """One row as an endpoint gives it: integers are int64 where none is missing."""
    row = rows.iloc[[at]]
    whole = [name for name in contract.features if contract.columns[name].type == "integer"]
    return row.astype({name: np.int64 for name in whole if row[name].notna().all()})


def _score(content: dict[str, Any], contract: Contract) -> Any:
    """An answer as `Prediction.score` has it."""
    if contract.kind == "regression":
        return np.array(content["predictions"])
    found = content["probabilities"]
    if contract.kind == "multiclass":
        names = [shown(name) for name in contract.target.classes or ()]
        return np.array([[one[name] for name in names] for one in found])
    return np.array(found)


def _assert_close(found: Any, expected: Any, what: str) -> None:
    apart = float(np.max(np.abs(np.asarray(found) - np.asarray(expected))))
    assert apart <= TOLERANCE, f"{what} is {apart:.2g} off: {found} instead of {expected}"


def _assert_same(found: pd.Series, expected: pd.Series, what: str) -> None:
    """Compare two columns, types of numbers and their rounding aside."""
    try:
        pd.testing.assert_series_equal(
            found.astype(object), expected.astype(object), check_exact=False, check_names=False
        )
    except AssertionError:
        raise AssertionError(
            f"{what} is {found.tolist()[:SHOWN]}, among all others {expected.tolist()[:SHOWN]}: a feature "
            "may be computed from its own row only, and of its values, not their types: integers are float64 "
            "in a table where one is missing"
        ) from None
