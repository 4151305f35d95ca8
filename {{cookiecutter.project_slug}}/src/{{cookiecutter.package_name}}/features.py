"""Features: what the model sees of a row."""

from __future__ import annotations

import pandas as pd
from modelyard.contract import Contract


def add_features(rows: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Add columns that are computed from a row's own columns.

    Called in training, serving, batch scoring, explanation and monitoring alike, with one row or with
    many, and without the target. A row alone has to give what it gives among others.

    Args:
        rows: of the contract's features (rows, features).
        contract: of the table.

    Returns:
        `rows`, or a copy with further columns: `rows.assign(speed=rows["distance"] / rows["minutes"])`.
    """
    return rows
