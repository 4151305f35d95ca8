"""The step `assess` names the part that failed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from modelyard.errors import UsageError
from modelyard.evaluation.held_out import HeldOut
from modelyard.steps import assess as step

PARTS = {
    "evaluate": "metrics",
    "explain": "explanations",
    "fairness": "fairness",
    "footprint": "footprint",
}


@pytest.mark.parametrize("function", PARTS)
def test_a_part_that_fails_names_itself(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(error: Exception) -> Any:
        def part(*_: object) -> None:
            raise error

        return part

    for name in PARTS:
        monkeypatch.setattr(step, name, lambda *_: None)
    monkeypatch.setattr(step, "loading", lambda *_: nullcontext())
    held = cast(HeldOut, SimpleNamespace())
    monkeypatch.setattr(step, function, fails(UsageError("no rows")))
    with pytest.raises(UsageError, match=f"^{PARTS[function]}: no rows$"):
        step.assess(held, tmp_path, tmp_path, tmp_path)
    monkeypatch.setattr(step, function, fails(ZeroDivisionError("x")))
    with pytest.raises(ZeroDivisionError) as caught:
        step.assess(held, tmp_path, tmp_path, tmp_path)
    assert PARTS[function] in caught.value.__notes__[0]
