"""Bodies of requests: what becomes of right ones, and what is said of wrong ones."""

from __future__ import annotations

import contextlib
import gc
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.contract import model as contract
from modelyard.data import cells, times
from modelyard.serving import payload

RULES = contract.Contract.model_validate(
    {
        "target": {"column": "late", "kind": "binary", "positive": True},
        "columns": {
            "late": {"type": "boolean"},
            "id": {"type": "text", "role": "identifier"},
            "old": {"type": "text", "role": "ignored", "why": "known too late"},
            "x": {"type": "number", "min": -5, "max": 5, "nulls": 0.0},
            "n": {"type": "integer", "nulls": 0.2},
            "ok": {"type": "boolean", "nulls": 0.0},
            "port": {"type": "category", "categories": ["JFK", "LGA", "1"], "nulls": 0.0},
            "to": {"type": "category", "categories": ["SFO"], "unseen": "accept"},
            "note": {"type": "text"},
            "at": {"type": "datetime", "min": "2013-01-01T00:00:00"},
            "day": {"type": "datetime", "format": "%d.%m.%Y"},
        },
    }
)
READER = payload.Reader(RULES, payload.Limits(rows=3, bytes=5_000))
GOOD: dict[str, Any] = {
    "x": 1.5,
    "n": 3,
    "ok": True,
    "port": "JFK",
    "to": "SFO",
    "note": "hm",
    "at": "2013-05-01T10:00:00",
    "day": "24.12.2013",
}
VALUES = [
    1.5,
    3,
    True,
    "JFK",
    "SFO",
    "hm",
    datetime(2013, 5, 1, 10),
    datetime(2013, 12, 24),
]


def read(content: Any) -> payload.Rows:
    return READER.read(json.dumps(content).encode())


