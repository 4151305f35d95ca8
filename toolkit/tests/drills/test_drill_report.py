"""The page of a drill: every event is readable, and a period that was not judged whole does not look fine."""

from __future__ import annotations

import re
from typing import Any

import pytest
from modelyard.drills.drill_report import render, standalone

KINDS = ("retrained", "promoted", "refused", "released", "rolled back", "forced")


def period(name: str, **more: Any) -> dict[str, Any]:
    made = {
        "name": name,
        "rows": 100,
        "failed": 0,
        "version": "1",
        "live": {"value": 0.7, "low": 0.6, "high": 0.8},
        "monitor": {"verdict": "fine", "breached": [], "unjudged": [], "report": "r.html"},
        "events": [],
    }
    return made | more


def content(*periods: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": "Shop",
        "metric": "roc_auc",
        "unit": "month",
        "left_out": {"without time or target": 12},
        "history": ["2012-11", "2012-12"],
        "periods": list(periods),
    }


@pytest.mark.parametrize("count", [1, 9, 40])
def test_no_word_of_an_event_is_cut_however_many_periods_there_are(count: int) -> None:
    events = [{"kind": kind, "version": "12", "why": ""} for kind in KINDS]
    drawn = standalone(content(*[period(f"p-{n}", events=events) for n in range(count)]))
    words = re.findall(r'<text class="tick" x="([\d.]+)" y="[\d.]+">([^<]*)</text>', drawn)
    assert {said for _, said in words} == {"v12", *KINDS}
    width = float(re.search(r'viewBox="0 0 ([\d.]+) ', drawn)[1])
    starts = sorted({float(x) for x, said in words if said == "rolled back"})
    room = min(b - a for a, b in zip(starts, [*starts[1:], width], strict=True))
    assert room > 6.4 * len("rolled back")


def test_a_period_that_was_not_judged_whole_is_neither_fine_nor_a_breach() -> None:
    open_one = {"verdict": "not judged", "breached": [], "unjudged": ["data_drift"], "report": "r"}
    html = render(content(period("2013-01"), period("2013-02", monitor=open_one)))
    assert "found a breach in 0 of them, and could not judge everything in 1" in html
    assert "not judged whole: data_<wbr>drift" in html
    assert html.count("<title>no breach; not judged: data_drift</title>") == 1
    assert html.count("<title>no breach</title>") == 1
