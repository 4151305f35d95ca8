"""Held-out rows in the form of clients' requests."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from modelyard.errors import UsageError
from modelyard.serving.sample_rows import read_rows


def test_rows_have_the_models_columns_as_json_has_them(tmp_path: Path) -> None:
    kinds = {
        "when": "datetime",
        "seats": "integer",
        "share": "number",
        "flag": "boolean",
        "name": "category",
    }
    columns = {**{name: {"type": kind} for name, kind in kinds.items()}, "y": {"type": "boolean"}}
    model = tmp_path / "model"
    model.mkdir()
    target = {"column": "y", "kind": "binary", "positive": True}
    contract = {"version": 1, "target": target, "columns": columns}
    (model / "contract.yml").write_text(yaml.safe_dump(contract), encoding="utf-8")
    table = pd.DataFrame(
        {
            "other": ["not asked for"] * 3,
            "when": pd.to_datetime(["2024-01-01 10:30", None, "2024-01-02 00:00"]),
            "seats": [7.0, None, 9.0],  # an integer column with gaps
            "share": [0.5, float("nan"), 1.0],
            "flag": pd.Series([True, None, False], dtype=object),
            "name": ["a", None, "b"],
            "y": [True, False, True],
        }
    )
    table.to_parquet(tmp_path / "test.parquet")
    rows = read_rows(tmp_path / "test.parquet", model)
    assert rows.records[0] == {
        "when": "2024-01-01T10:30:00",
        "seats": 7,
        "share": 0.5,
        "flag": True,
        "name": "a",
    }
    assert set(rows.records[1].values()) == {None}
    assert (list(rows.truth), rows.target) == ([True, False, True], "y")
    assert json.loads(json.dumps(rows.records)) == rows.records
    assert len(read_rows(tmp_path / "test.parquet", model, most=2).records) == 2
    table.drop(columns="share").to_parquet(tmp_path / "test.parquet")
    with pytest.raises(UsageError, match="lacks share"):
        read_rows(tmp_path / "test.parquet", model)