def problems(content: Any) -> list[tuple[str | None, str, int | None]]:
    """Field, rule and row of each complaint about a body."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(payload.BadRequest) as refusal:
        READER.read(body)
    content = refusal.value.content()
    assert len(content["message"]) < 400
    assert content["errors"][0]["message"] in content["message"]
    return [(one["field"], one["rule"], one["row"]) for one in content["errors"]]


@pytest.mark.parametrize(
    "content",
    [
        [GOOD],
        {"data": [GOOD]},
        {"input_data": [GOOD]},
        {"input_data": {"columns": list(GOOD), "index": [7], "data": [list(GOOD.values())]}},
        {"input_data": {"columns": list(GOOD)[::-1], "data": [list(GOOD.values())[::-1]]}},
        {"input_data": {name: [value] for name, value in GOOD.items()}},
    ],
)
def test_every_form_gives_the_same_rows(content):
    assert read(content) == payload.Rows([VALUES])


def test_the_sender_may_bring_ids():
    assert read({"data": [GOOD, GOOD], "correlation_ids": ["a", "b"]}).ids == ["a", "b"]
    for wrong in ("a", ["a"], ["a", "a"], ["a", 1], ["a", ""], ["a", "b" * 129], ["a", "\n"]):
        assert problems({"data": [GOOD, GOOD], "correlation_ids": wrong})[0][1] == "correlation_ids"


@pytest.mark.parametrize(
    "content",
    [
        *("x", 1, None, {}, {"rows": []}),
        *({"data": [GOOD], "more": 1}, {"data": [GOOD], "input_data": 1}, {"data": {"x": [1]}}),
        *({"input_data": "x"}, {"input_data": {"x": 1}}, {"input_data": {"x": [1], "n": [1, 2]}}),
        *({"input_data": {"columns": "x", "data": []}}, {"input_data": {"columns": ["x"]}}),
        {"input_data": {"columns": [1], "data": [[1]]}},
    ],
)
def test_another_form_is_said_to_be_one(content):
    assert {rule for _, rule, _ in problems(content)} == {"form"}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[{]", b"\xff\xfe[]", b"[NaN]", b'[{"x": Infinity}]'),
        *(b"[" * 4_000, b"[" + b"9" * 4_900 + b"]"),
    ],
)
def test_what_is_not_json_is_said_to_be_none(body):
    assert problems(body) == [(None, "json", None)]


def test_too_few_too_many_and_too_large():
    assert problems([]) == problems([GOOD] * 4) == [(None, "rows", None)]
    assert problems({"input_data": {"columns": list(GOOD), "data": []}}) == [(None, "rows", None)]
    assert problems([{**GOOD, "note": "x" * 5_000}]) == [(None, "size", None)]


def test_columns_of_the_contract_that_are_no_features_are_not_looked_at():
    others = {"late": "?", "id": None, "old": [1]}
    assert read([GOOD | others]).values == [VALUES]
    named = {**GOOD, **others}
    split = {"columns": list(named), "data": [list(named.values())]}
    assert read({"input_data": split}).values == [VALUES]


def test_missing_and_unknown_columns_are_named_with_their_row():
    wrong = {("xx" if name == "x" else name): value for name, value in GOOD.items()}
    assert problems([GOOD, wrong]) == [("xx", "extra column", 2), ("x", "missing column", 2)]
    split = {"columns": list(wrong), "data": [list(wrong.values())]}
    assert problems({"input_data": split}) == [
        ("xx", "extra column", None),
        ("x", "missing column", None),
    ]
    with pytest.raises(payload.BadRequest, match=r'is it "x"\?'):
        read([wrong])
    alone = {name: value for name, value in GOOD.items() if name != "x"} | {"zz": 1}
    with pytest.raises(payload.BadRequest) as refused:
        read([alone])
    assert "is it" not in str(refused.value)  # no name that is there already is suggested


def test_rows_that_are_no_records_are_named():
    assert problems([GOOD, 5]) == problems([GOOD, "x"]) == problems([GOOD, None])
    assert problems([GOOD, [1]]) == [(None, "form", 2)]
    split = {"columns": list(GOOD), "data": [list(GOOD.values()), [1]]}
    assert problems({"input_data": split}) == [("data", "form", 2)]
    twice = {"columns": [*GOOD, "x"], "data": [[*GOOD.values(), 1]]}
    assert problems({"input_data": twice}) == [("columns", "form", None)]


def test_everything_wrong_is_told_at_once_but_not_without_end():
    found = problems([{**GOOD, "x": "1", "ok": 1}, {**GOOD, "port": "EWR"}])
    assert found == [("x", "type", 1), ("ok", "type", 1), ("port", "categories", 2)]
    assert len(problems([{f"column {n}": 0 for n in range(200)}])) == payload.MOST_PROBLEMS


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("x", 3, 3.0),
        ("x", -5, -5.0),
        ("n", 3.0, 3),
        ("n", None, None),
        ("n", 2**63 - 1, 2**63 - 1),
        ("port", " JFK ", "JFK"),
        ("port", 1, "1"),
        ("port", 1.0, "1"),
        ("to", "OAK", "OAK"),
        ("to", "  ", None),
        ("note", True, "true"),
        ("note", 2.5, "2.5"),
        ("note", "ø", "ø"),
        ("at", "2013-05-01 10:00:00.123456789", datetime(2013, 5, 1, 10, 0, 0, 123456)),
        ("at", "2013-05-01T10:00+02:00", datetime(2013, 5, 1, 8)),
        ("at", "2013-05-01T10:00:00+0530", datetime(2013, 5, 1, 4, 30)),
        ("at", "2013-05-01T10:00:00Z", datetime(2013, 5, 1, 10)),
        ("at", "2013-05-01", datetime(2013, 5, 1)),
        ("at", "", None),
        ("day", "2013-12-24", datetime(2013, 12, 24)),
    ],
)
def test_values_are_read_as_the_files_of_training_are(name, value, expected):
    (row,) = read([{**GOOD, name: value}]).values
    assert row[RULES.features.index(name)] == expected
    assert type(row[RULES.features.index(name)]) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("x", None, "nulls"),
        ("x", "1", "type"),
        ("x", True, "type"),
        ("x", [1], "type"),
        ("x", 10**400, "type"),
        ("x", 5.001, "range"),
        ("x", -1e300, "range"),
        ("n", 3.5, "type"),
        ("n", "3", "type"),
        ("n", 2**63, "type"),
        ("n", 1e300, "type"),
        ("ok", "true", "type"),
        ("ok", 1, "type"),
        ("ok", None, "nulls"),
        ("port", "EWR", "categories"),
        ("port", "", "nulls"),
        ("port", None, "nulls"),
        ("port", {}, "type"),
        ("note", "\ud800", "type"),
        ("note", [], "type"),
        ("at", 1_367_402_400, "type"),
        ("at", "2013-13-01", "type"),
        ("at", "tomorrow", "type"),
        ("at", "2012-12-31", "range"),
        ("at", "0001-01-01T00:00:00+23:59", "type"),
        ("at", "9999-12-31T23:59:59-23:59", "type"),
        ("day", "1066-10-14", "type"),
        ("day", "31.02.2013", "type"),
    ],
)
def test_values_that_break_a_rule_are_named_with_it(name, value, rule):
    assert problems([GOOD, {**GOOD, name: value}]) == [(name, rule, 2)]
    split = {"columns": list(GOOD), "data": [list({**GOOD, name: value}.values())]}
    assert problems({"input_data": split}) == [(name, rule, 1)]


def test_refusing_leaves_nothing_behind():
    wrong = [json.dumps([{**GOOD, name: None}]).encode() for name in ("x", "ok", "port")]
    wrong += [json.dumps([{**GOOD, "x": 99, "port": "EWR", "n": 0.5}]).encode()]

    def refuse(times: int) -> int:
        for body in wrong * times:
            with contextlib.suppress(payload.BadRequest):
                READER.read(body)
        gc.collect()
        return len(gc.get_objects())

    before = refuse(5)
    assert refuse(200) < before + 100


def test_infinite_numbers_of_json_are_refused():
    assert problems(json.dumps([GOOD]).replace("1.5", "1e999").encode()) == [("x", "type", 1)]


@given(
    text=st.from_regex(times.ISO_TIME, fullmatch=True)
    | st.datetimes(datetime(1680, 1, 1), datetime(2261, 1, 1)).map(datetime.isoformat)
    | st.datetimes(
        datetime(1680, 1, 1),
        datetime(2261, 1, 1),
        timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
    ).map(datetime.isoformat)
)
def test_times_are_what_a_file_with_them_gives(text):
    rule = contract.Column(type="datetime")
    column = cells.Cells(pa.chunked_array([pa.array([text])]), delimiter=",")
    parsed = cells.parse(column, rule)
    try:
        found = payload.checker(rule)(text)
    except ValueError:
        assert parsed.wrong[0] or not times.EARLIEST <= parsed.values[0] < times.LATEST
    else:
        assert parsed.values[0].floor("us") == found


@given(value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20))
@pytest.mark.parametrize("kind", cells.TYPES)
def test_a_value_is_read_in_its_type_or_refused(kind, value):
    types = {
        "number": float,
        "integer": int,
        "boolean": bool,
        "category": str,
        "text": str,
        "datetime": datetime,
    }
    try:
        found = payload.checker(contract.Column(type=kind))(value)
    except ValueError:
        return
    assert found is None or type(found) is types[kind]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*GOOD, "data", "input_data", "columns", "index"]), inner)
    ),
)


@given(content=JSON)
def test_no_json_makes_the_reader_fail(content):
    body = json.dumps(content).encode()
    try:
        rows = READER.read(body)
    except payload.BadRequest as refusal:
        json.dumps(refusal.content(), allow_nan=False)
    else:
        assert 1 <= len(rows.values) <= 3


@given(body=st.binary(max_size=60))
def test_no_bytes_make_the_reader_fail(body):
    with pytest.raises(payload.BadRequest):
        READER.read(body)


def test_columns_may_be_called_like_the_parts_of_a_request():
    rules = contract.Contract.model_validate(
        {
            "target": {"column": "y", "kind": "regression"},
            "columns": {
                **{name: {"type": "number"} for name in ("columns", "data")},
                "y": {"type": "number"},
            },
        }
    )
    reader = payload.Reader(rules, payload.Limits())
    for body in (
        {"input_data": {"columns": ["columns", "data"], "data": [[1, 2], [3, 4]]}},
        {"input_data": {"columns": [1, 3], "data": [2, 4]}},
        {"data": [{"columns": 1, "data": 2}, {"columns": 3, "data": 4}]},
    ):
        assert reader.read(json.dumps(body).encode()).values == [[1, 2], [3, 4]]
