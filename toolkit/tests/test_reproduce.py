"""What counts as a difference between the evidence of then and of now."""

from __future__ import annotations

from typing import Any

import pytest
from modelyard.reproduce import difference

EVIDENCE = {"metrics": {"rows": 87, "r2": 0.5}, "series": [{"x": 1}, {"x": 2}], "champion": "3"}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (EVIDENCE, None),
        (EVIDENCE | {"champion": None}, None),
        (
            EVIDENCE | {"metrics": {"rows": 87, "r2": 0.5000000000000001}},
            "metrics.r2: 0.5 before, 0.5000000000000001 now",
        ),
        (EVIDENCE | {"metrics": {"rows": 87}}, "metrics.r2 is missing"),
        (EVIDENCE | {"tags": {}}, "tags is new"),
        (EVIDENCE | {"series": [{"x": 1}, {"x": 3}]}, "series[1].x: 2 before, 3 now"),
        (EVIDENCE | {"series": [{"x": 1}]}, "series: [{'x': 1}, {'x': 2}] before"),
    ],
)
def test_the_first_difference_is_named_and_the_champion_of_the_day_is_none(
    now: Any, said: str | None
) -> None:
    found = difference(EVIDENCE, now)
    assert found is None if said is None else (found or "").startswith(said), found
