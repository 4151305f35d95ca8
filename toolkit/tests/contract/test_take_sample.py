"""A sample of the training table: which rows it has, and the contract that comes with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.contract.made_up import small_table
from modelyard.contract.model import Column, Contract, Rows, TableRules, Target, save_contract
from modelyard.contract.reading import read_table
from modelyard.contract.take_sample import _stratified, for_a_part, take_sample
from modelyard.errors import UsageError

COLUMNS = {
    "id": Column(type="integer", role="identifier", nulls=0.0),
    "when": Column(type="datetime", nulls=0.1),
    "size": Column(type="number", nulls=0.2),
    "kind": Column(type="category", categories=("a", "b")),
    "sold": Column(type="boolean", role="target"),
}
CONTRACT = Contract(
    table=TableRules(rows=Rows(min=5000), duplicates=0.01, repeated_rows="drop"),
    target=Target(column="sold", kind="binary", positive=True, min_share=0.1),
    columns=COLUMNS,
)


def written(folder: Path, contract: Contract, table: pd.DataFrame, name: str = "t.parquet") -> Path:
    save_contract(contract, folder / "contract.yml")
    path = folder / name
    table.to_csv(path, index=False) if name.endswith(".csv") else table.to_parquet(path)
    return path


def table(rows: int = 1000, rare: float = 0.05) -> pd.DataFrame:
    made = small_table(CONTRACT, rows=rows)
    return made.assign(id=np.arange(rows), sold=np.arange(rows) < rows * rare)


def sampled(folder: Path, contract: Contract, data: Path | None, rows: int) -> pd.DataFrame:
    take_sample(data, folder / "contract.yml", rows, folder / "sample")
    return read_table(folder / "sample" / "table", contract)


def test_a_table_without_time_keeps_the_share_of_each_class(tmp_path: Path) -> None:
    taken = sampled(tmp_path, CONTRACT, written(tmp_path, CONTRACT, table(20_000, 0.2)), 2_000)
    assert len(taken) == 2_000
    assert taken["sold"].mean() == pytest.approx(0.2, abs=0.005)


def test_of_a_rare_class_there_are_enough_rows_for_every_part_of_a_split(tmp_path: Path) -> None:
    taken = sampled(tmp_path, CONTRACT, written(tmp_path, CONTRACT, table(20_000, 0.003)), 500)
    assert len(taken) == 500
    assert taken["sold"].sum() >= 50


def test_of_a_table_with_time_the_latest_rows_are_taken_in_its_order(tmp_path: Path) -> None:
    contract = CONTRACT.model_copy(update={"time": "when"})
    shuffled = (
        table().assign(when=pd.date_range("2024", periods=1000)).sample(frac=1, random_state=1)
    )
    shuffled.loc[shuffled.index[:3], "when"] = None
    data = written(tmp_path, contract, shuffled)
    taken = sampled(tmp_path, contract, data, 100)
    latest = shuffled[shuffled["when"] >= shuffled["when"].nlargest(100).min()]
    assert taken["id"].tolist() == latest["id"].tolist()
    about = json.loads((tmp_path / "sample" / "sample.json").read_text())
    assert about["how"] == "the latest rows"
    assert about["without_time"] == 3


def test_a_number_to_predict_keeps_its_distribution(tmp_path: Path) -> None:
    columns = {**COLUMNS, "sold": Column(type="number", role="target")}
    target = Target(column="sold", kind="regression")
    contract = CONTRACT.model_copy(update={"columns": columns, "target": target})
    full = table(20_000).assign(sold=np.random.default_rng(0).exponential(size=20_000))
    taken = sampled(tmp_path, contract, written(tmp_path, contract, full), 1_000)
    for share in (0.1, 0.5, 0.9):
        assert taken["sold"].quantile(share) == pytest.approx(full["sold"].quantile(share), rel=0.1)


def test_a_sample_of_a_csv_has_its_cells_as_they_were(tmp_path: Path) -> None:
    data = tmp_path / "t.csv"
    rows = [f'{n};"a;b";NA;1.234,5;{n % 2}' for n in range(300)]
    data.write_text("\n".join(["id;words;gap;price;sold", *rows]) + "\n")
    target = Target(column="sold", kind="binary", positive=1)
    columns = {
        "id": Column(type="integer"),
        "words": Column(type="text"),
        "sold": Column(type="integer", role="target"),
    }
    save_contract(Contract(target=target, columns=columns), tmp_path / "contract.yml")
    take_sample(data, tmp_path / "contract.yml", 50, tmp_path / "sample")
    old = pd.read_csv(data, sep=";", dtype=str, keep_default_na=False)
    new = pd.read_csv(tmp_path / "sample/table", sep=";", dtype=str, keep_default_na=False)
    assert len(new) == 50
    assert new.to_dict("records") == old.iloc[new["id"].astype(int)].to_dict("records")


def test_the_same_table_gives_the_same_sample(tmp_path: Path) -> None:
    data = written(tmp_path, CONTRACT, table())
    first = take_sample(data, tmp_path / "contract.yml", 100, tmp_path / "one")
    assert take_sample(data, tmp_path / "contract.yml", 100, tmp_path / "two") == first


def test_rules_of_the_whole_table_are_left_out_and_those_of_values_stay() -> None:
    part = for_a_part(CONTRACT)
    assert part.table == TableRules(repeated_rows="drop")
    assert part.target.min_share == 0
    assert part.columns["size"].nulls is None
    assert part.columns["id"].nulls == 0.0
    assert part.columns["kind"] == COLUMNS["kind"]


def test_a_small_table_is_taken_whole(tmp_path: Path) -> None:
    written(tmp_path, CONTRACT, table(80))
    sample = take_sample(tmp_path / "t.parquet", tmp_path / "contract.yml", 100, tmp_path / "s")
    assert (sample.rows, sample.of, sample.how) == (80, 80, "the whole table")


def test_without_a_table_rows_are_made_up_and_the_sample_says_so(tmp_path: Path) -> None:
    save_contract(CONTRACT, tmp_path / "contract.yml")
    sample = take_sample(None, tmp_path / "contract.yml", 100, tmp_path / "s")
    assert "made up" in str(sample)
    assert len(read_table(tmp_path / "s" / "table", CONTRACT)) == 100


def test_a_table_without_the_target_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path, CONTRACT, table().drop(columns="sold"))
    with pytest.raises(UsageError, match='no column "sold"'):
        take_sample(data, tmp_path / "contract.yml", 100, tmp_path / "s")


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(1, 500))
def test_as_many_rows_are_chosen_as_were_asked_for(sizes: list[int], rows: int) -> None:
    strata = np.repeat(np.arange(len(sizes)), sizes)
    rows = min(rows, len(strata))
    chosen = _stratified(strata, rows, seed=0)
    assert len(set(chosen.tolist())) == rows
