"""The step of a model that adds derived features."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

if TYPE_CHECKING:
    from modelyard.contract.model import Contract

AddFeatures: TypeAlias = "Callable[[pd.DataFrame, Contract], pd.DataFrame]"


def derive(add_features: AddFeatures, rows: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Add a project's derived features to the contract's features of rows.

    Args:
        add_features: the project's function.
        rows: of the table (rows, columns); columns that are no features are left out.
        contract: of the table.

    Returns:
        The same rows in the same order, with further columns.

    Raises:
        UsageError: the function gave other rows, or lost a column.
    """
    given = rows[contract.features]
    made = add_features(given, contract)
    check_derived(given, made)
    return made


def check_derived(given: pd.DataFrame, made: Any) -> None:
    """Check that derived features were added, and nothing else was done to the rows.

    Raises:
        UsageError: they are other rows, or a column is lost, twice there, or not named by text.
    """
    # Imported here, as below.
    from modelyard.errors import UsageError

    def wrong(said: str) -> UsageError:
        return UsageError(f"add_features in features.py {said}")

    if not isinstance(made, pd.DataFrame):
        raise wrong(f"returned {type(made).__name__}; expected a table: return rows.assign(…)")
    # A join numbers its rows anew; any other index tells rows that were left out or moved.
    numbered = pd.RangeIndex(len(given))
    if len(made) != len(given):
        raise wrong(f"was given {len(given)} rows and returned {len(made)}: add columns only")
    if not (made.index.equals(given.index) or made.index.equals(numbered)):
        raise wrong("returned the rows in another order: add columns only")
    if lost := [name for name in given.columns if name not in made.columns]:
        raise wrong(f"lost {lost}: add columns, keep the others")
    if not made.columns.is_unique:
        raise wrong(f"named {list(made.columns[made.columns.duplicated()])} twice: name it once")
    if named := [name for name in made.columns if not isinstance(name, str)]:
        raise wrong(f"named {named} by a number: name it by text")


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

        made = self.add_features(rows, Contract.model_validate(self.contract))
        check_derived(rows, made)
        return made
