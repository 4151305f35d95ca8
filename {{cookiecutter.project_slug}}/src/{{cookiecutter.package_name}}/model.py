"""The candidates for the model and their hyperparameters, and the baseline that the model has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from modelyard.contract import Contract
from modelyard.modelling import (
    Candidate,
    Feature,
    categorical_positions,
    choose_features,
    cyclic_positions,
)
from pydantic import BaseModel, ConfigDict, Field
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor


class Settings(BaseModel):
    """Hyperparameters; each is an option of the step `train`, with this default and these bounds.

    `learner` "auto" compares the candidates. `c` is the linear one's: the inverse of its penalty, of
    numbers the middle of nine that are tried. The others are boosting's, whose training stops when
    `patience` iterations together lower the validation loss by no more than `tolerance`, a share of the
    loss that a constant has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    learner: Literal["auto", "boosting", "linear"] = "auto"
    learning_rate: float = Field(default=0.06, gt=0)
    max_iterations: int = Field(default=500, ge=1)
    max_leaf_nodes: int = Field(default=31, ge=2)
    min_samples_leaf: int = Field(default=20, ge=1)
    l2: float = Field(default=1.0, ge=0)
    c: float = Field(default=1.0, gt=0)
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


def build_candidates(
    contract: Contract, settings: Settings, rows: pd.DataFrame
) -> dict[str, Candidate]:
    """Make the candidates for the challenger, unfitted, by name; held-out rows decide among them.

    The simplest comes first: it is chosen where no other is clearly better.

    Args:
        contract: says which kind of problem it is.
        settings: see `Settings`.
        rows: to train on, with derived columns (rows, columns).
    """
    make = {"linear": _linear, "boosting": _boosting}
    if settings.learner != "auto":
        make = {settings.learner: make[settings.learner]}
    candidates = {}
    for name, build in make.items():
        # Boosting of scikit-learn leaves out categories of fewer than ten rows.
        category_rows = 20 if name == "boosting" else 0
        seen = {
            suffix: choose_features(rows, contract, trend=trend, category_rows=category_rows)
            for suffix, trend in (("", False), (" with trend", True))
        }
        # Without a time there is no trend of which it is to be found out whether it helps.
        if seen[""] == seen[" with trend"]:
            del seen[" with trend"]
        for suffix, features in seen.items():
            candidates[f"{name}{suffix}"] = Candidate(build(contract, settings, features), features)
    return candidates


def _boosting(contract: Contract, settings: Settings, features: Sequence[Feature]) -> Any:
    """Make gradient boosting of trees: numbers as they are, codes of categories, missing values NaN."""
    is_regression = contract.kind == "regression"
    learner = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
    return learner(
        learning_rate=settings.learning_rate,
        max_iter=settings.max_iterations,
        max_leaf_nodes=settings.max_leaf_nodes,
        min_samples_leaf=settings.min_samples_leaf,
        l2_regularization=settings.l2,
        categorical_features=categorical_positions(features) or None,
        early_stopping=False,  # the step `train` stops it, on held-out rows
        random_state=settings.seed,
    )


def _linear(contract: Contract, settings: Settings, features: Sequence[Feature]) -> Any:
    """Make logistic or ridge regression: numbers on one scale, a column per category, weekday and month."""
    one_hot = OneHotEncoder(handle_unknown="ignore")
    cycles = make_pipeline(FunctionTransformer(np.floor), one_hot)
    encode = ColumnTransformer(
        [
            ("categories", one_hot, categorical_positions(features)),
            ("cycles", cycles, cyclic_positions(features)),
        ],
        remainder=make_pipeline(SimpleImputer(), StandardScaler()),
    )
    if contract.kind == "regression":
        return make_pipeline(encode, RidgeCV(np.logspace(-4, 4, 9) / settings.c))
    return make_pipeline(encode, LogisticRegression(C=settings.c, max_iter=1000))


def build_baseline(contract: Contract, settings: Settings) -> Any:
    """Make the baseline, unfitted: a tree of depth 3, which a person could write down as rules."""
    is_regression = contract.kind == "regression"
    tree = DecisionTreeRegressor if is_regression else DecisionTreeClassifier
    return tree(max_depth=3, min_samples_leaf=settings.min_samples_leaf, random_state=settings.seed)
