"""The contract: what it accepts, how its errors read, and how it reads tables."""

from __future__ import annotations

import datetime as dt
import decimal
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.contract import model as contract
from modelyard.contract import reading
from modelyard.errors import UsageError

MINIMAL = """\
version: 1
target: {column: late, kind: binary, positive: true}
time: departure
sensitive: [carrier]
columns:
  departure: {type: datetime}
  carrier: {type: category, categories: [AA, UA]}
  distance: {type: integer, min: 0, max: 5000, nulls: 0.1}
  speed: {type: number}
  tail: {type: text, role: identifier}
  wing: {type: number, role: ignored, why: always 2}
  late: {type: boolean}
"""


@pytest.fixture
def write(tmp_path: Path):
    def writer(content: str | bytes, name: str = "contract.yml") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return writer


def test_a_contract_answers_who_needs_which_columns(write):
    rules = contract.load_contract(write(MINIMAL))
    assert rules.features == ["departure", "carrier", "distance", "speed"]
    assert rules.columns_of("integer", "number") == ["distance", "speed"]
    assert rules.identifiers == ["tail"]
    assert rules.prepared == ["departure", "carrier", "distance", "speed", "late"]
    assert rules.read == ["departure", "carrier", "distance", "speed", "tail", "late"]
    assert rules.columns["late"].role == "target"
    assert rules.kind == "binary"


def test_an_ignored_column_is_read_where_fairness_needs_it(write):
    text = MINIMAL.replace("[carrier]", "[wing]")
    assert "wing" in contract.load_contract(write(text)).prepared


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type: integer", "type: int", ":8: columns.distance.type: input should be 'number'"),
        ("nulls:", "nuls:", ":8: columns.distance.nuls: no such field; did you mean `nulls`?"),
        ("nulls: 0.1", "nulls: 3", ":8: columns.distance.nulls: input should be less than"),
        ("max: 5000", "max: -1", ":8: columns.distance: min 0 is above max -1"),
        ("time: departure", "time: depature", ':3: time: no column "depature"; did you mean `dep'),
        ("time: departure", "time: carrier", ':3: time: "carrier" has no order'),
        ("[carrier]", "[late]", ":2: target.column: the target cannot be the time or a sens"),
        ("column: late", "column: lat", ':2: target.column: no column "lat"; did you mean `late`'),
        ("positive: true", "positive: 1", ":2: target: the class 1 is not of type boolean"),
        (", positive: true", "", ":2: target: binary needs positive"),
        ("kind: binary, positive: true", "kind: regression", "regression needs a number"),
        ("[AA, UA]", "[AA, AA]", ":7: columns.carrier: categories repeat"),
        ("number}", 'number, format: "%Y-%m"}', "format does not apply to type number"),
        (", why: always 2", "", ":11: columns.wing: an ignored column needs why"),
        ("boolean}", "boolean, role: feature}", ":12: columns.late.role: the target is"),
        ("version: 1", "version: 2", ":1: version: input should be 1, found 2"),
        ("version: 1", "surprise: 1", ":1: surprise: no such field"),
        ("late: {type: boolean}", "late: {type: boolean", "not valid YAML"),
        ("speed: {type: number}", "distance: {type: number}", ":9: not valid YAML"),
    ],
)
def test_an_error_names_file_line_key_and_way_out(write, old, new, message):
    assert old in MINIMAL
    path = write(MINIMAL.replace(old, new))
    with pytest.raises(UsageError) as caught:
        contract.load_contract(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_all_problems_are_told_at_once(write):
    text = MINIMAL.replace("type: integer", "type: int").replace("nulls", "nuls")
    with pytest.raises(UsageError) as caught:
        contract.load_contract(write(text))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("content", [b"", b"- a\n", b"\xff\xfe", b"just text"])
def test_a_file_that_is_no_contract_is_refused(write, content):
    with pytest.raises(UsageError):
        contract.load_contract(write(content))


def test_a_missing_contract_says_how_to_get_one(tmp_path):
    with pytest.raises(UsageError, match="infer a contract"):
        contract.load_contract(tmp_path / "none.yml")


NAMES = st.one_of(
    st.sampled_from(["on", "no", "null", "1", "1e5", "~", "true", "y", "a: b", "#x", "{a}", "*c"]),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
)
LIMITS = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))


