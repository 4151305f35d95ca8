"""The fields of Azure ML's files, and what each may hold.

`azure_schemas.json` has them as azure-ai-ml does; `toolkit/azure_schemas.py` writes it anew.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from modelyard.pipelines.azure_fields import (
    ARM_ID,
    CLOSER,
    FLAG,
    NAME,
    NEEDED,
    TEXT,
    WHOLE,
    Either,
    Fields,
    ListOf,
    Local,
    MapOf,
    Named,
    Number,
    OneOf,
    Reference,
    Text,
)

_WORDS: dict[str, Any] = {
    "text": TEXT,
    "arm id": ARM_ID,
    "version": Either((NAME, Number(whole=False))),
    "whole": WHOLE,
    "number": Number(whole=False),
    "flag": FLAG,
    "any": None,
    "path": Local(),
    "file": Local("file"),
    "when": Text(
        r"\d{4}-\d\d?-\d\d?[T ]\d\d?:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?",
        'a time such as "2026-05-01T03:00:00"',
    ),
}


@cache
def _content() -> dict[str, Any]:
    text = (files("modelyard.pipelines") / "azure_schemas.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@cache
def schema_of(kind: str) -> str | None:
    """The schema of a kind of file."""
    found: str | None = _content()["kinds"].get(kind)
    return found


def time_zones() -> list[str]:
    """The time zones that a schedule may have."""
    return list(_content()["time zones"])


def kinds() -> list[str]:
    """The kinds of files that are known."""
    return list(_content()["kinds"])


@cache
def fields_of(schema: str) -> Fields:
    """The fields of a schema."""
    found = _content()["schemas"][schema]
    fields = {name: _rule(one) for name, one in found["fields"].items()} | dict(
        CLOSER.get(schema, {})
    )
    of_automl = ("training_data",) if {"training_data", "primary_metric"} <= fields.keys() else ()
    needed = (*found.get("needed", ()), *NEEDED.get(schema, ()), *of_automl)
    return Fields(fields, needed, tuple(found.get("empty", ())))


def _rule(found: Any) -> Any:
    if isinstance(found, str):
        return _WORDS[found] if found in _WORDS else Reference(found)
    (name, value), *more = found.items()
    match name:
        case "is":
            return Named(value)
        case "list":
            return ListOf(_rule(value))
        case "map":
            return MapOf(_rule(value), OneOf(tuple(more[0][1])) if more else None)
        case "either":
            return Either(tuple(map(_rule, value)))
        case "one":
            return OneOf(tuple(value), **dict(more))
        case "path":
            return Local(value)
        case "whole" | "number":
            return Number(name == "whole", least=value[0], most=value[1])
    raise NotImplementedError(found)
