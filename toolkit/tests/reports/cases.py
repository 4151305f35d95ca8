"""Evidence of several runs, and ways to damage it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.evidence_samples import Evidence, binary, multiclass, regression, stopped

CASES: dict[str, Callable[[], Evidence]] = {
    "binary": binary,
    "first binary model": lambda: binary(champion=False),
    "refused": lambda: binary(passed=False, stage="refused"),
    "three classes": multiclass,
    "forty classes": lambda: multiclass(40),
    "regression": regression,
    "first regression": lambda: regression(champion=False),
    "stopped at validation": stopped,
    "nothing": dict,
}

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "{{ 7 * 7 }}{% raw %}",
    "</style></title></svg>]]>",
    "שלום \u202e gnp.exe",
    "🛫 flight & <b>late</b>",
    "lone \ud800 surrogate \x00 null \x1b[31m",
    "a" * 5_000,
    "https://example.org/x.js",
)
WRONG: tuple[Any, ...] = (None, "text", [], {}, [None], -1e308, True, float("nan"))


def hostile_evidence(hostile: str, *, stage: str = "registered") -> Evidence:
    """Replace every text by a hostile one, except the two that decide which sections there are."""

    def spoiled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: spoiled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoiled(item) for item in value]
        return hostile if isinstance(value, str) else value

    evidence = {kind: spoiled(content) for kind, content in binary().items()}
    details = evidence["evaluation"]["details"]
    details["problem"]["kind"], details["primary"] = "binary", "roc_auc"
    evidence["decision"]["details"]["stage"] = stage
    return evidence


def damaged_at_each_place(case: str) -> Iterator[Evidence]:
    """Small evidence with null or another wrong value at one place, for every place in turn."""
    evidence = _small(case)
    places = [path for path in _paths(evidence) if path]
    for index, path in enumerate(places):
        yield _replaced(evidence, path, WRONG[index // 2 % len(WRONG)] if index % 2 else None)


def damaged_everywhere(case: str, value: Any) -> Evidence:
    """Small evidence with a wrong value in place of every number and text."""
    evidence = _small(case)
    for path in _paths(evidence):
        if path and not isinstance(_reached(evidence, path), dict | list):
            evidence = _replaced(evidence, path, value)
    return evidence


def _small(case: str) -> Evidence:
    """Shortened evidence; kinds that other problems share are left to the binary case."""
    kinds = ("data", "evaluation", "fairness", "decision")
    return {
        kind: _thin(content)
        for kind, content in CASES[case]().items()
        if kind in kinds or case in ("binary", "stopped at validation")
    }


def _thin(value: Any) -> Any:
    """Shorten lists, and mappings whose values are alike, to render the evidence often."""
    if isinstance(value, list):
        return [_thin(item) for item in value[:2]]
    if not isinstance(value, dict):
        return value
    shapes = {tuple(item) if isinstance(item, dict) else None for item in value.values()}
    alike = len(value) > 3 and shapes != {None} and len(shapes) == 1
    return {key: _thin(item) for key, item in list(value.items())[: 2 if alike else None]}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in JSON content; of the alike items of a list only the first is entered."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        entered = set()
        for index, item in enumerate(value):
            if (shape := _shape(item)) not in entered:
                entered.add(shape)
                yield from _paths(item, (*path, index))


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((key, _shape(item)) for key, item in value.items())
    return tuple(map(_shape, value)) if isinstance(value, list) else type(value)


def _replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Copy content with another value at one place; parts off the way are shared."""
    if not path:
        return value
    changed = content.copy()
    changed[path[0]] = _replaced(content[path[0]], path[1:], value)
    return changed


def _reached(content: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        content = content[step]
    return content
