"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.contract import Contract, load_contract
from modelyard.testing import check_pipeline

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The project's contract."""
    return load_contract(ROOT / "conf" / "contract.yml")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the training pipeline on a small table."""
    return check_pipeline(
        ROOT / "azureml" / "pipelines" / "train.yml", tmp_path_factory.mktemp("run")
    )
