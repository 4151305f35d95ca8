"""Reading of JSON content in which any part may be missing, null or of another type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelyard.reports.wording import finite

Rows = list[dict[str, Any]]

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def mapping(content: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """Follow names down to a mapping; empty if there is none."""
    found: Any = content
    for name in path:
        found = as_mapping(found).get(name)
    return as_mapping(found)


def as_mapping(value: Any) -> dict[str, Any]:
    """Return a mapping as it is, anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """Return a list as it is, anything else as an empty one."""
    return value if isinstance(value, list) else []


def records(value: Any) -> Rows:
    """Return the mappings of a list."""
    return [row for row in listed(value) if isinstance(row, dict)]


def tidy(value: Any) -> Any:
    """Copy JSON-like content; control characters become U+FFFD, NaN and infinities become None."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {str(tidy(key)): tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tidy(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if finite(value) is not None else None
    return _UNPRINTABLE.sub("\ufffd", str(value))
