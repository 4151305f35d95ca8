"""The step of a model that adds derived features."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

if TYPE_CHECKING:
    from modelyard.contract.model import Contract

AddFeatures: TypeAlias = "Callable[[pd.DataFrame, Contract], pd.DataFrame]"


class DerivedFeatures(TransformerMixin, BaseEstimator):
    """Adds a project's derived features to the rows that a model is given.

    The function is saved by value, the contract as plain data, since a saved model is loaded with other
    versions of pydantic too.

    Args:
        add_features: takes rows and the contract, returns the rows with further columns.
        contract: of the table the model was trained on, as `model_dump` gives it.
    """

    def __init__(self, add_features: AddFeatures, contract: dict[str, Any]) -> None:
        self.add_features = add_features
        self.contract = contract

    def fit(self, rows: pd.DataFrame, target: Any = None) -> DerivedFeatures:
        """Do nothing: nothing is learned."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Add the features."""
        # Imported here: saved by value, the class would bring along a Contract of one version of pydantic.
        from modelyard.contract.model import Contract

        return self.add_features(rows, Contract.model_validate(self.contract))
