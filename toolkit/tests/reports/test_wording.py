"""Numbers, dates and values as a person reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.reports import wording

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (327_346, "327,346"),
        (2.0, "2"),
        (0, "0"),
        (-0.0, "0"),
        (0.74213, "0.742"),
        (12.3456, "12.3"),
        (1234.567, "1,235"),
        (-17.94, "−17.9"),
        (0.000123456, "0.000123"),
        (1.5e-9, "1.50e−9"),
        (3e20, "3.00e20"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "–"),
        (True, "–"),
        ("7", "–"),
        (10**400, "–"),
    ],
)
def test_numbers_have_three_significant_digits(value: Any, expected: str) -> None:
    assert wording.number(value) == expected


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ((0.74213, 0.7381, 0.7462), ("0.742", "0.738 to 0.746")),
        ((0.74213, 0.7420, 0.7423), ("0.7421", "0.7420 to 0.7423")),
        ((19.842, 19.5, 20.2), ("19.8", "19.5 to 20.2")),
        ((12_345.6, 12_000.0, 12_700.0), ("12,346", "12,000 to 12,700")),
        ((-0.31, -0.5, -0.1), ("−0.310", "−0.500 to −0.100")),
        ((0.5, None, 0.6), ("0.500", "")),
        ((1e20, 1e20, 2e20), ("1.00e20", "1.00e20 to 2.00e20")),
        ((0.0, -1e308, 1e308), ("0", "−1.00e308 to 1.00e308")),
    ],
)
def test_a_figure_and_its_interval_have_the_same_decimals(
    figures: tuple[float, float | None, float | None], expected: tuple[str, str]
) -> None:
    assert wording.estimate(*figures) == expected


def test_differences_carry_their_sign_unless_they_are_nothing() -> None:
    assert wording.signed(0.041, 3) == "+0.041"
    assert wording.signed(-0.041, 3) == "−0.041"
    assert wording.signed(0.0001, 2) == "0.00"
    assert wording.signed(-0.0001, 2) == "0.00"


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.234, "23.4%"),
        (1e-5, "<0.1%"),
        (0.99999, ">99.9%"),
        (None, "–"),
        ("half", "–"),
    ],
)
def test_shares_are_never_rounded_to_none_or_all(share: Any, expected: str) -> None:
    assert wording.percent(share) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2013-01-01T00:00:00", "2013-01-01"),
        ("2013-01-01T05:15:00.123456", "2013-01-01 05:15"),
        ("2013-01-01 05:15", "2013-01-01 05:15"),
        ("2026-09-11T08:15:49+00:00", "2026-09-11 08:15 UTC"),
        ("2026-09-11T00:00:00+02:00", "2026-09-11 00:00 +02:00"),
        ("yesterday", "yesterday"),
        (None, "–"),
        (5, "5"),
    ],
)
def test_dates_lose_what_says_nothing(value: Any, expected: str) -> None:
    assert wording.date(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["AA", None, 3], "AA, –, 3"),
        ({"low": 1, "high": 2.5}, "low: 1, high: 2.50"),
        (True, "true"),
        ("two\n lines", "two lines"),
        ("", "–"),
        ([], "–"),
        ("x" * 200, "x" * 159 + "…"),
    ],
)
def test_any_value_becomes_one_line(value: Any, expected: str) -> None:
    assert wording.text(value) == expected


def test_settings_are_written_as_they_were_chosen() -> None:
    assert [wording.setting(v) for v in (0.95, 20_240_101, True, None, "a")] == [
        "0.95",
        "20240101",
        "true",
        "–",
        "a",
    ]


def test_nouns_follow_their_count() -> None:
    assert wording.plural(1, "row") == "1 row"
    assert wording.plural(1_200, "row") == "1,200 rows"
    assert wording.plural(2, "rule is", "rules are") == "2 rules are"


@given(JSON)
def test_every_json_value_has_words(value: Any) -> None:
    for write in (wording.number, wording.percent, wording.date, wording.text, wording.setting):
        written = write(value)
        assert written
        assert "\n" not in written


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e6), st.booleans())
def test_every_figure_has_words(value: float, half: float, sign: bool) -> None:
    written, interval = wording.estimate(value, value - half, value + half, sign=sign)
    assert written
    assert " to " in interval