@settings(deadline=None)
@given(
    names=st.lists(NAMES, min_size=3, max_size=6, unique=True),
    limits=st.tuples(LIMITS, LIMITS).map(sorted),
    categories=st.lists(NAMES, unique=True),
    moment=st.datetimes(),
    why=NAMES,
    note=st.text(max_size=200),
)
def test_a_contract_written_and_read_again_is_identical(
    tmp_path_factory, names, limits, categories, moment, why, note
):
    target, first, second, *others = names
    rules = contract.Contract(
        target=contract.Target(column=target, kind="regression"),
        sensitive=(first,),
        columns={
            target: contract.Column(type="number", role="target", min=limits[0], max=limits[1]),
            first: contract.Column(type="category", categories=categories, unseen="accept"),
            second: contract.Column(type="datetime", min=moment, format="%d.%m.%Y", nulls=0.1),
            **{name: contract.Column(type="text", role="ignored", why=why) for name in others},
        },
    )
    path = tmp_path_factory.getbasetemp() / "round.yml"
    contract.save_contract(rules, path, heading=[note], notes={first: note})
    assert contract.load_contract(path) == rules


def test_a_long_list_is_wrapped_and_read_back(tmp_path):
    levels = tuple(f"level {i}" for i in range(200))
    rules = contract.Contract(
        target=contract.Target(column="y", kind="regression"),
        columns={
            "y": contract.Column(type="number", role="target"),
            "x": contract.Column(type="category", categories=levels),
        },
    )
    contract.save_contract(rules, tmp_path / "c.yml")
    assert max(map(len, (tmp_path / "c.yml").read_text().splitlines())) <= 100
    assert contract.load_contract(tmp_path / "c.yml") == rules


def rules_for(**types: str) -> contract.Contract:
    columns = {name: contract.Column(type=kind) for name, kind in types.items()}
    return contract.Contract(
        target=contract.Target(column="y", kind="regression"),
        columns={**columns, "y": contract.Column(type="number", role="target")},
    )


def test_columns_get_canonical_types(write):
    text = (
        "n,i,gap,b,maybe,c,t,d,y\n"
        "1.5,1,1,yes,TRUE,a, x ,2013-01-01,1\n"
        "NA,2,,no,,b,,2013-01-01T10:00:00+02:00,2\n"
    )
    rules = rules_for(
        n="number", i="integer", gap="integer", b="boolean", maybe="boolean", c="category",
        t="text", d="datetime",
    )  # fmt: skip
    frame = reading.read_table(write(text, "t.csv"), rules)
    assert frame.dtypes.astype(str).to_dict() == {
        "n": "float64", "i": "int64", "gap": "float64", "b": "bool", "maybe": "object",
        "c": "object", "t": "object", "d": "datetime64[ns]", "y": "float64",
    }  # fmt: skip
    assert frame["maybe"].tolist() == [True, None]
    assert frame["t"].tolist() == ["x", None]
    assert frame["d"].tolist() == [pd.Timestamp("2013-01-01"), pd.Timestamp("2013-01-01 08:00")]


@pytest.mark.parametrize(
    ("delimiter", "cell", "value"),
    [
        (";", "1.5", 1.5),
        ("\t", "+7", 7.0),
        ("|", "1e-3", 0.001),
        (",", "inf", None),
        (",", "NA", None),
        (",", " 2 ", 2.0),
    ],
)
def test_numbers_are_read_as_programs_write_them(write, delimiter, cell, value):
    text = f"x{delimiter}y\n{cell}{delimiter}1\n3{delimiter}1\n"
    path = write("\ufeff" + text, "t.csv")
    frame = reading.read_table(path, rules_for(x="number"))
    assert frame["x"].replace({np.nan: None}).tolist() == [value, 3.0]


def test_large_integers_keep_every_digit(write):
    path = write("x,y\n9007199254740993,1\n-2,1\n", "t.csv")
    assert reading.read_table(path, rules_for(x="integer"))["x"].tolist() == [2**53 + 1, -2]


def test_quoted_fields_may_hold_delimiters_quotes_and_line_ends(write):
    path = write('"x, ""one""",y\n"a,\n""b""",1\n', "t.csv")
    frame = reading.read_table(path, rules_for(**{'x, "one"': "text"}))
    assert frame.iloc[0, 0] == 'a,\n"b"'


def test_a_value_of_another_type_is_named_with_its_row(write):
    path = write("x,y\n1,1\nfar,2\n", "t.csv")
    with pytest.raises(UsageError, match=r'column "x": expected a whole number.*row 2: \'far\''):
        reading.read_table(path, rules_for(x="integer"))


