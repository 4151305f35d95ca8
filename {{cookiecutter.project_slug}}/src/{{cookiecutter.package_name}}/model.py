"""The model and its hyperparameters, and the baseline that it has to beat."""

from __future__ import annotations

from typing import Any

from modelyard.contract import Contract
from pydantic import BaseModel, ConfigDict, Field
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor


class Settings(BaseModel):
    """Hyperparameters; each is an option of the step `train`, with this default and these bounds.

    Training stops when `patience` iterations together lower the validation loss by no more than
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
        """Settings for so many rows to learn from: small tables get small trees with small leaves."""
        return self.model_copy(
            update={
                "max_leaf_nodes": min(self.max_leaf_nodes, max(4, rows // 50)),
                "min_samples_leaf": min(self.min_samples_leaf, max(2, rows // 50)),
            }
        )


def build_model(
    contract: Contract, settings: Settings, categorical: list[int], iterations: int | None
) -> Any:
    """Make the challenger's learner, unfitted.

    Args:
        contract: says which kind of problem it is.
        settings: see `Settings`.
        categorical: positions of the encoded columns that hold codes of categories; missing values of
            all columns are NaN.
        iterations: how many trees; None: as many as the settings allow, to be stopped early. A learner
            without iterations ignores it.
    """
    is_regression = contract.kind == "regression"
    learner = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
    return learner(
        learning_rate=settings.learning_rate,
        max_iter=iterations or settings.max_iterations,
        max_leaf_nodes=settings.max_leaf_nodes,
        min_samples_leaf=settings.min_samples_leaf,
        l2_regularization=settings.l2,
        categorical_features=categorical or None,
        early_stopping=False,  # the step `train` stops it, on the validation rows
        random_state=settings.seed,
    )


def build_baseline(contract: Contract, settings: Settings) -> Any:
    """Make the baseline, unfitted: a tree of depth 3, which a person could write down as rules."""
    is_regression = contract.kind == "regression"
    tree = DecisionTreeRegressor if is_regression else DecisionTreeClassifier
    return tree(max_depth=3, min_samples_leaf=settings.min_samples_leaf, random_state=settings.seed)
