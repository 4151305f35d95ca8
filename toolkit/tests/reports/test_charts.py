"""Charts: positions that say what the numbers say, for any numbers."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.reports import charts
from modelyard.reports.charts import Dot, Mark, Point, Series

finite = st.floats(allow_nan=False, allow_infinity=False)


def parsed(svg: str) -> ElementTree.Element:
    """The SVG as XML, with every coordinate finite."""
    assert not re.search(r"\b(nan|inf)\b", svg)
    return ElementTree.fromstring(svg)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 144, [0, 50, 100]),
        (-120, 180, [-100, 0, 100]),
        (0.695, 0.75, [0.7, 0.72, 0.74]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high) == pytest.approx(expected)


@given(finite, finite)
def test_ticks_lie_between_the_ends_and_are_few(one: float, other: float) -> None:
    low, high = sorted((one, other))
    found = charts.ticks(low, high)
    slack = (high - low) * 1e-6
    assert 1 <= len(found) <= 16
    assert all(low - slack <= tick <= high + slack for tick in found)
    assert len(charts.tick_labels(found)) == len(found)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 0.2, 0.4], ["0.0", "0.2", "0.4"]),
        ([0.7, 0.72, 0.74], ["0.70", "0.72", "0.74"]),
        ([-100, 0, 100], ["−100", "0", "100"]),
        ([0, 2_000, 4_000], ["0", "2,000", "4,000"]),
        ([0, 20_000, 40_000], ["0", "20k", "40k"]),
        ([0, 25e6, 50e6], ["0", "25M", "50M"]),
        ([0, 1e12], ["0", "1,000,000,000,000"]),
        ([5], ["5"]),
        ([], []),
    ],
)
def test_labels_of_an_axis_are_written_alike(values: list[float], labels: list[str]) -> None:
    assert charts.tick_labels(values) == labels


def test_a_plot_puts_larger_values_further_up_and_right() -> None:
    series = Series("challenger", "challenger", [Point(0, 0), Point(1, 1)])
    svg = charts.plot("p", "A plot", "It rises.", [series], x_label="x", y_label="y")
    [path] = re.findall(r'class="line challenger" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', svg)
    x0, y0, x1, y1 = map(float, path)
    assert x0 < x1 <= charts.WIDTH
    assert y0 > y1 >= 0


def test_a_figure_says_what_it_shows() -> None:
    series = Series("<b>", "challenger", [Point(0, 1, 0.5, 1.5, "a & b")])
    svg = charts.plot("p", "A <plot>", 'It "rises".', [series], x_label="<x>", y_label="y & z")
    root = parsed(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == "p-t p-d"
    assert root[0].text == "A <plot>"
    assert root[1].text == 'It "rises".'
    assert "a & b" in [title.text for title in root.iter("title")]


def test_without_points_there_is_no_plot() -> None:
    assert charts.plot("p", "t", "d", [], x_label="x", y_label="y") == ""
    assert charts.plot("p", "t", "d", [Series("", "", [])], x_label="x", y_label="y") == ""
    assert charts.histogram("h", "t", "d", [], [], x_label="x", y_label="y") == ""
    assert charts.histogram("h", "t", "d", [0, 1], [1, 2], x_label="x", y_label="y") == ""
    assert charts.dot_rows("r", "t", "d", []) == ""
    assert charts.heatmap("d", [], []) == ""


@given(st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=6), st.booleans())
def test_any_numbers_can_be_drawn(numbers: list[tuple[float, float, float]], shares: bool) -> None:
    points = [Point(x, y, min(y, z), max(y, z), "note") for x, y, z in numbers]
    series = [Series("one", "challenger", points)]
    marks = [Mark(numbers[0][0], "here")]
    parsed(
        charts.plot(
            "p",
            "t",
            "d",
            series,
            x_label="x",
            y_label="y",
            diagonal=True,
            marks=marks,
            shares=shares,
        )
    )
    dots = [Dot("label", "champion", x, min(y, z), max(y, z), "text") for x, y, z in numbers]
    parsed(charts.dot_rows("r", "t", "d", dots))
    domain = charts.padded([x for x, _, _ in numbers], 0.1)
    assert domain[0] < domain[1]
    parsed(charts.strip(dots, domain, reference=0.0))
    x, y, z = numbers[0]
    parsed(charts.bar(x, (min(x, y, 0), max(x, y, 0)), low=min(y, z), high=max(y, z)))
    parsed(charts.range_bar(min(x, y, z), x, max(x, y, z)))
    parsed(charts.share_bar(x))
    edges = sorted({x, y, z})
    histogram = charts.histogram(
        "h", "t", "d", edges, [abs(x)] * (len(edges) - 1), x_label="x", y_label="y"
    )
    if histogram:
        parsed(histogram)


def test_a_dot_outside_the_domain_becomes_an_arrow() -> None:
    svg = charts.strip([Dot("", "challenger", 5), Dot("", "challenger", -5)], (0, 1))
    assert svg.count('class="beyond challenger"') == 2
    assert 'class="mark' not in svg


def test_strips_are_hidden_from_screen_readers() -> None:
    for svg in (
        charts.strip([Dot("", "good", 0.5)], (0, 1)),
        charts.bar(0.5, (0, 1)),
        charts.share_bar(0.5),
        charts.range_bar(0, 1, 2),
        charts.stack([("train", 0.6), ("test", 0.4)]),
        charts.key("champion"),
    ):
        assert parsed(svg).attrib["aria-hidden"] == "true"


def test_parts_of_a_whole_stand_side_by_side() -> None:
    svg = charts.stack([("train", 0.6), ("validation", 0.25), ("test", 0.15)])
    places = re.findall(r'x="([\d.]+)%" width="([\d.]+)%"', svg)
    assert places == [("0", "60"), ("60", "25"), ("85", "15")]


def test_a_heatmap_shades_each_row_by_its_own_shares() -> None:
    svg = charts.heatmap("d", ["a", "b"], [[1000, 0], [1, 1]])
    parsed(svg)
    assert len(re.findall(r"h[\d.]+v", svg)) == 3
    assert 'class="heat8 right"' in svg
    assert 'class="heat4 right"' in svg and 'class="heat4 wrong"' in svg


def test_a_heatmap_of_sixty_classes_stays_small_and_names_only_what_fits() -> None:
    labels = [f"class {i}" for i in range(60)]
    svg = charts.heatmap("d", labels, [[1.0] * 60] * 60)
    assert len(svg) < 120_000
    assert svg.count("<text") == 60


@pytest.mark.parametrize(("share", "level"), [(0, 0), (1e-9, 1), (0.125, 1), (0.13, 2), (1, 8)])
def test_only_nothing_has_no_shade(share: float, level: int) -> None:
    assert charts.shade(share) == level
