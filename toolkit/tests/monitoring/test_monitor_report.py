"""The page of a monitor: that it says what was found, for any evidence, and loads nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.monitoring.monitor_report import METRICS, render
from modelyard.reports import charts
from modelyard.reports.charts import Moment

from tests.reports.test_report import Page

finite = st.floats(allow_nan=False, allow_infinity=False)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=25)


def measure(feature: str, metric: str, value: float | None, **more: Any) -> dict[str, Any]:
    made = {
        "feature": feature,
        "kind": "numerical",
        "metric": metric,
        "value": value,
        "noise": 0.01,
        "threshold": 0.1,
        "limit": 0.1,
        "verdict": "fine",
        "reason": None,
        "trend": [],
        "distribution": {
            "edges": [0, 1, 2],
            "reference": [0.5, 0.5],
            "production": [0.9, 0.1],
            "means": [1.0, 0.6],
            "medians": [1.0, 0.5],
        },
    }
    return made | more


def signal(kind: str, *measures: dict[str, Any], **more: Any) -> dict[str, Any]:
    verdicts = {m["verdict"] for m in measures}
    made = {
        "type": kind,
        "alert": True,
        "windows": {
            "production": {"from": "2026-05-01T00:00:00+00:00", "to": "2026-05-31T00:00:00+00:00"},
            "reference": {"from": None, "to": None},
        },
        "rows": {"production": 5_000, "reference": 20_000, "predictions": 6_000},
        "measures": list(measures),
        "verdict": "breach" if "breach" in verdicts else "fine" if measures else "not judged",
        "reason": None if measures else "the production window has 3 complete rows",
    }
    return made | more


def evidence(**signals: dict[str, Any]) -> dict[str, Any]:
    verdicts = {s["verdict"] for s in signals.values()}
    verdict = next((v for v in ("breach", "fine") if v in verdicts), "not judged")
    return {
        "evidence": "monitor",
        "details": {
            "verdict": verdict,
            "monitor": "watch",
            "endpoint": "shop",
            "deployment": "blue",
            "model": {"name": "shop", "version": "3"},
            "at": "2026-05-31T00:00:00+00:00",
            "notes": [],
            "signals": signals,
        },
    }


PAST = [
    {"at": f"2026-0{month}-30T00:00:00+00:00", "value": value, "limit": 0.1, "verdict": verdict}
    for month, value, verdict in ((3, 0.05, "fine"), (4, 0.2, "breach"))
]
MOVED = measure(
    "amount",
    "jensen_shannon_distance",
    0.3,
    verdict="breach",
    since="2026-04-30T00:00:00+00:00",
    trend=PAST,
)
WORDS = measure(
    "<shop> & 'co'",
    "jensen_shannon_distance",
    0.02,
    kind="categorical",
    distribution={
        "words": ["<north>", "south"],
        "reference": [0.6, 0.3],
        "production": [0.2, 0.7],
        "others": 4,
        "other_shares": [0.1, 0.1],
    },
)
FULL = evidence(
    inputs=signal("data_drift", MOVED, WORDS),
    quality=signal(
        "data_quality",
        measure(
            "amount",
            "null_value_rate",
            0.2,
            reference=0.01,
            limit=0.06,
            verdict="breach",
            since="2026-05-31T00:00:00+00:00",
        ),
        measure("shop", "out_of_bounds_rate", 0.01, reference=0.0, examples=["<east>"]),
        measure("items", "out_of_bounds_rate", 0.0, reference=0.0, examples=[]),
    ),
    outputs=signal(
        "prediction_drift", measure("prediction", "normalized_wasserstein_distance", 0.02)
    ),
    causes=signal(
        "feature_attribution_drift",
        measure("", "normalized_discounted_cumulative_gain", 0.97, threshold=0.9, limit=0.9),
        attributions={
            "reference": {"amount": 3.0, "shop": 1.0},
            "production": {"amount": 1.0, "shop": 1.0},
        },
        sample=2_000,
    ),
    truth=signal(
        "model_performance", measure("", "recall", 0.7, threshold=0.6, limit=0.6, trend=PAST)
    ),
)
CASES = {
    "everything": FULL,
    "nothing to judge": evidence(inputs=signal("data_drift"), truth=signal("model_performance")),
    "all fine": evidence(inputs=signal("data_drift", WORDS)),
    "no value": evidence(
        inputs=signal(
            "data_drift",
            measure(
                "x",
                "jensen_shannon_distance",
                None,
                verdict="not judged",
                reason="it is not defined on these rows",
                noise=None,
            ),
        )
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_whole_and_loads_nothing(case: str) -> None:
    html = render(CASES[case], title="Shop <1>")
    assert html == render(CASES[case], title="Shop <1>")
    page = Page(html)
    assert html.endswith("</html>\n")
    assert "Shop <1>" in page.text
    assert page.all("script") == []
    assert not [
        a for tag, attributes in page.tags for a in attributes if a in ("src", "style", "onclick")
    ]
    [style] = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in html
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"] for a in page.all("a")}
    assert targets <= {f"#{name}" for name in ids}


def test_the_page_says_what_moved_since_when_and_what_to_do() -> None:
    text = Page(render(FULL, title="Shop")).text
    assert "Breach: inputs and data quality" in text
    assert "amount has been beyond its threshold since 2026-04-30, in 2 windows in a row." in text
    assert "Mean 1 before, 0.600 now" in text
    assert "<north> 60.0% before, 20.0% now" in text
    assert "Find the cause of the change." in text
    assert "at most 6.0%" in text
    assert "The truth is known of 5,000 of 6,000 predictions of this window." in text
    assert "Agreement of the rankings 0.970, at least 0.900" in text


def test_without_data_the_page_is_neither_alarm_nor_all_clear() -> None:
    text = Page(render(CASES["nothing to judge"], title="Shop")).text
    assert "Not enough data" in text
    assert "neither a breach nor an all-clear" in text


def test_every_metric_of_the_file_has_words() -> None:
    from modelyard.monitoring import schedule

    models = (
        schedule.NumericalDrift,
        schedule.CategoricalDrift,
        schedule.Rates,
        schedule.AttributionThresholds,
        schedule.Classification,
        schedule.Regression,
    )
    assert {name for model in models for name in model.model_fields} == set(METRICS)


def parsed(svg: str) -> ElementTree.Element:
    """The SVG as XML, with every coordinate finite."""
    assert not re.search(r'="[^"]*\b(nan|inf)\b', svg)  # not in words, which may be any
    return ElementTree.fromstring(svg)


@given(
    finite,
    st.floats(1e-3, 1e6),
    shares.flatmap(
        lambda now: st.tuples(
            st.just(now), st.lists(st.floats(0, 1), min_size=len(now), max_size=len(now))
        )
    ),
)
def test_compared_histograms_hold_for_any_shares(
    start: float, width: float, both: tuple[list[float], list[float]]
) -> None:
    now, before = both
    edges = [start + width * i for i in range(len(now) + 1)]
    drawn = charts.compared_histogram("n", "t", "d", edges, before, now, x_label="x")
    if drawn:
        assert len(parsed(drawn).findall("{*}rect") or parsed(drawn).findall("rect")) == len(now)


@given(
    st.lists(
        st.tuples(st.text(max_size=60).filter(str.isprintable), st.floats(0, 1), st.floats(0, 1)),
        max_size=8,
    )
)
def test_compared_bars_hold_for_any_words(rows: list[tuple[str, float, float]]) -> None:
    drawn = charts.compared_bars("n", "t", "d", rows)
    assert bool(drawn) == bool(rows)
    if drawn:
        assert len(parsed(drawn).findall("rect")) == 2 * len(rows)


@given(st.lists(finite, max_size=30), finite)
def test_trends_hold_for_any_values(values: list[float], limit: float) -> None:
    moments = [Moment(i, value, f"day {i}", value > limit) for i, value in enumerate(values)]
    drawn = charts.trend("n", "t", "d", moments, limit)
    assert bool(drawn) == bool(values)
    if drawn:
        marks = parsed(drawn).findall("g/path")
        assert [("bad" in str(mark.get("class"))) for mark in reversed(marks)] == [
            m.beyond for m in moments
        ]
    spark = charts.sparkline(values, limit)
    assert bool(spark) == (len(values) > 1)
    if spark:
        parsed(spark)
