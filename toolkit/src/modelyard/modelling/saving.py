"""Saving and loading of models; a saved model needs no code of the project."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from sklearn.frozen import FrozenEstimator

import modelyard
from modelyard.contract.model import Contract, save_contract
from modelyard.errors import UsageError, first_line
from modelyard.yaml_files import read_mapping

EXAMPLE_ROWS = 5


CONTRACT_FILE = "contract.yml"  # beside MLmodel
SETTINGS_FILE = "settings.json"  # likewise: what it was trained with


NEEDED_TO_LOAD = ("mlflow", "cloudpickle", "numpy", "pandas", "scikit-learn", "scipy")


def save_model(
    model: Any,
    folder: Path,
    example: pd.DataFrame,
    contract: Contract,
    *,
    by_value: Sequence[ModuleType] = (),
) -> None:
    """Write an MLflow model with signature and example into a folder that is missing or empty.

    Functions of this package and of `by_value` are written into the file. A saved model therefore
    does not depend on later code, and an old and a new one can be asked in the same process.

    Args:
        model: takes a data frame of the contract's features.
        folder: where to.
        example: rows of the contract's features (rows, features); five are kept.
        contract: says the columns' types.
        by_value: packages of the project whose functions the model calls.

    Raises:
        UsageError: the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: name a folder that is missing or empty.")
    with _quiet_mlflow():
        import cloudpickle
        import mlflow.sklearn
        from mlflow.models import ModelSignature

        packages = (modelyard, *by_value)
        for package in packages:
            cloudpickle.register_pickle_by_value(package)
        try:
            mlflow.sklearn.save_model(
                model,
                str(folder),
                serialization_format="cloudpickle",
                signature=ModelSignature(*schemas(contract)),
                input_example=_shown_rows(example),
                pip_requirements=_requirements(model),
            )
            # Whoever serves the model checks requests by the contract it was trained on.
            save_contract(contract, folder / CONTRACT_FILE)
        finally:
            for package in packages:
                cloudpickle.unregister_pickle_by_value(package)


def _requirements(model: Any) -> list[str]:
    """List pinned requirements: `NEEDED_TO_LOAD`, and the distribution of the learner."""
    packages = {type(part).__module__.partition(".")[0] for part in _parts(model)}
    names = list(NEEDED_TO_LOAD)
    # Whose distribution is known; to find that of another, all that is installed is read.
    if others := packages - {"modelyard", "sklearn"}:
        found = importlib.metadata.packages_distributions()
        names += sorted({name for one in others for name in found.get(one, [])} - {*names})
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def _parts(model: Any) -> Iterator[Any]:
    """Yield a model and the estimators inside it, as far as scikit-learn's parameters name them."""
    yield model
    for one in model.get_params().values() if hasattr(model, "get_params") else ():
        if isinstance(one, FrozenEstimator):  # it does not name the parameters of its estimator
            yield from _parts(one.estimator)
        elif hasattr(one, "fit"):
            yield one


def _shown_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a few rows, without missing values where possible: NaN is not JSON."""
    complete = rows.dropna().head(EXAMPLE_ROWS)
    return rows.head(EXAMPLE_ROWS) if complete.empty else complete


def schemas(contract: Contract) -> tuple[Any, Any]:
    """Make MLflow's schemas of inputs and outputs.

    A column of integers or booleans that may be missing is an integer, float, boolean or object
    column, as its rows happen to be. MLflow would refuse all but one of them, so it is left open.
    """
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    types = {
        "number": DataType.double,
        "integer": DataType.long,
        "boolean": DataType.boolean,
        "category": DataType.string,
        "text": DataType.string,
        "datetime": DataType.datetime,
    }

    def column(name: str) -> ColSpec:
        rule = contract.columns[name]
        has_gaps = rule.type in ("integer", "boolean") and rule.nulls != 0
        return ColSpec(AnyType() if has_gaps else types[rule.type], name)

    target = contract.columns[contract.target.column].type
    output = DataType.double if contract.kind == "regression" else types[target]
    return Schema([column(name) for name in contract.features]), Schema([ColSpec(output)])


def load_model(folder: Path) -> Any:
    """Load a model, without importing MLflow where `save_model` wrote it.

    Only load what you or your colleagues trained: a model file is a program.

    Raises:
        UsageError: there is no model, or it cannot be loaded here.
    """
    description = folder / "MLmodel"
    if not description.is_file():
        raise UsageError(f"{folder} holds no MLflow model: expected the file {description}.")
    try:
        flavors = read_mapping(description)["flavors"]
        flavor = flavors["sklearn"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if flavor.get("serialization_format") == "cloudpickle":
                import cloudpickle

                # Every model that predicts has this flavor.
                if function := flavors.get("python_function"):
                    _check_python(folder, str(function["python_version"]))
                with (folder / flavor["pickled_model"]).open("rb") as stream:
                    return cloudpickle.load(stream)
            with _quiet_mlflow():
                import mlflow.sklearn

                return mlflow.sklearn.load_model(str(folder))
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"{folder} cannot be loaded: {type(error).__name__}: {first_line(error)}. "
            f"Expected a scikit-learn model saved with versions near those installed here."
        ) from None


def _check_python(folder: Path, saved_with: str) -> None:
    """Refuse a model of another minor version of Python: its functions are bytecode, which ends the process without a word."""
    minor = ".".join(saved_with.split(".")[:2])
    if minor != f"{sys.version_info.major}.{sys.version_info.minor}":
        raise UsageError(
            f"{folder} was saved with Python {minor} and runs with that only, this is Python "
            f"{platform.python_version()}: make setup PYTHON=python{minor}, or train again."
        )


@contextmanager
def _quiet_mlflow() -> Iterator[None]:
    """Import MLflow without telemetry, and silence its advice."""
    import logging

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    logger = logging.getLogger("mlflow")
    before = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("mlflow")  # which sets the level itself
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(before)
