"""The parts of a table, as the pipeline splits it, for notebooks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from modelyard.contract.model import load_contract
from modelyard.data.parts import PARTS, read_part


def prepared_parts(data: Path, contract: Path) -> dict[str, pd.DataFrame]:
    """Check a table and split it as the step `prepare` does.

    Args:
        data: the table, CSV or Parquet.
        contract: conf/contract.yml.

    Returns:
        Rows of train, validation and test (rows, columns of the contract).

    Raises:
        UsageError: the table cannot be read, or is too small to split.
        CheckFailed: the table breaks a rule of the contract.
    """
    from modelyard.steps.prepare import prepare  # which takes longer to import than a step may wait

    with tempfile.TemporaryDirectory(prefix="prepared-") as folder:
        prepare(data, contract, Path(folder), Path(folder))
        rules = load_contract(contract)
        return {name: read_part(Path(folder), name, rules) for name in PARTS}