def test_a_missing_column_is_named_with_the_closest(write):
    path = write("distence,y\n1,1\n", "t.csv")
    with pytest.raises(UsageError, match='no column "distance"; did you mean `distence`'):
        reading.read_table(path, rules_for(distance="integer"))


PARQUET = {
    "decimal": pd.Series([decimal.Decimal("1.50"), None]),
    "date": pd.Series([dt.date(2013, 1, 1), None]),
    "zone": pd.Series(pd.to_datetime(["2013-01-01T02:00+02:00", None])),
    "levels": pd.Series(["a", None], dtype="category"),
    "flag": pd.Series([True, None], dtype="boolean"),
    "whole": pd.Series([3, None], dtype="Int64"),
    "infinite": pd.Series([1.0, np.inf]),
    "y": pd.Series([1, 2], dtype="uint8"),
}


def test_parquet_types_become_the_same_canonical_ones(write):
    buffer = io.BytesIO()
    pd.DataFrame(PARQUET).to_parquet(buffer)
    rules = rules_for(
        decimal="number", date="datetime", zone="datetime", levels="category", flag="boolean",
        whole="integer", infinite="number",
    )  # fmt: skip
    frame = reading.read_table(write(buffer.getvalue(), "t.parquet"), rules)
    new_year = pd.Timestamp("2013-01-01")
    assert frame.iloc[0].tolist() == [1.5, new_year, new_year, "a", True, 3.0, 1.0, 1.0]
    assert frame.iloc[1, :7].isna().all()


def test_parquet_keeps_words_that_mean_missing_in_csv(write):
    buffer = io.BytesIO()
    pd.DataFrame({"x": ["NA", ""], "y": [1, 2]}).to_parquet(buffer)
    frame = reading.read_table(write(buffer.getvalue(), "t.parquet"), rules_for(x="category"))
    assert frame["x"].tolist() == ["NA", None]


def test_a_changed_copy_of_a_contract_has_the_names_of_its_own_columns():
    one = rules_for(x="number", z="number")
    assert one.features == ["x", "z"]
    changed = one.model_copy(update={"columns": {n: c for n, c in one.columns.items() if n != "x"}})
    assert changed.features == ["z"]
    assert one.model_copy() == one


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b" \n", "is empty"),
        ("t.csv", b"x,y\n", "no rows"),
        ("t.csv", b"x\n1\n", "one column"),
        ("t.csv", b"x,y,x\n1,2,3\n", 'more than one column named "x"'),
        ("t.csv", b'x, "y"\n1, "2, 3"\n', r'a blank before a quote \( "y"\), which'),
        ("t.csv", b"x,y\n1,2\n1\n", "line 3: expected 2 fields as in the header, found 1"),
        ("t.csv", b"x,y\n1,2\n\xe9,2\n", "line 3: expected UTF-8 text, found the byte 0xe9"),
        ("t.csv", "x,y\n1,2\n".encode("utf-16"), "UTF-16"),
        ("t.csv", b"PK\x03\x04", "Excel workbook or a zip"),
        ("t.csv", b"\xff\xfe\0\0a\0\0\0", "is UTF-32 text"),
        ("t.csv", b"BZh91AY", "compressed with bzip2"),
        ("t.csv", b"sep=;\na;b\n1;2\n", "begins with sep=;.*delete that line"),
        ("t.csv", b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "looks like JSON, an object a line"),
        ("t.csv", b"Report\n\na,b\n1,2\n", "or lines above its header"),
        ("t.csv", b'{"x": 1}\n', "looks like JSON"),
        ("t.html", b"<html>\n<p>x, y\n", "looks like HTML"),
        ("t.csv", b"\x89PNG\r\n\x00\x00", "binary"),
        ("t.parquet", b"x,y\n1,2\n", "named as Parquet but is not"),
        ("t.parquet", b"PAR1 and no more", "damaged Parquet"),
    ],
)
def test_what_is_not_a_table_is_refused_with_the_reason(write, name, content, message):
    with pytest.raises(UsageError, match=message):
        reading.read_table(write(content, name), rules_for(x="number"))


def test_a_directory_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(UsageError, match="is a directory"):
        reading.read_table(tmp_path, rules_for(x="number"))
    with pytest.raises(UsageError, match="does not exist"):
        reading.read_table(tmp_path / "t.csv", rules_for(x="number"))
