"""The models: how they are made, saved so that they need no code of this project, and asked."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from .contract import Contract, Kind, save_contract
from .metrics import Prediction
from .step import StepError

EXAMPLE_ROWS = 5
CONTRACT_FILE = "contract.yml"  # beside MLmodel
NEEDED_TO_LOAD = ("mlflow", "cloudpickle", "numpy", "pandas", "scikit-learn", "scipy")
# Boosting's threads wait for each other after every node. Up to so many rows a second thread saves
# little on an idle machine, and on a busy one (steps run side by side) it takes ten times longer.
ROWS_PER_THREAD = 200_000


class Settings(BaseModel):
    """What boosting is told. See scikit-learn's HistGradientBoostingClassifier for the meanings.

    Training stalls when `patience` iterations together lower the validation loss by no more than
    `tolerance`, a share of the loss that a constant has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learning_rate: float = Field(default=0.06, gt=0)
    max_iterations: int = Field(default=500, ge=1)
    max_leaf_nodes: int = Field(default=31, ge=2)
    min_samples_leaf: int = Field(default=20, ge=1)
    l2: float = Field(default=1.0, ge=0)
    patience: int = Field(default=20, ge=1)
    tolerance: float = Field(default=1e-5, ge=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=2**32)

    def adapted(self, rows: int) -> Settings:
        """For so many rows to learn from: small tables get small trees with small leaves."""
        return self.model_copy(
            update={
                "max_leaf_nodes": min(self.max_leaf_nodes, max(4, rows // 50)),
                "min_samples_leaf": min(self.min_samples_leaf, max(2, rows // 50)),
            }
        )


def threads_for(rows: int) -> Any:
    """A context in which scikit-learn uses as many threads as so many rows are worth."""
    return threadpool_limits(max(1, min(os.cpu_count() or 1, rows // ROWS_PER_THREAD)), "openmp")


def boosting(kind: Kind, settings: Settings, categorical: list[int], **options: Any) -> Any:
    """Histogram gradient boosting, unfitted."""
    make = HistGradientBoostingRegressor if kind == "regression" else HistGradientBoostingClassifier
    return make(
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.max_leaf_nodes,
        min_samples_leaf=settings.min_samples_leaf,
        l2_regularization=settings.l2,
        categorical_features=categorical or None,
        random_state=settings.seed,
        **options,
    )


def shallow_tree(kind: Kind, settings: Settings) -> Any:
    """The baseline, unfitted: a tree of depth 3, which a person could write down as rules."""
    make = DecisionTreeRegressor if kind == "regression" else DecisionTreeClassifier
    return make(max_depth=3, min_samples_leaf=settings.min_samples_leaf, random_state=settings.seed)


def assembled(
    encode: ColumnTransformer, learner: Any, contract: Contract, threshold: float | None
) -> Any:
    """One model from a fitted encoder, a fitted learner and, for two classes, a threshold."""
    pipeline = Pipeline([("encode", encode), ("learn", learner)])
    if threshold is None:
        return pipeline
    model = FixedThresholdClassifier(
        FrozenEstimator(pipeline),
        threshold=threshold,
        pos_label=contract.target.positive,
        response_method="predict_proba",
    )
    return model.fit(None, learner.classes_)


def save_model(model: Any, folder: Path, example: pd.DataFrame, contract: Contract) -> None:
    """Write an MLflow model with signature and example into a folder that is missing or empty.

    This package's functions are written into the file, so that a model never depends on the
    code that comes after it, and an old and a new one can be asked in the same process.

    Args:
        model: takes a data frame of the contract's features.
        folder: where to.
        example: rows of the contract's features; a few are kept.
        contract: says the columns' types.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StepError(f"{folder} is not empty: name a folder that is missing or empty.")
    with _quiet_mlflow():
        import cloudpickle
        import mlflow.sklearn
        from mlflow.models import ModelSignature

        package = sys.modules[__name__.rpartition(".")[0]]
        cloudpickle.register_pickle_by_value(package)
        try:
            mlflow.sklearn.save_model(
                model,
                str(folder),
                serialization_format="cloudpickle",
                signature=ModelSignature(*schemas(contract)),
                input_example=_shown_rows(example),
                pip_requirements=[
                    f"{name}=={importlib.metadata.version(name)}" for name in NEEDED_TO_LOAD
                ],
            )
            # Whoever serves the model checks requests by the contract it was trained on.
            save_contract(contract, folder / CONTRACT_FILE)
        finally:
            cloudpickle.unregister_pickle_by_value(package)


def _shown_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """A few rows, without missing values if there are such: NaN is not JSON."""
    complete = rows.dropna().head(EXAMPLE_ROWS)
    return rows.head(EXAMPLE_ROWS) if complete.empty else complete


def schemas(contract: Contract) -> tuple[Any, Any]:
    """MLflow's schema of what a model takes and gives.

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
    """What mlflow.sklearn.load_model gives, without importing MLflow where `save_model` wrote it.

    Only load what you or your colleagues trained: a model file is a program.

    Raises:
        StepError: when there is no model, or it cannot be loaded here.
    """
    from ruamel.yaml import YAML

    description = folder / "MLmodel"
    if not description.is_file():
        raise StepError(f"{folder} holds no MLflow model: expected the file {description}.")
    try:
        flavor = YAML(typ="safe").load(description.read_text(encoding="utf-8"))["flavors"][
            "sklearn"
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if flavor.get("serialization_format") == "cloudpickle":
                import cloudpickle

                with (folder / flavor["pickled_model"]).open("rb") as stream:
                    return cloudpickle.load(stream)
            with _quiet_mlflow():
                import mlflow.sklearn

                return mlflow.sklearn.load_model(str(folder))
    except Exception as error:
        raise StepError(
            f"{folder} cannot be loaded: {type(error).__name__}: {_first_line(error)}. "
            f"Expected a scikit-learn model saved with versions near those installed here."
        ) from None


def predict(model: Any, rows: pd.DataFrame, contract: Contract) -> Prediction:
    """Ask a model about rows that have the contract's features (other columns are not looked at).

    Raises:
        StepError: when the model cannot score them: other columns, other classes.
    """
    given = rows.drop(columns=contract.target.column, errors="ignore")
    try:
        if contract.kind == "regression":
            score = np.asarray(model.predict(given), dtype=np.float64).ravel()
            return Prediction(score, score)
        classes = list(model.classes_)
        chances = np.asarray(model.predict_proba(given), dtype=np.float64)
    except Exception as error:
        raise StepError(f"the model cannot score these rows: {_first_line(error)}") from None
    if contract.kind == "binary":
        positive = contract.target.positive
        if positive not in classes or len(classes) != 2:
            raise StepError(
                f"the model tells {', '.join(map(str, classes))} apart, expected two classes, one "
                f"of them {positive}."
            )
        score = chances[:, classes.index(positive)]
        return Prediction(score, score >= getattr(model, "threshold", 0.5))
    known = list(contract.target.classes or ())
    score = np.zeros((len(rows), len(known)))
    index = np.array([known.index(name) if name in known else -1 for name in classes])
    if not (index >= 0).any():
        raise StepError(
            f"the model tells {', '.join(map(str, classes))} apart, none in the contract."
        )
    score[:, index[index >= 0]] = chances[:, index >= 0]
    return Prediction(score, index[chances.argmax(axis=1)])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _quiet_mlflow() -> Iterator[None]:
    """Import and call MLflow without its telemetry, and without advice that is followed already."""
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
