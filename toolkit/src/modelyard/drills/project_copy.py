"""Copy of a project for a drill, with a registry of its own and a contract for a part of the rows."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from modelyard.contract.model import Column, Contract, load_contract, save_contract
from modelyard.errors import UsageError
from modelyard.files import read_text
from modelyard.pipelines.data_assets import local_path

COPIED = ("conf", "azureml", "src", "requirements", "pyproject.toml")


def copy_project(root: Path, copy: Path) -> None:
    """Copy what a pipeline and an endpoint need, without models, runs and collected data."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in COPIED:
        source = root / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, copy / name, ignore=ignore)
        else:
            shutil.copy2(source, copy / name)


def share_environments(root: Path, copy: Path) -> None:
    """Let a copy use the project's serving environment, which is large and the same."""
    environments = root / ".environments"
    environments.mkdir(exist_ok=True)
    with contextlib.suppress(OSError):  # Windows asks for a privilege; then it is made again
        (copy / ".environments").symlink_to(environments, target_is_directory=True)


@contextlib.contextmanager
def own_registry() -> Iterator[None]:
    """Use the copy's registry, also where MLFLOW_TRACKING_URI names another one."""
    kept = os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        yield
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if kept is not None:
            os.environ["MLFLOW_TRACKING_URI"] = kept


def accept_fewer_rows(copy: Path, rows: int) -> None:
    """Lower the contract's smallest number of rows, which is that of the whole table."""
    file = copy / "conf" / "contract.yml"
    contract = load_contract(file)
    limits = contract.table.rows
    if limits.min > rows:
        limits = limits.model_copy(update={"min": rows})
        table = contract.table.model_copy(update={"rows": limits})
        save_contract(contract.model_copy(update={"table": table}), file)


@contextlib.contextmanager
def required_column(copy: Path, name: str) -> Iterator[None]:
    """Add a column that must not be missing to the contract, as long as the block lasts."""
    file = copy / "conf" / "contract.yml"
    before = read_text(file)
    contract: Contract = load_contract(file)
    columns = {**contract.columns, name: Column(type="integer", nulls=0.0)}
    save_contract(contract.model_copy(update={"columns": columns}), file)
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")


def training_table(root: Path) -> Path:
    """Return the path of the table of azureml/data/training.yml.

    Raises:
        UsageError: the table is not on this machine.
    """
    asset = local_path(root / "azureml" / "data", "training")
    if asset is None or not asset.is_file():
        raise UsageError(
            f"{asset or 'azureml/data/training.yml'} does not exist; name a table with --data, or "
            "write the sample with `make data`"
        )
    return asset
