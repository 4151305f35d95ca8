"""Bicep as it is read: every part where it stands, and nothing that stops the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bicep_reader.evaluate import UNKNOWN, Scope, evaluate
from bicep_reader.syntax import parse
from bicep_reader.tree import BicepFile, Call, Index, Literal, Member, Ternary
from hypothesis import given
from hypothesis import strategies as st

from tests.small_infra import STORE


def read(text: str, name: str = "a.bicep") -> BicepFile:
    return parse(text.encode(), Path(name))


def test_every_part_has_its_line_and_column():
    file = read("@description('x')\nparam a string = 'b'\n\nvar c = {\n  d: [\n    a\n  ]\n}\n")
    assert (file.parameters["a"].place.line, file.parameters["a"].type.text) == (2, "string")
    assert file.parameters["a"].decorators[0].function == "description"
    (entry,) = file.variables["c"].value.properties
    assert (entry.place.line, entry.place.column) == (5, 3)
    assert (entry.value.items[0].place.line, entry.value.items[0].place.column) == (6, 5)


def test_resources_have_their_parent_condition_and_loop():
    file = read(
        "resource a 'M.S/x@2025-01-01' = [\n  for (one, i) in list: if (i > 0) {\n    name: one\n\n"
        "    resource b 'y' existing = {\n      name: 'b'\n    }\n  }\n]\n"
    )
    outer, inner = file.every_resource()
    assert (outer.loop.variables, outer.condition.operator) == (("one", "i"), ">")
    assert (inner.type, inner.version, inner.existing) == ("M.S/x/y", "2025-01-01", True)
    assert inner.inside.symbol == "a"


def test_calls_and_indexes_in_arrays_are_one_value():
    file = read("var a = [\n  resourceGroup().id\n  b[0].c\n]\nvar d = [f(1).g, h]\n")
    assert not file.errors
    called, indexed = file.variables["a"].value.items
    assert isinstance(called, Member) and isinstance(called.of, Call)
    assert isinstance(indexed, Member) and isinstance(indexed.of, Index)
    assert (indexed.place.line, indexed.place.column) == (3, 3)
    assert len(file.variables["d"].value.items) == 2


def test_strings_are_unescaped_unless_they_are_verbatim():
    file = read("var a = 'it\\'s \\${b} \\u{41}'\nvar c = '''\nit's ${b}'''\n")
    assert file.variables["a"].value == Literal("it's ${b} A", file.variables["a"].value.place)
    assert file.variables["c"].value.value == "it's ${b}"


def test_a_parameter_file_is_read_with_its_places():
    file = read(
        "using './main.bicep'\n\nparam a = 1\nparam b = {\n  c: 'param'\n}\n", "x.bicepparam"
    )
    assert (file.using.value, file.using.place.line) == ("./main.bicep", 1)
    assert list(file.assigned) == ["a", "b"]
    assert file.assigned["b"].value.properties[0].place.line == 5
    assert not file.errors


def test_a_parameter_file_without_using_is_an_error():
    (error,) = read("param a = 1\n", "x.bicepparam").errors
    assert "does not name the .bicep file" in error.what and "using" in error.remedy


SIGNS = ["??", "||", "&&", "==", "!=", "<", ">=", "+", "-", "*", "%"]
EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b.c", "d[0]", "e.f.g", "h(1)", "i(2).j", "'${k.l}'", "3", "m.?n"]),
    lambda inner: (
        st.tuples(st.sampled_from(SIGNS), inner, inner)
        | st.tuples(st.just("!"), inner)
        | st.tuples(st.just("?"), inner, inner, inner)
    ),
    max_leaves=8,
)
RANKS = {"?": 0, "??": 1, "||": 2, "&&": 3, "==": 4, "!=": 4, "<": 5, ">=": 5, "+": 6, "-": 6}


def written(tree: Any, least: int = 0) -> str:
    """An expression with the parentheses that it needs; with all of them where `least` is 9."""
    if isinstance(tree, str):
        return tree
    rank = RANKS.get(tree[0], 7 if len(tree) == 3 else 8)
    every = 9 if least == 9 else 0
    match tree:
        case ("!", inner):
            text = f"!{written(inner, every or 8)}"
        case ("?", condition, yes, no):
            parts = [written(part, every or 1) for part in (condition, yes, no)]
            text = f"{parts[0]} ? {parts[1]} : {parts[2]}"
        case (sign, left, right):
            text = f"{written(left, every or rank)} {sign} {written(right, every or rank + 1)}"
    return f"({text})" if rank < least else text


def without_places(expression: Any) -> Any:
    if isinstance(expression, tuple):
        return [without_places(one) for one in expression]
    if not hasattr(expression, "place"):
        return expression
    fields = [n for n in type(expression).__dataclass_fields__ if n != "place"]
    return [type(expression).__name__, *(without_places(getattr(expression, n)) for n in fields)]


@given(EXPRESSIONS)
def test_operators_bind_as_in_bicep(tree: Any):
    file = read(f"var few = {written(tree)}\nvar all = {written(tree, 9)}\n")
    few, all_ = (without_places(file.variables[name].value) for name in ("few", "all"))
    assert few == all_


def test_a_property_after_parentheses_belongs_to_the_whole_expression():
    value = read("var a = (b ? c : d).e\n").variables["a"].value
    assert isinstance(value, Member) and isinstance(value.of, Ternary)


@given(st.text())
def test_any_text_can_be_parsed(text: str):
    read(text)
    read(text, "x.bicepparam")


@given(st.integers(0, len(STORE)), st.integers(0, 40))
def test_a_damaged_file_can_be_parsed(start: int, length: int):
    read(STORE[:start] + STORE[start + length :])


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("'${a}-${1 + 2}-${true}'", "x-3-True"),
        ("a == 'x' ? 'yes' : unknown", "yes"),
        ("unknown ? 'yes' : 'no'", UNKNOWN),
        ("'${unknown}'", UNKNOWN),
        ("union({ b: 1 }, { b: 2, c: a })", {"b": 2, "c": "x"}),
        ("take(toUpper(replace('a-b-c', '-', '')), 2)", "AB"),
        ("length('st${uniqueString(resourceGroup().id)}')", 15),
        ("[for (one, i) in ['p', 'q']: '${one}${i}']", ["p0", "q1"]),
        ("[for one in range(1, 2): one * 2]", [2, 4]),
        ("'a ${a} b'", "a x b"),
        ("contains(['p'], 'p') && !empty('')", False),
        ("false && unknown", False),
        ("settings[a].size ?? 3", 7),
        ("settings.none", UNKNOWN),
        ("az.environment().suffixes.storage", "core.windows.net"),
        ("loop", UNKNOWN),
    ],
)
def test_expressions_are_evaluated_as_far_as_they_are_known_before_a_deployment(
    expression: str, value: Any
):
    file = read(
        f"param a string\nvar settings = {{ x: {{ size: 7 }} }}\nvar loop = loop\nvar r = {expression}\n"
    )
    assert evaluate(file.variables["r"].value, Scope(file, {"a": "x"})) == value
