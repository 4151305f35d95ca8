"""Text of a card, in one line."""

from __future__ import annotations

import re
from typing import Any

from modelyard.reports.wording import text

# Unicode marks of direction reorder the text around them, in an editor too.
DIRECTION_MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(value: Any, limit: int = 160) -> str:
    """Write a value in one line without marks of direction."""
    return text(DIRECTION_MARKS.sub("", value) if isinstance(value, str) else value, limit)
