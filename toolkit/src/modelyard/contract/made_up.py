"""A small made-up table that follows a contract: for tests, and where no table may leave its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from modelyard.contract.model import Column, Contract

MISSING = 0.1  # of a feature's values, where the contract allows it


def small_table(contract: Contract, rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Make up a table with every column of a contract, within its limits and categories.

    The target depends on the features, with noise. Datetimes are 20 minutes apart. Features that may
    have missing values have some.

    Args:
        contract: of the table.
        rows: how many.
        seed: the same seed gives the same table.

    Returns:
        A table (rows, columns of the contract), with the dtypes of `modelyard.contract.read_table`.
    """
    random = np.random.default_rng(seed)
    table = pd.DataFrame({n: _values(rule, rows, random) for n, rule in contract.columns.items()})
    target = contract.target.column
    signal = _signal(table[contract.features]) + random.normal(0, 0.5, rows)
    table[target] = _target(contract, signal)
    for name in contract.features:
        allowed = contract.columns[name].nulls
        share = MISSING if allowed is None else min(MISSING, allowed / 2)
        if share and name != contract.time:
            missing = random.random(rows) < share
            nothing: Any = np.nan if _is_number(table[name]) else None
            table[name] = table[name].where(~missing, nothing)
    return table


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _values(rule: Column, rows: int, random: np.random.Generator) -> Any:
    if rule.type == "datetime":
        start = pd.Timestamp(rule.min) if rule.min is not None else pd.Timestamp("2024-01-01")
        return start + pd.to_timedelta(np.arange(rows) * 20, unit="min")
    if rule.type == "boolean":
        return random.random(rows) < 0.5
    if rule.type in ("category", "text"):
        words = rule.categories or [f"word {number}" for number in range(12)]
        return random.choice(np.array(words, dtype=object), rows)
    low, high = _limits(rule)
    if rule.type == "integer":
        return random.integers(int(low), int(high) + 1, rows)
    return random.uniform(low, high, rows)


def _limits(rule: Column) -> tuple[float, float]:
    low = float(rule.min) if isinstance(rule.min, int | float) else 0.0
    return low, float(rule.max) if isinstance(rule.max, int | float) else low + 100.0


def _signal(features: pd.DataFrame) -> Any:
    """The mean of the standardized features; codes stand for words where nothing is a number."""
    numbers = features.select_dtypes(["number"])
    if numbers.empty:
        numbers = features.apply(lambda column: column.astype("category").cat.codes.astype(float))
    scaled = (numbers - numbers.mean()) / numbers.std().replace(0, 1)
    mean = scaled.fillna(0).mean(axis=1)
    return mean / (mean.std() or 1.0) * 2


def _target(contract: Contract, signal: Any) -> Any:
    target, rule = contract.target, contract.columns[contract.target.column]
    if target.kind == "regression":
        scaled = (signal - signal.min()) / (signal.max() - signal.min())
        low, high = _limits(rule)
        numbers = low + scaled * (high - low)
        return numbers.round().astype(int) if rule.type == "integer" else numbers
    if target.kind == "binary":
        known = [value for value in target.classes or () if value != target.positive]
        if rule.type == "boolean":
            known = [not target.positive]
        elif rule.categories:
            known = [value for value in rule.categories if value != target.positive]
        negative: Any = (
            known[0] if known else (0 if target.positive == 1 else f"not {target.positive}")
        )
        return np.where(signal > np.median(signal), target.positive, negative)
    classes = np.array(target.classes, dtype=object)
    return classes[pd.qcut(signal, len(classes), labels=False)]
