"""The contract of a drill's copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from modelyard.contract.model import Contract, load_contract, save_contract
from modelyard.drills.project_copy import accept_fewer_rows, required_column

from tests.drills.contracts import contract


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    content = contract().model_dump(exclude_unset=True) | {"table": {"rows": {"min": 5_000}}}
    save_contract(Contract.model_validate(content), tmp_path / "conf" / "contract.yml")
    return tmp_path


@pytest.mark.parametrize(("rows", "least"), [(300, 300), (9_000, 5_000)])
def test_the_smallest_number_of_rows_is_lowered_but_never_raised(
    copy: Path, rows: int, least: int
) -> None:
    accept_fewer_rows(copy, rows)
    assert load_contract(copy / "conf" / "contract.yml").table.rows.min == least


def test_a_required_column_is_in_the_contract_only_within_the_block(copy: Path) -> None:
    file = copy / "conf" / "contract.yml"
    before = file.read_text()
    with required_column(copy, "added"):
        assert load_contract(file).columns["added"].nulls == 0.0
    assert file.read_text() == before
