"""Validating a table: each rule, where it is broken, and the evidence of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from modelyard.contract import model as contract
from modelyard.contract import read_table, validate
from modelyard.data.table import read_file
from modelyard.errors import guarded
from modelyard.evidence import read_evidence

CONTRACT = """\
version: 1
table: {rows: {min: 10, max: 500}, duplicates: 0.1}
target: {column: late, kind: binary, positive: true, min_share: 0.2}
sensitive: [carrier]
columns:
  number: {type: integer, role: identifier}
  carrier: {type: category, nulls: 0.0, categories: [AA, UA]}
  distance: {type: integer, min: 0, max: 5000, nulls: 0.1}
  left: {type: datetime, min: 2013-01-01}
  note: {type: text, role: ignored, why: free text}
  late: {type: boolean, nulls: 0.05}
"""
ROWS = 100


def good_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "number": range(ROWS),
            "carrier": ["AA", "UA"] * (ROWS // 2),
            "distance": [str(100 + i) for i in range(ROWS)],
            "left": ["2013-05-01", "2014-01-01"] * (ROWS // 2),
            "late": ["yes", "no", "no", "no"] * (ROWS // 4),
        }
    )


def validated(data: Path, rules: Path) -> int:
    """Validate a file; returns the exit code."""
    return guarded(lambda: validate.validate(read_file(data), rules, data.parent / "evidence"))


@pytest.fixture
def check(tmp_path: Path):
    """Validate a table; returns the exit code and the evidence's violations by rule."""

    def checker(table: pd.DataFrame, rules: str = CONTRACT):
        table.to_csv(tmp_path / "table.csv", index=False)
        (tmp_path / "contract.yml").write_text(rules)
        code = validated(tmp_path / "table.csv", tmp_path / "contract.yml")
        details = read_evidence(tmp_path / "evidence", "quality")["details"]
        return code, {violation["rule"]: violation for violation in details["violations"]}

    return checker


def test_a_table_that_keeps_the_contract_passes(check, capsys):
    assert check(good_table()) == (0, {})
    assert "100 rows keep every rule" in capsys.readouterr().out


