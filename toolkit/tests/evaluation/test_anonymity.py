"""k-anonymity: as counted by hand, of a file, of its parts and of people; its gate, and what cites it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelyard.contract.model import Contract, contract_text
from modelyard.errors import UsageError
from modelyard.evaluation import anonymity as module
from modelyard.evaluation.anonymity import anonymity, keep
from modelyard.evidence import read_anonymity
from modelyard.gates import AnonymityGate
from modelyard.principles import Principles, shown

from tests.command import Mlops

DOCS = Path(__file__).parents[2] / "docs"
KNOWN = ["birth_year", "sex", "postcode"]


def contract(**fields: Any) -> Contract:
    columns = {
        "left": {"type": "integer"},
        "age": {"type": "integer", "missing": ["-1"]},
        "person": {"type": "integer", "role": "identifier"},
        "sex": {"type": "category"},
    }
    target = {"column": "left", "kind": "binary", "positive": 1}
    return Contract.model_validate({"target": target, "columns": columns, **fields})


def people(rows: int = 400) -> pd.DataFrame:
    """Rows of a table, some of them of one person."""
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "birth_year": random.integers(1960, 1972, rows),
            "sex": random.choice(["f", "m", None], rows, p=[0.5, 0.4, 0.1]),
            "postcode": random.integers(10, 15, rows).astype(str),
            "age": random.choice([-1, 20, 30], rows),
            "person": random.integers(0, rows // 3, rows),
            "left": random.integers(0, 2, rows),
        }
    )


def by_hand(rows: pd.DataFrame, columns: list[str], of: str | None, least: int) -> tuple[int, int]:
    """k, and the rows in groups below `least`."""
    keys = [tuple(map(str, row)) for row in rows[columns].itertuples(index=False)]
    units = rows[of] if of else range(len(rows))
    sizes = Counter(key for key, _ in set(zip(keys, units, strict=True)))
    return min(sizes.values()), sum(sizes[key] < least for key in keys)


@pytest.mark.parametrize("of", [None, "person"])
@pytest.mark.parametrize("ending", ["csv", "parquet", "parts"])
def test_it_is_what_counting_by_hand_finds(
    tmp_path: Path, ending: str, of: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 50)  # combinations come in many chunks
    rows = people()
    table = tmp_path / f"people.{ending}"
    if ending == "csv":
        rows.to_csv(table, index=False)
    elif ending == "parquet":
        rows.to_parquet(table)
    else:
        table.mkdir()
        rows[:150].to_parquet(table / "part-0.parquet")
        rows[150:].to_parquet(table / "part-1.parquet")
        (table / "_SUCCESS").touch()
    found = anonymity(table, contract(group=of), AnonymityGate(least=4), KNOWN)
    assert (found.rows, found.of) == (400, of or "rows")
    assert (found.k, found.rows_below) == by_hand(rows, KNOWN, of, 4)
    assert {one.column for one in found.without} == set(KNOWN)
    for one in found.without:
        rest = [name for name in KNOWN if name != one.column]
        assert (one.k, one.rows_below) == by_hand(rows, rest, of, 4)
    assert [one.rows_below for one in found.without] == sorted(
        one.rows_below for one in found.without
    )


def test_what_stands_for_missing_in_the_contract_is_missing(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("age,left\n-1,0\n,1\n20,0\n20,1\n")
    assert anonymity(table, contract(), None, ["age"]).k == 2


@pytest.mark.parametrize(
    ("gate", "columns", "passed"),
    [
        (None, ["sex"], None),
        (AnonymityGate(least=2), ["sex"], True),
        (AnonymityGate(least=300), ["sex"], False),
        (AnonymityGate(least=2, columns=("sex",)), [], True),
        (AnonymityGate(least=2, columns=("sex", "postcode")), ["sex"], None),  # weaker than asked
    ],
)
def test_the_gate_judges_what_the_project_names(
    tmp_path: Path, gate: AnonymityGate | None, columns: list[str], passed: bool | None
) -> None:
    people().to_csv(tmp_path / "t.csv", index=False)
    found = anonymity(tmp_path / "t.csv", contract(), gate, columns)
    assert found.passed is passed
    assert ("not judged" in found.why) == (passed is None)


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("a,left\n1,0\n", [], "no column is named as a quasi-identifier"),
        ("a,left\n1,0\n", ["b"], 'no column "b"'),
        ("a,left\n", ["a"], "has no rows"),
        ("a,left\n1,0\n1,0,0\n", ["a"], "row 2: expected 2 fields"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    tmp_path: Path, text: str, columns: list[str], said: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        anonymity(tmp_path / "t.csv", contract(), None, columns)


def test_privacy_is_shown_by_a_gate_that_passed_on_the_versions_table(tmp_path: Path) -> None:
    principles = Principles.model_validate({"privacy_and_security": {"evidence": ["anonymity"]}})
    people().to_csv(tmp_path / "t.csv", index=False)

    def state(gate: AnonymityGate | None, *, of_this_table: bool = True) -> bool | None:
        found = anonymity(tmp_path / "t.csv", contract(), gate, ["sex"])
        keep(tmp_path, found)
        source = {"sha256": found.sha256 if of_this_table else "other"}
        evidence = {"data": {"details": {"source": source}}, **read_anonymity(tmp_path)}
        return {one.name: one for one in shown(principles, evidence)}[
            "privacy and security"
        ].is_shown

    assert state(AnonymityGate(least=2)) is True
    assert state(AnonymityGate(least=300)) is False
    assert state(None) is None
    assert state(AnonymityGate(least=2), of_this_table=False) is None
    (tmp_path / ".mlflow" / "anonymity" / "anonymity.json").write_text("{")
    with pytest.raises(UsageError, match=r"anonymity\.json is not readable as JSON"):
        read_anonymity(tmp_path)


def test_the_command_prints_what_its_page_shows_and_refuses_below_the_gate(
    pipeline: Path, tmp_path: Path, mlops: Mlops
) -> None:
    page = (DOCS / "readiness.md").read_text(encoding="utf-8")
    command, said = re.findall(r"```(?:console|text)\n(.*?)```", page, re.DOTALL)[-2:]
    people().to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "conf" / "contract.yml").write_text(contract_text(contract()), encoding="utf-8")
    printed = mlops(*command.split()[1:]).out
    lines = [
        [line.rstrip() for line in text.splitlines() if line.strip()] for text in (said, printed)
    ]
    assert lines[0] == lines[1][:-2]
    assert "not judged: conf/gates.yml has no `anonymity`" in printed
    with (tmp_path / "conf" / "gates.yml").open("a") as gates:
        gates.write("anonymity: {least: 5}\n")
    shown = mlops(*command.split()[1:], "--json", code=1)
    kept = json.loads((tmp_path / ".mlflow" / "anonymity" / "anonymity.json").read_text())
    assert json.loads(shown.out)["k"] == kept["metrics"]["k"]
    assert "is below 5 (conf/gates.yml, anonymity.least)" in shown.err
