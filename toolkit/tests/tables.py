"""Small tables that follow a contract, so that tests need neither the sample nor a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml


def write_table_for(contract: Path, path: Path, rows: int, seed: int = 0) -> Path:
    """Write a Parquet table with every column of the contract file; the target depends on some."""
    content = yaml.safe_load(contract.read_text(encoding="utf-8"))
    chance = np.random.default_rng(seed)
    table = pd.DataFrame(
        {name: _column(rule, rows, chance) for name, rule in content["columns"].items()}
    )
    target = content["target"]
    signal = _signal(table.drop(columns=target["column"])) + chance.normal(0, 0.5, rows)
    table[target["column"]] = _target(target, content["columns"][target["column"]], signal)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path)
    return path


def _column(rule: dict[str, Any], rows: int, chance: np.random.Generator) -> Any:
    kind = rule["type"]
    if kind == "datetime":
        return pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(rows) * 20, unit="min")
    if kind == "boolean":
        return chance.random(rows) < 0.5
    if kind in ("category", "text"):
        words = rule.get("categories") or [f"word {n}" for n in range(12)]
        return chance.choice(np.array(words, dtype=object), rows)
    low, high = float(rule.get("min", 0)), float(rule.get("max", 100))
    if kind == "integer":
        return chance.integers(int(low), int(high) + 1, rows)
    return chance.uniform(low, high, rows)


def _signal(features: pd.DataFrame) -> Any:
    numbers = features.select_dtypes(["number"])
    if numbers.empty:
        codes = features.apply(lambda column: column.astype("category").cat.codes)
        numbers = codes.astype(float)
    return ((numbers - numbers.mean()) / numbers.std().replace(0, 1)).fillna(0).mean(axis=1)


def _target(target: dict[str, Any], rule: dict[str, Any], signal: Any) -> Any:
    if target["kind"] == "regression":
        values = signal * 10
        return values.round().astype(int) if rule["type"] == "integer" else values
    if target["kind"] == "binary":
        classes = [False, True] if rule["type"] == "boolean" else _other(target)
        return np.where(signal > signal.median(), classes[1], classes[0])
    bands = pd.qcut(signal, len(target["classes"]), labels=False)
    return np.array(target["classes"], dtype=object)[bands]


def _other(target: dict[str, Any]) -> list[Any]:
    """A negative and the positive class, as the contract's type has them."""
    known = target.get("classes") or []
    negative = next(
        (value for value in known if value != target["positive"]), f"not {target['positive']}"
    )
    return [negative, target["positive"]]