def put(column: str, value: object, *rows: int):
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype(object)
        table.loc[list(rows), column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "rule", "column", "rows", "first_rows", "examples"),
    [
        (put("carrier", "ZZ", 3, 5), "categories", "carrier", 2, [4, 6], ["ZZ"]),
        (put("carrier", None, 3), "nulls", "carrier", 1, [4], []),
        (put("distance", "-7", 0), "range", "distance", 1, [1], ["-7"]),
        (put("distance", "9000", 99), "range", "distance", 1, [100], ["9000"]),
        (put("distance", "far", 1, 2), "type", "distance", 2, [2, 3], ["far"]),
        (put("distance", "1.5", 1), "type", "distance", 1, [2], ["1.5"]),
        (put("distance", None, *range(11)), "nulls", "distance", 11, [1, 2, 3, 4, 5], []),
        (put("left", "2012-12-31", 7), "range", "left", 1, [8], ["2012-12-31 00:00:00"]),
        (put("left", "31/12/2013", 7), "type", "left", 1, [8], ["31/12/2013"]),
        (put("late", "no", *range(0, 60, 4)), "classes", "late", None, [], []),
        (put("late", "perhaps", 7), "type", "late", 1, [8], ["perhaps"]),
        (lambda t: t.drop(columns="carrier"), "missing column", "carrier", None, [], []),
        (lambda t: t.drop(columns="late"), "missing column", "late", None, [], []),
        (lambda t: t.assign(surprise=1), "extra column", "surprise", None, [], []),
        (lambda t: t.head(8), "rows", None, None, [], []),
        (lambda t: pd.concat([t] * 6, ignore_index=True).assign(number=range(600)), "rows",
         None, None, [], []),
        (lambda t: pd.concat([t, t.head(20)]), "duplicates", None, 20,
         [101, 102, 103, 104, 105], []),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named_with_rows_and_examples(
    check, capsys, change, rule, column, rows, first_rows, examples
):
    code, violations = check(change(good_table()))
    assert code == 1
    assert list(violations) == [rule]
    found = violations[rule]
    assert found["column"] == column
    assert (found["rows"], found["first_rows"], found["examples"]) == (rows, first_rows, examples)
    assert found["expected"] and found["found"]
    output = capsys.readouterr()
    assert rule in output.out
    assert "breaks 1 rule of" in output.err


def test_several_violations_are_all_told_in_the_order_of_the_contract(check):
    table = put("distance", "-7", 0)(put("carrier", "ZZ", 3)(good_table()))
    table = table.rename(columns={"left": "Left"})
    code, violations = check(table)
    assert code == 1
    assert list(violations) == ["categories", "range", "missing column", "extra column"]
    assert "did you mean `Left`" in violations["missing column"]["found"]


def test_an_unseen_category_passes_where_the_contract_accepts_it(check):
    rules = CONTRACT.replace("[AA, UA]", "[AA, UA], unseen: accept")
    assert check(put("carrier", "ZZ", 3)(good_table()), rules) == (0, {})


def test_an_ignored_column_may_hold_anything(check):
    assert check(good_table().assign(note=[None, 1.5] * (ROWS // 2))) == (0, {})


MULTICLASS = "kind: multiclass, classes: [a, b, c], min_share: 0.2"


@pytest.mark.parametrize(
    ("classes", "found"),
    [(["a", "b", "c"], None), (["a", "b"], "c in 0.00%"), (["a", "b", "c", "d"], "d")],
)
def test_classes_of_a_multiclass_target_are_checked(check, classes, found):
    rules = CONTRACT.replace("kind: binary, positive: true, min_share: 0.2", MULTICLASS)
    rules = rules.replace("late: {type: boolean", "late: {type: category")
    code, violations = check(good_table().assign(late=(classes * ROWS)[:ROWS]), rules)
    assert code == (0 if found is None else 1)
    assert violations.get("classes", {}).get("found") == found


def test_a_third_class_of_a_binary_integer_target_is_found(check):
    rules = CONTRACT.replace("positive: true", "positive: 2")
    rules = rules.replace("late: {type: boolean", "late: {type: integer")
    code, violations = check(good_table().assign(late=([1, 2, 3] * ROWS)[:ROWS]), rules)
    assert code == 1
    assert violations["classes"]["found"] == "3: 2, 1, 3"


def test_the_evidence_describes_every_column(check, tmp_path):
    check(put("distance", None, 0)(good_table()))
    evidence = read_evidence(tmp_path / "evidence", "quality")
    columns = {column["name"]: column for column in evidence["details"]["columns"]}
    assert columns["distance"] == {
        "name": "distance", "type": "integer", "role": "feature", "nulls": 0.01, "distinct": 99,
        "min": 101.0, "max": 199.0, "mean": 150.0, "top": [],
    }  # fmt: skip
    assert columns["carrier"]["top"] == [["AA", 0.5], ["UA", 0.5]]
    assert columns["left"]["max"] == "2014-01-01T00:00:00"
    assert evidence["metrics"] == {"columns": 5, "rows": 100, "violations": 0}


@pytest.mark.parametrize(("data", "rules"), [("", CONTRACT), ("a,b\n1,2\n", "version: 1\n")])
def test_what_cannot_be_checked_is_another_exit_code(tmp_path, capsys, data, rules):
    (tmp_path / "t.csv").write_text(data)
    (tmp_path / "c.yml").write_text(rules)
    assert validated(tmp_path / "t.csv", tmp_path / "c.yml") == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_schema_can_be_used_alone(tmp_path):
    (tmp_path / "c.yml").write_text(CONTRACT)
    good_table().to_csv(tmp_path / "t.csv", index=False)
    rules = contract.load_contract(tmp_path / "c.yml")
    frame = read_table(tmp_path / "t.csv", rules)
    assert len(validate.schema(rules).validate(frame)) == ROWS
